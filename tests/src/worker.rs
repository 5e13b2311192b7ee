//! Workers that make masks: one of a test's own, which is spoken to as the page speaks to its
//! worker, and what the page and its workers say to each other.

use std::time::{Duration, Instant};

use fclm_core::wire::{LightInfo, ModelInfo, WorkerReply, WorkerRequest};
use serde::Deserialize;
use serde_json::Value;

use crate::browser::Tab;
use crate::served::Served;

/// How long a worker may take; the longest is to prepare a GPU that the CPU computes.
const PATIENCE: Duration = Duration::from_secs(400);
/// The element that says where the page makes masks.
pub const PLACE: &str = "document.querySelector('[data-testid=mask-place]')";
/// Keeps all texts between the page and its workers in `window.said`.
const LISTEN: &str = "(() => {
    const said = window.said = [], numbers = new Map();
    window.spokenTo = [];
    const note = (worker, message) => {
        if (typeof message !== 'string') return;
        said.push({ worker: numbers.get(worker), at: performance.now(),
            message: JSON.parse(message) });
    };
    const { postMessage, terminate } = Worker.prototype;
    Worker.prototype.postMessage = function (message, ...rest) {
        if (!numbers.has(this)) {
            numbers.set(this, window.spokenTo.push(this) - 1);
            this.addEventListener('message', (event) => note(this, event.data));
        }
        note(this, message);
        return postMessage.call(this, message, ...rest);
    };
    Worker.prototype.terminate = function () {
        note(this, JSON.stringify({ request: 'terminate' }));
        return terminate.call(this);
    };
    return true; })()";

/// What a worker of a test's own has said.
#[derive(Debug, Deserialize)]
pub struct Heard {
    /// One answer to each request, in their order.
    pub answers: Vec<WorkerReply>,
    /// Its reports while the weights came: bytes that were there, and in all.
    pub progress: Vec<(u64, u64)>,
}

/// A message between the page and one of its workers.
#[derive(Debug, Deserialize)]
pub struct Said {
    /// How many workers the page had spoken to before it first spoke to this one.
    pub worker: usize,
    /// When it was said or heard, in milliseconds of the page's clock.
    pub at: f64,
    /// A `WorkerRequest` or a `WorkerReply`; `terminate` where the page ends the worker.
    pub message: Value,
}

/// What the server tells browsers of the part of its model that they can compute with.
///
/// # Panics
/// If browsers are offered none.
pub async fn light_of(served: &Served) -> LightInfo {
    let model: ModelInfo = served.get("/api/v1/model").await;
    model.light.expect("the light part is small enough")
}

/// Makes the page believe that the GPU was the faster one on an earlier visit.
pub async fn prefer_gpu(tab: &Tab, light: &LightInfo) {
    let choice = format!(
        "localStorage.setItem('fclm.extractor', \
         JSON.stringify({{ sha256: '{}', device: 'gpu' }})) ?? true",
        light.sha256
    );
    let _: bool = tab.evaluate(&choice).await;
}

/// The answers of a new worker to requests: one to each, in their order.
///
/// # Panics
/// As [`heard`].
pub async fn answers(tab: &Tab, requests: &[WorkerRequest]) -> Vec<WorkerReply> {
    heard(tab, requests).await.answers
}

/// What a new worker says to requests; the one that was made before it is ended.
///
/// # Panics
/// If the page has no worker, or a request fails or is not answered.
pub async fn heard(tab: &Tab, requests: &[WorkerRequest]) -> Heard {
    let texts = serde_json::to_string(requests).expect("requests are JSON");
    let is_there: bool = tab
        .evaluate(&format!(
            "(() => {{ const boot = JSON.parse(document.getElementById('fclm-boot').textContent);
             if (!boot.extractor) return false;
             window.heardWorker?.terminate();
             const worker = window.heardWorker = new Worker(boot.extractor, {{ type: 'module' }});
             const {{ answers, progress }} = window.heard = {{ answers: [], progress: [] }};
             const hear = reply => {{
                 if (reply.reply === 'progress') progress.push([reply.loaded, reply.total]);
                 else answers.push(reply); }};
             worker.onmessage = event => hear(JSON.parse(event.data));
             worker.onerror = event => hear({{ reply: 'failed', id: null, failure: 'device',
                 message: String(event.message) }});
             for (const request of {texts}) worker.postMessage(JSON.stringify(request));
             return true; }})()"
        ))
        .await;
    assert!(is_there, "the page was built without its worker");
    let started = Instant::now();
    loop {
        let failure: Option<String> = tab
            .evaluate(
                "window.heard.answers.find(reply => reply.reply === 'failed')?.message ?? null",
            )
            .await;
        assert_eq!(failure, None, "the worker failed");
        let count: usize = tab.evaluate("window.heard.answers.length").await;
        if count == requests.len() {
            return tab.evaluate("window.heard").await;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "after {count} of {} answers nothing comes",
            requests.len()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Keeps what the page and its workers say to each other from here on, until the page is loaded
/// anew. Of workers that run already, it keeps what comes after the page's next request to them.
///
/// # Panics
/// If the browser refuses.
pub async fn listen(tab: &Tab) {
    let is_kept: bool = tab.evaluate(LISTEN).await;
    assert!(is_kept);
}

/// The requests or replies of a kind that were said since [`listen`].
///
/// # Panics
/// If nothing is kept.
pub async fn said(tab: &Tab, kind: &str) -> Vec<Said> {
    tab.evaluate(&format!(
        "window.said.filter(({{ message }}) => (message.request ?? message.reply) === '{kind}')"
    ))
    .await
}

/// Asks a worker of the page, the page apart; see [`Said::worker`]. Its id must be none of the
/// page's own.
///
/// # Panics
/// If there is none of that number.
pub async fn ask(tab: &Tab, worker: usize, request: &WorkerRequest) {
    let text = serde_json::to_string(request).expect("a request is JSON");
    let text = serde_json::to_string(&text).expect("a text is JSON");
    let _: bool = tab
        .evaluate(&format!(
            "(window.spokenTo[{worker}].postMessage({text}), true)"
        ))
        .await;
}

/// Waits until the workers have answered all that the page has asked since [`listen`], which must
/// be something.
///
/// # Panics
/// If an answer does not come.
pub async fn wait_until_idle(tab: &Tab) {
    tab.wait_until(
        "the worker has not answered",
        "(() => { const count = (kind) => window.said
             .filter(({ message }) => kind in message && message.id !== undefined).length;
         return count('request') > 0 && count('request') === count('reply'); })()",
    )
    .await;
}

/// Waits until the page makes masks in a place: `server`, `cpu` or `gpu`.
///
/// # Panics
/// If it makes them elsewhere for too long.
pub async fn wait_for_place(tab: &Tab, wanted: &str) {
    let started = Instant::now();
    loop {
        let now = place(tab).await;
        if now == wanted {
            return;
        }
        let why = why(tab).await;
        assert!(
            started.elapsed() < PATIENCE,
            "masks are made at {now:?} instead of {wanted}: {why:?}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Where the page makes masks: `loading`, `server`, `cpu` or `gpu`; empty where it does not say.
///
/// # Panics
/// As [`Tab::evaluate`].
pub async fn place(tab: &Tab) -> String {
    tab.evaluate(&format!("{PLACE}?.dataset.place ?? ''")).await
}

/// What the page says of the device that was tried in vain; empty where none was.
///
/// # Panics
/// As [`Tab::evaluate`].
pub async fn why(tab: &Tab) -> String {
    tab.evaluate(&format!("{PLACE}?.title ?? ''")).await
}
