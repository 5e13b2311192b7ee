mod corners;
mod hits;
mod lines;
mod pointers;
mod strokes;

use fclm_core::mask::Rle;
use leptos::prelude::*;

use super::hand::Hand;
use super::view::CanvasView;
use crate::editor::{Instrument, OpenPolygon, PointXy, Press, dragged_box, is_inside};
use crate::state::{Notices, Tool, Workspace};

// Shorter drags are clicks, in CSS pixels.
const CLICK: f64 = 5.0;
/// A finger that rests for so many milliseconds takes away instead of adding.
const LONG_PRESS: f64 = 500.0;

#[derive(Debug, Clone, Copy, PartialEq, Default)]
enum Gesture {
    #[default]
    Idle,
    Pan(PointXy),
    Pinch,
    // From an image point, which may lie off the image as the drag's other end may.
    Box(PointXy),
    Stroke,
    // Whether what is surrounded is taken away.
    Lasso(bool),
    // A corner of the polygon that is drawn or edited.
    Corner(usize),
    // The chosen region, from an image point.
    Carry(PointXy),
    // A finger of the click tool, on the stage, since a time in milliseconds.
    Press(PointXy, f64),
}

/// Turns pointers (and the keyboard's crosshair) into boxes, strokes and views.
#[derive(Clone, Copy)]
pub(super) struct Gestures {
    view: CanvasView,
    workspace: Workspace,
    notices: Notices,
    gesture: StoredValue<Gesture>,
    hand: StoredValue<Hand>,
    // Whether a pointer has just marked or chosen a region.
    pointed: StoredValue<bool>,
    // How much wider than the brush a stroke is, by the pen's pressure.
    spread: StoredValue<f64>,
    // When a pen was last near, in milliseconds.
    pen_near: StoredValue<f64>,
}

impl Gestures {
    /// For one canvas.
    pub(super) fn new(view: CanvasView, workspace: Workspace, notices: Notices) -> Self {
        Self {
            view,
            workspace,
            notices,
            gesture: StoredValue::new(Gesture::default()),
            hand: StoredValue::new(Hand::default()),
            pointed: StoredValue::new(false),
            spread: StoredValue::new(1.0),
            pen_near: StoredValue::new(f64::NEG_INFINITY),
        }
    }

    fn image(self) -> Option<PointXy> {
        self.workspace
            .editor
            .size()
            .map(|(width, height)| (f64::from(width), f64::from(height)))
    }

    fn gesture(self) -> Gesture {
        self.gesture.get_value()
    }

    fn set_gesture(self, gesture: Gesture) {
        self.gesture.set_value(gesture);
        let moves = matches!(gesture, Gesture::Pan(_) | Gesture::Pinch);
        self.view.moving.set(moves);
        if !moves {
            self.view.come_to_rest();
        }
        if !is_drawn(gesture) && self.view.finger.with_untracked(Option::is_some) {
            self.view.finger.set(None);
        }
    }

    // A click of the click tool; beside the picture there is nothing to ask about.
    fn click(self, at: PointXy, minus: bool) {
        if self.image().is_some_and(|image| is_inside(at, image)) {
            self.workspace.editor.add_point(at, minus);
            self.pointed.set_value(true);
        }
    }

    /// Whether a pointer has just marked or chosen a region, so that Enter is about that region.
    pub(super) fn is_pointed(self) -> bool {
        self.pointed.get_value()
    }

    /// The keyboard takes over.
    pub(super) fn leave_to_keyboard(self) {
        self.pointed.set_value(false);
    }

    /// Drops what the keyboard was drawing; what a pointer draws goes on.
    pub(super) fn drop_keyboard_drawing(self) {
        if self.is_drawing() && self.hand.with_value(Hand::is_empty) {
            self.cancel();
        }
    }

    /// Starts to draw at an image point.
    pub(super) fn begin(self, at: PointXy, tool: Tool) {
        match tool {
            Tool::Select => self.choose(at),
            Tool::Click => self.click(at, self.workspace.editor.minus.get_untracked()),
            Tool::Box => {
                self.view.drag.set(Some((at, at)));
                self.set_gesture(Gesture::Box(at));
            }
            Tool::Brush | Tool::Eraser => self.start_stroke(at, tool),
            Tool::Polygon => self.set_corner(at),
            Tool::Lasso => self.start_lasso(at, false),
        }
    }

    /// Whether a box, a stroke, a line or a move has been started and not ended.
    pub(super) fn is_drawing(self) -> bool {
        let gesture = self.gesture();
        is_drawn(gesture) || matches!(gesture, Gesture::Carry(_))
    }

