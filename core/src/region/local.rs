use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

use super::cells::pool_selected;
use super::config::RegionConfig;
use crate::linear::in_type_of;

/// Step 1, local aggregation: `t = MP(Proj(Select(F_sam(X_crop))))`.
///
/// `Proj` is linear, so the mean over the selected cells may be taken before it; the result is the
/// same and one vector is projected instead of a map.
#[derive(Module, Debug)]
pub struct LocalAggregation {
    /// SAM channels to the extractor's width.
    pub proj: Linear,
}

impl LocalAggregation {
    /// New parameters; `in_dim` is the width of the features that are pooled.
    pub fn new(config: &RegionConfig, in_dim: usize, device: &Device) -> Self {
        Self {
            proj: LinearConfig::new(in_dim, config.width).init(device),
        }
    }

    /// # Shapes
    /// - `features`: `[regions, cells, in_dim]`
    /// - `selected`: `[regions, cells]`, 1 where a cell belongs to the region
    /// - output: `[regions, width]`
    pub fn forward(&self, features: Tensor<3>, selected: Tensor<2>) -> Tensor<2> {
        let pooled = pool_selected(features, selected);
        self.proj
            .forward(in_type_of(pooled, self.proj.weight.dtype()))
    }
}
