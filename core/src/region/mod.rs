//! The hybrid region extractor: from an image and a mask to `<mask>` and `<pos>`.
//!
//! Steps 1 and 2 ([`LocalAggregation`], [`PixelEnhancement`]) need SAM features only and may run
//! in a browser; steps 3 and 4 ([`SemanticGuidance`], [`PositionBranch`]) run where the LLM is.

mod cells;
mod config;
mod deformable;
mod extractor;
mod light;
mod local;
#[cfg(test)]
mod parity;
mod pixel;
mod position;
mod prepare;
mod semantic;
mod shape;
mod surroundings;

pub(crate) use cells::cell_features;
pub use cells::{foreground_cells, pool_selected, select_cells};
pub use config::{ExtractorSteps, RegionConfig};
pub use deformable::deformable_attention;
pub(crate) use deformable::sample_bilinear;
pub use extractor::{RegionExtractor, RegionTokens};
pub use light::LightExtractor;
pub use local::LocalAggregation;
pub use pixel::PixelEnhancement;
pub use position::PositionBranch;
pub use prepare::{PreparedRegion, RegionBatch, prepare_region, region_center};
pub use semantic::SemanticGuidance;
pub use shape::mask_shape;
pub use surroundings::{dimmed, surroundings};
