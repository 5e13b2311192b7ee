//! The products of matrices of a step of training, counted from the model's configuration and from
//! the size of what the step learns from.
//!
//! Nothing is measured here: the count follows `core`'s forward passes as they are with autodiff
//! on, convolutions as the products that they are computed by.

mod parts;

use std::cmp::Reverse;

use serde::Serialize;

use fclm_core::fclm::{FclmConfig, SelfReconstruction};
use fclm_core::qwen::GridThw;
use fclm_core::sam::EncoderConfig;

use self::parts::{decoder, extractor, language, projection, vision, vit};
use super::batch::Batch;
use super::marks::CLICKS;
use super::step::{LossRecipe, TrainStage};
use super::tower::TowerBatch;

/// What is counted of a step, and what is not.
pub const COUNTED: &str = "Counted are the products of matrices of the vision tower, SAM's \
    encoder, the region extractor, the language model and the mask decoder with seg_projection, \
    three times each for forward and backward, or twice where a factor is data. Not counted are \
    the heads of training, the queries and keys that the grounding loss compares, the <pos> that \
    the latent loss compares with, masks that are prompts again, and whatever is no product of \
    matrices.";

/// Sparse tokens of a box, its two corners, and of a point with the one that fills its row.
const PROMPT_TOKENS: usize = 2;
/// Sparse tokens of clicks with the one that fills their row.
const CLICK_TOKENS: usize = CLICKS + 1;

/// Equal products of a forward pass: `times` times `batch` pairs of matrices, `[m, k]` by `[k, n]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Product {
    /// The part of the model.
    pub part: &'static str,
    /// What is computed.
    pub name: &'static str,
    /// How often.
    pub times: usize,
    /// Pairs of matrices each time.
    pub batch: usize,
    /// Rows of the first factor.
    pub m: usize,
    /// What is summed over.
    pub k: usize,
    /// Columns of the second factor.
    pub n: usize,
    /// Whether a factor is data, which gets no gradient.
    pub has_data: bool,
}

impl Product {
    /// Floating-point operations of one time: a multiplication and an addition for each number that
    /// is summed.
    pub fn flops(&self) -> u64 {
        2 * (self.batch * self.m * self.k * self.n) as u64
    }

    /// Those of all times, in forward and backward pass: each factor's gradient is a product as
    /// large as the product itself.
    pub fn trained_flops(&self) -> u64 {
        let passes = if self.has_data { 2 } else { 3 };
        passes * self.times as u64 * self.flops()
    }

    /// Its shape, whatever it is for.
    pub fn shape(&self) -> [usize; 4] {
        [self.batch, self.m, self.k, self.n]
    }
}

/// How much a worker's share of a step learns from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StepSize {
    /// Pictures that the vision tower sees, and the patches of each.
    pictures: Vec<(usize, GridThw)>,
    /// The rest of it; none where the tower learns by itself.
    stage: Option<StageSize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct StageSize {
    /// Pictures and crops that SAM sees.
    maps: usize,
    /// Regions that are described.
    regions: usize,
    /// Masks that the position branch reads.
    positions: usize,
    scenes: usize,
    /// Places of the beginning that a scene's conversations share.
    prefix: usize,
    /// Rows of conversations behind it, of `width` places each.
    rows: usize,
    width: usize,
    /// Tokens that are predicted.
    targets: usize,
    /// Tokens that are brought to the decoder's width.
    projections: usize,
    /// Prompts that are decoded, and the sparse tokens of each.
    decoded: Vec<[usize; 2]>,
}

impl StepSize {
    /// That of the tower's lessons.
    pub(super) fn of_tower(batches: [&TowerBatch; 2]) -> Self {
        let pictures = batches.map(|batch| (batch.samples.len(), batch.grid));
        Self {
            pictures: pictures.to_vec(),
            stage: None,
        }
    }

