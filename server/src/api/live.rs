use std::{
    collections::HashMap,
    ops::Deref,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use fclm_core::wire::{FinishReason, RunEvent};
use tokio::{
    sync::{mpsc::UnboundedReceiver, watch},
    task::JoinHandle,
};
use tokio_util::task::TaskTracker;

use super::{AppError, trace::of_request};
use crate::store::{Store, StoreError};

/// Events that are stored in one step at most.
const BATCH: usize = 256;

/// The runs that are being written in this process. A run belongs to the server: readers come and
/// go, and the run goes on.
#[derive(Debug, Default)]
pub(super) struct LiveRuns {
    runs: Mutex<HashMap<String, Arc<LiveRun>>>,
    /// What must be stored before the server goes down.
    tasks: TaskTracker,
}

/// The right to write a run. One that is given up before the run's last event, because its task
/// ended early, ends the run as failed: neither its readers nor its chat wait for ever.
#[derive(Debug)]
pub(super) struct OpenRun {
    runs: Arc<LiveRuns>,
    run: Arc<LiveRun>,
}

/// A run that is being written, with its events so far.
#[derive(Debug)]
pub(super) struct LiveRun {
    id: String,
    chat_id: String,
    stop: Arc<AtomicBool>,
    events: Mutex<Vec<RunEvent>>,
    count: watch::Sender<usize>,
}

impl LiveRuns {
    /// Makes a run live.
    ///
    /// # Errors
    /// [`AppError::Conflict`] where another run of the chat is live.
    pub(super) fn open(self: &Arc<Self>, run_id: &str, chat_id: &str) -> Result<OpenRun, AppError> {
        let mut runs = self.lock();
        // A run leaves the map a moment after its readers have seen its last event.
        if runs
            .values()
            .any(|run| run.chat_id == chat_id && !run.is_over())
        {
            return Err(AppError::Conflict);
        }
        let run = Arc::new(LiveRun {
            id: run_id.to_owned(),
            chat_id: chat_id.to_owned(),
            stop: Arc::default(),
            events: Mutex::default(),
            count: watch::Sender::new(0),
        });
        runs.insert(run_id.to_owned(), Arc::clone(&run));
        Ok(OpenRun {
            runs: Arc::clone(self),
            run,
        })
    }

    pub(super) fn get(&self, run_id: &str) -> Option<Arc<LiveRun>> {
        self.lock().get(run_id).cloned()
    }

    /// Stops what is being written in a chat.
    pub(super) fn stop_chat(&self, chat_id: &str) {
        self.lock()
            .values()
            .filter(|run| run.chat_id == chat_id)
            .for_each(|run| run.stop());
    }

    /// Stores and publishes what the engine writes, on a task of its own.
    pub(super) fn record(
        &self,
        store: Arc<Store>,
        run: OpenRun,
        events: UnboundedReceiver<RunEvent>,
    ) {
        drop(self.spawn(async move { run.record(&store, events).await }));
    }

    /// Does what must come to its end even if the client leaves now, on a task of its own.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.tasks.spawn(of_request(work))
    }

    /// Waits until everything that was being written is stored.
    pub(super) async fn finished(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<LiveRun>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deref for OpenRun {
    type Target = LiveRun;

    fn deref(&self) -> &LiveRun {
        &self.run
    }
}

impl Drop for OpenRun {
    fn drop(&mut self) {
        if !self.run.is_over() {
            self.run.publish(vec![left_unfinished()]);
        }
        self.runs.lock().remove(&self.run.id);
    }
}

impl LiveRun {
    /// What the engine looks at between two tokens.
    pub(super) fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// The events after the first `seen` ones; waits until there is one.
    pub(super) async fn after(&self, seen: usize) -> Vec<RunEvent> {
        let mut count = self.count.subscribe();
        // An error means that nothing more will come.
        let _ = count.wait_for(|&count| count > seen).await;
        self.events().get(seen..).unwrap_or_default().to_vec()
    }

    /// Whether the run has ended.
    pub(super) fn is_over(&self) -> bool {
        self.events().last().is_some_and(RunEvent::is_last)
    }

    pub(super) fn len(&self) -> usize {
        self.events().len()
    }

    fn events(&self) -> MutexGuard<'_, Vec<RunEvent>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, new: Vec<RunEvent>) {
        let mut events = self.events();
        events.extend(new);
        let count = events.len();
        drop(events);
        self.count.send_replace(count);
    }

    /// Nothing is published that is not stored: what a reader has seen is there after a crash.
    async fn record(&self, store: &Store, mut events: UnboundedReceiver<RunEvent>) {
        let mut batch = Vec::new();
        loop {
            if events.recv_many(&mut batch, BATCH).await == 0 {
                tracing::error!("the engine has dropped an answer");
                batch.push(left_unfinished());
            }
            let new = joined(std::mem::take(&mut batch));
            let is_last = new.iter().any(RunEvent::is_last);
            let first = self.len() as u64 + 1;
            match store.append_events(&self.id, first, &new).await {
                Ok(()) => self.publish(new),
                Err(StoreError::Missing(_)) => {
                    // The chat was deleted.
                    self.stop();
                    self.publish(vec![RunEvent::Done {
                        finish: FinishReason::Cancelled,
                    }]);
                    return;
                }
                Err(error) => {
                    tracing::error!(%error, "an answer's events could not be stored");
                    self.stop();
                    let error = AppError::from(error);
                    self.publish(vec![RunEvent::Error(error.to_wire())]);
                    return;
                }
            }
            if is_last {
                return;
            }
        }
    }
}

fn left_unfinished() -> RunEvent {
    let why = AppError::Internal("an answer was left unfinished".into());
    RunEvent::Error(why.to_wire())
}

/// Joins pieces of text that came together.
fn joined(events: Vec<RunEvent>) -> Vec<RunEvent> {
    let mut joined: Vec<RunEvent> = Vec::with_capacity(events.len());
    for event in events {
        match (joined.last_mut(), event) {
            (Some(RunEvent::Text { delta }), RunEvent::Text { delta: more }) => {
                delta.push_str(&more);
            }
            (_, event) => joined.push(event),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chat_has_one_live_run() {
        let runs = Arc::new(LiveRuns::default());
        let first = runs.open("r1", "c1").expect("the first");
        let _other = runs.open("r2", "c2").expect("another chat");
        assert!(matches!(runs.open("r3", "c1"), Err(AppError::Conflict)));
        first.publish(vec![RunEvent::Done {
            finish: FinishReason::Stop,
        }]);
        // Whoever has seen the end may ask at once, though the writer is still there.
        let next = runs.open("r3", "c1").expect("free again");
        assert!(matches!(runs.open("r4", "c1"), Err(AppError::Conflict)));
        drop(next);
        runs.open("r4", "c1").expect("free again");
    }

    async fn broken_writer(_: OpenRun) {
        panic!("asked to");
    }

    #[tokio::test]
    async fn a_run_whose_writer_is_gone_has_failed() {
        let runs = Arc::new(LiveRuns::default());
        let open = runs.open("r1", "c1").expect("the first");
        let reader = runs.get("r1").expect("it is live");
        assert!(runs.spawn(broken_writer(open)).await.is_err());
        let events = reader.after(0).await;
        assert!(matches!(events[..], [RunEvent::Error(_)]), "{events:?}");
        assert!(runs.get("r1").is_none());
    }

    #[test]
    fn pieces_of_text_are_joined() {
        let text = |delta: &str| RunEvent::Text {
            delta: delta.to_owned(),
        };
        let done = RunEvent::Done {
            finish: FinishReason::Stop,
        };
        let events = joined(vec![text("a"), text(" b"), done.clone()]);
        assert_eq!(events, [text("a b"), done]);
    }
}
