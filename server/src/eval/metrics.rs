//! Figures over a data set, each with a bootstrap interval.
//!
//! gIoU and cIoU are those of LISA's
//! [`validate`](https://github.com/dvlab-research/LISA/blob/main/train_ds.py): gIoU is the mean of
//! the samples' IoUs, cIoU the intersection of all over the union of all.

use std::collections::BTreeMap;

use fclm_core::mask::Mask;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Resamples behind every interval.
pub const RESAMPLES: usize = 1000;

const IOU_EPSILON: f64 = 1e-5;
const CIOU_EPSILON: f64 = 1e-10;

/// A figure and its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The figure over all samples.
    pub value: f64,
    /// 2.5th percentile of the resampled figures.
    pub low: f64,
    /// 97.5th percentile of the resampled figures.
    pub high: f64,
}

/// Which samples are drawn together when a figure's interval is made.
///
/// Samples of one scene resemble each other, so that scenes are drawn, not samples.
#[derive(Debug, Clone)]
pub struct Draws {
    clusters: Vec<Vec<usize>>,
    seed: u64,
}

impl Draws {
    /// Each of `n` samples by itself.
    pub fn each(n: usize, seed: u64) -> Self {
        Self {
            clusters: (0..n).map(|index| vec![index]).collect(),
            seed,
        }
    }

    /// Samples of one scene together; `scenes` holds the place of each sample's scene in the data
    /// set. Ids would not do, as several scenes may have the same.
    pub fn by_scene(scenes: &[usize], seed: u64) -> Self {
        let mut clusters: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, &scene) in scenes.iter().enumerate() {
            clusters.entry(scene).or_default().push(index);
        }
        Self {
            clusters: clusters.into_values().collect(),
            seed,
        }
    }

    /// A figure with its percentile bootstrap interval: it is computed for all samples and for
    /// [`RESAMPLES`] draws of clusters with replacement. Draws for which there is no figure are
    /// left out; none where there is none for all samples.
    pub fn estimate(&self, figure: impl Fn(&[usize]) -> Option<f64>) -> Option<Estimate> {
        if self.clusters.is_empty() {
            return None;
        }
        let mut all = self.clusters.concat();
        all.sort_unstable();
        let value = figure(&all)?;
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut resampled = Vec::with_capacity(RESAMPLES);
        let mut indices = Vec::with_capacity(all.len());
        for _ in 0..RESAMPLES {
            indices.clear();
            for _ in 0..self.clusters.len() {
                // Drawn as 64 bits so that every platform draws the same.
                let cluster = rng.random_range(0..self.clusters.len() as u64) as usize;
                indices.extend_from_slice(&self.clusters[cluster]);
            }
            resampled.extend(figure(&indices));
        }
        resampled.sort_unstable_by(f64::total_cmp);
        let (low, high) = match resampled.is_empty() {
            true => (value, value),
            false => (percentile(&resampled, 0.025), percentile(&resampled, 0.975)),
        };
        Some(Estimate { value, low, high })
    }
}

/// What a predicted mask shares with the true one, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Overlap {
    /// Pixels in both.
    pub intersection: u64,
    /// Pixels in at least one.
    pub union: u64,
}

impl Overlap {
    /// Compares two masks.
    ///
    /// # Panics
    /// If the sizes differ.
    pub fn of(prediction: &Mask, truth: &Mask) -> Self {
        let (intersection, union) = prediction.intersection_and_union(truth);
        Self {
            intersection,
            union,
        }
    }

    /// Compares two masks outside the pixels whose truth is unknown (255 in LISA's labels).
    ///
    /// # Panics
    /// If the sizes differ.
    pub fn of_known(prediction: &Mask, truth: &Mask, unknown: &Mask) -> Self {
        let size = |mask: &Mask| (mask.width(), mask.height());
        assert!(
            size(prediction) == size(truth) && size(truth) == size(unknown),
            "masks must be of one size"
        );
        let mut overlap = Self::default();
        let pixels = prediction
            .data()
            .iter()
            .zip(truth.data())
            .zip(unknown.data());
        for ((&predicted, &true_pixel), &unknown) in pixels {
            overlap.intersection += u64::from(predicted & true_pixel & !unknown);
            overlap.union += u64::from((predicted | true_pixel) & !unknown);
        }
        overlap
    }

