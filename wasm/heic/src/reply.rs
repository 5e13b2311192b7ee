use fclm_core::wire::HeicFailure;
use heifer::Image;
use js_sys::{Array, Uint8ClampedArray};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{DedicatedWorkerGlobalScope, ImageData};

/// Tells the page what became of its file.
pub(crate) fn send(decoded: Result<Image<u8>, HeicFailure>) {
    let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
    let sent =
        decoded.and_then(|photo| send_photo(&scope, &photo).map_err(|_| HeicFailure::Worker));
    if let Err(failure) = sent
        && let Ok(text) = serde_json::to_string(&failure)
    {
        // A text can always be sent; where the page is gone, nobody misses it.
        let _ = scope.post_message(&JsValue::from_str(&text));
    }
}

fn send_photo(scope: &DedicatedWorkerGlobalScope, photo: &Image<u8>) -> Result<(), JsValue> {
    let pixels = Uint8ClampedArray::new_from_slice(&photo.data);
    let image = ImageData::new_with_js_u8_clamped_array_and_sh(&pixels, photo.width, photo.height)?;
    scope.post_message_with_transfer(&image, &Array::of1(&pixels.buffer()))
}
