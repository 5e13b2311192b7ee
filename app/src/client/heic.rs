use std::pin::pin;
use std::time::Duration;

use fclm_core::wire::{HeicFailure, MAX_IMAGE_PIXELS, MAX_IMAGE_SIDE};
use futures::StreamExt;
use futures::channel::mpsc::unbounded;
use futures::future::{Either, select};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::Blob;

use super::module_worker::ModuleWorker;
use super::{Failure, pause};

/// How long a photo may take: one of 48 megapixels takes seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// A HEIC photo as JPEG, upright. A worker is started for it with this script, and ended
/// afterwards.
pub(super) async fn as_jpeg(file: &Blob, script: &str) -> Result<Blob, Failure> {
    let bytes = JsFuture::from(file.array_buffer()).await;
    let bytes = bytes.map_err(|_| Failure::NoFile)?;
    let jpeg = by_worker(&bytes, script).await;
    jpeg.map_err(Failure::Heic)
}

async fn by_worker(bytes: &JsValue, script: &str) -> Result<Blob, HeicFailure> {
    let (sender, mut answers) = unbounded();
    let hear = {
        let sender = sender.clone();
        move |message| {
            // The receiver is gone only when nobody waits for the photo any more.
            let _ = sender.unbounded_send(read(message));
        }
    };
    let fail = move || {
        let _ = sender.unbounded_send(Err(HeicFailure::Worker));
    };
    let worker = ModuleWorker::start(script, hear, fail).map_err(|_| HeicFailure::Worker)?;
    worker.hand_over(bytes).map_err(|_| HeicFailure::Worker)?;
    match select(answers.next(), pin!(pause(PATIENCE))).await {
        Either::Left((Some(answer), _)) => answer,
        Either::Left((None, _)) | Either::Right(_) => Err(HeicFailure::Worker),
    }
}

/// What to do where a photo was not decoded.
pub(super) fn sentence(failure: &HeicFailure) -> String {
    match failure {
        HeicFailure::Damaged => {
            "This HEIC photo is damaged, or a part of it is missing. Copy it once more from where it was taken, or save it there as JPEG.".to_owned()
        }
        HeicFailure::Unsupported => {
            "This kind of HEIC photo cannot be read here. Open this page in Safari, or save the photo as JPEG first; an iPhone takes JPEG with Settings, Camera, Formats, Most Compatible.".to_owned()
        }
        HeicFailure::TooLarge { width, height } => format!(
            "The photo has {width} x {height} pixels; up to {MAX_IMAGE_SIDE} per side and {} million in all can be opened.",
            MAX_IMAGE_PIXELS / 1_000_000,
        ),
        HeicFailure::Worker => {
            "This browser could not decode the HEIC photo. Try it again, or save the photo as JPEG first; it may take more time or memory than there is.".to_owned()
        }
    }
}

fn read(message: JsValue) -> Result<Blob, HeicFailure> {
    message.dyn_into::<Blob>().map_err(|other| {
        let text = other.as_string().unwrap_or_default();
        serde_json::from_str(&text).unwrap_or(HeicFailure::Worker)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_says_what_is_wrong_and_what_to_do() {
        let damaged = sentence(&HeicFailure::Damaged);
        assert!(damaged.contains("damaged") && damaged.contains("Copy it"));
        for failure in [HeicFailure::Unsupported, HeicFailure::Worker] {
            let text = sentence(&failure);
            assert!(text.contains("save the photo as JPEG"), "{text}");
            assert!(!text.contains("damaged"), "{text}");
        }
        let large = HeicFailure::TooLarge {
            width: 9_000,
            height: 6_000,
        };
        assert_eq!(
            sentence(&large),
            "The photo has 9000 x 6000 pixels; up to 16384 per side and 50 million in all can be \
             opened."
        );
    }
}
