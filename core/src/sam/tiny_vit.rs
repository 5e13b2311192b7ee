//! TinyViT as MobileSAM uses it: convolutions first, then attention in windows, in four stages.
//!
//! Source: `mobile_sam/modeling/tiny_vit_sam.py`. Batch norms use their running statistics.

use burn::module::{Module, Param};
use burn::nn::{Initializer, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::module::{conv2d, linear};
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::conv::same_3x3;
use super::vit::pad_to;
use super::{Conv, Neck, TinyVitConfig};
use crate::activation::gelu;
use crate::attention::{Attend, attend};
use crate::linear::over_rows;

const BATCH_NORM_EPSILON: f64 = 1e-5;
/// Stages that lead to one of these widths keep the resolution, as the original hard-codes.
const WIDTHS_OF_KEPT_RESOLUTION: [usize; 3] = [320, 448, 576];
/// Pixels per side of a cell of the first stage, after two convolutions of stride two.
pub(super) const FIRST_STRIDE: usize = 4;

/// The encoder. Created by [`SamConfig::init`](super::SamConfig::init).
#[derive(Module, Debug)]
pub struct TinyVit {
    /// Pixels to a quarter of the resolution.
    pub patch_embed: TinyPatchEmbed,
    /// The stages.
    pub layers: Vec<Stage>,
    /// The last map to the image embedding.
    pub neck: Neck,
}

/// Two 3x3 convolutions of stride two.
#[derive(Module, Debug)]
pub struct TinyPatchEmbed {
    /// To half of the first stage's width.
    pub conv1: ConvNorm,
    /// To the first stage's width.
    pub conv2: ConvNorm,
}

/// One resolution of the encoder.
#[derive(Module, Debug)]
pub enum Stage {
    /// The first stage.
    Convolution(ConvolutionStage),
    /// The others.
    Attention(AttentionStage),
}

/// Convolution blocks, then the step to the next stage.
#[derive(Module, Debug)]
pub struct ConvolutionStage {
    /// The blocks.
    pub blocks: Vec<MbConv>,
    /// To the next stage.
    pub downsample: Option<PatchMerging>,
}

/// Attention blocks, then the step to the next stage.
#[derive(Module, Debug)]
pub struct AttentionStage {
    /// The blocks.
    pub blocks: Vec<TinyBlock>,
    /// To the next stage; the last has none.
    pub downsample: Option<PatchMerging>,
}

/// Widening, depthwise and narrowing convolution with a residual.
#[derive(Module, Debug)]
pub struct MbConv {
    /// 1x1 to the hidden width.
    pub conv1: ConvNorm,
    /// 3x3 per channel.
    pub conv2: ConvNorm,
    /// 1x1 back.
    pub conv3: ConvNorm,
}

/// Changes the width and, but for some widths, halves the resolution.
#[derive(Module, Debug)]
pub struct PatchMerging {
    /// 1x1 to the next width.
    pub conv1: ConvNorm,
    /// 3x3 per channel, with the stride.
    pub conv2: ConvNorm,
    /// 1x1.
    pub conv3: ConvNorm,
    stride: usize,
}

/// Attention in windows, a depthwise convolution across them, and an MLP.
#[derive(Module, Debug)]
pub struct TinyBlock {
    /// Attention.
    pub attn: TinyAttention,
    /// MLP.
    pub mlp: TinyMlp,
    /// 3x3 per channel.
    pub local_conv: ConvNorm,
}

/// Attention with one learned bias per head and distance.
#[derive(Module, Debug)]
pub struct TinyAttention {
    /// Norm of the input.
    pub norm: LayerNorm,
    /// Queries, keys and values, head by head.
    pub qkv: Linear,
    /// Output projection.
    pub proj: Linear,
    /// `[heads, window * window]`: the bias by vertical and horizontal distance.
    pub attention_biases: Param<Tensor<2>>,
    window: usize,
}

/// A norm and two linear maps with a GELU between.
#[derive(Module, Debug)]
pub struct TinyMlp {
    /// Norm of the input.
    pub norm: LayerNorm,
    /// To the hidden width.
    pub fc1: Linear,
    /// And back.
    pub fc2: Linear,
}

/// A convolution whose batch norm is folded into its weights.
#[derive(Module, Debug)]
pub struct ConvNorm {
    /// The convolution.
    pub c: Conv,
    /// The batch norm.
    pub bn: RunningNorm,
}

/// A batch norm by its running statistics, which are buffers and get no gradient.
#[derive(Module, Debug)]
pub struct RunningNorm {
    /// One factor per channel.
    pub weight: Param<Tensor<1>>,
    /// One offset per channel.
    pub bias: Param<Tensor<1>>,
    /// Mean of each channel.
    pub running_mean: Param<Tensor<1>>,
    /// Variance of each channel.
    pub running_var: Param<Tensor<1>>,
}

impl TinyVit {
    pub(super) fn new(config: &TinyVitConfig, device: &Device) -> Self {
        let dims = &config.embed_dims;
        let layers = (0..dims.len())
            .map(|index| {
                let dim = dims[index];
                let depth = config.depths[index];
                let downsample = dims
                    .get(index + 1)
                    .map(|&next| PatchMerging::new(dim, next, device));
                if index == 0 {
                    let hidden = dim * config.mbconv_expand_ratio;
                    Stage::Convolution(ConvolutionStage {
                        blocks: (0..depth)
                            .map(|_| MbConv::new(dim, hidden, device))
                            .collect(),
                        downsample,
                    })
                } else {
                    Stage::Attention(AttentionStage {
                        blocks: (0..depth)
                            .map(|_| TinyBlock::new(config, index, device))
                            .collect(),
                        downsample,
                    })
                }
            })
            .collect();
        let last = dims[dims.len() - 1];
        Self {
            patch_embed: TinyPatchEmbed {
                conv1: ConvNorm::new([dims[0] / 2, 3, 3, 3], device),
                conv2: ConvNorm::new([dims[0], dims[0] / 2, 3, 3], device),
            },
            layers,
            neck: Neck::new(last, config.out_chans, device),
        }
    }

    /// # Shapes
    /// - images: `[batch, 3, size, size]`
    /// - output: `[batch, channels, size / 16, size / 16]`
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let map = gelu(self.patch_embed.conv1.forward(images, 2, 1));
        let map = self.patch_embed.conv2.forward(map, 2, 1);
        let map = self
            .layers
            .iter()
            .fold(map, |map, stage| stage.forward(map));
        let [batch, channels, height, width] = map.dims();
        let tokens = map
            .reshape([batch, channels, height * width])
            .swap_dims(1, 2);
        self.neck.forward(tokens, height)
    }
}

