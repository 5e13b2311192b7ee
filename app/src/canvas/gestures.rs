mod corners;
mod lines;
mod strokes;

use fclm_core::mask::Rle;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, MouseEvent, PointerEvent, WheelEvent};

use super::hand::{Hand, Landing, PointerKind};
use super::view::{CanvasView, found_key};
use crate::editor::{Instrument, OpenPolygon, PointXy, Press, dragged_box, is_inside};
use crate::state::{Highlight, Notices, Tool, Workspace};

// Shorter drags are clicks, in CSS pixels.
const CLICK: f64 = 5.0;
const PEN_ERASER: u16 = 32;
/// A finger that rests for so many milliseconds takes away instead of adding.
const LONG_PRESS: f64 = 500.0;
/// For so many milliseconds after a pen was near, a touch is taken for the hand that holds it.
const PALM: f64 = 700.0;

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

    // Where an event is on the stage, which does not move under a gesture: to ask the browser where
    // it lies makes it lay out the page.
    fn place(self, event: &MouseEvent) -> Option<PointXy> {
        let is_busy = self.view.in_motion.get_untracked() || !self.hand.with_value(Hand::is_empty);
        let known = self.view.corner.get_value().filter(|_| is_busy);
        let (left, top) = match known {
            Some(corner) => corner,
            None => {
                let bounds = target(event)?.get_bounding_client_rect();
                let corner = (bounds.left(), bounds.top());
                self.view.corner.set_value(Some(corner));
                corner
            }
        };
        let (x, y) = (f64::from(event.client_x()), f64::from(event.client_y()));
        Some((x - left, y - top))
    }

    // What a pen tells besides its place, and whether the pointer is a palm beside it.
    fn heed(self, event: &PointerEvent, kind: PointerKind) -> bool {
        let now = js_sys::Date::now();
        match kind {
            PointerKind::Pen => {
                self.pen_near.set_value(now);
                self.spread
                    .set_value(strokes::spread(f64::from(event.pressure())));
                false
            }
            PointerKind::Touch => now - self.pen_near.get_value() < PALM,
            PointerKind::Mouse => false,
        }
    }

    /// A pointer goes down.
    pub(super) fn down(self, event: &PointerEvent) {
        let Some(at) = self.place(event) else {
            return;
        };
        let clicks = self.workspace.editor.tool.get_untracked() == Tool::Click;
        if self.image().is_none() || (event.button() == 2 && !clicks) {
            return;
        }
        let (id, kind) = (event.pointer_id(), PointerKind::of(&event.pointer_type()));
        if self.heed(event, kind) {
            return;
        }
        let landing = self.hand.try_update_value(|hand| hand.land(id, kind, at));
        match landing {
            Some(Landing::Leads) => {
                self.lead(event, kind, at);
                if kind == PointerKind::Touch && is_drawn(self.gesture()) {
                    self.view.finger.set(Some(at));
                }
            }
            Some(Landing::Pinches) => {
                capture(event);
                self.cancel();
                self.set_gesture(Gesture::Pinch);
            }
            Some(Landing::Rests) | None => {}
        }
    }

    fn lead(self, event: &PointerEvent, kind: PointerKind, at: PointXy) {
        capture(event);
        self.view.preview.clear();
        // What the keyboard left unfinished, or fingers before a pen.
        if self.gesture() != Gesture::Idle {
            self.cancel();
        }
        self.view.crosshair.set(None);
        self.view.leave_corner(self.workspace.editor);
        self.pointed.set_value(false);
        let tool = self.workspace.editor.tool.get_untracked();
        let point = self.view.viewport.get_untracked().to_image(at);
        if event.button() == 1 || self.view.space.get_untracked() {
            event.prevent_default();
            self.set_gesture(Gesture::Pan(at));
        } else if event.buttons() & PEN_ERASER != 0 {
            self.start_stroke(point, Tool::Eraser);
        } else if tool == Tool::Select {
            let editor = self.workspace.editor;
            let before = editor.selected.get_untracked();
            self.choose(point);
            let chosen = editor.selected.get_untracked();
            let is_held = chosen.as_ref().is_some_and(|id| {
                before.as_ref() == Some(id) && !editor.locked.with_untracked(|l| l.contains(id))
            });
            self.set_gesture(if is_held {
                Gesture::Carry(point)
            } else {
                Gesture::Pan(at)
            });
        } else if tool == Tool::Click && kind == PointerKind::Touch {
            // It may be the first of two, or rest.
            self.set_gesture(Gesture::Press(at, js_sys::Date::now()));
        } else if tool == Tool::Click {
            let minus = event.button() == 2 || self.workspace.editor.minus.get_untracked();
            self.click(point, minus);
        } else if tool == Tool::Lasso && event.alt_key() {
            self.start_lasso(point, true);
        } else if tool == Tool::Polygon && event.alt_key() {
            self.drop_corner(point);
        } else {
            self.begin(point, tool);
        }
    }

    // A click of the click tool; beside the picture there is nothing to ask about.
    fn click(self, at: PointXy, minus: bool) {
        if self.image().is_some_and(|image| is_inside(at, image)) {
            self.workspace.editor.add_point(at, minus);
            self.pointed.set_value(true);
        }
    }

    /// A pointer moves.
    pub(super) fn moved(self, event: &PointerEvent) {
        let (Some(image), Some(at)) = (self.image(), self.place(event)) else {
            return;
        };
        let (id, kind) = (event.pointer_id(), PointerKind::of(&event.pointer_type()));
        self.heed(event, kind);
        if kind != PointerKind::Touch {
            self.view.hover.set(Some(at));
        }
        if kind != PointerKind::Touch
            && event.buttons() == 0
            && self.hand.with_value(|hand| hand.holds(id))
        {
            // It was let go where the page could not see it.
            self.up(event);
            return;
        }
        let moved = self.hand.try_update_value(|hand| {
            let before = hand.fingers();
            hand.shift(id, at);
            (hand.is_led_by(id), before, hand.fingers())
        });
        let Some((leads, before, after)) = moved else {
            return;
        };
        let point = self.view.viewport.get_untracked().to_image(at);
        match self.gesture() {
            Gesture::Idle if kind != PointerKind::Touch => {
                self.point_at(point);
                self.preview(point);
            }
            Gesture::Press(start, _)
                if leads && (at.0 - start.0).hypot(at.1 - start.1) >= CLICK =>
            {
                self.set_gesture(Gesture::Pan(at));
            }
            Gesture::Pan(last) if leads => {
                self.gesture.set_value(Gesture::Pan(at));
                self.view.drag_on(at.0 - last.0, at.1 - last.1, image);
            }
            Gesture::Pinch => {
                if let (Some(before), Some(after)) = (before, after)
                    && before != after
                {
                    self.view.pinch(before, after, image);
                }
            }
            gesture if leads && (is_drawn(gesture) || matches!(gesture, Gesture::Carry(_))) => {
                if kind == PointerKind::Touch && is_drawn(gesture) {
                    self.view.finger.set(Some(at));
                }
                self.advance(point);
            }
            _ => {}
        }
    }

    /// A pointer goes up.
    pub(super) fn up(self, event: &PointerEvent) {
        let Some(led) = self.release(event.pointer_id()) else {
            return;
        };
        match self.gesture() {
            Gesture::Pinch if self.hand.with_value(Hand::is_empty) => {
                self.set_gesture(Gesture::Idle);
            }
            Gesture::Pan(_) if led => self.set_gesture(Gesture::Idle),
            Gesture::Press(..) if led => self.end(),
            gesture if led && (is_drawn(gesture) || matches!(gesture, Gesture::Carry(_))) => {
                self.end();
            }
            _ => {}
        }
    }

    /// The system takes a pointer away.
    pub(super) fn lost(self, event: &PointerEvent) {
        let Some(led) = self.release(event.pointer_id()) else {
            return;
        };
        let pinched = self.gesture() == Gesture::Pinch && self.hand.with_value(Hand::is_empty);
        if led || pinched {
            self.cancel();
        }
    }

    // Whether the pointer was leading; none where it was not down.
    fn release(self, id: i32) -> Option<bool> {
        self.spread.set_value(1.0);
        let released = self.hand.try_update_value(|hand| {
            let led = hand.is_led_by(id);
            hand.lift(id).then_some(led)
        });
        released.flatten()
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

    /// The pointer leaves the canvas.
    pub(super) fn left(self) {
        self.view.hover.set(None);
        self.view.preview.clear();
        self.workspace.conversation.highlight.update(|highlight| {
            if highlight
                .as_ref()
                .is_some_and(|highlight| highlight.from_canvas)
            {
                *highlight = None;
            }
        });
    }

    /// The wheel zooms about the pointer.
    pub(super) fn wheel(self, event: &WheelEvent) {
        let (Some(image), Some(at)) = (self.image(), self.place(event)) else {
            return;
        };
        event.prevent_default();
        let lines = event.delta_mode() == WheelEvent::DOM_DELTA_LINE;
        let delta = event.delta_y() * if lines { 16.0 } else { 1.0 };
        // A pinch on a trackpad comes as a wheel with the control key and in smaller steps.
        let speed = if event.ctrl_key() { 0.01 } else { 0.0015 };
        self.view
            .zoom((-delta * speed).clamp(-0.7, 0.7).exp(), at, image);
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

    fn choose(self, at: PointXy) {
        let editor = self.workspace.editor;
        let hidden = editor.hidden.get_untracked();
        let ids: Vec<String> = editor.document.with_untracked(|document| {
            let shown = document
                .regions
                .iter()
                .filter(|region| !hidden.contains(&region.id));
            shown.map(|region| region.id.clone()).collect()
        });
        let hit = self.view.painter.with_value(|painter| {
            painter
                .as_ref()?
                .hit(ids.iter().map(String::as_str), at)
                .map(str::to_owned)
        });
        self.pointed.set_value(hit.is_some());
        editor.selected.set(hit);
    }

    // What a click would give here is shown where this device can tell.
    fn preview(self, at: PointXy) {
        let editor = self.workspace.editor;
        let is_on = editor.tool.get_untracked() == Tool::Click
            && self.image().is_some_and(|image| is_inside(at, image));
        if is_on {
            self.view.preview.point_at(at, editor);
        } else {
            self.view.preview.clear();
        }
    }

    // The mask under the pointer lights up its phrase.
    fn point_at(self, at: PointXy) {
        let conversation = self.workspace.conversation;
        let Some(message) = conversation.shown.get_untracked() else {
            return;
        };
        let count = conversation.messages.with_untracked(|messages| {
            let shown = messages.iter().find(|candidate| candidate.id == message);
            shown.map_or(0, |shown| shown.found.with_untracked(Vec::len))
        });
        let keys: Vec<String> = (0..count).map(found_key).collect();
        let index = self.view.painter.with_value(|painter| {
            let hit = painter.as_ref()?.hit(keys.iter().map(String::as_str), at)?;
            keys.iter().position(|key| key == hit)
        });
        let next = index.map(|index| Highlight {
            message,
            index,
            from_canvas: true,
        });
        if conversation
            .highlight
            .with_untracked(|highlight| *highlight != next)
        {
            conversation.highlight.set(next);
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

fn target(event: &MouseEvent) -> Option<Element> {
    event.current_target()?.dyn_into().ok()
}

fn capture(event: &PointerEvent) {
    if let Some(target) = target(event) {
        // Without capture a drag ends at the canvas's edge, which is bearable.
        let _ = target.set_pointer_capture(event.pointer_id());
    }
}
