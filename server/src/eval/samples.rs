use fclm_core::mask::Mask;

use super::{
    blind::{ConstantMask, most_frequent_category},
    metrics::{
        Draws, Overlap, category_accuracy, ciou, giou, mean, share, spearman, success_at_50,
    },
    report::Report,
};
use crate::{
    data::scenes::{Attributes, parse_category},
    predict::{Found, Latents, Picture, ScoredMask},
};

/// A region that was named.
#[derive(Debug)]
pub(super) struct Named {
    truth: Attributes,
    is_right: bool,
}

/// A mask that was to be drawn.
#[derive(Debug)]
pub(super) struct Drawn {
    /// Place in the data set of the scene that it belongs to.
    scene: usize,
    truth: Mask,
    overlap: Overlap,
    /// Estimated IoU; none where nothing was drawn.
    score: Option<f64>,
}

/// Where a region's description and the regions of its scene lie.
#[derive(Debug)]
pub(super) struct Aligned {
    latents: Latents,
    /// Place of the region among them.
    own: usize,
}

impl Named {
    pub(super) fn new(truth: Attributes, answer: &str) -> Self {
        let wanted = (truth.colour, truth.material, truth.shape);
        let is_right = parse_category(answer) == Some(wanted);
        Self { truth, is_right }
    }
}

impl Drawn {
    pub(super) fn found(scene: usize, truth: Mask, found: &Found, picture: &Picture) -> Self {
        let overlap = Overlap::of(&found.union(picture), &truth);
        let score = found.score().map(f64::from);
        Self {
            scene,
            truth,
            overlap,
            score,
        }
    }

    pub(super) fn one(scene: usize, truth: Mask, drawn: Option<&ScoredMask>) -> Self {
        let overlap = match drawn {
            Some(drawn) => Overlap::of(&drawn.mask, &truth),
            None => Overlap::of(&Mask::new(truth.width(), truth.height()), &truth),
        };
        let score = drawn.map(|drawn| f64::from(drawn.score));
        Self {
            scene,
            truth,
            overlap,
            score,
        }
    }
}

impl Aligned {
    pub(super) fn new(latents: Latents, own: usize) -> Self {
        Self { latents, own }
    }
}

/// Adds how many were named right; blind, all are named after the most frequent one.
pub(super) fn with_names(report: Report, samples: &[Named]) -> Report {
    let draws = Draws::each(samples.len(), report.seed);
    let truths: Vec<Attributes> = samples.iter().map(|sample| sample.truth).collect();
    let most_frequent = most_frequent_category(&truths);
    let right: Vec<bool> = samples.iter().map(|sample| sample.is_right).collect();
    let blind: Vec<bool> = truths
        .iter()
        .map(|truth| most_frequent == Some((truth.colour, truth.material, truth.shape)))
        .collect();
    report.with(
        "category_accuracy",
        category_accuracy(&right, &draws),
        category_accuracy(&blind, &draws),
    )
}

/// Adds how well masks were drawn; blind, all are one mask.
pub(super) fn with_masks(report: Report, samples: &[&Drawn]) -> Report {
    let all = draws(samples.iter().copied(), report.seed);
    let scored = || {
        samples
            .iter()
            .filter(|drawn| drawn.score.is_some())
            .copied()
    };
    let of_scored = draws(scored(), report.seed);
    let scores: Vec<f64> = scored().filter_map(|drawn| drawn.score).collect();
    let ious: Vec<f64> = scored().map(|drawn| drawn.overlap.iou()).collect();
    let overlaps: Vec<Overlap> = samples.iter().map(|drawn| drawn.overlap).collect();
    let blind = blind_overlaps(samples);
    report
        .with("giou", giou(&overlaps, &all), giou(&blind, &all))
        .with("ciou", ciou(&overlaps, &all), ciou(&blind, &all))
        .with(
            "success_at_50",
            success_at_50(&overlaps, &all),
            success_at_50(&blind, &all),
        )
        .with(
            "score_iou_spearman",
            spearman(&scores, &ious, &of_scored),
            None,
        )
}

fn draws<'a>(samples: impl Iterator<Item = &'a Drawn>, seed: u64) -> Draws {
    Draws::by_scene(&samples.map(|drawn| drawn.scene).collect::<Vec<_>>(), seed)
}

/// Adds the gIoU of a part of the samples under a name of its own.
pub(super) fn with_giou_of(report: Report, name: &str, samples: &[&Drawn]) -> Report {
    let all = draws(samples.iter().copied(), report.seed);
    let overlaps: Vec<Overlap> = samples.iter().map(|drawn| drawn.overlap).collect();
    let blind = blind_overlaps(samples);
    report.with(name, giou(&overlaps, &all), giou(&blind, &all))
}

/// Adds what the plain rectangles of the samples' boxes share with the truths; blind, all are one
/// mask.
pub(super) fn with_rectangles(
    report: Report,
    rectangles: &[Overlap],
    samples: &[&Drawn],
) -> Report {
    let all = draws(samples.iter().copied(), report.seed);
    let blind = blind_overlaps(samples);
    report.with("rectangle_giou", giou(rectangles, &all), giou(&blind, &all))
}

/// What the one mask that fits all truths best shares with each of them.
fn blind_overlaps(samples: &[&Drawn]) -> Vec<Overlap> {
    let truths: Vec<&Mask> = samples.iter().map(|drawn| &drawn.truth).collect();
    ConstantMask::best(&truths).overlaps(&truths)
}

