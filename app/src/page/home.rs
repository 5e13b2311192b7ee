use fclm_core::wire::{ChatSummary, SampleInfo};
use leptos::prelude::*;
use web_sys::HtmlInputElement;

use super::parts::fetch_ahead;
use crate::icons::Icon;
use crate::panel::Header;
use crate::state::Application;

/// The first page: a picture to start with, and the chats of before.
#[component]
pub(crate) fn HomePage() -> impl IntoView {
    let application = expect_context::<Application>();
    Effect::new(move |_| application.fetch_chats());
    fetch_ahead();
    view! {
        <div class="page">
            {view! { <Header/> }.into_any()}
            <main class="home">
                <section class="hero">
                    <div class="hero-text">
                        <h1>"Point at it. Ask about it."</h1>
                        <p class="lead">
                            "Mark a region of a picture and read what it is, or describe something and see its mask. Pictures and chats stay on this server."
                        </p>
                    </div>
                    {view! { <Dropzone/> }.into_any()}
                </section>
                {view! { <Samples/> }.into_any()}
                {view! { <Recent/> }.into_any()}
            </main>
        </div>
    }
}

#[component]
fn Dropzone() -> impl IntoView {
    let application = expect_context::<Application>();
    let on_change = move |event: web_sys::Event| {
        let input: HtmlInputElement = event_target(&event);
        if let Some(file) = input.files().and_then(|files| files.get(0)) {
            application.open_file(file);
        }
        // The same file can then be chosen again.
        input.set_value("");
    };
    view! {
        <label class="dropzone">
            <input
                r#type="file"
                class="visually-hidden"
                accept="image/jpeg,image/png,image/webp,image/heic,image/heif,image/avif"
                aria-label="Open a picture of your own"
                data-testid="upload-input"
                on:change=on_change
            />
            <span class="dropzone-icon">
                <Icon name="upload"/>
            </span>
            <strong>"Open a picture of your own"</strong>
            <span class="muted">
                "Drop it here, paste it, or choose a file: JPEG, PNG, WebP or HEIC"
            </span>
        </label>
    }
}

#[component]
fn Samples() -> impl IntoView {
    let application = expect_context::<Application>();
    let samples = application.samples;
    view! {
        <section
            class="block"
            aria-labelledby="samples-title"
            class:is-gone=move || samples.with(Vec::is_empty)
        >
            <h2 id="samples-title">"Sample scenes"</h2>
            <p class="muted">"Rendered table-tops, the world that the demo model knows."</p>
            <ul class="gallery">
                {move || {
                    let cards = samples.get().into_iter();
                    cards.map(|sample| sample_card(application, sample)).collect_view()
                }}
            </ul>
        </section>
    }
}

fn sample_card(application: Application, sample: SampleInfo) -> impl IntoView {
    let id = StoredValue::new(sample.id.clone());
    let opening = move || application.opening.get() == Some(id.get_value());
    view! {
        <li>
            <button
                r#type="button"
                class="sample-card"
                class:is-opening=opening
                data-testid="sample-card"
                data-sample-id=sample.id
                on:click=move |_| application.open_sample(id.get_value())
            >
                <img
                    src=sample.url
                    width=sample.width.to_string()
                    height=sample.height.to_string()
                    alt=""
                    loading="lazy"
                    decoding="async"
                />
                <span class="sample-title">{sample.title}</span>
                <span class="sample-hint">{sample.suggestions.first().cloned()}</span>
            </button>
        </li>
    }
}

#[component]
fn Recent() -> impl IntoView {
    let application = expect_context::<Application>();
    let chats = application.chats;
    let none = move || chats.with(|chats| chats.as_ref().is_none_or(Vec::is_empty));
    view! {
        <section class="block" aria-labelledby="recent-title" class:is-gone=none>
            <h2 id="recent-title">"Your chats"</h2>
            <ul class="chats">
                <For
                    each=move || chats.get().unwrap_or_default()
                    key=|chat| chat.id.clone()
                    let:chat
                >
                    {chat_row(application, chat)}
                </For>
            </ul>
            <button
                r#type="button"
                class="text-button"
                class:is-gone=move || !application.has_more_chats.get()
                data-testid="more-chats"
                on:click=move |_| application.fetch_more_chats()
            >
                "Show older chats"
            </button>
        </section>
    }
}

fn chat_row(application: Application, chat: ChatSummary) -> impl IntoView {
    let id = chat.id.clone();
    let label = format!("Delete {}", chat.title);
    let delete = move |_| {
        let question = "Delete this chat with its regions and answers?";
        if window().confirm_with_message(question).unwrap_or(false) {
            application.delete_chat(id.clone());
        }
    };
    view! {
        <li class="chat-row" data-testid="chat-row">
            <a href=format!("/c/{}", chat.id)>
                <img src=chat.image.url alt="" loading="lazy" decoding="async"/>
                <span class="chat-title">{chat.title}</span>
                <time class="muted" datetime=chat.updated_at.clone()>
                    {ago(&chat.updated_at)}
                </time>
            </a>
            <button
                r#type="button"
                class="icon-button"
                aria-label=label
                title="Delete"
                data-testid="chat-delete"
                on:click=delete
            >
                <Icon name="trash"/>
            </button>
        </li>
    }
}

fn ago(time: &str) -> String {
    let then = js_sys::Date::parse(time);
    if then.is_nan() {
        return String::new();
    }
    minutes_ago(((js_sys::Date::now() - then) / 60_000.0).max(0.0) as u64)
}

fn minutes_ago(minutes: u64) -> String {
    match minutes {
        0 => "just now".to_owned(),
        1..60 => format!("{minutes} min ago"),
        60..1440 => format!("{} h ago", minutes / 60),
        1440..2880 => "yesterday".to_owned(),
        _ => format!("{} days ago", minutes / 1440),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_words() {
        let told = [0, 59, 60, 1439, 1500, 4000].map(minutes_ago);
        assert_eq!(
            told,
            [
                "just now",
                "59 min ago",
                "1 h ago",
                "23 h ago",
                "yesterday",
                "2 days ago"
            ]
        );
    }
}
