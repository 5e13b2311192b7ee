//! Figures of masks, each beside that of one mask for all.

use fclm_core::mask::Mask;
use rayon::prelude::*;

use super::{Placed, draws};
use crate::eval::{
    blind::ConstantMask,
    error::EvalError,
    iou::TrueRegion,
    metrics::{Draws, Overlap, ciou, giou, spearman, success_at_50},
    report::Report,
    samples::StoredMask,
};

/// A mask that was to be drawn, beside what was.
#[derive(Debug, Clone)]
pub(super) struct Drawn<'a> {
    /// The place of its picture in the data set.
    pub(super) place: usize,
    pub(super) truth: &'a StoredMask,
    ignored: Option<&'a StoredMask>,
    pub(super) overlap: Overlap,
    /// Estimated IoU; none where nothing was drawn.
    score: Option<f64>,
    /// Whether the target is of a combination that is held out of training.
    is_held_out: Option<bool>,
}

impl<'a> Drawn<'a> {
    /// Takes a sample with one true mask.
    pub(super) fn of<D>(
        placed: &Placed<'a, D>,
        overlap: Overlap,
        is_held_out: Option<bool>,
    ) -> Result<Self, EvalError> {
        let exchange = &placed.sample.exchange;
        Ok(Self {
            place: placed.place,
            truth: true_mask(placed)?,
            ignored: exchange.ignored.as_ref(),
            overlap,
            score: exchange.score(),
            is_held_out,
        })
    }

    /// What another mask shares with the truth.
    fn overlap_with(&self, mask: &Mask) -> Overlap {
        let truth = self.truth.mask();
        match self.ignored {
            None => Overlap::of(mask, &truth),
            Some(ignored) => TrueRegion::with_ignored(truth, ignored.mask()).overlap(mask),
        }
    }
}

/// The one true mask of a sample.
pub(super) fn true_mask<'a, D>(placed: &Placed<'a, D>) -> Result<&'a StoredMask, EvalError> {
    match placed.sample.exchange.truths.first() {
        Some(truth) => Ok(&truth.mask),
        None => Err(EvalError::Sample {
            picture: placed.id.to_owned(),
            reason: "one has no true mask".to_owned(),
        }),
    }
}

