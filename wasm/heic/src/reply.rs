use fclm_core::wire::{HeicFailure, PHOTO_JPEG, PHOTO_QUALITY};
use heifer::Image;
use js_sys::Uint8ClampedArray;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    Blob, DedicatedWorkerGlobalScope, ImageData, ImageEncodeOptions, OffscreenCanvas,
    OffscreenCanvasRenderingContext2d,
};

/// Tells the page what became of its file.
pub(crate) async fn send(decoded: Result<Image<u8>, HeicFailure>) {
    let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
    let sent = match decoded {
        Ok(photo) => match jpeg(photo).await {
            Ok(file) => scope.post_message(&file),
            Err(_) => tell(&scope, &HeicFailure::Worker),
        },
        Err(failure) => tell(&scope, &failure),
    };
    // A file and a text can always be sent; where the page is gone, nobody misses them.
    drop(sent);
}

fn tell(scope: &DedicatedWorkerGlobalScope, failure: &HeicFailure) -> Result<(), JsValue> {
    let text = serde_json::to_string(failure).unwrap_or_default();
    scope.post_message(&JsValue::from_str(&text))
}

/// A photo as JPEG. JPEG knows no transparency: white is laid under it, as the server does.
async fn jpeg(photo: Image<u8>) -> Result<Blob, JsValue> {
    let (width, height) = (photo.width, photo.height);
    let pixels = Uint8ClampedArray::new_from_slice(&photo.data);
    drop(photo);
    let image = ImageData::new_with_js_u8_clamped_array_and_sh(&pixels, width, height)?;
    let canvas = OffscreenCanvas::new(width, height)?;
    let context: OffscreenCanvasRenderingContext2d = canvas
        .get_context("2d")?
        .ok_or(JsValue::NULL)?
        .unchecked_into();
    context.put_image_data(&image, 0.0, 0.0)?;
    context.set_global_composite_operation("destination-over")?;
    context.set_fill_style_str("#ffffff");
    context.fill_rect(0.0, 0.0, f64::from(width), f64::from(height));
    let options = ImageEncodeOptions::new();
    options.set_type(PHOTO_JPEG);
    options.set_quality(PHOTO_QUALITY);
    let encoded = canvas.convert_to_blob_with_options(&options)?;
    JsFuture::from(encoded).await?.dyn_into()
}
