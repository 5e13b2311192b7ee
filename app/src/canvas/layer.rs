use fclm_core::mask::{Mask, svg};
use fclm_core::wire::MaskRle;
use leptos::prelude::document;
use wasm_bindgen::{Clamped, JsCast, JsValue};
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement, ImageData, Path2d};

use crate::editor::{MAX_PIXELS, PixelRect, PointXy, Raster, RunIndex, outline};
use crate::formats::rgb;

// A layer larger than this is kept at a lower resolution; the mask itself stays exact.
const MAX_LAYER_PIXELS: f64 = 4_000_000.0;

/// A mask as the browser draws it: a bitmap in the mask's colour and its outline.
pub(super) struct Layer {
    bitmap: Bitmap,
    /// The outline in image pixels.
    pub(super) path: Path2d,
    /// For hit tests.
    pub(super) index: RunIndex,
    /// Tight box of the mask in image pixels.
    pub(super) bounds: PixelRect,
}

impl Layer {
    /// Draws a mask once; nothing for an empty or broken one.
    pub(super) fn new(rle: &MaskRle, color: &str) -> Option<Self> {
        let mask = Mask::from_wire(rle, MAX_PIXELS).ok()?;
        let [x0, y0, x1, y1] = mask.bounds()?.map(|edge| edge as u32);
        let bounds = PixelRect { x0, y0, x1, y1 };
        let bitmap = Bitmap::new(bounds, color).ok()?;
        bitmap.paint(mask.data(), mask.width(), bounds).ok()?;
        let path = Path2d::new_with_path_string(&svg::write_path(&outline(&mask))).ok()?;
        Some(Self {
            bitmap,
            path,
            index: RunIndex::new(&mask),
            bounds,
        })
    }

    /// Puts the bitmap where the context's transform has the image.
    pub(super) fn draw(&self, context: &CanvasRenderingContext2d) {
        self.bitmap.draw(context);
    }
}

/// The layer under a running stroke: it covers the whole image, and each step paints only what it
/// has touched.
pub(super) struct LiveLayer {
    bitmap: Bitmap,
    raster: Raster,
    value: u8,
    last: PointXy,
}

impl LiveLayer {
    /// A stroke that sets (1) or clears (0) pixels of `raster`, and starts at `at`.
    pub(super) fn new(raster: Raster, color: &str, value: u8, at: PointXy) -> Option<Self> {
        let all = PixelRect {
            x0: 0,
            y0: 0,
            x1: raster.width(),
            y1: raster.height(),
        };
        let bitmap = Bitmap::new(all, color).ok()?;
        bitmap.paint(raster.data(), raster.width(), all).ok()?;
        Some(Self {
            bitmap,
            raster,
            value,
            last: at,
        })
    }

    /// Goes on to a point.
    pub(super) fn advance(&mut self, to: PointXy, radius: f64) {
        let touched = self.raster.stroke(self.last, to, radius, self.value);
        self.last = to;
        if let Some(rect) = touched {
            // A failing repaint shows an old picture for one frame and loses nothing.
            let _ = self
                .bitmap
                .paint(self.raster.data(), self.raster.width(), rect);
        }
    }

    /// The mask that the stroke leaves.
    pub(super) fn into_mask(self) -> Mask {
        self.raster.into_mask()
    }

    /// Puts the bitmap where the context's transform has the image.
    pub(super) fn draw(&self, context: &CanvasRenderingContext2d) {
        self.bitmap.draw(context);
    }
}

struct Bitmap {
    canvas: HtmlCanvasElement,
    context: CanvasRenderingContext2d,
    area: PixelRect,
    scale: f64,
    color: [u8; 3],
}

impl Bitmap {
    fn new(area: PixelRect, color: &str) -> Result<Self, JsValue> {
        let (width, height) = (f64::from(area.x1 - area.x0), f64::from(area.y1 - area.y0));
        let scale = (MAX_LAYER_PIXELS / (width * height)).sqrt().min(1.0);
        let canvas: HtmlCanvasElement = document().create_element("canvas")?.unchecked_into();
        canvas.set_width((width * scale).ceil() as u32);
        canvas.set_height((height * scale).ceil() as u32);
        let context = canvas
            .get_context("2d")?
            .ok_or(JsValue::NULL)?
            .dyn_into::<CanvasRenderingContext2d>()?;
        Ok(Self {
            canvas,
            context,
            area,
            scale,
            color: rgb(color),
        })
    }

    fn paint(&self, data: &[u8], stride: u32, rect: PixelRect) -> Result<(), JsValue> {
        let down = |edge: u32, origin: u32| (f64::from(edge - origin) * self.scale).floor() as u32;
        let up = |edge: u32, origin: u32, end: u32| {
            ((f64::from(edge - origin) * self.scale).ceil() as u32).min(end)
        };
        let (x0, y0) = (down(rect.x0, self.area.x0), down(rect.y0, self.area.y0));
        let x1 = up(rect.x1, self.area.x0, self.canvas.width());
        let y1 = up(rect.y1, self.area.y0, self.canvas.height());
        if x0 >= x1 || y0 >= y1 {
            return Ok(());
        }
        let sample = |at: u32, origin: u32, end: u32| {
            (origin + ((f64::from(at) + 0.5) / self.scale) as u32).min(end - 1)
        };
        let [red, green, blue] = self.color;
        let mut pixels = Vec::with_capacity(((x1 - x0) * (y1 - y0) * 4) as usize);
        for y in y0..y1 {
            let row = sample(y, self.area.y0, self.area.y1) as usize * stride as usize;
            for x in x0..x1 {
                let inside = data[row + sample(x, self.area.x0, self.area.x1) as usize] != 0;
                pixels.extend([red, green, blue, if inside { 255 } else { 0 }]);
            }
        }
        let (width, height) = (x1 - x0, y1 - y0);
        let image = ImageData::new_with_u8_clamped_array_and_sh(Clamped(&pixels), width, height)?;
        self.context
            .put_image_data(&image, f64::from(x0), f64::from(y0))
    }

    fn draw(&self, context: &CanvasRenderingContext2d) {
        let area = self.area;
        // Drawing fails only for a canvas without pixels, and this one has some.
        let _ = context.draw_image_with_html_canvas_element_and_dw_and_dh(
            &self.canvas,
            f64::from(area.x0),
            f64::from(area.y0),
            f64::from(area.x1 - area.x0),
            f64::from(area.y1 - area.y0),
        );
    }
}
