use fclm_core::wire::Mode;
use leptos::ev;
use leptos::html;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{HtmlElement, HtmlTextAreaElement};

use crate::icons::Icon;
use crate::state::{Application, Conversation, Loading, Workspace};

/// The field of the next message, where the page shows it.
pub(super) fn draft_field() -> Option<HtmlTextAreaElement> {
    document().get_element_by_id("draft")?.dyn_into().ok()
}

/// Puts the cursor into the next message.
pub(crate) fn focus_draft() {
    if let Some(field) = draft_field() {
        // An element that cannot take the focus keeps it where it is.
        let _ = field.focus();
    }
}

/// Whether a button was pressed by a key, which needs the focus somewhere when the button goes.
pub(super) fn is_by_key(event: &ev::MouseEvent) -> bool {
    event.detail() == 0
}

/// Where the next message is written.
#[component]
pub(crate) fn Composer() -> impl IntoView {
    let workspace = expect_context::<Workspace>();
    let application = expect_context::<Application>();
    let conversation = workspace.conversation;
    let (mode, draft) = (conversation.mode, conversation.draft);
    let field = NodeRef::<html::Textarea>::new();

    Effect::new(move |_| {
        draft.track();
        mode.track();
        if workspace.loading.get() == Loading::Ready {
            conversation.keep_draft();
        }
        if let Some(field) = field.get() {
            fit_height(&field);
        }
    });

    let has_region = move || workspace.editor.selected.with(Option::is_some);
    let has_several = move || {
        let document = workspace.editor.document;
        document.with(|document| document.regions.len() > 1)
    };
    let example = Memo::new(move |_| {
        let suggestions = application.suggestions(&workspace.title.get());
        suggestions.into_iter().next()
    });
    let on_key = move |event: ev::KeyboardEvent| {
        if event.key() == "Enter" && !event.shift_key() && !event.is_composing() {
            event.prevent_default();
            conversation.send();
        }
    };
    view! {
        <form
            class="composer"
            on:submit=move |event| {
                event.prevent_default();
                conversation.send();
            }
        >
            <div class="composer-top">
                <div class="modes" role="group" aria-label="Mode" data-testid="mode-switch">
                    <ModeButton mode own=Mode::Ask name="Ask" id="mode-ask"/>
                    <ModeButton mode own=Mode::Find name="Find" id="mode-find"/>
                    <ModeButton mode own=Mode::Caption name="Caption" id="mode-caption"/>
                </div>
                <About workspace/>
                <button
                    r#type="button"
                    class="text-button ask-each"
                    class:is-gone=move || !has_several() || mode.get() != Mode::Ask
                    title="Ask the same of every region, for a table"
                    data-testid="ask-each"
                    disabled=move || conversation.sending.get()
                    on:click=move |_| conversation.ask_each()
                >
                    <Icon name="table"/>
                    <span class="each-word">"Each"</span>
                </button>
            </div>
            <div class="composer-field">
                <textarea
                    node_ref=field
                    id="draft"
                    rows="1"
                    aria-label="Message"
                    autocomplete="off"
                    data-testid="ask-input"
                    disabled=move || workspace.loading.get() != Loading::Ready
                    placeholder=move || {
                        example.with(|example| {
                            placeholder(mode.get(), has_region(), example.as_deref())
                        })
                    }
                    prop:value=move || draft.get()
                    on:input=move |event| draft.set(event_target_value(&event))
                    on:keydown=on_key
                ></textarea>
                <SendButton conversation/>
            </div>
        </form>
    }
}

#[component]
fn About(workspace: Workspace) -> impl IntoView {
    let conversation = workspace.conversation;
    let targets = move || {
        let ids = conversation.targets(conversation.mode.get(), &conversation.draft.get());
        workspace.editor.document.with(|document| {
            let shown = ids.iter().filter_map(|id| {
                let region = document.get(id)?;
                Some((
                    document.number(id)?,
                    region.name.clone(),
                    region.color.clone(),
                ))
            });
            shown.collect::<Vec<_>>()
        })
    };
    let chip = |(number, name, color): (usize, String, String)| {
        let whole = name.clone();
        view! {
            <span class="chip" style:--region=color title=whole>
                {format!("@{number}")}
                <span class="chip-name">{name}</span>
            </span>
        }
    };
    view! {
        <p class="about" data-testid="about">
            {move || {
                let targets = targets();
                if targets.is_empty() {
                    let whole = match conversation.mode.get() {
                        Mode::Find => "in the whole picture",
                        Mode::Ask | Mode::Caption => "about the whole picture",
                    };
                    view! { <span class="muted">{whole}</span> }.into_any()
                } else {
                    targets.into_iter().map(chip).collect_view().into_any()
                }
            }}
        </p>
    }
}

#[component]
fn SendButton(conversation: Conversation) -> impl IntoView {
    let sending = conversation.sending;
    let answering = Memo::new(move |_| conversation.open_answer().is_some());
    move || {
        if answering.get() {
            view! {
                <button
                    r#type="button"
                    class="send is-stop"
                    aria-label="Stop the answer"
                    title="Stop the answer"
                    data-testid="stop-button"
                    on:click=move |event| {
                        conversation.stop();
                        if is_by_key(&event) {
                            focus_draft();
                        }
                    }
                >
                    <Icon name="stop"/>
                </button>
            }
            .into_any()
        } else {
            view! {
                <button
                    r#type="submit"
                    class="send"
                    class:is-busy=move || sending.get()
                    aria-label="Send (Enter)"
                    title="Send (Enter)"
                    data-testid="send-button"
                    disabled=move || sending.get() || !conversation.can_send()
                >
                    <span class="spinner"></span>
                    <Icon name="send"/>
                </button>
            }
            .into_any()
        }
    }
}

#[component]
fn ModeButton(
    mode: RwSignal<Mode>,
    own: Mode,
    name: &'static str,
    id: &'static str,
) -> impl IntoView {
    view! {
        <button
            r#type="button"
            class="mode"
            class:is-on=move || mode.get() == own
            aria-pressed=move || (mode.get() == own).to_string()
            data-testid=id
            on:click=move |_| {
                mode.set(own);
                focus_draft();
            }
        >
            {name}
        </button>
    }
}

/// What the empty field says; `example` is something that is in the picture, where that is known.
fn placeholder(mode: Mode, has_region: bool, example: Option<&str>) -> String {
    let text = match (mode, has_region) {
        (Mode::Ask, true) => "Ask, or press Enter to describe it",
        (Mode::Ask, false) => "Mark a region, or ask a question",
        (Mode::Find, _) => match example {
            Some(example) => return format!("Find, e.g. {example}"),
            None => "Describe what is to be found",
        },
        (Mode::Caption, _) => "Press Enter for a caption",
    };
    text.to_owned()
}

// The field grows with its text, up to the stylesheet's limit. The style object is no inline
// style, so the page's policy lets it through.
fn fit_height(field: &HtmlTextAreaElement) {
    let style = HtmlElement::style(field);
    let _ = style.set_property("height", "auto");
    let _ = style.set_property("height", &format!("{}px", field.scroll_height()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_names_only_what_is_in_the_picture() {
        assert_eq!(
            placeholder(Mode::Find, true, Some("the striped cone")),
            "Find, e.g. the striped cone"
        );
        assert_eq!(
            placeholder(Mode::Find, false, None),
            "Describe what is to be found"
        );
        let asking = placeholder(Mode::Ask, false, Some("the striped cone"));
        assert_eq!(asking, "Mark a region, or ask a question");
    }
}
