use std::time::Duration;

use futures::channel::oneshot;
use js_sys::{Array, Uint8Array};
use leptos::prelude::{document, set_timeout, window};
use wasm_bindgen::{Clamped, JsCast, JsValue, closure::Closure};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    Blob, BlobPropertyBag, HtmlAnchorElement, HtmlCanvasElement, ImageData, Response, Url,
};

use super::foreign::bitmap;
use crate::bitmap::{Bitmap, sized, with_pixels};

/// For so long a file can be fetched by the browser that saves it.
const SAVING: Duration = Duration::from_secs(20);

/// The pixels of a decoded picture, upright.
#[derive(Debug)]
pub(crate) struct Pixels {
    /// Width in pixels.
    pub(crate) width: u32,
    /// Height in pixels.
    pub(crate) height: u32,
    /// Red, green, blue and alpha of each pixel, row by row.
    pub(crate) rgba: Vec<u8>,
}

/// Lets the browser save bytes as a file.
pub(crate) fn save(name: &str, kind: &str, bytes: &[u8]) -> Result<(), JsValue> {
    let parts: JsValue = Array::of1(&JsValue::from(Uint8Array::from(bytes))).into();
    let options = BlobPropertyBag::new();
    options.set_type(kind);
    let blob = Blob::new_with_u8_array_sequence_and_options(&parts, &options)?;
    save_blob(name, &blob)
}

fn save_blob(name: &str, blob: &Blob) -> Result<(), JsValue> {
    let url = Url::create_object_url_with_blob(blob)?;
    let link: HtmlAnchorElement = document().create_element("a")?.unchecked_into();
    link.set_href(&url);
    link.set_download(name);
    link.click();
    set_timeout(
        move || {
            // A URL that is kept costs memory and nothing else.
            let _ = Url::revoke_object_url(&url);
        },
        SAVING,
    );
    Ok(())
}

/// The text of a file.
pub(crate) async fn text(file: &Blob) -> Option<String> {
    JsFuture::from(file.text()).await.ok()?.as_string()
}

/// The pixels of a picture in a file.
pub(crate) async fn pixels(file: &Blob) -> Result<Pixels, JsValue> {
    let (canvas, context) = decoded(file).await?;
    let (width, height) = (canvas.width(), canvas.height());
    let image = context.get_image_data(0.0, 0.0, f64::from(width), f64::from(height))?;
    Ok(Pixels {
        width,
        height,
        rgba: image.data().0,
    })
}

/// Saves the part of the picture at a URL that a mask covers, in the picture's own pixels, as a
/// PNG that is transparent elsewhere. `inside` are the mask's pixels, 0 or 1.
pub(crate) async fn save_cut_out(name: &str, url: &str, inside: &[u8]) -> Result<(), JsValue> {
    let response: Response = JsFuture::from(window().fetch_with_str(url))
        .await?
        .dyn_into()?;
    let blob: Blob = JsFuture::from(response.blob()?).await?.dyn_into()?;
    let mut pixels = pixels(&blob).await?;
    for (pixel, &inside) in pixels.rgba.chunks_exact_mut(4).zip(inside) {
        pixel[3] *= inside;
    }
    let (width, height) = (pixels.width, pixels.height);
    let image =
        ImageData::new_with_u8_clamped_array_and_sh(Clamped(&pixels.rgba[..]), width, height)?;
    let (canvas, _) = with_pixels(&image)?;
    save_blob(name, &encoded(&canvas, "image/png", 1.0).await?)
}

/// What is on a canvas as a file; the quality is for those that lose something.
pub(super) async fn encoded(
    canvas: &HtmlCanvasElement,
    kind: &str,
    quality: f64,
) -> Result<Blob, JsValue> {
    let (sender, receiver) = oneshot::channel();
    let on_blob = Closure::once(move |blob: Option<Blob>| {
        // The receiver is gone only when nobody waits for the file any more.
        let _ = sender.send(blob);
    });
    canvas.to_blob_with_type_and_encoder_options(
        on_blob.as_ref().unchecked_ref(),
        kind,
        &JsValue::from_f64(quality),
    )?;
    match receiver.await {
        Ok(Some(blob)) => Ok(blob),
        _ => Err(JsValue::NULL),
    }
}

/// A picture file that the browser reads, drawn.
pub(super) async fn decoded(file: &Blob) -> Result<Bitmap, JsValue> {
    let bitmap = bitmap(file).await?;
    let (canvas, context) = sized(bitmap.width(), bitmap.height())?;
    context.draw_image_with_image_bitmap(&bitmap, 0.0, 0.0)?;
    bitmap.close();
    Ok((canvas, context))
}
