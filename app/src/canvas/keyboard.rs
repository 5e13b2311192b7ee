use fclm_core::mask::Mask;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{HtmlElement, KeyboardEvent};

use super::gestures::Gestures;
use super::view::CanvasView;
use crate::editor::{OpenPolygon, PointXy, Press, Reshaping};
use crate::panel::focus_draft;
use crate::state::{Editor, Tool, Workspace};

const ZOOM_STEP: f64 = 1.25;
const PAN_STEP: f64 = 48.0;

/// Keys that work wherever nothing is typed. Answers whether the key was one.
pub(super) fn page_key(
    event: &KeyboardEvent,
    workspace: Workspace,
    view: CanvasView,
    gestures: Gestures,
) -> bool {
    let editor = workspace.editor;
    let Some((width, height)) = editor.size() else {
        return false;
    };
    let image = (f64::from(width), f64::from(height));
    let command = event.ctrl_key() || event.meta_key();
    let key = event.key();
    if command {
        match key.to_ascii_lowercase().as_str() {
            // Steps are taken back from what is done, not from below what is being done.
            "z" | "y" if gestures.is_drawing() => gestures.cancel(),
            "z" if event.shift_key() => view.redo(editor),
            "z" => view.undo(editor),
            "y" => view.redo(editor),
            _ => return false,
        }
        return true;
    }
    if gestures.corner_key(event) {
        return true;
    }
    if event.alt_key() {
        return false;
    }
    let take = |tool: Tool| {
        gestures.drop_keyboard_drawing();
        gestures.leave_to_keyboard();
        editor.tool.set(tool);
    };
    match key.as_str() {
        "v" | "V" => take(Tool::Select),
        "c" | "C" => take(Tool::Click),
        "x" | "X" if editor.tool.get_untracked() == Tool::Click => {
            editor.minus.update(|minus| *minus = !*minus);
        }
        "b" | "B" => take(Tool::Box),
        "p" | "P" => take(Tool::Brush),
        "e" | "E" => take(Tool::Eraser),
        "g" | "G" => take(Tool::Polygon),
        "l" | "L" => take(Tool::Lasso),
        "d" | "D" if event.repeat() => {}
        "d" | "D" => return of_chosen(editor, |id| editor.duplicate(id)),
        "f" | "F" => {
            return of_chosen(editor, |id| {
                editor.reshape(id, Mask::filled, Reshaping::Filled, press_of(event));
            });
        }
        "{" => {
            return of_chosen(editor, |id| {
                editor.reshape(
                    id,
                    |mask| mask.shrunk(1),
                    Reshaping::Shrunk,
                    press_of(event),
                );
            });
        }
        "}" => {
            return of_chosen(editor, |id| {
                editor.reshape(id, |mask| mask.grown(1), Reshaping::Grown, press_of(event));
            });
        }
        "[" => editor.scale_brush(0.8),
        "]" => editor.scale_brush(1.25),
        "+" | "=" => view.zoom_middle(ZOOM_STEP, image),
        "-" => view.zoom_middle(1.0 / ZOOM_STEP, image),
        "0" => view.fit(image),
        "h" | "H" => view.peek.set(true),
        " " => view.space.set(true),
        "n" | "N" => editor.selected.set(None),
        "Escape" => {
            if gestures.is_drawing() {
                gestures.cancel();
            } else if view.leave_corner(editor) {
                // The polygon and the choice of its region stay.
            } else if !view.polygon.with_untracked(OpenPolygon::is_empty) {
                view.throw_polygon_away(editor);
            } else {
                editor.selected.set(None);
            }
            view.crosshair.set(None);
        }
        "Delete" | "Backspace" if view.drop_corner(editor) => {}
        "Delete" | "Backspace" => match editor.selected.get_untracked() {
            Some(id) => editor.remove(&id),
            None => return false,
        },
        "/" => focus_draft(),
        digit if digit.len() == 1 && digit.as_bytes()[0].is_ascii_digit() => {
            let index = usize::from(digit.as_bytes()[0] - b'1');
            let id = editor
                .document
                .with_untracked(|d| d.regions.get(index).map(|region| region.id.clone()));
            match id {
                Some(id) => editor.selected.set(Some(id)),
                None => return false,
            }
        }
        _ => return false,
    }
    true
}

// Whether there is a chosen region to which something is done.
fn of_chosen(editor: Editor, act: impl FnOnce(&str)) -> bool {
    let chosen = editor.selected.get_untracked();
    if let Some(id) = &chosen {
        act(id);
    }
    chosen.is_some()
}

