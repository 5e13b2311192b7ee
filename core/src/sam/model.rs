//! The three parts together, and how their parameters are named in checkpoints.

use burn::module::Module;

use super::{ImageEncoder, MaskDecoder, PromptEncoder};

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
