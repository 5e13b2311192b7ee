//! What the threads of a page did, as the browser itself records it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chromiumoxide::cdp::browser_protocol::tracing::{
    EndParams, EventDataCollected, EventTracingComplete, StartParams, StartTransferMode,
    TraceConfig,
};
use futures::StreamExt;
use serde_json::Value;
use tokio::task::JoinHandle;

use super::Tab;

/// The events in which threads tell of their tasks.
const CATEGORY: &str = "toplevel";
/// How long a piece of a recording may be on its way when its end is told.
const LATE: Duration = Duration::from_millis(300);

/// A recording that goes on.
#[must_use]
#[derive(Debug)]
pub struct Trace {
    events: Arc<Mutex<Vec<Value>>>,
    complete: JoinHandle<()>,
    collect: JoinHandle<()>,
}

/// A task of a page's main thread.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    /// When it began, in milliseconds of the browser's clock.
    pub start: f64,
    /// Milliseconds until its end.
    pub length: f64,
    /// Milliseconds of these in which the thread had a processor; none where that is not measured.
    pub own: Option<f64>,
}

impl Tab {
    /// Records what the browser's threads do from here on.
    ///
    /// # Panics
    /// If the browser refuses.
    pub async fn record(&self) -> Trace {
        let events = Arc::new(Mutex::new(Vec::new()));
        let mut pieces = self
            .page
            .event_listener::<EventDataCollected>()
            .await
            .expect("recorded events");
        let mut ends = self
            .page
            .event_listener::<EventTracingComplete>()
            .await
            .expect("a recording's end");
        let heard = Arc::clone(&events);
        let collect = tokio::spawn(async move {
            while let Some(piece) = pieces.next().await {
                let mut events = heard.lock().expect("nobody fails with the events");
                events.extend(piece.value.iter().cloned());
            }
        });
        let complete = tokio::spawn(async move {
            let end = ends.next().await.expect("the recording ends");
            assert!(!end.data_loss_occurred, "the recording has gaps");
        });
        let config = TraceConfig::builder().included_categorie(CATEGORY);
        let parameters = StartParams::builder()
            .trace_config(config.build())
            .transfer_mode(StartTransferMode::ReportEvents);
        self.page
            .execute(parameters.build())
            .await
            .expect("the browser records");
        Trace {
            events,
            complete,
            collect,
        }
    }

    /// Ends a recording; its events, in the format of `chrome://tracing`.
    ///
    /// # Panics
    /// If the browser does not end it, or has lost a part.
    pub async fn recorded(&self, trace: Trace) -> Vec<Value> {
        self.page
            .execute(EndParams::default())
            .await
            .expect("the browser ends the recording");
        trace.complete.await.expect("the recording is whole");
        // The last piece comes before the end is told, but by another listener.
        tokio::time::sleep(LATE).await;
        trace.collect.abort();
        std::mem::take(&mut *trace.events.lock().expect("nobody fails with the events"))
    }
}

/// The tasks of the main threads of pages, in their order.
#[must_use]
pub fn main_tasks(events: &[Value]) -> Vec<Task> {
    let thread = |event: &Value| (event["pid"].as_i64(), event["tid"].as_i64());
    let names = events
        .iter()
        .filter(|event| event["name"] == "thread_name")
        .map(|event| (thread(event), event["args"]["name"].as_str()));
    let names: HashMap<_, _> = names.collect();
    let is_main = |event: &Value| names.get(&thread(event)) == Some(&Some("CrRendererMain"));
    let ms = |event: &Value, key: &str| event[key].as_f64().map(|micro| micro / 1000.0);
    let mut tasks: Vec<Task> = events
        .iter()
        .filter(|event| {
            event["ph"] == "X"
                && event["name"]
                    .as_str()
                    .is_some_and(|name| name.ends_with("RunTask"))
        })
        .filter(|event| is_main(event))
        .filter_map(|event| {
            Some(Task {
                start: ms(event, "ts")?,
                length: ms(event, "dur")?,
                own: ms(event, "tdur"),
            })
        })
        .collect();
    tasks.sort_by(|a, b| a.start.total_cmp(&b.start));
    tasks
}
