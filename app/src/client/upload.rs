use fclm_core::wire::{ImageInfo, MAX_IMAGE_BYTES};
use futures::channel::oneshot;
use js_sys::Uint8Array;
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, DataTransfer, File, ProgressEvent, XmlHttpRequest};

use super::Failure;
use super::foreign::{Foreign, START, as_jpeg};

/// Media types of pictures that the server takes, or that become such ones here.
const PICTURES: [&str; 6] = [
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/heic",
    "image/heif",
    "image/avif",
];

/// How far an upload is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum UploadStep {
    /// The picture becomes one that the server takes.
    Reading,
    /// So much of it has gone out, 0 to 1.
    Sending(f64),
}

/// Sends a file as the body of an upload. `progress` hears of each step.
/// What the server does not take and can be read here goes as JPEG; of all other files the server
/// says what is wrong with them. `heic` is the script of the worker that decodes HEIC photos.
pub(crate) async fn upload(
    file: &File,
    heic: Option<&str>,
    progress: impl Fn(UploadStep) + 'static,
) -> Result<ImageInfo, Failure> {
    let start = start(file).await.ok_or(Failure::NoFile)?;
    // What is too large as it is needs no reading; the server says so.
    let fits = file.size() <= MAX_IMAGE_BYTES as f64;
    let converted = match Foreign::of(&start).filter(|_| fits) {
        Some(kind) => {
            progress(UploadStep::Reading);
            let jpeg = as_jpeg(file, kind, heic).await?;
            progress(UploadStep::Sending(0.0));
            Some(jpeg)
        }
        None => None,
    };
    let body: &Blob = converted.as_ref().unwrap_or(file);
    let sent = send(body, move |share| progress(UploadStep::Sending(share)));
    let (status, body) = sent.await.map_err(|_| Failure::Offline)?;
    match status {
        200..=299 => serde_json::from_str(&body).map_err(|_| Failure::Unreadable(status)),
        0 => Err(Failure::Offline),
        _ => Err(Failure::from_body(status, &body)),
    }
}

// A folder comes as a file that cannot be read; sending it would look like a lost connection.
async fn start(file: &File) -> Option<Vec<u8>> {
    let start = file.slice_with_i32_and_i32(0, START).ok()?;
    let buffer = JsFuture::from(start.array_buffer()).await.ok()?;
    Some(Uint8Array::new(&buffer).to_vec())
}

// `fetch` tells nothing about how much of a body has gone out, hence the older interface.
async fn send(file: &Blob, progress: impl Fn(f64) + 'static) -> Result<(u16, String), JsValue> {
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

/// One file of those that were dropped or pasted together.
#[derive(Debug, Clone)]
pub(crate) struct Picked {
    /// The file.
    pub(crate) file: File,
    /// How many others there were.
    pub(crate) others: usize,
}

/// The first picture of what was dropped or pasted; the first file where none says that it is one,
/// so that the server can tell what is wrong with it.
pub(crate) fn picture_in(data: &DataTransfer) -> Option<Picked> {
    let files = data.files()?;
    let files: Vec<File> = (0..files.length())
        .filter_map(|index| files.get(index))
        .collect();
    let kinds: Vec<String> = files.iter().map(|file| file.type_()).collect();
    let chosen = first_picture(&kinds).unwrap_or(0);
    Some(Picked {
        others: files.len().saturating_sub(1),
        file: files.into_iter().nth(chosen)?,
    })
}

/// Which of the files with these media types is the first that the server may take.
fn first_picture(kinds: &[String]) -> Option<usize> {
    kinds
        .iter()
        .position(|kind| PICTURES.contains(&kind.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(kinds: &[&str]) -> Option<usize> {
        let kinds: Vec<String> = kinds.iter().map(|&kind| kind.to_owned()).collect();
        first_picture(&kinds)
    }

    #[test]
    fn the_first_picture_is_taken_wherever_it_lies() {
        assert_eq!(first(&["text/plain", "image/jpeg"]), Some(1));
        assert_eq!(
            first(&["", "image/gif", "image/png", "image/webp"]),
            Some(2)
        );
        assert_eq!(first(&["text/plain", "image/svg+xml"]), None);
        assert_eq!(first(&[]), None);
    }
}
