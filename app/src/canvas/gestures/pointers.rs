use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, MouseEvent, PointerEvent, WheelEvent};

use super::{CLICK, Gesture, Gestures, is_drawn, strokes};
use crate::canvas::hand::{Hand, Landing, PointerKind};
use crate::editor::PointXy;
use crate::state::Tool;

const PEN_ERASER: u16 = 32;
/// For so many milliseconds after a pen was near, a touch is taken for the hand that holds it.
const PALM: f64 = 700.0;

/// What pointers do, by mouse, finger and pen.
impl Gestures {
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
    pub(in crate::canvas) fn down(self, event: &PointerEvent) {
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

    /// A pointer moves.
    pub(in crate::canvas) fn moved(self, event: &PointerEvent) {
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
    pub(in crate::canvas) fn up(self, event: &PointerEvent) {
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
    pub(in crate::canvas) fn lost(self, event: &PointerEvent) {
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

    /// The pointer leaves the canvas.
    pub(in crate::canvas) fn left(self) {
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
    pub(in crate::canvas) fn wheel(self, event: &WheelEvent) {
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
