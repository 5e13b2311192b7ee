//! Answers of somebody who knows the data set but does not see the picture: one answer for all
//! samples, the best there is in hindsight. A figure that is not well above its blind one says
//! nothing about seeing.

use std::collections::BTreeMap;

use fclm_core::mask::Mask;

use super::metrics::Overlap;
use crate::data::scenes::{Attributes, Colour, Material, Shape};

/// Cells a side of the grid on which a constant mask is chosen.
const GRID: u32 = 64;
/// Coverage thresholds that are tried; the last one gives the empty mask.
const THRESHOLDS: usize = 40;

/// The category that most objects have; the first in order where several are as frequent.
pub fn most_frequent_category(truths: &[Attributes]) -> Option<(Colour, Material, Shape)> {
    let categories = truths
        .iter()
        .map(|truth| (truth.colour, truth.material, truth.shape));
    most_frequent(categories)
}

/// What occurs most often; the first in order where several do equally.
pub fn most_frequent<T: Ord>(all: impl IntoIterator<Item = T>) -> Option<T> {
    let mut counts: BTreeMap<T, usize> = BTreeMap::new();
    for one in all {
        *counts.entry(one).or_default() += 1;
    }
    let most = counts.values().copied().max()?;
    counts
        .into_iter()
        .find(|&(_, count)| count == most)
        .map(|(one, _)| one)
}

/// One mask for all pictures, stretched to each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConstantMask(Mask);

impl ConstantMask {
    /// The mask, of those that a threshold cuts out of the truths' mean, with the best gIoU. Each
    /// truth is looked at once and let go.
    pub fn best(truths: impl IntoIterator<Item = Mask>) -> Self {
        let cells = (GRID * GRID) as usize;
        let mut coverage = vec![0.0f64; cells];
        let mut coarse = Vec::new();
        for truth in truths {
            let averaged = truth.area_average(GRID, GRID);
            for (sum, &cell) in coverage.iter_mut().zip(&averaged) {
                *sum += f64::from(cell);
            }
            let centred: Vec<f32> = averaged.iter().map(|cell| cell - 0.5).collect();
            coarse.push(Mask::from_logits(&centred, GRID, GRID));
        }
        let peak = coverage.iter().copied().fold(0.0, f64::max);
        let mut best = (f64::NEG_INFINITY, Mask::new(GRID, GRID));
        for step in 0..=THRESHOLDS {
            let threshold = peak * step as f64 / THRESHOLDS as f64;
            let above = coverage
                .iter()
                .map(|&sum| u8::from(sum > threshold))
                .collect();
            let candidate = Mask::from_data(GRID, GRID, above);
            let score: f64 = coarse
                .iter()
                .map(|truth| Overlap::of(&candidate, truth).iou())
                .sum();
            if score > best.0 {
                best = (score, candidate);
            }
        }
        Self(best.1)
    }

    /// The mask at the size of a picture.
    pub fn at(&self, width: u32, height: u32) -> Mask {
        let cell = |place: u32, length: u32| {
            (u64::from(place) * u64::from(GRID) / u64::from(length)) as u32
        };
        Mask::from_fn(width, height, |x, y| {
            self.0.get(cell(x, width), cell(y, height))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::metrics::{Draws, giou};
    use super::*;
    use crate::data::scenes::{Pattern, Size};

    fn object(colour: Colour, shape: Shape) -> Attributes {
        Attributes {
            size: Size::Small,
            colour,
            material: Material::Metal,
            shape,
            pattern: Pattern::Plain,
        }
    }

    fn giou_of(constant: &ConstantMask, truths: &[Mask]) -> f64 {
        let overlaps: Vec<Overlap> = truths
            .iter()
            .map(|truth| Overlap::of(&constant.at(truth.width(), truth.height()), truth))
            .collect();
        giou(&overlaps, &Draws::each(truths.len(), 0))
            .unwrap()
            .value
    }

    #[test]
    fn the_commonest_text_wins_and_of_equals_the_first_in_order() {
        assert_eq!(most_frequent(["b", "a", "b"]), Some("b"));
        assert_eq!(most_frequent(["b", "a"]), Some("a"));
        assert_eq!(most_frequent([""; 0]), None);
    }

    #[test]
    fn the_commonest_category_wins() {
        let truths = [
            object(Colour::Red, Shape::Cube),
            object(Colour::Blue, Shape::Cone),
            object(Colour::Blue, Shape::Cone),
        ];
        assert_eq!(
            most_frequent_category(&truths),
            Some((Colour::Blue, Material::Metal, Shape::Cone))
        );
        assert_eq!(most_frequent_category(&[]), None);
    }

    #[test]
    fn a_place_that_all_share_is_found() {
        let masks: Vec<Mask> = (0..8)
            .map(|i| Mask::rect(100, 80, [20.0 + i as f32, 20.0, 60.0, 60.0]))
            .collect();
        let constant = ConstantMask::best(masks.clone());
        assert!(giou_of(&constant, &masks) > 0.85);
        assert_eq!(constant.at(100, 80).width(), 100);
    }

    #[test]
    fn where_most_is_empty_the_empty_mask_is_best() {
        let mut masks = vec![Mask::new(50, 50); 9];
        masks.push(Mask::rect(50, 50, [0.0, 0.0, 5.0, 5.0]));
        let constant = ConstantMask::best(masks.clone());
        assert!(constant.at(50, 50).is_empty());
        assert!((giou_of(&constant, &masks) - 0.9).abs() < 1e-9);
    }
}
