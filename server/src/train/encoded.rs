//! What the model makes of a batch before any loss.

use burn::tensor::Tensor;

use fclm_core::fclm::Fclm;
use fclm_core::region::RegionTokens;

use super::batch::Batch;

/// What encoders and extractor make of a batch.
pub(super) struct Encoded {
    /// SAM's embeddings of the scenes, then of the crops.
    pub(super) maps: Tensor<4>,
    /// SAM's embeddings of the scenes.
    pub(super) images: Tensor<4>,
    /// The vision tower's merged tokens, `[scenes, tokens, vision_dim]`.
    pub(super) vision: Tensor<3>,
    /// Tokens of the described regions.
    pub(super) tokens: RegionTokens,
}

impl Encoded {
    /// Reads the conversations.
    pub(super) fn read(&self, model: &Fclm, batch: &Batch) -> Read {
        let [scenes, length] = batch.ids.dims();
        let [_, cells, width] = self.vision.dims();
        let words = model.qwen.embed(batch.ids.clone());
        let table = Tensor::cat(
            vec![
                words.reshape([scenes * length, width]),
                self.vision.clone().reshape([scenes * cells, width]),
                self.tokens.mask.clone(),
                self.tokens.pos.clone(),
            ],
            0,
        );
        let embeds = table
            .select(0, batch.rows.clone())
            .reshape([scenes, length, width]);
        let [hidden, middle] = model.qwen.model.forward_branches(
            embeds,
            batch.positions.clone(),
            batch.branches.clone(),
            middle_layer(model),
        );
        Read {
            hidden: hidden.reshape([scenes * length, width]),
            middle,
        }
    }
}

/// The LLM's layer that is taught to ground.
pub(super) fn middle_layer(model: &Fclm) -> usize {
    model.qwen.model.layers.len() / 2
}

/// Encodes pictures and regions.
pub(super) fn encode(model: &Fclm, batch: &Batch) -> Encoded {
    let scenes = batch.qwen_pixels.dims()[0];
    let vision = model
        .qwen
        .encode_images(batch.qwen_pixels.clone(), batch.grid);
    let maps = model.sam.image_encoder.forward(batch.sam_pixels.clone());
    let crops = maps.dims()[0] - scenes;
    let images = maps.clone().narrow(0, 0, scenes);
    let crops = maps.clone().narrow(0, scenes, crops);
    let tokens = model.extract_regions(
        crops,
        images.clone().select(0, batch.region_scene.clone()),
        vision.clone().select(0, batch.region_scene.clone()),
        batch.merged,
        batch.regions.clone(),
    );
    Encoded {
        maps,
        images,
        vision,
        tokens,
    }
}

/// What the LLM makes of a batch.
pub(super) struct Read {
    /// Hidden states, `[scenes * length, hidden_size]`.
    pub(super) hidden: Tensor<2>,
    /// What [`middle_layer`] reads, normalised, `[scenes, length, hidden_size]`.
    pub(super) middle: Tensor<3>,
}
