//! Prompt tokens and an image embedding to mask logits.
//!
//! Source: `segment_anything/modeling/mask_decoder.py`.

use burn::module::Module;
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

use super::transformer::TwoWayTransformer;
use super::{Conv, DecoderConfig, LayerNorm2d};
use crate::activation::gelu;
use crate::linear::over_rows;

/// The mask decoder. Created by [`SamConfig::init`](super::SamConfig::init).
#[derive(Module, Debug)]
pub struct MaskDecoder {
    /// Tokens and image attend to each other.
    pub transformer: TwoWayTransformer,
    /// The token that becomes the predicted qualities.
    pub iou_token: Embedding,
    /// The tokens that become one mask each.
    pub mask_tokens: Embedding,
    /// Image tokens to four times the resolution.
    pub output_upscaling: OutputUpscaling,
    /// Mask tokens to the weights of the last product, one network each.
    pub output_hypernetworks_mlps: Vec<MlpHead>,
    /// The quality of each mask.
    pub iou_prediction_head: MlpHead,
}

/// Two transposed convolutions.
#[derive(Module, Debug)]
pub struct OutputUpscaling {
    /// The first, to a quarter of the channels.
    pub conv1: Conv,
    /// Norm after it.
    pub norm1: LayerNorm2d,
    /// The second, to an eighth of the channels.
    pub conv2: Conv,
}

/// Linear maps with ReLUs between.
#[derive(Module, Debug)]
pub struct MlpHead {
    /// The maps.
    pub layers: Vec<Linear>,
}

/// Masks of each prompt, with their predicted quality.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// Logits `[prompts, masks, 4 * grid, 4 * grid]`; a pixel belongs to the mask above zero.
    pub low_res: Tensor<4>,
    /// Predicted intersection over union `[prompts, masks]`.
    pub iou: Tensor<2>,
}

impl MaskDecoder {
    pub(super) fn new(config: &DecoderConfig, device: &Device) -> Self {
        let dim = config.embedding_dim;
        let n_masks = config.num_multimask_outputs + 1;
        Self {
            transformer: TwoWayTransformer::new(config, device),
            iou_token: EmbeddingConfig::new(1, dim).init(device),
            mask_tokens: EmbeddingConfig::new(n_masks, dim).init(device),
            output_upscaling: OutputUpscaling {
                conv1: Conv::new_transposed(dim, dim / 4, device),
                norm1: LayerNorm2d::new(dim / 4, device),
                conv2: Conv::new_transposed(dim / 4, dim / 8, device),
            },
            output_hypernetworks_mlps: (0..n_masks)
                .map(|_| MlpHead::new([dim, dim, dim / 8], 3, device))
                .collect(),
            iou_prediction_head: MlpHead::new(
                [dim, config.iou_head_hidden_dim, n_masks],
                config.iou_head_depth,
                device,
            ),
        }
    }

    /// Decodes every mask of a batch of prompts, each with its own image embedding.
    ///
    /// # Shapes
    /// - image_embedding: `[prompts, channels, grid, grid]`
    /// - dense_pe: `[1, channels, grid, grid]`
    /// - sparse: `[prompts, n, channels]`
    /// - dense: `[prompts, channels, grid, grid]`
    pub fn forward(
        &self,
        image_embedding: Tensor<4>,
        dense_pe: Tensor<4>,
        sparse: Tensor<3>,
        dense: Tensor<4>,
    ) -> Decoded {
        let [prompts, channels, height, width] = image_embedding.dims();
        let [image, image_pe, tokens] = self.inputs(image_embedding, dense_pe, sparse, dense);
        let (tokens, image) = self.transformer.forward(image, image_pe, tokens);

        let weights = self
            .output_hypernetworks_mlps
            .iter()
            .enumerate()
            .map(|(index, network)| {
                let token = tokens
                    .clone()
                    .slice([0..prompts, index + 1..index + 2, 0..channels]);
                network.forward(token)
            })
            .collect();
        let weights = Tensor::cat(weights, 1);
        let [_, n_masks, _] = weights.dims();

        let upscaled = self.output_upscaling.forward(image);
        let masks = weights.matmul(upscaled.swap_dims(1, 2));
        let low_res = masks
            .reshape([prompts, n_masks, height, width, 2, 2, 2, 2])
            .permute([0, 1, 2, 4, 6, 3, 5, 7])
            .reshape([prompts, n_masks, 4 * height, 4 * width]);

        let iou_token = tokens.slice([0..prompts, 0..1, 0..channels]);
        let iou = self
            .iou_prediction_head
            .forward(iou_token)
            .reshape([prompts, n_masks]);
        Decoded { low_res, iou }
    }

