//! The vision tower: patches in, tokens of the language model's width out.

use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear, RmsNorm};
use burn::tensor::module::linear as project;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use super::layers::{gated, linear, rms_norm, rms_norm_layer};
use super::rope::Rotation;
use super::{GridThw, LoraLinear, VisionConfig};
use crate::activation::gelu;
use crate::attention::{Attend, attend};
use crate::fclm::recompute::recomputed;
use crate::linear::over_rows;

/// The tower's norms all use this epsilon; no configuration names it.
const NORM_EPSILON: f64 = 1e-6;

/// The whole tower.
///
/// Follows `Qwen2_5_VisionTransformerPretrainedModel` of
/// <https://github.com/huggingface/transformers/blob/main/src/transformers/models/qwen2_5_vl/modeling_qwen2_5_vl.py>.
#[derive(Module, Debug)]
pub struct VisionTower {
    /// The projection of flattened patches.
    pub patch_embed: PatchEmbed,
    /// The transformer blocks.
    pub blocks: Vec<VisionBlock>,
    /// What makes one token of a square of patches.
    pub merger: PatchMerger,
    recomputes: bool,
    #[module(skip)]
    config: VisionConfig,
}

/// The projection of flattened patches, under its published name.
#[derive(Module, Debug)]
pub struct PatchEmbed {
    /// The projection itself.
    pub proj: PatchProjection,
}

/// The weight of a convolution whose stride is its kernel, which is a matmul over patches.
#[derive(Module, Debug)]
pub struct PatchProjection {
    /// `[width, channels, frames, side, side]`.
    pub weight: Param<Tensor<5>>,
}

/// One transformer block.
#[derive(Module, Debug)]
pub struct VisionBlock {
    /// The norm before attention.
    pub norm1: RmsNorm,
    /// The norm before the MLP.
    pub norm2: RmsNorm,
    /// Attention, within windows or over the whole frame.
    pub attn: VisionAttention,
    /// The MLP.
    pub mlp: GatedMlp,
}

/// Multi-head attention with one projection for queries, keys and values.
#[derive(Module, Debug)]
pub struct VisionAttention {
    /// Queries, keys and values, in this order.
    pub qkv: Linear,
    /// The output projection.
    pub proj: Linear,
    heads: usize,
}

/// `down(silu(gate(x)) * up(x))`.
#[derive(Module, Debug)]
pub struct GatedMlp {
    /// The gate.
    pub gate_proj: LoraLinear,
    /// What the gate lets through.
    pub up_proj: LoraLinear,
    /// Back to the residual width.
    pub down_proj: LoraLinear,
}

/// A norm and a two-layer MLP over the patches of a token, side by side.
#[derive(Module, Debug)]
pub struct PatchMerger {
    /// The norm of each patch.
    pub ln_q: RmsNorm,
    /// `mlp.0` of the checkpoint.
    pub expand: Linear,
    /// `mlp.2` of the checkpoint.
    pub project: Linear,
}

impl VisionConfig {
    /// A tower with fresh weights.
    pub fn init(&self, device: &Device) -> VisionTower {
        let range = self.initializer_range;
        let width = self.hidden_size;
        let merged = width * self.spatial_merge_size * self.spatial_merge_size;
        let side = self.patch_size;
        let kernel = [
            width,
            self.in_channels,
            self.temporal_patch_size,
            side,
            side,
        ];
        let block = |_| VisionBlock {
            norm1: rms_norm_layer(width, NORM_EPSILON, device),
            norm2: rms_norm_layer(width, NORM_EPSILON, device),
            attn: VisionAttention {
                qkv: linear([width, 3 * width], true, range, device),
                proj: linear([width, width], true, range, device),
                heads: self.num_heads,
            },
            mlp: GatedMlp::new(width, self.intermediate_size, true, range, device),
        };
        VisionTower {
            patch_embed: PatchEmbed {
                proj: PatchProjection {
                    weight: Initializer::Normal {
                        mean: 0.0,
                        std: range,
                    }
                    .init(kernel, device),
                },
            },
            blocks: (0..self.depth).map(block).collect(),
            merger: PatchMerger {
                ln_q: rms_norm_layer(width, NORM_EPSILON, device),
                expand: linear([merged, merged], true, range, device),
                project: linear([merged, self.out_hidden_size], true, range, device),
            },
            recomputes: false,
            config: self.clone(),
        }
    }
}

impl VisionTower {
    /// The same with blocks whose insides are computed again in the backward pass, or kept.
    pub fn recomputing(mut self, recomputes: bool) -> Self {
        self.recomputes = recomputes;
        self
    }