    /// The sample's IoU as LISA has it: 1 where both masks are empty.
    pub fn iou(self) -> f64 {
        if self.union == 0 {
            return 1.0;
        }
        self.intersection as f64 / (self.union as f64 + IOU_EPSILON)
    }

    /// Whether the IoU is at least 0.5, without LISA's epsilon.
    pub fn is_success(self) -> bool {
        2 * self.intersection >= self.union
    }
}

/// Mean of the samples' IoUs; none without samples.
pub fn giou(overlaps: &[Overlap], draws: &Draws) -> Option<Estimate> {
    mean(
        &overlaps
            .iter()
            .map(|overlap| overlap.iou())
            .collect::<Vec<_>>(),
        draws,
    )
}

/// Intersection of all samples over the union of all; none without samples.
pub fn ciou(overlaps: &[Overlap], draws: &Draws) -> Option<Estimate> {
    draws.estimate(|indices| {
        let (mut intersection, mut union) = (0u64, 0u64);
        for &index in indices {
            intersection += overlaps[index].intersection;
            union += overlaps[index].union;
        }
        Some(intersection as f64 / (union as f64 + CIOU_EPSILON))
    })
}

/// Share of samples whose IoU is at least 0.5; none without samples.
pub fn success_at_50(overlaps: &[Overlap], draws: &Draws) -> Option<Estimate> {
    share(
        &overlaps
            .iter()
            .map(|overlap| overlap.is_success())
            .collect::<Vec<_>>(),
        draws,
    )
}

/// Share of answers whose colour, material and shape are all right; none without answers.
pub fn category_accuracy(right: &[bool], draws: &Draws) -> Option<Estimate> {
    share(right, draws)
}

/// Share of samples that hold; none without samples.
pub fn share(holds: &[bool], draws: &Draws) -> Option<Estimate> {
    mean(
        &holds
            .iter()
            .map(|&holds| f64::from(u8::from(holds)))
            .collect::<Vec<_>>(),
        draws,
    )
}

/// Mean of the samples; none without samples.
pub fn mean(values: &[f64], draws: &Draws) -> Option<Estimate> {
    draws.estimate(|indices| {
        Some(indices.iter().map(|&index| values[index]).sum::<f64>() / indices.len() as f64)
    })
}

/// Spearman's rank correlation, ties sharing their mean rank; none where one side is constant.
///
/// # Panics
/// If the sides are not of one length.
pub fn spearman(left: &[f64], right: &[f64], draws: &Draws) -> Option<Estimate> {
    assert_eq!(left.len(), right.len(), "one value on each side a sample");
    draws.estimate(|indices| {
        let pick = |values: &[f64]| ranks(&indices.iter().map(|&i| values[i]).collect::<Vec<_>>());
        pearson(&pick(left), &pick(right))
    })
}

/// Linear interpolation between order statistics, as NumPy's default.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for tied in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let mean_rank = before as f64 + (tied.len() + 1) as f64 / 2.0;
        for &index in tied {
            ranks[index] = mean_rank;
        }
        before += tied.len();
    }
    ranks
}