/// Adds how near `T_seg` of a region's description lies to `T_pos` of that region and of the
/// others in its scene; blind, every description has the mean of all `T_seg`.
pub(super) fn with_cosines(report: Report, samples: &[Aligned]) -> Report {
    let seed = report.seed;
    let constant = mean_vector(samples.iter().map(|sample| sample.latents.seg.as_slice()));
    let seen = Cosines::of(samples, |sample| &sample.latents.seg);
    let blind = Cosines::of(samples, |_| &constant);
    let all = Draws::each(seen.same.len(), seed);
    let accompanied = Draws::each(seen.other.len(), seed);
    report
        .with(
            "cosine_same",
            mean(&seen.same, &all),
            mean(&blind.same, &all),
        )
        .with(
            "cosine_other",
            mean(&seen.other, &accompanied),
            mean(&blind.other, &accompanied),
        )
        .with(
            "cosine_margin",
            mean(&seen.margin, &accompanied),
            mean(&blind.margin, &accompanied),
        )
        .with(
            "same_is_nearest",
            share(&seen.is_nearest, &accompanied),
            share(&blind.is_nearest, &accompanied),
        )
}

#[derive(Debug, Default)]
struct Cosines {
    same: Vec<f64>,
    /// Mean over the scene's other regions, for samples that have such.
    other: Vec<f64>,
    margin: Vec<f64>,
    is_nearest: Vec<bool>,
}

impl Cosines {
    fn of<'a>(samples: &'a [Aligned], seg: impl Fn(&'a Aligned) -> &'a [f32]) -> Self {
        let mut cosines = Self::default();
        for sample in samples {
            let text = seg(sample);
            let near: Vec<f64> = sample
                .latents
                .pos
                .iter()
                .map(|pos| cosine(text, pos))
                .collect();
            let same = near[sample.own];
            cosines.same.push(same);
            let others = near
                .iter()
                .enumerate()
                .filter(|&(place, _)| place != sample.own);
            let others: Vec<f64> = others.map(|(_, &other)| other).collect();
            if others.is_empty() {
                continue;
            }
            let other = others.iter().sum::<f64>() / others.len() as f64;
            cosines.other.push(other);
            cosines.margin.push(same - other);
            cosines
                .is_nearest
                .push(others.iter().all(|&other| same > other));
        }
        cosines
    }
}

/// Mean of the directions of vectors.
fn mean_vector<'a>(vectors: impl Iterator<Item = &'a [f32]>) -> Vec<f32> {
    let mut sum: Vec<f32> = Vec::new();
    for vector in vectors {
        sum.resize(vector.len(), 0.0);
        let length = norm(vector).max(f64::MIN_POSITIVE);
        for (total, &value) in sum.iter_mut().zip(vector) {
            *total += (f64::from(value) / length) as f32;
        }
    }
    sum
}

fn norm(vector: &[f32]) -> f64 {
    vector
        .iter()
        .map(|&value| f64::from(value).powi(2))
        .sum::<f64>()
        .sqrt()
}

/// Zero where one of the two has no direction.
fn cosine(left: &[f32], right: &[f32]) -> f64 {
    let product: f64 = left
        .iter()
        .zip(right)
        .map(|(&a, &b)| f64::from(a) * f64::from(b))
        .sum();
    let scale = norm(left) * norm(right);
    if scale > 0.0 { product / scale } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::protocol::Task;

    fn report(n: usize) -> Report {
        Report::new(Task::Consistency, n, 3, "00")
    }

    fn value(report: &Report, name: &str) -> f64 {
        report.metrics[name].estimate.unwrap().value
    }

    #[test]
    fn cosines_by_hand() {
        let sample = |seg: [f32; 2], own: usize| {
            let latents = Latents {
                seg: seg.to_vec(),
                pos: vec![vec![2.0, 0.0], vec![0.0, 1.0]],
            };
            Aligned::new(latents, own)
        };
        let report = with_cosines(report(2), &[sample([3.0, 0.0], 0), sample([1.0, 0.0], 1)]);
        assert_eq!(value(&report, "cosine_same"), 0.5);
        assert_eq!(value(&report, "cosine_other"), 0.5);
        assert_eq!(value(&report, "cosine_margin"), 0.0);
        assert_eq!(value(&report, "same_is_nearest"), 0.5);
        assert!(report.metrics["cosine_same"].blind.is_some());
    }

    #[test]
    fn a_region_alone_in_its_scene_has_no_others() {
        let latents = Latents {
            seg: vec![1.0, 0.0],
            pos: vec![vec![1.0, 0.0]],
        };
        let report = with_cosines(report(1), &[Aligned::new(latents, 0)]);
        assert_eq!(value(&report, "cosine_same"), 1.0);
        assert_eq!(report.metrics["cosine_margin"].estimate, None);
    }

    #[test]
    fn what_was_not_drawn_counts_as_empty() {
        let truth = Mask::rect(10, 10, [0.0, 0.0, 5.0, 10.0]);
        let whole = ScoredMask {
            mask: Mask::rect(10, 10, [0.0, 0.0, 10.0, 10.0]),
            score: 0.5,
        };
        let samples = [
            Drawn::one(0, truth.clone(), None),
            Drawn::one(1, truth, Some(&whole)),
        ];
        let parts = with_giou_of(report(2), "giou_short", &[&samples[1]]);
        assert!((value(&parts, "giou_short") - 0.5).abs() < 1e-4);
        let report = with_masks(report(2), &samples.iter().collect::<Vec<_>>());
        assert!((value(&report, "giou") - 0.25).abs() < 1e-4);
        assert_eq!(value(&report, "success_at_50"), 0.5);
        assert_eq!(report.metrics["score_iou_spearman"].estimate, None);
    }
}
