use leptos::ev;
use leptos::html;
use leptos::prelude::*;
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{Element, HtmlImageElement};

use super::damage::Area;
use super::gestures::Gestures;
use super::hint::{PointsBy, hint};
use super::keyboard::{canvas_key, is_control, is_typing, page_key};
use super::painter::Painter;
use super::toolbar::{BrushSize, Toolbar, ZoomControls};
use super::view::CanvasView;
use crate::icons::Icon;
use crate::media::watch_media;
use crate::resize::on_resize;
use crate::state::{Application, Editor, Loading, Tool, Workspace};

/// Selectors of what no tag may lie under. The foot is one as a whole, so that tags do not move with
/// the words in it; a hint that has no room there lies over the picture, but not for long.
const TOOLS: [&str; 3] = [".toolbar", ".stage-foot", ".brush-size"];

/// The picture with its tools.
#[component]
pub(crate) fn Stage() -> impl IntoView {
    let workspace = expect_context::<Workspace>();
    let application = expect_context::<Application>();
    let editor = workspace.editor;
    let view = CanvasView::new(editor.tool, application.extractor);
    let gestures = Gestures::new(view, workspace, application.notices);
    let canvas = NodeRef::<html::Canvas>::new();
    let preview = view.preview.host;

    Effect::new(move |_| {
        if let Some(canvas) = canvas.get() {
            // The canvas takes its size from what is painted, so its parent is what is measured.
            if let Some(stage) = canvas.parent_element() {
                watch_size(&stage, view, workspace);
                watch_tools(&stage, view);
            }
            view.painter.set_value(Painter::new(canvas));
        }
    });
    Effect::new(move |_| load_picture(view, workspace, application));
    view.keep_painted(workspace);
    Effect::new(move |_| view.preview.follow(editor));
    Effect::new(move |_| {
        let tool = editor.tool.get();
        if tool != Tool::Polygon {
            view.throw_polygon_away(editor);
        }
        if tool != Tool::Click {
            view.preview.clear();
        }
        if let Some((width, height)) = editor.size() {
            view.make_room((f64::from(width), f64::from(height)));
        }
    });
    Effect::new(move |_| {
        editor.steps.track();
        view.forget_steps();
    });
    listen_for_keys(workspace, view, gestures);

    let size = move || editor.image.get().map(|image| (image.width, image.height));
    let chosen = Memo::new(move |_| {
        let id = editor.selected.get()?;
        editor.document.with(|document| document.number(&id))
    });
    // The chosen region, where its corners are shown.
    let cornered = Memo::new(move |_| {
        let id = view.cornered(editor)?.of?;
        editor.document.with(|document| document.number(&id))
    });
    let is_coarse = RwSignal::new(false);
    Effect::new(move |_| watch_media("(pointer: coarse)", move |holds| is_coarse.set(holds)));
    let words = Memo::new(move |_| {
        let by = if is_coarse.get() {
            PointsBy::Finger
        } else {
            PointsBy::Mouse
        };
        let (tool, minus) = (editor.tool.get(), editor.minus.get());
        hint(by, tool, chosen.get(), cornered.get(), minus)
    });
    let is_followed = followed(view, editor, words);
    // Where a stroke goes is worth saying each time; what a box or a click does, only at first.
    let hinted = move || {
        let tool = editor.tool.get();
        let draws = tool.paints() || matches!(tool, Tool::Polygon | Tool::Lasso | Tool::Click);
        draws || editor.document.with(|document| document.regions.is_empty())
    };
    let waiting = move || workspace.loading.get() == Loading::Pending || !view.ready.get();
    view! {
        <section class="stage" aria-label="Picture" data-testid="stage">
            <canvas
                node_ref=canvas
                class="stage-canvas"
                class:is-grabbing=move || view.is_grabbing()
                data-testid="canvas"
                data-tool=move || tool_name(editor.tool.get())
                data-ready=move || view.ready.get().to_string()
                data-preview=move || view.preview.by().is_some().to_string()
                data-preview-by=move || view.preview.by()
                data-scale=move || view.viewport.get().scale.to_string()
                data-offset-x=move || view.viewport.get().x.to_string()
                data-offset-y=move || view.viewport.get().y.to_string()
                data-image-width=move || size().map(|size| size.0.to_string())
                data-image-height=move || size().map(|size| size.1.to_string())
                tabindex="0"
                role="application"
                aria-label="Picture: arrows move, Enter sets a corner or starts and ends a stroke; after a mark by pointer Enter sends"
                aria-describedby="stage-hint"
                on:pointerdown=move |event| gestures.down(&event)
                on:contextmenu=move |event| {
                    if editor.tool.get_untracked() == Tool::Click {
                        event.prevent_default();
                    }
                }
                on:pointermove=move |event| gestures.moved(&event)
                on:pointerup=move |event| gestures.up(&event)
                on:pointercancel=move |event| gestures.lost(&event)
                on:pointerleave=move |_| gestures.left()
                on:wheel=move |event| gestures.wheel(&event)
                on:keydown=move |event: ev::KeyboardEvent| {
                    if canvas_key(&event, workspace, view, gestures) {
                        event.prevent_default();
                        event.stop_propagation();
                    }
                }
                on:blur=move |_| {
                    view.crosshair.set(None);
                    gestures.drop_keyboard_drawing();
                }
            ></canvas>
            <div
                node_ref=preview
                class="stage-preview"
                class:is-shown=move || view.preview.is_drawn.get() && !view.peek.get()
                aria-hidden="true"
            ></div>
            <p class="visually-hidden" role="status" data-testid="announcement">
                {move || editor.spoken.get()}
            </p>
            <div class="stage-wait" class:is-gone=move || !waiting() aria-hidden="true">
                <span class="spinner"></span>
            </div>
            {view! { <Toolbar view/> }.into_any()}
            <div class="stage-foot">
                {view! { <BrushSize/> }.into_any()}
                <p
                    class="stage-hint"
                    id="stage-hint"
                    class:is-gone=move || waiting() || !hinted()
                    class:is-followed=move || is_followed.get()
                    data-testid="stage-hint"
                >
                    <Icon name="sparkle"/>
                    <span>{move || words.get()}</span>
                </p>
                {view! { <ZoomControls view/> }.into_any()}
            </div>
        </section>
    }
}

