//! The plain vision transformer of SAM: windows in most blocks, the whole map in a few.
//!
//! Source: `segment_anything/modeling/image_encoder.py`.

use burn::module::{Module, Param};
use burn::nn::{Initializer, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::module::linear;
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::{Conv, Neck, VitConfig};
use crate::activation::gelu;
use crate::attention::{Attend, attend};
use crate::fclm::recompute::recomputed;
use crate::linear::over_rows;

const NORM_EPSILON: f64 = 1e-6;
const POSITION_STD: f64 = 0.02;

/// The encoder. Created by [`SamConfig::init`](super::SamConfig::init).
#[derive(Module, Debug)]
pub struct Vit {
    /// Pixels to tokens.
    pub patch_embed: PatchEmbed,
    /// One vector per cell, `[1, grid, grid, dim]`.
    pub pos_embed: Param<Tensor<4>>,
    /// The transformer blocks.
    pub blocks: Vec<Block>,
    /// Tokens to the image embedding.
    pub neck: Neck,
    recomputes: bool,
}

/// The patch embedding: one linear map per patch, stored as a convolution.
#[derive(Module, Debug)]
pub struct PatchEmbed {
    /// Kernel `[dim, 3, patch, patch]`.
    pub proj: Conv,
}

/// One pre-norm transformer block.
#[derive(Module, Debug)]
pub struct Block {
    /// Norm before attention.
    pub norm1: LayerNorm,
    /// Attention over a window or the whole map.
    pub attn: Attention,
    /// Norm before the MLP.
    pub norm2: LayerNorm,
    /// The MLP.
    pub mlp: Mlp,
    window: Option<usize>,
}

/// Attention with decomposed relative positions.
#[derive(Module, Debug)]
pub struct Attention {
    /// Queries, keys and values, one after another in the output.
    pub qkv: Linear,
    /// Output projection.
    pub proj: Linear,
    /// Vectors of vertical offsets, `[2 * rows - 1, head_dim]`.
    pub rel_pos_h: Option<Param<Tensor<2>>>,
    /// Vectors of horizontal offsets, `[2 * columns - 1, head_dim]`.
    pub rel_pos_w: Option<Param<Tensor<2>>>,
    num_heads: usize,
}

/// Two linear maps with a GELU between.
#[derive(Module, Debug)]
pub struct Mlp {
    /// To the hidden width.
    pub lin1: Linear,
    /// And back.
    pub lin2: Linear,
}

/// What attention over windows of one size needs beside weights, made once per forward pass.
#[derive(Clone)]
struct Window {
    side: usize,
    /// Row of the relative table per pair of query and key index, `[side * side]`.
    offsets: Tensor<1, Int>,
    /// For each key its row and its column, one-hot, `[1, 1, side * side, 2 * side]`.
    cells: Tensor<4>,
}

impl Vit {
    pub(super) fn new(config: &VitConfig, grid: usize, patch_size: usize, device: &Device) -> Self {
        let dim = config.embed_dim;
        let blocks = (0..config.depth)
            .map(|index| {
                let global = config.global_attn_indexes.contains(&index);
                Block::new(
                    config,
                    (!global).then_some(config.window_size),
                    grid,
                    device,
                )
            })
            .collect();
        let positions = Initializer::Normal {
            mean: 0.0,
            std: POSITION_STD,
        };
        Self {
            patch_embed: PatchEmbed {
                proj: Conv::new([dim, 3, patch_size, patch_size], true, device),
            },
            pos_embed: positions.init([1, grid, grid, dim], device),
            blocks,
            neck: Neck::new(dim, config.out_chans, device),
            recomputes: false,
        }
    }

    pub(super) fn recomputing(mut self, recomputes: bool) -> Self {
        self.recomputes = recomputes;
        self
    }

    /// # Shapes
    /// - images: `[batch, 3, size, size]`
    /// - output: `[batch, channels, grid, grid]`
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let mut x = self.patch_embed.forward(images) + self.pos_embed.val();
        let [batch, grid, _, dim] = x.dims();

        let mut windows: Vec<Window> = Vec::new();
        for block in &self.blocks {
            let side = block.window.unwrap_or(grid);
            let window = match windows.iter().position(|window| window.side == side) {
                Some(index) => &windows[index],
                None => {
                    windows.push(Window::new(side, &x.device()));
                    &windows[windows.len() - 1]
                }
            };
            x = match self.recomputes {
                true => {
                    let window = window.clone();
                    recomputed(block, x, move |block: &Block, x: Tensor<4>| {
                        block.forward(x, &window)
                    })
                }
                false => block.forward(x, window),
            };
        }
        self.neck
            .forward(x.reshape([batch, grid * grid, dim]), grid)
    }
}

impl PatchEmbed {
    fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = images.dims();
        let [_, _, patch, _] = self.proj.weight.dims();
        let (rows, columns) = (height / patch, width / patch);
        let patches = images
            .reshape([batch, channels, rows, patch, columns, patch])
            .permute([0, 2, 4, 1, 3, 5])
            .reshape([batch, rows, columns, channels * patch * patch]);
        self.proj.rows(patches)
    }
}

impl Block {
    fn new(config: &VitConfig, window: Option<usize>, grid: usize, device: &Device) -> Self {
        let dim = config.embed_dim;
        let norm = || {
            LayerNormConfig::new(dim)
                .with_epsilon(NORM_EPSILON)
                .init(device)
        };
        let hidden = dim * config.mlp_ratio;
        Self {
            norm1: norm(),
            attn: Attention::new(config, window.unwrap_or(grid), device),
            norm2: norm(),
            mlp: Mlp {
                lin1: LinearConfig::new(dim, hidden).init(device),
                lin2: LinearConfig::new(hidden, dim).init(device),
            },
            window,
        }
    }

