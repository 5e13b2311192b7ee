//! Vision tower, language model and head together.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::module::linear as project;
use burn::tensor::{Bool, DType, Device, Int, Tensor};

use super::cache::KvCache;
use super::layers::linear;
use super::new_rows::NewRows;
use super::text::TextModel;
use super::vision::VisionTower;
use super::{GridThw, QwenConfig};
use crate::linear::in_type_of;

/// A Qwen2.5-VL model. Should be created with [`QwenConfig::init`].
#[derive(Module, Debug)]
pub struct Qwen {
    /// The vision tower.
    pub visual: VisionTower,
    /// The language model.
    pub model: TextModel,
    /// The output head, where it is not the embedding table.
    pub lm_head: Option<Linear>,
    /// What is learned for new tokens while the tables are frozen; none of it is stored or served.
    pub new_rows: Option<NewRows>,
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
            new_rows: None,
        }
    }
}

impl Qwen {
    /// The same with something of its own to learn for each of these tokens, in the embedding table
    /// and in the head. Nothing is changed before it has learned; what was there is folded in first.
    ///
    /// # Panics
    ///
    /// The model's use panics if the tables have no row for one of `ids`.
    pub fn with_new_rows(self, ids: &[u32]) -> Self {
        let mut model = self.merge_new_rows();
        let table = &model.model.embed_tokens.weight;
        let [_, width] = table.lazy_shape().dims();
        let device = table.lazy_device();
        model.new_rows = Some(NewRows::new(ids, width, model.lm_head.is_some(), &device));
        model
    }

    /// The same with what was learned for new tokens folded into the tables, as it is served.
    pub fn merge_new_rows(mut self) -> Self {
        if let Some(rows) = self.new_rows.take() {
            rows.merge(&mut self.model.embed_tokens, self.lm_head.as_mut());
        }
        self
    }

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
    /// - output: `[B, L, hidden]`, in the type of the table, or f32 where there are new rows
    pub fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let embeds = self.model.embed_tokens.forward(ids.clone());
        match &self.new_rows {
            Some(rows) => embeds.cast(DType::F32) + rows.embed(ids),
            None => embeds,
        }
    }

    /// Hidden states after the final norm; see [`TextModel::forward`].
    ///
    /// # Shapes
    ///
    /// - `embeds`: `[B, L, hidden]`, in any float type
    /// - `positions`: `[3, B, L]`
    /// - `mask` (`true` = hidden): `[B, 1, L, held + L]`; without it attention is causal
    /// - output: `[B, L, hidden]`, in the type of [`TextModel::dtype`]
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
    /// - output: `[B, L, vocab]`, in the type of the head, or f32 where there are new rows
    pub fn logits(&self, hidden: Tensor<3>) -> Tensor<3> {
        let logits = match &self.lm_head {
            Some(head) => head.forward(in_type_of(hidden.clone(), head.weight.dtype())),
            None => {
                let table = self.model.embed_tokens.weight.val();
                let hidden = in_type_of(hidden.clone(), table.dtype());
                project(hidden, table.transpose(), None)
            }
        };
        let Some(rows) = &self.new_rows else {
            return logits;
        };
        let [_, _, vocab] = logits.dims();
        logits.cast(DType::F32) + rows.scores(hidden, vocab)
    }
}
