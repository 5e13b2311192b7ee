//! Run lengths as the COCO mask API counts them: column by column, starting with background.

mod runs;
mod shift;
mod turn;

use super::{MaskError, coco_string, polygon};
use crate::wire::{Counts, MaskRle};

/// A mask as run lengths. The runs always cover exactly `width * height` pixels, at most
/// `u32::MAX`; they are kept as they were given, runs of length zero included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rle {
    width: u32,
    height: u32,
    runs: Vec<u32>,
}

impl Rle {
    /// Takes runs after checking that they cover exactly the mask.
    ///
    /// # Errors
    /// If the mask has no pixels or more than can be counted, or if the sum is another one.
    pub fn new(width: u32, height: u32, runs: Vec<u32>) -> Result<Self, MaskError> {
        let pixels = checked_pixels(width, height, u64::from(u32::MAX))?;
        check_sum(&runs, width, height, pixels)?;
        Ok(Self {
            width,
            height,
            runs,
        })
    }

    /// Reads the COCO mask API's compressed string.
    ///
    /// # Errors
    /// As [`Rle::new`], and if the string is malformed.
    pub fn from_coco_string(width: u32, height: u32, text: &str) -> Result<Self, MaskError> {
        checked_pixels(width, height, u64::from(u32::MAX))?;
        Self::new(width, height, coco_string::decode(text, width, height)?)
    }

    /// The COCO mask API's compressed string.
    pub fn to_coco_string(&self) -> String {
        coco_string::encode(&self.runs)
    }

    /// Reads run lengths that come from outside; sizes are checked first.
    ///
    /// # Errors
    /// As [`Rle::from_coco_string`], and if the mask has more than `max_pixels`.
    pub fn from_wire(wire: &MaskRle, max_pixels: u64) -> Result<Self, MaskError> {
        let [height, width] = wire.size;
        let pixels = checked_pixels(width, height, max_pixels.min(u64::from(u32::MAX)))?;
        match &wire.counts {
            Counts::Compressed(text) => Self::from_coco_string(width, height, text),
            Counts::Runs(runs) => {
                check_sum(runs, width, height, pixels)?;
                Ok(Self {
                    width,
                    height,
                    runs: runs.clone(),
                })
            }
        }
    }

    /// The run lengths as they travel, with a compressed string.
    pub fn to_wire(&self) -> MaskRle {
        MaskRle {
            size: [self.height, self.width],
            counts: Counts::Compressed(self.to_coco_string()),
        }
    }

    /// The union of polygons, each `x0, y0, x1, y1, ..` in pixels, drawn as the COCO mask API
    /// draws them.
    ///
    /// # Errors
    /// If there is none, if one is no list of finite pairs or is too large to draw, or if the
    /// mask has no pixels or too many.
    pub fn from_polygons(
        width: u32,
        height: u32,
        polygons: &[Vec<f64>],
    ) -> Result<Self, MaskError> {
        Self::union(&Self::each_polygon(width, height, polygons)?)
    }

    /// What an odd number of the closed lines surround, so that a line within another one is a
    /// hole; each is drawn as [`Rle::from_polygons`] draws it.
    ///
    /// # Errors
    /// As [`Rle::from_polygons`].
    pub fn from_rings(width: u32, height: u32, rings: &[Vec<f64>]) -> Result<Self, MaskError> {
        let parts = Self::each_polygon(width, height, rings)?;
        Self::combine(&parts, |depth| depth % 2 == 1)
    }

    fn each_polygon(
        width: u32,
        height: u32,
        polygons: &[Vec<f64>],
    ) -> Result<Vec<Self>, MaskError> {
        checked_pixels(width, height, u64::from(u32::MAX))?;
        polygons
            .iter()
            .enumerate()
            .map(|(index, polygon)| {
                let runs = polygon::runs(index, polygon, width, height)?;
                Ok(Self {
                    width,
                    height,
                    runs,
                })
            })
            .collect()
    }

    /// What at least one of the masks covers.
    ///
    /// # Errors
    /// If there is no mask, or if the sizes differ.
    pub fn union(masks: &[Self]) -> Result<Self, MaskError> {
        Self::combine(masks, |depth| depth > 0)
    }

    /// What all of the masks cover.
    ///
    /// # Errors
    /// If there is no mask, or if the sizes differ.
    pub fn intersection(masks: &[Self]) -> Result<Self, MaskError> {
        Self::combine(masks, |depth| depth == masks.len())
    }

