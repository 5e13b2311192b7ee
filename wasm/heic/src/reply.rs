use fclm_core::wire::HeicFailure;
use heifer::Image;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::DedicatedWorkerGlobalScope;

use crate::jpeg;

/// Tells the page what became of its file.
pub(crate) async fn send(decoded: Result<Image<u8>, HeicFailure>) {
    let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
    // A file and a text can always be sent; where the page is gone, nobody misses them.
    let _ = match decoded {
        Ok(photo) => match jpeg::encode(photo).await {
            Ok(file) => scope.post_message(&file),
            Err(_) => tell(&scope, &HeicFailure::Worker),
        },
        Err(failure) => tell(&scope, &failure),
    };
}

fn tell(scope: &DedicatedWorkerGlobalScope, failure: &HeicFailure) -> Result<(), JsValue> {
    let text = serde_json::to_string(failure).unwrap_or_default();
    scope.post_message(&JsValue::from_str(&text))
}
