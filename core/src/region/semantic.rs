use burn::module::Module;
use burn::nn::{
    Initializer, LayerNorm, LayerNormConfig, Linear, LinearConfig, RmsNorm, RmsNormConfig,
};
use burn::tensor::{DType, Device, Tensor, TensorData};

use super::config::RegionConfig;
use super::deformable::deformable_attention;
use crate::activation::{gelu, softmax_last};
use crate::linear::over_rows;

/// Fresh scale of `<mask>`, that of embeddings rather than of activations.
const OUT_SCALE: f64 = 0.1;

/// Step 3, semantic guidance: deformable attention around the region's centre over the Qwen ViT's
/// tokens, a residual, then an MLP to the LLM's width and a norm, which give `<mask>`.
///
/// The norm keeps `<mask>` from growing into one huge constant: the LLM, which norms whatever it
/// reads, would like such a token to lean on, and no longer see what differs between regions.
#[derive(Module, Debug)]
pub struct SemanticGuidance {
    norm: LayerNorm,
    value_proj: Linear,
    sampling_offsets: Linear,
    attention_weights: Linear,
    output_proj: Linear,
    mlp_norm: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    out_norm: RmsNorm,
    num_heads: usize,
    num_points: usize,
    enabled: bool,
}

impl SemanticGuidance {
    /// New parameters, with Deformable DETR's initialisation: offsets start in `num_heads`
    /// directions, one cell further per point, and all points weigh the same. Only the output starts
    /// at zero, so that the branch adds nothing before it has learned.
    pub fn new(config: &RegionConfig, device: &Device) -> Self {
        let (width, heads, points) = (config.width, config.num_heads, config.num_points);
        let zeros = |out| {
            LinearConfig::new(width, out)
                .with_initializer(Initializer::Zeros)
                .init(device)
        };
        let xavier = |input, out| {
            LinearConfig::new(input, out)
                .with_initializer(Initializer::XavierUniform { gain: 1.0 })
                .init(device)
        };
        let mut sampling_offsets: Linear = zeros(heads * points * 2);
        sampling_offsets.bias = sampling_offsets.bias.map(|bias| {
            bias.init_mapper(move |zeros: Tensor<1>| {
                let directions = offset_directions(heads, points);
                let data = TensorData::new(directions, [heads * points * 2]);
                Tensor::from_data(data, &zeros.device())
            })
        });
        let mut out_norm = RmsNormConfig::new(config.hidden_size).init(device);
        out_norm.gamma = out_norm
            .gamma
            .init_mapper(|ones: Tensor<1>| ones.mul_scalar(OUT_SCALE));
        Self {
            norm: LayerNormConfig::new(width).init(device),
            value_proj: xavier(config.vision_dim, width),
            sampling_offsets,
            attention_weights: zeros(heads * points),
            output_proj: zeros(width),
            mlp_norm: LayerNormConfig::new(width).init(device),
            fc1: LinearConfig::new(width, config.hidden_size).init(device),
            fc2: LinearConfig::new(config.hidden_size, config.hidden_size).init(device),
            out_norm,
            num_heads: heads,
            num_points: points,
            enabled: config.steps.semantic,
        }
    }

    /// # Shapes
    /// - `region`: `[regions, width]`
    /// - `vision`: `[regions, height * width, vision_dim]`, the merged tokens in raster order
    /// - `grid`: height and width of that raster
    /// - `center`: `[regions, 2]`, x and y of the box's centre in `[0, 1]`
    /// - output: `[regions, hidden_size]`
    pub fn forward(
        &self,
        region: Tensor<2>,
        vision: Tensor<3>,
        grid: [usize; 2],
        center: Tensor<2>,
    ) -> Tensor<2> {
        let region = if self.enabled {
            self.guide(region, vision, grid, center)
        } else {
            region
        };
        let hidden = gelu(self.fc1.forward(self.mlp_norm.forward(region)));
        self.out_norm.forward(self.fc2.forward(hidden))
    }

    fn guide(
        &self,
        region: Tensor<2>,
        vision: Tensor<3>,
        [height, width]: [usize; 2],
        center: Tensor<2>,
    ) -> Tensor<2> {
        let [regions, dim] = region.dims();
        let (heads, points) = (self.num_heads, self.num_points);
        let head_dim = dim / heads;
        let query = self.norm.forward(region.clone());

        let vision = vision.cast(region.dtype());
        let value = over_rows(vision, |rows| self.value_proj.forward(rows))
            .swap_dims(1, 2)
            .reshape([regions, heads, head_dim, height, width]);
        // Half precision cannot tell places of a map apart.
        let scale = Tensor::<1>::from_data(
            [1.0 / width as f32, 1.0 / height as f32],
            (&region.device(), DType::F32),
        );
        let offsets = self
            .sampling_offsets
            .forward(query.clone())
            .cast(DType::F32)
            .reshape([regions, 1, heads, points, 2])
            * scale.reshape([1, 1, 1, 1, 2]);
        let locations = offsets + center.cast(DType::F32).reshape([regions, 1, 1, 1, 2]);
        let weights = self.attention_weights.forward(query);
        let weights = softmax_last(weights.reshape([regions, 1, heads, points]));
        let sampled = deformable_attention(value, locations, weights).reshape([regions, dim]);
        region + self.output_proj.forward(sampled)
    }
}

/// Unit directions at angles `2 pi m / heads`, scaled so that the larger coordinate is 1, times
/// the point's number (Deformable DETR's `_reset_parameters`).
fn offset_directions(heads: usize, points: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(heads * points * 2);
    for head in 0..heads {
        let angle = std::f32::consts::TAU * head as f32 / heads as f32;
        let (y, x) = angle.sin_cos();
        let longest = x.abs().max(y.abs());
        for point in 1..=points {
            out.push(x / longest * point as f32);
            out.push(y / longest * point as f32);
        }
    }
    out
}
