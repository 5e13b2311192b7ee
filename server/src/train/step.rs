use burn::tensor::{Int, Tensor, activation};

use fclm_core::attention::Branches;
use fclm_core::fclm::{ConsistencyConfig, Fclm, LatentSpace, SelfReconstruction};
use fclm_core::loss::{self, segmentation_by_mask, segmentation_loss};
use fclm_core::region::RegionTokens;
use fclm_core::sam::Decoded;

use super::attributes::{AttributeLoss, Learner, PlaceLoss};
use super::batch::{Batch, DeviceMasks, DeviceRefinements};
use super::terms::{StepOutput, Term, Terms};

/// Which stage a step belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TrainStage {
    One,
    Two,
}

/// What does not change from step to step.
#[derive(Debug, Clone, Copy)]
pub(super) struct LossRecipe {
    pub(super) consistency: ConsistencyConfig,
    pub(super) score_weight: f64,
    pub(super) ce_weight: f64,
    pub(super) attribute_weight: f64,
    pub(super) latent_weight: f64,
    pub(super) place_weight: f64,
}

/// `L = L_ce + L_seg + L_consist`, and SAM's own task beside it in stage 1.
pub(super) fn step(
    learner: &Learner,
    batch: Batch,
    stage: TrainStage,
    recipe: LossRecipe,
) -> StepOutput {
    let model = &learner.model;
    let encoded = encode(model, &batch);
    let read = encoded.read(model, &batch);
    let hidden = read.hidden.clone();
    let Encoded {
        maps,
        images,
        vision,
        tokens,
    } = encoded;
    let Language {
        ce,
        accuracy,
        category_accuracy,
    } = cross_entropy(
        model,
        hidden.clone(),
        batch.target_rows,
        batch.target_ids,
        batch.target_weights,
        batch.category_shares,
    );

    let zero = || Tensor::<1>::zeros([1], &ce.device());
    let attributes = match stage {
        TrainStage::One => learner.heads.loss(&batch.labels, maps, vision, &tokens),
        TrainStage::Two => AttributeLoss {
            loss: zero(),
            shapes: [zero(), zero(), zero(), zero()],
        },
    };
    let image_hidden = hidden.clone().select(0, batch.image_rows.clone());
    let seg_hidden = batch
        .grounds
        .is_some()
        .then(|| hidden.select(0, batch.ground_rows.clone()));
    let reconstruct = match stage {
        TrainStage::One => reconstruction_tokens(model, &tokens, &batch.reconstructions, recipe),
        TrainStage::Two => None,
    };

    // `[SEG]` and `<pos>` go through the decoder together, each as one sparse token.
    let mut sparse = Vec::new();
    let mut scene_of = Vec::new();
    let mut coverage = Vec::new();
    let mut ground_count = 0;
    let mut latent = zero();
    let mut attention = zero();
    let mut place = PlaceLoss {
        loss: zero(),
        accuracy: zero(),
    };
    if let (Some(seg), Some(masks)) = (seg_hidden, &batch.grounds) {
        ground_count = seg.dims()[0];
        let projected = model.seg_projection.forward(seg.clone());
        if recipe.place_weight > 0.0 {
            place = learner.heads.place_loss(seg.clone(), masks.places.clone());
            place.loss = place.loss
                + learner
                    .heads
                    .place_loss(image_hidden.clone(), batch.image_places.clone())
                    .loss;
            attention = read.search_loss(
                batch.ground_rows,
                batch.image_rows,
                masks.scene.clone(),
                masks.tokens.clone(),
            );
        }
        if recipe.latent_weight > 0.0
            && let Some(kind) = recipe.consistency.latent
        {
            let pos = model.region.position.forward(masks.shape.clone());
            latent = match recipe.consistency.space {
                LatentSpace::Prompt => {
                    loss::latent_loss(projected.clone(), model.seg_projection.forward(pos), kind)
                }
                LatentSpace::Language => loss::latent_loss(seg, pos, kind),
            };
        }
        sparse.push(projected);
        scene_of.push(masks.scene.clone());
        coverage.push(masks.coverage.clone());
    }
    if let Some(reconstruct) = reconstruct {
        sparse.push(reconstruct.tokens);
        scene_of.push(reconstruct.scene);
        coverage.push(reconstruct.coverage);
    }

    let mut seg_loss = zero();
    let mut self_loss = zero();
    let mut score = zero();
    let mut find_iou = zero();
    let mut pos_iou = zero();
    if !sparse.is_empty() {
        let embeddings = images.clone().select(0, Tensor::cat(scene_of, 0));
        let Decoded {
            low_res,
            iou: scores,
        } = model
            .decode_tokens(Tensor::cat(sparse, 0), embeddings)
            .single();
        let [masks, _, height, width] = low_res.dims();
        let logits = low_res.reshape([masks, height, width]);
        let coverage: Tensor<3> = Tensor::cat(coverage, 0);
        let actual = iou(logits.clone(), coverage.clone());
        score = loss::score_loss(scores.reshape([masks]), actual.clone());
        if ground_count > 0 {
            seg_loss = segmentation_loss(
                logits.clone().narrow(0, 0, ground_count),
                coverage.clone().narrow(0, 0, ground_count),
            );
            find_iou = actual.clone().narrow(0, 0, ground_count).mean();
        }
        let rest = masks - ground_count;
        if rest > 0 {
            self_loss = segmentation_loss(
                logits.narrow(0, ground_count, rest),
                coverage.narrow(0, ground_count, rest),
            );
            pos_iou = actual.narrow(0, ground_count, rest).mean();
        }
    }
    let (prompt, prompt_score) = match stage {
        TrainStage::One => {
            prompt_task(model, &images, batch.boxes, batch.points, batch.refinements)
        }
        TrainStage::Two => (zero(), zero()),
    };

    let consist = self_loss + latent.clone().mul_scalar(recipe.latent_weight);
    // In stage 2 the decoder is frozen, and the LLM is not to please its scores.
    let score = match stage {
        TrainStage::One => score + prompt_score,
        TrainStage::Two => score.detach(),
    };
    let loss = ce.clone().mul_scalar(recipe.ce_weight)
        + seg_loss.clone()
        + consist.clone()
        + prompt.clone()
        + score.clone().mul_scalar(recipe.score_weight)
        + attributes.loss.clone().mul_scalar(recipe.attribute_weight)
        + (place.loss.clone() + attention.clone()).mul_scalar(recipe.place_weight);
    let [sam_shapes, vision_shapes, mask_shapes, pos_shapes] = attributes.shapes;
    let mut terms = Terms::new(&ce.device());
    for (term, value) in [
        (Term::Ce, ce),
        (Term::Seg, seg_loss),
        (Term::Consist, consist),
        (Term::Prompt, prompt),
        (Term::Score, score),
        (Term::TokenAccuracy, accuracy),
        (Term::CategoryAccuracy, category_accuracy),
        (Term::FindIou, find_iou),
        (Term::PosIou, pos_iou),
        (Term::Attributes, attributes.loss),
        (Term::Latent, latent),
        (Term::Place, place.loss),
        (Term::PlaceAccuracy, place.accuracy),
        (Term::Attention, attention),
        (Term::SamShapes, sam_shapes),
        (Term::VisionShapes, vision_shapes),
        (Term::MaskShapes, mask_shapes),
        (Term::PosShapes, pos_shapes),
    ] {
        terms.set(term, value);
    }
    terms.output(loss)
}

