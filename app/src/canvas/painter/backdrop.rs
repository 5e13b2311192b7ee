use js_sys::Date;
use wasm_bindgen::JsValue;

use super::{Drawn, Painter, Scene, Setting, Shown};
use crate::canvas::damage::{Area, Areas, changes, damage, scroll};
use crate::canvas::layer::LiveLayer;
use crate::editor::{PointXy, Viewport};

/// What is painted of picture and masks, without what belongs to the pointer.
impl Painter {
    /// Paints picture and masks as they lie in a viewport, where they look other than before, and
    /// tells where.
    pub(super) fn renew_backdrop(
        &mut self,
        scene: &Scene,
        viewport: Viewport,
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
            .and_then(|shown| scroll(shown.setting.viewport, viewport, ratio, scene.in_motion));
        let viewport = match (&before, by) {
            (Some(before), Some((dx, dy))) => before.setting.viewport.panned(dx, dy),
            _ => viewport,
        };
        let setting = Setting {
            viewport,
            stage: scene.stage,
            image: scene.image,
            ratio,
            time: scene.time,
        };
        let placed = self.place(masks, setting, &scene.tools)?;
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
        match &before {
            Some(before) if !is_whole && by == Some((0.0, 0.0)) => {
                let changed = changes(&before.masks, &placed).chain(stroke);
                let changed: Vec<Area> =
                    changed.map(|area| area.grown(1.0).scaled(ratio)).collect();
                self.ground
                    .drop_tiles(|tile| changed.iter().any(|area| area.meets(tile)));
            }
            _ => self.ground.drop_tiles(|_| true),
        }
        for area in areas.iter() {
            self.paint_area(&self.backdrop, area, &placed, setting, is_whole)?;
        }
        if is_whole || by != Some((0.0, 0.0)) {
            self.renewed = Date::now();
        }
        self.shown = Some(Shown {
            setting,
            extent: self.extent,
            has_picture,
            masks: placed,
        });
        Ok(areas)
    }

    fn scroll_backdrop(&self, (dx, dy): PointXy, ratio: f64) -> Result<(), JsValue> {
        let context = &self.backdrop.context;
        context.save();
        context.set_transform(1.0, 0.0, 0.0, 1.0, 0.0, 0.0)?;
        context.set_global_alpha(1.0);
        // What is moved replaces what was there, where it is transparent, too.
        context.set_global_composite_operation("copy")?;
        context.draw_image_with_html_canvas_element(
            &self.backdrop.canvas,
            (dx * ratio).round(),
            (dy * ratio).round(),
        )?;
        context.restore();
        Ok(())
    }
}
