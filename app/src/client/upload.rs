use fclm_core::wire::ImageInfo;
use futures::channel::oneshot;
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use wasm_bindgen_futures::JsFuture;
use web_sys::{DataTransfer, File, ProgressEvent, XmlHttpRequest};

use super::Failure;

/// Sends a file as the body of an upload. `progress` hears the share that has gone out, 0 to 1.
/// The bytes are not looked at here: the server says what is wrong with them.
pub(crate) async fn upload(
    file: &File,
    progress: impl Fn(f64) + 'static,
) -> Result<ImageInfo, Failure> {
    if !is_readable(file).await {
        return Err(Failure::NoFile);
    }
    let (status, body) = send(file, progress).await.map_err(|_| Failure::Offline)?;
    match status {
        200..=299 => serde_json::from_str(&body).map_err(|_| Failure::Unreadable(status)),
        0 => Err(Failure::Offline),
        _ => Err(Failure::from_body(status, &body)),
    }
}

// A folder comes as a file that cannot be read; sending it would look like a lost connection.
async fn is_readable(file: &File) -> bool {
    match file.slice_with_i32_and_i32(0, 1) {
        Ok(start) => JsFuture::from(start.array_buffer()).await.is_ok(),
        Err(_) => false,
    }
}

// `fetch` tells nothing about how much of a body has gone out, hence the older interface.
async fn send(file: &File, progress: impl Fn(f64) + 'static) -> Result<(u16, String), JsValue> {
    let request = XmlHttpRequest::new()?;
    request.open("POST", "/api/v1/images")?;
    let kind = file.type_();
    let kind = if kind.is_empty() {
        "application/octet-stream"
    } else {
        &kind
    };
    request.set_request_header("content-type", kind)?;
    request.set_request_header("accept", "application/json")?;
    let on_progress = Closure::<dyn Fn(ProgressEvent)>::new(move |event: ProgressEvent| {
        if event.length_computable() && event.total() > 0.0 {
            progress((event.loaded() / event.total()).clamp(0.0, 1.0));
        }
    });
    request
        .upload()?
        .set_onprogress(Some(on_progress.as_ref().unchecked_ref()));
    let (sender, receiver) = oneshot::channel();
    let on_end = Closure::once(move |_: ProgressEvent| {
        // The receiver is gone only when nobody waits for the upload any more.
        let _ = sender.send(());
    });
    request.set_onloadend(Some(on_end.as_ref().unchecked_ref()));
    request.send_with_opt_blob(Some(file))?;
    let _ = receiver.await;
    let body = request.response_text()?.unwrap_or_default();
    Ok((request.status()?, body))
}

/// The first file of what was dropped or pasted.
pub(crate) fn picture_in(data: &DataTransfer) -> Option<File> {
    data.files()?.get(0)
}