impl Stage {
    fn forward(&self, map: Tensor<4>) -> Tensor<4> {
        let (map, downsample) = match self {
            Self::Convolution(stage) => {
                let map = stage
                    .blocks
                    .iter()
                    .fold(map, |map, block| block.forward(map));
                (map, &stage.downsample)
            }
            Self::Attention(stage) => {
                let map = stage
                    .blocks
                    .iter()
                    .fold(map, |map, block| block.forward(map));
                (map, &stage.downsample)
            }
        };
        match downsample {
            Some(downsample) => downsample.forward(map),
            None => map,
        }
    }
}

impl MbConv {
    fn new(dim: usize, hidden: usize, device: &Device) -> Self {
        Self {
            conv1: ConvNorm::new([hidden, dim, 1, 1], device),
            conv2: ConvNorm::new([hidden, 1, 3, 3], device),
            conv3: ConvNorm::new([dim, hidden, 1, 1], device),
        }
    }

    fn forward(&self, map: Tensor<4>) -> Tensor<4> {
        let hidden = gelu(self.conv1.forward_pointwise(map.clone()));
        let hidden = gelu(self.conv2.forward_depthwise(hidden, 1));
        gelu(map + self.conv3.forward_pointwise(hidden))
    }
}

impl PatchMerging {
    fn new(dim: usize, next: usize, device: &Device) -> Self {
        Self {
            conv1: ConvNorm::new([next, dim, 1, 1], device),
            conv2: ConvNorm::new([next, 1, 3, 3], device),
            conv3: ConvNorm::new([next, next, 1, 1], device),
            stride: stride_before(next),
        }
    }

    fn forward(&self, map: Tensor<4>) -> Tensor<4> {
        let map = gelu(self.conv1.forward_pointwise(map));
        let map = gelu(self.conv2.forward_depthwise(map, self.stride));
        self.conv3.forward_pointwise(map)
    }
}

impl TinyBlock {
    fn new(config: &TinyVitConfig, stage: usize, device: &Device) -> Self {
        let dim = config.embed_dims[stage];
        let (heads, window) = (config.num_heads[stage], config.window_sizes[stage]);
        let hidden = dim * config.mlp_ratio;
        Self {
            attn: TinyAttention {
                norm: LayerNormConfig::new(dim).init(device),
                qkv: LinearConfig::new(dim, 3 * dim).init(device),
                proj: LinearConfig::new(dim, dim).init(device),
                attention_biases: Initializer::Zeros.init([heads, window * window], device),
                window,
            },
            mlp: TinyMlp {
                norm: LayerNormConfig::new(dim).init(device),
                fc1: LinearConfig::new(dim, hidden).init(device),
                fc2: LinearConfig::new(hidden, dim).init(device),
            },
            local_conv: ConvNorm::new([dim, 1, 3, 3], device),
        }
    }

