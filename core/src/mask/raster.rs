use std::fmt;
use std::ops::Range;

use super::{MaskError, Rle};
use crate::wire::{BoxPx, MaskRle};

/// Which pixels of an image belong to a region: row by row, one byte a pixel, 0 or 1.
#[derive(Clone, PartialEq, Eq)]
pub struct Mask {
    width: u32,
    height: u32,
    data: Vec<u8>,
}

impl Mask {
    /// A mask without a pixel set.
    ///
    /// # Panics
    /// If the pixels cannot be counted in a `usize`.
    pub fn new(width: u32, height: u32) -> Self {
        Self {
            width,
            height,
            data: vec![0; pixel_count(width, height)],
        }
    }

    /// A mask from bytes, row by row; every value but 0 counts as set.
    ///
    /// # Panics
    /// If there are not exactly `width * height` bytes.
    pub fn from_data(width: u32, height: u32, mut data: Vec<u8>) -> Self {
        assert_eq!(data.len(), pixel_count(width, height), "one byte a pixel");
        for value in &mut data {
            *value = u8::from(*value != 0);
        }
        Self {
            width,
            height,
            data,
        }
    }

    /// A mask of the pixels `(x, y)` for which `inside` holds.
    ///
    /// # Panics
    /// As [`Mask::new`].
    pub fn from_fn(width: u32, height: u32, mut inside: impl FnMut(u32, u32) -> bool) -> Self {
        let mut data = Vec::with_capacity(pixel_count(width, height));
        for y in 0..height {
            data.extend((0..width).map(|x| u8::from(inside(x, y))));
        }
        Self {
            width,
            height,
            data,
        }
    }

    /// The rectangle of a box, clipped to the mask: pixels whose centre is inside, and at least
    /// one pixel where the box has an area within the mask.
    ///
    /// # Panics
    /// As [`Mask::new`].
    pub fn rect(width: u32, height: u32, [x0, y0, x1, y1]: BoxPx) -> Self {
        let mut mask = Self::new(width, height);
        let columns = covered_pixels(x0, x1, width);
        for y in covered_pixels(y0, y1, height) {
            mask.row_mut(y)[columns.clone()].fill(1);
        }
        mask
    }

    /// The pixels whose logit is above 0.
    ///
    /// # Panics
    /// If there are not exactly `width * height` logits.
    pub fn from_logits(logits: &[f32], width: u32, height: u32) -> Self {
        assert_eq!(
            logits.len(),
            pixel_count(width, height),
            "one logit a pixel"
        );
        let data = logits.iter().map(|&logit| u8::from(logit > 0.0)).collect();
        Self {
            width,
            height,
            data,
        }
    }

    /// Reads a mask that comes from outside. Size, runs and their sum are checked before the
    /// pixels are allocated.
    ///
    /// # Errors
    /// If the mask has no pixel or more than `max_pixels`, if the string is malformed, or if the
    /// runs do not cover exactly the mask.
    pub fn from_wire(wire: &MaskRle, max_pixels: u64) -> Result<Self, MaskError> {
        Ok(Rle::from_wire(wire, max_pixels)?.to_mask())
    }

