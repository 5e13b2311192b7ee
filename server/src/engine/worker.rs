use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use fclm_core::{
    mask::Mask,
    wire::{ErrorCode, FinishReason, MaskRle, RegionMask, RunEvent, Usage},
};
use image::{ImageReader, RgbImage};
use sha2::{Digest, Sha256};

use super::{
    backend::{Backend, BackendError, Prompt, PromptRegion, Step},
    cache::Lru,
    queue::{AskedRegion, EngineOptions, ImageSource, Job, SegmentJob, Shared, WENT_DOWN},
};

/// Decoded pictures that are kept for the next region, in bytes.
const DECODED_BYTES: u64 = 256 << 20;
/// Regions whose tokens are kept.
const KEPT_REGIONS: u64 = 256;
/// How often a thread without work looks around by itself.
const IDLE: Duration = Duration::from_millis(500);

/// What the engine's thread runs.
pub(super) struct Worker<B: Backend> {
    backend: B,
    options: EngineOptions,
    shared: Arc<Shared>,
    active: Vec<Active<B>>,
    kept: Kept<B>,
}

/// What was computed before and may be wanted again.
struct Kept<B: Backend> {
    decoded: Lru<String, Arc<RgbImage>>,
    features: Lru<String, B::Features>,
    regions: Lru<u64, B::Region>,
    sessions: Lru<String, B::Session>,
}

struct Active<B: Backend> {
    job: Job,
    answer: B::Answer,
    started: Instant,
    first: Option<Duration>,
}

/// What to do next.
enum Turn {
    Segment(SegmentJob),
    Admit(Job),
    Write,
    End,
}

/// What has become of an answer after one more token.
enum Progress {
    GoesOn,
    Ended,
    Broken,
}

impl<B: Backend> Worker<B> {
    pub(super) fn new(backend: B, options: EngineOptions, shared: Arc<Shared>) -> Self {
        let kept = Kept {
            decoded: Lru::new(DECODED_BYTES),
            features: Lru::new(options.feature_bytes),
            regions: Lru::new(KEPT_REGIONS),
            sessions: Lru::new(options.sessions),
        };
        Self {
            backend,
            options,
            shared,
            active: Vec::new(),
            kept,
        }
    }

    /// Works until it is told to end.
    pub(super) fn run(&mut self) {
        loop {
            match self.next_turn() {
                Turn::Segment(job) => self.segment(job),
                Turn::Admit(job) => self.admit(job),
                Turn::Write => {}
                Turn::End => return self.end_all(ErrorCode::Unavailable, WENT_DOWN),
            }
            self.write_round();
        }
    }

