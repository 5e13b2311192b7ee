use fclm_core::wire::{PHOTO_JPEG, PHOTO_QUALITY};
use heifer::Image;
use js_sys::Uint8ClampedArray;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    Blob, ImageData, ImageEncodeOptions, OffscreenCanvas, OffscreenCanvasRenderingContext2d,
};

/// A photo as JPEG, which knows no transparency: as of other pictures, white is laid under it.
pub(crate) async fn encode(photo: Image<u8>) -> Result<Blob, JsValue> {
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
