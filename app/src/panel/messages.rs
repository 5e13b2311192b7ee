use fclm_core::wire::{Mode, Role};
use leptos::html;
use leptos::prelude::*;

use super::answer::Answer;
use super::region_chip::RegionChip;
use super::table::AnswerTable;
use crate::icons::Icon;
use crate::state::{Application, DELETED, Loading, MessageState, Workspace};
use crate::text::{Piece, mentions, named_region, pieces};

// A reader this close to the end, in CSS pixels, is taken along.
const NEAR_END: i32 = 160;

/// The conversation.
#[component]
pub(crate) fn Messages() -> impl IntoView {
    let workspace = expect_context::<Workspace>();
    let conversation = workspace.conversation;
    let scroller = NodeRef::<html::Div>::new();

    Effect::new(move |before: Option<usize>| {
        let (count, last) = conversation
            .messages
            .with(|messages| (messages.len(), messages.last().cloned()));
        if let Some(last) = last {
            last.text.track();
            last.found.track();
            last.status.track();
        }
        if let Some(element) = scroller.get_untracked() {
            let to_end = element.scroll_height() - element.scroll_top() - element.client_height();
            if count > 0 && (to_end < NEAR_END || before != Some(count)) {
                request_animation_frame(move || element.set_scroll_top(element.scroll_height()));
            }
        }
        count
    });

    let table = Memo::new(move |_| workspace.table());
    // The table stands behind the last of its answers.
    let table_end =
        Memo::new(move |_| table.with(|table| table.as_ref().map(|table| table.last.clone())));
    let empty = move || {
        workspace.loading.get() == Loading::Ready && conversation.messages.with(Vec::is_empty)
    };
    view! {
        <div
            class="messages"
            data-testid="messages"
            node_ref=scroller
            role="log"
            aria-label="Conversation"
            aria-live="polite"
            tabindex="0"
        >
            {move || empty().then(|| view! { <Welcome workspace/> })}
            <For
                each=move || conversation.messages.get()
                key=|message| message.id.clone()
                let:message
            >
                {match message.role {
                    Role::User => view! { <Question message workspace/> }.into_any(),
                    Role::Assistant => {
                        let id = message.id.clone();
                        let is_last = move || table_end.with(|end| end.as_ref() == Some(&id));
                        view! {
                            <Answer message workspace/>
                            {move || is_last().then(|| view! { <AnswerTable table workspace/> })}
                        }
                        .into_any()
                    }
                }}
            </For>
        </div>
    }
}

#[component]
fn Question(message: MessageState, workspace: Workspace) -> impl IntoView {
    let text = message.text.get_untracked();
    let (named, ids) = (mentions(&text), message.region_ids);
    let about = (named.is_empty() && !ids.is_empty()).then(|| {
        let chips = ids
            .iter()
            .cloned()
            .map(|id| {
                let gone = DELETED.to_owned();
                view! { <RegionChip id gone workspace/> }
            })
            .collect_view();
        view! { <span class="question-about">{chips}</span> }
    });
    let parts = pieces(&text)
        .into_iter()
        .map(|piece| match piece {
            Piece::Text(text) => text.into_any(),
            Piece::Mention(number) => {
                let gone = format!("@{number}");
                match named_region(&named, &ids, number).map(str::to_owned) {
                    Some(id) => view! { <RegionChip id gone workspace/> }.into_any(),
                    None => gone.into_any(),
                }
            }
        })
        .collect_view();
    let mode = match message.mode {
        Mode::Ask => None,
        Mode::Find => Some(view! { <Icon name="search"/> }),
        Mode::Caption => Some(view! { <Icon name="sparkle"/> }),
    };
    view! {
        <article class="question" data-testid="question">
            <p>{mode} {about} {parts}</p>
        </article>
    }
}

/// What to do first, and things to find where the picture is a sample.
#[component]
fn Welcome(workspace: Workspace) -> impl IntoView {
    let application = expect_context::<Application>();
    let suggestions = move || application.suggestions(&workspace.title.get());
    view! {
        <div class="welcome">
            <h2>"What would you like to know?"</h2>
            <ul>
                <li>
                    <Icon name="chat"/>
                    <span>
                        <strong>"Ask"</strong>
                        "Mark something on the picture and press Enter to have it described, or type a question."
                    </span>
                </li>
                <li>
                    <Icon name="search"/>
                    <span>
                        <strong>"Find"</strong>
                        "Describe something in words and see its mask."
                    </span>
                </li>
                <li>
                    <Icon name="sparkle"/>
                    <span>
                        <strong>"Caption"</strong>
                        "Have the whole picture described; each phrase has its mask."
                    </span>
                </li>
            </ul>
            <div class="suggestions">
                {move || {
                    suggestions()
                        .into_iter()
                        .map(|phrase| view! { <Suggestion phrase workspace/> })
                        .collect_view()
                }}
            </div>
        </div>
    }
}

#[component]
fn Suggestion(phrase: String, workspace: Workspace) -> impl IntoView {
    let conversation = workspace.conversation;
    let text = phrase.clone();
    view! {
        <button
            r#type="button"
            class="suggestion"
            data-testid="suggestion"
            on:click=move |_| conversation.ask(Mode::Find, text.clone(), Vec::new())
        >
            <Icon name="search"/>
            {phrase}
        </button>
    }
}