    /// Encodes images that share one grid; tokens come back in raster order.
    ///
    /// # Shapes
    ///
    /// - `pixel_values`: `[images, patches, patch_dim]`, patches in the processor's order
    /// - output: `[images, tokens, out_hidden_size]`
    ///
    /// # Panics
    ///
    /// Panics if `pixel_values` does not have the grid's number of patches.
    pub fn forward(&self, pixel_values: Tensor<3>, grid: GridThw) -> Tensor<3> {
        let [images, patches, patch_dim] = pixel_values.dims();
        assert_eq!(
            patches,
            grid.patches(),
            "the pixel values are not of the grid {grid:?}"
        );
        let config = &self.config;
        let merge = config.spatial_merge_size;
        let (square, frames, frame) = (merge * merge, images * grid.t, grid.h * grid.w);
        let tokens = frame / square;
        let device = pixel_values.device();
        let dtype = self.patch_embed.proj.weight.dtype();

        let plan = WindowPlan::new(grid, config);
        let mut x = pixel_values
            .cast(dtype)
            .reshape([frames, tokens, square * patch_dim]);
        // Pixels are reordered rather than their embeddings: no gradient goes through them.
        if let Some(order) = plan.order(&device) {
            x = x.select(1, order);
        }
        let rotation = Rotation::patches(
            grid,
            merge,
            &plan.tokens,
            config.rope_parameters.rope_theta,
            config.head_dim(),
            &device,
            dtype,
        );
        let mut x = self
            .patch_embed
            .forward(x.reshape([frames, frame, patch_dim]));
        let whole = [Windows {
            count: 1,
            len: frame,
        }];
        let windows: Vec<Windows> = plan
            .classes
            .iter()
            .map(|class| Windows {
                len: class.len * square,
                ..*class
            })
            .collect();
        for (index, block) in self.blocks.iter().enumerate() {
            let everything = config.fullatt_block_indexes.contains(&index);
            let windows = if everything { &whole[..] } else { &windows[..] };
            x = match self.recomputes {
                true => {
                    let (rotation, windows) = (rotation.clone(), windows.to_vec());
                    recomputed(block, x, move |block: &VisionBlock, x: Tensor<3>| {
                        block.forward(x, &rotation, &windows)
                    })
                }
                false => block.forward(x, &rotation, windows),
            };
        }
        let x = self.merger.forward(x, square);
        let x = match plan.inverse(&device) {
            Some(inverse) => x.select(1, inverse),
            None => x,
        };
        x.reshape([images, grid.t * tokens, config.out_hidden_size])
    }
}

impl PatchEmbed {
    fn forward(&self, patches: Tensor<3>) -> Tensor<3> {
        let weight = self.proj.weight.val();
        let [width, ..] = weight.dims();
        let [.., patch_dim] = patches.dims();
        let weight = weight.reshape([width, patch_dim]).transpose();
        over_rows(patches, |rows| project(rows, weight, None))
    }
}

impl VisionBlock {
    fn forward(&self, x: Tensor<3>, rotation: &Rotation, windows: &[Windows]) -> Tensor<3> {
        let x = x.clone()
            + self
                .attn
                .forward(rms_norm(&self.norm1, x), rotation, windows);
        x.clone() + self.mlp.forward(rms_norm(&self.norm2, x))
    }
}

impl VisionAttention {
    fn forward(&self, x: Tensor<3>, rotation: &Rotation, windows: &[Windows]) -> Tensor<3> {
        let [frames, patches, width] = x.dims();
        let split = [frames, patches, self.heads, width / self.heads];
        let [q, k, v] = self.queries_keys_values(x);
        let q = rotation.apply(q.reshape(split));
        let k = rotation.apply(k.reshape(split));
        let v = v.reshape(split);

        let mut begin = 0;
        let mut outputs = Vec::with_capacity(windows.len());
        for class in windows {
            let end = begin + class.count * class.len;
            let part = |x: &Tensor<4>| {
                let [_, _, heads, dim] = x.dims();
                let x = match windows.len() {
                    1 => x.clone(),
                    _ => x.clone().slice_dim(1, begin..end),
                };
                x.reshape([frames * class.count, class.len, heads, dim])
                    .swap_dims(1, 2)
            };
            let mixed = attend(part(&q), part(&k), part(&v), None, None, Attend::default());
            outputs.push(mixed.swap_dims(1, 2).reshape([frames, end - begin, width]));
            begin = end;
        }
        let mixed = match outputs.len() {
            1 => outputs.remove(0),
            _ => Tensor::cat(outputs, 1),
        };
        over_rows(mixed, |rows| self.proj.forward(rows))
    }

    fn queries_keys_values(&self, x: Tensor<3>) -> [Tensor<3>; 3] {
        let [.., width] = x.dims();
        if !x.is_autodiff() {
            let qkv = over_rows(x, |rows| self.qkv.forward(rows));
            return [0, 1, 2].map(|part| qkv.clone().narrow(2, part * width, width));
        }
        // The gradient of a slice is padded with zeros to the whole: cheap for weights, not for
        // the activations of a batch.
        let weight = self.qkv.weight.val();
        let bias = self.qkv.bias.as_ref().map(Param::val);
        [0, 1, 2].map(|part| {
            let weight = weight.clone().narrow(1, part * width, width);
            let bias = bias.clone().map(|bias| bias.narrow(0, part * width, width));
            over_rows(x.clone(), |rows| project(rows, weight, bias))
        })
    }
}

