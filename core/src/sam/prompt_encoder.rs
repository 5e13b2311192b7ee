//! Points, boxes and masks as prompt tokens.
//!
//! Source: `segment_anything/modeling/prompt_encoder.py`.

use burn::module::{Module, Param};
use burn::nn::{Embedding, EmbeddingConfig, Initializer};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use super::{Conv, LayerNorm2d, PromptConfig};
use crate::activation::gelu;

const PADDING_LABEL: i32 = -1;
const BOX_LABELS: [i32; 2] = [2, 3];

/// Turns prompts into tokens. Created by [`SamConfig::init`](super::SamConfig::init).
#[derive(Module, Debug)]
pub struct PromptEncoder {
    /// Positions as random Fourier features.
    pub pe_layer: PositionEncoding,
    /// One vector per kind of point: background, foreground, first and second corner of a box.
    pub point_embeddings: Vec<Embedding>,
    /// The vector of a point that only fills its row.
    pub not_a_point_embed: Embedding,
    /// A mask prompt to the image embedding's size.
    pub mask_downscaling: MaskDownscaling,
    /// What is added to the image embedding when there is no mask prompt.
    pub no_mask_embed: Embedding,
    image_size: usize,
    grid: usize,
}

/// Sines and cosines of fixed random projections of a position.
#[derive(Module, Debug)]
pub struct PositionEncoding {
    /// The projections, `[2, channels / 2]`; a buffer that is never trained.
    pub positional_encoding_gaussian_matrix: Param<Tensor<2>>,
}

/// Two 2x2 convolutions of stride two and one 1x1 convolution.
#[derive(Module, Debug)]
pub struct MaskDownscaling {
    /// From the mask.
    pub conv1: Conv,
    /// Norm after it.
    pub norm1: LayerNorm2d,
    /// The second 2x2 convolution.
    pub conv2: Conv,
    /// Norm after it.
    pub norm2: LayerNorm2d,
    /// To the width of the image embedding.
    pub conv3: Conv,
}

impl PromptEncoder {
    pub(super) fn new(
        config: &PromptConfig,
        image_size: usize,
        grid: usize,
        device: &Device,
    ) -> Self {
        let embedding = || EmbeddingConfig::new(1, config.embed_dim).init(device);
        let gaussian = Initializer::Normal {
            mean: 0.0,
            std: 1.0,
        };
        let (wide, narrow) = (config.mask_in_chans, config.mask_in_chans / 4);
        Self {
            pe_layer: PositionEncoding {
                positional_encoding_gaussian_matrix: gaussian
                    .init([2, config.embed_dim / 2], device)
                    .set_require_grad(false),
            },
            point_embeddings: (0..4).map(|_| embedding()).collect(),
            not_a_point_embed: embedding(),
            mask_downscaling: MaskDownscaling {
                conv1: Conv::new([narrow, 1, 2, 2], true, device),
                norm1: LayerNorm2d::new(narrow, device),
                conv2: Conv::new([wide, narrow, 2, 2], true, device),
                norm2: LayerNorm2d::new(wide, device),
                conv3: Conv::new([config.embed_dim, wide, 1, 1], true, device),
            },
            no_mask_embed: embedding(),
            image_size,
            grid,
        }
    }

    /// The position of each cell of the image embedding.
    ///
    /// # Shapes
    /// - output: `[1, channels, grid, grid]`
    pub fn dense_pe(&self) -> Tensor<4> {
        let grid = self.grid;
        let center = |index: usize| (index as f32 + 0.5) / grid as f32;
        let centers: Vec<f32> = (0..grid * grid)
            .flat_map(|cell| [center(cell % grid), center(cell / grid)])
            .collect();
        let centers = Tensor::<2>::from_data(
            TensorData::new(centers, [grid * grid, 2]),
            &self.no_mask_embed.weight.device(),
        );
        let encoded = self.pe_layer.forward(centers);
        let [_, channels] = encoded.dims();
        encoded
            .transpose()
            .reshape([1, channels, grid, grid])
            .cast(self.no_mask_embed.weight.dtype())
    }

    /// Points and boxes as sparse prompt tokens: the points, then the boxes' two corners.
    ///
    /// Labels are 1 foreground, 0 background, -1 no point at all (so that rows of different
    /// length fit one batch), 2 and 3 the corners of a box as points. As in the original, points
    /// without a box get one more token, the "no point" one.
    ///
    /// # Shapes
    /// - points: `[prompts, n, 2]` as x, y in pixels of the SAM input; labels: `[prompts, n]`
    /// - boxes: `[prompts, 4]` as x0, y0, x1, y1 in the same pixels
    /// - output: `[prompts, tokens, channels]`
    ///
    /// # Panics
    /// Without points and boxes there is no token to make.
    pub fn sparse(
        &self,
        points: Option<(Tensor<3>, Tensor<2, Int>)>,
        boxes: Option<Tensor<2>>,
    ) -> Tensor<3> {
        match (points, boxes) {
            (Some((points, labels)), Some(boxes)) => Tensor::cat(
                vec![self.embed_points(points, labels), self.embed_boxes(boxes)],
                1,
            ),
            (Some((points, labels)), None) => {
                let [prompts, _, _] = points.dims();
                let device = points.device();
                let padding = Tensor::zeros([prompts, 1, 2], (&device, points.dtype()));
                let label = Tensor::full([prompts, 1], PADDING_LABEL, (&device, labels.dtype()));
                self.embed_points(
                    Tensor::cat(vec![points, padding], 1),
                    Tensor::cat(vec![labels, label], 1),
                )
            }
            (None, Some(boxes)) => self.embed_boxes(boxes),
            (None, None) => panic!("a sparse prompt needs points or boxes"),
        }
    }

