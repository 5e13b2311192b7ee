use leptos::prelude::*;
use web_sys::KeyboardEvent;

use super::view::CanvasView;
use crate::editor::OpenPolygon;
use crate::icons::Icon;
use crate::state::{Tool, Workspace};

/// Tools, undo and redo.
#[component]
pub(super) fn Toolbar(
    /// The canvas they work on.
    view: CanvasView,
) -> impl IntoView {
    let editor = expect_context::<Workspace>().editor;
    let tool = move |tool: Tool, id: &'static str, icon: &'static str, title: &'static str| {
        view! {
            <button
                r#type="button"
                class="tool"
                class:is-on=move || editor.tool.get() == tool
                aria-pressed=move || (editor.tool.get() == tool).to_string()
                aria-label=title
                title=title
                data-testid=id
                on:click=move |_| editor.tool.set(tool)
            >
                <Icon name=icon/>
            </button>
        }
    };
    view! {
        <div class="toolbar" role="toolbar" aria-label="Tools" data-testid="toolbar">
            {tool(Tool::Select, "tool-select", "cursor", "Select and move (V)")}
            {tool(Tool::Click, "tool-click", "click", "Click on something (C)")}
            {tool(Tool::Box, "tool-box", "box", "Box (B)")}
            {tool(Tool::Brush, "tool-brush", "brush", "Brush (P)")}
            {tool(Tool::Eraser, "tool-eraser", "eraser", "Eraser (E)")}
            {tool(Tool::Polygon, "tool-polygon", "polygon", "Polygon (G)")}
            {tool(Tool::Lasso, "tool-lasso", "lasso", "Lasso (L)")}
            <button
                r#type="button"
                class="tool"
                class:is-on=move || editor.minus.get()
                class:is-out=move || editor.tool.get() != Tool::Click
                aria-pressed=move || editor.minus.get().to_string()
                aria-label="Clicks take away (X, right button or long press)"
                title="Clicks take away (X, right button or long press)"
                data-testid="tool-minus"
                on:click=move |_| editor.minus.update(|minus| *minus = !*minus)
            >
                <Icon name="minus"/>
            </button>
            <span class="tool-rule"></span>
            <button
                r#type="button"
                class="tool"
                aria-label="Undo (Ctrl+Z)"
                title="Undo (Ctrl+Z)"
                data-testid="tool-undo"
                disabled=move || {
                    !editor.can_undo.get() && !view.polygon.with(OpenPolygon::can_undo)
                }
                on:click=move |_| view.undo(editor)
            >
                <Icon name="undo"/>
            </button>
            <button
                r#type="button"
                class="tool"
                aria-label="Redo (Ctrl+Shift+Z)"
                title="Redo (Ctrl+Shift+Z)"
                data-testid="tool-redo"
                disabled=move || {
                    !editor.can_redo.get() && !view.polygon.with(OpenPolygon::can_redo)
                }
                on:click=move |_| view.redo(editor)
            >
                <Icon name="redo"/>
            </button>
            <button
                r#type="button"
                class="tool"
                class:is-on=move || view.peek.get()
                aria-label="Hide masks while held (H)"
                title="Hide masks while held (H)"
                data-testid="tool-peek"
                on:pointerdown=move |_| view.peek.set(true)
                on:pointerup=move |_| view.peek.set(false)
                on:pointerleave=move |_| view.peek.set(false)
                on:pointercancel=move |_| view.peek.set(false)
                on:keydown=move |event| {
                    if is_press(&event) {
                        view.peek.set(true);
                    }
                }
                on:keyup=move |event| {
                    if is_press(&event) {
                        view.peek.set(false);
                    }
                }
                on:blur=move |_| view.peek.set(false)
            >
                <Icon name="eye-off"/>
            </button>
        </div>
    }
}

/// How thick brush and eraser are, while one of them is in hand.
#[component]
pub(super) fn BrushSize() -> impl IntoView {
    let editor = expect_context::<Workspace>().editor;
    let painting = move || editor.tool.get().paints();
    let longest = move || {
        editor
            .image
            .with(|image| image.as_ref().map_or(400, |i| i.width.max(i.height) / 4))
    };
    view! {
        <label class="brush-size" class:is-gone=move || !painting()>
            <span class="visually-hidden">"Brush size ([ and ])"</span>
            <input
                r#type="range"
                min="1"
                max=move || longest().to_string()
                title="Brush size ([ and ])"
                data-testid="brush-size"
                disabled=move || !painting()
                prop:value=move || editor.brush.get().to_string()
                on:input=move |event| {
                    if let Ok(size) = event_target_value(&event).parse::<f64>() {
                        editor.brush.set(size);
                    }
                }
            />
        </label>
    }
}

/// Zoom in, out and to fit.
#[component]
pub(super) fn ZoomControls(
    /// The canvas they work on.
    view: CanvasView,
) -> impl IntoView {
    let editor = expect_context::<Workspace>().editor;
    let size = move || {
        let (width, height) = editor.size().unwrap_or((1, 1));
        (f64::from(width), f64::from(height))
    };
    let percent = move || format!("{:.0}%", view.viewport.get().scale * 100.0);
    view! {
        <div class="zoom" role="group" aria-label="Zoom" data-testid="zoom">
            <button
                r#type="button"
                class="tool"
                aria-label="Zoom out (-)"
                title="Zoom out (-)"
                data-testid="zoom-out"
                on:click=move |_| view.zoom_middle(0.8, size())
            >
                <Icon name="minus"/>
            </button>
            <button
                r#type="button"
                class="zoom-fit"
                aria-label=move || format!("{}, fit the picture (0)", percent())
                title="Fit the picture (0)"
                data-testid="zoom-fit"
                on:click=move |_| view.fit(size())
            >
                {percent}
            </button>
            <button
                r#type="button"
                class="tool"
                aria-label="Zoom in (+)"
                title="Zoom in (+)"
                data-testid="zoom-in"
                on:click=move |_| view.zoom_middle(1.25, size())
            >
                <Icon name="plus"/>
            </button>
        </div>
    }
}

// What a button that is held answers to on the keyboard.
fn is_press(event: &KeyboardEvent) -> bool {
    matches!(event.key().as_str(), "Enter" | " ")
}
