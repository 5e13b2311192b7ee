//! What the page asks of the server, and what it keeps in the browser.

mod api;
mod events;
mod failure;
mod files;
mod foreign;
mod heic;
mod module_worker;
mod storage;
mod upload;

pub(crate) use api::{delete, get, post, post_empty, put};
pub(crate) use events::{RunStream, StreamEvent};
pub(crate) use failure::{Failure, code_name, sentence};
pub(crate) use files::{pixels, save, save_cut_out, text};
pub(crate) use module_worker::ModuleWorker;
pub(crate) use storage::{ChatPart, chat_key, forget, forget_chat, recall, remember};
pub(crate) use upload::{Picked, UploadStep, picture_in, upload};

use std::time::Duration;

use wasm_bindgen_futures::JsFuture;

/// Waits; in the browser only.
pub(crate) async fn pause(duration: Duration) {
    let promise = js_sys::Promise::new(&mut |resolve, _| {
        leptos::prelude::set_timeout(
            move || {
                // The promise's own resolver does not throw.
                let _ = resolve.call0(&wasm_bindgen::JsValue::NULL);
            },
            duration,
        );
    });
    let _ = JsFuture::from(promise).await;
}