impl GatedMlp {
    /// An MLP with fresh weights.
    pub(super) fn new(width: usize, inner: usize, bias: bool, range: f64, device: &Device) -> Self {
        let linear = |shape| LoraLinear::from(linear(shape, bias, range, device));
        Self {
            gate_proj: linear([width, inner]),
            up_proj: linear([width, inner]),
            down_proj: linear([inner, width]),
        }
    }

    /// # Shapes
    ///
    /// - input and output: `[B, L, width]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        over_rows(x, |rows| {
            let gate = self.gate_proj.forward(rows.clone());
            self.down_proj
                .forward(gated(gate, self.up_proj.forward(rows)))
        })
    }
}

impl PatchMerger {
    fn forward(&self, x: Tensor<3>, square: usize) -> Tensor<3> {
        let [frames, patches, width] = x.dims();
        let x = rms_norm(&self.ln_q, x).reshape([frames, patches / square, square * width]);
        over_rows(x, |rows| {
            self.project.forward(gelu(self.expand.forward(rows)))
        })
    }
}

/// `count` neighbouring windows of `len` each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Windows {
    count: usize,
    len: usize,
}

/// The order in which tokens are kept so that windows are runs of it.
///
/// Windows at the right and lower edge may be smaller. Attention over a whole frame does not mind
/// any order, so windows of equal size are put side by side: each class is then one batch, and no
/// window needs a mask.
#[derive(Debug)]
struct WindowPlan {
    /// Raster indices of merged tokens, window by window.
    tokens: Vec<usize>,
    /// Classes of equal windows, `len` in tokens.
    classes: Vec<Windows>,
}

impl WindowPlan {
    fn new(grid: GridThw, config: &VisionConfig) -> Self {
        let merge = config.spatial_merge_size;
        let side = (config.window_size / config.token_side()).max(1);
        let (rows, columns) = (grid.h / merge, grid.w / merge);
        let mut windows: Vec<Vec<usize>> = Vec::new();
        for top in (0..rows).step_by(side) {
            for left in (0..columns).step_by(side) {
                let bottom = rows.min(top + side);
                let right = columns.min(left + side);
                let window = (top..bottom)
                    .flat_map(|row| (left..right).map(move |column| row * columns + column));
                windows.push(window.collect());
            }
        }
        windows.sort_by_key(|window| std::cmp::Reverse(window.len()));
        let classes = windows
            .chunk_by(|a, b| a.len() == b.len())
            .map(|class| Windows {
                count: class.len(),
                len: class[0].len(),
            })
            .collect();
        Self {
            tokens: windows.concat(),
            classes,
        }
    }

    fn order(&self, device: &Device) -> Option<Tensor<1, Int>> {
        indices(&self.tokens, device)
    }

    fn inverse(&self, device: &Device) -> Option<Tensor<1, Int>> {
        let mut inverse = vec![0; self.tokens.len()];
        for (place, &token) in self.tokens.iter().enumerate() {
            inverse[token] = place;
        }
        indices(&inverse, device)
    }
}

/// `None` for the order that changes nothing.
fn indices(order: &[usize], device: &Device) -> Option<Tensor<1, Int>> {
    if order
        .iter()
        .enumerate()
        .all(|(place, &index)| place == index)
    {
        return None;
    }
    let order: Vec<i32> = order.iter().map(|&index| index as i32).collect();
    let len = order.len();
    Some(Tensor::from_data(
        TensorData::new(order, [len]),
        (device, DType::I32),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qwen::QwenConfig;

    fn plan(h: usize, w: usize) -> WindowPlan {
        WindowPlan::new(GridThw { t: 1, h, w }, &QwenConfig::qwen2_5_vl_3b().vision)
    }

    #[test]
    fn full_windows_are_one_class() {
        let plan = plan(16, 16);
        assert_eq!(plan.classes, [Windows { count: 4, len: 16 }]);
        assert_eq!(plan.tokens[..5], [0, 1, 2, 3, 8]);
    }

    #[test]
    fn edge_windows_form_their_own_classes() {
        let plan = plan(12, 10);
        assert_eq!(
            plan.classes,
            [
                Windows { count: 1, len: 16 },
                Windows { count: 1, len: 8 },
                Windows { count: 1, len: 4 },
                Windows { count: 1, len: 2 }
            ]
        );
        let mut tokens = plan.tokens;
        tokens.sort_unstable();
        assert_eq!(tokens, (0..30).collect::<Vec<_>>());
    }

    #[test]
    fn an_image_within_one_window_keeps_its_order() {
        assert!(plan(8, 8).order(&Device::flex()).is_none());
    }
}
