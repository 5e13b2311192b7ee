use leptos::ev;
use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::use_navigate;
use web_sys::{DataTransfer, DragEvent};

use crate::client::{UploadStep, picture_in};
use crate::icons::Icon;
use crate::panel::NoticeList;
use crate::state::{Application, is_field};

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
    Effect::new(move |_| {
        listen(application, dragging);
        tell_live();
    });

    let step = move || application.upload.get().map(|upload| upload.step);
    // Without a value the bar says that something goes on, but not how long it takes.
    let share = move || match step() {
        Some(UploadStep::Reading) => None,
        Some(UploadStep::Sending(share)) => Some(share.to_string()),
        None => Some("0".to_owned()),
    };
    let doing = move || {
        application.upload.get().map(|upload| {
            let verb = match upload.step {
                UploadStep::Reading => "Reading",
                UploadStep::Sending(share) if share < 1.0 => "Uploading",
                UploadStep::Sending(_) => "Opening",
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
            class:is-gone=move || step().is_none()
            role="status"
            data-testid="upload-progress"
        >
            <span class="upload-name">{doing}</span>
            <progress max="1" aria-label="Upload" value=share></progress>
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
            match event.data_transfer().as_ref().and_then(picture_in) {
                Some(picked) => application.open_picked(picked),
                None => application.notices.error(
                    "Nothing to open",
                    "Drop one JPEG, PNG, WebP or HEIC picture.",
                ),
            }
        }
    });
    let paste = window_event_listener(ev::paste, move |event| {
        let Some(data) = event.clipboard_data() else {
            return;
        };
        // Programs put a picture beside the text that was copied; in a field the text is meant.
        if is_field(&event) && carries(&data, "text/plain") {
            return;
        }
        if let Some(picked) = picture_in(&data) {
            event.prevent_default();
            application.open_pasted(picked);
        }
    });
    on_cleanup(move || {
        over.remove();
        leave.remove();
        drop.remove();
        paste.remove();
    });
}

/// Tells whoever drives the page, as the tests do, that it answers from now on.
fn tell_live() {
    if let Some(root) = document().document_element() {
        // An attribute of a fixed name is always taken.
        let _ = root.set_attribute("data-live", "true");
    }
}

fn carries_files(event: &DragEvent) -> bool {
    event
        .data_transfer()
        .is_some_and(|data| carries(&data, "Files"))
}

fn carries(data: &DataTransfer, kind: &str) -> bool {
    data.types().includes(&kind.into(), 0)
}