/// Adds how well masks were drawn; blind, all are one mask.
pub(super) fn with_masks(report: Report, drawn: &[&Drawn<'_>]) -> Report {
    let all = draws_of(drawn, report.seed);
    let scored: Vec<&Drawn<'_>> = drawn
        .iter()
        .filter(|drawn| drawn.score.is_some())
        .copied()
        .collect();
    let of_scored = draws_of(&scored, report.seed);
    let scores: Vec<f64> = scored.iter().filter_map(|drawn| drawn.score).collect();
    let ious: Vec<f64> = scored.iter().map(|drawn| drawn.overlap.iou()).collect();
    let overlaps: Vec<Overlap> = drawn.iter().map(|drawn| drawn.overlap).collect();
    let blind = blind_overlaps(drawn);
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

/// Adds the gIoU of a part of the samples under a name of its own.
pub(super) fn with_giou_of(report: Report, name: &str, drawn: &[&Drawn<'_>]) -> Report {
    let all = draws_of(drawn, report.seed);
    let overlaps: Vec<Overlap> = drawn.iter().map(|drawn| drawn.overlap).collect();
    let blind = blind_overlaps(drawn);
    report.with(name, giou(&overlaps, &all), giou(&blind, &all))
}

/// Adds gIoU and cIoU of a part of the samples, whose name goes behind theirs.
pub(super) fn with_ious_of(report: Report, part: &str, drawn: &[&Drawn<'_>]) -> Report {
    let all = draws_of(drawn, report.seed);
    let overlaps: Vec<Overlap> = drawn.iter().map(|drawn| drawn.overlap).collect();
    let report = with_giou_of(report, &format!("giou_{part}"), drawn);
    report.with(
        &format!("ciou_{part}"),
        ciou(&overlaps, &all),
        ciou(&blind_overlaps(drawn), &all),
    )
}

/// Adds the gIoU of combinations that were seen in training and of those that were held out of
/// it; nothing where none of these is there.
pub(super) fn with_giou_of_unseen(report: Report, drawn: &[&Drawn<'_>]) -> Report {
    let of = |wanted: bool| -> Vec<&Drawn<'_>> {
        let those = drawn.iter().copied();
        those
            .filter(|drawn| drawn.is_held_out == Some(wanted))
            .collect()
    };
    let unseen = of(true);
    if unseen.is_empty() {
        return report;
    }
    let report = with_giou_of(report, "giou_seen", &of(false));
    with_giou_of(report, "giou_unseen", &unseen)
}

/// What the one mask that fits all truths best shares with each of them.
pub(super) fn blind_overlaps(drawn: &[&Drawn<'_>]) -> Vec<Overlap> {
    let constant = ConstantMask::best(drawn.iter().map(|drawn| drawn.truth.mask()));
    drawn
        .par_iter()
        .map(|drawn| {
            let (width, height) = drawn.truth.size();
            drawn.overlap_with(&constant.at(width, height))
        })
        .collect()
}

fn draws_of(drawn: &[&Drawn<'_>], seed: u64) -> Draws {
    draws(drawn.iter().map(|drawn| drawn.place), seed)
}

/// All of them, as the figures of a part are told.
pub(super) fn every<'a, 'b>(drawn: &'b [Drawn<'a>]) -> Vec<&'b Drawn<'a>> {
    drawn.iter().collect()
}

/// The IoU of each sample, which tells the best from the worst.
pub(super) fn qualities(drawn: &[Drawn<'_>]) -> Vec<Option<f64>> {
    drawn
        .iter()
        .map(|drawn| Some(drawn.overlap.iou()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::{
        protocol::Task,
        samples::{Exchange, MarkedMask, Sample},
    };

    fn sample(drawn: Option<f32>, ignored: Option<Mask>) -> Sample<()> {
        let truth = Mask::rect(10, 10, [0.0, 0.0, 5.0, 10.0]);
        let whole = Mask::rect(10, 10, [0.0, 0.0, 10.0, 10.0]);
        let marked = |score: f32| MarkedMask {
            score: Some(score),
            ..MarkedMask::truth(&whole, None)
        };
        Sample {
            exchange: Exchange {
                truths: vec![MarkedMask::truth(&truth, None)],
                drawn: drawn.map(marked).into_iter().collect(),
                ignored: ignored.map(|mask| StoredMask::of(&mask)),
                ..Exchange::default()
            },
            detail: (),
        }
    }

    fn drawn(place: usize, sample: &Sample<()>, is_held_out: Option<bool>) -> Drawn<'_> {
        let exchange = &sample.exchange;
        let overlap = Overlap::of(
            &exchange.union_drawn((10, 10)),
            &exchange.truths[0].mask.mask(),
        );
        let placed = Placed {
            place,
            id: "a",
            sample,
        };
        Drawn::of(&placed, overlap, is_held_out).unwrap()
    }

    fn report() -> Report {
        Report::new(Task::Res, 2, 3, "00")
    }

    fn value(report: &Report, name: &str) -> f64 {
        report.metrics[name].estimate.unwrap().value
    }

    #[test]
    fn what_was_not_drawn_counts_as_empty() {
        let samples = [sample(None, None), sample(Some(0.5), None)];
        let all = [drawn(0, &samples[0], None), drawn(1, &samples[1], None)];
        let parts = with_giou_of(report(), "giou_short", &[&all[1]]);
        assert!((value(&parts, "giou_short") - 0.5).abs() < 1e-4);
        let report = with_masks(report(), &every(&all));
        assert!((value(&report, "giou") - 0.25).abs() < 1e-4);
        assert_eq!(value(&report, "success_at_50"), 0.5);
        assert_eq!(report.metrics["score_iou_spearman"].estimate, None);
        // Blind, all are the one truth.
        assert!(report.metrics["giou"].blind.unwrap().value > 0.99);
        assert_eq!(all[0].score, None);
        assert_eq!(all[1].score, Some(0.5));
    }

    #[test]
    fn what_is_held_out_has_a_figure_where_it_is_there() {
        let samples = [sample(None, None), sample(Some(0.5), None)];
        let seen = [
            drawn(0, &samples[0], Some(false)),
            drawn(1, &samples[1], Some(false)),
        ];
        let none = with_giou_of_unseen(report(), &every(&seen));
        assert!(none.metrics.is_empty());
        let both = [
            drawn(0, &samples[0], Some(false)),
            drawn(1, &samples[1], Some(true)),
        ];
        let report = with_giou_of_unseen(report(), &every(&both));
        assert_eq!(value(&report, "giou_seen"), 0.0);
        assert!((value(&report, "giou_unseen") - 0.5).abs() < 1e-4);
    }

    #[test]
    fn ignored_pixels_count_on_no_side_of_the_blind_mask_either() {
        // Half of the truth is not known.
        let ignored = Mask::rect(10, 10, [0.0, 0.0, 5.0, 5.0]);
        let sample = sample(None, Some(ignored));
        let drawn = drawn(0, &sample, None);
        let whole = Mask::rect(10, 10, [0.0, 0.0, 10.0, 10.0]);
        let expected = Overlap {
            intersection: 25,
            union: 75,
        };
        assert_eq!(drawn.overlap_with(&whole), expected);
    }

    #[test]
    fn a_sample_without_its_truth_is_told() {
        let mut sample = sample(None, None);
        sample.exchange.truths.clear();
        let placed = Placed {
            place: 0,
            id: "kitchen",
            sample: &sample,
        };
        let error = Drawn::of(&placed, Overlap::default(), None).unwrap_err();
        assert!(error.to_string().contains("kitchen"), "{error}");
    }
}
