use fclm_core::wire::{WorkerFailure, WorkerReply, WorkerRequest};
use wasm_bindgen::JsValue;
use web_sys::OffscreenCanvas;

use crate::client::ModuleWorker;

/// A worker that is ended when this is dropped.
pub(super) struct WorkerLink(ModuleWorker);

impl WorkerLink {
    /// Starts the script; none where the browser has no such workers. `hear` gets every reply.
    pub(super) fn start(
        script: &str,
        hear: impl Fn(WorkerReply) + Clone + 'static,
    ) -> Option<Self> {
        let fail = {
            let hear = hear.clone();
            move || hear(broken())
        };
        let read = move |message: JsValue| {
            let text = message.as_string().unwrap_or_default();
            hear(serde_json::from_str(&text).unwrap_or_else(|_| broken()));
        };
        ModuleWorker::start(script, read, fail).ok().map(Self)
    }

    /// Sends a request.
    pub(super) fn send(&self, request: &WorkerRequest) {
        if let Ok(text) = serde_json::to_string(request) {
            // A text can always be sent.
            let _ = self.0.send(&JsValue::from_str(&text));
        }
    }

    /// Hands a canvas over for good; false where the browser refuses.
    pub(super) fn hand_over(&self, canvas: &OffscreenCanvas) -> bool {
        self.0.hand_over(canvas).is_ok()
    }
}

fn broken() -> WorkerReply {
    WorkerReply::Failed {
        id: None,
        failure: WorkerFailure::Device,
        message: "the worker broke down".to_owned(),
    }
}
