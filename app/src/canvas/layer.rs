use std::cell::OnceCell;

use fclm_core::mask::contour::Ring;
use fclm_core::mask::{Mask, Rle, svg};
use fclm_core::wire::{MaskRle, PictureView};
use js_sys::Array;
use wasm_bindgen::{Clamped, JsValue};
use web_sys::{CanvasRenderingContext2d, CanvasWindingRule, HtmlCanvasElement, ImageData, Path2d};

use super::frame::Drawn;
use super::overlay::{HALO, dashes};
use crate::bitmap::{blank, with_pixels};
use crate::editor::{Ink, MAX_PIXELS, PixelRect, PointXy, Raster, RunIndex, coarser, outline};
use crate::formats::rgb;

/// From so many CSS pixels per pixel on, pixels are shown as the squares that they are.
pub(super) const BLOCKS: f64 = 6.0;
// Of a larger mask no bitmap is made.
const MAX_BITMAP_PIXELS: u64 = 500_000;

/// A mask as the browser draws it: the lines around it, and a bitmap in its colour. A large mask has
/// no bitmap, which would take long to make: it is filled by its lines.
pub(super) struct Layer {
    rle: Rle,
    // Made when it is drawn first.
    bitmap: OnceCell<Option<Bitmap>>,
    // The lines along the edges of its pixels, likewise.
    squares: OnceCell<Option<Path2d>>,
    lines: Vec<Ring>,
    path: Path2d,
    level: u8,
    /// For hit tests.
    pub(super) index: RunIndex,
    /// Tight box of the mask in image pixels.
    pub(super) bounds: PixelRect,
}

impl Layer {
    /// Draws a mask once; nothing for an empty or broken one.
    pub(super) fn new(wire: &MaskRle) -> Option<Self> {
        let rle = Rle::from_wire(wire, MAX_PIXELS).ok()?;
        let [x, y, width, height] = rle.bbox();
        if width == 0 {
            return None;
        }
        let bounds = PixelRect {
            x0: x,
            y0: y,
            x1: x + width,
            y1: y + height,
        };
        let mask = rle.part([bounds.x0, bounds.y0, bounds.x1, bounds.y1]);
        let lines = moved(outline(&mask), bounds);
        Some(Self {
            bitmap: OnceCell::new(),
            squares: OnceCell::new(),
            path: path(&lines)?,
            lines,
            level: 0,
            index: RunIndex::new(&rle),
            bounds,
            rle,
        })
    }

    /// Makes the outline as coarse as pixels of the screen allow that are 2 to the power of
    /// `level` pixels of the image wide; `off` is how many of them it may be off.
    pub(super) fn suit(&mut self, level: u8, off: f32) {
        if self.level == level {
            return;
        }
        let drawn = if level == 0 {
            path(&self.lines)
        } else {
            let width = 2f32.powi(i32::from(level));
            path(&coarser(&self.lines, off * width))
        };
        if let Some(drawn) = drawn {
            self.path = drawn;
            self.level = level;
        }
    }

    /// The outline in image pixels.
    pub(super) fn path(&self) -> &Path2d {
        &self.path
    }

    /// Fills and outlines the mask where the context's transform has the image, which is shown
    /// at that many CSS pixels per pixel; the time in milliseconds is for outlines that move.
    pub(super) fn paint(
        &self,
        context: &CanvasRenderingContext2d,
        drawn: &Drawn,
        scale: f64,
        time: f64,
    ) -> Result<(), JsValue> {
        context.set_global_alpha(drawn.fill);
        let is_smooth = scale < BLOCKS;
        if self.bounds.area() > MAX_BITMAP_PIXELS {
            let path = if is_smooth {
                Some(&self.path)
            } else {
                self.squares()
            };
            if let Some(path) = path {
                context.set_fill_style_str(&drawn.color);
                context.fill_with_path_2d_and_winding(path, CanvasWindingRule::Evenodd);
            }
        } else if let Some(bitmap) = self.bitmap(&drawn.color) {
            context.set_image_smoothing_enabled(is_smooth);
            bitmap.draw(context);
        }
        context.set_global_alpha(1.0);
        if drawn.line <= 0.0 {
            return Ok(());
        }
        let unit = 1.0 / scale;
        context.set_line_join("round");
        context.set_stroke_style_str(&HALO);
        context.set_line_width((drawn.line + PictureView::HALO) * unit);
        context.stroke_with_path(&self.path);
        if drawn.pending {
            context.set_line_dash(&dashes(8.0 * unit, 6.0 * unit))?;
            context.set_line_dash_offset(-time / 30.0 % 14.0 * unit);
        }
        context.set_stroke_style_str(&drawn.color);
        context.set_line_width(drawn.line * unit);
        context.stroke_with_path(&self.path);
        context.set_line_dash(&Array::new())
    }

    // A mask of another colour has another layer.
    fn bitmap(&self, color: &str) -> Option<&Bitmap> {
        let make = || Bitmap::new(self.bounds, &self.pixels(), rgb(color)).ok();
        self.bitmap.get_or_init(make).as_ref()
    }

