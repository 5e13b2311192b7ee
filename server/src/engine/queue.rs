use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use fclm_core::wire::{
    ApiError, ErrorCode, MaskRle, Mode, ModelInfo, RegionMask, RunEvent, SegmentRequest,
};
use tokio::sync::{mpsc::UnboundedSender, oneshot, watch};

use super::{
    backend::{Backend, BackendError},
    worker::{Worker, panic_text},
};

/// What answers end with when the server goes down.
pub(super) const WENT_DOWN: &str =
    "The server went down while this answer was being written; ask again.";
/// What answers end with when the engine's thread fails.
const BROKE_DOWN: &str =
    "The model broke down while this answer was being written; the server's log says why.";

/// What the engine may hold.
#[derive(Debug, Clone, Copy)]
pub struct EngineOptions {
    /// Answers that may wait; more are turned away.
    pub queue: usize,
    /// Answers that take turns.
    pub active: usize,
    /// Memory for pictures' features, in bytes.
    pub feature_bytes: u64,
    /// Conversations whose keys and values are kept.
    pub sessions: u64,
    /// Most time that one answer may take, from when it starts.
    pub answer_time: Duration,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            queue: 16,
            active: 4,
            feature_bytes: 512 << 20,
            sessions: 8,
            answer_time: Duration::from_secs(600),
        }
    }
}

/// Whether the model is there.
#[derive(Debug, Clone, PartialEq)]
pub enum LoadState {
    /// Not yet.
    Loading,
    /// It answers.
    Ready(Arc<ModelInfo>),
    /// It never will; the sentence says why.
    Failed(String),
}

/// Why the engine does not take a request.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// As much waits as may.
    #[error("the queue is full")]
    Full {
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// The model is not loaded.
    #[error("the model is still loading")]
    Loading,
    /// The server is going down.
    #[error("the server is going down")]
    Closing,
    /// The model could not compute it.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// A stored picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSource {
    /// Of its bytes: equal pictures are encoded once.
    pub sha256: String,
    /// Where they are.
    pub path: PathBuf,
}

/// A question to the model.
#[derive(Debug, Clone)]
pub struct Question {
    /// The request that asks, by which the log is searched when the answer fails.
    pub request_id: Option<String>,
    /// The chat; what it computed before is used again.
    pub chat_id: String,
    /// The picture.
    pub image: ImageSource,
    /// What is wanted.
    pub mode: Mode,
    /// What the person wrote; `@k` names region k.
    pub text: String,
    /// The regions that it is about.
    pub regions: Vec<AskedRegion>,
}

/// A region that a question is about.
#[derive(Debug, Clone)]
pub struct AskedRegion {
    /// Its `@k`.
    pub number: usize,
    /// Its mask.
    pub mask: MaskRle,
    /// What a browser has computed of it with the served weights: finite numbers.
    pub vector: Option<Vec<f32>>,
}

pub(super) struct Job {
    pub(super) question: Question,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) events: UnboundedSender<RunEvent>,
    /// The place that was told last.
    told: Option<u32>,
}

impl Job {
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Sends an event; whoever listens may be gone, the run goes on without.
    pub(super) fn send(&self, event: RunEvent) {
        let _ = self.events.send(event);
    }

    /// Ends the answer as failed.
    pub(super) fn fail(&self, code: ErrorCode, message: &str) {
        self.send(RunEvent::Error(ApiError {
            code,
            message: message.to_owned(),
            param: None,
            request_id: self.question.request_id.clone(),
        }));
    }
}

pub(super) struct SegmentJob {
    pub(super) image: ImageSource,
    pub(super) request: SegmentRequest,
    pub(super) reply: oneshot::Sender<Result<Vec<RegionMask>, BackendError>>,
}

pub(super) struct State {
    pub(super) waiting: VecDeque<Job>,
    pub(super) segments: VecDeque<SegmentJob>,
    pub(super) active: usize,
    /// How long an answer takes, as a moving average.
    pub(super) answer_time: Duration,
    reserved: usize,
    closing: bool,
    pub(super) aborting: bool,
}

impl State {
    /// Tells waiting answers their place where it has changed.
    pub(super) fn tell_places(&mut self) {
        let (active, time) = (self.active, self.answer_time);
        for (index, job) in self.waiting.iter_mut().enumerate() {
            let position = u32::try_from(active + index).unwrap_or(u32::MAX);
            if job.told == Some(position) {
                continue;
            }
            job.told = Some(position);
            let eta = time.saturating_mul(position);
            let eta_ms = u32::try_from(eta.as_millis()).unwrap_or(u32::MAX);
            job.send(RunEvent::Queue { position, eta_ms });
        }
    }
}

pub(super) struct Shared {
    state: Mutex<State>,
    pub(super) wake: Condvar,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is a single step, so a panic leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The way to the engine's thread. Dropping the last one ends the thread.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    load: watch::Receiver<LoadState>,
    options: EngineOptions,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("load", &*self.inner.load.borrow())
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.lock().aborting = true;
        self.shared.wake.notify_all();
    }
}