    /// A mask prompt as what is added to the image embedding.
    ///
    /// # Shapes
    /// - masks: logits `[prompts, 1, 4 * grid, 4 * grid]`
    /// - output: `[prompts, channels, grid, grid]`
    pub fn dense_from_mask(&self, masks: Tensor<4>) -> Tensor<4> {
        let [prompts, _, height, width] = masks.dims();
        let (rows, columns) = (height / 4, width / 4);
        let tokens = self.mask_downscaling.forward(masks);
        let [_, _, channels] = tokens.dims();
        tokens
            .swap_dims(1, 2)
            .reshape([prompts, channels, rows, columns])
    }

    /// What is added to the image embedding of prompts without a mask.
    ///
    /// # Shapes
    /// - output: `[prompts, channels, grid, grid]`
    pub fn dense_no_mask(&self, prompts: usize) -> Tensor<4> {
        let embedding = self.no_mask_embed.weight.val();
        let [_, channels] = embedding.dims();
        embedding
            .reshape([1, channels, 1, 1])
            .expand([prompts, channels, self.grid, self.grid])
    }

    fn embed_boxes(&self, boxes: Tensor<2>) -> Tensor<3> {
        let [prompts, _] = boxes.dims();
        let labels = Tensor::<1, Int>::from_data(BOX_LABELS, &boxes.device());
        self.embed_points(
            boxes.reshape([prompts, 2, 2]),
            labels.reshape([1, 2]).expand([prompts, 2]),
        )
    }

    fn embed_points(&self, points: Tensor<3>, labels: Tensor<2, Int>) -> Tensor<3> {
        let [prompts, n_points, _] = points.dims();
        let mut kinds = vec![self.not_a_point_embed.weight.val()];
        kinds.extend(self.point_embeddings.iter().map(|kind| kind.weight.val()));
        let kinds = Tensor::cat(kinds, 0);
        let [_, channels] = kinds.dims();
        let kind = kinds
            .clone()
            .select(0, (labels.clone() - PADDING_LABEL).reshape([-1]))
            .reshape([prompts, n_points, channels]);

        // Coordinates are pixel indices, so half a pixel leads to the centre.
        let centers = (points + 0.5) / self.image_size as f64;
        let no_point = labels
            .equal_elem(PADDING_LABEL)
            .unsqueeze_dim::<3>(2)
            .expand([prompts, n_points, channels]);
        let position = self.pe_layer.forward(centers).cast(kinds.dtype());
        position.mask_fill(no_point, 0.0) + kind
    }
}

impl PositionEncoding {
    /// # Shapes
    /// - positions: `[.., 2]` as x, y in 0 to 1
    /// - output: `[.., channels]`
    fn forward<const D: usize>(&self, positions: Tensor<D>) -> Tensor<D> {
        // Angles reach hundreds of radians, which half precision cannot hold.
        let projections = self
            .positional_encoding_gaussian_matrix
            .val()
            .detach()
            .cast(DType::F32);
        let centered = positions.cast(DType::F32) * 2.0 - 1.0;
        let [_, half] = projections.dims();
        // No matrix product: the matrix units of GPUs would round what becomes such angles.
        let along = |axis: usize| -> Tensor<D> {
            let mut shape = [1; D];
            shape[D - 1] = half;
            let projection = projections.clone().narrow(0, axis, 1).reshape(shape);
            centered.clone().narrow(D - 1, axis, 1) * projection
        };
        let angles = (along(0) + along(1)) * (2.0 * std::f64::consts::PI);
        Tensor::cat(vec![angles.clone().sin(), angles.cos()], D - 1)
    }
}

impl MaskDownscaling {
    /// # Shapes
    /// - masks: `[prompts, 1, 4 * rows, 4 * columns]`
    /// - output: `[prompts, rows * columns, channels]`
    fn forward(&self, masks: Tensor<4>) -> Tensor<3> {
        let [prompts, _, height, width] = masks.dims();
        let (rows, columns) = (height / 4, width / 4);
        let [narrow, _, _, _] = self.conv1.weight.dims();
        let cells = prompts * rows * columns;
        let quads = masks
            .reshape([prompts, rows, 2, 2, columns, 2, 2])
            .permute([0, 1, 4, 2, 5, 3, 6])
            .reshape([cells * 4, 4]);
        let halves = gelu(self.norm1.forward(self.conv1.rows(quads)));
        let cells = halves.reshape([cells, 4 * narrow]);
        let cells = gelu(self.norm2.forward(self.conv2.rows_channel_last(cells)));
        let tokens = self.conv3.rows(cells);
        let [_, channels] = tokens.dims();
        tokens.reshape([prompts, rows * columns, channels])
    }
}