/// Keys on the focused canvas: arrows move the picture or a crosshair, Enter sets a box's corners
/// or puts brush and eraser down and up. Where a pointer has just marked or chosen a region, Enter
/// sends the message. Answers whether the key was one.
pub(super) fn canvas_key(
    event: &KeyboardEvent,
    workspace: Workspace,
    view: CanvasView,
    gestures: Gestures,
) -> bool {
    let editor = workspace.editor;
    let Some((width, height)) = editor.size() else {
        return false;
    };
    let image = (f64::from(width), f64::from(height));
    if event.ctrl_key() || event.meta_key() || event.alt_key() {
        return false;
    }
    let tool = editor.tool.get_untracked();
    if event.key() == "Tab" {
        // Where there is no other mask, Tab leads on as everywhere.
        return tool == Tool::Click && !event.shift_key() && editor.next_candidate();
    }
    let is_marked = editor.selected.with_untracked(Option::is_some);
    let direction = match event.key().as_str() {
        "Enter" if gestures.is_pointed() && is_marked && !gestures.is_drawing() => {
            gestures.leave_to_keyboard();
            workspace.conversation.send();
            focus_draft();
            return true;
        }
        "Enter" if tool != Tool::Select => {
            // Who draws a polygon by pointer ends it so, as by its first corner.
            let is_by_pointer = view.crosshair.with_untracked(Option::is_none);
            let first = view.polygon.with_untracked(|open| {
                let points = &open.polygon().points;
                points.first().copied().filter(|_| points.len() >= 3)
            });
            if tool == Tool::Polygon
                && is_by_pointer
                && let Some(first) = first
            {
                gestures.begin(first, tool);
                return true;
            }
            let at = crosshair(view, image);
            view.crosshair.set(Some(at));
            if gestures.is_drawing() {
                gestures.end();
            } else {
                gestures.begin(at, tool);
                if tool == Tool::Polygon {
                    gestures.end();
                }
            }
            // Enter sends only behind a mark by pointer.
            gestures.leave_to_keyboard();
            return true;
        }
        key => match arrow(key) {
            Some(direction) => direction,
            None => return false,
        },
    };
    gestures.leave_to_keyboard();
    if tool == Tool::Select {
        view.pan(-direction.0 * PAN_STEP, -direction.1 * PAN_STEP, image);
        return true;
    }
    let step = if event.shift_key() {
        1.0
    } else {
        (image.0.max(image.1) / 64.0).max(1.0)
    };
    let from = crosshair(view, image);
    let to = (
        (from.0 + direction.0 * step).clamp(0.0, image.0),
        (from.1 + direction.1 * step).clamp(0.0, image.1),
    );
    view.crosshair.set(Some(to));
    view.reveal(to, image);
    gestures.advance(to);
    true
}

/// Where an arrow key points to, one long.
pub(crate) fn arrow(key: &str) -> Option<PointXy> {
    match key {
        "ArrowLeft" => Some((-1.0, 0.0)),
        "ArrowRight" => Some((1.0, 0.0)),
        "ArrowUp" => Some((0.0, -1.0)),
        "ArrowDown" => Some((0.0, 1.0)),
        _ => None,
    }
}

/// Whether a key goes on with what it did, because it is held.
pub(crate) fn press_of(event: &KeyboardEvent) -> Press {
    if event.repeat() {
        Press::Held
    } else {
        Press::New
    }
}

fn crosshair(view: CanvasView, image: PointXy) -> PointXy {
    view.crosshair.get_untracked().unwrap_or_else(|| {
        let stage = view.stage.get_untracked();
        let (x, y) = view
            .viewport
            .get_untracked()
            .to_image((stage.0 / 2.0, stage.1 / 2.0));
        (x.clamp(0.0, image.0).round(), y.clamp(0.0, image.1).round())
    })
}

/// Whether an event comes from where something is typed.
pub(super) fn is_typing(event: &KeyboardEvent) -> bool {
    event
        .target()
        .and_then(|target| target.dyn_into::<HtmlElement>().ok())
        .is_some_and(|element| {
            matches!(element.tag_name().as_str(), "INPUT" | "TEXTAREA" | "SELECT")
                || element.is_content_editable()
        })
}

/// Whether an event comes from a control that uses Enter and Space itself.
pub(super) fn is_control(event: &KeyboardEvent) -> bool {
    event
        .target()
        .and_then(|target| target.dyn_into::<HtmlElement>().ok())
        .is_some_and(|element| matches!(element.tag_name().as_str(), "BUTTON" | "A" | "SUMMARY"))
}
