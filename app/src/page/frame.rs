use leptos::ev;
use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::use_navigate;
use wasm_bindgen::JsCast;
use web_sys::{ClipboardEvent, DragEvent};

use crate::client::picture_in;
use crate::icons::Icon;
use crate::panel::NoticeList;
use crate::state::Application;

/// Around every page: takes pictures that are dropped or pasted, shows uploads and notices, and
/// goes where the application wants to go.
#[component]
pub(crate) fn Frame(
    /// The page.
    children: Children,
) -> impl IntoView {
    let application = expect_context::<Application>();
    let dragging = RwSignal::new(false);
    let navigate = use_navigate();

    Effect::new(move |_| {
        if let Some(path) = application.destination.get() {
            application.destination.set(None);
            navigate(&path, NavigateOptions::default());
        }
    });
    Effect::new(move |_| listen(application, dragging));

    let progress = move || application.upload.get().map(|upload| upload.progress);
    let doing = move || {
        application.upload.get().map(|upload| {
            let verb = if upload.progress < 1.0 {
                "Uploading"
            } else {
                "Opening"
            };
            format!("{verb} {}", upload.name)
        })
    };
    view! {
        {children()}
        <div class="drop-veil" class:is-gone=move || !dragging.get() aria-hidden="true">
            <p>
                <Icon name="upload"/>
                "Drop the picture to open it"
            </p>
        </div>
        <div
            class="upload"
            class:is-gone=move || progress().is_none()
            role="status"
            data-testid="upload-progress"
        >
            <span class="upload-name">{doing}</span>
            <progress
                max="1"
                aria-label="Upload"
                prop:value=move || progress().unwrap_or(0.0)
            ></progress>
        </div>
        <NoticeList/>
    }
}

fn listen(application: Application, dragging: RwSignal<bool>) {
    let over = window_event_listener(ev::dragover, move |event| {
        if carries_files(&event) {
            event.prevent_default();
            if !dragging.get_untracked() {
                dragging.set(true);
            }
        }
    });
    let leave = window_event_listener(ev::dragleave, move |event| {
        if event.related_target().is_none() {
            dragging.set(false);
        }
    });
    let drop = window_event_listener(ev::drop, move |event| {
        dragging.set(false);
        if carries_files(&event) {
            event.prevent_default();
            if let Some(file) = event.data_transfer().as_ref().and_then(picture_in) {
                application.open_file(file);
            }
        }
    });
    let paste = window_event_listener(ev::paste, move |event| {
        let event: &ClipboardEvent = event.unchecked_ref();
        if let Some(file) = event.clipboard_data().as_ref().and_then(picture_in) {
            event.prevent_default();
            application.open_file(file);
        }
    });
    on_cleanup(move || {
        over.remove();
        leave.remove();
        drop.remove();
        paste.remove();
    });
}

fn carries_files(event: &DragEvent) -> bool {
    event
        .data_transfer()
        .is_some_and(|data| data.types().includes(&"Files".into(), 0))
}
