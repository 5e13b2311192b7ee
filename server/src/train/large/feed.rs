//! Pictures are prepared by threads of their own, ahead of the devices.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::sample::{HostPicture, Sampler};
use crate::train::error::TrainError;

/// Steps whose pictures may be ready before they are asked for.
const STEPS_AHEAD: u64 = 2;

/// Hands out the pictures of one step after another.
#[derive(Debug)]
pub(super) struct Feed {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// The pictures of a step in their order, and how long was waited for them.
#[derive(Debug)]
pub(super) struct StepPictures {
    pub(super) pictures: Vec<HostPicture>,
    pub(super) waited: Duration,
}

#[derive(Debug)]
struct Shared {
    sampler: Arc<Sampler>,
    per_step: u64,
    /// One past the last picture of the run.
    end: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// The next picture that a thread takes on.
    next: u64,
    /// The next picture that is handed out.
    wanted: u64,
    ready: BTreeMap<u64, Result<HostPicture, TrainError>>,
    is_closed: bool,
    /// A thread has panicked: what it worked on will never come.
    is_broken: bool,
}

impl Feed {
    /// Starts `threads` threads, which go on from the first picture of `step` to the end of the run.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub(super) fn start(
        sampler: Arc<Sampler>,
        step: u64,
        total_steps: u64,
        per_step: usize,
        threads: usize,
    ) -> Result<Self, TrainError> {
        let per_step = per_step as u64;
        let shared = Arc::new(Shared {
            sampler,
            per_step,
            end: total_steps.saturating_mul(per_step),
            state: Mutex::new(State {
                next: step * per_step,
                wanted: step * per_step,
                ready: BTreeMap::new(),
                is_closed: false,
                is_broken: false,
            }),
            changed: Condvar::new(),
        });
        let mut feed = Self {
            shared: Arc::clone(&shared),
            threads: Vec::new(),
        };
        for number in 0..threads.max(1) {
            let shared = Arc::clone(&shared);
            let thread = std::thread::Builder::new()
                .name(format!("feed-{number}"))
                .spawn(move || shared.work())
                .map_err(|error| TrainError::Worker(error.to_string()))?;
            feed.threads.push(thread);
        }
        Ok(feed)
    }

    /// The pictures of the next step.
    ///
    /// # Errors
    /// The first error of its pictures, in their order.
    pub(super) fn next(&self) -> Result<StepPictures, TrainError> {
        let started = Instant::now();
        let mut pictures = Vec::new();
        for _ in 0..self.shared.per_step {
            pictures.push(self.shared.take()?);
        }
        Ok(StepPictures {
            pictures,
            waited: started.elapsed(),
        })
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// What a panic has interrupted is a picture that is not there yet, nothing half done.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Prepares one picture after another until there are no more.
    fn work(&self) {
        let _told = TellPanic(self);
        while let Some(number) = self.take_on() {
            let (step, slot) = (number / self.per_step, number % self.per_step);
            let picture = self.sampler.picture(step, slot as usize);
            self.lock().ready.insert(number, picture);
            self.changed.notify_all();
        }
    }

    /// The number of a picture to prepare; none where there is nothing more to do.
    fn take_on(&self) -> Option<u64> {
        let mut state = self.lock();
        loop {
            if state.is_closed || state.next >= self.end {
                return None;
            }
            if state.next < state.wanted + STEPS_AHEAD * self.per_step {
                state.next += 1;
                return Some(state.next - 1);
            }
            state = self.wait(state);
        }
    }

    /// The picture whose turn it is.
    fn take(&self) -> Result<HostPicture, TrainError> {
        let mut state = self.lock();
        loop {
            let wanted = state.wanted;
            if let Some(picture) = state.ready.remove(&wanted) {
                state.wanted += 1;
                self.changed.notify_all();
                return picture;
            }
            if state.is_broken || wanted >= self.end {
                let reason = "no thread prepares the next picture any more";
                return Err(TrainError::Worker(reason.to_owned()));
            }
            state = self.wait(state);
        }
    }
}

/// Tells of a panic whoever waits for a picture.
struct TellPanic<'a>(&'a Shared);

impl Drop for TellPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().is_broken = true;
            self.0.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tiny;
    use super::*;

    #[test]
    fn pictures_come_in_order_however_many_threads_prepare_them() {
        let folder = tempfile::tempdir().unwrap();
        let setting = tiny::Setting::new(folder.path());
        let sampler = Arc::new(setting.sampler());
        let of = |threads: usize| {
            let feed = Feed::start(Arc::clone(&sampler), 1, 4, 2, threads).unwrap();
            let steps: Vec<Vec<(u64, String)>> = (1..4)
                .map(|_| {
                    let step = feed.next().unwrap();
                    let pictures = step.pictures.into_iter();
                    pictures
                        .map(|picture| (picture.index, picture.name))
                        .collect()
                })
                .collect();
            assert!(feed.next().is_err(), "the run has ended");
            steps
        };
        let alone = of(1);
        assert_eq!(alone, of(3));
        let numbers: Vec<u64> = alone.iter().flatten().map(|(index, _)| *index).collect();
        assert_eq!(numbers, [2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn what_is_not_wanted_yet_is_not_prepared_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let setting = tiny::Setting::new(folder.path());
        let feed = Feed::start(Arc::new(setting.sampler()), 0, 1000, 1, 2).unwrap();
        let step = feed.next().unwrap();
        assert_eq!(step.pictures.len(), 1);
        assert!(step.waited > Duration::ZERO);
        std::thread::sleep(Duration::from_millis(50));
        let state = feed.shared.lock();
        assert!(state.next <= 1 + STEPS_AHEAD, "{}", state.next);
        drop(state);
    }
}
