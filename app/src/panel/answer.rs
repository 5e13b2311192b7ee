use fclm_core::wire::{ApiError, FinishReason, Usage};
use leptos::prelude::*;
use web_sys::KeyboardEvent;

use crate::client::{code_name, sentence};
use crate::editor::found_color;
use crate::icons::Icon;
use crate::state::{AnswerStatus, Found, Highlight, MessageState, Workspace};
use crate::text::segments;

/// An answer: its text as it is written, its masks, and how it ended.
#[component]
pub(super) fn Answer(message: MessageState, workspace: Workspace) -> impl IntoView {
    let mark = Mark {
        workspace,
        message: StoredValue::new(message.id.clone()),
        pinned: RwSignal::new(None),
    };
    let is_listed = is_listed(&message);
    let text = body(&message, mark);
    let masks = masks(&message, mark);
    let state = state(&message, workspace);
    let MessageState {
        id, status, usage, ..
    } = message;
    view! {
        <article
            class="answer"
            class:is-shown=move || mark.is_shown()
            data-testid="answer"
            data-message-id=id
            data-open=move || status.with(AnswerStatus::is_open).then_some("true")
        >
            <p class="answer-text" class:is-gone=is_listed data-testid="answer-text">
                {text}
            </p>
            {masks}
            {state}
            {move || usage.get().map(|usage| cost(&usage))}
        </article>
    }
}

/// Ties phrases and list items of an answer to its masks on the picture.
#[derive(Clone, Copy)]
struct Mark {
    workspace: Workspace,
    message: StoredValue<String>,
    // The mask that was clicked last; a second click takes the answer's masks off the picture.
    pinned: RwSignal<Option<usize>>,
}

impl Mark {
    fn light(self, index: usize) {
        let message = self.message.get_value();
        self.workspace.conversation.highlight.set(Some(Highlight {
            message,
            index,
            from_canvas: false,
        }));
    }

    fn dim(self) {
        self.workspace.conversation.highlight.set(None);
    }

    fn toggle(self, index: usize) {
        let shown = self.workspace.conversation.shown;
        if untrack(|| self.is_pinned(index)) {
            self.pinned.set(None);
            shown.set(None);
            self.dim();
        } else {
            self.pinned.set(Some(index));
            shown.set(Some(self.message.get_value()));
            self.light(index);
        }
    }

    fn toggle_by_key(self, index: usize, event: &KeyboardEvent) {
        if matches!(event.key().as_str(), "Enter" | " ") {
            event.prevent_default();
            event.stop_propagation();
            self.toggle(index);
        }
    }

    fn is_shown(self) -> bool {
        let shown = self.workspace.conversation.shown;
        shown.with(|shown| *shown == Some(self.message.get_value()))
    }

    fn is_pinned(self, index: usize) -> bool {
        self.pinned.get() == Some(index) && self.is_shown()
    }

    fn is_lit(self, index: usize) -> bool {
        self.workspace.conversation.highlight.with(|highlight| {
            highlight.as_ref().is_some_and(|highlight| {
                highlight.index == index && highlight.message == self.message.get_value()
            })
        })
    }
}

/// Whether the text is the one phrase that the list of masks shows anyway.
fn is_listed(message: &MessageState) -> impl Fn() -> bool + use<> {
    let (text, found) = (message.text.clone(), message.found.clone());
    move || {
        let text = text.get();
        found.with(|found| !found.is_empty() && found.iter().all(|found| found.phrase == text))
    }
}

fn body(message: &MessageState, mark: Mark) -> impl IntoView + use<> {
    let (text, found) = (message.text.clone(), message.found.clone());
    move || {
        let spans: Vec<_> = found.with(|found| found.iter().map(|found| found.span).collect());
        text.with(|text| segments(text, &spans))
            .into_iter()
            .map(|segment| match segment.found {
                Some(index) => phrase(mark, index, segment.text).into_any(),
                None => segment.text.into_any(),
            })
            .collect_view()
    }
}

fn phrase(mark: Mark, index: usize, text: String) -> impl IntoView {
    view! {
        <span
            class="phrase"
            class:is-lit=move || mark.is_lit(index)
            style:--region=found_color(index)
            tabindex="0"
            role="button"
            aria-pressed=move || mark.is_pinned(index).to_string()
            data-testid="phrase"
            on:pointerenter=move |_| mark.light(index)
            on:pointerleave=move |_| mark.dim()
            on:focus=move |_| mark.light(index)
            on:blur=move |_| mark.dim()
            on:click=move |_| mark.toggle(index)
            on:keydown=move |event| mark.toggle_by_key(index, &event)
        >
            {text}
        </span>
    }
}

fn masks(message: &MessageState, mark: Mark) -> impl IntoView + use<> {
    let found = message.found.clone();
    move || {
        let items = found.get();
        (!items.is_empty()).then(|| {
            let rows = items
                .into_iter()
                .enumerate()
                .map(|(index, found)| found_row(mark, index, found))
                .collect_view();
            view! {
                <ul class="found-list" aria-label="Masks">
                    {rows}
                </ul>
            }
        })
    }
}

