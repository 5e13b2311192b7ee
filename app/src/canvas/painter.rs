use std::cell::RefCell;
use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use fclm_core::wire::MaskRle;
use js_sys::Date;
use leptos::prelude::{document, window};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{CanvasRenderingContext2d, CanvasWindingRule, HtmlCanvasElement, HtmlImageElement};

use super::damage::{Area, Areas, Placed, damage, scroll};
use super::layer::{BLOCKS, Layer, LiveLayer};
use super::overlay;
use super::sprite::{Spot, Sprite};
use crate::editor::{PointXy, Viewport};

pub(super) use super::frame::{Drawn, Line, Scene};

const LABEL_FONT: &str = "600 12px system-ui, sans-serif";
const TAG_HEIGHT: f64 = 20.0;
/// For so many milliseconds of a frame layers are made; the others come with the next one.
const MAKING: f64 = 12.0;
/// Where painting everything takes more milliseconds than this, a zoom stretches what is painted
/// until it is over.
const SLOW: f64 = 6.0;
/// So far may each of two thinnings of an outline be off, in pixels of the screen.
const OFF: f32 = 0.2;

/// Draws scenes on the canvas and keeps a layer for each mask it has drawn. Picture and masks are
/// painted on a canvas of their own, of which each frame renews no more than what has changed;
/// what belongs to the pointer is drawn over a copy of that.
pub(super) struct Painter {
    canvas: HtmlCanvasElement,
    context: CanvasRenderingContext2d,
    backdrop: HtmlCanvasElement,
    backdrop_context: CanvasRenderingContext2d,
    // Width and height of the bitmaps, and their pixels per CSS pixel.
    extent: (u32, u32, f64),
    layers: HashMap<String, Kept>,
    // Widths of tags by their texts.
    tags: HashMap<String, f64>,
    shown: Option<Shown>,
    // Where the last frame drew over the backdrop.
    over: Option<Area>,
    // Whether all of the canvas shows something else than the backdrop.
    is_stale: bool,
    is_slow: bool,
    /// The picture, once it is loaded.
    pub(super) picture: Option<HtmlImageElement>,
    /// The running stroke.
    pub(super) live: Option<LiveLayer>,
}

struct Kept {
    mask: Arc<MaskRle>,
    color: String,
    layer: Option<Layer>,
    // As it was painted last where only a part of the picture was.
    sprite: RefCell<Option<Sprite>>,
}

/// What the backdrop shows.
struct Shown {
    viewport: Viewport,
    extent: (u32, u32, f64),
    has_picture: bool,
    masks: Vec<Placed>,
}

/// What painting needs to know besides the masks.
#[derive(Clone, Copy)]
struct Setting {
    viewport: Viewport,
    stage: PointXy,
    image: PointXy,
    ratio: f64,
    time: f64,
}

