use js_sys::Date;
use wasm_bindgen::JsValue;

use super::{Drawn, OFF, Painter, Scene, Shown};
use crate::canvas::damage::Area;
use crate::canvas::ground::{Surface, set_extent};
use crate::canvas::overlay;
use crate::canvas::sight::Sight;
use crate::editor::Viewport;

/// Where a larger share of the stage is empty than this although the picture is there, or there
/// are more tiles far from it, all is painted anew.
const MISSING: f64 = 0.3;
const MOST_FAR: usize = 16;
/// So many milliseconds at least lie between two times that all is painted while it moves.
const BREAK: f64 = 300.0;
/// For more than so many milliseconds of a frame no further tile is begun.
const TILES: f64 = 2.0;

/// How a picture is shown that is being moved or zoomed.
impl Painter {
    /// Shows what is painted where a scene has it, whatever masks the scene has. True where
    /// something is left that the next frame should paint; none where nothing is painted that could
    /// be shown, or too little.
    pub(in crate::canvas) fn carry(&mut self, scene: &Scene) -> Option<bool> {
        let sight = self.sight(scene.viewport)?;
        // The calls below fail only on arguments that are not numbers, or without memory.
        let _ = self.show_ground(scene);
        let started = Date::now();
        let mut has_painted = false;
        while let Some(place) = sight.next_seen(|place| self.has_tile(place)) {
            if Date::now() - started > TILES {
                return Some(true);
            }
            if self.add_tile(place).is_err() {
                return Some(false);
            }
            has_painted = true;
        }
        // What is not seen yet has time until the picture goes on.
        if !has_painted && let Some(place) = sight.next_ahead(|place| self.has_tile(place)) {
            let _ = self.add_tile(place);
        }
        Some(false)
    }

    /// Paints a tile beside the stage of a picture that rests, so that it is there when the picture
    /// is moved; false where none is painted: because none is missing, a mask is being made and it
    /// would soon be another one, or there is no memory for it.
    pub(in crate::canvas) fn add_beside(&mut self) -> bool {
        let is_at_work = |shown: &Shown| {
            self.live.is_some() || shown.masks.iter().any(|mask| mask.drawn.pending)
        };
        let shown = self.shown.as_ref();
        let place = shown
            .filter(|shown| shown.has_picture && !is_at_work(shown))
            .and_then(|shown| self.sight(shown.setting.viewport))
            .and_then(|sight| sight.next_around(|place| self.has_tile(place)));
        place.is_some_and(|place| self.add_tile(place).is_ok())
    }

    fn has_tile(&self, place: Area) -> bool {
        self.ground.tiles().any(|tile| tile == place)
    }

    /// Paints what looks other than before as well: where it is painted already, or everything
    /// anew where that no longer suffices.
    pub(super) fn paint_moving(
        &mut self,
        scene: &Scene,
        masks: Vec<Drawn>,
        ratio: f64,
    ) -> Result<(), JsValue> {
        let is_enough = self.sight(scene.viewport).is_some();
        let shown = self.shown.as_ref().filter(|_| is_enough);
        let viewport = shown.map_or(scene.viewport, |shown| shown.setting.viewport);
        self.renew_backdrop(scene, viewport, masks, ratio)?;
        self.show_ground(scene)
    }

    /// What the stage shows through a viewport of what is painted; none where that does not do.
    fn sight(&self, viewport: Viewport) -> Option<Sight> {
        let shown = self
            .shown
            .as_ref()
            .filter(|shown| shown.extent == self.extent)?;
        let setting = shown.setting;
        let sight = Sight::new(setting.viewport, viewport, setting.image, shown.extent);
        let far = self.ground.tiles().filter(|tile| sight.is_far(*tile));
        let is_enough = far.count() < MOST_FAR && sight.missing(self.ground.tiles()) <= MISSING;
        (is_enough || Date::now() - self.renewed < BREAK).then_some(sight)
    }

    /// Shows below the canvas what is painted; the canvas has nothing to show until the picture
    /// rests but what is drawn over it.
    fn show_ground(&mut self, scene: &Scene) -> Result<(), JsValue> {
        let Some(shown) = &self.shown else {
            return Ok(());
        };
        let setting = shown.setting;
        let ratio = setting.ratio;
        let (width, height, _) = self.extent;
        let last = self.over.take();
        let old = if self.ground.show(setting.viewport, scene.viewport, ratio) {
            Some([0.0, 0.0, f64::from(width), f64::from(height)])
        } else {
            last.and_then(|area| area.pixels(ratio, (width, height)))
        };
        self.is_stale = true;
        let context = &self.context;
        if let Some([x, y, w, h]) = old {
            context.set_transform(1.0, 0.0, 0.0, 1.0, 0.0, 0.0)?;
            context.clear_rect(x, y, w, h);
        }
        self.over = overlay::area(scene);
        context.set_transform(ratio, 0.0, 0.0, ratio, 0.0, 0.0)?;
        overlay::draw(context, &self.canvas, scene, ratio)
    }

    fn add_tile(&mut self, place: Area) -> Result<(), JsValue> {
        let shown = self.shown.take().ok_or(JsValue::NULL)?;
        let tile = self.tile(place, &shown);
        self.shown = Some(shown);
        self.ground.add(place, tile?)
    }

    /// Paints what lies beside the backdrop, in pixels of the screen from its corner.
    fn tile(&mut self, place: Area, shown: &Shown) -> Result<Surface, JsValue> {
        let setting = shown.setting;
        let ratio = setting.ratio;
        let [left, top, width, height] = place.rect();
        let area = Area::new(left / ratio, top / ratio, width / ratio, height / ratio);
        let tile = Surface::new((left / ratio, top / ratio))?;
        set_extent(&tile.canvas, (width as u32, height as u32, ratio));
        let met = area.grown(1.0);
        for placed in &shown.masks {
            // The outlines of masks that were beside the stage may be those of another zoom.
            if placed.body.is_some_and(|body| body.meets(met))
                && let Some(kept) = self.layers.get_mut(&placed.drawn.key)
                && let Some(layer) = &mut kept.layer
            {
                layer.suit(setting.level(), OFF);
            }
        }
        self.paint_area(&tile, area, &shown.masks, setting, false)?;
        Ok(tile)
    }
}