    fn forward(&self, map: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = map.dims();
        let x = map.permute([0, 2, 3, 1]);
        let x = x.clone() + self.attn.forward(x);
        let map = self
            .local_conv
            .forward_depthwise(x.permute([0, 3, 1, 2]), 1);

        let tokens = map
            .reshape([batch, channels, height * width])
            .swap_dims(1, 2);
        let normed = self.mlp.norm.forward(tokens.clone());
        let mlp = over_rows(normed, |rows| {
            self.mlp.fc2.forward(gelu(self.mlp.fc1.forward(rows)))
        });
        (tokens + mlp)
            .swap_dims(1, 2)
            .reshape([batch, channels, height, width])
    }
}

impl TinyAttention {
    /// # Shapes
    /// - x and output: `[batch, height, width, dim]`
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, height, width, dim] = x.dims();
        let [heads, _] = self.attention_biases.dims();
        let (side, head_dim) = (self.window, dim / heads);
        let (rows, columns) = (height.div_ceil(side), width.div_ceil(side));
        let cells = side * side;
        // The padding is normalised like any other cell, and so becomes the norm's bias.
        let x = self.norm.forward(pad_to(x, rows * side, columns * side));

        let part = |index: usize| {
            let weight = self
                .qkv
                .weight
                .val()
                .reshape([dim, heads, 3, head_dim])
                .slice([0..dim, 0..heads, index..index + 1, 0..head_dim])
                .reshape([dim, dim]);
            let bias = self.qkv.bias.as_ref().map(|bias| {
                bias.val()
                    .reshape([heads, 3, head_dim])
                    .slice([0..heads, index..index + 1, 0..head_dim])
                    .reshape([dim])
            });
            over_rows(x.clone(), |rows| linear(rows, weight, bias))
                .reshape([batch, rows, side, columns, side, heads, head_dim])
                .permute([0, 1, 3, 5, 2, 4, 6])
                .reshape([batch * rows * columns, heads, cells, head_dim])
        };
        let bias = self
            .attention_biases
            .val()
            .select(1, distances(side, &x.device()))
            .reshape([1, heads, cells, cells]);
        let out = attend(
            part(0),
            part(1),
            part(2),
            None,
            Some(bias),
            Attend::default(),
        )
        .reshape([batch, rows, columns, heads, side, side, head_dim])
        .permute([0, 1, 4, 2, 5, 3, 6])
        .reshape([batch, rows * side, columns * side, dim]);
        let out = out.slice([0..batch, 0..height, 0..width, 0..dim]);
        over_rows(out, |rows| self.proj.forward(rows))
    }
}

impl ConvNorm {
    fn new(shape: [usize; 4], device: &Device) -> Self {
        let [channels, ..] = shape;
        let zeros = || Initializer::Zeros.init([channels], device);
        let ones = || Initializer::Ones.init([channels], device);
        Self {
            c: Conv::new(shape, false, device),
            bn: RunningNorm {
                weight: ones(),
                bias: zeros(),
                running_mean: zeros().set_require_grad(false),
                running_var: ones().set_require_grad(false),
            },
        }
    }

    /// Kernel and bias of the convolution and its norm in one.
    fn folded(&self) -> (Tensor<4>, Tensor<1>) {
        let norm = &self.bn;
        let deviation = (norm.running_var.val().detach() + BATCH_NORM_EPSILON).sqrt();
        let factor = norm.weight.val() / deviation;
        let bias = norm.bias.val() - norm.running_mean.val().detach() * factor.clone();
        let [channels] = factor.dims();
        let kernel = self.c.weight.val() * factor.reshape([channels, 1, 1, 1]);
        (kernel, bias)
    }

    fn forward(&self, map: Tensor<4>, stride: usize, groups: usize) -> Tensor<4> {
        let (kernel, bias) = self.folded();
        conv2d(map, kernel, Some(bias), same_3x3(stride, groups))
    }

    fn forward_depthwise(&self, map: Tensor<4>, stride: usize) -> Tensor<4> {
        let [_, channels, _, _] = map.dims();
        self.forward(map, stride, channels)
    }

    /// A 1x1 convolution, as one product per image.
    fn forward_pointwise(&self, map: Tensor<4>) -> Tensor<4> {
        let [batch, channels_in, height, width] = map.dims();
        let (kernel, bias) = self.folded();
        let [channels] = bias.dims();
        let out = kernel
            .reshape([1, channels, channels_in])
            .matmul(map.reshape([batch, channels_in, height * width]));
        (out + bias.reshape([1, channels, 1])).reshape([batch, channels, height, width])
    }
}

