//! Sizes of a SAM: the published ones as presets, any other from a configuration file.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::{ImageEncoder, MaskDecoder, PromptEncoder, Sam, TinyVit, Vit};

/// Everything that determines the tensors of a [`Sam`].
///
/// Should be turned into a model with [`SamConfig::init`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SamConfig {
    /// Side of the square input in pixels.
    pub image_size: usize,
    /// Pixels per side of one cell of the image embedding (16 in every published model).
    #[serde(default = "default_patch_size")]
    pub patch_size: usize,
    /// The image encoder.
    pub encoder: EncoderConfig,
    /// The prompt encoder.
    pub prompt: PromptConfig,
    /// The mask decoder.
    pub decoder: DecoderConfig,
}

/// Which image encoder, and how large.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EncoderConfig {
    /// The plain vision transformer with window attention of the original SAM.
    Vit(VitConfig),
    /// The small hierarchical encoder of MobileSAM.
    TinyVit(TinyVitConfig),
}

/// Sizes of the plain vision transformer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VitConfig {
    /// Number of blocks.
    pub depth: usize,
    /// Width of the tokens.
    pub embed_dim: usize,
    /// Attention heads per block.
    pub num_heads: usize,
    /// Blocks that attend over the whole map; the others attend within windows.
    pub global_attn_indexes: Vec<usize>,
    /// Cells per side of an attention window.
    pub window_size: usize,
    /// Channels of the image embedding.
    pub out_chans: usize,
    /// Hidden width of the MLP as a multiple of `embed_dim`.
    #[serde(default = "default_mlp_ratio")]
    pub mlp_ratio: usize,
    /// Whether attention has decomposed relative positions, as the published models do.
    #[serde(default = "default_use_rel_pos")]
    pub use_rel_pos: bool,
}

/// Sizes of TinyViT; the lists have one entry per stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TinyVitConfig {
    /// Width of each stage.
    pub embed_dims: Vec<usize>,
    /// Blocks of each stage.
    pub depths: Vec<usize>,
    /// Attention heads of each stage; the first stage is convolutional and ignores its entry.
    pub num_heads: Vec<usize>,
    /// Cells per side of an attention window of each stage; the first is ignored.
    pub window_sizes: Vec<usize>,
    /// Hidden width of the MLPs as a multiple of the stage's width.
    #[serde(default = "default_mlp_ratio")]
    pub mlp_ratio: usize,
    /// Hidden width of the first stage's convolution blocks as a multiple of its width.
    #[serde(default = "default_mlp_ratio")]
    pub mbconv_expand_ratio: usize,
    /// Channels of the image embedding.
    pub out_chans: usize,
}

/// Sizes of the prompt encoder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptConfig {
    /// Width of a prompt token; equals the channels of the image embedding.
    pub embed_dim: usize,
    /// Channels of the mask prompt before its last convolution; a multiple of four.
    pub mask_in_chans: usize,
}

/// Sizes of the mask decoder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecoderConfig {
    /// Layers of the two-way transformer.
    pub transformer_depth: usize,
    /// Width of the tokens; equals the channels of the image embedding and is a multiple of eight.
    pub embedding_dim: usize,
    /// Hidden width of the transformer's MLP.
    pub mlp_dim: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Masks of an ambiguous prompt; one more is decoded for the unambiguous case.
    pub num_multimask_outputs: usize,
    /// Linear layers of the head that predicts the masks' quality.
    pub iou_head_depth: usize,
    /// Hidden width of that head.
    pub iou_head_hidden_dim: usize,
}

impl SamConfig {
    /// SAM with ViT-B.
    pub fn vit_b() -> Self {
        Self::published_vit(768, 12, 12, &[2, 5, 8, 11])
    }

    /// SAM with ViT-L.
    pub fn vit_l() -> Self {
        Self::published_vit(1024, 24, 16, &[5, 11, 17, 23])
    }

    /// SAM with ViT-H.
    pub fn vit_h() -> Self {
        Self::published_vit(1280, 32, 16, &[7, 15, 23, 31])
    }

    /// MobileSAM: the original prompt encoder and decoder behind TinyViT.
    pub fn mobile_sam() -> Self {
        Self::published(EncoderConfig::TinyVit(TinyVitConfig {
            embed_dims: vec![64, 128, 160, 320],
            depths: vec![2, 2, 6, 2],
            num_heads: vec![2, 4, 5, 10],
            window_sizes: vec![7, 7, 14, 7],
            mlp_ratio: 4,
            mbconv_expand_ratio: 4,
            out_chans: 256,
        }))
    }

    fn published_vit(
        embed_dim: usize,
        depth: usize,
        num_heads: usize,
        global_attn_indexes: &[usize],
    ) -> Self {
        Self::published(EncoderConfig::Vit(VitConfig {
            depth,
            embed_dim,
            num_heads,
            global_attn_indexes: global_attn_indexes.to_vec(),
            window_size: 14,
            out_chans: 256,
            mlp_ratio: 4,
            use_rel_pos: true,
        }))
    }

    fn published(encoder: EncoderConfig) -> Self {
        Self {
            image_size: 1024,
            patch_size: 16,
            encoder,
            prompt: PromptConfig {
                embed_dim: 256,
                mask_in_chans: 16,
            },
            decoder: DecoderConfig {
                transformer_depth: 2,
                embedding_dim: 256,
                mlp_dim: 2048,
                num_heads: 8,
                num_multimask_outputs: 3,
                iou_head_depth: 3,
                iou_head_hidden_dim: 256,
            },
        }
    }

    /// Cells per side of the image embedding.
    pub fn grid(&self) -> usize {
        self.image_size / self.patch_size
    }

    /// Channels of the image embedding, which is also the width of a prompt token.
    pub fn embed_dim(&self) -> usize {
        self.prompt.embed_dim
    }

    /// Side of the decoder's masks: four times [`SamConfig::grid`].
    pub fn low_res_size(&self) -> usize {
        4 * self.grid()
    }

    /// Creates the model with random weights, which are allocated on first use only.
    pub fn init(&self, device: &Device) -> Sam {
        let grid = self.grid();
        Sam {
            image_encoder: match &self.encoder {
                EncoderConfig::Vit(config) => {
                    ImageEncoder::Vit(Vit::new(config, grid, self.patch_size, device))
                }
                EncoderConfig::TinyVit(config) => {
                    ImageEncoder::TinyVit(TinyVit::new(config, device))
                }
            },
            prompt_encoder: PromptEncoder::new(&self.prompt, self.image_size, grid, device),
            mask_decoder: MaskDecoder::new(&self.decoder, device),
        }
    }
}

fn default_patch_size() -> usize {
    16
}

fn default_mlp_ratio() -> usize {
    4
}

fn default_use_rel_pos() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_json() {
        for config in [SamConfig::vit_b(), SamConfig::mobile_sam()] {
            let text = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<SamConfig>(&text).unwrap(), config);
        }
    }
}
