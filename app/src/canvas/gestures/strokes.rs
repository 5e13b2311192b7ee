use fclm_core::mask::Mask;
use leptos::prelude::*;

use super::{Gesture, Gestures};
use crate::canvas::layer::LiveLayer;
use crate::editor::{Ink, MAX_PIXELS, PointXy, Raster};
use crate::state::Tool;

impl Gestures {
    pub(super) fn start_stroke(self, at: PointXy, tool: Tool) {
        let editor = self.workspace.editor;
        let Some((width, height)) = editor.size() else {
            return;
        };
        let region = editor
            .selected
            .get_untracked()
            .and_then(|id| editor.document.with_untracked(|d| d.get(&id).cloned()));
        if region.is_none() && tool == Tool::Eraser {
            self.say_nothing_to_erase();
            return;
        }
        if region.is_none() && !editor.has_room() {
            return;
        }
        if region
            .as_ref()
            .is_some_and(|region| editor.refuses(&region.id))
        {
            return;
        }
        let color = region.as_ref().map_or_else(
            || editor.document.with_untracked(|d| d.next_color()),
            |r| r.color.clone(),
        );
        let raster = region
            .as_ref()
            .and_then(|region| Mask::from_wire(&region.mask, MAX_PIXELS).ok())
            .map_or_else(|| Raster::new(width, height), Raster::from_mask);
        let ink = match tool {
            Tool::Brush => Ink::Set,
            _ => Ink::Clear,
        };
        let live = LiveLayer::new(raster, &color, ink, at);
        self.view.painter.update_value(|painter| {
            if let Some(painter) = painter {
                painter.live = live;
            }
        });
        self.view.stroke.set(Some(region.map(|region| region.id)));
        self.set_gesture(Gesture::Stroke);
        self.advance(at);
    }

    pub(super) fn take_live(self) -> Option<LiveLayer> {
        let mut live = None;
        self.view.painter.update_value(|painter| {
            live = painter.as_mut().and_then(|painter| painter.live.take());
        });
        if self.view.stroke.get_untracked().is_some() {
            self.view.stroke.set(None);
        }
        live
    }
}

/// How much wider than the brush a stroke is at a pen's pressure, 0 to 1; pens without a sensor
/// say 0.5, and some 0.
pub(super) fn spread(pressure: f64) -> f64 {
    if pressure > 0.0 {
        (2.0 * pressure).clamp(0.1, 2.0)
    } else {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_makes_strokes_wider() {
        assert_eq!([0.0, 0.01, 0.5, 1.0].map(spread), [1.0, 0.1, 1.0, 2.0]);
    }
}