/// Whether somebody does what the hint says, or has done it since it says so.
fn followed(view: CanvasView, editor: Editor, words: Memo<String>) -> RwSignal<bool> {
    let is_drawing = Memo::new(move |_| {
        view.stroke.with(Option::is_some)
            || view.drag.with(Option::is_some)
            || view.finger.with(Option::is_some)
            || view.lasso.with(|points| !points.is_empty())
            || view.polygon.with(|open| !open.is_empty())
            || view.edited.with(Option::is_some)
            || view.moving.get()
    });
    let is_followed = RwSignal::new(false);
    Effect::new(move |before: Option<String>| {
        let now = words.get();
        let tool = editor.tool.get();
        let is_drawing = is_drawing.get();
        // A click takes no time, but the mask that it asks for does.
        let is_awaited = editor.pending.with(|pending| !pending.is_empty());
        if before.as_ref() != Some(&now) {
            is_followed.set(false);
        } else if is_drawing || (tool == Tool::Click && is_awaited) {
            is_followed.set(true);
        }
        now
    });
    is_followed
}

fn tool_name(tool: Tool) -> &'static str {
    match tool {
        Tool::Select => "select",
        Tool::Click => "click",
        Tool::Box => "box",
        Tool::Brush => "brush",
        Tool::Eraser => "eraser",
        Tool::Polygon => "polygon",
        Tool::Lasso => "lasso",
    }
}

