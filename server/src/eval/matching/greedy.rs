//! Pairs of true and predicted masks of a grounded caption, best first, as GLaMM's
//! [`eval/gcg/evaluate.py`](https://github.com/mbzuai-oryx/groundingLMM/blob/main/eval/gcg/evaluate.py)
//! makes them.
//!
//! Tables of IoUs have a row for each true mask and a column for each predicted one. Where several
//! pairs are equally good, the first row's first one is taken, as NumPy's `argmax` does.

use crate::eval::metrics::{Draws, Estimate};

/// IoU at which a phrase's mask is found.
const IOU_THRESHOLD: f64 = 0.5;
/// Similarity at which a phrase says the same.
const SIMILARITY_THRESHOLD: f64 = 0.5;

/// Mean IoU of one picture: masks are paired one to one, those with the highest IoU first, until
/// none shares a pixel with another; what is left over does not count. 0 without pairs.
///
/// The figure of a set is the mean over its pictures.
pub fn paired_iou(ious: &[Vec<f64>]) -> f64 {
    let mut left = Left::of(ious);
    let (mut sum, mut pairs) = (0.0, 0usize);
    while let Some((row, column)) = left.best(ious) {
        let iou = ious[row][column];
        if iou.is_nan() || iou <= 0.0 {
            break;
        }
        sum += iou;
        pairs += 1;
        left.remove(row, column);
    }
    match pairs {
        0 => 0.0,
        pairs => sum / pairs as f64,
    }
}

/// How many of a picture's phrases were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PhraseRecall {
    /// Phrases whose mask and words both agree with a prediction's.
    pub found: usize,
    /// All true phrases.
    pub phrases: usize,
}

impl PhraseRecall {
    /// Pairs one picture's masks, those with the highest IoU first, and stops at the first pair
    /// whose IoU or whose phrases' similarity is below one half, even if others would pass.
    ///
    /// `similarity(row, column)` compares a true phrase with a predicted one, and is asked only
    /// about pairs whose masks agree.
    pub fn of(ious: &[Vec<f64>], similarity: impl Fn(usize, usize) -> f64) -> Self {
        let mut left = Left::of(ious);
        let mut found = 0;
        while let Some((row, column)) = left.best(ious) {
            // Written so that what is no number passes neither test.
            let passes = ious[row][column] >= IOU_THRESHOLD
                && similarity(row, column) >= SIMILARITY_THRESHOLD;
            if !passes {
                break;
            }
            found += 1;
            left.remove(row, column);
        }
        Self {
            found,
            phrases: ious.len(),
        }
    }
}

/// Found phrases of all pictures over all phrases; none without phrases.
pub fn phrase_recall(pictures: &[PhraseRecall], draws: &Draws) -> Option<Estimate> {
    draws.estimate(|indices| {
        let (mut found, mut phrases) = (0, 0);
        for &index in indices {
            found += pictures[index].found;
            phrases += pictures[index].phrases;
        }
        (phrases > 0).then(|| found as f64 / phrases as f64)
    })
}

/// Rows and columns that are not paired yet.
struct Left {
    rows: Vec<bool>,
    columns: Vec<bool>,
}

impl Left {
    fn of(table: &[Vec<f64>]) -> Self {
        Self {
            rows: vec![true; table.len()],
            columns: vec![true; table.iter().map(Vec::len).max().unwrap_or(0)],
        }
    }

    fn best(&self, table: &[Vec<f64>]) -> Option<(usize, usize)> {
        let mut best: Option<(usize, usize)> = None;
        for (row, values) in table.iter().enumerate() {
            for (column, value) in values.iter().enumerate() {
                let is_left = self.rows[row] && self.columns[column];
                if is_left && best.is_none_or(|(a, b)| *value > table[a][b]) {
                    best = Some((row, column));
                }
            }
        }
        best
    }

    fn remove(&mut self, row: usize, column: usize) {
        self.rows[row] = false;
        self.columns[column] = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_the_best_first() {
        // 0.9 takes row 0 and column 0, so that 0.8 is gone; 0.1 pairs the rest.
        let ious = [vec![0.9, 0.2], vec![0.8, 0.1]];
        assert!((paired_iou(&ious) - 0.5).abs() < 1e-12);
        // What is left over does not count.
        assert!((paired_iou(&[vec![0.5, 0.4, 0.3]]) - 0.5).abs() < 1e-12);
        assert!((paired_iou(&[vec![0.5, 0.0], vec![0.0, 0.0]]) - 0.5).abs() < 1e-12);
        assert_eq!(paired_iou(&[vec![0.0]]), 0.0);
        assert_eq!(paired_iou(&[vec![]]), 0.0);
        assert_eq!(paired_iou(&[]), 0.0);
    }

    #[test]
    fn recall_needs_mask_and_words() {
        let ious = [vec![0.9, 0.0], vec![0.0, 0.6]];
        let of = |similar: [[f64; 2]; 2]| {
            PhraseRecall::of(&ious, |row, column| similar[row][column]).found
        };
        assert_eq!(of([[0.5, 0.0], [0.0, 0.7]]), 2);
        assert_eq!(of([[0.9, 0.0], [0.0, 0.4]]), 1);
        // The first pair fails, and the second, which would pass, is not looked at.
        assert_eq!(of([[0.4, 0.0], [0.0, 0.9]]), 0);
        assert_eq!(of([[f64::NAN, 0.0], [0.0, 0.9]]), 0);
        let below = PhraseRecall::of(&[vec![0.49]], |_, _| 1.0);
        assert_eq!(
            below,
            PhraseRecall {
                found: 0,
                phrases: 1
            }
        );
    }

    #[test]
    fn of_equal_pairs_the_first_is_taken() {
        // Row 0 takes column 0, although row 1 could only have that.
        let found = PhraseRecall::of(&[vec![0.7, 0.7], vec![0.7, 0.0]], |_, _| 1.0);
        assert_eq!(
            found,
            PhraseRecall {
                found: 1,
                phrases: 2
            }
        );
    }

    #[test]
    fn recall_is_over_all_phrases() {
        let pictures = [
            PhraseRecall {
                found: 1,
                phrases: 1,
            },
            PhraseRecall {
                found: 0,
                phrases: 3,
            },
        ];
        let recall = phrase_recall(&pictures, &Draws::each(2, 1)).unwrap();
        assert_eq!(recall.value, 0.25);
        let none = PhraseRecall::of(&[], |_, _| 1.0);
        assert_eq!(phrase_recall(&[none], &Draws::each(1, 1)), None);
    }
}
