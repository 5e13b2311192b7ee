//! The loss of one picture, and its share of what a step reports.

use burn::tensor::{DType, Device, Tensor};

use fclm_core::fclm::{Fclm, LatentSpace};
use fclm_core::loss::{self, segmentation_at_points_by_mask, segmentation_by_mask};
use fclm_core::sam::Decoded;

use super::counts::{Counts, share};
use super::device_batch::LargeBatch;
use super::recipe::LargeRecipe;
use super::sample::FINENESS;
use crate::train::prompts::prompt_task;
use crate::train::step::{Language, cross_entropy, iou, reconstruction_tokens};
use crate::train::terms::{TERMS, Term};

/// What a picture reports, in order.
const REPORTED: [Term; 11] = [
    Term::Loss,
    Term::Ce,
    Term::Seg,
    Term::Consist,
    Term::Prompt,
    Term::Score,
    Term::TokenAccuracy,
    Term::CategoryAccuracy,
    Term::FindIou,
    Term::PosIou,
    Term::Latent,
];

/// What came of one picture.
#[derive(Debug)]
pub(super) struct PictureLoss {
    /// Its share of the step's loss, `[1]`.
    pub(super) loss: Tensor<1>,
    /// Its share of what the step reports, outside autodiff; see [`reported`].
    pub(super) terms: Tensor<1>,
}

/// No share of anything yet.
pub(super) fn no_terms(device: &Device) -> Tensor<1> {
    Tensor::zeros([REPORTED.len()], (device, DType::F32))
}

/// The terms of a step by its pictures' summed shares; no number for what none of them computed.
pub(super) fn reported(sums: &[f32], counts: &Counts) -> [f32; TERMS.len()] {
    let mut terms = [f32::NAN; TERMS.len()];
    for (term, &sum) in REPORTED.into_iter().zip(sums) {
        let is_there = match term {
            Term::Seg | Term::FindIou => counts.grounds > 0.0,
            // Where it has no weight it is not computed.
            Term::Latent => sum != 0.0,
            Term::PosIou => counts.redrawn > 0.0,
            Term::Consist | Term::Score => counts.drawn() > 0.0,
            Term::Prompt => counts.prompts > 0.0,
            Term::CategoryAccuracy => counts.categories > 0.0,
            _ => true,
        };
        if is_there {
            terms[term as usize] = sum;
        }
    }
    terms
}

