//! Where a region is looked at closely, and how its box is told to the model.

use serde::{Deserialize, Serialize};

use crate::wire::BoxPx;

/// How much of the picture the crop around a region shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CropConfig {
    /// Sides of a region's box count as at least so many pixels.
    pub least_side: u32,
    /// What is shown on each side of the box, in per cent of the box's side.
    pub margin_percent: u32,
}

impl Default for CropConfig {
    /// One box of margin on each side of a box of at least 48 pixels.
    fn default() -> Self {
        Self {
            least_side: 48,
            margin_percent: 100,
        }
    }
}

/// The part of a `width x height` image that shows a region closely: the sides of its box raised to
/// the least side about the centre, the margin on each side, grown to whole pixels and clipped to the
/// image. `x0, y0, x1, y1`, half-open; never empty for a non-empty image.
pub fn region_crop(bounds: BoxPx, width: u32, height: u32, crop: CropConfig) -> [u32; 4] {
    let [x0, y0, x1, y1] = bounds;
    let (left, right) = crop_side(x0, x1, width, crop);
    let (top, bottom) = crop_side(y0, y1, height, crop);
    [left, top, right, bottom]
}

/// The box's centre and size as shares of the image: `cx, cy, w, h`, each in `[0, 1]`.
pub fn box_center_size_normalised(bounds: BoxPx, width: u32, height: u32) -> [f32; 4] {
    let [x0, y0, x1, y1] = bounds;
    let (width, height) = (width.max(1) as f32, height.max(1) as f32);
    let share = |value: f32, whole: f32| (value / whole).clamp(0.0, 1.0);
    [
        share((x0 + x1) / 2.0, width),
        share((y0 + y1) / 2.0, height),
        share(x1 - x0, width),
        share(y1 - y0, height),
    ]
}

fn crop_side(low: f32, high: f32, length: u32, crop: CropConfig) -> (u32, u32) {
    let center = (low + high) / 2.0;
    let margin = crop.margin_percent as f32 / 100.0;
    let reach = (0.5 + margin) * (high - low).max(crop.least_side as f32);
    // A box outside the image still gets the pixel that is nearest to it.
    let first = ((center - reach).floor().max(0.0) as u32).min(length.saturating_sub(1));
    let end =
        ((center + reach).ceil().max(0.0) as u32).clamp(first.saturating_add(1), length.max(1));
    (first, end.min(length))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn published_crop(bounds: BoxPx, width: u32, height: u32) -> [u32; 4] {
        region_crop(bounds, width, height, CropConfig::default())
    }

    #[test]
    fn a_margin_of_one_box_on_each_side() {
        assert_eq!(
            published_crop([100.0, 200.0, 160.0, 300.0], 640, 480),
            [40, 100, 220, 400]
        );
    }

    #[test]
    fn small_boxes_are_raised_and_crops_clipped() {
        assert_eq!(
            published_crop([300.0, 200.0, 310.0, 210.0], 640, 480),
            [233, 133, 377, 277]
        );
        assert_eq!(
            published_crop([0.0, 0.0, 10.0, 10.0], 640, 480),
            [0, 0, 77, 77]
        );
        assert_eq!(
            published_crop([0.0, 0.0, 32.0, 32.0], 32, 32),
            [0, 0, 32, 32]
        );
    }

    #[test]
    fn a_crop_may_be_closer() {
        let near = CropConfig {
            least_side: 24,
            margin_percent: 50,
        };
        assert_eq!(
            region_crop([100.0, 200.0, 160.0, 300.0], 640, 480, near),
            [70, 150, 190, 350]
        );
        assert_eq!(
            region_crop([300.0, 200.0, 310.0, 210.0], 640, 480, near),
            [281, 181, 329, 229]
        );
    }

    #[test]
    fn boxes_in_shares() {
        assert_eq!(
            box_center_size_normalised([10.0, 0.0, 30.0, 50.0], 40, 100),
            [0.5, 0.25, 0.5, 0.5]
        );
    }

    proptest! {
        #[test]
        fn crops_lie_inside_and_are_never_empty(
            x0 in -500.0f32..2_000.0, y0 in -500.0f32..2_000.0,
            w in 0.0f32..2_000.0, h in 0.0f32..2_000.0,
            width in 1u32..1_000, height in 1u32..1_000,
            least_side in 1u32..100, margin_percent in 0u32..200,
        ) {
            let crop = CropConfig { least_side, margin_percent };
            let [left, top, right, bottom] =
                region_crop([x0, y0, x0 + w, y0 + h], width, height, crop);
            prop_assert!(left < right && right <= width);
            prop_assert!(top < bottom && bottom <= height);
        }
    }
}
