use leptos::prelude::*;

use super::CanvasView;
use crate::editor::{OpenPolygon, PointXy, Polygon, Press};
use crate::state::{Editor, Tool};

/// The corner that keys move or take away.
#[derive(Debug)]
pub(super) struct Picked {
    // The region; none where the polygon is not closed yet.
    of: Option<String>,
    index: usize,
}

/// A polygon whose corners are shown.
#[derive(Debug)]
pub(in crate::canvas) struct Cornered {
    /// The region that it is; none where it is not closed yet.
    pub(in crate::canvas) of: Option<String>,
    /// The polygon.
    pub(in crate::canvas) polygon: Polygon,
    /// The corner that keys move or take away.
    pub(in crate::canvas) picked: Option<usize>,
}

/// The corners that can be taken hold of.
impl CanvasView {
    /// The polygon that is being drawn, or else that of the chosen region with the polygon tool in
    /// hand.
    pub(in crate::canvas) fn cornered(self, editor: Editor) -> Option<Cornered> {
        let drawn = self.polygon.with(|open| open.polygon().clone());
        let (of, polygon) = if drawn.points.is_empty() {
            let (id, polygon) = self.chosen_polygon(editor)?;
            (Some(id), polygon)
        } else {
            (None, drawn)
        };
        let last = polygon.points.len().checked_sub(1)?;
        let picked = self.picked.with(|picked| {
            let picked = picked.as_ref().filter(|picked| picked.of == of)?;
            // Undo may have left fewer.
            Some(picked.index.min(last))
        });
        Some(Cornered {
            of,
            polygon,
            picked,
        })
    }

    fn chosen_polygon(self, editor: Editor) -> Option<(String, Polygon)> {
        if editor.tool.get() != Tool::Polygon {
            return None;
        }
        self.edited.get().or_else(|| {
            let id = editor.selected.get()?;
            let polygon = editor
                .document
                .with(|document| document.get(&id)?.polygon.clone())?;
            Some((id, (*polygon).clone()))
        })
    }

    /// Keys are about a corner from here on.
    pub(in crate::canvas) fn pick_corner(self, of: Option<String>, index: usize) {
        self.picked.set(Some(Picked { of, index }));
    }

    /// Keys are about no corner any more; false where they were about none that is shown.
    pub(in crate::canvas) fn leave_corner(self, editor: Editor) -> bool {
        let shown = untrack(|| self.cornered(editor));
        if self.picked.with_untracked(Option::is_some) {
            self.picked.set(None);
        }
        shown.is_some_and(|shown| shown.picked.is_some())
    }

    /// One step back: of the polygon that is being drawn, or else of all that was done to regions.
    pub(in crate::canvas) fn undo(self, editor: Editor) {
        if self.polygon.with_untracked(OpenPolygon::can_undo) {
            self.retrace(editor, "Undone", OpenPolygon::undo);
        } else {
            self.forget_steps();
            editor.undo();
        }
    }

    /// One step forward again.
    pub(in crate::canvas) fn redo(self, editor: Editor) {
        if self.polygon.with_untracked(OpenPolygon::can_redo) {
            self.retrace(editor, "Redone", OpenPolygon::redo);
        } else {
            self.forget_steps();
            editor.redo();
        }
    }

    // What is drawn again of a polygon is drawn with its tool.
    fn retrace(self, editor: Editor, done: &str, step: impl FnOnce(&mut OpenPolygon)) {
        self.polygon.update(step);
        let is_drawn = !self.polygon.with_untracked(OpenPolygon::is_empty);
        if is_drawn && editor.tool.get_untracked() != Tool::Polygon {
            editor.tool.set(Tool::Polygon);
        }
        let what = self.polygon.with_untracked(OpenPolygon::describe);
        editor.say(format!("{done}: {what}"));
    }

    /// Of a polygon of which no corner is left nothing is taken back or brought again.
    pub(in crate::canvas) fn forget_steps(self) {
        let is_over = self
            .polygon
            .with_untracked(|open| open.is_empty() && *open != OpenPolygon::default());
        if is_over {
            self.polygon.set(OpenPolygon::default());
        }
    }

    /// Adds a corner to the polygon that is being drawn, which may be dragged still.
    pub(in crate::canvas) fn add_corner(self, at: PointXy) {
        self.picked.set(None);
        self.polygon
            .update(|open| open.change(|polygon| polygon.points.push(at)));
    }

    /// Changes the polygon that is being drawn by a step of its own.
    pub(in crate::canvas) fn redraw_polygon(self, polygon: Polygon) {
        self.polygon.update(|open| {
            open.change(|drawn| *drawn = polygon);
            open.settle();
        });
    }

    /// Takes the polygon that is being drawn as a key has made it by moving a corner.
    pub(in crate::canvas) fn nudge_corner(self, corner: usize, moved: Polygon, press: Press) {
        self.polygon.update(|open| open.nudge(corner, moved, press));
    }

    /// Throws away what is drawn of a polygon, by a step that can be taken back.
    pub(in crate::canvas) fn throw_polygon_away(self, editor: Editor) {
        self.picked.set(None);
        if !self.polygon.with_untracked(OpenPolygon::is_empty) {
            self.redraw_polygon(Polygon::default());
            editor.say("Polygon thrown away".to_owned());
        }
    }

    /// Ends the polygon that is being drawn.
    pub(in crate::canvas) fn drop_polygon(self) {
        self.picked.set(None);
        self.polygon.set(OpenPolygon::default());
    }

    /// Takes the last corner of the polygon that is being drawn; false where there is none.
    pub(in crate::canvas) fn drop_corner(self, editor: Editor) -> bool {
        let mut rest = self.polygon.with_untracked(|open| open.polygon().clone());
        let is_there = rest.points.pop().is_some();
        if is_there {
            self.redraw_polygon(rest);
            let what = self.polygon.with_untracked(OpenPolygon::describe);
            editor.say(format!("Last corner removed: {what}"));
        }
        is_there
    }
}
