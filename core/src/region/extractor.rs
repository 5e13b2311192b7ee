use burn::module::Module;
use burn::tensor::module::adaptive_avg_pool2d;
use burn::tensor::{Bool, Device, Tensor};

use super::config::{ExtractorSteps, RegionConfig};
use super::light::light_vector;
use super::local::LocalAggregation;
use super::pixel::PixelEnhancement;
use super::position::PositionBranch;
use super::semantic::SemanticGuidance;

/// The two embeddings of each region.
#[derive(Debug, Clone)]
pub struct RegionTokens {
    /// `<mask>`: `[regions, hidden_size]`
    pub mask: Tensor<2>,
    /// `<pos>`: `[regions, hidden_size]`
    pub pos: Tensor<2>,
}

/// The hybrid region extractor.
///
/// Should be created using [`RegionConfig`].
#[derive(Module, Debug)]
pub struct RegionExtractor {
    /// Step 1.
    pub local: LocalAggregation,
    /// Step 2.
    pub pixel: PixelEnhancement,
    /// Step 3.
    pub semantic: SemanticGuidance,
    /// Step 4.
    pub position: PositionBranch,
    uses_crop: bool,
    uses_pixels: bool,
    mask_side: usize,
}

impl RegionExtractor {
    pub(super) fn new(config: &RegionConfig, device: &Device) -> Self {
        let ExtractorSteps { local, pixel, .. } = config.steps;
        Self {
            local: LocalAggregation::new(config, config.pooled_dim(), device),
            pixel: PixelEnhancement::new(config, device),
            semantic: SemanticGuidance::new(config, device),
            position: PositionBranch::new(config, device),
            uses_crop: local,
            uses_pixels: pixel,
            mask_side: config.mask_side,
        }
    }

    /// Whether step 1 is on and crops have to be encoded.
    pub fn uses_crop(&self) -> bool {
        self.uses_crop
    }

    /// The tokens of the vision tower that a region's mask touches, which are pooled where step 1 is
    /// off (the first row of the paper's table 6a).
    ///
    /// # Shapes
    /// - `shape`: `[regions, shape_len]` of [`super::mask_shape`]
    /// - `grid`: height and width of the tokens' raster
    /// - output: `[regions, tokens]`, 1 where a token is touched
    pub fn touched_tokens(&self, shape: Tensor<2>, [height, width]: [usize; 2]) -> Tensor<2> {
        let [regions, _] = shape.dims();
        let side = self.mask_side;
        let coverage = shape
            .narrow(1, 0, side * side)
            .reshape([regions, 1, side, side]);
        adaptive_avg_pool2d(coverage, [height, width])
            .reshape([regions, height * width])
            .greater_scalar(0.0)
            .float()
    }

    /// Steps 1 and 2: the light part, from SAM features alone.
    ///
    /// # Shapes
    /// - `crop_features`: `[regions, cells, sam_dim]` (step 1 on) or the merged ViT tokens
    ///   `[regions, tokens, vision_dim]` (off)
    /// - `crop_cells`: `[regions, cells]` (or tokens), 1 for foreground
    /// - `image_features`: `[regions, cells, sam_dim]`, the whole image's map for each region
    /// - `image_background`: `[regions, cells]`
    /// - output: `[regions, width]`
    pub fn light(
        &self,
        crop_features: Tensor<3>,
        crop_cells: Tensor<2>,
        image_features: Tensor<3>,
        image_background: Tensor<2, Bool>,
    ) -> Tensor<2> {
        light_vector(
            &self.local,
            self.uses_pixels.then_some(&self.pixel),
            crop_features,
            crop_cells,
            image_features,
            image_background,
        )
    }

    /// Steps 3 and 4.
    ///
    /// # Shapes
    /// - `region`: `[regions, width]` from [`Self::light`]
    /// - `vision`: `[regions, tokens, vision_dim]`, merged tokens in raster order of `grid`
    /// - `center`: `[regions, 2]`
    /// - `shape`: `[regions, shape_len]`
    pub fn complete(
        &self,
        region: Tensor<2>,
        vision: Tensor<3>,
        grid: [usize; 2],
        center: Tensor<2>,
        shape: Tensor<2>,
    ) -> RegionTokens {
        RegionTokens {
            mask: self.semantic.forward(region, vision, grid, center),
            pos: self.position.forward(shape),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::Mask;
    use crate::region::mask_shape;

    fn config(steps: ExtractorSteps) -> RegionConfig {
        RegionConfig {
            sam_dim: 6,
            vision_dim: 8,
            width: 8,
            num_heads: 2,
            mask_side: 8,
            position_hidden: [8, 8],
            steps,
            ..RegionConfig::published(8)
        }
    }

    #[test]
    fn tokens_are_touched_where_the_mask_is() {
        let config = config(ExtractorSteps::default());
        let extractor = RegionExtractor::new(&config, &Device::flex());
        // The left half of the third row of four, and one pixel in the last corner.
        let mask = Mask::from_fn(64, 32, |x, y| {
            (x < 32 && (16..24).contains(&y)) || (x, y) == (63, 31)
        });
        let shape = mask_shape(&mask, &config);
        let shape = Tensor::<1>::from_data(shape.as_slice(), &Device::flex()).unsqueeze::<2>();
        let touched: Vec<f32> = extractor
            .touched_tokens(shape, [4, 4])
            .into_data()
            .iter::<f32>()
            .collect();
        let mut expected = [0.0_f32; 16];
        (expected[8], expected[9], expected[15]) = (1.0, 1.0, 1.0);
        assert_eq!(touched, expected);
    }
}
