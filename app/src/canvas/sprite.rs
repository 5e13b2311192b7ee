use wasm_bindgen::JsValue;
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement};

use crate::bitmap::sized;
use crate::editor::{PixelRect, PointXy, Viewport};

/// More pixels than this are not kept: a screen has room for few masks of that size.
const MOST: f64 = 512.0 * 512.0;
/// Parts of a pixel that are told apart.
const PARTS: f64 = 32.0;
/// What floating point may be off where a picture was moved by whole pixels.
const SLIP: f64 = 1e-6;

/// A mask as it was painted, to be put down again as long as it would look the same.
pub(super) struct Sprite {
    canvas: HtmlCanvasElement,
    looks: Looks,
}

/// What a painted mask depends on, besides its pixels and colour: moves by whole pixels of the
/// screen are not among it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Looks {
    resolution: f64,
    phase: (i32, i32),
    margin: f64,
    fill: f64,
    line: f64,
}

/// Where a sprite lies, and how it is painted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spot {
    /// Left and top edge in pixels of the screen.
    place: PointXy,
    size: (u32, u32),
    /// Where the image begins in the sprite.
    origin: PointXy,
    looks: Looks,
}

impl Spot {
    /// For a mask with these bounds, filled and outlined so strongly, with a margin around it in
    /// CSS pixels.
    pub(super) fn new(
        bounds: PixelRect,
        margin: f64,
        (fill, line): (f64, f64),
        viewport: Viewport,
        ratio: f64,
    ) -> Self {
        let resolution = viewport.scale * ratio;
        let along = |start: u32, end: u32, offset: f64| {
            let whole = (offset * ratio + SLIP).floor();
            let phase = offset * ratio - whole;
            let first = (f64::from(start) * resolution - margin * ratio).floor();
            let last = (f64::from(end) * resolution + margin * ratio).ceil() + 1.0;
            (whole + first, last - first, phase - first, phase)
        };
        let (left, width, x, phase_x) = along(bounds.x0, bounds.x1, viewport.x);
        let (top, height, y, phase_y) = along(bounds.y0, bounds.y1, viewport.y);
        let part = |phase: f64| (phase * PARTS).round() as i32;
        Self {
            place: (left, top),
            size: (width as u32, height as u32),
            origin: (x, y),
            looks: Looks {
                resolution,
                phase: (part(phase_x), part(phase_y)),
                margin,
                fill,
                line,
            },
        }
    }

    /// Whether it is small enough to be kept.
    pub(super) fn is_small(&self) -> bool {
        f64::from(self.size.0) * f64::from(self.size.1) <= MOST
    }
}

impl Sprite {
    /// Paints one, with a context in which the image has its own pixels.
    pub(super) fn new(
        spot: &Spot,
        paint: impl FnOnce(&CanvasRenderingContext2d) -> Result<(), JsValue>,
    ) -> Result<Self, JsValue> {
        let (canvas, context) = sized(spot.size.0, spot.size.1)?;
        let resolution = spot.looks.resolution;
        context.set_transform(
            resolution,
            0.0,
            0.0,
            resolution,
            spot.origin.0,
            spot.origin.1,
        )?;
        paint(&context)?;
        Ok(Self {
            canvas,
            looks: spot.looks,
        })
    }

    /// Whether it looks as is wanted there.
    pub(super) fn suits(&self, spot: &Spot) -> bool {
        self.looks == spot.looks
    }

    /// Puts it down.
    pub(super) fn draw(
        &self,
        context: &CanvasRenderingContext2d,
        spot: &Spot,
    ) -> Result<(), JsValue> {
        context.set_transform(1.0, 0.0, 0.0, 1.0, 0.0, 0.0)?;
        context.set_global_alpha(1.0);
        let (left, top) = spot.place;
        context.draw_image_with_html_canvas_element(&self.canvas, left, top)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: PixelRect = PixelRect {
        x0: 10,
        y0: 20,
        x1: 30,
        y1: 25,
    };

    fn spot(scale: f64, x: f64, y: f64, ratio: f64) -> Spot {
        Spot::new(BOUNDS, 3.0, (0.3, 1.5), Viewport { scale, x, y }, ratio)
    }

    #[test]
    fn a_sprite_covers_its_mask_and_a_margin() {
        let spot = spot(2.0, 100.25, 50.0, 1.0);
        assert_eq!(spot.place, (117.0, 87.0));
        assert_eq!(spot.size, (47, 17));
        // The mask's left edge lies at 120.25 on the screen, 3.25 within the sprite.
        assert!((10.0 * 2.0 + spot.origin.0 - 3.25).abs() < 1e-9);
        assert!(spot.is_small());
        assert!(!self::spot(90.0, 0.0, 0.0, 1.0).is_small());
    }

    #[test]
    fn moves_by_whole_pixels_need_no_other_sprite() {
        let before = spot(0.3, 12.1, 7.7, 2.0);
        // What is left of many small moves is no exact number.
        let after = spot(0.3, 12.1 + 0.1 * 30.0, 7.7, 2.0);
        assert_eq!((after.looks, after.size), (before.looks, before.size));
        assert_eq!(after.place.0 - before.place.0, 6.0);
        let near_whole = spot(1.0, 5.0 - 1e-9, 0.0, 1.0);
        assert_eq!(near_whole.place, spot(1.0, 5.0, 0.0, 1.0).place);
        assert_ne!(spot(0.3, 12.3, 7.7, 2.0).looks, before.looks);
        assert_ne!(spot(0.31, 12.1, 7.7, 2.0).looks, before.looks);
    }
}
