//! Average precision as the COCO API's
//! [`cocoeval.py`](https://github.com/cocodataset/cocoapi/blob/master/PythonAPI/pycocotools/cocoeval.py)
//! has it, for masks of one category and of any size.
//!
//! All detections have the same score here, as in the evaluation of grounded captions, so that
//! their order is that of the pictures' ids, and within a picture that in which they were made.

use fclm_core::mask::{MaskError, Rle};

use crate::eval::metrics::{Draws, Estimate};

/// Detections of a picture that count; those behind them are left out.
const MOST_DETECTIONS: usize = 100;
/// Recalls at which precision is read off, 0 to 1.
const RECALLS: usize = 101;

/// A mask of the ground truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrueMask {
    /// The mask.
    pub mask: Rle,
    /// A crowd: detections in it count neither for nor against, and it need not be found.
    pub is_crowd: bool,
}

/// What became of a picture's detections.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DetectedPicture {
    /// Whether each detection found a mask, in the order in which they were made; those that
    /// count neither for nor against are left out.
    is_right: Vec<bool>,
    /// True masks that are to be found.
    positives: usize,
}

impl DetectedPicture {
    /// Matches detections with true masks. Each in turn takes the mask that it overlaps most, with
    /// an IoU of at least `threshold`, of those that none before it has taken.
    ///
    /// # Errors
    /// If masks are not of one size.
    pub fn of(predicted: &[Rle], truths: &[TrueMask], threshold: f64) -> Result<Self, MaskError> {
        let mut is_taken = vec![false; truths.len()];
        let mut is_right = Vec::new();
        for mask in predicted.iter().take(MOST_DETECTIONS) {
            let mut best: Option<usize> = None;
            let mut best_iou = threshold.min(1.0 - 1e-10);
            // Crowds come last, and only where nothing else has been found.
            for is_crowd in [false, true] {
                for (place, truth) in truths.iter().enumerate() {
                    let is_free = truth.is_crowd || !is_taken[place];
                    if truth.is_crowd != is_crowd || !is_free {
                        continue;
                    }
                    let iou = match is_crowd {
                        true => mask.iou_with_crowd(&truth.mask)?,
                        false => mask.iou(&truth.mask)?,
                    };
                    if iou >= best_iou {
                        best_iou = iou;
                        best = Some(place);
                    }
                }
                if best.is_some() {
                    break;
                }
            }
            match best {
                None => is_right.push(false),
                Some(place) => {
                    is_taken[place] = true;
                    if !truths[place].is_crowd {
                        is_right.push(true);
                    }
                }
            }
        }
        Ok(Self {
            is_right,
            positives: truths.iter().filter(|truth| !truth.is_crowd).count(),
        })
    }
}

/// Average precision of a set of pictures, 0 to 1; none without masks to be found. Whatever their
/// order, they count in that of their `ids`, one for each of them.
///
/// # Panics
/// If there are fewer ids than pictures.
pub fn average_precision(
    pictures: &[DetectedPicture],
    ids: &[&str],
    draws: &Draws,
) -> Option<Estimate> {
    let ranks = ranks(ids);
    draws.estimate(|indices| {
        let mut ordered = indices.to_vec();
        ordered.sort_by_key(|&index| ranks[index]);
        precision(ordered.iter().map(|&index| &pictures[index]))
    })
}

/// The rank of each picture in the order in which the COCO API goes through them: by ids as numbers
/// where all of them are whole numbers, else as texts.
fn ranks(ids: &[&str]) -> Vec<usize> {
    let numbers: Option<Vec<i128>> = ids.iter().map(|id| id.parse::<i128>().ok()).collect();
    let mut order: Vec<usize> = (0..ids.len()).collect();
    match numbers {
        Some(numbers) => order.sort_by_key(|&place| numbers[place]),
        None => order.sort_by_key(|&place| ids[place]),
    }
    let mut ranks = vec![0; ids.len()];
    for (rank, place) in order.into_iter().enumerate() {
        ranks[place] = rank;
    }
    ranks
}

fn precision<'a>(pictures: impl Iterator<Item = &'a DetectedPicture>) -> Option<f64> {
    let mut positives = 0;
    let (mut right, mut wrong) = (0u64, 0u64);
    let mut found = Vec::new();
    let mut precisions = Vec::new();
    for picture in pictures {
        positives += picture.positives;
        for &is_right in &picture.is_right {
            right += u64::from(is_right);
            wrong += u64::from(!is_right);
            found.push(right);
            precisions.push(right as f64 / ((right + wrong) as f64 + f64::EPSILON));
        }
    }
    if positives == 0 {
        return None;
    }
    for place in (1..precisions.len()).rev() {
        precisions[place - 1] = f64::max(precisions[place - 1], precisions[place]);
    }
    let sum: f64 = (0..RECALLS)
        .map(|step| {
            // NumPy's `linspace`, rounding included.
            let recall = if step + 1 == RECALLS {
                1.0
            } else {
                step as f64 * 0.01
            };
            let place = found.partition_point(|&right| (right as f64 / positives as f64) < recall);
            precisions.get(place).copied().unwrap_or(0.0)
        })
        .sum();
    Some(sum / RECALLS as f64)
}

#[cfg(test)]
mod tests {
    use fclm_core::mask::Mask;

    use super::*;

