//! gIoU, cIoU, N-acc and T-acc of generalised referring expressions, which may have no target.
//!
//! Follows `eval_gres` of GSVA's
//! [`solver.py`](https://github.com/LeapLabTHU/GSVA/blob/main/solver.py) on gRefCOCO.

use fclm_core::mask::Mask;

use super::metrics::{Draws, Estimate, Overlap};

const IOU_EPSILON: f64 = 1e-8;
const CIOU_EPSILON: f64 = 1e-10;

/// An expression that was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GresSample {
    /// Whether the answer is that nothing is there.
    says_none: bool,
    /// Whether nothing is there.
    is_none: bool,
    overlap: Overlap,
}

impl GresSample {
    /// Compares an answer with the truth.
    ///
    /// `says_none` is what the model says, whatever it draws: where it says that nothing is there,
    /// `prediction` should be empty. An empty `truth` means that the expression has no target.
    ///
    /// # Panics
    /// If the masks are not of one size.
    pub fn new(says_none: bool, prediction: &Mask, truth: &Mask) -> Self {
        Self {
            says_none,
            is_none: truth.is_empty(),
            overlap: Overlap::of(prediction, truth),
        }
    }

    /// IoU of the sample: 1 or 0 where there is no target, by what was said.
    pub fn iou(self) -> f64 {
        match (self.is_none, self.says_none) {
            (true, true) => 1.0,
            (true, false) => 0.0,
            (false, _) => {
                self.overlap.intersection as f64 / (self.overlap.union as f64 + IOU_EPSILON)
            }
        }
    }

    /// What the sample adds to cIoU: nothing where it is rightly said that there is no target.
    fn counted(self) -> Overlap {
        match self.is_none && self.says_none {
            true => Overlap::default(),
            false => self.overlap,
        }
    }
}

/// The figures of a set of expressions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GresFigures {
    /// Mean IoU; none without samples.
    pub giou: Option<Estimate>,
    /// Intersection of all over the union of all; none without samples.
    pub ciou: Option<Estimate>,
    /// Share of the expressions without a target that were said to have none; none without such.
    pub no_target_accuracy: Option<Estimate>,
    /// Share of the expressions with a target that were not said to have none; none without such.
    pub target_accuracy: Option<Estimate>,
}

impl GresFigures {
    /// Computes the figures.
    pub fn of(samples: &[GresSample], draws: &Draws) -> Self {
        let accuracy = |is_none: bool| {
            draws.estimate(|indices| {
                let (mut right, mut all) = (0usize, 0usize);
                for &index in indices {
                    let sample = samples[index];
                    if sample.is_none == is_none {
                        all += 1;
                        right += usize::from(sample.says_none == is_none);
                    }
                }
                (all > 0).then(|| right as f64 / all as f64)
            })
        };
        Self {
            giou: draws.estimate(|indices| {
                let sum: f64 = indices.iter().map(|&index| samples[index].iou()).sum();
                Some(sum / indices.len() as f64)
            }),
            ciou: draws.estimate(|indices| {
                let (mut intersection, mut union) = (0, 0);
                for &index in indices {
                    let overlap = samples[index].counted();
                    intersection += overlap.intersection;
                    union += overlap.union;
                }
                Some(intersection as f64 / (union as f64 + CIOU_EPSILON))
            }),
            no_target_accuracy: accuracy(true),
            target_accuracy: accuracy(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rect(x0: f32, x1: f32) -> Mask {
        Mask::rect(20, 10, [x0, 0.0, x1, 10.0])
    }

    fn close(got: Option<Estimate>, expected: f64) {
        let got = got.unwrap().value;
        assert!((got - expected).abs() < 1e-7, "{got} is not {expected}");
    }

    #[test]
    fn figures_by_hand() {
        let empty = Mask::new(20, 10);
        let samples = [
            // Rightly nothing: 1, and nothing for cIoU.
            GresSample::new(true, &empty, &empty),
            // Something where nothing is: 0, and its pixels for cIoU.
            GresSample::new(false, &rect(0.0, 5.0), &empty),
            // Half of the target.
            GresSample::new(false, &rect(0.0, 5.0), &rect(0.0, 10.0)),
            // A target that was said not to be there.
            GresSample::new(true, &empty, &rect(0.0, 10.0)),
        ];
        let figures = GresFigures::of(&samples, &Draws::each(4, 1));
        close(figures.giou, (1.0 + 0.0 + 0.5 + 0.0) / 4.0);
        close(figures.ciou, 50.0 / (50.0 + 100.0 + 100.0));
        close(figures.no_target_accuracy, 0.5);
        close(figures.target_accuracy, 0.5);
    }

    #[test]
    fn drawing_nothing_is_not_saying_so() {
        let empty = Mask::new(20, 10);
        let sample = GresSample::new(false, &empty, &empty);
        assert_eq!(sample.iou(), 0.0);
        let figures = GresFigures::of(&[sample], &Draws::each(1, 1));
        close(figures.no_target_accuracy, 0.0);
        assert_eq!(figures.target_accuracy, None);
    }

    #[test]
    fn nothing_gives_nothing() {
        let figures = GresFigures::of(&[], &Draws::each(0, 1));
        assert_eq!(figures.giou, None);
        assert_eq!(figures.ciou, None);
        assert_eq!(figures.no_target_accuracy, None);
    }
}
