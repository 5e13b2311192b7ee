use leptos::prelude::*;

use crate::panel::Header;

/// For addresses that lead nowhere.
#[component]
pub(crate) fn NotFound() -> impl IntoView {
    view! {
        <div class="page">
            {view! { <Header/> }.into_any()}
            <main class="blank" data-testid="not-found">
                <h1>"There is nothing here"</h1>
                <p class="muted">"The address may be mistyped, or the chat has been deleted."</p>
                <a class="button" href="/">
                    "To the pictures"
                </a>
            </main>
        </div>
    }
}
