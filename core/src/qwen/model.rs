//! Vision tower, language model and head together.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::module::linear as project;
use burn::tensor::{Bool, Device, Int, Tensor};

use super::cache::KvCache;
use super::layers::linear;
use super::text::TextModel;
use super::vision::VisionTower;
use super::{GridThw, QwenConfig};

/// A Qwen2.5-VL model. Should be created with [`QwenConfig::init`].
#[derive(Module, Debug)]
pub struct Qwen {
    /// The vision tower.
    pub visual: VisionTower,
    /// The language model.
    pub model: TextModel,
    /// The output head, where it is not the embedding table.
    pub lm_head: Option<Linear>,
}

impl QwenConfig {
    /// A model with fresh weights, which are only made when they are first used.
    pub fn init(&self, device: &Device) -> Qwen {
        let text = &self.text;
        let head = [text.hidden_size, text.vocab_size];
        Qwen {
            visual: self.vision.init(device),
            model: text.init(device),
            lm_head: (!self.tie_word_embeddings)
                .then(|| linear(head, false, text.initializer_range, device)),
        }
    }
}

impl Qwen {
    /// Encodes images that share one grid into tokens in raster order.
    ///
    /// # Shapes
    ///
    /// - `pixel_values`: `[images, patches, patch_dim]`
    /// - output: `[images, tokens, hidden]`
    ///
    /// # Panics
    ///
    /// Panics if `pixel_values` does not have the grid's number of patches.
    pub fn encode_images(&self, pixel_values: Tensor<3>, grid: GridThw) -> Tensor<3> {
        self.visual.forward(pixel_values, grid)
    }

    /// Looks up embeddings.
    ///
    /// # Shapes
    ///
    /// - `ids`: `[B, L]`
    /// - output: `[B, L, hidden]`
    pub fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        self.model.embed_tokens.forward(ids)
    }

    /// Hidden states after the final norm; see [`TextModel::forward`].
    ///
    /// # Shapes
    ///
    /// - `embeds`: `[B, L, hidden]`
    /// - `positions`: `[3, B, L]`
    /// - `mask` (`true` = hidden): `[B, 1, L, held + L]`; without it attention is causal
    /// - output: `[B, L, hidden]`
    ///
    /// # Panics
    ///
    /// Panics if `cache` cannot hold `L` more tokens.
    pub fn forward(
        &self,
        embeds: Tensor<3>,
        positions: Tensor<3, Int>,
        mask: Option<Tensor<4, Bool>>,
        cache: Option<&mut KvCache>,
    ) -> Tensor<3> {
        self.model.forward(embeds, positions, mask, cache)
    }

    /// Scores of every next token.
    ///
    /// # Shapes
    ///
    /// - `hidden`: `[B, L, hidden]`
    /// - output: `[B, L, vocab]`
    pub fn logits(&self, hidden: Tensor<3>) -> Tensor<3> {
        match &self.lm_head {
            Some(head) => head.forward(hidden),
            None => project(
                hidden,
                self.model.embed_tokens.weight.val().transpose(),
                None,
            ),
        }
    }
}