impl Painter {
    /// For a canvas element.
    pub(super) fn new(canvas: HtmlCanvasElement) -> Option<Self> {
        let context = canvas.get_context("2d").ok()??.dyn_into().ok()?;
        let backdrop: HtmlCanvasElement =
            document().create_element("canvas").ok()?.dyn_into().ok()?;
        let backdrop_context = backdrop.get_context("2d").ok()??.dyn_into().ok()?;
        Some(Self {
            canvas,
            context,
            backdrop,
            backdrop_context,
            extent: (0, 0, 1.0),
            layers: HashMap::new(),
            tags: HashMap::new(),
            shown: None,
            over: None,
            is_stale: false,
            is_slow: false,
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

    /// Draws a frame; true where some of it is left to the next one.
    pub(super) fn paint(&mut self, scene: Scene) -> bool {
        let is_unfinished = self.renew_layers(&scene.masks);
        let ratio = window().device_pixel_ratio().max(1.0);
        self.resize(scene.stage, ratio);
        // The drawing calls below fail only on arguments that are not numbers.
        let _ = self.try_paint(scene, ratio);
        is_unfinished
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
        for canvas in [&self.canvas, &self.backdrop] {
            canvas.set_width(width);
            canvas.set_height(height);
        }
        let style = self.canvas.style();
        for (name, pixels) in [("width", width), ("height", height)] {
            // A length under a known name is always taken.
            let _ = style.set_property(name, &format!("{}px", f64::from(pixels) / ratio));
        }
    }

    /// Makes the layers of masks that are new or other ones; true where there was no time for all.
    fn renew_layers(&mut self, masks: &[Drawn]) -> bool {
        self.layers
            .retain(|key, _| masks.iter().any(|drawn| drawn.key == *key));
        let started = Date::now();
        for drawn in masks {
            let is_current = self.layers.get(&drawn.key).is_some_and(|kept| {
                Arc::ptr_eq(&kept.mask, &drawn.mask) && kept.color == drawn.color
            });
            if drawn.live || is_current {
                continue;
            }
            if Date::now() - started > MAKING {
                return true;
            }
            let layer = Layer::new(&drawn.mask, &drawn.color);
            let kept = Kept {
                mask: drawn.mask.clone(),
                color: drawn.color.clone(),
                layer,
                sprite: RefCell::new(None),
            };
            self.layers.insert(drawn.key.clone(), kept);
        }
        false
    }

    fn try_paint(&mut self, mut scene: Scene, ratio: f64) -> Result<(), JsValue> {
        let whole = Area::new(0.0, 0.0, scene.stage.0, scene.stage.1);
        let masks = mem::take(&mut scene.masks);
        let over = overlay::area(&scene);
        let last = self.over.take();
        let stretched = self.stretched(&scene);
        if let Some(factor) = stretched {
            self.stretch(&scene, factor, ratio)?;
        } else {
            let masks = if scene.peek { Vec::new() } else { masks };
            let mut areas = self.renew_backdrop(&scene, masks, ratio)?;
            if self.is_stale {
                areas.add(whole);
            }
            areas.add(last);
            areas.add(over);
            for area in areas.iter() {
                self.copy(area, ratio)?;
            }
        }
        self.is_stale = stretched.is_some();
        self.over = over;
        self.context
            .set_transform(ratio, 0.0, 0.0, ratio, 0.0, 0.0)?;
        overlay::draw(&self.context, &self.canvas, &scene, ratio)
    }

    /// By how much the backdrop is stretched for a frame of a zoom, where painting it anew would
    /// hold the zoom up.
    fn stretched(&self, scene: &Scene) -> Option<f64> {
        let shown = self.shown.as_ref()?;
        let is_zoomed = shown.viewport.scale != scene.viewport.scale;
        let is_rough = scene.in_motion && self.is_slow && is_zoomed;
        (is_rough && shown.extent == self.extent)
            .then(|| scene.viewport.scale / shown.viewport.scale)
    }

    fn stretch(&self, scene: &Scene, factor: f64, ratio: f64) -> Result<(), JsValue> {
        let Some(shown) = &self.shown else {
            return Ok(());
        };
        let context = &self.context;
        let (width, height, _) = self.extent;
        context.set_transform(1.0, 0.0, 0.0, 1.0, 0.0, 0.0)?;
        context.set_global_alpha(1.0);
        context.clear_rect(0.0, 0.0, f64::from(width), f64::from(height));
        let to = |old: f64, new: f64| (new - old * factor) * ratio;
        context.draw_image_with_html_canvas_element_and_dw_and_dh(
            &self.backdrop,
            to(shown.viewport.x, scene.viewport.x),
            to(shown.viewport.y, scene.viewport.y),
            f64::from(width) * factor,
            f64::from(height) * factor,
        )
    }

    /// Puts a part of the backdrop on the canvas.
    fn copy(&self, area: Area, ratio: f64) -> Result<(), JsValue> {
        let (width, height, _) = self.extent;
        let Some([x, y, w, h]) = area.pixels(ratio, (width, height)) else {
            return Ok(());
        };
        let context = &self.context;
        context.set_transform(1.0, 0.0, 0.0, 1.0, 0.0, 0.0)?;
        context.set_global_alpha(1.0);
        context.clear_rect(x, y, w, h);
        context.draw_image_with_html_canvas_element_and_sw_and_sh_and_dx_and_dy_and_dw_and_dh(
            &self.backdrop,
            x,
            y,
            w,
            h,
            x,
            y,
            w,
            h,
        )
    }

    /// Paints picture and masks where they look other than before, and tells where.
    fn renew_backdrop(
        &mut self,
        scene: &Scene,
        masks: Vec<Drawn>,
        ratio: f64,
    ) -> Result<Areas, JsValue> {
        let has_picture = self.picture.is_some();
        let before = self
            .shown
            .take()
            .filter(|shown| shown.extent == self.extent && shown.has_picture == has_picture);
        let by = before
            .as_ref()
            .and_then(|shown| scroll(shown.viewport, scene.viewport, ratio, scene.in_motion));
        let viewport = match (&before, by) {
            (Some(before), Some((dx, dy))) => Viewport {
                x: before.viewport.x + dx,
                y: before.viewport.y + dy,
                ..before.viewport
            },
            _ => scene.viewport,
        };
        let setting = Setting {
            viewport,
            stage: scene.stage,
            image: scene.image,
            ratio,
            time: scene.time,
        };
        let placed = self.place(masks, setting)?;
        let stroke = self
            .live
            .as_mut()
            .and_then(LiveLayer::take_touched)
            .map(|rect| Area::of_pixels(rect, (0.0, 0.0), viewport, 2.0));
        let whole = Area::new(0.0, 0.0, scene.stage.0, scene.stage.1);
        let mut areas = Areas::default();
        let mut is_whole = true;
        if let (Some(before), Some(by)) = (&before, by) {
            areas = damage(&before.masks, &placed, by, scene.stage);
            areas.add(stroke);
            // Where one is in the light, all the rest of the picture steps back.
            let mut all = before.masks.iter().chain(&placed);
            is_whole = all.any(|placed| placed.drawn.spotlight) && !areas.is_empty();
            if by != (0.0, 0.0) && !is_whole {
                self.scroll_backdrop(by, ratio)?;
            }
            if by != (0.0, 0.0) {
                // Everything has moved, although little of it is painted anew.
                self.is_stale = true;
            }
        }
        if is_whole {
            areas.add(whole);
        }
        let started = Date::now();
        for area in areas.iter() {
            self.paint_area(area, &placed, setting, is_whole)?;
        }
        if is_whole {
            self.is_slow = Date::now() - started > SLOW;
        }
        self.shown = Some(Shown {
            viewport,
            extent: self.extent,
            has_picture,
            masks: placed,
        });
        Ok(areas)
    }

    fn scroll_backdrop(&self, (dx, dy): PointXy, ratio: f64) -> Result<(), JsValue> {
        let context = &self.backdrop_context;
        context.save();
        context.set_transform(1.0, 0.0, 0.0, 1.0, 0.0, 0.0)?;
        context.set_global_alpha(1.0);
        // What is moved replaces what was there, where it is transparent, too.
        context.set_global_composite_operation("copy")?;
        context.draw_image_with_html_canvas_element(
            &self.backdrop,
            (dx * ratio).round(),
            (dy * ratio).round(),
        )?;
        context.restore();
        Ok(())
    }

    /// Finds where masks and their tags lie.
    fn place(&mut self, masks: Vec<Drawn>, setting: Setting) -> Result<Vec<Placed>, JsValue> {
        let whole = Area::new(0.0, 0.0, setting.stage.0, setting.stage.1);
        let resolution = setting.viewport.scale * setting.ratio;
        let level = (1.0 / resolution).log2().floor().clamp(0.0, 16.0) as u8;
        let mut placed = Vec::with_capacity(masks.len());
        for drawn in masks {
            let live = self.live.as_ref().filter(|_| drawn.live);
            let (rect, margin) = match live {
                Some(live) => (live.extent(), 2.0),
                None => (self.layer(&drawn).map(|layer| layer.bounds), margin(&drawn)),
            };
            let body = rect
                .map(|rect| Area::of_pixels(rect, drawn.shift, setting.viewport, margin))
                .filter(|body| body.meets(whole));
            if body.is_some()
                && let Some(kept) = self.layers.get_mut(&drawn.key)
                && let Some(layer) = &mut kept.layer
            {
                layer.suit(level, OFF);
            }
            let tag = match body {
                Some(_) => self.tag(&drawn, setting)?,
                None => None,
            };
            let kept = self.layers.get(&drawn.key);
            placed.push(Placed {
                layer: kept.map(|kept| kept.mask.clone()),
                drawn,
                body,
                tag,
            });
        }
        Ok(placed)
    }

    /// Where a mask's tag is: at its upper left corner, and on the stage.
    fn tag(&mut self, drawn: &Drawn, setting: Setting) -> Result<Option<Area>, JsValue> {
        let Some(label) = &drawn.label else {
            return Ok(None);
        };
        let width = match self.tags.get(label) {
            Some(width) => *width,
            None => {
                self.backdrop_context.set_font(LABEL_FONT);
                let width = self.backdrop_context.measure_text(label)?.width() + 12.0;
                self.tags.insert(label.clone(), width);
                width
            }
        };
        let Some((x, y)) = self.corner(drawn, setting) else {
            return Ok(None);
        };
        let x = x.clamp(4.0, (setting.stage.0 - width - 4.0).max(4.0));
        let y = (y - 24.0).clamp(4.0, (setting.stage.1 - 24.0).max(4.0));
        Ok(Some(Area::new(x, y, width, TAG_HEIGHT)))
    }

    /// The upper left corner of a mask on the stage.
    fn corner(&self, drawn: &Drawn, setting: Setting) -> Option<PointXy> {
        let bounds = self.layer(drawn)?.bounds;
        Some(setting.viewport.to_stage((
            f64::from(bounds.x0) + drawn.shift.0,
            f64::from(bounds.y0) + drawn.shift.1,
        )))
    }

    /// Paints a part of the backdrop anew.
    fn paint_area(
        &self,
        area: Area,
        placed: &[Placed],
        setting: Setting,
        is_whole: bool,
    ) -> Result<(), JsValue> {
        let (width, height, ratio) = self.extent;
        let Some(rect) = area.pixels(ratio, (width, height)) else {
            return Ok(());
        };
        let [x, y, w, h] = rect;
        let context = &self.backdrop_context;
        // Pixels that are met in part are painted as a whole.
        let met = area.grown(1.0);
        context.save();
        context.set_transform(1.0, 0.0, 0.0, 1.0, 0.0, 0.0)?;
        context.begin_path();
        context.rect(x, y, w, h);
        context.clip();
        context.clear_rect(x, y, w, h);
        if let Some(picture) = &self.picture {
            self.paint_picture(picture, placed, setting)?;
            for placed in placed {
                if placed.body.is_none_or(|body| !body.meets(met)) {
                    continue;
                }
                match self.live.as_ref().filter(|_| placed.drawn.live) {
                    Some(live) => {
                        // A stroke is seen even where masks are outlines alone.
                        context.set_global_alpha(placed.drawn.fill.max(0.3));
                        let Viewport { scale, x, y } = setting.viewport;
                        let origin = (x * ratio, y * ratio);
                        live.draw(context, rect, origin, scale * ratio)?;
                    }
                    None => self.draw_mask(&placed.drawn, setting, is_whole)?,
                }
            }
            context.set_transform(ratio, 0.0, 0.0, ratio, 0.0, 0.0)?;
            for placed in placed {
                if let Some(tag) = placed.tag.filter(|tag| tag.meets(met)) {
                    draw_tag(context, &placed.drawn, tag)?;
                }
            }
        }
        context.restore();
        Ok(())
    }

    fn paint_picture(
        &self,
        picture: &HtmlImageElement,
        placed: &[Placed],
        setting: Setting,
    ) -> Result<(), JsValue> {
        let context = &self.backdrop_context;
        self.image_space(setting)?;
        context.set_image_smoothing_enabled(setting.viewport.scale < BLOCKS);
        context.set_global_alpha(1.0);
        self.draw_picture(picture, setting.image)?;
        if placed.iter().any(|placed| placed.drawn.spotlight) {
            self.dim(setting, picture, placed)?;
        }
        Ok(())
    }

    fn image_space(&self, setting: Setting) -> Result<(), JsValue> {
        let Setting {
            viewport: Viewport { scale, x, y },
            ratio,
            ..
        } = setting;
        self.backdrop_context.set_transform(
            scale * ratio,
            0.0,
            0.0,
            scale * ratio,
            x * ratio,
            y * ratio,
        )
    }

    fn draw_picture(&self, picture: &HtmlImageElement, size: PointXy) -> Result<(), JsValue> {
        self.backdrop_context
            .draw_image_with_html_image_element_and_dw_and_dh(picture, 0.0, 0.0, size.0, size.1)
    }

    fn dim(
        &self,
        setting: Setting,
        picture: &HtmlImageElement,
        placed: &[Placed],
    ) -> Result<(), JsValue> {
        let context = &self.backdrop_context;
        context.set_fill_style_str("rgba(8, 10, 16, 0.62)");
        context.fill_rect(0.0, 0.0, setting.image.0, setting.image.1);
        let lit = placed.iter().map(|placed| &placed.drawn);
        for drawn in lit.filter(|drawn| drawn.spotlight) {
            let Some(layer) = self.layer(drawn) else {
                continue;
            };
            context.save();
            context.clip_with_path_2d_and_winding(layer.path(), CanvasWindingRule::Evenodd);
            self.draw_picture(picture, setting.image)?;
            context.restore();
        }
        Ok(())
    }

    fn layer(&self, drawn: &Drawn) -> Option<&Layer> {
        self.layers.get(&drawn.key)?.layer.as_ref()
    }

    /// Draws a mask. Where only a part of the picture is painted, the next part is likely to meet
    /// it again, so it is kept as it looks.
    fn draw_mask(&self, drawn: &Drawn, setting: Setting, is_whole: bool) -> Result<(), JsValue> {
        let context = &self.backdrop_context;
        let Some(kept) = self.layers.get(&drawn.key) else {
            return Ok(());
        };
        let Some(layer) = &kept.layer else {
            return Ok(());
        };
        let Setting {
            viewport, ratio, ..
        } = setting;
        let looks = (drawn.fill, drawn.line);
        let spot = Spot::new(layer.bounds, margin(drawn), looks, viewport, ratio);
        let is_fixed = !is_whole && drawn.shift == (0.0, 0.0) && !drawn.pending;
        if !(is_fixed && spot.is_small()) {
            self.image_space(setting)?;
            context.translate(drawn.shift.0, drawn.shift.1)?;
            return layer.paint(context, drawn, viewport.scale, setting.time);
        }
        let mut sprite = kept.sprite.borrow_mut();
        let current = match sprite.take().filter(|sprite| sprite.suits(&spot)) {
            Some(current) => current,
            None => Sprite::new(&spot, |context| {
                layer.paint(context, drawn, viewport.scale, setting.time)
            })?,
        };
        current.draw(context, &spot)?;
        *sprite = Some(current);
        Ok(())
    }
}

/// How far what is painted of a mask reaches beyond its pixels, in CSS pixels.
fn margin(drawn: &Drawn) -> f64 {
    drawn.line / 2.0 + 3.0
}

fn draw_tag(context: &CanvasRenderingContext2d, drawn: &Drawn, tag: Area) -> Result<(), JsValue> {
    let Some(label) = &drawn.label else {
        return Ok(());
    };
    let [x, y, width, height] = tag.rect();
    context.set_global_alpha(1.0);
    context.begin_path();
    context.round_rect_with_f64(x, y, width, height, 6.0)?;
    context.set_fill_style_str("rgba(15, 17, 24, 0.82)");
    context.fill();
    context.set_fill_style_str(&drawn.color);
    context.begin_path();
    context.round_rect_with_f64(x, y, 3.5, height, 2.0)?;
    context.fill();
    context.set_fill_style_str("#ffffff");
    context.set_font(LABEL_FONT);
    context.set_text_baseline("middle");
    context.fill_text(label, x + 7.0, y + 10.5)
}
