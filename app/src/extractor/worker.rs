use fclm_core::wire::{WorkerFailure, WorkerReply, WorkerRequest};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Event, MessageEvent, Worker, WorkerOptions, WorkerType};

/// A worker that is ended when this is dropped.
pub(super) struct WorkerLink {
    worker: Worker,
    _heard: Closure<dyn Fn(MessageEvent)>,
    _broken: Closure<dyn Fn(Event)>,
}

impl WorkerLink {
    /// Starts the script; none where the browser has no such workers. `hear` gets every reply.
    pub(super) fn start(
        script: &str,
        hear: impl Fn(WorkerReply) + Clone + 'static,
    ) -> Option<Self> {
        let options = WorkerOptions::new();
        options.set_type(WorkerType::Module);
        let worker = Worker::new_with_options(script, &options).ok()?;
        let heard = Closure::<dyn Fn(MessageEvent)>::new({
            let hear = hear.clone();
            move |event: MessageEvent| {
                let text = event.data().as_string().unwrap_or_default();
                hear(serde_json::from_str(&text).unwrap_or_else(|_| broken()));
            }
        });
        // The script does not load, or throws where it cannot say so itself.
        let failed = Closure::<dyn Fn(Event)>::new(move |event: Event| {
            event.prevent_default();
            hear(broken());
        });
        worker.set_onmessage(Some(heard.as_ref().unchecked_ref()));
        worker.set_onerror(Some(failed.as_ref().unchecked_ref()));
        Some(Self {
            worker,
            _heard: heard,
            _broken: failed,
        })
    }

    /// Sends a request.
    pub(super) fn send(&self, request: &WorkerRequest) {
        if let Ok(text) = serde_json::to_string(request) {
            // A text can always be sent.
            let _ = self.worker.post_message(&JsValue::from_str(&text));
        }
    }
}

impl Drop for WorkerLink {
    fn drop(&mut self) {
        self.worker.set_onmessage(None);
        self.worker.set_onerror(None);
        self.worker.terminate();
    }
}

fn broken() -> WorkerReply {
    WorkerReply::Failed {
        id: None,
        failure: WorkerFailure::Device,
        message: "the worker broke down".to_owned(),
    }
}
