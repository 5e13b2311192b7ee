//! gIoU and cIoU of MUSE's answers, whose masks are matched with the true ones first.
//!
//! Follows `ar_validate` of PixelLM's
//! [`train_ds.py`](https://github.com/MaverickRen/PixelLM/blob/main/train_ds.py) and `match_pred`
//! of its `utils/matcher.py`. The language model that the paper lets rate each object is no part of
//! that; [`MatchedQuestion::reject`] takes its verdict. One thing differs: predictions without a
//! partner are thresholded like all others, where PixelLM compares their logits as they are.

use fclm_core::mask::Mask;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::hungarian::assign;
use crate::eval::metrics::{Draws, Estimate, Overlap};

/// Points at which masks are compared.
const POINTS: usize = 12_544;

/// Logit of a mask's pixels, and minus that of the rest, where the decoder's are not known.
///
/// A mask stands for logits that are sure, and ten is what SAM's decoder reaches on clear pixels; a
/// point on which two masks differ then costs ten, a point on which they agree next to nothing. Far
/// greater ones would let the dice term vanish beside the other.
const SURE_LOGIT: f32 = 10.0;

const CIOU_EPSILON: f64 = 1e-10;

/// Points of a picture at which all of its masks are compared.
#[derive(Debug, Clone, PartialEq)]
pub struct MatchingPoints {
    /// `x` and `y` in shares of the picture's sides.
    points: Vec<[f32; 2]>,
}

impl MatchingPoints {
    /// The points that a seed stands for, 12,544 as in PixelLM.
    pub fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let points = (0..POINTS).map(|_| [rng.random(), rng.random()]);
        Self {
            points: points.collect(),
        }
    }

    /// A decoder's logits at the points, from those of a picture's pixels, row by row.
    ///
    /// # Panics
    /// If there is not one a pixel.
    pub fn logits(&self, values: &[f32], width: u32, height: u32) -> PointLogits {
        assert_eq!(
            values.len(),
            width as usize * height as usize,
            "one logit a pixel"
        );
        PointLogits(self.sample(width, height, |place| values[place]))
    }

    /// What stands for a decoder's logits where only the mask is known.
    pub fn logits_of(&self, mask: &Mask) -> PointLogits {
        let data = mask.data();
        let logit = |place: usize| SURE_LOGIT * (2.0 * f32::from(data[place]) - 1.0);
        PointLogits(self.sample(mask.width(), mask.height(), logit))
    }

    /// Values of a field at the points, interpolated between the centres of four pixels; what lies
    /// outside is 0. PyTorch's `grid_sample` without aligned corners.
    fn sample(&self, width: u32, height: u32, value: impl Fn(usize) -> f32) -> Vec<f32> {
        let at = |x: i64, y: i64| {
            let inside = (0..i64::from(width)).contains(&x) && (0..i64::from(height)).contains(&y);
            match inside {
                true => value(y as usize * width as usize + x as usize),
                false => 0.0,
            }
        };
        self.points
            .iter()
            .map(|&[x, y]| {
                let (x, y) = (x * width as f32 - 0.5, y * height as f32 - 0.5);
                let (left, top) = (x.floor(), y.floor());
                let (right_share, bottom_share) = (x - left, y - top);
                let (left, top) = (left as i64, top as i64);
                let row =
                    |y: i64| at(left, y) * (1.0 - right_share) + at(left + 1, y) * right_share;
                row(top) * (1.0 - bottom_share) + row(top + 1) * bottom_share
            })
            .collect()
    }
}

/// A prediction's logits at the points of its picture.
#[derive(Debug, Clone, PartialEq)]
pub struct PointLogits(Vec<f32>);

/// Prediction and true mask of each pair, at the least sum of costs: as many pairs as there are of
/// whichever are fewer.
pub fn matched_pairs(
    predictions: &[PointLogits],
    truths: &[Mask],
    points: &MatchingPoints,
) -> Vec<(usize, usize)> {
    assign(&matching_costs(predictions, truths, points))
}

/// Cost of each prediction (row) for each true mask (column): binary cross-entropy and dice over
/// the points, each weighing 1, with a dice that is smoothed by 1.
fn matching_costs(
    predictions: &[PointLogits],
    truths: &[Mask],
    points: &MatchingPoints,
) -> Vec<Vec<f64>> {
    let truths: Vec<Vec<f32>> = truths
        .iter()
        .map(|mask| {
            let data = mask.data();
            points.sample(mask.width(), mask.height(), |place| f32::from(data[place]))
        })
        .collect();
    predictions
        .iter()
        .map(|PointLogits(logits)| truths.iter().map(|truth| cost(logits, truth)).collect())
        .collect()
}