fn pearson(left: &[f64], right: &[f64]) -> Option<f64> {
    let n = left.len() as f64;
    let (mean_left, mean_right) = (left.iter().sum::<f64>() / n, right.iter().sum::<f64>() / n);
    let (mut product, mut square_left, mut square_right) = (0.0, 0.0, 0.0);
    for (a, b) in left.iter().zip(right) {
        let (a, b) = (a - mean_left, b - mean_right);
        product += a * b;
        square_left += a * a;
        square_right += b * b;
    }
    let scale = (square_left * square_right).sqrt();
    (scale > 0.0).then(|| (product / scale).clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLES: [Overlap; 4] = [
        Overlap {
            intersection: 50,
            union: 100,
        },
        Overlap {
            intersection: 0,
            union: 0,
        },
        Overlap {
            intersection: 0,
            union: 40,
        },
        Overlap {
            intersection: 30,
            union: 30,
        },
    ];

    fn close(got: f64, expected: f64) {
        assert!((got - expected).abs() < 1e-6, "{got} is not {expected}");
    }

    #[test]
    fn ious_by_hand() {
        close(
            giou(&SAMPLES, &Draws::each(4, 0)).unwrap().value,
            (0.5 + 1.0 + 0.0 + 1.0) / 4.0,
        );
        close(
            ciou(&SAMPLES, &Draws::each(4, 0)).unwrap().value,
            80.0 / 170.0,
        );
        close(
            success_at_50(&SAMPLES, &Draws::each(4, 0)).unwrap().value,
            0.75,
        );
    }

    #[test]
    fn epsilons_are_the_reference_s() {
        let one = [Overlap {
            intersection: 1,
            union: 1,
        }];
        assert_eq!(
            giou(&one, &Draws::each(1, 0)).unwrap().value,
            1.0 / (1.0 + 1e-5)
        );
        assert_eq!(
            ciou(&one, &Draws::each(1, 0)).unwrap().value,
            1.0 / (1.0 + 1e-10)
        );
        assert_eq!(
            ciou(&[Overlap::default()], &Draws::each(1, 0))
                .unwrap()
                .value,
            0.0
        );
    }

    #[test]
    fn overlaps_of_masks() {
        let prediction = Mask::rect(10, 10, [0.0, 0.0, 6.0, 10.0]);
        let truth = Mask::rect(10, 10, [4.0, 0.0, 10.0, 10.0]);
        assert_eq!(
            Overlap::of(&prediction, &truth),
            Overlap {
                intersection: 20,
                union: 100
            }
        );
        let unknown = Mask::rect(10, 10, [5.0, 0.0, 10.0, 5.0]);
        assert_eq!(
            Overlap::of_known(&prediction, &truth, &unknown),
            Overlap {
                intersection: 15,
                union: 75
            }
        );
    }

    #[test]
    fn spearman_with_ties() {
        // scipy.stats.spearmanr gives the same.
        let left = [1.0, 2.0, 2.0, 3.0, 5.0];
        let right = [2.0, 1.0, 4.0, 4.0, 5.0];
        close(
            spearman(&left, &right, &Draws::each(5, 0)).unwrap().value,
            0.763_157_894_7,
        );
        close(
            spearman(&left, &left, &Draws::each(5, 0)).unwrap().value,
            1.0,
        );
        assert_eq!(spearman(&left, &[3.0; 5], &Draws::each(5, 0)), None);
    }

    #[test]
    fn intervals_hold_the_figure_and_follow_the_seed() {
        let values: Vec<f64> = (0..200).map(|i| f64::from(i % 10)).collect();
        let first = mean(&values, &Draws::each(200, 7)).unwrap();
        assert_eq!(first, mean(&values, &Draws::each(200, 7)).unwrap());
        assert_ne!(first, mean(&values, &Draws::each(200, 8)).unwrap());
        assert!(first.low < first.value && first.value < first.high);
        // Standard error of the mean: sqrt(8.25 / 200).
        close(
            ((first.high - first.low) / (2.0 * 1.96 * 0.2031)).round(),
            1.0,
        );
    }

    #[test]
    fn samples_of_one_scene_are_no_further_evidence() {
        let once: Vec<f64> = (0..100).map(|i| f64::from(i % 2)).collect();
        let thrice = once.repeat(3);
        let scenes: Vec<usize> = (0..100).collect::<Vec<_>>().repeat(3);
        let width = |estimate: Estimate| estimate.high - estimate.low;
        let alone = width(mean(&once, &Draws::each(100, 1)).unwrap());
        let clustered = width(mean(&thrice, &Draws::by_scene(&scenes, 1)).unwrap());
        close(alone, clustered);
        assert!(width(mean(&thrice, &Draws::each(300, 1)).unwrap()) < 0.7 * alone);
    }

    #[test]
    fn nothing_gives_nothing() {
        let none = Draws::each(0, 0);
        assert_eq!(giou(&[], &none), None);
        assert_eq!(ciou(&[], &none), None);
        assert_eq!(category_accuracy(&[], &none), None);
        assert_eq!(spearman(&[], &[], &none), None);
    }

    #[test]
    fn percentiles_interpolate() {
        assert_eq!(percentile(&[1.0, 2.0, 4.0], 0.75), 3.0);
        assert_eq!(percentile(&[5.0], 0.975), 5.0);
    }
}