/// `L = L_ce + L_seg + L_consist` (the paper's equation 7 with weights) of a picture, as its share of
/// the mean over a step whose pictures have `all` together; beside it SAM's own task in stage 1.
pub(super) fn picture_loss(
    model: &Fclm,
    batch: LargeBatch,
    stage: u8,
    recipe: &LargeRecipe,
    own: &Counts,
    all: &Counts,
) -> PictureLoss {
    let LargeBatch { sequence, .. } = &batch;
    let vision = model
        .qwen
        .encode_images(batch.qwen_pixels.clone(), batch.grid);
    let maps = model.sam.image_encoder.forward(batch.sam_pixels.clone());
    let image = maps.clone().narrow(0, 0, 1);
    let tokens = batch.regions.as_ref().map(|(regions, picture)| {
        let [count] = picture.dims();
        model.extract_regions(
            maps.narrow(0, 1, count),
            image.clone().select(0, picture.clone()),
            vision.clone().select(0, picture.clone()),
            batch.merged,
            regions.clone(),
        )
    });

    // Words, picture and regions may be in different types; the language model has its own.
    let dtype = model.qwen.model.dtype();
    let [_, length] = sequence.ids.dims();
    let [_, cells, width] = vision.dims();
    let words = model.qwen.embed(sequence.ids.clone());
    let mut table = vec![
        words.reshape([length, width]).cast(dtype),
        vision.reshape([cells, width]).cast(dtype),
    ];
    if let Some(tokens) = &tokens {
        table.push(tokens.mask.clone().cast(dtype));
        table.push(tokens.pos.clone().cast(dtype));
    }
    let embeds: Tensor<2> = Tensor::cat(table, 0).select(0, sequence.rows.clone());
    let [hidden, _] = model.qwen.model.forward_branches(
        embeds.reshape([1, length, width]),
        sequence.positions.clone(),
        sequence.branches.clone(),
        0,
    );
    let hidden: Tensor<2> = hidden.reshape([length, width]);
    let Language {
        ce,
        accuracy,
        category_accuracy,
    } = cross_entropy(
        model,
        hidden.clone(),
        sequence.target_rows.clone(),
        sequence.target_ids.clone(),
        sequence.target_weights.clone(),
        sequence.category_shares.clone(),
    );
    let mut shares = Shares::default();
    let ce = ce.mul_scalar(share(own.weight, all.weight));
    shares.add(
        Term::TokenAccuracy,
        accuracy.mul_scalar(share(own.targets, all.targets)),
    );
    if let Some(accuracy) = category_accuracy {
        let share = share(own.categories, all.categories);
        shares.add(Term::CategoryAccuracy, accuracy.mul_scalar(share));
    }
    let mut total = ce.clone().mul_scalar(recipe.ce_weight);
    shares.add(Term::Ce, ce);

    let latent_weight = recipe.stage(stage).latent_weight;
    let of_grounds = share(own.grounds, all.grounds);
    let mut sparse = Vec::new();
    let mut picture = Vec::new();
    let mut coverage = Vec::new();
    let mut grounds = 0;
    if let Some((masks, rows)) = &batch.grounds {
        [grounds] = rows.dims();
        let seg = hidden.select(0, rows.clone());
        let projected = model.seg_projection.forward(seg.clone());
        if latent_weight > 0.0
            && let Some(kind) = recipe.consistency.latent
        {
            let pos = model.region.position.forward(masks.shape.clone());
            let latent = match recipe.consistency.space {
                LatentSpace::Prompt => {
                    loss::latent_loss(projected.clone(), model.seg_projection.forward(pos), kind)
                }
                LatentSpace::Language => {
                    loss::latent_loss(seg.cast(DType::F32), pos.cast(DType::F32), kind)
                }
            };
            let latent = latent.mul_scalar(of_grounds);
            let weighed = latent.clone().mul_scalar(latent_weight);
            shares.add(Term::Latent, latent);
            shares.add(Term::Consist, weighed.clone());
            total = total + weighed;
        }
        sparse.push(projected);
        picture.push(masks.scene.clone());
        coverage.push(masks.coverage.clone());
    }
    let redrawn = batch.reconstructions.as_ref().filter(|_| stage == 1);
    let redrawn = redrawn.and_then(|masks| {
        let described = tokens.as_ref().map(|tokens| &tokens.mask);
        reconstruction_tokens(
            model,
            described,
            masks,
            recipe.consistency.self_reconstruction,
        )
    });
    if let Some(redrawn) = redrawn {
        sparse.push(redrawn.tokens);
        picture.push(redrawn.scene);
        coverage.push(redrawn.coverage);
    }
    let mut score = None;
    if !sparse.is_empty() {
        let sparse: Tensor<2> = Tensor::cat(sparse, 0);
        let [masks, _] = sparse.dims();
        let embeddings = image.clone().select(0, Tensor::cat(picture, 0));
        let Decoded {
            low_res,
            iou: scores,
        } = model.decode_tokens(sparse, embeddings).single();
        let [_, _, height, columns] = low_res.dims();
        let logits: Tensor<3> = low_res.reshape([masks, height, columns]);
        let coverage: Tensor<3> = Tensor::cat(coverage, 0);
        let coarse = within(coarse(coverage.clone(), height), batch.window);
        let seen = within(logits.clone(), batch.window);
        let actual = iou(seen.clone(), coarse.clone());
        let of_drawn = share(own.drawn(), all.drawn());
        let scores = scores.reshape([masks]);
        score = Some(loss::score_loss(scores, actual.clone()).mul_scalar(of_drawn));
        let by_mask = match (&batch.draws, &recipe.mask_points) {
            (Some(draws), Some(sampling)) => {
                segmentation_at_points_by_mask(logits, coverage, draws.clone(), sampling)
            }
            _ => segmentation_by_mask(seen, coarse),
        };
        let parts = [
            (Term::Seg, Term::FindIou, 0, grounds, all.grounds),
            (
                Term::Consist,
                Term::PosIou,
                grounds,
                masks - grounds,
                all.redrawn,
            ),
        ];
        for (loss_term, iou_term, first, count, of) in parts {
            if count == 0 || of == 0.0 {
                continue;
            }
            let mean = |values: Tensor<2>| -> Tensor<1> {
                let sum = values.narrow(0, first, count).sum_dim(0);
                sum.reshape([1]).div_scalar(of)
            };
            shares.add(iou_term, mean(actual.clone().reshape([masks, 1])));
            let part = mean(by_mask.clone());
            shares.add(loss_term, part.clone());
            total = total + part;
        }
    }

    if stage == 1 {
        let prompted = prompt_task(model, &image, batch.prompts);
        if let Some((prompt, prompt_score)) = prompted {
            let of_prompts = share(own.prompts, all.prompts);
            let prompt = prompt.mul_scalar(of_prompts);
            let prompt_score = prompt_score.mul_scalar(of_prompts);
            shares.add(Term::Prompt, prompt.clone());
            total = total + prompt;
            score = Some(match score {
                Some(score) => score + prompt_score,
                None => prompt_score,
            });
        }
    }
    if let Some(score) = score {
        // In stage 2 the decoder is frozen, and the language model is not to please its scores.
        let score = match stage {
            1 => score,
            _ => score.detach(),
        };
        shares.add(Term::Score, score.clone());
        total = total + score.mul_scalar(recipe.score_weight);
    }
    shares.add(Term::Loss, total.clone());
    let device = total.device().without_autodiff();
    PictureLoss {
        loss: total,
        terms: shares.collect(&device),
    }
}