fn found_row(mark: Mark, index: usize, found: Found) -> impl IntoView {
    let score = f64::from(found.score.clamp(0.0, 1.0)) * 100.0;
    let exact = format!("{:.3}", found.score);
    let name = match found.phrase.as_str() {
        "" => format!("Mask {}", index + 1),
        phrase => phrase.to_owned(),
    };
    view! {
        <li
            class="found"
            class:is-lit=move || mark.is_lit(index)
            style:--region=found_color(index)
            style:--score=format!("{score:.0}%")
            data-testid="found-item"
            data-score=exact
            on:pointerenter=move |_| mark.light(index)
            on:pointerleave=move |_| mark.dim()
        >
            <button
                r#type="button"
                class="found-main"
                title="Show this mask on the picture; once more, and it is hidden"
                aria-pressed=move || mark.is_pinned(index).to_string()
                on:focus=move |_| mark.light(index)
                on:blur=move |_| mark.dim()
                on:click=move |_| mark.toggle(index)
            >
                <span class="found-swatch" aria-hidden="true"></span>
                <span class="found-name">{name}</span>
                <span class="found-score" title="How well the model thinks the mask fits">
                    <span class="found-bar" aria-hidden="true"></span>
                    {format!("{score:.0}%")}
                </span>
            </button>
            <button
                r#type="button"
                class="text-button"
                title="Keep this mask as a region of yours"
                data-testid="found-adopt"
                on:click=move |_| {
                    mark.dim();
                    mark.workspace.editor.adopt(&found);
                }
            >
                <Icon name="plus"/>
                "Region"
            </button>
        </li>
    }
}

fn state(message: &MessageState, workspace: Workspace) -> impl IntoView + use<> {
    let message = message.clone();
    move || {
        let status = message.status.get();
        if status.is_open() && !message.connected.get() {
            return waiting("The connection was lost; getting it back.").into_any();
        }
        match status {
            AnswerStatus::Queued(ahead, eta) => waiting(&queue_sentence(ahead, eta)).into_any(),
            AnswerStatus::Writing if message.text.with(String::is_empty) => {
                waiting("Looking at the picture.").into_any()
            }
            AnswerStatus::Writing => ().into_any(),
            AnswerStatus::Finished(reason) => ending(reason).into_any(),
            AnswerStatus::Failed(error) => {
                failure(workspace, message.id.clone(), error.as_ref()).into_any()
            }
        }
    }
}

fn waiting(sentence: &str) -> impl IntoView + use<> {
    view! {
        <p class="answer-state" role="status" data-testid="answer-waiting">
            <span class="dots" aria-hidden="true">
                <span></span>
                <span></span>
                <span></span>
            </span>
            {sentence.to_owned()}
        </p>
    }
}

fn ending(reason: Option<FinishReason>) -> Option<impl IntoView> {
    let sentence = match reason? {
        FinishReason::Stop => return None,
        FinishReason::Length => "The answer ends here because it reached its length limit.",
        FinishReason::Cancelled => "Stopped.",
        FinishReason::Error => "The answer broke off.",
    };
    Some(view! { <p class="answer-state">{sentence}</p> })
}

fn failure(
    workspace: Workspace,
    message: String,
    error: Option<&ApiError>,
) -> impl IntoView + use<> {
    let text = error.map_or_else(|| "The answer broke off. Ask again.".to_owned(), sentence);
    let code = error.and_then(|error| code_name(error.code));
    view! {
        <div class="answer-error" role="alert" data-testid="error-message" data-code=code>
            <Icon name="alert"/>
            <p>{text}</p>
            <button
                r#type="button"
                class="text-button"
                on:click=move |_| workspace.conversation.ask_again(&message)
            >
                "Ask again"
            </button>
        </div>
    }
}

fn cost(usage: &Usage) -> impl IntoView + use<> {
    let seconds = |ms: u32| format!("{:.1} s", f64::from(ms) / 1000.0);
    let sentence = format!(
        "First word after {}, {} in all, {} {}",
        seconds(usage.first_token_ms),
        seconds(usage.total_ms),
        usage.completion_tokens,
        if usage.completion_tokens == 1 {
            "token"
        } else {
            "tokens"
        }
    );
    view! {
        <p class="answer-cost muted" data-testid="answer-cost">
            {sentence}
        </p>
    }
}

fn queue_sentence(ahead: u32, eta_ms: u32) -> String {
    let others = match ahead {
        0 => return "Starting.".to_owned(),
        1 => "One answer is ahead".to_owned(),
        more => format!("{more} answers are ahead"),
    };
    match eta_ms {
        0 => format!("{others}."),
        eta => format!("{others}, about {} s.", eta.div_ceil(1000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_is_told_in_words() {
        assert_eq!(queue_sentence(0, 900), "Starting.");
        assert_eq!(queue_sentence(1, 0), "One answer is ahead.");
        assert_eq!(queue_sentence(3, 4200), "3 answers are ahead, about 5 s.");
    }
}