/// What encoders and extractor make of a batch.
pub(super) struct Encoded {
    /// SAM's embeddings of the scenes, then of the crops.
    maps: Tensor<4>,
    /// SAM's embeddings of the scenes.
    images: Tensor<4>,
    /// The vision tower's merged tokens, `[scenes, tokens, vision_dim]`.
    vision: Tensor<3>,
    /// Tokens of the described regions.
    pub(super) tokens: RegionTokens,
}

impl Encoded {
    /// Hidden states of all places, `[scenes * length, hidden_size]`.
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

/// Hidden states of all places, `[scenes * length, hidden_size]`.
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
    let [hidden, read] =
        model
            .qwen
            .model
            .forward_branches(embeds, positions.clone(), branches, SEARCH_LAYER);
    let [queries, keys] = model
        .qwen
        .model
        .queries_and_keys(SEARCH_LAYER, read, positions);
    let flat = |x: Tensor<4>| {
        let [_, _, heads, dim] = x.dims();
        x.reshape([scenes * length, heads, dim])
    };
    Read {
        hidden: hidden.reshape([scenes * length, width]),
        queries: flat(queries),
        keys: flat(keys),
    }
}

/// The layer whose attention is shown where to look.
const SEARCH_LAYER: usize = 3;

/// What looking at nothing scores, beside the picture's tokens.
const NOTHING: f64 = 3.0;

pub(super) struct Read {
    /// `[places, hidden_size]`
    pub(super) hidden: Tensor<2>,
    /// `[places, heads, D]`
    queries: Tensor<3>,
    /// `[places, kv_heads, D]`
    keys: Tensor<3>,
}