/// The terms of a picture while they are collected.
#[derive(Debug, Default)]
struct Shares(Vec<(Term, Tensor<1>)>);

impl Shares {
    /// Adds to a term.
    fn add(&mut self, term: Term, value: Tensor<1>) {
        self.0.push((term, value.without_autodiff()));
    }

    /// What is reported, in order.
    fn collect(self, device: &Device) -> Tensor<1> {
        let terms = REPORTED.map(|term| {
            let own = self.0.iter().filter(|(known, _)| *known == term);
            own.map(|(_, value)| value.clone())
                .reduce(|sum, value| sum + value)
                .unwrap_or_else(|| Tensor::zeros([1], (device, DType::F32)))
        });
        Tensor::cat(Vec::from(terms), 0)
    }
}

/// Coverage at the decoder's resolution.
fn coarse(coverage: Tensor<3>, side: usize) -> Tensor<3> {
    let [masks, rows, _] = coverage.dims();
    if rows == side {
        return coverage;
    }
    let by_rows = coverage.reshape([masks, side, FINENESS, side * FINENESS]);
    by_rows
        .mean_dim(2)
        .reshape([masks, side, side, FINENESS])
        .mean_dim(3)
        .reshape([masks, side, side])
}

/// The part of maps in which the picture lies; the rest is padding.
fn within(maps: Tensor<3>, [rows, columns]: [usize; 2]) -> Tensor<3> {
    maps.narrow(1, 0, rows).narrow(2, 0, columns)
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::super::tiny;
    use super::*;

    #[test]
    fn finer_coverage_is_averaged() {
        let device = Device::flex();
        let values: Vec<f32> = (0..64_u8)
            .map(|place| f32::from(u8::from(place % 8 < 2 && place < 32)))
            .collect();
        let fine: Tensor<3> = Tensor::from_data(TensorData::new(values, [1, 8, 8]), &device);
        let coarse: Vec<f32> = coarse(fine.clone(), 2).into_data().iter::<f32>().collect();
        assert_eq!(coarse, [0.5, 0.0, 0.0, 0.0]);
        let same = super::coarse(fine, 8);
        assert_eq!(same.dims(), [1, 8, 8]);
        assert_eq!(within(same, [3, 5]).dims(), [1, 3, 5]);
    }

    /// The terms of a step do not depend on how its pictures are dealt out.
    #[test]
    fn shares_of_pictures_add_up_to_the_step() {
        let folder = tempfile::tempdir().unwrap();
        let setting = tiny::Setting::new(folder.path());
        let sampler = setting.sampler();
        let device = Device::flex().autodiff();
        let model = setting.model(&device);
        let pictures: Vec<_> = (0..4)
            .map(|slot| sampler.picture(0, slot).unwrap())
            .collect();
        let all = pictures
            .iter()
            .fold(Counts::default(), |sum, picture| sum + picture.counts);
        let mut sums = no_terms(&Device::flex());
        let mut means = Vec::new();
        for picture in &pictures {
            let batch = || LargeBatch::new(picture, &setting.recipe, &setting.config, &device);
            let counts = &picture.counts;
            let share = picture_loss(&model, batch(), 1, &setting.recipe, counts, &all);
            sums = sums + share.terms;
            let alone = picture_loss(&model, batch(), 1, &setting.recipe, counts, counts);
            means.push((*counts, reported(&values(alone.terms), counts)));
        }
        let step = reported(&values(sums), &all);
        for (term, of) in [
            (Term::Ce, weight as fn(&Counts) -> f32),
            (Term::Seg, grounds),
            (Term::FindIou, grounds),
            (Term::PosIou, redrawn),
            (Term::Latent, grounds),
            (Term::Prompt, prompts),
        ] {
            let weighed = means.iter().filter(|(counts, _)| of(counts) > 0.0);
            let expected: f32 = weighed
                .map(|(counts, terms)| terms[term as usize] * of(counts) / of(&all))
                .sum();
            let found = step[term as usize];
            assert!(
                (found - expected).abs() < 1e-5 * expected.abs().max(1.0),
                "{term:?}: {found}, {expected}"
            );
        }
        assert!(step[Term::Loss as usize].is_finite());
        assert!(step[Term::Latent as usize].is_finite());
        assert!(step[Term::Attributes as usize].is_nan());
    }

    fn values(tensor: Tensor<1>) -> Vec<f32> {
        tensor.into_data().iter::<f32>().collect()
    }

    fn weight(counts: &Counts) -> f32 {
        counts.weight
    }

    fn grounds(counts: &Counts) -> f32 {
        counts.grounds
    }

    fn redrawn(counts: &Counts) -> f32 {
        counts.redrawn
    }

    fn prompts(counts: &Counts) -> f32 {
        counts.prompts
    }
}