    /// Where the prompts' own tokens look while masks are decoded: their attention to the image in
    /// each layer, the mean of the heads. For pictures; no mask is made of it.
    ///
    /// # Shapes
    /// - as in [`Self::forward`]
    /// - output: `[prompts, layers, n, cells]`, every row adds up to one; cells in raster order
    pub fn looks(
        &self,
        image_embedding: Tensor<4>,
        dense_pe: Tensor<4>,
        sparse: Tensor<3>,
        dense: Tensor<4>,
    ) -> Tensor<4> {
        let [prompts, n, _] = sparse.dims();
        let [image, image_pe, tokens] = self.inputs(image_embedding, dense_pe, sparse, dense);
        let [_, cells, _] = image.dims();
        let [_, n_all, _] = tokens.dims();
        let looks = self.transformer.looks(image, &image_pe, tokens);
        let looks = looks
            .into_iter()
            .map(|look| look.narrow(1, n_all - n, n).reshape([prompts, 1, n, cells]))
            .collect();
        Tensor::cat(looks, 1)
    }

    /// What the transformer takes: the image's cells, their positions, and the decoder's own tokens
    /// before those of the prompts.
    ///
    /// # Shapes
    /// - as in [`Self::forward`]
    /// - output: `[prompts, cells, channels]`, `[1, cells, channels]` and
    ///   `[prompts, own + n, channels]`
    fn inputs(
        &self,
        image_embedding: Tensor<4>,
        dense_pe: Tensor<4>,
        sparse: Tensor<3>,
        dense: Tensor<4>,
    ) -> [Tensor<3>; 3] {
        let [prompts, channels, height, width] = image_embedding.dims();
        let own = Tensor::cat(
            vec![self.iou_token.weight.val(), self.mask_tokens.weight.val()],
            0,
        );
        let [n_own, _] = own.dims();
        let own = own.unsqueeze::<3>().expand([prompts, n_own, channels]);
        let tokens = Tensor::cat(vec![own, sparse], 1);

        let cells = height * width;
        let image = (image_embedding + dense)
            .reshape([prompts, channels, cells])
            .swap_dims(1, 2);
        let image_pe = dense_pe.reshape([1, channels, cells]).swap_dims(1, 2);
        [image, image_pe, tokens]
    }
}

impl OutputUpscaling {
    /// # Shapes
    /// - image: `[prompts, cells, channels]`
    /// - output: `[prompts, cells * 16, channels / 8]`: behind each cell its two by two quarters,
    ///   and behind each of those its two by two pixels
    fn forward(&self, image: Tensor<3>) -> Tensor<3> {
        let [prompts, cells, channels] = image.dims();
        let rows = image.reshape([prompts * cells, channels]);
        let quarters = gelu(self.norm1.forward(self.conv1.spread(rows)));
        let pixels = gelu(self.conv2.spread(quarters));
        let [_, channels] = pixels.dims();
        pixels.reshape([prompts, cells * 16, channels])
    }
}

impl MlpHead {
    /// `widths` are those of input, every hidden layer and output.
    fn new(widths: [usize; 3], depth: usize, device: &Device) -> Self {
        let [input, hidden, output] = widths;
        let layers = (0..depth)
            .map(|index| {
                let from = if index == 0 { input } else { hidden };
                let to = if index + 1 == depth { output } else { hidden };
                LinearConfig::new(from, to).init(device)
            })
            .collect();
        Self { layers }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        over_rows(x, |rows| {
            let layers = self.layers.iter().enumerate();
            layers.fold(rows, |rows, (index, layer)| match index {
                0 => layer.forward(rows),
                _ => layer.forward(relu(rows)),
            })
        })
    }
}

impl Decoded {
    /// The one mask of an unambiguous prompt.
    pub fn single(&self) -> Self {
        self.range(0, 1)
    }

    /// The masks of an ambiguous prompt: whole, part and subpart.
    pub fn multi(&self) -> Self {
        let [_, n_masks] = self.iou.dims();
        self.range(1, n_masks)
    }

    fn range(&self, start: usize, end: usize) -> Self {
        Self {
            low_res: self.low_res.clone().narrow(1, start, end - start),
            iou: self.iou.clone().narrow(1, start, end - start),
        }
    }
}
