use fclm_core::mask::Rle;
use fclm_core::wire::{MAX_REGION_NAME, MaskSource};
use leptos::html;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, Event, HtmlElement, HtmlInputElement, KeyboardEvent};

use super::composer::{draft_field, focus_draft, is_by_key};
use super::menus::{Menus, Opacity};
use crate::canvas::{arrow, press_of};
use crate::editor::{Document, MAX_PIXELS, RegionState};
use crate::icons::Icon;
use crate::resize::on_resize;
use crate::state::{Application, Editor, Workspace};
use crate::text::with_mention;

/// The regions as a list: the canvas in words, with everything that can be done to them.
#[component]
pub(crate) fn Regions() -> impl IntoView {
    let workspace = expect_context::<Workspace>();
    let editor = workspace.editor;
    let extractor = expect_context::<Application>().extractor;
    let place = extractor.place;
    let ids = move || editor.document.with(Document::ids);
    let empty = move || editor.document.with(|document| document.regions.is_empty());
    let list = NodeRef::<html::Ul>::new();
    Effect::new(move |_| {
        if let Some(list) = list.get() {
            let element = list.clone();
            on_resize(&list, move || {
                if let Ok(Some(row)) = element.query_selector(".region.is-selected") {
                    scroll_to(&row);
                }
            });
        }
    });
    view! {
        <section class="regions" aria-label="Regions" class:is-empty=empty>
            <div class="regions-head">
                <h2>"Regions"</h2>
                <span
                    class="mask-place muted"
                    title=move || extractor.why.get()
                    data-testid="mask-place"
                    data-place=move || place.get().name()
                >
                    {move || place.get().words()}
                </span>
                <span class="regions-fill" class:is-gone=empty>
                    {view! { <Opacity workspace/> }.into_any()}
                </span>
                {view! { <Menus workspace/> }.into_any()}
                <button
                    r#type="button"
                    class="text-button"
                    class:is-gone=empty
                    title="The next stroke starts a new region (N)"
                    data-testid="new-region"
                    on:click=move |_| editor.selected.set(None)
                >
                    <Icon name="plus"/>
                    "New"
                </button>
            </div>
            <p class="regions-none muted" class:is-gone=move || !empty()>
                "None yet. What you mark on the picture is listed here."
            </p>
            <ul class="region-list" node_ref=list>
                <For each=ids key=|id| id.clone() let:id>
                    <Row id workspace/>
                </For>
            </ul>
        </section>
    }
}

