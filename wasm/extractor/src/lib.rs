//! Click-to-mask and the light region extractor, in a Web Worker.
//!
//! The worker's script calls `receive` with each message of the page: a request, or a canvas to draw
//! on. Answers go back as messages; `fclm_core::wire` defines both. What comes is done in order, one
//! after the other. The worker waits on the GPU without blocking; on the CPU it computes in one go,
//! which holds up nobody but the worker itself.
#![cfg(target_family = "wasm")]

mod download;
mod preview;
mod problem;
mod session;
mod surroundings;

use std::cell::RefCell;

use fclm_core::wire::{WorkerFailure, WorkerReply, WorkerRequest};
use futures::StreamExt;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::spawn_local;
use web_sys::OffscreenCanvas;

use problem::Problem;
use session::Session;
use surroundings::post;

/// What comes from the page.
enum Incoming {
    Request(WorkerRequest),
    Canvas(OffscreenCanvas),
}

thread_local! {
    static INCOMING: RefCell<Option<UnboundedSender<Incoming>>> = const { RefCell::new(None) };
}

#[expect(unsafe_code, reason = "what the linker makes has no safe interface")]
unsafe extern "C" {
    /// Made by the linker: all constructors of the module.
    fn __wasm_call_ctors();
}

/// Runs the module's constructors, once. Without a call to them the linker puts one in front of
/// every function that is exported, which costs milliseconds a message.
#[wasm_bindgen(start)]
#[expect(
    unsafe_code,
    reason = "no safe interface runs the module's constructors"
)]
pub fn construct() {
    // SAFETY: the linker makes the function, and wasm-bindgen calls this one once, before any other.
    unsafe { __wasm_call_ctors() }
}

/// Takes a message of the page: a `WorkerRequest` as JSON, or a canvas, which previews are drawn on
/// from then on.
#[wasm_bindgen]
pub fn receive(message: JsValue) {
    let incoming = match message.as_string() {
        Some(text) => serde_json::from_str(&text)
            .map(Incoming::Request)
            .map_err(|error| error.to_string()),
        None => message
            .dyn_into()
            .map(Incoming::Canvas)
            .map_err(|other| format!("it is {other:?}")),
    };
    match incoming {
        Ok(incoming) => take(incoming),
        Err(why) => {
            let message = format!("the page's message cannot be read: {why}");
            report(None, &Problem::new(WorkerFailure::BadRequest, message));
        }
    }
}

fn take(what: Incoming) {
    INCOMING.with_borrow_mut(|incoming| {
        let sender = incoming.get_or_insert_with(|| {
            console_error_panic_hook::set_once();
            let (sender, receiver) = unbounded();
            spawn_local(work(receiver));
            sender
        });
        // It is never closed: the receiver lives as long as the worker.
        let _ = sender.unbounded_send(what);
    });
}

/// Does what the page asks for, in order.
async fn work(mut incoming: UnboundedReceiver<Incoming>) {
    let mut session: Option<Session> = None;
    while let Some(what) = incoming.next().await {
        match what {
            Incoming::Request(request) => {
                let id = id_of(&request);
                match answer(&mut session, request).await {
                    Ok(reply) => post(&reply),
                    Err(problem) => report(id, &problem),
                }
            }
            Incoming::Canvas(canvas) => {
                // Without a model nothing is drawn on it, and the page hears so when it asks.
                if let Some(session) = &mut session {
                    session.attach(canvas).await;
                }
            }
        }
    }
}

async fn answer(
    session: &mut Option<Session>,
    request: WorkerRequest,
) -> Result<WorkerReply, Problem> {
    match request {
        WorkerRequest::Start { device, light } => {
            let (started, reply) = Session::start(device, &light).await?;
            *session = Some(started);
            Ok(reply)
        }
        WorkerRequest::Open { id, url } => {
            let encode_ms = loaded(session)?.open(&url).await?;
            Ok(WorkerReply::Opened { id, encode_ms })
        }
        WorkerRequest::Segment { id, prompt } => {
            let masks = loaded(session)?.segment(&prompt).await?;
            Ok(WorkerReply::Segmented { id, masks })
        }
        WorkerRequest::Preview { id, prompt, view } => {
            let is_drawn = loaded(session)?.preview(&prompt, &view).await?;
            Ok(WorkerReply::Previewed { id, is_drawn })
        }
        WorkerRequest::ClearPreview { id } => {
            loaded(session)?.clear_preview();
            Ok(WorkerReply::PreviewCleared { id })
        }
        WorkerRequest::Vector { id, mask } => {
            let values = loaded(session)?.vector(&mask).await?;
            Ok(WorkerReply::Vector { id, values })
        }
        WorkerRequest::Probe { id, prompt } => loaded(session)?.probe(id, &prompt).await,
    }
}

fn loaded(session: &mut Option<Session>) -> Result<&mut Session, Problem> {
    session.as_mut().ok_or_else(|| {
        let message = "the model is not loaded".to_owned();
        Problem::new(WorkerFailure::BadRequest, message)
    })
}

fn id_of(request: &WorkerRequest) -> Option<u32> {
    match request {
        WorkerRequest::Start { .. } => None,
        WorkerRequest::Open { id, .. }
        | WorkerRequest::Segment { id, .. }
        | WorkerRequest::Preview { id, .. }
        | WorkerRequest::ClearPreview { id }
        | WorkerRequest::Vector { id, .. }
        | WorkerRequest::Probe { id, .. } => Some(*id),
    }
}

fn report(id: Option<u32>, problem: &Problem) {
    post(&WorkerReply::Failed {
        id,
        failure: problem.failure,
        message: problem.to_string(),
    });
}
