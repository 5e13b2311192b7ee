use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::tensor::Device;

use super::batch::Batch;
use super::error::TrainError;
use super::flops::StepSize;
use super::heads::Learner;
use super::parameters::ParameterTable;
use super::phase::Phase;
use super::recipe::Recipe;
use super::sample::Sampler;
use super::samples::{Ahead, Samples};
use super::step::step;
use super::terms::{StepOutput, TERMS, Term};
use super::tower::tower_step;

/// What a worker is to do in one step.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) parameters: Arc<Vec<f32>>,
    pub(super) phase: Phase,
    /// Index of the worker's first scene.
    pub(super) first_scene: u64,
    pub(super) scenes: usize,
    /// What it learns from; the worker draws it where it is not there.
    pub(super) samples: Option<Samples>,
    /// Which parameters the stage trains.
    pub(super) trained: Arc<[bool]>,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) gradients: Vec<f32>,
    pub(super) terms: [f32; TERMS.len()],
    /// Region turns learned from.
    pub(super) turns: usize,
    /// How much it learned from.
    pub(super) size: StepSize,
    /// How long it drew samples, in which nothing was learned.
    pub(super) drawing: Duration,
}

impl Outcome {
    /// Whether loss and gradient are numbers.
    pub(super) fn is_finite(&self) -> bool {
        let loss = self.terms[Term::Loss as usize];
        loss.is_finite() && self.gradients.iter().all(|gradient| gradient.is_finite())
    }
}

/// A thread that owns a copy of the model and computes gradients.
///
/// Elementwise operations, norms and softmax run on one core in the CPU backend, so two workers
/// with half the batch each use two cores better than one worker with all of it. Each has a thread
/// pool of one thread: matrix products then stay on the worker's own core.
#[derive(Debug)]
pub(super) struct Worker {
    tasks: Sender<Task>,
    outcomes: Receiver<Result<Outcome, TrainError>>,
    handle: Option<JoinHandle<()>>,
}

impl Worker {
    fn spawn(
        number: usize,
        learner: Learner,
        table: ParameterTable,
        recipe: &Recipe,
        sampler: Sampler,
        device: Device,
    ) -> Result<Self, TrainError> {
        let (tasks, inbox) = channel::<Task>();
        let (outbox, outcomes) = channel();
        let recipe = recipe.clone();
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .thread_name(move |_| format!("train-{number}"))
            .build()
            .map_err(|error| TrainError::Worker(error.to_string()))?;
        let handle = std::thread::Builder::new()
            .name(format!("train-{number}-feed"))
            .spawn(move || {
                pool.install(move || {
                    let mut learner = learner;
                    while let Ok(task) = inbox.recv() {
                        let (next, outcome) =
                            compute(learner, task, &table, &recipe, &sampler, &device);
                        learner = next;
                        if outbox.send(outcome).is_err() {
                            break;
                        }
                    }
                });
            })
            .map_err(|error| TrainError::Worker(error.to_string()))?;
        Ok(Self {
            tasks,
            outcomes,
            handle: Some(handle),
        })
    }

    /// As many workers, each with a copy of the model on the device.
    pub(super) fn spawn_all(
        count: usize,
        learner: &Learner,
        table: &ParameterTable,
        recipe: &Recipe,
        sampler: &Sampler,
        device: &Device,
    ) -> Result<Vec<Self>, TrainError> {
        (0..count)
            .map(|number| {
                Self::spawn(
                    number,
                    learner.clone().fork(device),
                    table.clone(),
                    recipe,
                    sampler.clone(),
                    device.clone(),
                )
            })
            .collect()
    }

    /// Computes the shares of a step, of which `first` is the first one: its further shares have the
    /// scenes behind it. Where there are fewer workers than shares, they compute them in turn.
    /// Returns what came of each, and how long scenes were waited for.
    pub(super) fn compute_shares(
        workers: &[Self],
        shares: usize,
        ahead: Option<&Ahead>,
        first: &Task,
    ) -> Result<(Vec<Outcome>, Duration), TrainError> {
        let in_turn = || workers.iter().cycle().take(shares);
        let mut waited = Duration::ZERO;
        for (number, worker) in in_turn().enumerate() {
            let asked = Instant::now();
            let samples = ahead.map(Ahead::next).transpose()?;
            waited += asked.elapsed();
            worker.start(Task {
                samples,
                parameters: Arc::clone(&first.parameters),
                phase: first.phase,
                first_scene: first.first_scene + (number * first.scenes) as u64,
                scenes: first.scenes,
                trained: Arc::clone(&first.trained),
            })?;
        }
        let outcomes = in_turn().map(Self::finish).collect::<Result<Vec<_>, _>>()?;
        // Threads that draw at once keep each other from nothing.
        let drawing: Duration = outcomes.iter().map(|outcome| outcome.drawing).sum();
        waited += drawing / workers.len().max(1) as u32;
        Ok((outcomes, waited))
    }

    pub(super) fn start(&self, task: Task) -> Result<(), TrainError> {
        self.tasks
            .send(task)
            .map_err(|_| TrainError::Worker("its thread has ended".to_owned()))
    }

    pub(super) fn finish(&self) -> Result<Outcome, TrainError> {
        self.outcomes
            .recv()
            .map_err(|_| TrainError::Worker("its thread has ended".to_owned()))?
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let (closed, _) = channel();
        self.tasks = closed;
        if let Some(handle) = self.handle.take() {
            // A worker that panicked has said so on its channel already.
            let _ = handle.join();
        }
    }
}

fn compute(
    learner: Learner,
    task: Task,
    table: &ParameterTable,
    recipe: &Recipe,
    sampler: &Sampler,
    device: &Device,
) -> (Learner, Result<Outcome, TrainError>) {
    let started = Instant::now();
    let samples = match task.samples {
        Some(samples) => Ok(samples),
        None => Samples::draw(sampler, task.phase, task.first_scene, task.scenes),
    };
    let samples = match samples {
        Ok(samples) => samples,
        Err(error) => return (learner, Err(error)),
    };
    let drawing = started.elapsed();
    let learner = table.with_values(learner, &task.parameters, &task.trained, device);
    let (output, turns, size) = forward(&learner, samples, recipe, sampler, device);
    let gradients = output.loss.backward();
    let gradients = table.gradients(&learner, &gradients);
    // Read last: a device that computes while the host goes on would be waited for here.
    let mut terms = [0.0; TERMS.len()];
    for (term, value) in terms.iter_mut().zip(output.terms.into_data().iter::<f32>()) {
        *term = value;
    }
    (
        learner,
        Ok(Outcome {
            gradients,
            terms,
            turns,
            size,
            drawing,
        }),
    )
}

/// The step's loss, how many region turns it learns from, and how much that is to compute.
fn forward(
    learner: &Learner,
    samples: Samples,
    recipe: &Recipe,
    sampler: &Sampler,
    device: &Device,
) -> (StepOutput, usize, StepSize) {
    match samples {
        Samples::Tower([whole, crops]) => {
            let size = StepSize::of_tower([&whole, &crops]);
            (tower_step(learner, &whole, &crops, device), 0, size)
        }
        Samples::Scenes {
            stage,
            losses,
            scenes,
        } => {
            let turns = scenes
                .iter()
                .map(|scene| scene.described.len() + scene.grounds.len())
                .sum();
            let batch = Batch::new(&scenes, sampler.grid(), &recipe.model, device);
            let size = StepSize::of_stage(&batch, stage, &losses);
            (step(learner, batch, stage, losses), turns, size)
        }
    }
}
