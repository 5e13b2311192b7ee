use leptos::prelude::*;

use crate::client::code_name;
use crate::icons::Icon;
use crate::state::{Application, Notice, NoticeKind};

/// What went wrong, and what is good to know.
#[component]
pub(crate) fn NoticeList() -> impl IntoView {
    let notices = expect_context::<Application>().notices;
    view! {
        <div class="notices" role="region" aria-label="Notices">
            <For each=move || notices.list() key=|notice| notice.id let:notice>
                <Shown notice/>
            </For>
        </div>
    }
}

#[component]
fn Shown(notice: Notice) -> impl IntoView {
    let notices = expect_context::<Application>().notices;
    let failed = notice.kind == NoticeKind::Error;
    let code = notice.code.and_then(code_name);
    view! {
        <div
            class="notice"
            class:is-error=failed
            role=if failed { "alert" } else { "status" }
            data-testid=if failed { "error-message" } else { "notice" }
            data-code=code
        >
            <Icon name=if failed { "alert" } else { "info" }/>
            <div class="notice-text">
                <strong>{notice.heading}</strong>
                <p>{notice.text}</p>
            </div>
            <button
                r#type="button"
                class="icon-button"
                aria-label="Dismiss"
                on:click=move |_| notices.dismiss(notice.id)
            >
                <Icon name="close"/>
            </button>
        </div>
    }
}
