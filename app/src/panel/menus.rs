use fclm_core::mask::Mask;
use leptos::ev;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, Event, HtmlElement, HtmlInputElement, KeyboardEvent, MouseEvent};

use self::Afterwards::{Closes, Stays};
use super::composer::is_by_key;
use crate::canvas::press_of;
use crate::editor::{Press, Reshaping};
use crate::icons::Icon;
use crate::state::{Export, Workspace};

/// What becomes of a menu when something in it was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Afterwards {
    Closes,
    /// It is likely to be chosen again.
    Stays,
}

/// What can be done to the chosen region, and what is read and written.
#[component]
pub(super) fn Menus(workspace: Workspace) -> impl IntoView {
    Effect::new(move |_| {
        let down = window_event_listener(ev::pointerdown, |event| close_beside(&event));
        on_cleanup(move || down.remove());
    });
    view! {
        {view! { <RegionMenu workspace/> }.into_any()}
        {view! { <Exchange workspace/> }.into_any()}
    }
}

#[component]
fn RegionMenu(workspace: Workspace) -> impl IntoView {
    let editor = workspace.editor;
    let none = move || editor.selected.with(Option::is_none);
    let item = move |id, name, afterwards, act: fn(Workspace, &str, Press)| {
        region_item(workspace, id, name, afterwards, act)
    };
    view! {
        <details
            class="menu"
            class:is-gone=none
            name="regions-menu"
            data-testid="region-more"
            on:keydown=|event| close_by_key(&event)
        >
            <summary class="text-button">
                <Icon name="more"/>
                "Edit"
            </summary>
            <div class="menu-items" role="group" aria-label="The chosen region">
                {item("region-duplicate", "Duplicate (D)", Closes, |w, id, _| {
                    w.editor.duplicate(id);
                })}
                {item("region-up", "Move up", Stays, |w, id, press| {
                    w.editor.reorder(id, -1, press);
                })}
                {item("region-down", "Move down", Stays, |w, id, press| {
                    w.editor.reorder(id, 1, press);
                })}
                {item("region-grow", "Grow by a pixel ( } )", Stays, |w, id, press| {
                    w.editor.reshape(id, |mask| mask.grown(1), Reshaping::Grown, press);
                })}
                {item("region-shrink", "Shrink by a pixel ( { )", Stays, |w, id, press| {
                    w.editor.reshape(id, |mask| mask.shrunk(1), Reshaping::Shrunk, press);
                })}
                {item("region-fill", "Fill holes (F)", Closes, |w, id, press| {
                    w.editor.reshape(id, Mask::filled, Reshaping::Filled, press);
                })}
                {item("region-invert", "Invert", Closes, |w, id, press| {
                    let inverted = |mask: &Mask| {
                        let mut mask = mask.clone();
                        mask.invert();
                        mask
                    };
                    w.editor.reshape(id, inverted, Reshaping::Inverted, press);
                })}
                {item("region-png", "Save the mask (PNG)", Closes, |w, id, _| w.export_mask(id))}
                {item("region-cutout", "Save the cut-out (PNG)", Closes, |w, id, _| {
                    w.export_cut_out(id);
                })}
            </div>
        </details>
    }
}

fn region_item(
    workspace: Workspace,
    id: &'static str,
    name: &'static str,
    afterwards: Afterwards,
    act: fn(Workspace, &str, Press),
) -> impl IntoView {
    // Enter clicks again and again while it is held, the space bar once it is let go.
    let by_enter = StoredValue::new(Press::New);
    view! {
        <button
            r#type="button"
            class="menu-item"
            data-testid=id
            on:keydown=move |event| {
                by_enter.set_value(match event.key().as_str() {
                    "Enter" => press_of(&event),
                    _ => Press::New,
                });
            }
            on:click=move |event| {
                let press = match is_by_key(&event) {
                    true => by_enter.get_value(),
                    false => Press::New,
                };
                if let Some(chosen) = workspace.editor.selected.get_untracked() {
                    act(workspace, &chosen, press);
                }
                if afterwards == Closes {
                    close_behind(&event);
                }
            }
        >
            {name}
        </button>
    }
}

