use burn::tensor::{Int, Tensor, activation};

use fclm_core::fclm::{ConsistencyConfig, Fclm, LatentSpace, SelfReconstruction};
use fclm_core::loss::{self, segmentation_loss};
use fclm_core::region::RegionTokens;
use fclm_core::sam::Decoded;

use super::batch::{Batch, DeviceMasks};
use super::encoded::{Encoded, encode};
use super::grounding::grounding_loss;
use super::heads::Learner;
use super::prompts::prompt_task;
use super::terms::{StepOutput, Term, Terms};

/// Which stage a step belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TrainStage {
    One,
    Two,
}

/// How the losses of a step are weighed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LossRecipe {
    pub(super) consistency: ConsistencyConfig,
    pub(super) score_weight: f64,
    pub(super) ce_weight: f64,
    pub(super) attribute_weight: f64,
    pub(super) latent_weight: f64,
    pub(super) grounding_weight: f64,
}

/// `L = L_ce + L_seg + L_consist` (the paper's equation 7 with weights), beside it SAM's own task
/// and naming attributes in stage 1, and grounding where it has a weight.
pub(super) fn step(
    learner: &Learner,
    batch: Batch,
    stage: TrainStage,
    recipe: LossRecipe,
) -> StepOutput {
    let model = &learner.model;
    let encoded = encode(model, &batch);
    let read = encoded.read(model, &batch);
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
        read.hidden.clone(),
        batch.target_rows.clone(),
        batch.target_ids.clone(),
        batch.target_weights.clone(),
        batch.category_shares.clone(),
    );

    let zero = || Tensor::<1>::zeros([1], &ce.device());
    let mut terms = Terms::new(&ce.device());
    let reconstruct = match stage {
        TrainStage::One => reconstruction_tokens(model, &tokens, &batch.reconstructions, recipe),
        TrainStage::Two => None,
    };

    // `[SEG]` and `<pos>` go through the decoder together, each as one sparse token.
    let mut sparse = Vec::new();
    let mut scene_of = Vec::new();
    let mut coverage = Vec::new();
    let mut ground_count = 0;
    let mut consist = zero();
    let mut extra = zero();
    if let Some((masks, targets)) = &batch.grounds {
        if recipe.grounding_weight > 0.0 {
            let grounding = grounding_loss(learner, &read, &batch, targets, masks.scene.clone());
            let sum =
                grounding.location.clone() + grounding.search.clone() + grounding.read.clone();
            extra = extra + sum.mul_scalar(recipe.grounding_weight);
            terms.set(Term::Location, grounding.location);
            terms.set(Term::LocationAccuracy, grounding.accuracy);
            terms.set(Term::Search, grounding.search);
            terms.set(Term::Read, grounding.read);
            terms.set(Term::SegColourAccuracy, grounding.colours);
        }
        let seg = read.hidden.select(0, targets.rows.clone());
        ground_count = seg.dims()[0];
        let projected = model.seg_projection.forward(seg.clone());
        if recipe.latent_weight > 0.0
            && let Some(kind) = recipe.consistency.latent
        {
            let pos = model.region.position.forward(masks.shape.clone());
            let latent = match recipe.consistency.space {
                LatentSpace::Prompt => {
                    loss::latent_loss(projected.clone(), model.seg_projection.forward(pos), kind)
                }
                LatentSpace::Language => loss::latent_loss(seg, pos, kind),
            };
            consist = consist + latent.clone().mul_scalar(recipe.latent_weight);
            terms.set(Term::Latent, latent);
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
    let mut score = zero();
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
            terms.set(Term::Seg, seg_loss.clone());
            let iou = actual.clone().narrow(0, 0, ground_count).mean();
            terms.set(Term::FindIou, iou);
        }
        let rest = masks - ground_count;
        if rest > 0 {
            consist = consist
                + segmentation_loss(
                    logits.narrow(0, ground_count, rest),
                    coverage.narrow(0, ground_count, rest),
                );
            terms.set(Term::PosIou, actual.narrow(0, ground_count, rest).mean());
        }
    }
    match stage {
        TrainStage::One => {
            let (prompt, prompt_score) =
                prompt_task(model, &images, batch.boxes, batch.points, batch.refinements);
            let attributes = learner
                .heads
                .attribute_loss(&batch.labels, maps, vision, &tokens);
            extra = extra
                + prompt.clone()
                + attributes.loss.clone().mul_scalar(recipe.attribute_weight);
            score = score + prompt_score;
            terms.set(Term::Prompt, prompt);
            terms.set(Term::Attributes, attributes.loss);
            let [sam, vision, mask, pos] = attributes.shapes;
            terms.set(Term::SamShapeAccuracy, sam);
            terms.set(Term::VisionShapeAccuracy, vision);
            terms.set(Term::MaskShapeAccuracy, mask);
            terms.set(Term::PosShapeAccuracy, pos);
        }
        // The decoder is frozen, and the LLM is not to please its scores.
        TrainStage::Two => score = score.detach(),
    }

    let loss = ce.clone().mul_scalar(recipe.ce_weight)
        + seg_loss
        + consist.clone()
        + score.clone().mul_scalar(recipe.score_weight)
        + extra;
    terms.set(Term::Ce, ce);
    terms.set(Term::TokenAccuracy, accuracy);
    terms.set(Term::CategoryAccuracy, category_accuracy);
    terms.set(Term::Consist, consist);
    terms.set(Term::Score, score);
    terms.output(loss)
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

/// IoU of thresholded masks, `[masks]`, without gradient. An empty pair counts as 1.
pub(super) fn iou(logits: Tensor<3>, coverage: Tensor<3>) -> Tensor<1> {
    let [masks, height, width] = logits.dims();
    let binary =
        |mask: Tensor<3, burn::tensor::Bool>| mask.float().reshape([masks, height * width]);
    let predicted = binary(logits.detach().greater_scalar(0.0));
    let wanted = binary(coverage.greater_scalar(0.5));
    let both = (predicted.clone() * wanted.clone()).sum_dim(1);
    let either = (predicted + wanted).sum_dim(1) - both.clone();
    (both.add_scalar(1e-3) / either.add_scalar(1e-3)).reshape([masks])
}
