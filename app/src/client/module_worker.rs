use js_sys::Array;
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::{Event, MessageEvent, Worker, WorkerOptions, WorkerType};

/// A Web Worker that starts with a module of the page, and ends when this is dropped.
pub(crate) struct ModuleWorker {
    worker: Worker,
    _heard: Closure<dyn Fn(MessageEvent)>,
    _broken: Closure<dyn Fn(Event)>,
}

impl ModuleWorker {
    /// Starts the script. `hear` gets what each message holds; `fail` is called where the script
    /// does not load, throws where it cannot say so itself, or sends what does not fit into memory.
    ///
    /// # Errors
    /// If the browser has no such workers.
    pub(crate) fn start(
        script: &str,
        hear: impl Fn(JsValue) + 'static,
        fail: impl Fn() + 'static,
    ) -> Result<Self, JsValue> {
        let options = WorkerOptions::new();
        options.set_type(WorkerType::Module);
        let worker = Worker::new_with_options(script, &options)?;
        let heard = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
            hear(event.data());
        });
        let broken = Closure::<dyn Fn(Event)>::new(move |event: Event| {
            event.prevent_default();
            fail();
        });
        worker.set_onmessage(Some(heard.as_ref().unchecked_ref()));
        worker.set_onmessageerror(Some(broken.as_ref().unchecked_ref()));
        worker.set_onerror(Some(broken.as_ref().unchecked_ref()));
        Ok(Self {
            worker,
            _heard: heard,
            _broken: broken,
        })
    }

    /// Sends a message.
    pub(crate) fn send(&self, message: &JsValue) -> Result<(), JsValue> {
        self.worker.post_message(message)
    }

    /// Hands a value over for good: it is of no use here afterwards.
    pub(crate) fn hand_over(&self, value: &JsValue) -> Result<(), JsValue> {
        self.worker
            .post_message_with_transfer(value, &Array::of1(value))
    }
}

impl Drop for ModuleWorker {
    fn drop(&mut self) {
        self.worker.set_onmessage(None);
        self.worker.set_onmessageerror(None);
        self.worker.set_onerror(None);
        self.worker.terminate();
    }
}
