use std::fs;
use std::io::{self, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::tensor::Device;

use fclm_core::fclm::prompt::CHAT_TEMPLATE;
use fclm_core::fclm::{FclmConfig, FclmTokenizer};
use fclm_core::wire::Stage;

use super::adamw::AdamW;
use super::checkpoint::{Checkpoint, Saved};
use super::conversations::corpus;
use super::display::Display;
use super::error::TrainError;
use super::folders::{NOT_FINITE, check_folders, prepare_folders, refused};
use super::heads::Learner;
use super::log::{StepRecord, TrainLog};
use super::parameters::ParameterTable;
use super::phase::{Phase, PhaseStep, phase_at, shares, stage_after};
use super::recipe::Recipe;
use super::sample::Sampler;
use super::samples::Ahead;
use super::schedule::learning_rate;
use super::stop::StopRequest;
use super::terms::{TERMS, Term};
use super::tokenizer::train_tokenizer;
use super::worker::{Task, Worker};
use crate::model_dir::{self, ModelDir};
use crate::{device, disk};

/// Texts that the tokenizer is trained on.
const TOKENIZER_SCENES: u64 = 400;

/// How a run is started.
#[derive(Debug, Clone)]
pub struct TrainOptions {
    /// What to train.
    pub recipe: Recipe,
    /// Folder of checkpoints and the log.
    pub run: PathBuf,
    /// Model directory to write.
    pub out: PathBuf,
    /// Go on from the newest checkpoint in `run`.
    pub resume: bool,
    /// Go on although the recipe is not the checkpoint's.
    pub accept_changes: bool,
    /// Start from a model directory's weights instead of random ones.
    pub from: Option<PathBuf>,
    /// Stop, with a checkpoint, after this long.
    pub limit: Option<Duration>,
    /// Stop, with a checkpoint, when this is made.
    pub stop: StopRequest,
    /// What gradients are computed on.
    pub device: Device,
    /// How a person hears of it.
    pub display: Display,
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trained {
    /// Steps done.
    pub step: u64,
    /// Steps of the whole recipe.
    pub total_steps: u64,
    /// Seconds of training, over all pieces.
    pub seconds: f64,
}

impl Trained {
    /// Whether nothing is left to do.
    pub fn is_finished(&self) -> bool {
        self.step >= self.total_steps
    }
}

/// Trains, or goes on training, until the recipe or the time limit ends, or somebody asks to stop, be
/// it at the dashboard; writes the model either way.
///
/// # Errors
/// Where files cannot be read or written, the checkpoint belongs to another recipe, or the loss is
/// no number any more.
pub fn train(options: &TrainOptions) -> Result<Trained, TrainError> {
    let started = Instant::now();
    let mut run = Run::start(options)?;
    if options.display == Display::Dashboard {
        let label = options.run.to_string_lossy();
        run.log.open_dashboard(&label, run.recipe.total_steps());
    }
    let before = run.state.seconds;
    let every = run.recipe.checkpoint_every;
    while run.state.step < run.recipe.total_steps() {
        let is_over = options
            .limit
            .is_some_and(|limit| started.elapsed() >= limit);
        if is_over || options.stop.is_made() || run.log.is_stopped() {
            break;
        }
        run.step(before + started.elapsed().as_secs_f64())?;
        run.state.seconds = before + started.elapsed().as_secs_f64();
        if run.state.step.is_multiple_of(every) {
            run.save()?;
        }
        if run.state.step.is_multiple_of(4 * every) {
            run.write_model()?;
        }
    }
    run.save()?;
    run.write_model()?;
    run.log.close_dashboard();
    Ok(Trained {
        step: run.state.step,
        total_steps: run.recipe.total_steps(),
        seconds: run.state.seconds,
    })
}

/// A run under way.
struct Run<'a> {
    options: &'a TrainOptions,
    recipe: Recipe,
    tokenizer_json: String,
    learner: Learner,
    table: ParameterTable,
    parameters: Vec<f32>,
    optimizer: AdamW,
    state: Checkpoint,
    workers: Vec<Worker>,
    /// What draws for a GPU, which would wait for its worker.
    ahead: Option<Ahead>,
    log: TrainLog,
    sampler: Sampler,
    /// What the model is at before stage 1.
    first_stage: Stage,
}

impl<'a> Run<'a> {
    fn start(options: &'a TrainOptions) -> Result<Self, TrainError> {
        let is_there = Checkpoint::is_in(&options.run);
        check_folders(&options.run, &options.out, options.resume, is_there)?;
        prepare_folders(&options.run, &options.out)?;
        let mut recipe = options.recipe.clone();
        let tokenizer_json = tokenizer(options, &recipe)?;
        let tokenizer = FclmTokenizer::from_json(tokenizer_json.as_bytes())?;
        set_ids(&mut recipe.model, &tokenizer)?;

        // The run's own copy stays on the CPU wherever gradients are computed, so that a seed
        // begins with the same weights on every device.
        let host = Device::flex().autodiff();
        host.seed(recipe.seed);
        let mut model = recipe.model.init(&host);
        let mut first_stage = Stage::Untrained;
        if let Some(from) = &options.from {
            model = model_dir::load_weights(model, from)?;
            first_stage = ModelDir::open(from)?.config().stage;
        }
        let learner = Learner::new(model, &recipe.model, &host);
        let table = ParameterTable::of(&learner);
        let sampler = Sampler::new(&recipe, &tokenizer, CHAT_TEMPLATE)?;
        let mut run = Self {
            options,
            tokenizer_json,
            parameters: table.values(&learner),
            optimizer: AdamW::new(recipe.optimizer, table.len()),
            state: Checkpoint::new(&table, &recipe),
            workers: Vec::new(),
            ahead: None,
            log: TrainLog::new(&options.run),
            sampler,
            first_stage,
            learner,
            table,
            recipe,
        };
        run.restore()?;
        let workers = worker_count(&run.recipe, &options.device);
        eprintln!(
            "{} parameters with the heads of training, {workers} {} on {}, step {} of {}",
            run.table.len(),
            if workers == 1 { "worker" } else { "workers" },
            device::name_of(&options.device),
            run.state.step,
            run.recipe.total_steps(),
        );
        if !device::is_cpu(&options.device) {
            let (step, scenes) = (run.state.step, run.state.scenes);
            let sampler = run.sampler.clone();
            run.ahead = Some(Ahead::start(&run.recipe, sampler, step, scenes)?);
        }
        let device = options.device.clone().autodiff();
        run.workers = (0..workers)
            .map(|number| {
                Worker::spawn(
                    number,
                    run.learner.clone().fork(&device),
                    run.table.clone(),
                    &run.recipe,
                    run.sampler.clone(),
                    device.clone(),
                )
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(run)
    }

    /// Takes over the newest checkpoint of the run's folder, where there is one.
    fn restore(&mut self) -> Result<(), TrainError> {
        let Some(Saved {
            checkpoint: saved,
            parameters,
            moments: [first, second],
        }) = Checkpoint::load(&self.options.run, &self.table)?
        else {
            // A run that never came to a checkpoint may have left lines.
            return self.log.forget_after(0);
        };
        if saved.recipe != self.state.recipe && !self.options.accept_changes {
            return Err(refused(
                &self.options.run,
                "the checkpoint was made by another recipe; add --changed-recipe to go on with \
                 this one",
            ));
        }
        self.optimizer.time = saved.updates;
        self.optimizer.first = first;
        self.optimizer.second = second;
        self.parameters = parameters;
        self.log.forget_after(saved.step)?;
        self.state = Checkpoint {
            recipe: self.state.recipe.take(),
            ..saved
        };
        Ok(())
    }

    /// One optimiser step over the whole batch. Each of the recipe's workers has its share of it;
    /// where fewer threads compute, they compute the shares in turn.
    fn step(&mut self, seconds: f64) -> Result<(), TrainError> {
        let began = Instant::now();
        let recipe = &self.recipe;
        let PhaseStep {
            phase,
            schedule,
            step: own_step,
            scenes: per_worker,
        } = phase_at(recipe, self.state.step);
        let shares = shares(&self.table, recipe, phase);
        let trained: Arc<[bool]> = shares.iter().map(|&share| share > 0.0).collect();
        let shared = Arc::new(std::mem::take(&mut self.parameters));
        let workers = || self.workers.iter().cycle().take(recipe.batch.workers);
        let mut waited = Duration::ZERO;
        for (number, worker) in workers().enumerate() {
            let asked = Instant::now();
            let samples = self.ahead.as_ref().map(Ahead::next).transpose()?;
            waited += asked.elapsed();
            worker.start(Task {
                samples,
                parameters: Arc::clone(&shared),
                phase,
                first_scene: self.state.scenes + (number * per_worker) as u64,
                scenes: per_worker,
                trained: Arc::clone(&trained),
            })?;
        }
        let mut outcomes = workers()
            .map(Worker::finish)
            .collect::<Result<Vec<_>, _>>()?
            .into_iter();
        self.parameters = Arc::try_unwrap(shared).unwrap_or_else(|shared| shared.as_ref().clone());
        let share = 1.0 / recipe.batch.workers as f32;
        let Some(mut sum) = outcomes.next() else {
            return Err(TrainError::Worker("there is none".to_owned()));
        };
        for other in outcomes {
            for (total, value) in sum.gradients.iter_mut().zip(other.gradients) {
                *total += value;
            }
            for (total, value) in sum.terms.iter_mut().zip(other.terms) {
                *total += value;
            }
            sum.turns += other.turns;
            sum.drawing += other.drawing;
        }
        sum.gradients.iter_mut().for_each(|value| *value *= share);
        let mut terms: [f32; TERMS.len()] = sum.terms.map(|term| term * share);

        // Threads that draw at once keep each other from nothing.
        waited += sum.drawing / self.workers.len() as u32;
        let scenes = (per_worker * recipe.batch.workers) as u64;
        let rate = learning_rate(&schedule, own_step);
        let norm = if terms[Term::Loss as usize].is_finite() {
            self.optimizer.step(
                &mut self.parameters,
                &sum.gradients,
                &self.table,
                &shares,
                rate,
            )
        } else {
            f64::NAN
        };
        if !norm.is_finite() {
            let scenes = self.state.scenes..self.state.scenes + scenes;
            return Err(self.not_finite(phase, scenes, &trained)?);
        }
        let took = began.elapsed().as_secs_f64().max(1e-9);
        terms[Term::FeedWait as usize] = (waited.as_secs_f64() / took) as f32;
        self.state.step += 1;
        self.state.scenes += scenes;
        self.state.turns += sum.turns as u64;
        self.state.updates = self.optimizer.time;
        self.log.push(&StepRecord {
            step: self.state.step,
            total_steps: recipe.total_steps(),
            stage: phase.number(),
            terms,
            norm,
            learning_rate: rate,
            turns: sum.turns as u64,
            scenes,
            seconds,
        })
    }

    /// What is said of a step whose loss or gradient is no number. Its scenes are computed one by
    /// one to find those that are to blame, and their pictures are written into the run's folder.
    fn not_finite(
        &self,
        phase: Phase,
        scenes: Range<u64>,
        trained: &Arc<[bool]>,
    ) -> Result<TrainError, TrainError> {
        let parameters = Arc::new(self.parameters.clone());
        let is_finite = |scene: u64| -> Result<bool, TrainError> {
            let Some(worker) = self.workers.first() else {
                return Err(TrainError::Worker("there is none".to_owned()));
            };
            worker.start(Task {
                samples: None,
                parameters: Arc::clone(&parameters),
                phase,
                first_scene: scene,
                scenes: 1,
                trained: Arc::clone(trained),
            })?;
            Ok(worker.finish()?.is_finite())
        };
        let scenes = blamed(scenes, is_finite)?;
        let folder = self.options.run.join(NOT_FINITE);
        let write = || -> io::Result<()> {
            fs::create_dir_all(&folder)?;
            scenes.iter().try_for_each(|&scene| {
                let path = folder.join(format!("scene-{scene:08}.png"));
                self.sampler
                    .seen(scene)
                    .save(path)
                    .map_err(io::Error::other)
            })
        };
        Ok(TrainError::NotFinite {
            step: self.state.step,
            pictures: match write() {
                Ok(()) => format!("what they show is in {}", folder.display()),
                Err(error) => format!(
                    "what they show could not be written into {}: {error}",
                    folder.display()
                ),
            },
            scenes,
        })
    }

    fn save(&self) -> Result<(), TrainError> {
        self.state
            .clone()
            .save(&self.options.run, &self.parameters, &self.optimizer)?;
        self.log.write_plot()
    }

    fn write_model(&self) -> Result<(), TrainError> {
        let mut config = self.recipe.model.clone();
        config.consistency = self.recipe.consistency;
        config.stage = stage_after(&self.recipe, self.state.step).unwrap_or(self.first_stage);
        // Loaded parameters are leaves of the graph, so that they need a device that records.
        let everything = vec![true; self.table.parameters.len()];
        let learner = self.table.with_values(
            self.learner.clone(),
            &self.parameters,
            &everything,
            &Device::flex().autodiff(),
        );
        model_dir::write_trained(
            &self.options.out,
            &config,
            &self.tokenizer_json,
            CHAT_TEMPLATE,
            &learner.model,
        )?;
        Ok(())
    }
}

/// Those of a step's scenes that are no number alone; all of them where none is.
fn blamed(
    scenes: Range<u64>,
    is_finite: impl Fn(u64) -> Result<bool, TrainError>,
) -> Result<Vec<u64>, TrainError> {
    let mut blamed = Vec::new();
    for scene in scenes.clone() {
        if !is_finite(scene)? {
            blamed.push(scene);
        }
    }
    if blamed.is_empty() {
        blamed.extend(scenes);
    }
    Ok(blamed)
}

/// How many threads compute gradients: the recipe's workers on the CPU, one on a GPU, which is busy
/// with one already.
fn worker_count(recipe: &Recipe, device: &Device) -> usize {
    match device::is_cpu(device) {
        true => recipe.batch.workers,
        false => recipe.batch.workers.min(1),
    }
}

/// The run's tokenizer: the one in its folder, the one of the model that it starts from, or a new
/// one.
fn tokenizer(options: &TrainOptions, recipe: &Recipe) -> Result<String, TrainError> {
    let path = options.run.join("tokenizer.json");
    let source = match &options.from {
        _ if path.exists() => Some(path.clone()),
        Some(from) => Some(from.join("tokenizer.json")),
        None => None,
    };
    let json = match source {
        Some(source) => fs::read_to_string(&source).map_err(TrainError::io(&source))?,
        None => train_tokenizer(
            corpus(recipe.seed, TOKENIZER_SCENES, recipe.stage_1.mix),
            recipe.vocabulary,
        )?,
    };
    disk::write_whole(&path, |file| file.write_all(json.as_bytes()))
        .map_err(TrainError::io(&path))?;
    Ok(json)
}

/// Puts the tokenizer's ids and size into the configuration.
pub(super) fn set_ids(
    config: &mut FclmConfig,
    tokenizer: &FclmTokenizer,
) -> Result<(), TrainError> {
    let special = tokenizer.special();
    let first = |text: &str| -> Result<u32, TrainError> {
        Ok(tokenizer.encode(text)?.first().copied().unwrap_or_default())
    };
    config.qwen.image_token_id = special.image;
    config.qwen.vision_start_token_id = first("<|vision_start|>")?;
    config.qwen.vision_end_token_id = first("<|vision_end|>")?;
    config.qwen.text.eos_token_id = Some(special.im_end);
    config.qwen.text.vocab_size = tokenizer.len().next_multiple_of(8);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::recipe::TowerRecipe;
    use super::*;

    fn options(folder: &Path) -> TrainOptions {
        TrainOptions {
            recipe: Recipe::named("nano").unwrap(),
            run: folder.join("run"),
            out: folder.join("model"),
            resume: false,
            accept_changes: false,
            from: None,
            limit: None,
            stop: StopRequest::default(),
            device: Device::flex(),
            display: Display::Plain,
        }
    }

    /// Puts a tokenizer into the run's folder: one that is there is not trained again.
    fn give_tokenizer(options: &TrainOptions) {
        let recipe = &options.recipe;
        let json = train_tokenizer(corpus(1, 20, recipe.stage_1.mix), recipe.vocabulary).unwrap();
        fs::create_dir(&options.run).unwrap();
        fs::write(options.run.join("tokenizer.json"), json).unwrap();
    }

    #[test]
    fn nano_is_trained_by_two_workers() {
        let folder = tempfile::tempdir().unwrap();
        let options = options(folder.path());
        give_tokenizer(&options);
        assert_eq!(options.recipe.batch.workers, 2);
        let run = Run::start(&options).unwrap();
        assert_eq!(run.workers.len(), 2);
    }

    /// As [`options`], with two scenes a step, one for each worker.
    fn small_options(folder: &Path) -> TrainOptions {
        let mut options = options(folder);
        let tower = options.recipe.tower.unwrap();
        options.recipe.tower = Some(TowerRecipe {
            scenes: 1,
            whole: 1,
            crops: 1,
            ..tower
        });
        give_tokenizer(&options);
        options
    }

    #[test]
    fn scenes_that_are_no_numbers_are_named_and_their_pictures_kept() {
        let folder = tempfile::tempdir().unwrap();
        let options = small_options(folder.path());
        let mut run = Run::start(&options).unwrap();
        run.parameters.fill(f32::NAN);
        let error = run.step(0.0).unwrap_err();
        let TrainError::NotFinite { step, scenes, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!((*step, scenes.as_slice()), (0, [0, 1].as_slice()));
        assert_eq!((run.state.step, run.state.scenes), (0, 0));
        let pictures = options.run.join("not-finite");
        for &scene in scenes {
            let path = pictures.join(format!("scene-0000000{scene}.png"));
            let kept = image::open(path).unwrap().into_rgb8();
            assert!(kept == run.sampler.seen(scene), "scene {scene}");
        }
        let sentence = error.to_string();
        assert!(sentence.contains("To blame: scenes 0, 1 of"), "{sentence}");
        let path = pictures.display().to_string();
        assert!(sentence.ends_with(&path), "{sentence}");
    }

    #[test]
    fn a_scene_that_is_no_number_alone_is_to_blame() {
        let of = |bad: &[u64]| blamed(3..7, |scene| Ok(!bad.contains(&scene))).unwrap();
        assert_eq!(of(&[4]), [4]);
        assert_eq!(of(&[3, 6]), [3, 6]);
        assert_eq!(of(&[]), [3, 4, 5, 6]);
        let failed = blamed(3..7, |_| Err(TrainError::CopyEnded));
        assert!(matches!(failed, Err(TrainError::CopyEnded)));
        let one = TrainError::NotFinite {
            step: 9,
            scenes: vec![4],
            pictures: "it is there".to_owned(),
        };
        assert!(one.to_string().contains("scene 4 of the run's stream"));
    }

    #[test]
    fn one_thread_computes_in_turns_what_two_compute_at_once() {
        let after_a_step = |threads| {
            let folder = tempfile::tempdir().unwrap();
            let options = small_options(folder.path());
            let mut run = Run::start(&options).unwrap();
            // Random initial values would depend on other tests that draw at the same time.
            let value = |place: usize| ((place * 37 % 101) as f32 - 50.0) * 1e-3;
            run.parameters = (0..run.table.len()).map(value).collect();
            let before = run.parameters.clone();
            run.workers.truncate(threads);
            run.step(0.0).unwrap();
            assert!(run.parameters != before);
            assert_eq!(run.state.scenes, 2);
            run.parameters
        };
        assert!(after_a_step(1) == after_a_step(2));
    }

    #[test]
    fn a_run_that_is_asked_to_stop_ends_with_a_checkpoint_and_a_model() {
        let folder = tempfile::tempdir().unwrap();
        let options = options(folder.path());
        give_tokenizer(&options);
        options.stop.make();
        let trained = train(&options).unwrap();
        assert_eq!(trained.step, 0);
        assert!(!trained.is_finished());
        assert_eq!(Checkpoint::of(&options.run).unwrap().unwrap().step, 0);
        assert!(options.out.join("config.json").is_file());
    }

    #[test]
    fn folders_that_cannot_be_used_are_refused_before_anything_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let start = options(folder.path());
        let refusal = |options: &TrainOptions| Run::start(options).err().unwrap().to_string();

        let resumed = TrainOptions {
            resume: true,
            ..start.clone()
        };
        let sentence = refusal(&resumed);
        assert!(sentence.contains("leave --resume out"), "{sentence}");

        let run = &start.run;
        for out in [run.clone(), run.join("."), folder.path().to_owned()] {
            let inside = TrainOptions {
                out,
                ..start.clone()
            };
            let sentence = refusal(&inside);
            assert!(sentence.contains("--out"), "{sentence}");
        }

        let foreign = folder.path().join("thesis");
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join("thesis.txt"), "years of work").unwrap();
        let misplaced = TrainOptions {
            out: foreign,
            ..start.clone()
        };
        let sentence = refusal(&misplaced);
        assert!(sentence.contains("exists already"), "{sentence}");
        assert!(!start.run.exists());

        fs::create_dir(&start.run).unwrap();
        fs::write(start.run.join("state.json"), "{}").unwrap();
        let sentence = refusal(&start);
        assert!(sentence.contains("add --resume"), "{sentence}");
    }
}
