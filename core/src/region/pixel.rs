use burn::module::Module;
use burn::nn::{Initializer, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{Bool, Device, Tensor};

use super::config::RegionConfig;
use crate::attention::{Attend, attend};
use crate::linear::over_rows;

/// Step 2, pixel enhancement: pre-norm cross-attention from the region's vector to the foreground
/// cells of the whole image's SAM map, with a residual.
#[derive(Module, Debug)]
pub struct PixelEnhancement {
    norm: LayerNorm,
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    num_heads: usize,
}

impl PixelEnhancement {
    /// New parameters. The output starts at zero, so that the branch adds nothing before it has
    /// learned.
    pub fn new(config: &RegionConfig, device: &Device) -> Self {
        let linear = |input| LinearConfig::new(input, config.width).init(device);
        Self {
            norm: LayerNormConfig::new(config.width).init(device),
            q_proj: linear(config.width),
            k_proj: linear(config.sam_dim),
            v_proj: linear(config.sam_dim),
            out_proj: LinearConfig::new(config.width, config.width)
                .with_initializer(Initializer::Zeros)
                .init(device),
            num_heads: config.num_heads,
        }
    }

    /// # Shapes
    /// - `region`: `[regions, width]`
    /// - `features`: `[regions, cells, sam_dim]`
    /// - `hidden`: `[regions, cells]`, true where a cell is not to be attended to; every region
    ///   keeps at least one cell
    /// - output: `[regions, width]`
    pub fn forward(
        &self,
        region: Tensor<2>,
        features: Tensor<3>,
        hidden: Tensor<2, Bool>,
    ) -> Tensor<2> {
        let [regions, cells, _] = features.dims();
        let [_, width] = region.dims();
        let features = features.cast(region.dtype());
        let head_dim = width / self.num_heads;
        let heads = |x: Tensor<3>| {
            let [n, len, _] = x.dims();
            x.reshape([n, len, self.num_heads, head_dim])
                .swap_dims(1, 2)
        };
        let query = self.q_proj.forward(self.norm.forward(region.clone()));
        let attended = attend(
            heads(query.reshape([regions, 1, width])),
            heads(over_rows(features.clone(), |rows| {
                self.k_proj.forward(rows)
            })),
            heads(over_rows(features, |rows| self.v_proj.forward(rows))),
            Some(hidden.reshape([regions, 1, 1, cells])),
            None,
            Attend::default(),
        );
        let attended = attended.swap_dims(1, 2).reshape([regions, width]);
        region + self.out_proj.forward(attended)
    }
}