fn cost(logits: &[f32], truth: &[f32]) -> f64 {
    let (mut entropy, mut shared, mut total) = (0.0f64, 0.0f64, 0.0f64);
    for (&logit, &truth) in logits.iter().zip(truth) {
        let (logit, truth) = (f64::from(logit), f64::from(truth));
        let probability = 1.0 / (1.0 + (-logit).exp());
        // max(x, 0) - x t + log(1 + exp(-|x|)): no exponent of a large number.
        entropy += logit.max(0.0) - logit * truth + (-logit.abs()).exp().ln_1p();
        shared += probability * truth;
        total += probability + truth;
    }
    let dice = 1.0 - (2.0 * shared + 1.0) / (total + 1.0);
    entropy / logits.len() as f64 + dice
}

/// A question's masks beside each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchedQuestion {
    /// Prediction and true mask of each pair.
    pub pairs: Vec<(usize, usize)>,
    /// What the pairs share, in their order; then what true masks without a partner share with
    /// nothing, and what predictions without one do.
    overlaps: Vec<Overlap>,
    predictions: usize,
    truths: usize,
}

impl MatchedQuestion {
    /// Matches the masks of one question's answer with the true ones.
    ///
    /// # Panics
    /// If masks are not of one size.
    pub fn new(predictions: &[Mask], truths: &[Mask], points: &MatchingPoints) -> Self {
        let logits: Vec<PointLogits> = predictions
            .iter()
            .map(|mask| points.logits_of(mask))
            .collect();
        let pairs = matched_pairs(&logits, truths, points);
        Self::compared(predictions, truths, pairs)
    }

    /// Takes pairs that [`matched_pairs`] has found; none where they are not of these masks, or
    /// where a mask is in two of them.
    ///
    /// # Panics
    /// If masks are not of one size.
    pub fn paired(
        predictions: &[Mask],
        truths: &[Mask],
        pairs: Vec<(usize, usize)>,
    ) -> Option<Self> {
        let are_apart = |side: fn(&(usize, usize)) -> usize, count: usize| {
            let mut is_taken = vec![false; count];
            pairs.iter().all(|pair| {
                let taken = is_taken.get_mut(side(pair));
                taken.is_some_and(|taken| !std::mem::replace(taken, true))
            })
        };
        let fit =
            are_apart(|pair| pair.0, predictions.len()) && are_apart(|pair| pair.1, truths.len());
        fit.then(|| Self::compared(predictions, truths, pairs))
    }

    fn compared(masks: &[Mask], truths: &[Mask], pairs: Vec<(usize, usize)>) -> Self {
        let mut overlaps: Vec<Overlap> = pairs
            .iter()
            .map(|&(prediction, truth)| Overlap::of(&masks[prediction], &truths[truth]))
            .collect();
        let alone = |mask: &Mask| Overlap {
            intersection: 0,
            union: mask.area(),
        };
        let is_matched = |place: usize, side: fn(&(usize, usize)) -> usize| {
            pairs.iter().any(|pair| side(pair) == place)
        };
        for (place, truth) in truths.iter().enumerate() {
            if !is_matched(place, |pair| pair.1) {
                overlaps.push(alone(truth));
            }
        }
        for (place, mask) in masks.iter().enumerate() {
            if !is_matched(place, |pair| pair.0) {
                overlaps.push(alone(mask));
            }
        }
        Self {
            pairs,
            overlaps,
            predictions: masks.len(),
            truths: truths.len(),
        }
    }

    /// Lets a prediction share nothing with its partner, as the paper does with objects that a
    /// language model rates low. One without a partner stays as it is.
    pub fn reject(&mut self, prediction: usize) {
        let pair = self.pairs.iter().position(|pair| pair.0 == prediction);
        if let Some(overlap) = pair.and_then(|place| self.overlaps.get_mut(place)) {
            overlap.intersection = 0;
        }
    }
}

/// What one picture, with all its questions, adds to the figures.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct MusePicture {
    iou_sum: f64,
    /// Masks that the sum is over: all predicted or all true ones, whichever are more.
    masks: usize,
    overlap: Overlap,
}

