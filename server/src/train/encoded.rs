//! What the model makes of a batch before any loss.

use burn::tensor::{Int, Tensor};

use fclm_core::attention::Branches;
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
    /// Reads the conversations, `places = scenes * length`.
    pub(super) fn read(&self, model: &Fclm, batch: &Batch) -> Read {
        read(
            model,
            self.vision.clone(),
            &self.tokens,
            batch.ids.clone(),
            batch.rows.clone(),
            batch.positions.clone(),
            batch.branches.clone(),
        )
    }
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

fn read(
    model: &Fclm,
    vision: Tensor<3>,
    tokens: &RegionTokens,
    ids: Tensor<2, Int>,
    rows: Tensor<1, Int>,
    positions: Tensor<3, Int>,
    branches: Branches,
) -> Read {
    let [scenes, length] = ids.dims();
    let [_, cells, width] = vision.dims();
    let table = Tensor::cat(
        vec![
            model.qwen.embed(ids).reshape([scenes * length, width]),
            vision.reshape([scenes * cells, width]),
            tokens.mask.clone(),
            tokens.pos.clone(),
        ],
        0,
    );
    let embeds = table.select(0, rows).reshape([scenes, length, width]);
    let llm = &model.qwen.model;
    let middle = llm.layers.len() / 2;
    let [hidden, read] = llm.forward_branches(embeds, positions.clone(), branches, middle);
    let [queries, keys] = llm.queries_and_keys(middle, read.clone(), positions);
    let flat = |x: Tensor<4>| {
        let [_, _, heads, dim] = x.dims();
        x.reshape([scenes * length, heads, dim])
    };
    Read {
        hidden: hidden.reshape([scenes * length, width]),
        middle: read.reshape([scenes * length, width]),
        queries: flat(queries),
        keys: flat(keys),
    }
}

/// What the LLM makes of a batch.
pub(super) struct Read {
    /// Hidden states, `[places, hidden_size]`.
    pub(super) hidden: Tensor<2>,
    /// What its middle layer reads, normalised, `[places, hidden_size]`.
    pub(super) middle: Tensor<2>,
    /// What that layer looks for, `[places, heads, D]`.
    pub(super) queries: Tensor<3>,
    /// What it finds it by, `[places, kv_heads, D]`.
    pub(super) keys: Tensor<3>,
}