    fn rect(x0: f32, x1: f32) -> Rle {
        Rle::from_mask(&Mask::rect(20, 10, [x0, 0.0, x1, 10.0]))
    }

    fn truth(x0: f32, x1: f32) -> TrueMask {
        TrueMask {
            mask: rect(x0, x1),
            is_crowd: false,
        }
    }

    fn picture(is_right: &[bool], positives: usize) -> DetectedPicture {
        DetectedPicture {
            is_right: is_right.to_vec(),
            positives,
        }
    }

    fn ap(pictures: &[DetectedPicture]) -> Option<f64> {
        precision(pictures.iter())
    }

    #[test]
    fn detections_take_the_best_free_mask() {
        let truths = [truth(0.0, 10.0), truth(10.0, 20.0)];
        let predicted = [
            // IoU 0.9 with the first, then again, when it is taken; 0.4 with the second.
            rect(0.0, 9.0),
            rect(0.0, 10.0),
            rect(10.0, 14.0),
        ];
        let matched = DetectedPicture::of(&predicted, &truths, 0.5).unwrap();
        assert_eq!(matched, picture(&[true, false, false], 2));
        let matched = DetectedPicture::of(&predicted, &truths, 0.4).unwrap();
        assert_eq!(matched, picture(&[true, false, true], 2));
    }

    #[test]
    fn crowds_count_for_nothing() {
        let mut crowd = truth(10.0, 20.0);
        crowd.is_crowd = true;
        let predicted = [rect(11.0, 13.0), rect(15.0, 16.0), rect(0.0, 10.0)];
        let truths = [crowd, truth(0.0, 10.0)];
        let matched = DetectedPicture::of(&predicted, &truths, 0.5).unwrap();
        assert_eq!(matched, picture(&[true], 1));
    }

    #[test]
    fn only_a_hundred_detections_count() {
        let mut predicted = vec![rect(10.0, 20.0); 100];
        predicted.push(rect(0.0, 10.0));
        let matched = DetectedPicture::of(&predicted, &[truth(0.0, 10.0)], 0.5).unwrap();
        assert_eq!(matched, picture(&[false; 100], 1));
    }

    #[test]
    fn masks_of_other_sizes_are_refused() {
        let other = Rle::from_mask(&Mask::new(3, 3));
        assert!(DetectedPicture::of(&[other], &[truth(0.0, 10.0)], 0.5).is_err());
    }

    #[test]
    fn precision_by_hand() {
        assert!((ap(&[picture(&[true, true], 2)]).unwrap() - 1.0).abs() < 1e-12);
        assert_eq!(ap(&[picture(&[false, false], 2)]), Some(0.0));
        assert_eq!(ap(&[picture(&[], 2)]), Some(0.0));
        assert_eq!(ap(&[picture(&[false], 0)]), None);
        // Right, wrong, right of two: precision 1 up to recall 0.5 (51 of the 101 recalls), and
        // 2/3 up to 1.
        let expected = (51.0 + 50.0 * 2.0 / 3.0) / 101.0;
        let value = ap(&[picture(&[true, false, true], 2)]).unwrap();
        assert!((value - expected).abs() < 1e-12, "{value}");
        // A wrong one first lowers everything behind it: 1/2 up to 0.5, then 2/3; the better
        // precision behind counts for what comes before.
        let value = ap(&[picture(&[false, true], 1), picture(&[true], 1)]).unwrap();
        assert!((value - 2.0 / 3.0).abs() < 1e-12, "{value}");
    }

    #[test]
    fn recalls_are_rounded_as_numpy_does() {
        // 35 times 0.01 is a little more than 7/20, so that this recall is not reached by seven.
        let mut is_right = vec![true; 7];
        is_right.extend([false; 5]);
        let value = ap(&[picture(&is_right, 20)]).unwrap();
        assert!((value - 35.0 / 101.0).abs() < 1e-9, "{value}");
    }

    #[test]
    fn pictures_are_drawn_for_the_interval() {
        let pictures = [picture(&[true], 1), picture(&[false], 1)];
        let estimate = average_precision(&pictures, &["a", "b"], &Draws::each(2, 5)).unwrap();
        assert_eq!(Some(estimate.value), ap(&pictures));
        assert!(estimate.low < estimate.value && estimate.value < estimate.high);
        assert_eq!(average_precision(&[], &[], &Draws::each(0, 5)), None);
    }

    #[test]
    fn pictures_count_in_the_order_of_their_ids() {
        let (right, wrong) = (picture(&[true], 1), picture(&[false], 1));
        let value = |pictures: [&DetectedPicture; 2], ids: [&str; 2]| {
            let pictures = pictures.map(DetectedPicture::clone);
            let estimate = average_precision(&pictures, &ids, &Draws::each(2, 5));
            estimate.unwrap().value
        };
        // Right before wrong: precision 1 up to recall 0.5; wrong before right: 1/2.
        let (first, second) = (51.0 / 101.0, 25.5 / 101.0);
        for (ids, expected) in [
            (["2", "10"], first),
            (["b", "a"], second),
            // As texts, 10 comes before 2.
            (["2", "10 "], second),
        ] {
            let [of_right, of_wrong] = ids;
            for value in [
                value([&right, &wrong], [of_right, of_wrong]),
                value([&wrong, &right], [of_wrong, of_right]),
            ] {
                assert!((value - expected).abs() < 1e-12, "{ids:?}: {value}");
            }
        }
    }
}