    /// Goes on to an image point.
    pub(super) fn advance(self, to: PointXy) {
        match self.gesture() {
            Gesture::Box(start) => self.view.drag.set(Some((start, to))),
            Gesture::Stroke => {
                let brush = self.workspace.editor.brush.get_untracked();
                let radius = brush / 2.0 * self.spread.get_value();
                self.view.painter.update_value(|painter| {
                    if let Some(live) = painter.as_mut().and_then(|p| p.live.as_mut()) {
                        live.advance(to, radius);
                    }
                });
                self.view
                    .strokes
                    .update(|steps| *steps = steps.wrapping_add(1));
            }
            Gesture::Lasso(_) => self.view.lasso.update(|points| points.push(to)),
            Gesture::Corner(index) => {
                if self.view.edited.with_untracked(Option::is_some) {
                    self.view.edited.update(|edited| {
                        if let Some((_, polygon)) = edited {
                            polygon.shift(index, to);
                        }
                    });
                } else {
                    self.view
                        .polygon
                        .update(|open| open.change(|polygon| polygon.shift(index, to)));
                }
            }
            Gesture::Carry(from) => {
                let by = ((to.0 - from.0).round(), (to.1 - from.1).round());
                let id = self.workspace.editor.selected.get_untracked();
                let scale = self.view.viewport.get_untracked().scale;
                let is_far = (to.0 - from.0).hypot(to.1 - from.1) * scale >= CLICK;
                // A click that slips is no move.
                if is_far || self.view.carried.with_untracked(Option::is_some) {
                    self.view.carried.set(id.map(|id| (id, by)));
                }
            }
            Gesture::Idle | Gesture::Pan(_) | Gesture::Pinch | Gesture::Press(..) => {}
        }
    }

    /// Ends what is being drawn and keeps it.
    pub(super) fn end(self) {
        let gesture = self.gesture();
        self.set_gesture(Gesture::Idle);
        match gesture {
            Gesture::Box(_) => self.end_box(),
            Gesture::Stroke => {
                let region = self.view.stroke.get_untracked().flatten();
                if let Some(live) = self.take_live() {
                    let mask = Rle::from_mask(&live.into_mask());
                    let editor = self.workspace.editor;
                    editor.commit_stroke(region, &mask, Instrument::Brush);
                    self.pointed.set_value(true);
                }
            }
            Gesture::Lasso(erases) => self.end_lasso(erases),
            Gesture::Corner(index) => self.end_corner(index),
            Gesture::Carry(_) => {
                if let Some((id, by)) = self.view.carried.get_untracked() {
                    self.view.carried.set(None);
                    let (dx, dy) = (by.0 as i64, by.1 as i64);
                    self.workspace.editor.nudge(&id, dx, dy, Press::New);
                }
            }
            Gesture::Press(at, since) => {
                let rested = js_sys::Date::now() - since >= LONG_PRESS;
                let minus = self.workspace.editor.minus.get_untracked();
                let point = self.view.viewport.get_untracked().to_image(at);
                self.click(point, rested || minus);
            }
            Gesture::Idle | Gesture::Pan(_) | Gesture::Pinch => {}
        }
    }

    /// Ends what is being drawn and throws it away.
    pub(super) fn cancel(self) {
        if matches!(self.gesture(), Gesture::Corner(_)) {
            // The finger that set or moved it was the first of two.
            self.view.polygon.update(OpenPolygon::cancel);
        }
        self.view.drag.set(None);
        self.view.lasso.set(Vec::new());
        self.view.edited.set(None);
        self.view.carried.set(None);
        self.take_live();
        self.set_gesture(Gesture::Idle);
    }

    fn end_box(self) {
        let (Some((a, b)), Some(image)) = (self.view.drag.get_untracked(), self.image()) else {
            return;
        };
        self.view.drag.set(None);
        let scale = self.view.viewport.get_untracked().scale;
        let editor = self.workspace.editor;
        if (a.0 - b.0).abs() * scale < CLICK && (a.1 - b.1).abs() * scale < CLICK {
            // Beside the picture there is nothing to ask about.
            if is_inside(a, image) {
                editor.add_click(a);
                self.pointed.set_value(true);
            }
        } else if let Some(px) = dragged_box(a, b, image) {
            editor.add_box(px);
            self.pointed.set_value(true);
        }
    }
}

/// Whether something is being drawn that the next pointer's end keeps.
fn is_drawn(gesture: Gesture) -> bool {
    matches!(
        gesture,
        Gesture::Box(_) | Gesture::Stroke | Gesture::Lasso(_) | Gesture::Corner(_)
    )
}
