//! The three parts together, and how their parameters are named in checkpoints.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use image::RgbImage;

use super::{ImageEncoder, MaskDecoder, PromptEncoder, SamConfig, preprocess};

/// A whole SAM. Should be created with [`SamConfig::init`](super::SamConfig::init).
#[derive(Module, Debug)]
pub struct Sam {
    /// Image to embedding.
    pub image_encoder: ImageEncoder,
    /// Points, boxes and masks to prompt tokens.
    pub prompt_encoder: PromptEncoder,
    /// Embedding and prompt tokens to masks.
    pub mask_decoder: MaskDecoder,
}

impl Sam {
    /// The embedding of a picture, `[1, channels, grid, grid]`, and the height and width that the
    /// picture takes of the encoder's input.
    pub fn encode(
        &self,
        image: &RgbImage,
        config: &SamConfig,
        device: &Device,
    ) -> (Tensor<4>, [usize; 2]) {
        let prepared = preprocess(image, config);
        let side = config.image_size;
        let pixels = TensorData::new(prepared.pixels, [1, 3, side, side]);
        let pixels = Tensor::from_data(pixels, device);
        (
            self.image_encoder.forward(pixels),
            [prepared.input_h, prepared.input_w],
        )
    }
}

/// Fragments of module paths and what the original checkpoints have in their place.
///
/// Checkpoints number the members of sequential containers, which field names cannot do.
pub fn names() -> &'static [(&'static str, &'static str)] {
    &[
        ("patch_embed.conv1", "patch_embed.seq.0"),
        ("patch_embed.conv2", "patch_embed.seq.2"),
        ("neck.conv1", "neck.0"),
        ("neck.norm1", "neck.1"),
        ("neck.conv2", "neck.2"),
        ("neck.norm2", "neck.3"),
        ("mask_downscaling.conv1", "mask_downscaling.0"),
        ("mask_downscaling.norm1", "mask_downscaling.1"),
        ("mask_downscaling.conv2", "mask_downscaling.3"),
        ("mask_downscaling.norm2", "mask_downscaling.4"),
        ("mask_downscaling.conv3", "mask_downscaling.6"),
        ("output_upscaling.conv1", "output_upscaling.0"),
        ("output_upscaling.norm1", "output_upscaling.1"),
        ("output_upscaling.conv2", "output_upscaling.3"),
    ]
}

/// Patterns of tensors in published checkpoints that no SAM uses: TinyViT's classifier with its
/// norm, and the batch counters of its batch norms.
pub fn ignored_names() -> &'static [&'static str] {
    &[
        "*image_encoder.norm_head.*",
        "*image_encoder.head.*",
        "*.num_batches_tracked",
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution, Tensor};

    use super::super::{
        DecoderConfig, EncoderConfig, ImageEncoder, PromptConfig, SamConfig, TinyVitConfig,
        VitConfig,
    };

    fn config(encoder: EncoderConfig) -> SamConfig {
        SamConfig {
            image_size: 96,
            patch_size: 16,
            encoder,
            prompt: PromptConfig {
                embed_dim: 16,
                mask_in_chans: 8,
            },
            decoder: DecoderConfig {
                transformer_depth: 2,
                embedding_dim: 16,
                mlp_dim: 24,
                num_heads: 2,
                num_multimask_outputs: 3,
                iou_head_depth: 3,
                iou_head_hidden_dim: 8,
            },
        }
    }

    fn vit(use_rel_pos: bool) -> SamConfig {
        config(EncoderConfig::Vit(VitConfig {
            depth: 2,
            embed_dim: 12,
            num_heads: 2,
            global_attn_indexes: vec![1],
            window_size: 4,
            out_chans: 16,
            mlp_ratio: 2,
            use_rel_pos,
        }))
    }

    fn tiny_vit() -> SamConfig {
        config(EncoderConfig::TinyVit(TinyVitConfig {
            embed_dims: vec![8, 8, 8, 320],
            depths: vec![1, 1, 1, 1],
            num_heads: vec![1, 2, 2, 4],
            window_sizes: vec![7, 5, 3, 3],
            mlp_ratio: 1,
            mbconv_expand_ratio: 2,
            out_chans: 16,
        }))
    }

    #[test]
    fn encoders_keep_the_shape_that_the_configuration_says() {
        let device = Device::flex();
        for config in [vit(true), vit(false), tiny_vit()] {
            let images = Tensor::random([2, 3, 96, 96], Distribution::Default, &device);
            let embedding = config.init(&device).image_encoder.forward(images);
            assert_eq!(embedding.dims(), [2, 16, config.grid(), config.grid()]);
        }
    }

    #[test]
    fn buffers_stay_out_of_the_gradient() {
        let device = Device::flex().autodiff();
        for config in [vit(true), tiny_vit()] {
            let sam = config.init(&device);
            let images = Tensor::random([1, 3, 96, 96], Distribution::Default, &device);
            let points = Tensor::random([1, 2, 2], Distribution::Uniform(0.0, 96.0), &device);
            let labels = Tensor::ones([1, 2], &device);
            let masks = Tensor::random([1, 1, 24, 24], Distribution::Default, &device);
            let decoded = sam.mask_decoder.forward(
                sam.image_encoder.forward(images),
                sam.prompt_encoder.dense_pe(),
                sam.prompt_encoder.sparse(Some((points, labels)), None),
                sam.prompt_encoder.dense_from_mask(masks),
            );
            let grads = (decoded.low_res.powi_scalar(2).sum() + decoded.iou.sum()).backward();

            let prompts = &sam.prompt_encoder;
            let kernel = prompts.mask_downscaling.conv1.weight.val();
            assert!(kernel.grad(&grads).is_some());
            let matrix = prompts.pe_layer.positional_encoding_gaussian_matrix.val();
            assert!(matrix.grad(&grads).is_none());
            match &sam.image_encoder {
                ImageEncoder::Vit(vit) => {
                    for block in &vit.blocks {
                        let table = block.attn.rel_pos_h.as_ref().unwrap().val();
                        assert!(table.grad(&grads).is_some());
                    }
                }
                ImageEncoder::TinyVit(tiny) => {
                    let first = &tiny.patch_embed.conv1;
                    assert!(first.c.weight.val().grad(&grads).is_some());
                    assert!(first.bn.weight.val().grad(&grads).is_some());
                    assert!(first.bn.running_mean.val().grad(&grads).is_none());
                    assert!(first.bn.running_var.val().grad(&grads).is_none());
                }
            }
        }
    }
}
