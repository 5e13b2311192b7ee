use burn::module::Module;
use burn::tensor::{Bool, Device, Tensor};

use super::config::RegionConfig;
use super::local::LocalAggregation;
use super::pixel::PixelEnhancement;

/// Steps 1 and 2 of the extractor without the others: what a browser holds of it.
///
/// Its parameters have the names that they have in [`RegionExtractor`](super::RegionExtractor).
#[derive(Module, Debug)]
pub struct LightExtractor {
    /// Step 1.
    pub local: LocalAggregation,
    /// Step 2.
    pub pixel: PixelEnhancement,
    uses_pixels: bool,
}

impl LightExtractor {
    /// New parameters, made when first used.
    pub fn new(config: &RegionConfig, device: &Device) -> Self {
        Self {
            local: LocalAggregation::new(config, config.pooled_dim(), device),
            pixel: PixelEnhancement::new(config, device),
            uses_pixels: config.steps.pixel,
        }
    }

    /// As [`RegionExtractor::light`](super::RegionExtractor::light).
    ///
    /// # Shapes
    /// - `crop_features`: `[regions, cells, sam_dim]`
    /// - `crop_cells`: `[regions, cells]`, 1 for foreground
    /// - `image_features`: `[regions, cells, sam_dim]`, the whole image's map for each region
    /// - `image_background`: `[regions, cells]`
    /// - output: `[regions, width]`
    pub fn forward(
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
}

/// Steps 1 and 2; without `pixel` step 1 alone.
pub(super) fn light_vector(
    local: &LocalAggregation,
    pixel: Option<&PixelEnhancement>,
    crop_features: Tensor<3>,
    crop_cells: Tensor<2>,
    image_features: Tensor<3>,
    image_background: Tensor<2, Bool>,
) -> Tensor<2> {
    let region = local.forward(crop_features, crop_cells);
    match pixel {
        Some(pixel) => pixel.forward(region, image_features, image_background),
        None => region,
    }
}
