use std::collections::HashMap;
use std::f64::consts::TAU;
use std::sync::Arc;

use fclm_core::wire::{BoxPx, MaskRle};
use js_sys::Array;
use leptos::prelude::window;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{CanvasRenderingContext2d, CanvasWindingRule, HtmlCanvasElement, HtmlImageElement};

use super::layer::{Layer, LiveLayer};
use crate::editor::{PointXy, Viewport};

const HALO: &str = "rgba(0, 0, 0, 0.55)";
/// How large corners are drawn, in CSS pixels.
const CORNER: f64 = 8.0;
/// Radius of the loupe in CSS pixels, and how much it magnifies.
const LOUPE: f64 = 56.0;
const MAGNIFIED: f64 = 2.5;
const LABEL_FONT: &str = "600 12px system-ui, sans-serif";

/// A mask to be drawn.
pub(super) struct Drawn {
    /// Under which its layer is kept.
    pub(super) key: String,
    /// The mask.
    pub(super) mask: Arc<MaskRle>,
    /// `#rrggbb`.
    pub(super) color: String,
    /// A tag at its corner.
    pub(super) label: Option<String>,
    /// How strong its fill is, 0 to 1.
    pub(super) fill: f64,
    /// Width of its outline in CSS pixels.
    pub(super) line: f64,
    /// Whether the model is still working on it.
    pub(super) pending: bool,
    /// Whether the rest of the picture steps back for it.
    pub(super) spotlight: bool,
    /// By how many image pixels it is carried away.
    pub(super) shift: PointXy,
    /// Whether the running stroke stands for it.
    pub(super) live: bool,
}

/// A line that is drawn point by point.
pub(super) struct Line {
    /// Its points on the stage.
    pub(super) points: Vec<PointXy>,
    /// Whether the last point is joined to the first.
    pub(super) is_closed: bool,
    /// Whether its points can be taken hold of.
    pub(super) has_corners: bool,
}

/// Everything that one frame shows.
pub(super) struct Scene {
    /// How the image lies.
    pub(super) viewport: Viewport,
    /// Size of the stage in CSS pixels.
    pub(super) stage: PointXy,
    /// Size of the image.
    pub(super) image: PointXy,
    /// Masks, lowest first.
    pub(super) masks: Vec<Drawn>,
    /// The box that is being drawn, in whole image pixels.
    pub(super) drag: Option<BoxPx>,
    /// Lines that are being drawn or can be changed.
    pub(super) lines: Vec<Line>,
    /// Stage point under a finger, which is shown beside it.
    pub(super) loupe: Option<PointXy>,
    /// Stage point and radius of the brush's outline.
    pub(super) brush: Option<(PointXy, f64)>,
    /// Stage point of the keyboard's crosshair.
    pub(super) crosshair: Option<PointXy>,
    /// Milliseconds, for what moves.
    pub(super) time: f64,
}

/// Draws scenes on the canvas and keeps a layer for each mask it has drawn.
pub(super) struct Painter {
    canvas: HtmlCanvasElement,
    context: CanvasRenderingContext2d,
    // Width and height of the bitmap, and its pixels per CSS pixel.
    extent: (u32, u32, f64),
    layers: HashMap<String, Kept>,
    /// The picture, once it is loaded.
    pub(super) picture: Option<HtmlImageElement>,
    /// The running stroke.
    pub(super) live: Option<LiveLayer>,
}

struct Kept {
    mask: Arc<MaskRle>,
    color: String,
    layer: Option<Layer>,
}

impl Painter {
    /// For a canvas element.
    pub(super) fn new(canvas: HtmlCanvasElement) -> Option<Self> {
        let context = canvas.get_context("2d").ok()??.dyn_into().ok()?;
        Some(Self {
            canvas,
            context,
            extent: (0, 0, 1.0),
            layers: HashMap::new(),
            picture: None,
            live: None,
        })
    }

