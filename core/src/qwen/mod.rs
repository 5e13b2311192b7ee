//! Qwen2.5-VL: the image processor, the vision tower and the language model.
//!
//! Names and shapes of all tensors are those of the published checkpoints, up to [`names`].

mod cache;
mod config;
mod generate;
mod layers;
mod lora;
mod model;
mod new_rows;
mod position;
mod processor;
mod rope;
mod text;
mod validate;
mod vision;

pub use cache::KvCache;
pub use config::{ConfigError, QwenConfig, TextConfig, TextRope, VisionConfig, VisionRope};
pub use generate::generate_greedy;
pub use lora::{LoraConfig, LoraLinear, LoraTarget};
pub use model::Qwen;
pub use new_rows::NewRows;
pub use position::{mrope_continue, mrope_positions, positions_tensor};
pub use processor::{GridThw, PIXEL_MEAN, PreprocessError, preprocess, smart_resize};
pub use text::{DecoderLayer, SelfAttention, TextModel};
pub use vision::{
    GatedMlp, PatchEmbed, PatchMerger, PatchProjection, VisionAttention, VisionBlock, VisionTower,
};

/// Rewrites from module paths to checkpoint names, for the modules whose published name is a
/// number.
pub fn names() -> &'static [(&'static str, &'static str)] {
    &[
        ("merger.expand", "merger.mlp.0"),
        ("merger.project", "merger.mlp.2"),
    ]
}

#[cfg(test)]
mod parity;