    /// Chooses between clicks, which a person waits for, a new answer, and going on writing.
    fn next_turn(&self) -> Turn {
        let mut state = self.shared.lock();
        loop {
            if state.aborting {
                return Turn::End;
            }
            state.active = self.active.len();
            let stopped = state.waiting.iter().position(Job::is_stopped);
            if let Some(job) = stopped.and_then(|index| state.waiting.remove(index)) {
                job.send(RunEvent::Done {
                    finish: FinishReason::Cancelled,
                });
                continue;
            }
            state.tell_places();
            if let Some(job) = state.segments.pop_front() {
                return Turn::Segment(job);
            }
            if self.active.len() < self.options.active
                && let Some(job) = state.waiting.pop_front()
            {
                state.active += 1;
                state.tell_places();
                return Turn::Admit(job);
            }
            if !self.active.is_empty() {
                return Turn::Write;
            }
            let woken = self.shared.wake.wait_timeout(state, IDLE);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn segment(&mut self, job: SegmentJob) {
        if job.reply.is_closed() {
            return;
        }
        let Self { backend, kept, .. } = self;
        let masks = guarded(|| -> Result<Vec<RegionMask>, BackendError> {
            let features = kept.features(backend, &job.image)?;
            backend.segment(&features, &job.request)
        });
        // The person may have left meanwhile.
        let _ = job.reply.send(masks);
    }

    fn admit(&mut self, job: Job) {
        let started = Instant::now();
        let Self {
            backend,
            kept,
            active,
            ..
        } = self;
        match guarded(|| kept.begin(backend, &job)) {
            Ok(answer) => active.push(Active {
                job,
                answer,
                started,
                first: None,
            }),
            Err(error) => fail(&job, error),
        }
    }

    /// One token of each answer that is being written.
    fn write_round(&mut self) {
        let mut index = 0;
        while let Some(active) = self.active.get_mut(index) {
            match active.write(&self.backend, self.options.answer_time) {
                Progress::GoesOn => index += 1,
                Progress::Ended => {
                    let ended = self.active.swap_remove(index);
                    self.leave(ended);
                }
                Progress::Broken => drop(self.active.swap_remove(index)),
            }
        }
    }

    /// Keeps what an answer that has ended leaves, and learns how long it took.
    fn leave(&mut self, ended: Active<B>) {
        let Active {
            job,
            answer,
            started,
            ..
        } = ended;
        let session = self.backend.end(answer);
        self.kept.sessions.insert(job.question.chat_id, session, 1);
        let mut state = self.shared.lock();
        state.answer_time = (state.answer_time * 3 + started.elapsed()) / 4;
    }

    /// Ends every answer as failed; nothing is taken any more.
    pub(super) fn end_all(&mut self, code: ErrorCode, message: &str) {
        let mut state = self.shared.lock();
        state.aborting = true;
        let waiting = std::mem::take(&mut state.waiting);
        state.segments.clear();
        drop(state);
        let active = self.active.drain(..).map(|active| active.job);
        for job in active.chain(waiting) {
            job.fail(code, message);
        }
    }
}

impl<B: Backend> Active<B> {
    fn write(&mut self, backend: &B, limit: Duration) -> Progress {
        let Self {
            job,
            answer,
            started,
            first,
        } = self;
        let ended_by_us = if job.is_stopped() {
            Some(FinishReason::Cancelled)
        } else if started.elapsed() > limit {
            Some(FinishReason::Length)
        } else {
            None
        };
        let step = match ended_by_us {
            Some(finish) => Ok(Step {
                events: Vec::new(),
                finish: Some(finish),
            }),
            None => guarded(|| backend.step(answer)),
        };
        let step = match step {
            Ok(step) => step,
            Err(error) => {
                fail(job, error);
                return Progress::Broken;
            }
        };
        if !step.events.is_empty() {
            first.get_or_insert_with(|| started.elapsed());
        }
        step.events.into_iter().for_each(|event| job.send(event));
        let Some(finish) = step.finish else {
            return Progress::GoesOn;
        };
        let counts = backend.counts(answer);
        let total = started.elapsed();
        job.send(RunEvent::Usage(Usage {
            prompt_tokens: counts.prompt,
            cached_tokens: counts.cached,
            completion_tokens: counts.written,
            first_token_ms: milliseconds(first.unwrap_or(total)),
            total_ms: milliseconds(total),
        }));
        job.send(RunEvent::Done { finish });
        Progress::Ended
    }
}

impl<B: Backend> Kept<B> {
    fn begin(&mut self, backend: &B, job: &Job) -> Result<B::Answer, BackendError> {
        let question = &job.question;
        let features = self.features(backend, &question.image)?;
        let mut regions = Vec::with_capacity(question.regions.len());
        for asked in &question.regions {
            let (key, tokens) = self.region(backend, &features, &question.image, asked)?;
            regions.push(PromptRegion {
                number: asked.number,
                key,
                tokens,
            });
        }
        let prompt = Prompt {
            image_key: key_of(&[question.image.sha256.as_bytes()]),
            features: &features,
            mode: question.mode,
            text: &question.text,
            regions,
        };
        let session = self.sessions.take(&question.chat_id);
        backend.begin(prompt, session)
    }

    /// A region's tokens, and the key that says which they are. Those that go back to a browser's
    /// vector have a key of their own: nobody who has not sent that vector gets them.
    fn region(
        &mut self,
        backend: &B,
        features: &B::Features,
        source: &ImageSource,
        asked: &AskedRegion,
    ) -> Result<(u64, B::Region), BackendError> {
        let (image_key, mask_key) = (source.sha256.as_bytes(), mask_bytes(&asked.mask));
        let key = key_of(&[image_key, &mask_key]);
        if let Some(tokens) = self.regions.get(&key) {
            return Ok((key, tokens.clone()));
        }
        let read = |pixels: u64| {
            Mask::from_wire(&asked.mask, pixels).map_err(|error| BackendError::Refused {
                code: ErrorCode::BadRegion,
                message: format!("Region @{} cannot be used: {error}.", asked.number),
            })
        };
        if let Some(vector) = &asked.vector {
            let bytes: Vec<u8> = vector
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            let own_key = key_of(&[image_key, &mask_key, &bytes]);
            if let Some(tokens) = self.regions.get(&own_key) {
                return Ok((own_key, tokens.clone()));
            }
            // The mask has the picture's size; that was checked before it was stored.
            let [height, width] = asked.mask.size;
            let mask = read(u64::from(height) * u64::from(width))?;
            if let Some(tokens) = backend.complete_region(features, &mask, vector)? {
                self.regions.insert(own_key, tokens.clone(), 1);
                return Ok((own_key, tokens));
            }
        }
        let image = self.decoded(source)?;
        let mask = read(u64::from(image.width()) * u64::from(image.height()))?;
        let tokens = backend.encode_region(features, &image, &mask)?;
        self.regions.insert(key, tokens.clone(), 1);
        Ok((key, tokens))
    }

    fn features(&mut self, backend: &B, source: &ImageSource) -> Result<B::Features, BackendError> {
        if let Some(features) = self.features.get(&source.sha256) {
            return Ok(features.clone());
        }
        let image = self.decoded(source)?;
        let features = backend.encode_image(&image)?;
        let bytes = backend.features_bytes(&features);
        self.features
            .insert(source.sha256.clone(), features.clone(), bytes);
        Ok(features)
    }

    fn decoded(&mut self, source: &ImageSource) -> Result<Arc<RgbImage>, BackendError> {
        if let Some(image) = self.decoded.get(&source.sha256) {
            return Ok(Arc::clone(image));
        }
        let read = || -> image::ImageResult<RgbImage> {
            let mut reader = ImageReader::open(&source.path)?.with_guessed_format()?;
            // Only what was decoded before, within the upload's limits, is ever stored.
            reader.no_limits();
            Ok(reader.decode()?.into_rgb8())
        };
        let image = Arc::new(read().map_err(|error| BackendError::Failed(Box::new(error)))?);
        let bytes = image.as_raw().len() as u64;
        self.decoded
            .insert(source.sha256.clone(), Arc::clone(&image), bytes);
        Ok(image)
    }
}

/// Runs a computation so that its panic ends this request only: inference changes nothing in the
/// model, so the others can go on.
fn guarded<T>(compute: impl FnOnce() -> Result<T, BackendError>) -> Result<T, BackendError> {
    catch_unwind(AssertUnwindSafe(compute)).unwrap_or_else(|panic| {
        Err(BackendError::Failed(
            format!("panic: {}", panic_text(panic.as_ref())).into(),
        ))
    })
}

pub(super) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a text")
}

fn fail(job: &Job, error: BackendError) {
    match error {
        BackendError::Refused { code, message } => job.fail(code, &message),
        BackendError::Failed(why) => {
            // By the request's id, because a chat's id opens the chat.
            let request = job.question.request_id.as_deref();
            tracing::error!(request, %why, "an answer failed");
            let message = "The model failed on this question; the server's log says why.";
            job.fail(ErrorCode::Internal, message);
        }
    }
}

/// The first eight bytes of the SHA-256 over length-prefixed parts.
fn key_of(parts: &[&[u8]]) -> u64 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize()
        .iter()
        .take(8)
        .fold(0, |key, &byte| (key << 8) | u64::from(byte))
}

/// Equal texts are equal masks; that equal masks may have two texts only costs a computation.
fn mask_bytes(mask: &MaskRle) -> Vec<u8> {
    serde_json::to_vec(mask).unwrap_or_default()
}

fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
