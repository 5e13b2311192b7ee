use fclm_core::mask::Rle;
use leptos::prelude::*;

use super::{Gesture, Gestures};
use crate::editor::{Handle, Instrument, OpenPolygon, PointXy, Polygon};

/// How near to a corner or an edge it is taken hold of, in CSS pixels.
const REACH: f64 = 10.0;

impl Gestures {
    pub(super) fn start_lasso(self, at: PointXy, erases: bool) {
        let editor = self.workspace.editor;
        match editor.selected.get_untracked() {
            Some(id) if editor.refuses(&id) => return,
            Some(_) => {}
            None if erases => return self.say_nothing_to_erase(),
            None if !editor.has_room() => return,
            None => {}
        }
        self.view.lasso.set(vec![at]);
        self.set_gesture(Gesture::Lasso(erases));
    }

    pub(super) fn end_lasso(self, erases: bool) {
        let points = self.view.lasso.get_untracked();
        self.view.lasso.set(Vec::new());
        let editor = self.workspace.editor;
        let line = Polygon { points };
        let Some(around) = editor.size().and_then(|size| line.mask(size)) else {
            return;
        };
        let region = editor.selected.get_untracked();
        let before = region.as_ref().and_then(|id| editor.runs(id));
        let mask = match before {
            Some(mask) if erases => mask.difference(&around),
            Some(mask) => Rle::union(&[mask, around]),
            None => Ok(around),
        };
        // Masks of one picture have its size.
        let Ok(mask) = mask else { return };
        editor.commit_stroke(region, &mask, Instrument::Lasso);
        self.pointed.set_value(true);
    }

    pub(super) fn say_nothing_to_erase(self) {
        self.notices
            .info("Nothing to erase", "Choose the region to erase from first.");
    }

    // In image pixels.
    fn reach(self) -> f64 {
        REACH / self.view.viewport.get_untracked().scale
    }

    // A corner more, or one that is taken hold of; the first one again closes the polygon, and so
    // does the last one, as a double click comes.
    pub(super) fn set_corner(self, at: PointXy) {
        let editor = self.workspace.editor;
        let drawn = self
            .view
            .polygon
            .with_untracked(|open| open.polygon().clone());
        let count = drawn.points.len();
        if count == 0 {
            let chosen = untrack(|| self.view.cornered(editor));
            let chosen = chosen.and_then(|shown| shown.of.map(|id| (id, shown.polygon)));
            if let Some((id, mut polygon)) = chosen
                && let Some(handle) = polygon.handle(at, self.reach())
            {
                if !editor.refuses(&id) {
                    let index = polygon.take(handle, at);
                    self.view.edited.set(Some((id, polygon)));
                    self.set_gesture(Gesture::Corner(index));
                }
                return;
            }
            if !editor.has_room() {
                return;
            }
        }
        let index = match drawn.handle(at, self.reach()) {
            Some(Handle::Point(index)) if count >= 3 && (index == 0 || index + 1 == count) => {
                self.view.drop_polygon();
                editor.add_polygon(drawn);
                self.pointed.set_value(true);
                return;
            }
            Some(Handle::Point(index)) => index,
            _ => {
                self.view.add_corner(at);
                count
            }
        };
        self.set_gesture(Gesture::Corner(index));
    }

    // A corner is let go; of the chosen region, it is gone on the one beside it.
    pub(super) fn end_corner(self, index: usize) {
        let Some((id, mut polygon)) = self.view.edited.get_untracked() else {
            self.view.polygon.update(OpenPolygon::settle);
            return;
        };
        self.view.edited.set(None);
        polygon.merge(index, self.reach() / 2.0);
        self.workspace.editor.edit_polygon(&id, polygon, None);
    }

    // Takes the corner away that a pointer meets.
    pub(super) fn drop_corner(self, at: PointXy) {
        let editor = self.workspace.editor;
        if let Some(shown) = untrack(|| self.view.cornered(editor))
            && let Some(Handle::Point(index)) = shown.polygon.handle(at, self.reach())
            && shown.of.as_ref().is_none_or(|id| !editor.refuses(id))
        {
            self.remove_corner(shown.of.as_deref(), shown.polygon, index);
        }
    }
}
