use leptos::prelude::*;

use crate::canvas::Stage;
use crate::panel::{Composer, Header, Messages, Regions};
use crate::state::{Application, Loading, Workspace};

/// A chat: the picture on the left, the conversation on the right; stacked on a phone.
#[component]
pub(super) fn Chat(id: String) -> impl IntoView {
    let application = expect_context::<Application>();
    let workspace = Workspace::new(id, application);
    provide_context(workspace);
    let loading = workspace.loading;
    view! {
        <div class="page is-workspace">
            {view! { <Header/> }.into_any()}
            <main class="workspace" class:is-gone=move || loading.get().is_blank()>
                {view! { <Stage/> }.into_any()}
                <div class="side">
                    {view! { <Regions/> }.into_any()}
                    {view! { <Messages/> }.into_any()}
                    {view! { <Composer/> }.into_any()}
                </div>
            </main>
            <div class="blank" class:is-gone=move || !loading.get().is_blank()>
                {move || blank(workspace, loading.get())}
            </div>
        </div>
    }
}

fn blank(workspace: Workspace, loading: Loading) -> Option<impl IntoView> {
    let (heading, text) = match loading {
        Loading::Missing => (
            "This chat is not here",
            "It may have been deleted, or it was made on another server.",
        ),
        Loading::Failed => (
            "The chat could not be loaded",
            "Your regions and drafts are kept in this browser.",
        ),
        Loading::Pending | Loading::Ready => return None,
    };
    let again = (loading == Loading::Failed).then(|| {
        view! {
            <button r#type="button" class="button" on:click=move |_| workspace.load()>
                "Try again"
            </button>
        }
    });
    Some(view! {
        <h1 data-testid="error-message">{heading}</h1>
        <p class="muted">{text}</p>
        {again}
        <a class="button is-quiet" href="/">
            "To the pictures"
        </a>
    })
}
