//! Run lengths, areas, boxes and overlaps against those of the COCO mask API.

use serde::Deserialize;

use super::{Mask, Rle};
use crate::fixtures::folder;

/// Both divide two whole numbers.
const TOLERANCE: f64 = 1e-9;

#[derive(Deserialize)]
struct Fixture {
    poly: Vec<PolygonCase>,
    rle: Vec<RleCase>,
    iou: Vec<(usize, usize, f64)>,
}

#[derive(Deserialize)]
struct PolygonCase {
    h: u32,
    w: u32,
    segmentation: Vec<Vec<f64>>,
    rle: String,
    area: u64,
    bbox: [f64; 4],
}

#[derive(Deserialize)]
struct RleCase {
    index: usize,
    size: [u32; 2],
    counts: String,
    area: u64,
    bbox: [f64; 4],
}

impl RleCase {
    fn read(&self) -> Rle {
        let [height, width] = self.size;
        Rle::from_coco_string(width, height, &self.counts).unwrap()
    }

    /// Every pixel, column by column, read from the string by its definition: five bits in a
    /// character, the sixth where the number goes on, the last one's highest the sign; from the
    /// fourth number on the difference to the one before the last.
    fn pixels(&self) -> Vec<bool> {
        let mut runs: Vec<i64> = Vec::new();
        let (mut number, mut bits) = (0i64, 0);
        for byte in self.counts.bytes().map(|byte| i64::from(byte) - 48) {
            number |= (byte & 31) << bits;
            bits += 5;
            if byte & 32 != 0 {
                continue;
            }
            if byte & 16 != 0 {
                number -= 1 << bits;
            }
            if runs.len() > 2 {
                number += runs[runs.len() - 2];
            }
            runs.push(number);
            (number, bits) = (0, 0);
        }
        let runs = runs.iter().enumerate();
        runs.flat_map(|(index, &run)| std::iter::repeat_n(index % 2 == 1, run as usize))
            .collect()
    }
}

fn fixture() -> Fixture {
    let text = std::fs::read_to_string(folder("masks").join("coco_mask_api.json")).unwrap();
    let fixture: Fixture = serde_json::from_str(&text).unwrap();
    assert!(!fixture.poly.is_empty() && !fixture.rle.is_empty() && !fixture.iou.is_empty());
    fixture
}

#[track_caller]
fn assert_overlap(left: &Rle, right: &Rle, expected: f64) {
    let iou = left.iou(right).unwrap();
    assert!(
        (iou - expected).abs() <= TOLERANCE,
        "{iou} is not {expected}"
    );
    let rasters = left.to_mask().iou(&right.to_mask());
    assert!(
        (rasters - expected).abs() <= TOLERANCE,
        "{rasters} is not {expected}"
    );
}

/// Intersection over union by counting pixels.
fn counted(left: &[bool], right: &[bool]) -> f64 {
    let pairs = || left.iter().zip(right);
    let both = pairs().filter(|&(&left, &right)| left & right).count();
    if both == 0 {
        return 0.0;
    }
    let either = pairs().filter(|&(&left, &right)| left | right).count();
    both as f64 / either as f64
}

#[test]
fn fixture_polygons() {
    for case in fixture().poly {
        let rle = Rle::from_polygons(case.w, case.h, &case.segmentation).unwrap();
        assert_eq!(rle.to_coco_string(), case.rle);
        assert_eq!(rle.area(), case.area);
        assert_eq!(rle.bbox().map(f64::from), case.bbox);
    }
}

#[test]
fn fixture_strings() {
    for case in fixture().rle {
        let rle = case.read();
        assert_eq!(rle.to_coco_string(), case.counts);
        assert_eq!(rle.area(), case.area);
        assert_eq!(rle.bbox().map(f64::from), case.bbox);
        let mask = rle.to_mask();
        assert_eq!(mask.area(), case.area);
        assert_eq!(Rle::from_mask(&mask), rle);
    }
}

#[test]
fn fixture_overlaps() {
    let fixture = fixture();
    // Pairs go by the masks' `index`; not every mask that they name is in the file.
    let read = |index: usize| {
        let case = fixture.rle.iter().find(|case| case.index == index)?;
        Some(case.read())
    };
    let mut compared = 0;
    for &(left, right, expected) in &fixture.iou {
        if let (Some(left), Some(right)) = (read(left), read(right)) {
            assert_overlap(&left, &right, expected);
            compared += 1;
        }
    }
    assert!(compared > 0, "no pair of overlaps is in the file");
}

/// The pairs of the file that can be compared may all be apart, so here are some that are not.
#[test]
fn fixture_masks_overlap_as_their_pixels_do() {
    let fixture = fixture();
    let masks: Vec<(Rle, Vec<bool>)> = fixture
        .rle
        .iter()
        .map(|case| (case.read(), case.pixels()))
        .collect();
    let mut overlapping = 0;
    for (index, (left, left_pixels)) in masks.iter().enumerate() {
        let size = (left.width(), left.height());
        assert_eq!(left_pixels.len(), (size.0 * size.1) as usize);
        for (right, right_pixels) in &masks[index + 1..] {
            if (right.width(), right.height()) != size {
                continue;
            }
            let expected = counted(left_pixels, right_pixels);
            if expected > 0.0 {
                assert_overlap(left, right, expected);
                overlapping += 1;
            }
        }
        // Whatever the file holds, a mask overlaps with itself moved by a pixel or two.
        let [x, y] = [1, 2];
        let mask = left.to_mask();
        let moved = Mask::from_fn(size.0, size.1, |column, row| {
            column >= x && row >= y && mask.get(column - x, row - y)
        });
        let moved_pixels: Vec<bool> = (0..size.0 * size.1)
            .map(|place| {
                let (column, row) = (place / size.1, place % size.1);
                column >= x && row >= y && left_pixels[((column - x) * size.1 + row - y) as usize]
            })
            .collect();
        let expected = counted(left_pixels, &moved_pixels);
        assert_overlap(left, &Rle::from_mask(&moved), expected);
        overlapping += usize::from(expected > 0.0);
    }
    assert!(overlapping > 1, "only {overlapping} pairs of masks overlap");
}
