//! The segmentation loss on sampled points instead of whole masks.

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::segmentation::{averaged, segmentation_by_row};
use crate::field::{FieldError, count, require};
use crate::region::sample_bilinear;

/// Most points of a mask: more than SAM's input has pixels.
const MOST_POINTS: usize = 1 << 20;
/// How often the interval that holds the border between certain and uncertain is halved: logits a
/// ten-millionth of their range apart count as equal.
const HALVINGS: usize = 24;

/// How points are sampled: three quarters where the mask is least certain, the others anywhere
/// (PointRend's rule with Mask2Former's numbers, <https://arxiv.org/abs/2112.01527>).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PointSampling {
    /// Points of each mask.
    pub points: usize,
    /// Candidates for each point.
    pub oversample: f64,
    /// Share of the points that are the least certain candidates.
    pub importance: f64,
}

impl Default for PointSampling {
    fn default() -> Self {
        Self {
            points: 12_544,
            oversample: 3.0,
            importance: 0.75,
        }
    }
}

impl PointSampling {
    /// Checks that points can be sampled this way.
    ///
    /// # Errors
    /// Names the first field that is wrong, and its value.
    pub fn validate(&self) -> Result<(), FieldError> {
        count("points", self.points, MOST_POINTS)?;
        require(
            (1.0..=16.0).contains(&self.oversample),
            "oversample",
            &self.oversample,
            "be 1 to 16",
        )?;
        require(
            (0.0..=1.0).contains(&self.importance),
            "importance",
            &self.importance,
            "be 0 to 1",
        )
    }

    /// Places that [`segmentation_at_points`] asks for, for each mask: the candidates, and behind
    /// them those that are taken as they come.
    pub fn draws(&self) -> usize {
        self.candidates() + self.points - self.important()
    }

    fn candidates(&self) -> usize {
        (self.points as f64 * self.oversample) as usize
    }

    fn important(&self) -> usize {
        (self.points as f64 * self.importance) as usize
    }

    /// How often each draw counts: candidates once or not at all, the others once.
    ///
    /// # Shapes
    /// - `logits`: `[masks, draws]`
    /// - output: the same
    fn weights(&self, logits: Tensor<2>) -> Tensor<2> {
        let [masks, draws] = logits.dims();
        let candidates = self.candidates();
        // Nothing is learned from which points are chosen.
        let certainty = logits.without_autodiff().cast(DType::F32).abs();
        let chosen = smallest(&certainty.narrow(1, 0, candidates), self.important());
        if draws == candidates {
            return chosen;
        }
        let others = [masks, draws - candidates];
        let others = Tensor::ones(others, (&chosen.device(), DType::F32));
        Tensor::cat(vec![chosen, others], 1)
    }
}

/// [`segmentation_loss`](super::segmentation_loss) on sampled points, averaged over the masks.
///
/// Candidates that are not chosen count zero times, which saves picking them out: a GPU can neither
/// sort nor number what it keeps without the host.
///
/// # Shapes
/// - `logits`: `[masks, height, width]`
/// - `target`: `[masks, height', width']` in `[0, 1]`, the same window at any resolution
/// - `draws`: `[masks, draws, 2]`, x and y drawn uniformly from `[0, 1)` over that window,
///   [`PointSampling::draws`] for each mask: the same draws give the same points
/// - output: `[1]`
///
/// # Panics
/// Panics where there are fewer draws than `sampling` has candidates.
pub fn segmentation_at_points(
    logits: Tensor<3>,
    target: Tensor<3>,
    draws: Tensor<3>,
    sampling: &PointSampling,
) -> Tensor<1> {
    averaged(segmentation_at_points_by_mask(
        logits, target, draws, sampling,
    ))
}

/// [`segmentation_at_points`] of each mask by itself.
///
/// # Shapes
/// - `logits`, `target`, `draws`: as there
/// - output: `[masks, 1]`
///
/// # Panics
/// As there.
pub fn segmentation_at_points_by_mask(
    logits: Tensor<3>,
    target: Tensor<3>,
    draws: Tensor<3>,
    sampling: &PointSampling,
) -> Tensor<2> {
    let logits = at_points(logits, draws.clone());
    let target = at_points(target, draws);
    let weights = sampling.weights(logits.clone());
    segmentation_by_row(logits, target, Some(weights))
}

/// The values of maps at places in `[0, 1]` over each, `[masks, points]` in f32.
fn at_points(maps: Tensor<3>, points: Tensor<3>) -> Tensor<2> {
    let [masks, height, width] = maps.dims();
    let [_, count, _] = points.dims();
    let cells = maps.reshape([masks, height * width, 1]);
    let values = sample_bilinear(&cells, [height, width], points);
    values.reshape([masks, count]).cast(DType::F32)
}

