use leptos::prelude::*;

use super::badge::Badge;
use crate::icons::Icon;
use crate::state::{SaveState, Workspace, toggle_theme};

/// The bar at the top: home, the chat's title, the model and the theme.
#[component]
pub(crate) fn Header() -> impl IntoView {
    let workspace = use_context::<Workspace>();
    view! {
        <header class="header">
            <a class="brand" href="/" aria-label="FCLM, home">
                <svg class="brand-mark" viewBox="0 0 32 32" aria-hidden="true">
                    <rect width="32" height="32" rx="9"></rect>
                    <path d="M8.5 12.5V10A1.5 1.5 0 0 1 10 8.5h2.5M19.5 8.5H22a1.5 1.5 0 0 1 1.5 1.5v2.5M23.5 19.5V22a1.5 1.5 0 0 1-1.5 1.5h-2.5M12.5 23.5H10A1.5 1.5 0 0 1 8.5 22v-2.5"></path>
                    <circle cx="16" cy="16" r="3.4"></circle>
                </svg>
                <span class="brand-name">"FCLM"</span>
            </a>
            {workspace.map(|workspace| view! { <Title workspace/> })}
            <span class="header-room"></span>
            {view! { <Badge/> }.into_any()}
            <button
                r#type="button"
                class="icon-button"
                aria-label="Dark or light"
                title="Dark or light"
                data-testid="theme-toggle"
                on:click=move |_| toggle_theme()
            >
                <Icon name="theme"/>
            </button>
        </header>
    }
}

#[component]
fn Title(workspace: Workspace) -> impl IntoView {
    let saved = workspace.editor.saved;
    // Of a chat that is not shown nothing is said to be saved or kept.
    let blank = move || workspace.loading.get().is_blank();
    Effect::new(move |_| {
        let title = workspace.title.get();
        if !title.is_empty() {
            document().set_title(&format!("{title} - FCLM"));
        }
    });
    on_cleanup(|| {
        if cfg!(target_family = "wasm") {
            document().set_title("FCLM");
        }
    });
    view! {
        <div class="header-title">
            <span class="header-slash" aria-hidden="true">"/"</span>
            <h1 class="header-name" class:is-gone=blank data-testid="chat-title">
                {move || workspace.title.get()}
            </h1>
            <span
                class="save-state"
                class:is-gone=blank
                role="status"
                data-testid="save-state"
            >
                {move || match saved.get() {
                    SaveState::Saved => view! { <Icon name="check"/> "Saved" }.into_any(),
                    SaveState::Saving => view! { <span class="spinner"></span> "Saving" }.into_any(),
                    SaveState::Kept => {
                        view! { <Icon name="cloud-off"/> "Kept in this browser" }.into_any()
                    }
                    SaveState::Unsaved => {
                        view! { <Icon name="cloud-off"/> "Not saved" }.into_any()
                    }
                }}
            </span>
        </div>
    }
}
