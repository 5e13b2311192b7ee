//! gIoU and cIoU of expressions with one target, as LISA's
//! [`validate`](https://github.com/dvlab-research/LISA/blob/main/train_ds.py) has them.
//!
//! One sample is one sentence. Pixels whose label is 255 are known to be neither target nor
//! background, and count on no side. The figures themselves are [`giou`] and
//! [`ciou`].

use fclm_core::mask::{Mask, MaskError, Rle};

use super::metrics::{Draws, Estimate, Overlap, ciou, giou};

/// Label of a pixel that counts on no side.
const IGNORED: u8 = 255;
/// Label of the target.
const TARGET: u8 = 1;

/// What an expression's mask should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrueRegion {
    target: Mask,
    /// None where every pixel is known.
    ignored: Option<Mask>,
}

impl TrueRegion {
    /// A target all of whose pixels are known.
    pub fn new(target: Mask) -> Self {
        Self {
            target,
            ignored: None,
        }
    }

    /// A target with pixels that count on no side.
    ///
    /// # Panics
    /// If the masks are not of one size.
    pub fn with_ignored(mut target: Mask, ignored: Mask) -> Self {
        let size = |mask: &Mask| (mask.width(), mask.height());
        assert_eq!(size(&target), size(&ignored), "masks must be of one size");
        if ignored.is_empty() {
            return Self::new(target);
        }
        for y in 0..target.height() {
            for x in 0..target.width() {
                if ignored.get(x, y) {
                    target.set(x, y, false);
                }
            }
        }
        Self {
            target,
            ignored: Some(ignored),
        }
    }

    /// A region as LISA labels its pixels, row by row: 1 for the target, 255 for what counts on no
    /// side, anything else for the background.
    ///
    /// # Panics
    /// If there are not exactly `width * height` labels.
    pub fn from_labels(width: u32, height: u32, labels: &[u8]) -> Self {
        let having = |wanted: u8| {
            let data = labels.iter().map(|&label| u8::from(label == wanted));
            Mask::from_data(width, height, data.collect())
        };
        Self::with_ignored(having(TARGET), having(IGNORED))
    }

    /// A target of several parts, such as the polygons of one object. LISA adds the parts up, so
    /// that pixels of two of them become part of neither side; here they belong to the target.
    ///
    /// # Errors
    /// If there is no part, or if parts are not of one size.
    pub fn from_parts(parts: &[Rle]) -> Result<Self, MaskError> {
        Ok(Self::new(Rle::union(parts)?.to_mask()))
    }

    /// The target without the pixels that count on no side.
    pub fn target(&self) -> &Mask {
        &self.target
    }

    /// What a predicted mask shares with the target.
    ///
    /// # Panics
    /// If the sizes differ.
    pub fn overlap(&self, prediction: &Mask) -> Overlap {
        match &self.ignored {
            None => Overlap::of(prediction, &self.target),
            Some(ignored) => Overlap::of_known(prediction, &self.target, ignored),
        }
    }
}

/// gIoU and cIoU of a set of sentences; none without sentences.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IouFigures {
    /// Mean of the sentences' IoUs.
    pub giou: Option<Estimate>,
    /// Intersection of all over the union of all.
    pub ciou: Option<Estimate>,
}

impl IouFigures {
    /// Computes both.
    pub fn of(overlaps: &[Overlap], draws: &Draws) -> Self {
        Self {
            giou: giou(overlaps, draws),
            ciou: ciou(overlaps, draws),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_pixels_count_on_no_side() {
        let region = TrueRegion::from_labels(4, 1, &[1, 1, 255, 0]);
        assert_eq!(region.target().area(), 2);
        let overlap = region.overlap(&Mask::from_data(4, 1, vec![0, 1, 1, 1]));
        assert_eq!(
            overlap,
            Overlap {
                intersection: 1,
                union: 3
            }
        );
    }

    #[test]
    fn a_target_has_no_ignored_pixels() {
        let target = Mask::from_data(3, 1, vec![1, 1, 0]);
        let ignored = Mask::from_data(3, 1, vec![0, 1, 1]);
        let region = TrueRegion::with_ignored(target.clone(), ignored);
        assert_eq!(region.target().data(), [1, 0, 0]);
        let known = TrueRegion::with_ignored(target.clone(), Mask::new(3, 1));
        assert_eq!(known, TrueRegion::new(target));
    }

    #[test]
    fn parts_that_overlap_are_one_target() {
        let part = |data: Vec<u8>| Rle::from_mask(&Mask::from_data(3, 1, data));
        let region = TrueRegion::from_parts(&[part(vec![1, 1, 0]), part(vec![0, 1, 1])]).unwrap();
        assert_eq!(region.target().area(), 3);
        assert!(TrueRegion::from_parts(&[]).is_err());
    }

    #[test]
    fn figures_of_two_sentences() {
        let region = TrueRegion::from_labels(4, 1, &[1, 1, 0, 0]);
        let overlaps = [
            region.overlap(&Mask::from_data(4, 1, vec![1, 1, 0, 0])),
            region.overlap(&Mask::from_data(4, 1, vec![0, 1, 1, 1])),
        ];
        let figures = IouFigures::of(&overlaps, &Draws::each(2, 1));
        let close = |got: Option<Estimate>, expected: f64| {
            assert!((got.unwrap().value - expected).abs() < 1e-5);
        };
        close(figures.giou, (1.0 + 0.25) / 2.0);
        close(figures.ciou, 3.0 / 6.0);
    }
}