impl Read {
    /// How little the queries of `[SEG]` look at the tokens that show its targets: the mean of
    /// `-log` of the attention that they get.
    fn search_loss(
        &self,
        ground_rows: Tensor<1, Int>,
        image_rows: Tensor<1, Int>,
        scene: Tensor<1, Int>,
        tokens: Tensor<2>,
    ) -> Tensor<1> {
        let [_, heads, dim] = self.queries.dims();
        let [_, kv_heads, _] = self.keys.dims();
        let [grounds, cells] = tokens.dims();
        let shared = heads / kv_heads;
        let queries = self
            .queries
            .clone()
            .select(0, ground_rows)
            .narrow(1, 0, shared);
        let [image] = image_rows.dims();
        let keys = self
            .keys
            .clone()
            .select(0, image_rows)
            .narrow(1, 0, 1)
            .reshape([image / cells, cells, dim])
            .select(0, scene);
        let scores = queries
            .matmul(keys.swap_dims(1, 2))
            .div_scalar((dim as f64).sqrt());
        let nothing = Tensor::full([grounds, shared, 1], NOTHING, &scores.device());
        let attention = activation::softmax(Tensor::cat(vec![scores, nothing], 2), 2);
        let seen = attention.narrow(2, 0, cells) * tokens.unsqueeze_dim::<3>(1);
        seen.sum_dim(2).add_scalar(1e-6).log().mean().neg()
    }
}

/// How well the answers' tokens were predicted.
struct Language {
    /// Weighted mean of the cross-entropy.
    ce: Tensor<1>,
    /// Share of the tokens that were most likely.
    accuracy: Tensor<1>,
    /// The same among the words of categories.
    category_accuracy: Tensor<1>,
}

fn cross_entropy(
    model: &Fclm,
    hidden: Tensor<2>,
    rows: Tensor<1, Int>,
    ids: Tensor<1, Int>,
    weights: Tensor<1>,
    category_shares: Tensor<1>,
) -> Language {
    let [count] = ids.dims();
    let logits = model.qwen.logits(hidden.select(0, rows).unsqueeze::<3>());
    let [_, _, vocab] = logits.dims();
    let logits = logits.reshape([count, vocab]);
    let right: Tensor<1> = logits
        .clone()
        .detach()
        .argmax(1)
        .reshape([count])
        .equal(ids.clone())
        .float();
    let log_probability = activation::log_softmax(logits, 1).gather(1, ids.reshape([count, 1]));
    let weighted = log_probability.reshape([count]) * weights;
    Language {
        ce: weighted.sum().neg(),
        accuracy: right.clone().mean(),
        category_accuracy: (right * category_shares).sum(),
    }
}

struct Reconstruction {
    tokens: Tensor<2>,
    scene: Tensor<1, Int>,
    coverage: Tensor<3>,
}

/// What must draw its own mask back (the paper's equation 4), after `seg_projection`.
fn reconstruction_tokens(
    model: &Fclm,
    tokens: &RegionTokens,
    masks: &DeviceMasks,
    recipe: LossRecipe,
) -> Option<Reconstruction> {
    let described = tokens.mask.dims()[0];
    let of_mask = || Reconstruction {
        tokens: model.seg_projection.forward(tokens.mask.clone()),
        scene: masks.scene.clone().narrow(0, 0, described),
        coverage: masks.coverage.clone().narrow(0, 0, described),
    };
    let of_pos = || Reconstruction {
        tokens: model
            .seg_projection
            .forward(model.region.position.forward(masks.shape.clone())),
        scene: masks.scene.clone(),
        coverage: masks.coverage.clone(),
    };
    match recipe.consistency.self_reconstruction {
        SelfReconstruction::None => None,
        SelfReconstruction::Pos => Some(of_pos()),
        SelfReconstruction::Mask => Some(of_mask()),
        SelfReconstruction::Both => {
            let (mask, pos) = (of_mask(), of_pos());
            Some(Reconstruction {
                tokens: Tensor::cat(vec![mask.tokens, pos.tokens], 0),
                scene: Tensor::cat(vec![mask.scene, pos.scene], 0),
                coverage: Tensor::cat(vec![mask.coverage, pos.coverage], 0),
            })
        }
    }
}