impl MusePicture {
    /// Adds up a picture's questions.
    pub fn of(questions: &[MatchedQuestion]) -> Self {
        let predictions: usize = questions.iter().map(|question| question.predictions).sum();
        let truths: usize = questions.iter().map(|question| question.truths).sum();
        let mut picture = Self {
            masks: predictions.max(truths),
            ..Self::default()
        };
        for overlap in questions.iter().flat_map(|question| &question.overlaps) {
            picture.iou_sum += overlap.iou();
            picture.overlap.intersection += overlap.intersection;
            picture.overlap.union += overlap.union;
        }
        picture
    }

    /// What the picture would reach alone; none without masks.
    pub fn giou(&self) -> Option<f64> {
        (self.masks > 0).then(|| self.iou_sum / self.masks as f64)
    }
}

/// Sum of the IoUs over the number of masks, of all pictures; none without masks.
pub fn matched_giou(pictures: &[MusePicture], draws: &Draws) -> Option<Estimate> {
    draws.estimate(|indices| {
        let (mut sum, mut masks) = (0.0, 0);
        for &index in indices {
            sum += pictures[index].iou_sum;
            masks += pictures[index].masks;
        }
        (masks > 0).then(|| sum / masks as f64)
    })
}

/// Intersection of all pairs over the union of all, masks without a partner included; none without
/// pictures.
pub fn matched_ciou(pictures: &[MusePicture], draws: &Draws) -> Option<Estimate> {
    draws.estimate(|indices| {
        let (mut intersection, mut union) = (0, 0);
        for &index in indices {
            intersection += pictures[index].overlap.intersection;
            union += pictures[index].overlap.union;
        }
        Some(intersection as f64 / (union as f64 + CIOU_EPSILON))
    })
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;

    fn rect(x0: f32, x1: f32) -> Mask {
        Mask::rect(20, 10, [x0, 0.0, x1, 10.0])
    }

    fn points() -> MatchingPoints {
        MatchingPoints::new(1)
    }

    fn value(estimate: Option<Estimate>) -> f64 {
        estimate.unwrap().value
    }

    #[test]
    fn masks_are_matched_whatever_their_order() {
        let truths = [rect(0.0, 10.0), rect(10.0, 20.0)];
        let (left, right) = (rect(0.0, 9.0), rect(12.0, 20.0));
        let question = MatchedQuestion::new(&[right, left], &truths, &points());
        assert_eq!(question.pairs, [(0, 1), (1, 0)]);
        let picture = [MusePicture::of(&[question])];
        let draws = Draws::each(1, 0);
        assert!((value(matched_giou(&picture, &draws)) - 0.85).abs() < 1e-5);
        assert!((picture[0].giou().unwrap() - 0.85).abs() < 1e-5);
        assert_eq!(MusePicture::of(&[]).giou(), None);
        assert!((value(matched_ciou(&picture, &draws)) - 170.0 / 200.0).abs() < 1e-9);
    }

    #[test]
    fn masks_without_a_partner_count_against() {
        let truth = rect(0.0, 10.0);
        let (good, extra) = (rect(0.0, 10.0), rect(15.0, 20.0));
        let too_many = MatchedQuestion::new(&[extra, good], slice::from_ref(&truth), &points());
        assert_eq!(too_many.pairs, [(1, 0)]);
        let too_few = MatchedQuestion::new(&[], &[truth], &points());
        assert!(too_few.pairs.is_empty());
        let draws = Draws::each(1, 0);
        let one = [MusePicture::of(slice::from_ref(&too_many))];
        assert!((value(matched_giou(&one, &draws)) - 0.5).abs() < 1e-5);
        assert!((value(matched_ciou(&one, &draws)) - 100.0 / 150.0).abs() < 1e-9);
        // Two predictions and two true masks in all: one IoU of 1 over two.
        let both = [MusePicture::of(&[too_many, too_few])];
        assert!((value(matched_giou(&both, &draws)) - 0.5).abs() < 1e-5);
        assert!((value(matched_ciou(&both, &draws)) - 100.0 / 250.0).abs() < 1e-9);
    }

    #[test]
    fn empty_masks_agree() {
        let empty = [Mask::new(20, 10)];
        let question = MatchedQuestion::new(&empty, &empty, &points());
        let picture = [MusePicture::of(&[question])];
        assert_eq!(value(matched_giou(&picture, &Draws::each(1, 0))), 1.0);
        assert_eq!(
            matched_giou(&[MusePicture::of(&[])], &Draws::each(1, 0)),
            None
        );
        assert_eq!(matched_ciou(&[], &Draws::each(0, 0)), None);
    }

    #[test]
    fn what_is_rejected_shares_nothing() {
        let mask = [rect(0.0, 10.0)];
        let mut question = MatchedQuestion::new(&mask, &mask, &points());
        question.reject(3);
        assert_eq!(question.overlaps[0].intersection, 100);
        question.reject(0);
        assert_eq!(
            question.overlaps,
            [Overlap {
                intersection: 0,
                union: 100
            }]
        );
    }

    #[test]
    fn costs_by_hand() {
        let close = |got: f64, expected: f64| assert!((got - expected).abs() < 1e-9, "{got}");
        let (logits, truth) = ([0.0f32; 4], [1.0f32, 1.0, 0.0, 0.0]);
        // Entropy ln 2; dice 1 - (2 + 1) / (2 + 2 + 1).
        close(cost(&logits, &truth), 2.0f64.ln() + 0.4);
        let sure = [SURE_LOGIT, SURE_LOGIT, -SURE_LOGIT, -SURE_LOGIT];
        assert!(cost(&sure, &truth) < 1e-3);
        let wrong = sure.map(|logit| -logit);
        assert!((cost(&wrong, &truth) - (10.0 + 0.8)).abs() < 1e-2);
    }

    #[test]
    fn points_lie_between_pixels() {
        let points = MatchingPoints {
            points: vec![[0.5, 0.5], [0.25, 0.25], [0.0, 0.25], [1.0, 1.0]],
        };
        let field = [1.0f32, 2.0, 3.0, 4.0];
        let values = points.sample(2, 2, |place| field[place]);
        assert_eq!(values, [2.5, 1.0, 0.5, 1.0]);
    }

    #[test]
    fn logits_match_as_their_masks_do() {
        let truths = [rect(0.0, 10.0), rect(10.0, 20.0)];
        let logits = |mask: &Mask| {
            let values: Vec<f32> = mask
                .data()
                .iter()
                .map(|&set| 6.0 * f32::from(set) - 3.0)
                .collect();
            points().logits(&values, 20, 10)
        };
        let predictions = [logits(&truths[1]), logits(&truths[0])];
        let pairs = matched_pairs(&predictions, &truths, &points());
        assert_eq!(pairs, [(0, 1), (1, 0)]);
        let masks = [truths[1].clone(), truths[0].clone()];
        let question = MatchedQuestion::paired(&masks, &truths, pairs).unwrap();
        let overlaps = &question.overlaps;
        assert!(overlaps.iter().all(|overlap| overlap.intersection == 100));
    }

    /// Two blank masks that a threshold makes equal: one of them is nearly sure of the left half.
    #[test]
    fn logits_tell_apart_what_a_threshold_does_not() {
        let truth = [rect(0.0, 10.0)];
        let far = vec![-8.0; 200];
        let mut near = far.clone();
        for row in near.chunks_exact_mut(20) {
            row[..10].fill(-0.1);
        }
        let of = |values: &[f32]| points().logits(values, 20, 10);
        for (predictions, expected) in [
            ([of(&far), of(&near)], [(1, 0)]),
            ([of(&near), of(&far)], [(0, 0)]),
        ] {
            assert_eq!(matched_pairs(&predictions, &truth, &points()), expected);
        }
        let blank = [Mask::new(20, 10), Mask::new(20, 10)];
        assert_eq!(
            MatchedQuestion::new(&blank, &truth, &points()).pairs,
            [(0, 0)]
        );
        let question = MatchedQuestion::paired(&blank, &truth, vec![(1, 0)]).unwrap();
        assert_eq!(question.pairs, [(1, 0)]);
    }

    #[test]
    fn pairs_of_other_masks_are_refused() {
        let masks = [rect(0.0, 10.0), rect(10.0, 20.0)];
        let paired = |pairs: &[(usize, usize)]| {
            MatchedQuestion::paired(&masks, &masks, pairs.to_vec()).is_some()
        };
        assert!(paired(&[(0, 1), (1, 0)]));
        assert!(!paired(&[(0, 2)]));
        assert!(!paired(&[(2, 0)]));
        assert!(!paired(&[(0, 0), (0, 1)]));
        assert!(!paired(&[(0, 0), (1, 0)]));
    }

    #[test]
    fn points_follow_their_seed() {
        assert_eq!(points().points.len(), POINTS);
        assert_eq!(points(), MatchingPoints::new(1));
        assert_ne!(points(), MatchingPoints::new(2));
        let inside = |share: &f32| (0.0..1.0).contains(share);
        assert!(points().points.as_flattened().iter().all(inside));
    }
}