    /// What this mask covers and another one does not.
    ///
    /// # Errors
    /// If the sizes differ.
    pub fn difference(&self, other: &Self) -> Result<Self, MaskError> {
        let runs = match other.runs.split_first() {
            Some((0, covered_first)) => covered_first.to_vec(),
            _ => [&[0], &other.runs[..]].concat(),
        };
        let beside = Self { runs, ..*other };
        Self::intersection(&[self.clone(), beside])
    }

    /// Whether no pixel is covered.
    pub fn is_empty(&self) -> bool {
        self.foreground().next().is_none()
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The run lengths.
    pub fn runs(&self) -> &[u32] {
        &self.runs
    }

    /// How many pixels are covered.
    pub fn area(&self) -> u64 {
        self.runs
            .iter()
            .skip(1)
            .step_by(2)
            .map(|&run| u64::from(run))
            .sum()
    }

    /// The tight box as COCO has it, `x, y, width, height`; all zero where nothing is covered.
    pub fn bbox(&self) -> [u32; 4] {
        let (mut x0, mut y0, mut x1, mut y1) = (self.width, self.height, 0, 0);
        for (start, end) in self.foreground() {
            let (first, last) = (start / self.height, (end - 1) / self.height);
            x0 = x0.min(first);
            x1 = x1.max(last + 1);
            if first == last {
                y0 = y0.min(start % self.height);
                y1 = y1.max((end - 1) % self.height + 1);
            } else {
                (y0, y1) = (0, self.height);
            }
        }
        if x1 == 0 {
            [0; 4]
        } else {
            [x0, y0, x1 - x0, y1 - y0]
        }
    }

    /// Intersection over union; 0 where both are empty, as the COCO mask API has it.
    ///
    /// # Errors
    /// If the sizes differ.
    pub fn iou(&self, other: &Self) -> Result<f64, MaskError> {
        let shared = self.shared_pixels(other)?;
        Ok(ratio(shared, self.area() + other.area() - shared))
    }

    /// Overlap with a crowd region of the ground truth: the share of this mask inside the crowd.
    ///
    /// # Errors
    /// If the sizes differ.
    pub fn iou_with_crowd(&self, crowd: &Self) -> Result<f64, MaskError> {
        Ok(ratio(self.shared_pixels(crowd)?, self.area()))
    }

    /// Covered stretches `start..end` in column order; none is empty, none touch.
    fn foreground(&self) -> impl Iterator<Item = (u32, u32)> {
        let mut runs = self.runs.iter().enumerate().peekable();
        let mut position = 0u32;
        std::iter::from_fn(move || {
            let mut open: Option<u32> = None;
            while let Some(&(index, &run)) = runs.peek() {
                let covered = index % 2 == 1;
                if let Some(start) = open
                    && !covered
                    && run > 0
                {
                    return Some((start, position));
                }
                if covered && run > 0 {
                    open = open.or(Some(position));
                }
                position += run;
                runs.next();
            }
            open.map(|start| (start, position))
        })
    }

    fn shared_pixels(&self, other: &Self) -> Result<u64, MaskError> {
        self.check_same_size(other)?;
        let mut shared = 0u64;
        let (mut left, mut right) = (self.foreground(), other.foreground());
        let (mut a, mut b) = (left.next(), right.next());
        while let (Some((a0, a1)), Some((b0, b1))) = (a, b) {
            shared += u64::from(a1.min(b1).saturating_sub(a0.max(b0)));
            if a1 <= b1 {
                a = left.next();
            } else {
                b = right.next();
            }
        }
        Ok(shared)
    }

    /// What is covered by as many of the masks as `inside` holds for; it does not hold for none.
    fn combine(masks: &[Self], inside: impl Fn(usize) -> bool) -> Result<Self, MaskError> {
        let first = masks.first().ok_or(MaskError::NoMasks)?;
        let mut edges = Vec::new();
        for mask in masks {
            first.check_same_size(mask)?;
            edges.extend(
                mask.foreground()
                    .flat_map(|(start, end)| [(start, true), (end, false)]),
            );
        }
        edges.sort_unstable();

        let mut runs = Vec::new();
        let (mut depth, mut covered, mut written) = (0usize, false, 0u32);
        let mut edges = edges.into_iter().peekable();
        while let Some((position, opens)) = edges.next() {
            depth = if opens { depth + 1 } else { depth - 1 };
            let more_here = edges.peek().is_some_and(|&(next, _)| next == position);
            if !more_here && inside(depth) != covered {
                runs.push(position - written);
                written = position;
                covered = !covered;
            }
        }
        let pixels = first.width * first.height;
        if written < pixels {
            runs.push(pixels - written);
        }
        Ok(Self {
            width: first.width,
            height: first.height,
            runs,
        })
    }

    fn check_same_size(&self, other: &Self) -> Result<(), MaskError> {
        if (self.width, self.height) == (other.width, other.height) {
            return Ok(());
        }
        Err(MaskError::SizesDiffer {
            left: [self.width, self.height],
            right: [other.width, other.height],
        })
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if part == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

fn checked_pixels(width: u32, height: u32, max_pixels: u64) -> Result<u64, MaskError> {
    match u64::from(width) * u64::from(height) {
        0 => Err(MaskError::NoPixels { width, height }),
        pixels if pixels > max_pixels => Err(MaskError::TooManyPixels {
            width,
            height,
            max_pixels,
        }),
        pixels => Ok(pixels),
    }
}

fn check_sum(runs: &[u32], width: u32, height: u32, pixels: u64) -> Result<(), MaskError> {
    let covered: u64 = runs.iter().map(|&run| u64::from(run)).sum();
    if covered == pixels {
        return Ok(());
    }
    Err(MaskError::WrongSum {
        covered,
        width,
        height,
        pixels,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mask::Mask;

    // Strings, areas and overlaps from pycocotools.
    #[test]
    fn overlapping_polygons() {
        let polygons = [
            vec![10.5, 5.25, 50.0, 8.75, 44.1, 40.0, 12.0, 33.3],
            vec![30.0, 20.0, 70.5, 22.5, 60.25, 55.0],
            vec![5.0, 5.0, 20.0, 5.0, 20.0, 20.0, 5.0, 20.0],
        ];
        let rles = polygons.map(|polygon| Rle::from_polygons(80, 60, &[polygon]).unwrap());
        assert_eq!(
            rles[2].to_coco_string(),
            "a9?]1000000000000000000000000000[`3"
        );
        assert_eq!(rles.each_ref().map(Rle::area), [1073, 669, 225]);
        let near = |got: Result<f64, MaskError>, expected: f64| {
            assert!((got.unwrap() - expected).abs() < 1e-8);
        };
        near(rles[0].iou(&rles[1]), 0.08875);
        near(rles[0].iou(&rles[2]), 0.11035073);
        near(rles[1].iou(&rles[2]), 0.0);
        near(rles[0].iou_with_crowd(&rles[1]), 0.13233924);
        near(rles[1].iou_with_crowd(&rles[0]), 0.2122571);
        near(rles[2].iou_with_crowd(&rles[0]), 0.57333333);
    }

    #[test]
    fn what_comes_from_outside_is_checked() {
        let wire = |size, counts| MaskRle { size, counts };
        let runs =
            |size, runs: &[u32]| Rle::from_wire(&wire(size, Counts::Runs(runs.to_vec())), 100);
        assert!(runs([2, 3], &[1, 2, 3]).is_ok());
        assert!(matches!(
            runs([2, 3], &[1, 2, 4]),
            Err(MaskError::WrongSum { covered: 7, .. })
        ));
        assert!(matches!(
            runs([2, 3], &[]),
            Err(MaskError::WrongSum { covered: 0, .. })
        ));
        assert!(matches!(
            runs([2, 3], &[u32::MAX, u32::MAX]),
            Err(MaskError::WrongSum { pixels: 6, .. })
        ));
        assert!(matches!(
            runs([0, 3], &[0]),
            Err(MaskError::NoPixels { .. })
        ));
        assert!(matches!(
            runs([11, 10], &[110]),
            Err(MaskError::TooManyPixels {
                max_pixels: 100,
                ..
            })
        ));
        let vast = wire([u32::MAX, u32::MAX], Counts::Compressed("0".to_owned()));
        assert!(matches!(
            Rle::from_wire(&vast, u64::MAX),
            Err(MaskError::TooManyPixels { .. })
        ));
    }

    #[test]
    fn a_line_within_a_line_is_a_hole() {
        let square = |low: f64, high: f64| vec![low, low, low, high, high, high, high, low];
        let ring = Rle::from_rings(6, 6, &[square(1.0, 5.0), square(2.0, 4.0)]).unwrap();
        let expected = Mask::from_fn(6, 6, |x, y| {
            (1..5).contains(&x)
                && (1..5).contains(&y)
                && !((2..4).contains(&x) && (2..4).contains(&y))
        });
        assert_eq!(ring.to_mask(), expected);
    }

    #[test]
    fn masks_of_other_sizes_do_not_combine() {
        let (a, b) = (
            Rle::new(2, 3, vec![6]).unwrap(),
            Rle::new(3, 2, vec![6]).unwrap(),
        );
        assert!(matches!(a.iou(&b), Err(MaskError::SizesDiffer { .. })));
        assert!(matches!(
            Rle::union(&[a, b]),
            Err(MaskError::SizesDiffer { .. })
        ));
        assert_eq!(Rle::union(&[]), Err(MaskError::NoMasks));
    }

    /// Runs that cover a mask, some of them of length zero.
    fn any_rle(width: u32, height: u32) -> impl Strategy<Value = Rle> {
        prop::collection::vec(0..=width * height, 0..24).prop_map(move |mut cuts| {
            cuts.extend([0, width * height]);
            cuts.sort_unstable();
            let runs = cuts.windows(2).map(|pair| pair[1] - pair[0]).collect();
            Rle::new(width, height, runs).unwrap()
        })
    }

    /// A few of them of the same size.
    pub(super) fn sized_rles() -> impl Strategy<Value = Vec<Rle>> {
        (1u32..70, 1u32..30).prop_flat_map(|(w, h)| prop::collection::vec(any_rle(w, h), 1..5))
    }

    proptest! {
        #[test]
        fn strings_keep_runs(rles in sized_rles()) {
            for rle in rles {
                let text = rle.to_coco_string();
                let again = Rle::from_coco_string(rle.width(), rle.height(), &text).unwrap();
                prop_assert_eq!(again, rle);
            }
        }

        #[test]
        fn figures_agree_with_the_raster(rles in sized_rles()) {
            let rle = &rles[0];
            let mask = rle.to_mask();
            prop_assert_eq!(rle.area(), mask.area());
            let bbox = mask
                .pixel_bounds()
                .map_or([0; 4], |[x0, y0, x1, y1]| [x0, y0, x1 - x0, y1 - y0]);
            prop_assert_eq!(rle.bbox(), bbox);
        }

        #[test]
        fn merges_and_overlaps_agree_with_the_raster(rles in sized_rles()) {
            let (width, height) = (rles[0].width(), rles[0].height());
            let masks: Vec<Mask> = rles.iter().map(Rle::to_mask).collect();
            let any = Mask::from_fn(width, height, |x, y| masks.iter().any(|m| m.get(x, y)));
            let all = Mask::from_fn(width, height, |x, y| masks.iter().all(|m| m.get(x, y)));
            prop_assert_eq!(Rle::union(&rles).unwrap(), Rle::from_mask(&any));
            prop_assert_eq!(Rle::intersection(&rles).unwrap(), Rle::from_mask(&all));

            let last = rles.len() - 1;
            let beside = Mask::from_fn(width, height, |x, y| {
                masks[0].get(x, y) && !masks[last].get(x, y)
            });
            let difference = rles[0].difference(&rles[last]).unwrap();
            prop_assert_eq!(difference.is_empty(), beside.is_empty());
            prop_assert_eq!(difference, Rle::from_mask(&beside));
            let (shared, union) = masks[0].intersection_and_union(&masks[last]);
            let expected = if union == 0 { 0.0 } else { shared as f64 / union as f64 };
            prop_assert_eq!(rles[0].iou(&rles[last]).unwrap(), expected);
            let area = masks[0].area();
            let in_crowd = if area == 0 { 0.0 } else { shared as f64 / area as f64 };
            prop_assert_eq!(rles[0].iou_with_crowd(&rles[last]).unwrap(), in_crowd);
        }

        #[test]
        fn nothing_from_outside_panics(
            size in any::<[u32; 2]>(),
            small in prop::array::uniform2(0u32..12),
            text in "[0-o]{0,40}",
            runs in prop::collection::vec(0u32..40, 0..12),
        ) {
            for size in [size, small] {
                for counts in [Counts::Compressed(text.clone()), Counts::Runs(runs.clone())] {
                    if let Ok(mask) = Mask::from_wire(&MaskRle { size, counts }, 1 << 16) {
                        prop_assert_eq!([mask.height(), mask.width()], size);
                    }
                }
            }
        }
    }
}