fn watch_size(element: &Element, view: CanvasView, workspace: Workspace) {
    let measured = element.clone();
    let measure = move || {
        let stage = (
            f64::from(measured.client_width()),
            f64::from(measured.client_height()),
        );
        if view
            .stage
            .try_get_untracked()
            .is_none_or(|old| old == stage)
        {
            return;
        }
        let image = workspace.editor.size();
        view.resize(
            stage,
            image.map(|(width, height)| (f64::from(width), f64::from(height))),
        );
        measure_tools(&measured, view);
        // This picture is in the very frame that has the size.
        view.paint(workspace);
    };
    measure();
    on_resize(element, measure);
}

// Where tools are when the stage has another size is measured with it.
fn watch_tools(stage: &Element, view: CanvasView) {
    let tools = TOOLS.map(|tool| stage.query_selector(tool).ok().flatten());
    for tool in tools.into_iter().flatten() {
        let stage = stage.clone();
        on_resize(&tool, move || measure_tools(&stage, view));
    }
}

fn measure_tools(stage: &Element, view: CanvasView) {
    let own = stage.get_bounding_client_rect();
    let tools = TOOLS.iter().filter_map(|tool| {
        let tool = stage.query_selector(tool).ok().flatten()?;
        let rect = tool.get_bounding_client_rect();
        let (left, top) = (rect.left() - own.left(), rect.top() - own.top());
        (rect.width() > 0.0).then(|| Area::new(left, top, rect.width(), rect.height()))
    });
    let tools: Vec<Area> = tools.collect();
    if view.tools.try_with_untracked(|old| *old != tools) == Some(true) {
        view.tools.set(tools);
    }
}

fn load_picture(view: CanvasView, workspace: Workspace, application: Application) {
    let Some(image) = workspace.editor.image.get() else {
        return;
    };
    let Ok(element) = HtmlImageElement::new() else {
        return;
    };
    let size = (f64::from(image.width), f64::from(image.height));
    let loaded = element.clone();
    let on_load = Closure::once_into_js(move || {
        if view.ready.try_get_untracked().is_none() {
            return;
        }
        view.painter.update_value(|painter| {
            if let Some(painter) = painter {
                painter.picture = Some(loaded);
            }
        });
        view.fit(size);
        view.ready.set(true);
    });
    let on_error = Closure::once_into_js(move || {
        application
            .notices
            .error("The picture did not load", "Reload the page to try again.");
    });
    element.set_onload(Some(on_load.unchecked_ref()));
    element.set_onerror(Some(on_error.unchecked_ref()));
    element.set_src(&image.url);
}

fn listen_for_keys(workspace: Workspace, view: CanvasView, gestures: Gestures) {
    Effect::new(move |_| {
        // Whether the focus came where it is by a pointer.
        let by_pointer = StoredValue::new(false);
        let pressed = window_event_listener(ev::pointerdown, move |_| by_pointer.set_value(true));
        let down = window_event_listener(ev::keydown, move |event| {
            if event.key() == "Tab" {
                by_pointer.set_value(false);
            }
            let plain = !event.ctrl_key() && !event.meta_key();
            // Who has pressed a button by hand and points at the picture does not press it again.
            let is_at_picture =
                by_pointer.get_value() && view.hover.with_untracked(Option::is_some);
            let presses = plain && event.key() == " " && is_control(&event) && !is_at_picture;
            if is_typing(&event) || presses {
                return;
            }
            if page_key(&event, workspace, view, gestures) {
                event.prevent_default();
            }
        });
        let up = window_event_listener(ev::keyup, move |event| match event.key().as_str() {
            "h" | "H" => view.peek.set(false),
            " " if view.space.get_untracked() => {
                event.prevent_default();
                view.space.set(false);
            }
            _ => {}
        });
        // A key that is let go in another window is not told here.
        let away = window_event_listener(ev::blur, move |_| {
            view.peek.set(false);
            view.space.set(false);
        });
        on_cleanup(move || {
            pressed.remove();
            down.remove();
            up.remove();
            away.remove();
        });
    });
}