/// SAM's own task: boxes and points as prompts, the best of the three masks is learned, and all
/// three scores. Some prompts are refined by clicks, and by the mask that they gave. Returns the
/// mask loss and the score loss.
fn prompt_task(
    model: &Fclm,
    images: &Tensor<4>,
    boxes: Option<(Tensor<2>, DeviceMasks)>,
    points: Option<(Tensor<3>, Tensor<2, Int>, DeviceMasks)>,
    refinements: Option<DeviceRefinements>,
) -> (Tensor<1>, Tensor<1>) {
    let encoder = &model.sam.prompt_encoder;
    let mut sparse = Vec::new();
    let mut scene = Vec::new();
    let mut coverage = Vec::new();
    if let Some((boxes, masks)) = boxes {
        sparse.push(encoder.sparse(None, Some(boxes)));
        scene.push(masks.scene);
        coverage.push(masks.coverage);
    }
    if let Some((points, labels, masks)) = points {
        sparse.push(encoder.sparse(Some((points, labels)), None));
        scene.push(masks.scene);
        coverage.push(masks.coverage);
    }
    if sparse.is_empty() {
        let zero = Tensor::zeros([1], &images.device());
        return (zero.clone(), zero);
    }
    let sparse: Tensor<3> = Tensor::cat(sparse, 0);
    let scene: Tensor<1, Int> = Tensor::cat(scene, 0);
    let coverage: Tensor<3> = Tensor::cat(coverage, 0);
    let [prompts, _, _] = sparse.dims();
    let first = ambiguous(
        model,
        images.clone().select(0, scene.clone()),
        sparse,
        encoder.dense_no_mask(prompts),
        coverage.clone(),
    );
    let Some(refined) = refinements else {
        return (first.loss, first.score);
    };

    let [count, _, _] = refined.clicks.dims();
    let previous = first.chosen.detach().select(0, refined.first.clone());
    let from_mask = encoder.dense_from_mask(previous.unsqueeze_dim(1));
    let dense = from_mask * refined.is_from_mask.clone()
        + encoder.dense_no_mask(count) * refined.is_from_mask.neg().add_scalar(1.0);
    let second = ambiguous(
        model,
        images
            .clone()
            .select(0, scene.select(0, refined.first.clone())),
        encoder.sparse(Some((refined.clicks, refined.labels)), None),
        dense,
        coverage.select(0, refined.first),
    );
    let half = |a: Tensor<1>, b: Tensor<1>| (a + b).mul_scalar(0.5);
    (
        half(first.loss, second.loss),
        half(first.score, second.score),
    )
}

/// What came of prompts that may mean several things.
struct Ambiguous {
    loss: Tensor<1>,
    score: Tensor<1>,
    /// The logits that fit best, `[prompts, side, side]`.
    chosen: Tensor<3>,
}

/// Decodes three masks of each prompt. Only the one that fits best learns, so that the three may
/// mean different things; all three scores learn.
fn ambiguous(
    model: &Fclm,
    images: Tensor<4>,
    sparse: Tensor<3>,
    dense: Tensor<4>,
    coverage: Tensor<3>,
) -> Ambiguous {
    let dense_pe = model.sam.prompt_encoder.dense_pe();
    let Decoded {
        low_res,
        iou: scores,
    } = model
        .sam
        .mask_decoder
        .forward(images, dense_pe, sparse, dense)
        .multi();
    let [prompts, candidates, height, width] = low_res.dims();
    let every = coverage
        .clone()
        .unsqueeze_dim::<4>(1)
        .expand([prompts, candidates, height, width])
        .reshape([prompts * candidates, height, width]);
    let flat = low_res
        .clone()
        .detach()
        .reshape([prompts * candidates, height, width]);
    let actual = iou(flat.clone(), every.clone());
    let score = loss::score_loss(scores.reshape([prompts * candidates]), actual);
    // The loss tells candidates apart where none of them touches the object yet.
    let best = segmentation_by_mask(flat, every)
        .reshape([prompts, candidates])
        .argmin(1);
    let best = best
        .reshape([prompts, 1, 1, 1])
        .expand([prompts, 1, height, width]);
    let chosen = low_res.gather(1, best).reshape([prompts, height, width]);
    Ambiguous {
        loss: segmentation_loss(chosen.clone(), coverage),
        score,
        chosen,
    }
}

/// IoU of thresholded masks, `[masks]`, without gradient. An empty pair counts as 1.
fn iou(logits: Tensor<3>, coverage: Tensor<3>) -> Tensor<1> {
    let [masks, height, width] = logits.dims();
    let binary =
        |mask: Tensor<3, burn::tensor::Bool>| mask.float().reshape([masks, height * width]);
    let predicted = binary(logits.detach().greater_scalar(0.0));
    let wanted = binary(coverage.greater_scalar(0.5));
    let both = (predicted.clone() * wanted.clone()).sum_dim(1);
    let either = (predicted + wanted).sum_dim(1) - both.clone();
    (both.add_scalar(1e-3) / either.add_scalar(1e-3)).reshape([masks])
}
