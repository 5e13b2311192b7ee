//! What of the page is loaded when it is wanted: all that chats need. The home page is there before.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::pending;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos::wasm_split::{SplitLoaderError, wasm_split};
use leptos_router::hooks::use_params_map;

use super::chat::{Chat, ChatProps};
use crate::client::pause;
use crate::panel::Header;

/// Where chats are.
pub(crate) const CHATS: &str = "/c/";
/// How long to wait before a part that did not arrive is asked for again.
const AGAIN: Duration = Duration::from_secs(2);
/// How often, before the page is loaded anew.
const TRIES: u32 = 5;
/// How long the home page has for itself before it fetches what a chat needs.
const SETTLED: Duration = Duration::from_secs(1);

/// Whether the part of chats is here; the server has all parts.
static HAS_CHAT: AtomicBool = AtomicBool::new(cfg!(not(target_family = "wasm")));

/// Loads what the page at the current address needs before it can take over what the server has
/// rendered. Until then that is what is seen, so it tries again, and at last loads the page anew,
/// because the server may have another one by then.
pub async fn load_parts() {
    let path = location().pathname().unwrap_or_default();
    if !path.starts_with(CHATS) {
        return;
    }
    for _ in 0..TRIES {
        if load().await.is_ok() {
            return;
        }
        pause(AGAIN).await;
    }
    reload();
    // This page is over.
    pending().await
}

/// A chat's page, once its part is there.
#[component]
pub(crate) fn ChatPage() -> impl IntoView {
    let params = use_params_map();
    let chat_id = Memo::new(move |_| params.with(|params| params.get("chat_id")));
    let failed = RwSignal::new(false);
    let here = RwSignal::new(HAS_CHAT.load(Ordering::Relaxed));
    // Another chat is another workspace, not the same one with other contents.
    move || {
        let id = chat_id.get().unwrap_or_default();
        match here.get().then(|| chat(id).now_or_never()).flatten() {
            Some(Ok(view)) => view,
            _ if failed.get() => missing().into_any(),
            _ => {
                fetch(here, failed);
                view! {
                    <div class="page is-workspace">
                        {view! { <Header/> }.into_any()}
                        <div class="blank" aria-busy="true">
                            <span class="spinner"></span>
                        </div>
                    </div>
                }
                .into_any()
            }
        }
    }
}

/// Fetches what a chat needs while nothing else is to be done.
pub(super) fn fetch_ahead() {
    Effect::new(move |_| {
        set_timeout(
            || {
                spawn_local(async {
                    // Where it does not arrive now, it is fetched again when it is wanted.
                    let _ = load().await;
                });
            },
            SETTLED,
        );
    });
}

async fn load() -> Result<(), SplitLoaderError> {
    load_chat().await?;
    HAS_CHAT.store(true, Ordering::Relaxed);
    Ok(())
}

fn fetch(here: RwSignal<bool>, failed: RwSignal<bool>) {
    spawn_local(async move {
        let result = match load().await {
            Ok(()) => here,
            Err(_) => failed,
        };
        // The page may have been left in the meantime.
        let _ = result.try_set(true);
    });
}

// The server may have another page by now, which has this part under another name; only loading
// the page anew finds it.
fn missing() -> impl IntoView {
    view! {
        <div class="page">
            {view! { <Header/> }.into_any()}
            <main class="blank">
                <h1 data-testid="error-message">"The chat could not be loaded"</h1>
                <p class="muted">"A part of the page did not arrive. Is the server running?"</p>
                <button r#type="button" class="button" on:click=|_| reload()>
                    "Try again"
                </button>
                <a class="button is-quiet" href="/">
                    "To the pictures"
                </a>
            </main>
        </div>
    }
}

fn reload() {
    // A page may always load itself anew.
    let _ = location().reload();
}

#[wasm_split(chat, wasm_split_path = leptos::wasm_split, fallible, preload(load_chat))]
fn chat(id: String) -> Result<AnyView, SplitLoaderError> {
    Ok(Chat(ChatProps { id }).into_any())
}