    /// That of a stage's step, as [`step`](super::step::step) computes it.
    pub(super) fn of_stage(batch: &Batch, stage: TrainStage, losses: &LossRecipe) -> Self {
        let [scenes, _, _] = batch.qwen_pixels.dims();
        let [maps, ..] = batch.sam_pixels.dims();
        let [regions] = batch.region_scene.dims();
        let [_, rows, width, _] = batch.branches.hidden.dims();
        let [targets] = batch.target_ids.dims();
        let [shapes] = batch.reconstructions.scene.dims();
        let grounds = batch.grounds.as_ref().map_or(0, |(masks, _)| {
            let [masks] = masks.scene.dims();
            masks
        });
        let kind = match stage {
            TrainStage::One => losses.consistency.self_reconstruction,
            TrainStage::Two => SelfReconstruction::None,
        };
        let (masks_redrawn, shapes_redrawn) = match kind {
            SelfReconstruction::None => (0, 0),
            SelfReconstruction::Pos => (0, shapes),
            SelfReconstruction::Mask => (regions, 0),
            SelfReconstruction::Both => (regions, shapes),
        };
        let drawn = grounds + masks_redrawn + shapes_redrawn;
        let mut decoded = vec![[drawn, 1]];
        if stage == TrainStage::One {
            let prompts = &batch.prompts;
            let boxes = prompts
                .boxes
                .as_ref()
                .map_or(0, |(boxes, _)| boxes.dims()[0]);
            let points = prompts
                .points
                .as_ref()
                .map_or(0, |(points, _, _)| points.dims()[0]);
            let refined = prompts
                .refinements
                .as_ref()
                .map_or(0, |refined| refined.clicks.dims()[0]);
            decoded.push([boxes + points, PROMPT_TOKENS]);
            decoded.push([refined, CLICK_TOKENS]);
        }
        Self {
            pictures: vec![(scenes, batch.grid)],
            stage: Some(StageSize {
                maps,
                regions,
                positions: regions + shapes_redrawn,
                scenes,
                prefix: batch.branches.prefix,
                rows,
                width,
                targets,
                projections: drawn,
                decoded,
            }),
        }
    }

    /// The products of its forward pass, those with the most operations first. None where SAM's
    /// encoder is a TinyViT, whose products nobody has counted yet.
    pub(super) fn products(&self, config: &FclmConfig) -> Option<Vec<Product>> {
        let tower = &config.qwen.vision;
        let seen = self.pictures.iter();
        let mut products: Vec<Product> = seen
            .flat_map(|&(pictures, grid)| vision(tower, pictures, grid))
            .collect();
        if let Some(stage) = &self.stage {
            let EncoderConfig::Vit(encoder) = &config.sam.encoder else {
                return None;
            };
            let (_, grid) = self.pictures.first()?;
            let tokens = grid.tokens(tower.spatial_merge_size);
            let cells = config.sam.grid().pow(2);
            products.extend(vit(encoder, &config.sam, stage.maps));
            products.extend(extractor(&config.region, stage, cells, tokens));
            products.extend(language(&config.qwen.text, stage));
            let width = config.region.hidden_size;
            products.extend(projection(width, &config.sam.decoder, stage.projections));
            for &[prompts, sparse] in &stage.decoded {
                products.extend(decoder(&config.sam.decoder, cells, prompts, sparse));
            }
        }
        products.sort_by_key(|product| Reverse(product.trained_flops()));
        Some(products)
    }
}

/// A stage's step that can be counted by hand.
#[cfg(test)]
fn small_stage() -> StageSize {
    StageSize {
        maps: 1,
        regions: 2,
        positions: 3,
        scenes: 1,
        prefix: 3,
        rows: 2,
        width: 4,
        targets: 5,
        projections: 7,
        decoded: vec![[1, 1]],
    }
}

#[cfg(test)]
mod tests {
    use fclm_core::sam::SamConfig;

    use super::small_stage as stage;
    use super::*;

    fn trained(products: &[Product]) -> u64 {
        products.iter().map(Product::trained_flops).sum()
    }

    #[test]
    fn a_step_is_the_sum_of_its_parts_and_the_largest_comes_first() {
        let config = FclmConfig::tiny(64, 1);
        let grid = GridThw { t: 1, h: 4, w: 4 };
        let size = StepSize {
            pictures: vec![(1, grid)],
            stage: Some(stage()),
        };
        let products = size.products(&config).unwrap();
        let EncoderConfig::Vit(encoder) = &config.sam.encoder else {
            panic!("the tiny model has a plain vision transformer");
        };
        let parts = [
            vision(&config.qwen.vision, 1, grid),
            vit(encoder, &config.sam, 1),
            extractor(&config.region, &stage(), 16, 4),
            language(&config.qwen.text, &stage()),
            projection(32, &config.sam.decoder, 7),
            decoder(&config.sam.decoder, 16, 1, 1),
        ];
        let sum: u64 = parts.iter().map(|part| trained(part)).sum();
        assert_eq!(trained(&products), sum);
        let works = products.iter().map(Product::trained_flops);
        assert!(works.is_sorted_by(|before, next| before >= next));

        let mut mobile = config;
        mobile.sam.encoder = SamConfig::mobile_sam().encoder;
        assert_eq!(size.products(&mobile), None);
    }
}