#[component]
fn Row(id: String, workspace: Workspace) -> impl IntoView {
    let editor = workspace.editor;
    let id = StoredValue::new(id);
    let region = Memo::new(move |_| editor.document.with(|d| d.get(&id.get_value()).cloned()));
    let number = Memo::new(move |_| editor.document.with(|d| d.number(&id.get_value())));
    let selected = Memo::new(move |_| editor.selected.get() == Some(id.get_value()));
    let hidden = Memo::new(move |_| {
        editor
            .hidden
            .with(|hidden| hidden.contains(&id.get_value()))
    });
    let locked = Memo::new(move |_| {
        editor
            .locked
            .with(|locked| locked.contains(&id.get_value()))
    });
    let figures = Memo::new(move |_| {
        region.with(|region| {
            let rle = Rle::from_wire(&region.as_ref()?.mask, MAX_PIXELS).ok()?;
            let [x, y, width, height] = rle.bbox();
            let bounds = format!("{x} {y} {} {}", x + width, y + height);
            Some((bounds, rle.area().to_string()))
        })
    });
    let pending = move || {
        editor
            .pending
            .with(|pending| pending.contains(&id.get_value()))
    };
    let name = move || region.with(|r| r.as_ref().map(|r| r.name.clone()).unwrap_or_default());
    let color = move || region.with(|r| r.as_ref().map(|r| r.color.clone()).unwrap_or_default());
    let tag = move || {
        number
            .get()
            .map(|number| format!("@{number}"))
            .unwrap_or_default()
    };
    let row = NodeRef::<html::Li>::new();
    Effect::new(move |_| {
        if let (true, Some(row)) = (selected.get(), row.get()) {
            request_animation_frame(move || scroll_to(&row));
        }
    });
    view! {
        <li
            node_ref=row
            class="region"
            class:is-selected=move || selected.get()
            class:is-hidden=move || hidden.get()
            style:--region=color
            data-testid="region-item"
            data-region-id=id.get_value()
            data-bounds=move || figures.get().map(|figures| figures.0)
            data-area=move || figures.get().map(|figures| figures.1)
            on:click=move |_| editor.selected.set(Some(id.get_value()))
        >
            <input
                r#type="color"
                class="region-color"
                aria-label=move || format!("Colour of {}", name())
                title="Colour"
                prop:value=color
                on:change=move |event| editor.recolor(&id.get_value(), &event_target_value(&event))
            />
            <button
                r#type="button"
                class="region-tag"
                aria-pressed=move || selected.get().to_string()
                aria-label=move || format!("Choose {} {}", tag(), name())
                title="Arrows move it, with Alt they resize it; Shift makes larger steps"
                data-testid="region-select"
                on:keydown=move |event| change_by_key(editor, &id.get_value(), &event)
            >
                {tag}
            </button>
            <input
                class="region-name"
                aria-label=move || format!("Name of {}", tag())
                maxlength=MAX_REGION_NAME.to_string()
                autocomplete="off"
                spellcheck="false"
                data-testid="region-name"
                prop:value=name
                on:focus=move |_| editor.selected.set(Some(id.get_value()))
                on:change=move |event: Event| {
                    let field: HtmlInputElement = event_target(&event);
                    editor.rename(&id.get_value(), &field.value());
                    // What was not taken of the name does not stay in its field.
                    field.set_value(&untrack(name));
                }
                on:keydown=|event| leave_on_enter(&event)
            />
            <span class="region-note">
                {move || {
                    if pending() {
                        view! { <span class="spinner" role="status" aria-label="Making the mask"></span> }
                            .into_any()
                    } else {
                        region.with(|region| region.as_ref().map(note)).into_any()
                    }
                }}
            </span>
            <span class="region-actions">
                <SourceSwitch region editor/>
                <button
                    r#type="button"
                    class="icon-button"
                    aria-label=move || format!("Put {} in the text", tag())
                    title="Put it in the text"
                    data-testid="region-mention"
                    on:click=move |_| {
                        if let Some(number) = number.get_untracked() {
                            mention(workspace, number);
                        }
                    }
                >
                    <Icon name="at"/>
                </button>
                <button
                    r#type="button"
                    class="icon-button"
                    aria-label=move || format!("Lock {}", name())
                    aria-pressed=move || locked.get().to_string()
                    title="Lock or open"
                    data-testid="region-lock"
                    on:click=move |_| editor.toggle_locked(&id.get_value())
                >
                    {move || {
                        let icon = if locked.get() { "lock" } else { "unlock" };
                        view! { <Icon name=icon/> }
                    }}
                </button>
                <button
                    r#type="button"
                    class="icon-button"
                    aria-label=move || {
                        format!("{} {}", if hidden.get() { "Show" } else { "Hide" }, name())
                    }
                    title="Hide or show"
                    data-testid="region-hide"
                    on:click=move |_| editor.toggle_hidden(&id.get_value())
                >
                    {move || {
                        let icon = if hidden.get() { "eye-off" } else { "eye" };
                        view! { <Icon name=icon/> }
                    }}
                </button>
                <button
                    r#type="button"
                    class="icon-button"
                    aria-label=move || format!("Delete {}", name())
                    title="Delete (Del)"
                    data-testid="region-delete"
                    on:click=move |event| {
                        event.stop_propagation();
                        editor.remove(&id.get_value());
                        if is_by_key(&event) {
                            focus_draft();
                        }
                    }
                >
                    <Icon name="trash"/>
                </button>
            </span>
        </li>
    }
}