impl Engine {
    /// Starts the thread, which loads the model and then serves it.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start<B: Backend>(
        options: EngineOptions,
        load: impl FnOnce() -> Result<B, String> + Send + 'static,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                segments: VecDeque::new(),
                active: 0,
                answer_time: Duration::from_secs(3),
                reserved: 0,
                closing: false,
                aborting: false,
            }),
            wake: Condvar::new(),
        });
        let (announce, load_state) = watch::channel(LoadState::Loading);
        let for_thread = Arc::clone(&shared);
        thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || load_and_work(load, options, for_thread, &announce))?;
        Ok(Self {
            inner: Arc::new(Inner {
                shared,
                load: load_state,
                options,
            }),
        })
    }

    /// Whether the model is there.
    pub fn load_state(&self) -> LoadState {
        self.inner.load.borrow().clone()
    }

    /// Waits until the model is loaded or has failed to.
    pub async fn loaded(&self) -> LoadState {
        let mut load = self.inner.load.clone();
        match load.wait_for(|state| *state != LoadState::Loading).await {
            Ok(state) => state.clone(),
            Err(_) => LoadState::Failed("the model's thread ended while loading".to_owned()),
        }
    }

    /// Waits until the model can answer no more, and says why. A thread that ends in good order
    /// has not failed.
    pub async fn failed(&self) -> String {
        let mut load = self.inner.load.clone();
        let failed = load.wait_for(|state| matches!(state, LoadState::Failed(_)));
        match failed.await.map(|state| state.clone()) {
            Ok(LoadState::Failed(why)) => why,
            _ => std::future::pending().await,
        }
    }

    /// Keeps a place in the queue, so that a question can be stored before it is asked.
    ///
    /// # Errors
    /// Where the queue is full, the model is not there, or the server is going down.
    pub fn reserve(&self) -> Result<Permit, EngineError> {
        self.check_ready()?;
        let mut state = self.inner.shared.lock();
        if state.closing || state.aborting {
            return Err(EngineError::Closing);
        }
        let ahead = state.waiting.len() + state.reserved;
        if ahead >= self.inner.options.queue {
            return Err(EngineError::Full {
                retry_after: state.answer_time,
            });
        }
        state.reserved += 1;
        Ok(Permit {
            engine: Some(self.clone()),
        })
    }

    /// Turns points and a box into masks.
    ///
    /// # Errors
    /// Where too much waits, the model is not there, or it cannot compute the masks.
    pub async fn segment(
        &self,
        image: ImageSource,
        request: SegmentRequest,
    ) -> Result<Vec<RegionMask>, EngineError> {
        self.check_ready()?;
        let (reply, answer) = oneshot::channel();
        {
            let mut state = self.inner.shared.lock();
            if state.closing || state.aborting {
                return Err(EngineError::Closing);
            }
            if state.segments.len() >= self.inner.options.queue {
                return Err(EngineError::Full {
                    retry_after: Duration::from_secs(1),
                });
            }
            state.segments.push_back(SegmentJob {
                image,
                request,
                reply,
            });
        }
        self.inner.shared.wake.notify_all();
        match answer.await {
            Ok(masks) => Ok(masks?),
            Err(_) => Err(EngineError::Closing),
        }
    }

    /// Takes nothing new from now on; what waits is still answered.
    pub fn close(&self) {
        self.inner.shared.lock().closing = true;
    }

    /// Ends every answer as failed, and then the thread.
    pub fn abort(&self) {
        let mut state = self.inner.shared.lock();
        state.closing = true;
        state.aborting = true;
        drop(state);
        self.inner.shared.wake.notify_all();
    }

    fn check_ready(&self) -> Result<(), EngineError> {
        match &*self.inner.load.borrow() {
            LoadState::Ready(_) => Ok(()),
            LoadState::Loading => Err(EngineError::Loading),
            LoadState::Failed(_) => Err(EngineError::Closing),
        }
    }
}

/// A place in the queue.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    engine: Option<Engine>,
}

impl Permit {
    /// Asks. Events come through `events`, the last one always; setting `stop` ends the answer.
    pub fn submit(
        mut self,
        question: Question,
        stop: Arc<AtomicBool>,
        events: UnboundedSender<RunEvent>,
    ) {
        let Some(engine) = self.engine.take() else {
            return;
        };
        let shared = &engine.inner.shared;
        let job = Job {
            question,
            stop,
            events,
            told: None,
        };
        let mut state = shared.lock();
        state.reserved -= 1;
        if state.aborting {
            // The thread may have looked at the queue for the last time.
            job.fail(ErrorCode::Unavailable, WENT_DOWN);
            return;
        }
        state.waiting.push_back(job);
        state.tell_places();
        drop(state);
        shared.wake.notify_all();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.take() {
            engine.inner.shared.lock().reserved -= 1;
        }
    }
}

/// What the thread does. Where it panics, everybody who waits for it is told.
fn load_and_work<B: Backend>(
    load: impl FnOnce() -> Result<B, String>,
    options: EngineOptions,
    shared: Arc<Shared>,
    announce: &watch::Sender<LoadState>,
) {
    let load = || -> Result<(B, ModelInfo), String> {
        let backend = load()?;
        let info = backend.info();
        Ok((backend, info))
    };
    let loaded = catch_unwind(AssertUnwindSafe(load)).unwrap_or_else(|panic| {
        Err(format!(
            "loading the model panicked: {}",
            panic_text(&*panic)
        ))
    });
    let (backend, info) = match loaded {
        Ok(loaded) => loaded,
        Err(why) => {
            announce.send_replace(LoadState::Failed(why));
            return;
        }
    };
    announce.send_replace(LoadState::Ready(Arc::new(info)));
    let mut worker = Worker::new(backend, options, shared);
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| worker.run())) {
        let why = format!("the model's thread panicked: {}", panic_text(&*panic));
        // Announced first, so that whoever hears the end of an answer finds the model gone.
        announce.send_replace(LoadState::Failed(why));
        worker.end_all(ErrorCode::Internal, BROKE_DOWN);
    }
}
