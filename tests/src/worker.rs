//! A worker of a test's own, which is spoken to as the page speaks to its worker.

use std::time::{Duration, Instant};

use fclm_core::wire::{WorkerReply, WorkerRequest};

use crate::browser::Tab;

/// How long a worker may take; the longest is to prepare a GPU that the CPU computes.
const PATIENCE: Duration = Duration::from_secs(400);
/// What says where the page makes masks.
const PLACE: &str = "document.querySelector('[data-testid=mask-place]')";

/// The answers of a new worker to requests: one to each, in their order, without its reports of
/// progress.
///
/// # Panics
/// If the page has no worker, or a request fails or is not answered.
pub async fn answers(tab: &Tab, requests: &[WorkerRequest]) -> Vec<WorkerReply> {
    let texts = serde_json::to_string(requests).expect("requests are JSON");
    let is_there: bool = tab
        .evaluate(&format!(
            "(() => {{ const boot = JSON.parse(document.getElementById('fclm-boot').textContent);
             if (!boot.extractor) return false;
             const worker = new Worker(boot.extractor, {{ type: 'module' }});
             window.heard = [];
             const hear = reply => {{ if (reply.reply !== 'progress') window.heard.push(reply); }};
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
            .evaluate("window.heard.find(reply => reply.reply === 'failed')?.message ?? null")
            .await;
        assert_eq!(failure, None, "the worker failed");
        let count: usize = tab.evaluate("window.heard.length").await;
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

/// Waits until the page makes masks in a place: `server`, `cpu` or `gpu`.
///
/// # Panics
/// If it makes them elsewhere for too long.
pub async fn wait_for_place(tab: &Tab, place: &str) {
    let started = Instant::now();
    loop {
        let [now, why]: [Option<String>; 2] = tab
            .evaluate(&format!(
                "[{PLACE}?.dataset.place ?? null, {PLACE}?.title ?? null]"
            ))
            .await;
        if now.as_deref() == Some(place) {
            return;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "masks are made at {now:?} instead of {place}: {why:?}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
