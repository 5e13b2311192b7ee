//! The copies of the model, each on a device and a thread of its own.

use std::cell::Cell;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use super::reduce::Reduce;
use super::replica::{Replica, ReplicaSetup};
use crate::train::error::TrainError;

type Job = Box<dyn FnOnce(&mut Replica) + Send>;

/// The copies of a run.
#[derive(Debug)]
pub(super) struct Copies {
    threads: Vec<CopyThread>,
    /// A thread has ended early: another one may wait for it on its GPU for ever, so that nobody waits
    /// for that one.
    is_lost: Cell<bool>,
}

#[derive(Debug)]
struct CopyThread {
    jobs: Sender<Job>,
    handle: Option<JoinHandle<()>>,
}

impl Copies {
    /// Loads all copies at once, each on its own thread.
    ///
    /// # Errors
    /// The first error of a copy, in their order.
    pub(super) fn start(setups: Vec<ReplicaSetup>) -> Result<Self, TrainError> {
        let mut copies = Self {
            threads: Vec::new(),
            is_lost: Cell::new(false),
        };
        let mut loaded = Vec::new();
        for (number, setup) in setups.into_iter().enumerate() {
            let (jobs, inbox) = channel();
            let (outbox, result) = channel();
            let handle = std::thread::Builder::new()
                .name(format!("copy-{number}"))
                .spawn(move || work(setup, &inbox, &outbox))
                .map_err(|error| TrainError::Worker(error.to_string()))?;
            copies.threads.push(CopyThread {
                jobs,
                handle: Some(handle),
            });
            loaded.push(result);
        }
        for result in loaded {
            copies.receive(&result)??;
        }
        Ok(copies)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.threads.len()
    }

    /// Lets every copy do a job, all at once, and waits for all of them; `job` makes that of each.
    ///
    /// # Errors
    /// Where a copy has ended.
    pub(super) fn all<R, J>(&self, mut job: impl FnMut(usize) -> J) -> Result<Vec<R>, TrainError>
    where
        R: Send + 'static,
        J: FnOnce(&mut Replica) -> R + Send + 'static,
    {
        let results: Vec<Receiver<R>> = (0..self.count())
            .map(|number| self.send(number, job(number)))
            .collect::<Result<_, _>>()?;
        results.iter().map(|result| self.receive(result)).collect()
    }

    /// Lets the first copy do a job.
    ///
    /// # Errors
    /// Where it has ended.
    pub(super) fn first<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Replica) -> R + Send + 'static,
    ) -> Result<R, TrainError> {
        let result = self.send(0, job)?;
        self.receive(&result)
    }

    fn send<R: Send + 'static>(
        &self,
        number: usize,
        job: impl FnOnce(&mut Replica) -> R + Send + 'static,
    ) -> Result<Receiver<R>, TrainError> {
        let (outbox, result) = channel();
        let job: Job = Box::new(move |replica| {
            // Whoever asked may have left because of another copy's error.
            let _ = outbox.send(job(replica));
        });
        let sent = self.threads.get(number).map(|thread| thread.jobs.send(job));
        match sent {
            Some(Ok(())) => Ok(result),
            _ => Err(self.lost()),
        }
    }

    fn receive<R>(&self, result: &Receiver<R>) -> Result<R, TrainError> {
        result.recv().map_err(|_| self.lost())
    }

    fn lost(&self) -> TrainError {
        self.is_lost.set(true);
        TrainError::Worker("the thread of a copy of the model has ended".to_owned())
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        for thread in self.threads.drain(..) {
            let CopyThread { jobs, handle } = thread;
            drop(jobs);
            if let Some(handle) = handle.filter(|_| !self.is_lost.get()) {
                // A thread that panicked has said so already.
                let _ = handle.join();
            }
        }
    }
}

/// Loads a copy, says whether that went well, and does jobs until there are no more.
fn work(setup: ReplicaSetup, inbox: &Receiver<Job>, outbox: &Sender<Result<(), TrainError>>) {
    let _told = TellEnd(setup.reduce.clone());
    let mut replica = match Replica::new(setup) {
        Ok(replica) => replica,
        Err(error) => {
            // Nobody listens where another copy has failed before.
            let _ = outbox.send(Err(error));
            return;
        }
    };
    if outbox.send(Ok(())).is_err() {
        return;
    }
    while let Ok(job) = inbox.recv() {
        job(&mut replica);
    }
}

/// Lets the other copies go when a thread ends, however it does.
struct TellEnd(Reduce);

impl Drop for TellEnd {
    fn drop(&mut self) {
        self.0.end();
    }
}