    fn squares(&self) -> Option<&Path2d> {
        let make = || path(&moved(self.pixels().contours(), self.bounds));
        self.squares.get_or_init(make).as_ref()
    }

    fn pixels(&self) -> Mask {
        let PixelRect { x0, y0, x1, y1 } = self.bounds;
        self.rle.part([x0, y0, x1, y1])
    }
}

/// Lines around a part of the image, where that part lies.
fn moved(mut lines: Vec<Ring>, part: PixelRect) -> Vec<Ring> {
    for (x, y) in lines.iter_mut().flatten() {
        (*x, *y) = (*x + part.x0 as f32, *y + part.y0 as f32);
    }
    lines
}

fn path(lines: &[Ring]) -> Option<Path2d> {
    Path2d::new_with_path_string(&svg::write_path(lines)).ok()
}

/// The layer under a running stroke: of the bitmap that grows, each frame draws no more than what
/// the screen shows and has changed.
pub(super) struct LiveLayer {
    raster: Raster,
    color: [u8; 3],
    ink: Ink,
    last: PointXy,
    // What is or was set, and what was touched since somebody asked.
    extent: Option<PixelRect>,
    touched: Option<PixelRect>,
    // What is drawn goes through it, because image data knows no transparency.
    canvas: HtmlCanvasElement,
    context: CanvasRenderingContext2d,
}

impl LiveLayer {
    /// A stroke that sets or clears pixels of `raster`, and starts at `at`.
    pub(super) fn new(raster: Raster, color: &str, ink: Ink, at: PointXy) -> Option<Self> {
        let (canvas, context) = blank().ok()?;
        Some(Self {
            extent: raster.bounds(),
            raster,
            color: rgb(color),
            ink,
            last: at,
            touched: None,
            canvas,
            context,
        })
    }

    /// Goes on to a point.
    pub(super) fn advance(&mut self, to: PointXy, radius: f64) {
        let touched = self.raster.stroke(self.last, to, radius, self.ink);
        self.last = to;
        if let Some(rect) = touched {
            let with = |other: Option<PixelRect>| other.map_or(rect, |other| other.union(rect));
            self.extent = Some(with(self.extent));
            self.touched = Some(with(self.touched));
        }
    }

    /// What is set, or has been since the stroke began.
    pub(super) fn extent(&self) -> Option<PixelRect> {
        self.extent
    }

    /// What the stroke has touched since this was asked last.
    pub(super) fn take_touched(&mut self) -> Option<PixelRect> {
        self.touched.take()
    }

    /// The mask that the stroke leaves.
    pub(super) fn into_mask(self) -> Mask {
        self.raster.into_mask()
    }

    /// Draws what lies under a rectangle (left, top, width, height) of the context's bitmap, in
    /// whole pixels, where the image begins at `origin` and has `scale` of these per pixel.
    pub(super) fn draw(
        &self,
        context: &CanvasRenderingContext2d,
        [left, top, width, height]: [f64; 4],
        origin: PointXy,
        scale: f64,
    ) -> Result<(), JsValue> {
        let (columns, rows) = (width as u32, height as u32);
        if self.canvas.width() < columns || self.canvas.height() < rows {
            self.canvas.set_width(columns.max(self.canvas.width()));
            self.canvas.set_height(rows.max(self.canvas.height()));
        }
        let to_image = |at: f64, origin: f64| (at + 0.5 - origin) / scale;
        let first = (to_image(left, origin.0), to_image(top, origin.1));
        let [red, green, blue] = self.color;
        let samples = self.raster.sampled(first, 1.0 / scale, columns, rows);
        let pixels: Vec<u8> = samples
            .into_iter()
            .flat_map(|inside| [red, green, blue, inside * 255])
            .collect();
        let image = ImageData::new_with_u8_clamped_array_and_sh(Clamped(&pixels), columns, rows)?;
        self.context.put_image_data(&image, 0.0, 0.0)?;
        context.set_transform(1.0, 0.0, 0.0, 1.0, 0.0, 0.0)?;
        context.draw_image_with_html_canvas_element_and_sw_and_sh_and_dx_and_dy_and_dw_and_dh(
            &self.canvas,
            0.0,
            0.0,
            width,
            height,
            left,
            top,
            width,
            height,
        )
    }
}

struct Bitmap {
    canvas: HtmlCanvasElement,
    area: PixelRect,
}

impl Bitmap {
    /// The mask of an area in a colour.
    fn new(area: PixelRect, mask: &Mask, [red, green, blue]: [u8; 3]) -> Result<Self, JsValue> {
        // Where the mask is not, no colour is seen.
        let mut pixels = vec![0u8; mask.data().len() * 4];
        for (pixel, &inside) in pixels.chunks_exact_mut(4).zip(mask.data()) {
            if inside != 0 {
                pixel.copy_from_slice(&[red, green, blue, 255]);
            }
        }
        let (columns, rows) = (mask.width(), mask.height());
        let image = ImageData::new_with_u8_clamped_array_and_sh(Clamped(&pixels), columns, rows)?;
        let (canvas, _) = with_pixels(&image)?;
        Ok(Self { canvas, area })
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