/// By how much the step to a stage of this width shrinks the map.
pub(super) fn stride_before(width: usize) -> usize {
    if WIDTHS_OF_KEPT_RESOLUTION.contains(&width) {
        1
    } else {
        2
    }
}

/// For each pair of cells of a window the index of their distance, `[cells * cells]`.
fn distances(side: usize, device: &Device) -> Tensor<1, Int> {
    let indices = distance_indices(side);
    let len = indices.len();
    Tensor::from_data(TensorData::new(indices, [len]), device)
}

fn distance_indices(side: usize) -> Vec<i32> {
    let cells = side * side;
    (0..cells * cells)
        .map(|pair| {
            let (from, to) = (pair / cells, pair % cells);
            let vertical = (from / side).abs_diff(to / side);
            let horizontal = (from % side).abs_diff(to % side);
            (vertical * side + horizontal) as i32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use burn::tensor::{Distribution, Tolerance};

    use super::*;

    /// The original numbers distances in the order in which it meets them.
    #[test]
    fn distances_are_numbered_as_met() {
        let side = 3;
        let cell = |index: usize| (index / side, index % side);
        let mut met: Vec<(usize, usize)> = Vec::new();
        let mut expected = Vec::new();
        for from in 0..side * side {
            for to in 0..side * side {
                let (a, b) = (cell(from), cell(to));
                let distance = (a.0.abs_diff(b.0), a.1.abs_diff(b.1));
                let index = met.iter().position(|known| *known == distance);
                expected.push(index.unwrap_or(met.len()) as i32);
                if index.is_none() {
                    met.push(distance);
                }
            }
        }
        assert_eq!(distance_indices(side), expected);
    }

    fn rows(tensor: Tensor<2>) -> Vec<Vec<f32>> {
        let [_, width] = tensor.dims();
        let values: Vec<f32> = tensor.into_data().try_into_vec().unwrap();
        values.chunks_exact(width).map(<[f32]>::to_vec).collect()
    }

    /// The original looks the bias of two cells up by the number that a dictionary gives to their
    /// distance, counted as it meets them.
    #[test]
    fn attention_adds_the_bias_of_each_distance() {
        let device = Device::flex();
        let (side, heads, head_dim) = (3, 2, 4);
        let (dim, cells) = (heads * head_dim, side * side);
        let biases = Initializer::Uniform {
            min: -2.0,
            max: 2.0,
        };
        let attention = TinyAttention {
            norm: LayerNormConfig::new(dim).init(&device),
            qkv: LinearConfig::new(dim, 3 * dim).init(&device),
            proj: LinearConfig::new(dim, dim).init(&device),
            attention_biases: biases.init([heads, cells], &device),
            window: side,
        };
        let x = Tensor::<2>::random([cells, dim], Distribution::Normal(0.0, 1.0), &device);
        let qkv = rows(attention.qkv.forward(attention.norm.forward(x.clone())));
        let biases = rows(attention.attention_biases.val());

        let mut numbers: HashMap<(usize, usize), usize> = HashMap::new();
        let mut mixed = vec![0.0f32; cells * dim];
        for (head, biases) in biases.iter().enumerate() {
            let part = |cell: usize, index: usize| {
                let begin = (3 * head + index) * head_dim;
                &qkv[cell][begin..begin + head_dim]
            };
            for from in 0..cells {
                let weights: Vec<f32> = (0..cells)
                    .map(|to| {
                        let vertical = (from / side).abs_diff(to / side);
                        let horizontal = (from % side).abs_diff(to % side);
                        let next = numbers.len();
                        let number = *numbers.entry((vertical, horizontal)).or_insert(next);
                        let pairs = part(from, 0).iter().zip(part(to, 1));
                        let product: f32 = pairs.map(|(query, key)| query * key).sum();
                        (product / (head_dim as f32).sqrt() + biases[number]).exp()
                    })
                    .collect();
                let sum: f32 = weights.iter().sum();
                for (to, weight) in weights.iter().enumerate() {
                    for (channel, value) in part(to, 2).iter().enumerate() {
                        mixed[from * dim + head * head_dim + channel] += weight / sum * value;
                    }
                }
            }
        }
        let mixed = Tensor::<2>::from_data(TensorData::new(mixed, [cells, dim]), &device);
        let expected = attention.proj.forward(mixed).into_data();

        let out = attention.forward(x.reshape([1, side, side, dim]));
        out.reshape([cells, dim])
            .into_data()
            .assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-5));
    }
}