#[component]
fn SourceSwitch(region: Memo<Option<RegionState>>, editor: Editor) -> impl IntoView {
    move || {
        let region = region.get()?;
        region.box_px?;
        let id = region.id;
        let is_rectangle = region.source == MaskSource::Rectangle;
        let (title, icon) = if is_rectangle {
            ("Let the model make a mask of the box", "blob")
        } else {
            ("Use the plain rectangle", "rectangle")
        };
        Some(view! {
            <button
                r#type="button"
                class="icon-button"
                aria-label=title
                title=title
                data-testid="region-rectangle"
                on:click=move |_| {
                    if is_rectangle {
                        editor.use_mask(&id);
                    } else {
                        editor.use_rectangle(&id);
                    }
                }
            >
                <Icon name=icon/>
            </button>
        })
    }
}

// Arrows move the region of the focused row by a pixel, with Alt its right and lower edge; with
// Shift by ten. Page keys give it another place in the order.
fn change_by_key(editor: Editor, id: &str, event: &KeyboardEvent) {
    if event.ctrl_key() || event.meta_key() {
        return;
    }
    let step = if event.shift_key() { 10.0 } else { 1.0 };
    let (dx, dy) = match event.key().as_str() {
        "PageUp" | "PageDown" => {
            event.prevent_default();
            let by = if event.key() == "PageUp" { -1 } else { 1 };
            editor.reorder(id, by, press_of(event));
            keep_focus(event);
            return;
        }
        key => match arrow(key) {
            Some((x, y)) => ((x * step) as i64, (y * step) as i64),
            None => return,
        },
    };
    event.prevent_default();
    event.stop_propagation();
    editor.selected.set(Some(id.to_owned()));
    if event.alt_key() {
        editor.stretch(id, dx, dy, press_of(event));
    } else {
        editor.nudge(id, dx, dy, press_of(event));
    }
}

// A row that is put in another place loses the focus.
fn keep_focus(event: &KeyboardEvent) {
    let button = event
        .target()
        .and_then(|target| target.dyn_into::<HtmlElement>().ok());
    if let Some(button) = button {
        request_animation_frame(move || {
            // A row that is gone by then needs no focus.
            let _ = button.focus();
        });
    }
}

// Scrolls the list just as far as shows the row.
fn scroll_to(row: &Element) {
    let Some(list) = row.parent_element() else {
        return;
    };
    let (row, window) = (
        row.get_bounding_client_rect(),
        list.get_bounding_client_rect(),
    );
    let above = (window.top() - row.top()).max(0.0);
    let below = (row.bottom() - window.bottom()).max(0.0);
    list.set_scroll_top(list.scroll_top() + (below - above).round() as i32);
}

fn note(region: &RegionState) -> impl IntoView + use<> {
    let text = match region.score {
        Some(score) => format!("{:.0}%", score.clamp(0.0, 1.0) * 100.0),
        None => region.origin().unwrap_or_default().to_owned(),
    };
    let title = region.score.map(|_| match region.source {
        MaskSource::Model => "Found for a phrase; how well the model thinks the mask fits",
        _ => "How well the model thinks the mask fits",
    });
    view! {
        <span class="muted" title=title data-testid="region-note">
            {text}
        </span>
    }
}

fn mention(workspace: Workspace, number: usize) {
    let draft = workspace.conversation.draft;
    let text = draft.get_untracked();
    // The field counts in UTF-16 units.
    let position = draft_field()
        .and_then(|field| field.selection_start().ok().flatten())
        .map_or(text.len(), |units| byte_at(&text, units as usize));
    let (text, _) = with_mention(&text, position, number);
    draft.set(text);
    focus_draft();
}

fn byte_at(text: &str, units: usize) -> usize {
    let mut seen = 0;
    for (at, character) in text.char_indices() {
        if seen >= units {
            return at;
        }
        seen += character.len_utf16();
    }
    text.len()
}

fn leave_on_enter(event: &KeyboardEvent) {
    if event.key() != "Enter" && event.key() != "Escape" {
        return;
    }
    let field = event
        .target()
        .and_then(|target| target.dyn_into::<HtmlElement>().ok());
    if let Some(field) = field {
        // Losing the focus fires the change event, which takes the name.
        let _ = field.blur();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf16_positions_become_bytes() {
        let text = "a\u{1F600}é b";
        for (units, bytes) in [(0, 0), (1, 1), (3, 5), (4, 7), (99, text.len())] {
            assert_eq!(byte_at(text, units), bytes);
        }
    }
}