#[component]
fn Exchange(workspace: Workspace) -> impl IntoView {
    let tolerance = RwSignal::new(0.0f32);
    let empty = move || {
        let document = workspace.editor.document;
        document.with(|document| document.regions.is_empty())
    };
    let item = move |id: &'static str, name: &'static str, what: Export, of_regions: bool| {
        view! {
            <button
                r#type="button"
                class="menu-item"
                data-testid=id
                disabled=move || of_regions && empty()
                on:click=move |event| {
                    workspace.export(what, tolerance.get_untracked());
                    close_behind(&event);
                }
            >
                {name}
            </button>
        }
    };
    let on_file = move |event: web_sys::Event| {
        let input: HtmlInputElement = event_target(&event);
        if let Some(file) = input.files().and_then(|files| files.get(0)) {
            workspace.import_file(file);
        }
        // The same file can then be chosen again.
        input.set_value("");
        if let Some(menu) = menu_of(&event) {
            leave(&menu);
        }
    };
    view! {
        <details
            class="menu"
            name="regions-menu"
            data-testid="exchange"
            on:keydown=|event| close_by_key(&event)
        >
            <summary class="text-button">
                <Icon name="download"/>
                "Files"
            </summary>
            <div class="menu-items" role="group" aria-label="Import and export">
                <label class="menu-item">
                    <input
                        r#type="file"
                        class="visually-hidden"
                        accept="image/png,.json,.svg,.txt,application/json,image/svg+xml"
                        data-testid="import-input"
                        on:change=on_file
                    />
                    "Import a mask: PNG, COCO, polygons, SVG"
                </label>
                <p class="menu-note muted">"A copied mask or path can be pasted, too."</p>
                {item("export-coco", "Regions as COCO", Export::Coco, true)}
                {item("export-indexed", "Regions as one PNG", Export::Indexed, true)}
                {item("export-polygons", "Regions as polygons", Export::Polygons, true)}
                {item("export-svg", "Regions as SVG", Export::Svg, true)}
                <label class="menu-note">
                    {move || format!("Edges keep within {} pixels", tolerance.get())}
                    <input
                        r#type="range"
                        min="0"
                        max="4"
                        step="0.5"
                        data-testid="export-tolerance"
                        prop:value=move || tolerance.get().to_string()
                        on:input=move |event| {
                            if let Ok(value) = event_target_value(&event).parse::<f32>() {
                                tolerance.set(value);
                            }
                        }
                    />
                </label>
                {item("export-markdown", "Conversation as Markdown", Export::Markdown, false)}
                {item("export-json", "Conversation as JSON", Export::Json, false)}
            </div>
        </details>
    }
}

// Escape closes a menu, and the focus goes to what opens it.
fn close_by_key(event: &KeyboardEvent) {
    if event.key() != "Escape" {
        return;
    }
    let Some(menu) = menu_of(event).filter(|menu| menu.has_attribute("open")) else {
        return;
    };
    event.stop_propagation();
    leave(&menu);
}

// What was chosen in a menu closes it.
fn close_behind(event: &MouseEvent) {
    let Some(menu) = menu_of(event) else { return };
    if is_by_key(event) {
        leave(&menu);
    } else {
        close(&menu);
    }
}

// What is pressed beside an open menu closes it, and does what it does otherwise.
fn close_beside(event: &Event) {
    let open = document().query_selector("details.menu[open]");
    if let Ok(Some(open)) = open
        && menu_of(event).is_none()
    {
        close(&open);
    }
}

fn menu_of(event: &Event) -> Option<Element> {
    let target: Element = event.target()?.dyn_into().ok()?;
    target.closest("details.menu").ok()?
}

// Closes a menu that has the focus, which goes to what opens it.
fn leave(menu: &Element) {
    close(menu);
    let summary = menu.query_selector("summary").ok().flatten();
    if let Some(summary) = summary.and_then(|summary| summary.dyn_into::<HtmlElement>().ok()) {
        // An element that cannot take the focus leaves it where it is.
        let _ = summary.focus();
    }
}

fn close(menu: &Element) {
    // Without the attribute there is nothing to close.
    let _ = menu.remove_attribute("open");
}

/// How strongly masks are filled.
#[component]
pub(super) fn Opacity(workspace: Workspace) -> impl IntoView {
    let editor = workspace.editor;
    view! {
        <label class="opacity" title="How strongly masks are filled; at the left only outlines">
            <span class="visually-hidden">"Fill of the masks in percent"</span>
            <input
                r#type="range"
                min="0"
                max="80"
                data-testid="opacity"
                prop:value=move || (editor.opacity.get() * 100.0).round().to_string()
                on:input=move |event| {
                    if let Ok(percent) = event_target_value(&event).parse::<f64>() {
                        editor.fill_with(percent / 100.0);
                    }
                }
            />
        </label>
    }
}
