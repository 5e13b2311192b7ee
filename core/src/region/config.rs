use serde::{Deserialize, Serialize};

use super::extractor::RegionExtractor;
use super::shape::BOX_NUMBERS;
use crate::field::{FieldError, WIDEST, count, divides};
use crate::image::geometry::CropConfig;

/// Most sampling points of a head.
const MOST_POINTS: usize = 1 << 10;
/// Longest side of the square that a mask is stretched to.
const LARGEST_MASK: usize = 1 << 12;
/// Most pixels and per cent of a crop's sides.
const LARGEST_CROP: usize = 1 << 12;

/// Which steps of the semantic branch are on (the paper's table 6a).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtractorSteps {
    /// Step 1 from the crop's SAM features; off: pooled Qwen ViT tokens take its place.
    pub local: bool,
    /// Step 2, cross-attention to the foreground cells of the whole image.
    pub pixel: bool,
    /// Step 3, deformable attention to the Qwen ViT's tokens.
    pub semantic: bool,
}

impl Default for ExtractorSteps {
    fn default() -> Self {
        Self {
            local: true,
            pixel: true,
            semantic: true,
        }
    }
}

/// Sizes of the hybrid region extractor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionConfig {
    /// Channels of SAM's image embedding.
    pub sam_dim: usize,
    /// Channels of the Qwen ViT's merged tokens.
    pub vision_dim: usize,
    /// Width of the LLM: `<mask>` and `<pos>` have it.
    pub hidden_size: usize,
    /// Width inside the extractor.
    pub width: usize,
    /// Heads of the cross-attention and of the deformable attention.
    pub num_heads: usize,
    /// Sampling points per head of the deformable attention.
    pub num_points: usize,
    /// Side of the square that a mask is stretched to for the position branch.
    pub mask_side: usize,
    /// Side of the square that the inside of a mask's box is stretched to for the position branch:
    /// the shape apart from its place. Zero leaves it out.
    #[serde(default)]
    pub close_side: usize,
    /// Hidden widths of the position MLP.
    pub position_hidden: [usize; 2],
    /// Most foreground cells that step 2 attends to.
    pub max_cells: usize,
    /// Whether the crop of step 1 shows what surrounds the region at a fifth of its contrast, which
    /// tells the encoder where the region ends. A small encoder learns shapes from it that it does
    /// not learn without; a published one has never seen such crops.
    #[serde(default)]
    pub dims_surroundings: bool,
    /// The shape of the crop of step 1.
    #[serde(default)]
    pub crop: CropConfig,
    /// Steps that are on.
    #[serde(default)]
    pub steps: ExtractorSteps,
}

impl RegionConfig {
    /// The defaults for a published model of LLM width `hidden_size`: width 256, 8 heads, 4
    /// points, masks at 112x112 and a position MLP of 1024.
    pub fn published(hidden_size: usize) -> Self {
        Self {
            sam_dim: 256,
            vision_dim: hidden_size,
            hidden_size,
            width: 256,
            num_heads: 8,
            num_points: 4,
            mask_side: 112,
            close_side: 0,
            position_hidden: [1024, 1024],
            max_cells: 1024,
            dims_surroundings: false,
            crop: CropConfig::default(),
            steps: ExtractorSteps::default(),
        }
    }

    /// Checks that every size can be used.
    ///
    /// # Errors
    /// Names the first field that is wrong, and its value.
    pub fn validate(&self) -> Result<(), FieldError> {
        let [first, second] = self.position_hidden;
        for (field, width) in [
            ("sam_dim", self.sam_dim),
            ("vision_dim", self.vision_dim),
            ("hidden_size", self.hidden_size),
            ("width", self.width),
            ("position_hidden[0]", first),
            ("position_hidden[1]", second),
        ] {
            count(field, width, WIDEST)?;
        }
        divides("num_heads", self.num_heads, ("width", self.width))?;
        count("num_points", self.num_points, MOST_POINTS)?;
        count("mask_side", self.mask_side, LARGEST_MASK)?;
        if self.close_side > 0 {
            count("close_side", self.close_side, LARGEST_MASK)?;
        }
        count("max_cells", self.max_cells, usize::MAX)?;
        let least = self.crop.least_side as usize;
        count("crop.least_side", least, LARGEST_CROP)?;
        match self.crop.margin_percent as usize {
            0 => Ok(()),
            margin => count("crop.margin_percent", margin, LARGEST_CROP),
        }
    }

    /// Channels of the features that step 1 pools.
    pub(super) fn pooled_dim(&self) -> usize {
        match self.steps.local {
            true => self.sam_dim,
            false => self.vision_dim,
        }
    }

    /// Numbers that the position branch takes; see [`super::mask_shape`].
    pub fn shape_len(&self) -> usize {
        self.mask_side * self.mask_side + BOX_NUMBERS + self.close_side * self.close_side
    }

    /// A new extractor with random parameters on `device`.
    pub fn init(&self, device: &burn::tensor::Device) -> RegionExtractor {
        RegionExtractor::new(self, device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_cannot_be_used_are_named() {
        let good = RegionConfig::published(2048);
        good.validate().unwrap();
        let wrong = [
            (
                "num_heads",
                RegionConfig {
                    num_heads: 0,
                    ..good.clone()
                },
            ),
            (
                "num_heads",
                RegionConfig {
                    num_heads: 7,
                    ..good.clone()
                },
            ),
            (
                "mask_side",
                RegionConfig {
                    mask_side: 0,
                    ..good.clone()
                },
            ),
            (
                "close_side",
                RegionConfig {
                    close_side: LARGEST_MASK + 1,
                    ..good.clone()
                },
            ),
            (
                "max_cells",
                RegionConfig {
                    max_cells: 0,
                    ..good.clone()
                },
            ),
            (
                "crop.least_side",
                RegionConfig {
                    crop: CropConfig {
                        least_side: 0,
                        ..CropConfig::default()
                    },
                    ..good.clone()
                },
            ),
            (
                "position_hidden[1]",
                RegionConfig {
                    position_hidden: [8, 0],
                    ..good
                },
            ),
        ];
        for (field, config) in wrong {
            assert_eq!(config.validate().unwrap_err().field, field);
        }
    }
}
