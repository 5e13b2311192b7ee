use burn::tensor::{DType, Int, Tensor, activation};

use fclm_core::fclm::{ConsistencyConfig, Fclm, LatentSpace, SelfReconstruction};
use fclm_core::loss::{self, segmentation_loss};
use fclm_core::sam::Decoded;

use super::batch::{Batch, DeviceMasks};
use super::encoded::{Encoded, encode};
use super::grounding::{GroundingLoss, grounding_loss};
use super::heads::Learner;
use super::prompts::prompt_task;
use super::terms::{StepOutput, Term, Terms, sum};

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

    let mut terms = Terms::new(&ce.device());
    let reconstruct = match stage {
        TrainStage::One => reconstruction_tokens(
            model,
            Some(&tokens.mask),
            &batch.reconstructions,
            recipe.consistency.self_reconstruction,
        ),
        TrainStage::Two => None,
    };

    // `[SEG]` and `<pos>` go through the decoder together, each as one sparse token.
    let mut sparse = Vec::new();
    let mut scene_of = Vec::new();
    let mut coverage = Vec::new();
    let mut ground_count = 0;
    let mut grounded = None;
    let mut aligned = None;
    if let Some((masks, targets)) = &batch.grounds {
        if recipe.grounding_weight > 0.0 {
            let grounding = grounding_loss(learner, &read, &batch, targets);
            grounded = Some(grounding.total().mul_scalar(recipe.grounding_weight));
            let GroundingLoss { segs, leads, .. } = grounding;
            let (read, colours) = segs.read.map(|[loss, colours]| (loss, colours)).unzip();
            terms.set(Term::Location, segs.location);
            terms.set(Term::LocationAccuracy, segs.accuracy);
            terms.set(Term::Search, segs.search);
            terms.set(Term::Read, read);
            terms.set(Term::SegColourAccuracy, colours);
            if let Some(leads) = leads {
                terms.set(Term::LeadLocationAccuracy, leads.accuracy);
                terms.set(Term::LeadSearch, leads.search);
                terms.set(
                    Term::LeadColourAccuracy,
                    leads.read.map(|[_, colours]| colours),
                );
            }
        }
        let seg = read.hidden.select(0, targets.rows());
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
            aligned = Some(latent.clone().mul_scalar(recipe.latent_weight));
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

    let mut seg = None;
    let mut redrawn = None;
    let mut score = None;
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
        score = Some(loss::score_loss(scores.reshape([masks]), actual.clone()));
        if ground_count > 0 {
            seg = Some(segmentation_loss(
                logits.clone().narrow(0, 0, ground_count),
                coverage.clone().narrow(0, 0, ground_count),
            ));
            let iou = actual.clone().narrow(0, 0, ground_count).mean();
            terms.set(Term::FindIou, iou);
        }
        let rest = masks - ground_count;
        if rest > 0 {
            redrawn = Some(segmentation_loss(
                logits.narrow(0, ground_count, rest),
                coverage.narrow(0, ground_count, rest),
            ));
            terms.set(Term::PosIou, actual.narrow(0, ground_count, rest).mean());
        }
    }
    let consist = sum([aligned, redrawn]);
    let (mut prompt, mut named) = (None, None);
    match stage {
        TrainStage::One => {
            let (prompt_loss, prompt_score) = prompt_task(model, &images, batch.prompts).unzip();
            let attributes = learner
                .heads
                .attribute_loss(&batch.labels, maps, vision, &tokens);
            prompt = prompt_loss;
            score = sum([score, prompt_score]);
            terms.set(Term::Attributes, attributes.loss.clone());
            named = attributes.loss;
            let [sam, vision, mask, pos] = attributes.right;
            terms.set(Term::SamShapeAccuracy, sam.map(|[.., shape, _, _]| shape));
            terms.set(
                Term::VisionShapeAccuracy,
                vision.map(|[.., shape, _, _]| shape),
            );
            terms.set(Term::PosShapeAccuracy, pos.map(|[.., shape, _, _]| shape));
            if let Some([colour, material, shape, pattern, size]) = mask {
                terms.set(Term::MaskColourAccuracy, colour);
                terms.set(Term::MaskMaterialAccuracy, material);
                terms.set(Term::MaskShapeAccuracy, shape);
                terms.set(Term::MaskPatternAccuracy, pattern);
                terms.set(Term::MaskSizeAccuracy, size);
            }
        }
        // The decoder is frozen, and the LLM is not to please its scores.
        TrainStage::Two => score = score.map(Tensor::<1>::detach),
    }

    let weighted = |loss: &Option<Tensor<1>>, weight: f64| {
        let loss = loss.clone()?;
        Some(loss.mul_scalar(weight))
    };
    let parts = [
        seg.clone(),
        consist.clone(),
        weighted(&score, recipe.score_weight),
        grounded,
        prompt.clone(),
        weighted(&named, recipe.attribute_weight),
    ];
    let spoken = ce.clone().mul_scalar(recipe.ce_weight);
    let loss = parts
        .into_iter()
        .flatten()
        .fold(spoken, |loss, part| loss + part);
    terms.set(Term::Ce, ce);
    terms.set(Term::TokenAccuracy, accuracy);
    terms.set(Term::CategoryAccuracy, category_accuracy);
    terms.set(Term::Seg, seg);
    terms.set(Term::Consist, consist);
    terms.set(Term::Prompt, prompt);
    terms.set(Term::Score, score);
    terms.output(loss)
}

