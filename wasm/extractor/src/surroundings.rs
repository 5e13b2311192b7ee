//! What the worker finds around itself in the browser.

use fclm_core::wire::WorkerReply;
use js_sys::Reflect;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::DedicatedWorkerGlobalScope;

/// The worker's global object.
pub(crate) fn scope() -> DedicatedWorkerGlobalScope {
    js_sys::global().unchecked_into()
}

/// Sends a message to the page.
pub(crate) fn post(reply: &WorkerReply) {
    let Ok(text) = serde_json::to_string(reply) else {
        return;
    };
    // A text can always be sent; where the page is gone, nobody misses it.
    let _ = scope().post_message(&JsValue::from_str(&text));
}

/// Whether the browser offers WebGPU to workers.
pub(crate) fn has_gpu() -> bool {
    let get = |object: &JsValue, key: &str| {
        Reflect::get(object, &JsValue::from_str(key)).unwrap_or(JsValue::UNDEFINED)
    };
    let navigator = get(&js_sys::global(), "navigator");
    navigator.is_object() && get(&navigator, "gpu").is_object()
}

/// Milliseconds on a clock that only goes forward.
pub(crate) fn now() -> f64 {
    scope()
        .performance()
        .map_or_else(js_sys::Date::now, |clock| clock.now())
}