    fn forward(&self, x: Tensor<4>, window: &Window) -> Tensor<4> {
        let x = x.clone() + self.attn.forward(self.norm1.forward(x), window);
        let mlp = over_rows(self.norm2.forward(x.clone()), |rows| self.mlp.forward(rows));
        x + mlp
    }
}

impl Attention {
    fn new(config: &VitConfig, side: usize, device: &Device) -> Self {
        let dim = config.embed_dim;
        let table = || {
            let shape = [2 * side - 1, dim / config.num_heads];
            config
                .use_rel_pos
                .then(|| Initializer::Zeros.init(shape, device))
        };
        Self {
            qkv: LinearConfig::new(dim, 3 * dim).init(device),
            proj: LinearConfig::new(dim, dim).init(device),
            rel_pos_h: table(),
            rel_pos_w: table(),
            num_heads: config.num_heads,
        }
    }

    /// # Shapes
    /// - x and output: `[batch, height, width, dim]`
    fn forward(&self, x: Tensor<4>, window: &Window) -> Tensor<4> {
        let [batch, height, width, dim] = x.dims();
        let side = window.side;
        let (rows, columns) = (height.div_ceil(side), width.div_ceil(side));
        let x = pad_to(x, rows * side, columns * side);
        let (heads, head_dim) = (self.num_heads, dim / self.num_heads);

        // One product per part: slicing the weight is free, while the gradient of a sliced
        // activation would be as large as the whole.
        let part = |index: usize| {
            let range = index * dim..(index + 1) * dim;
            let weight = self.qkv.weight.val().slice([0..dim, range.clone()]);
            let bias = self.qkv.bias.as_ref().map(|bias| bias.val().slice([range]));
            over_rows(x.clone(), |rows| linear(rows, weight, bias))
                .reshape([batch, rows, side, columns, side, heads, head_dim])
                .permute([0, 1, 3, 5, 2, 4, 6])
                .reshape([batch * rows * columns, heads, side * side, head_dim])
        };
        let (q, k, v) = (part(0), part(1), part(2));
        let scale = 1.0 / (head_dim as f64).sqrt();
        let (q, k) = self.with_positions(q, k, scale, window);
        let options = Attend {
            scale: Some(scale),
            causal: false,
        };
        let out = attend(q, k, v, None, None, options)
            .reshape([batch, rows, columns, heads, side, side, head_dim])
            .permute([0, 1, 4, 2, 5, 3, 6])
            .reshape([batch, rows * side, columns * side, dim]);
        let out = match (rows * side, columns * side) == (height, width) {
            true => out,
            false => out.slice([0..batch, 0..height, 0..width, 0..dim]),
        };
        over_rows(out, |rows| self.proj.forward(rows))
    }

    /// Appends the relative positions to queries and keys.
    ///
    /// The bias of a query and a key is the sum of one value for the key's row and one for its
    /// column. With these values appended to the query, and the key's row and column one-hot to the
    /// key, the product of the two holds the bias already: no array as large as the scores is
    /// ever made for it.
    fn with_positions(
        &self,
        q: Tensor<4>,
        k: Tensor<4>,
        scale: f64,
        window: &Window,
    ) -> (Tensor<4>, Tensor<4>) {
        let (Some(rel_pos_h), Some(rel_pos_w)) = (&self.rel_pos_h, &self.rel_pos_w) else {
            return (q, k);
        };
        let [batch, heads, cells, head_dim] = q.dims();
        let side = window.side;
        // The bias is made of the unscaled query, and attention scales whatever it is given.
        let table = |positions: &Param<Tensor<2>>| {
            (positions.val() / scale)
                .select(0, window.offsets.clone())
                .reshape([1, 1, side, side, head_dim])
                .swap_dims(3, 4)
        };
        let q_map = q.clone().reshape([batch, heads, side, side, head_dim]);
        let by_row = q_map.clone().matmul(table(rel_pos_h));
        let by_column = q_map
            .swap_dims(2, 3)
            .matmul(table(rel_pos_w))
            .swap_dims(2, 3);
        let q = Tensor::cat(
            vec![
                q,
                by_row.reshape([batch, heads, cells, side]),
                by_column.reshape([batch, heads, cells, side]),
            ],
            3,
        );
        let key_cells =
            window
                .cells
                .clone()
                .cast(k.dtype())
                .expand([batch, heads, cells, 2 * side]);
        (q, Tensor::cat(vec![k, key_cells], 3))
    }
}

impl Mlp {
    fn forward(&self, rows: Tensor<2>) -> Tensor<2> {
        self.lin2.forward(gelu(self.lin1.forward(rows)))
    }
}

impl Window {
    fn new(side: usize, device: &Device) -> Self {
        let offsets: Vec<i32> = (0..side * side)
            .map(|pair| (pair / side + side - 1 - pair % side) as i32)
            .collect();
        let mut cells = vec![0.0f32; side * side * 2 * side];
        for (cell, row) in cells.chunks_exact_mut(2 * side).enumerate() {
            row[cell / side] = 1.0;
            row[side + cell % side] = 1.0;
        }
        Self {
            side,
            offsets: Tensor::from_data(TensorData::new(offsets, [side * side]), device),
            cells: Tensor::from_data(
                TensorData::new(cells, [1, 1, side * side, 2 * side]),
                device,
            ),
        }
    }
}

/// Pads a channel-last map with zeros below and to the right; padded cells take part in attention.
pub(super) fn pad_to(x: Tensor<4>, height: usize, width: usize) -> Tensor<4> {
    let [_, rows, columns, _] = x.dims();
    if (rows, columns) == (height, width) {
        return x;
    }
    x.pad([(0, height - rows), (0, width - columns), (0, 0)], 0.0)
}