    /// The mask as it travels, with a compressed string.
    pub fn to_wire(&self) -> MaskRle {
        Rle::from_mask(self).to_wire()
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The pixels, row by row, each 0 or 1.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Whether a pixel is set; pixels outside are not.
    pub fn get(&self, x: u32, y: u32) -> bool {
        x < self.width && y < self.height && self.data[self.offset(x, y)] != 0
    }

    /// Sets or clears a pixel.
    ///
    /// # Panics
    /// If the pixel is outside.
    pub fn set(&mut self, x: u32, y: u32, value: bool) {
        assert!(
            x < self.width && y < self.height,
            "the pixel must be inside"
        );
        let offset = self.offset(x, y);
        self.data[offset] = u8::from(value);
    }

    /// How many pixels are set.
    pub fn area(&self) -> u64 {
        self.data.iter().map(|&value| u64::from(value)).sum()
    }

    /// Whether no pixel is set.
    pub fn is_empty(&self) -> bool {
        !self.data.contains(&1)
    }

    /// The tight box around the set pixels, half-open; none where no pixel is set.
    pub fn bounds(&self) -> Option<BoxPx> {
        let [x0, y0, x1, y1] = self.pixel_bounds()?;
        Some([x0 as f32, y0 as f32, x1 as f32, y1 as f32])
    }

    /// As [`Mask::bounds`], in whole pixels.
    pub fn pixel_bounds(&self) -> Option<[u32; 4]> {
        let y0 = (0..self.height).find(|&y| self.row(y).contains(&1))?;
        let y1 = (y0..self.height)
            .rev()
            .find(|&y| self.row(y).contains(&1))?
            + 1;
        let (mut x0, mut x1) = (self.width as usize, 0);
        for y in y0..y1 {
            let row = self.row(y);
            if let Some(first) = row[..x0].iter().position(|&value| value != 0) {
                x0 = first;
            }
            if let Some(last) = row[x1..].iter().rposition(|&value| value != 0) {
                x1 += last + 1;
            }
        }
        Some([x0 as u32, y0, x1 as u32, y1])
    }

    /// The mean of the set pixels' centres, in the coordinates of boxes (the centre of the first
    /// pixel is 0.5, 0.5).
    pub fn centroid(&self) -> Option<(f32, f32)> {
        let (mut count, mut sum_x, mut sum_y) = (0u64, 0u64, 0u64);
        for y in 0..self.height {
            let mut in_row = 0u64;
            for (x, &value) in self.row(y).iter().enumerate() {
                in_row += u64::from(value);
                sum_x += u64::from(value) * x as u64;
            }
            count += in_row;
            sum_y += in_row * u64::from(y);
        }
        if count == 0 {
            return None;
        }
        let mean = |sum: u64| (sum as f64 / count as f64 + 0.5) as f32;
        Some((mean(sum_x), mean(sum_y)))
    }

    /// How many pixels are set in both, and in at least one.
    ///
    /// # Panics
    /// If the sizes differ.
    pub fn intersection_and_union(&self, other: &Self) -> (u64, u64) {
        self.assert_same_size(other);
        let (mut intersection, mut union) = (0, 0);
        for (&a, &b) in self.data.iter().zip(&other.data) {
            intersection += u64::from(a & b);
            union += u64::from(a | b);
        }
        (intersection, union)
    }

    /// Intersection over union; two empty masks agree, which is 1.
    ///
    /// # Panics
    /// If the sizes differ.
    pub fn iou(&self, other: &Self) -> f64 {
        match self.intersection_and_union(other) {
            (_, 0) => 1.0,
            (intersection, union) => intersection as f64 / union as f64,
        }
    }

    /// Sets every pixel that is set in `other`.
    ///
    /// # Panics
    /// If the sizes differ.
    pub fn union_with(&mut self, other: &Self) {
        self.assert_same_size(other);
        for (value, &more) in self.data.iter_mut().zip(&other.data) {
            *value |= more;
        }
    }

    /// Swaps set and clear.
    pub fn invert(&mut self) {
        for value in &mut self.data {
            *value ^= 1;
        }
    }

    /// The part within `x0..x1, y0..y1`, clipped to the mask.
    pub fn crop(&self, x0: u32, y0: u32, x1: u32, y1: u32) -> Self {
        let (x1, y1) = (x1.min(self.width), y1.min(self.height));
        let (x0, y0) = (x0.min(x1), y0.min(y1));
        let mut data = Vec::with_capacity(pixel_count(x1 - x0, y1 - y0));
        for y in y0..y1 {
            data.extend_from_slice(&self.row(y)[x0 as usize..x1 as usize]);
        }
        Self {
            width: x1 - x0,
            height: y1 - y0,
            data,
        }
    }

    pub(super) fn from_rows(width: u32, height: u32, data: Vec<u8>) -> Self {
        debug_assert_eq!(data.len(), pixel_count(width, height));
        Self {
            width,
            height,
            data,
        }
    }

    fn offset(&self, x: u32, y: u32) -> usize {
        y as usize * self.width as usize + x as usize
    }

    fn row(&self, y: u32) -> &[u8] {
        let start = self.offset(0, y);
        &self.data[start..start + self.width as usize]
    }

    fn row_mut(&mut self, y: usize) -> &mut [u8] {
        let width = self.width as usize;
        &mut self.data[y * width..(y + 1) * width]
    }

    fn assert_same_size(&self, other: &Self) {
        assert_eq!(
            (self.width, self.height),
            (other.width, other.height),
            "masks must be of one size"
        );
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mask")
            .field("width", &self.width)
            .field("height", &self.height)
            .field("area", &self.area())
            .finish()
    }
}

fn pixel_count(width: u32, height: u32) -> usize {
    (width as usize)
        .checked_mul(height as usize)
        .expect("the pixels can be counted")
}

fn covered_pixels(low: f32, high: f32, length: u32) -> Range<usize> {
    if low.is_nan() || high.is_nan() {
        return 0..0;
    }
    let (low, high) = (low.max(0.0), high.min(length as f32));
    if low >= high {
        return 0..0;
    }
    let (first, end) = (low.round() as usize, high.round() as usize);
    if first < end {
        return first..end;
    }
    let only = low.floor() as usize;
    only..only + 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn noise(width: u32, height: u32, seed: u64) -> Mask {
        Mask::from_fn(width, height, |x, y| {
            let mixed = ((u64::from(x) << 32) | u64::from(y)) ^ seed;
            mixed
                .wrapping_mul(0x9E37_79B9_7F4A_7C15)
                .rotate_left(23)
                .is_multiple_of(8)
        })
    }

    #[test]
    fn rectangles_are_clipped_and_never_vanish() {
        assert_eq!(
            Mask::rect(8, 6, [-3.0, 2.0, 2.0, 99.0]).bounds(),
            Some([0.0, 2.0, 2.0, 6.0])
        );
        assert_eq!(
            Mask::rect(8, 6, [2.1, 2.1, 2.2, 2.2]).bounds(),
            Some([2.0, 2.0, 3.0, 3.0])
        );
        assert_eq!(
            Mask::rect(8, 6, [7.6, 0.0, 7.9, 1.0]).bounds(),
            Some([7.0, 0.0, 8.0, 1.0])
        );
        assert!(Mask::rect(8, 6, [4.0, 2.0, 4.0, 5.0]).is_empty());
        assert!(Mask::rect(8, 6, [9.0, 0.0, 12.0, 5.0]).is_empty());
        assert!(Mask::rect(8, 6, [f32::NAN, 0.0, f32::NAN, 5.0]).is_empty());
    }

    #[test]
    fn empty_masks_have_no_place_and_agree() {
        let empty = Mask::new(5, 4);
        assert_eq!((empty.bounds(), empty.centroid()), (None, None));
        assert_eq!(empty.iou(&Mask::new(5, 4)), 1.0);
    }

    #[test]
    fn centroid_of_a_ring() {
        let ring = Mask::from_fn(5, 5, |x, y| x == 0 || y == 0 || x == 4 || y == 4);
        assert_eq!(ring.centroid(), Some((2.5, 2.5)));
    }

    #[test]
    fn logits_above_zero_are_set() {
        let mask = Mask::from_logits(&[0.0, 0.1, -1.0, f32::NAN], 2, 2);
        assert_eq!(mask.data(), [0, 1, 0, 0]);
    }

    proptest! {
        #[test]
        fn counts_and_boxes_agree_with_brute_force(
            width in 1u32..40, height in 1u32..40, a in any::<u64>(), b in any::<u64>(),
        ) {
            let (first, second) = (noise(width, height, a), noise(width, height, b));
            let pixels = || (0..height).flat_map(move |y| (0..width).map(move |x| (x, y)));
            let set: Vec<_> = pixels().filter(|&(x, y)| first.get(x, y)).collect();
            prop_assert_eq!(first.area(), set.len() as u64);
            let both = pixels().filter(|&(x, y)| first.get(x, y) && second.get(x, y)).count();
            let any = pixels().filter(|&(x, y)| first.get(x, y) || second.get(x, y)).count();
            prop_assert_eq!(first.intersection_and_union(&second), (both as u64, any as u64));
            let bounds = set.iter().fold(None, |bounds: Option<[u32; 4]>, &(x, y)| {
                let [x0, y0, x1, y1] = bounds.unwrap_or([x, y, x, y]);
                Some([x0.min(x), y0.min(y), x1.max(x + 1), y1.max(y + 1)])
            });
            prop_assert_eq!(first.pixel_bounds(), bounds);

            let mut union = first.clone();
            union.union_with(&second);
            prop_assert_eq!(union.area(), any as u64);
            let mut inverse = first.clone();
            inverse.invert();
            prop_assert_eq!(inverse.area() + first.area(), u64::from(width * height));
        }

        #[test]
        fn crops_keep_pixels(
            seed in any::<u64>(), x0 in 0u32..20, y0 in 0u32..20, x1 in 0u32..40, y1 in 0u32..40,
        ) {
            let mask = noise(23, 17, seed);
            let crop = mask.crop(x0, y0, x1, y1);
            for y in 0..crop.height() {
                for x in 0..crop.width() {
                    prop_assert_eq!(crop.get(x, y), mask.get(x0 + x, y0 + y));
                }
            }
        }

        #[test]
        fn the_wire_gives_back_the_mask(
            width in 1u32..70, height in 1u32..70, seed in any::<u64>(),
        ) {
            let mask = noise(width, height, seed);
            prop_assert_eq!(Mask::from_wire(&mask.to_wire(), 10_000).unwrap(), mask);
        }
    }
}