/// How well the answers' tokens were predicted.
pub(super) struct Language {
    /// Weighted mean of the cross-entropy.
    pub(super) ce: Tensor<1>,
    /// Share of the tokens that were most likely.
    pub(super) accuracy: Tensor<1>,
    /// The same among the words of categories; none where there are none.
    pub(super) category_accuracy: Option<Tensor<1>>,
}

/// Cross-entropy of the tokens `ids` behind those at `rows`, in f32 whatever the model's type.
pub(super) fn cross_entropy(
    model: &Fclm,
    hidden: Tensor<2>,
    rows: Tensor<1, Int>,
    ids: Tensor<1, Int>,
    weights: Tensor<1>,
    category_shares: Option<Tensor<1>>,
) -> Language {
    let [count] = ids.dims();
    let logits = model.qwen.logits(hidden.select(0, rows).unsqueeze::<3>());
    let [_, _, vocab] = logits.dims();
    let logits = logits.reshape([count, vocab]).cast(DType::F32);
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
        category_accuracy: category_shares.map(|shares| (right * shares).sum()),
    }
}

/// Tokens at the decoder's width, and what each of them must draw.
pub(super) struct Reconstruction {
    pub(super) tokens: Tensor<2>,
    pub(super) scene: Tensor<1, Int>,
    pub(super) coverage: Tensor<3>,
}

/// What must draw its own mask back (the paper's equation 4), after `seg_projection`: `<mask>` of the
/// described regions, whose masks are the first of `masks`, and `<pos>` of all of them.
pub(super) fn reconstruction_tokens(
    model: &Fclm,
    described: Option<&Tensor<2>>,
    masks: &DeviceMasks,
    kind: SelfReconstruction,
) -> Option<Reconstruction> {
    let of_mask = || {
        let tokens = described?;
        let [count, _] = tokens.dims();
        Some(Reconstruction {
            tokens: model.seg_projection.forward(tokens.clone()),
            scene: masks.scene.clone().narrow(0, 0, count),
            coverage: masks.coverage.clone().narrow(0, 0, count),
        })
    };
    let of_pos = || Reconstruction {
        tokens: model
            .seg_projection
            .forward(model.region.position.forward(masks.shape.clone())),
        scene: masks.scene.clone(),
        coverage: masks.coverage.clone(),
    };
    match kind {
        SelfReconstruction::None => None,
        SelfReconstruction::Pos => Some(of_pos()),
        SelfReconstruction::Mask => of_mask(),
        SelfReconstruction::Both => {
            let (mask, pos) = (of_mask(), of_pos());
            let Some(mask) = mask else {
                return Some(pos);
            };
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

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use fclm_core::fclm::FclmTokenizer;
    use fclm_core::fclm::prompt::CHAT_TEMPLATE;

    use super::super::conversations::corpus;
    use super::super::phase::{Phase, phase_at};
    use super::super::recipe::{MixRecipe, Recipe};
    use super::super::run::set_ids;
    use super::super::sample::Sampler;
    use super::super::tokenizer::train_tokenizer;
    use super::*;

    #[test]
    fn what_the_mix_and_the_switches_leave_out_is_no_number() {
        let mut recipe = Recipe::named("nano").unwrap();
        let json = train_tokenizer(corpus(1, 20, recipe.stage_1.mix), recipe.vocabulary).unwrap();
        let tokenizer = FclmTokenizer::from_json(json.as_bytes()).unwrap();
        set_ids(&mut recipe.model, &tokenizer).unwrap();
        let device = Device::flex();
        let learner = Learner::new(recipe.model.init(&device), &recipe.model, &device);
        let sampler = Sampler::new(&recipe, &tokenizer, CHAT_TEMPLATE).unwrap();
        let last = recipe.steps_before_stage_1() + recipe.stage_1.schedule.steps - 1;
        let Phase::Stage { stage, mix, losses } = phase_at(&recipe, last).phase else {
            panic!("stage 1 is a stage");
        };
        let computed = |mix: &MixRecipe, losses: LossRecipe| {
            let scene = sampler.scene(3, 0, mix).unwrap();
            let batch = Batch::new(&[scene], sampler.grid(), &recipe.model, &device);
            let output = step(&learner, batch, stage, losses);
            let terms: Vec<f32> = output.terms.into_data().iter().collect();
            [
                Term::Loss,
                Term::Prompt,
                Term::Consist,
                Term::Latent,
                Term::Score,
            ]
            .map(|term| terms[term as usize].is_finite())
        };
        assert!(mix.prompts > 0);
        assert_eq!(computed(&mix, losses), [true; 5]);
        let no_prompts = MixRecipe {
            prompts: 0,
            refinements: 0,
            ..mix
        };
        let mut nothing_drawn_back = losses;
        nothing_drawn_back.latent_weight = 0.0;
        nothing_drawn_back.consistency.self_reconstruction = SelfReconstruction::None;
        assert_eq!(
            computed(&no_prompts, nothing_drawn_back),
            [true, false, false, false, true]
        );
    }
}