    /// The uppermost of the given layers that holds an image point.
    pub(super) fn hit<'a>(
        &self,
        keys: impl DoubleEndedIterator<Item = &'a str>,
        at: PointXy,
    ) -> Option<&'a str> {
        keys.rev().find(|key| {
            self.layers
                .get(*key)
                .and_then(|kept| kept.layer.as_ref())
                .is_some_and(|layer| layer.index.contains(at.0, at.1))
        })
    }

    /// Draws a frame.
    pub(super) fn paint(&mut self, scene: &Scene) {
        self.renew_layers(&scene.masks);
        let ratio = window().device_pixel_ratio().max(1.0);
        self.resize(scene.stage, ratio);
        // The drawing calls below fail only on arguments that are not numbers.
        let _ = self.try_paint(scene, ratio);
    }

    /// Gives element and bitmap the same size. The stylesheet gives the element none, so a bitmap
    /// that is a frame behind the stage is cut off or too short, but never stretched.
    fn resize(&mut self, stage: PointXy, ratio: f64) {
        let pixels = |length: f64| (length * ratio).round() as u32;
        let extent = (pixels(stage.0), pixels(stage.1), ratio);
        if self.extent == extent {
            return;
        }
        self.extent = extent;
        let (width, height, _) = extent;
        self.canvas.set_width(width);
        self.canvas.set_height(height);
        let style = self.canvas.style();
        for (name, pixels) in [("width", width), ("height", height)] {
            // A length under a known name is always taken.
            let _ = style.set_property(name, &format!("{}px", f64::from(pixels) / ratio));
        }
    }

    fn renew_layers(&mut self, masks: &[Drawn]) {
        self.layers
            .retain(|key, _| masks.iter().any(|drawn| drawn.key == *key));
        for drawn in masks {
            let current = self.layers.get(&drawn.key).is_some_and(|kept| {
                Arc::ptr_eq(&kept.mask, &drawn.mask) && kept.color == drawn.color
            });
            if !current {
                let layer = Layer::new(&drawn.mask, &drawn.color);
                let (mask, color) = (drawn.mask.clone(), drawn.color.clone());
                self.layers
                    .insert(drawn.key.clone(), Kept { mask, color, layer });
            }
        }
    }

    fn try_paint(&self, scene: &Scene, ratio: f64) -> Result<(), JsValue> {
        let context = &self.context;
        context.set_transform(1.0, 0.0, 0.0, 1.0, 0.0, 0.0)?;
        let (width, height) = (self.canvas.width(), self.canvas.height());
        context.clear_rect(0.0, 0.0, f64::from(width), f64::from(height));
        let Some(picture) = &self.picture else {
            return Ok(());
        };
        self.image_space(scene, ratio)?;
        context.set_image_smoothing_enabled(scene.viewport.scale < 6.0);
        context.set_global_alpha(1.0);
        self.draw_picture(picture, scene.image)?;
        if scene.masks.iter().any(|drawn| drawn.spotlight) {
            self.dim(scene, picture)?;
        }
        for drawn in &scene.masks {
            self.draw_mask(scene, drawn, ratio)?;
        }
        context.set_transform(ratio, 0.0, 0.0, ratio, 0.0, 0.0)?;
        for drawn in &scene.masks {
            self.draw_label(scene, drawn)?;
        }
        self.draw_drag(scene)?;
        for line in &scene.lines {
            self.draw_line(line)?;
        }
        self.draw_pointer(scene)?;
        match scene.loupe {
            Some(at) => self.draw_loupe(at, scene.stage, ratio),
            None => Ok(()),
        }
    }

    fn draw_line(&self, line: &Line) -> Result<(), JsValue> {
        let context = &self.context;
        context.begin_path();
        for (index, &(x, y)) in line.points.iter().enumerate() {
            if index == 0 {
                context.move_to(x, y);
            } else {
                context.line_to(x, y);
            }
        }
        if line.is_closed {
            context.close_path();
        }
        context.set_line_join("round");
        for (color, width) in [(HALO, 3.5), ("#ffffff", 1.75)] {
            context.set_stroke_style_str(color);
            context.set_line_width(width);
            context.stroke();
        }
        if line.has_corners {
            context.set_line_width(1.5);
            context.set_fill_style_str("#ffffff");
            context.set_stroke_style_str(HALO);
            for &(x, y) in &line.points {
                let (left, top) = (x - CORNER / 2.0, y - CORNER / 2.0);
                context.fill_rect(left, top, CORNER, CORNER);
                context.stroke_rect(left, top, CORNER, CORNER);
            }
        }
        Ok(())
    }

    /// What a finger covers, magnified in the corner that is away from it.
    fn draw_loupe(&self, at: PointXy, stage: PointXy, ratio: f64) -> Result<(), JsValue> {
        let context = &self.context;
        let margin = LOUPE + 12.0;
        let is_near = at.0 < 2.0 * margin + LOUPE && at.1 < 2.0 * margin + LOUPE;
        let centre = (if is_near { stage.0 - margin } else { margin }, margin);
        let part = LOUPE / MAGNIFIED;
        context.save();
        context.begin_path();
        context.arc(centre.0, centre.1, LOUPE, 0.0, TAU)?;
        context.clip();
        context.set_fill_style_str("#101218");
        context.fill_rect(centre.0 - LOUPE, centre.1 - LOUPE, 2.0 * LOUPE, 2.0 * LOUPE);
        context.draw_image_with_html_canvas_element_and_sw_and_sh_and_dx_and_dy_and_dw_and_dh(
            &self.canvas,
            (at.0 - part) * ratio,
            (at.1 - part) * ratio,
            2.0 * part * ratio,
            2.0 * part * ratio,
            centre.0 - LOUPE,
            centre.1 - LOUPE,
            2.0 * LOUPE,
            2.0 * LOUPE,
        )?;
        context.restore();
        context.begin_path();
        context.arc(centre.0, centre.1, LOUPE, 0.0, TAU)?;
        for (dx, dy) in [(1.0, 0.0), (0.0, 1.0)] {
            context.move_to(centre.0 - 7.0 * dx, centre.1 - 7.0 * dy);
            context.line_to(centre.0 + 7.0 * dx, centre.1 + 7.0 * dy);
        }
        for (color, width) in [(HALO, 3.5), ("#ffffff", 1.75)] {
            context.set_stroke_style_str(color);
            context.set_line_width(width);
            context.stroke();
        }
        Ok(())
    }

    fn image_space(&self, scene: &Scene, ratio: f64) -> Result<(), JsValue> {
        let Viewport { scale, x, y } = scene.viewport;
        self.context
            .set_transform(scale * ratio, 0.0, 0.0, scale * ratio, x * ratio, y * ratio)
    }

    fn draw_picture(&self, picture: &HtmlImageElement, size: PointXy) -> Result<(), JsValue> {
        self.context
            .draw_image_with_html_image_element_and_dw_and_dh(picture, 0.0, 0.0, size.0, size.1)
    }

    fn dim(&self, scene: &Scene, picture: &HtmlImageElement) -> Result<(), JsValue> {
        let context = &self.context;
        context.set_fill_style_str("rgba(8, 10, 16, 0.62)");
        context.fill_rect(0.0, 0.0, scene.image.0, scene.image.1);
        for drawn in scene.masks.iter().filter(|drawn| drawn.spotlight) {
            let Some(layer) = self.layer(drawn) else {
                continue;
            };
            context.save();
            context.clip_with_path_2d_and_winding(&layer.path, CanvasWindingRule::Evenodd);
            self.draw_picture(picture, scene.image)?;
            context.restore();
        }
        Ok(())
    }

    fn layer(&self, drawn: &Drawn) -> Option<&Layer> {
        self.layers.get(&drawn.key)?.layer.as_ref()
    }

    fn draw_mask(&self, scene: &Scene, drawn: &Drawn, ratio: f64) -> Result<(), JsValue> {
        let context = &self.context;
        self.image_space(scene, ratio)?;
        context.translate(drawn.shift.0, drawn.shift.1)?;
        context.set_global_alpha(drawn.fill);
        if drawn.live
            && let Some(live) = &self.live
        {
            // A stroke is seen even where masks are outlines alone.
            context.set_global_alpha(drawn.fill.max(0.3));
            live.draw(context);
            context.set_global_alpha(1.0);
            return Ok(());
        }
        let Some(layer) = self.layer(drawn) else {
            return Ok(());
        };
        layer.draw(context);
        context.set_global_alpha(1.0);
        if drawn.line <= 0.0 {
            return Ok(());
        }
        let unit = 1.0 / scene.viewport.scale;
        context.set_line_join("round");
        context.set_stroke_style_str(HALO);
        context.set_line_width((drawn.line + 1.6) * unit);
        context.stroke_with_path(&layer.path);
        if drawn.pending {
            context.set_line_dash(&dashes(8.0 * unit, 6.0 * unit))?;
            context.set_line_dash_offset(-scene.time / 30.0 % 14.0 * unit);
        }
        context.set_stroke_style_str(&drawn.color);
        context.set_line_width(drawn.line * unit);
        context.stroke_with_path(&layer.path);
        context.set_line_dash(&Array::new())
    }

    fn draw_label(&self, scene: &Scene, drawn: &Drawn) -> Result<(), JsValue> {
        let (Some(label), Some(layer)) = (&drawn.label, self.layer(drawn)) else {
            return Ok(());
        };
        let context = &self.context;
        let corner = (
            f64::from(layer.bounds.x0) + drawn.shift.0,
            f64::from(layer.bounds.y0) + drawn.shift.1,
        );
        let (x, y) = scene.viewport.to_stage(corner);
        context.set_font(LABEL_FONT);
        let width = context.measure_text(label)?.width() + 12.0;
        let x = x.clamp(4.0, (scene.stage.0 - width - 4.0).max(4.0));
        let y = (y - 24.0).clamp(4.0, (scene.stage.1 - 24.0).max(4.0));
        context.begin_path();
        context.round_rect_with_f64(x, y, width, 20.0, 6.0)?;
        context.set_fill_style_str("rgba(15, 17, 24, 0.82)");
        context.fill();
        context.set_fill_style_str(&drawn.color);
        context.begin_path();
        context.round_rect_with_f64(x, y, 3.5, 20.0, 2.0)?;
        context.fill();
        context.set_fill_style_str("#ffffff");
        context.set_text_baseline("middle");
        context.fill_text(label, x + 7.0, y + 10.5)
    }

    fn draw_drag(&self, scene: &Scene) -> Result<(), JsValue> {
        let Some([x0, y0, x1, y1]) = scene.drag.map(|px| px.map(f64::from)) else {
            return Ok(());
        };
        let context = &self.context;
        let ((x, y), end) = (
            scene.viewport.to_stage((x0, y0)),
            scene.viewport.to_stage((x1, y1)),
        );
        let (width, height) = (end.0 - x, end.1 - y);
        context.set_fill_style_str("rgba(255, 255, 255, 0.12)");
        context.fill_rect(x, y, width, height);
        context.set_line_width(3.0);
        context.set_stroke_style_str(HALO);
        context.stroke_rect(x, y, width, height);
        context.set_line_width(1.5);
        context.set_stroke_style_str("#ffffff");
        context.set_line_dash(&dashes(6.0, 4.0))?;
        context.stroke_rect(x, y, width, height);
        context.set_line_dash(&Array::new())
    }

    fn draw_pointer(&self, scene: &Scene) -> Result<(), JsValue> {
        let context = &self.context;
        let lines = [(HALO, 3.0), ("#ffffff", 1.25)];
        if let Some(((x, y), radius)) = scene.brush {
            context.begin_path();
            context.arc(x, y, radius.max(1.0), 0.0, TAU)?;
            for (color, width) in lines {
                context.set_stroke_style_str(color);
                context.set_line_width(width);
                context.stroke();
            }
        }
        if let Some((x, y)) = scene.crosshair {
            context.begin_path();
            for (dx, dy) in [(1.0, 0.0), (0.0, 1.0)] {
                for (near, far) in [(-14.0, -4.0), (4.0, 14.0)] {
                    context.move_to(x + dx * near, y + dy * near);
                    context.line_to(x + dx * far, y + dy * far);
                }
            }
            for (color, width) in lines {
                context.set_stroke_style_str(color);
                context.set_line_width(width + 0.75);
                context.stroke();
            }
        }
        Ok(())
    }
}

fn dashes(on: f64, off: f64) -> Array {
    Array::of2(&JsValue::from_f64(on), &JsValue::from_f64(off))
}
