mod area;
mod backdrop;
mod motion;

use std::cell::RefCell;
use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use fclm_core::wire::MaskRle;
use js_sys::Date;
use leptos::prelude::window;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement, HtmlImageElement};

use super::damage::{Area, Placed};
use super::ground::{Extent, Ground, Surface, set_extent};
use super::layer::{Layer, LiveLayer};
use super::overlay;
use super::sprite::Sprite;
use super::tags::{TAG_MARGIN, Tags};
use crate::editor::{PointXy, Viewport};

pub(super) use super::frame::{Drawn, Line, Scene};

const LABEL_FONT: &str = "600 12px system-ui, sans-serif";
const TAG_HEIGHT: f64 = 20.0;
/// For so many milliseconds of a frame layers are made; the others come with the next one.
const MAKING: f64 = 12.0;
/// So far may each of two thinnings of an outline be off, in pixels of the screen.
const OFF: f32 = 0.2;

/// Draws scenes on the canvas and keeps a layer for each mask it has drawn. Picture and masks are
/// painted on a canvas of their own, of which each frame renews no more than what has changed;
/// what belongs to the pointer is drawn over a copy of that. While the picture is moved or zoomed,
/// that canvas itself is seen, below this one.
pub(super) struct Painter {
    canvas: HtmlCanvasElement,
    context: CanvasRenderingContext2d,
    backdrop: Surface,
    ground: Ground,
    extent: Extent,
    layers: HashMap<String, Kept>,
    // Widths of tags by their texts.
    tag_widths: HashMap<String, f64>,
    tags: Tags,
    shown: Option<Shown>,
    // Where the last frame drew over the backdrop.
    over: Option<Area>,
    // Whether all of the canvas shows something else than the backdrop.
    is_stale: bool,
    // When the backdrop was last painted for another viewport, in milliseconds.
    renewed: f64,
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
    setting: Setting,
    extent: Extent,
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

impl Setting {
    /// How coarse outlines may be: a pixel of the screen is 2 to the power of this many pixels of
    /// the image wide.
    fn level(self) -> u8 {
        let resolution = self.viewport.scale * self.ratio;
        (1.0 / resolution).log2().floor().clamp(0.0, 16.0) as u8
    }
}

impl Painter {
    /// For a canvas element on its stage.
    pub(super) fn new(canvas: HtmlCanvasElement) -> Option<Self> {
        let context = canvas.get_context("2d").ok()??.dyn_into().ok()?;
        let backdrop = Surface::new((0.0, 0.0)).ok()?;
        let ground = Ground::new(&canvas, &backdrop.canvas).ok()?;
        Some(Self {
            canvas,
            context,
            backdrop,
            ground,
            extent: (0, 0, 1.0),
            layers: HashMap::new(),
            tag_widths: HashMap::new(),
            tags: Tags::default(),
            shown: None,
            over: None,
            is_stale: false,
            renewed: 0.0,
            picture: None,
            live: None,
        })
    }

    /// Gives the canvas the keyboard.
    pub(super) fn take_focus(&self) {
        // A canvas that is gone needs none.
        let _ = self.canvas.focus();
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

    fn resize(&mut self, stage: PointXy, ratio: f64) {
        let pixels = |length: f64| (length * ratio).round() as u32;
        let extent = (pixels(stage.0), pixels(stage.1), ratio);
        if self.extent == extent {
            return;
        }
        self.extent = extent;
        for canvas in [&self.canvas, &self.backdrop.canvas] {
            set_extent(canvas, extent);
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
            let layer = Layer::new(&drawn.mask);
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
        let mut masks = mem::take(&mut scene.masks);
        if scene.peek {
            masks.clear();
        }
        if scene.in_motion {
            return self.paint_moving(&scene, masks, ratio);
        }
        self.ground.hide();
        let over = overlay::area(&scene);
        let last = self.over.take();
        let mut areas = self.renew_backdrop(&scene, scene.viewport, masks, ratio)?;
        if self.is_stale {
            areas.add(Area::new(0.0, 0.0, scene.stage.0, scene.stage.1));
        }
        areas.add(last);
        areas.add(over);
        for area in areas.iter() {
            self.copy(area, ratio)?;
        }
        self.is_stale = false;
        self.over = over;
        self.context
            .set_transform(ratio, 0.0, 0.0, ratio, 0.0, 0.0)?;
        overlay::draw(&self.context, &self.canvas, &scene, ratio)
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
            &self.backdrop.canvas,
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

    /// Finds where masks and their tags lie.
    fn place(
        &mut self,
        masks: Vec<Drawn>,
        setting: Setting,
        tools: &[Area],
    ) -> Result<Vec<Placed>, JsValue> {
        self.tags.start(setting.stage, tools);
        let whole = Area::new(0.0, 0.0, setting.stage.0, setting.stage.1);
        let level = setting.level();
        let mut placed = Vec::with_capacity(masks.len());
        for drawn in masks {
            let live = self.live.as_ref().filter(|_| drawn.live);
            let (rect, margin) = match live {
                Some(live) => (live.extent(), 2.0),
                None => (self.layer(&drawn).map(|layer| layer.bounds), margin(&drawn)),
            };
            let body =
                rect.map(|rect| Area::of_pixels(rect, drawn.shift, setting.viewport, margin));
            let is_on_stage = body.is_some_and(|body| body.meets(whole));
            if is_on_stage
                && let Some(kept) = self.layers.get_mut(&drawn.key)
                && let Some(layer) = &mut kept.layer
            {
                layer.suit(level, OFF);
            }
            let tag = self.tag(&drawn, setting)?;
            let is_carried = drawn.shift != (0.0, 0.0);
            let tag = match tag {
                // Others that made room for it would go with every step.
                Some(tag) if is_on_stage && is_carried => {
                    Some(tag.kept_on(setting.stage, TAG_MARGIN))
                }
                Some(tag) if is_on_stage => Some(self.tags.lay(tag)),
                tag => tag,
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

    /// Where a mask's tag is: above its upper left corner.
    fn tag(&mut self, drawn: &Drawn, setting: Setting) -> Result<Option<Area>, JsValue> {
        let Some(label) = &drawn.label else {
            return Ok(None);
        };
        let width = match self.tag_widths.get(label) {
            Some(width) => *width,
            None => {
                let context = &self.backdrop.context;
                context.set_font(LABEL_FONT);
                let width = context.measure_text(label)?.width() + 12.0;
                self.tag_widths.insert(label.clone(), width);
                width
            }
        };
        let Some((x, y)) = self.corner(drawn, setting) else {
            return Ok(None);
        };
        let y = y - TAG_HEIGHT - TAG_MARGIN;
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

    fn layer(&self, drawn: &Drawn) -> Option<&Layer> {
        self.layers.get(&drawn.key)?.layer.as_ref()
    }
}

/// How far what is painted of a mask reaches beyond its pixels, in CSS pixels.
fn margin(drawn: &Drawn) -> f64 {
    drawn.line / 2.0 + 3.0
}