/// 1 for the `count` smallest numbers of each row, 0 for the others; equal numbers at the border
/// share what is left.
///
/// The border is found by halving an interval, because sorting is done on the host.
fn smallest(values: &Tensor<2>, count: usize) -> Tensor<2> {
    let count = count as f64;
    let within = |bound: &Tensor<2>| {
        let is_within = values.clone().lower_equal(bound.clone());
        is_within.float().cast(DType::F32)
    };
    // At most `count` numbers are within the lower bound, at least `count` within the upper.
    let mut lower = values.clone().min_dim(1).sub_scalar(1.0);
    let mut upper = values.clone().max_dim(1);
    for _ in 0..HALVINGS {
        let middle = (lower.clone() + upper.clone()).mul_scalar(0.5);
        let is_enough = within(&middle).sum_dim(1).greater_equal_scalar(count);
        upper = upper.mask_where(is_enough.clone(), middle.clone());
        lower = middle.mask_where(is_enough, lower);
    }
    let inside = within(&lower);
    let border = within(&upper) - inside.clone();
    let left = inside.clone().sum_dim(1).neg().add_scalar(count);
    let share = left / border.clone().sum_dim(1).clamp_min(1.0);
    inside + border * share
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData, Tolerance};

    use super::*;
    use crate::fixtures::{device, test_device};

    fn assert_values<const D: usize>(found: Tensor<D>, expected: impl Into<TensorData>) {
        let bound = Tolerance::absolute(1e-5);
        found
            .into_data()
            .assert_approx_eq::<f32>(&expected.into(), bound);
    }

    /// The centres of the pixels of a 2x2 map.
    const TOP_LEFT: [f32; 2] = [0.25, 0.25];
    const TOP_RIGHT: [f32; 2] = [0.75, 0.25];
    const BOTTOM_LEFT: [f32; 2] = [0.25, 0.75];
    const BOTTOM_RIGHT: [f32; 2] = [0.75, 0.75];

    #[test]
    fn maps_are_sampled_between_pixel_centres_and_zero_outside() {
        let device = test_device();
        let map = Tensor::<3>::from_data([[[0.0, 1.0], [2.0, 3.0]]], &device);
        let points = Tensor::<3>::from_data(
            [[
                TOP_LEFT,
                TOP_RIGHT,
                BOTTOM_LEFT,
                [0.5, 0.5],
                [0.5, 0.25],
                [1.0, 1.0],
                [1.0, 0.25],
            ]],
            &device,
        );
        assert_values(
            at_points(map, points),
            [[0.0_f32, 1.0, 2.0, 1.5, 0.5, 0.75, 0.5]],
        );
    }

    #[test]
    fn the_smallest_are_chosen_and_equal_ones_share() {
        let device = test_device();
        let rows = Tensor::<2>::from_data([[3.0, 1.0, 2.0, 1.0], [0.0, 9.0, 8.0, 7.0]], &device);
        let expected = [
            [[0.0_f32; 4]; 2],
            [[0.0, 0.5, 0.0, 0.5], [1.0, 0.0, 0.0, 0.0]],
            [[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0]],
            [[0.0, 1.0, 1.0, 1.0], [1.0, 0.0, 1.0, 1.0]],
            [[1.0; 4]; 2],
        ];
        for (count, expected) in expected.into_iter().enumerate() {
            assert_values(smallest(&rows, count), expected);
        }
    }

    #[test]
    fn the_published_numbers_of_points() {
        let sampling = PointSampling::default();
        assert_eq!(sampling.candidates(), 37_632);
        assert_eq!(sampling.important(), 9_408);
        assert_eq!(sampling.draws(), 37_632 + 3_136);
        sampling.validate().unwrap();
        let narrow = PointSampling {
            oversample: 0.5,
            ..sampling
        };
        assert_eq!(narrow.validate().unwrap_err().field, "oversample");
    }

    /// Two points of four candidates and one draw behind them.
    const FEW: PointSampling = PointSampling {
        points: 2,
        oversample: 2.0,
        importance: 0.5,
    };

    fn logits(device: &Device) -> Tensor<3> {
        Tensor::from_data([[[0.0, 10.0], [-10.0, 3.0_f32.ln()]]], device)
    }

    fn draws(device: &Device) -> Tensor<3> {
        let candidates = [TOP_LEFT, TOP_RIGHT, BOTTOM_LEFT, BOTTOM_RIGHT];
        let places = [candidates.as_slice(), &[BOTTOM_RIGHT]].concat();
        let data = TensorData::new(places.concat(), [1, FEW.draws(), 2]);
        Tensor::from_data(data, device)
    }

    /// The chosen points have probabilities 1/2 and 3/4 and belong to the mask.
    /// Dice: `1 - (0.0025 + 1e-6) / (0.00325 + 1e-6)`. BCE: `(ln 2 + ln 4/3) / 2`, twice.
    #[test]
    fn the_loss_is_that_of_the_chosen_points() {
        let device = test_device();
        let dice = 1.0 - 0.002_501 / 0.003_251;
        let expected = dice + 2.0_f32.ln() + (4.0_f32 / 3.0).ln();
        // The same target at two resolutions.
        let coarse = Tensor::from_data([[[1.0, 0.0], [0.0, 1.0]]], &device);
        let fine = [
            [1.0, 1.0, 0.0, 0.0],
            [1.0, 1.0, 0.0, 0.0],
            [0.0, 0.0, 1.0, 1.0],
            [0.0, 0.0, 1.0, 1.0],
        ];
        for target in [coarse, Tensor::from_data([fine], &device)] {
            let loss = segmentation_at_points(logits(&device), target, draws(&device), &FEW);
            assert_values(loss, [expected]);
        }
    }

    #[test]
    fn only_chosen_points_learn() {
        let device = device();
        let logits = logits(&device).require_grad();
        let target = Tensor::from_data([[[1.0, 0.0], [0.0, 0.0]]], &device);
        let loss = segmentation_at_points(logits.clone(), target, draws(&device), &FEW);
        let gradient = logits.grad(&loss.backward()).expect("the logits have one");
        let gradient: Vec<f32> = gradient.into_data().iter::<f32>().collect();
        assert!(gradient[0] < -0.1, "{gradient:?}");
        assert_eq!(gradient[1..3], [0.0, 0.0]);
        assert!(gradient[3] > 0.1, "{gradient:?}");
    }
}
