use std::path::{self, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use burn::tensor::Device;

use fclm_core::fclm::FclmTokenizer;
use fclm_core::weights::Weights;
use fclm_core::wire::Stage;

use super::checkpoint::LargeCheckpoint;
use super::copies::Copies;
use super::counts::Counts;
use super::feed::{Feed, StepPictures};
use super::mixture::Mixture;
use super::recipe::LargeRecipe;
use super::reduce::{HostReduce, Reduce};
use super::replica::{ReplicaSetup, StepOutcome, StepTask};
use super::sample::{HostPicture, Sampler};
use crate::device;
use crate::model_dir::ModelDir;
use crate::train::display::Display;
use crate::train::error::TrainError;
use crate::train::folders::{check_folders, prepare_folders, refused};
use crate::train::log::{StepRecord, TrainLog};
use crate::train::run::Trained;
use crate::train::schedule::learning_rate;
use crate::train::stop::StopRequest;
use crate::train::terms::{TERMS, Term};

/// Steps after which the copies of the model are compared.
const COMPARE_EVERY: u64 = 100;

/// How a run on folders of pictures is started.
#[derive(Debug, Clone)]
pub struct LargeOptions {
    /// What to train, and on what.
    pub recipe: LargeRecipe,
    /// Folder of checkpoints and the log.
    pub run: PathBuf,
    /// Model directory to write.
    pub out: PathBuf,
    /// The model directory to start from; where a run is resumed, the one that it started from.
    pub from: Option<PathBuf>,
    /// Go on from the newest checkpoint in `run`.
    pub resume: bool,
    /// Go on although the recipe is not the checkpoint's.
    pub accept_changes: bool,
    /// Stop, with a checkpoint, after this long.
    pub limit: Option<Duration>,
    /// Stop, with a checkpoint, when this is made.
    pub stop: StopRequest,
    /// What it runs on; a copy of the model goes to each.
    pub devices: Vec<Device>,
    /// How a person hears of it.
    pub display: Display,
}

/// Tunes a model directory, or goes on tuning it, until the recipe or the time limit ends, or somebody
/// asks to stop, be it at the dashboard; writes the model either way, and at the end of stage 1.
///
/// # Errors
/// Where files cannot be read or written, the checkpoint belongs to another run, a device fails, or
/// the loss is no number any more.
pub fn train_large(options: &LargeOptions) -> Result<Trained, TrainError> {
    let started = Instant::now();
    let mut run = Run::start(options)?;
    if options.display == Display::Dashboard {
        let label = options.run.to_string_lossy();
        run.log.open_dashboard(&label, run.recipe.total_steps());
    }
    let before = run.state.seconds;
    let seconds = || before + started.elapsed().as_secs_f64();
    while run.state.step < run.recipe.total_steps() {
        let is_over = options
            .limit
            .is_some_and(|limit| started.elapsed() >= limit);
        if is_over || options.stop.is_made() || run.log.is_stopped() {
            break;
        }
        run.step(seconds())?;
        run.state.seconds = seconds();
        if run.state.step.is_multiple_of(run.recipe.checkpoint_every) {
            run.save()?;
        }
        let is_first_end = run.state.step == run.recipe.stage_1.schedule.steps;
        if is_first_end && run.state.step < run.recipe.total_steps() {
            run.write_model()?;
        }
    }
    if run.saved != Some(run.state.step) {
        run.save()?;
    }
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
    options: &'a LargeOptions,
    recipe: Arc<LargeRecipe>,
    base: ModelDir,
    state: LargeCheckpoint,
    /// The step of the newest checkpoint.
    saved: Option<u64>,
    copies: Copies,
    feed: Feed,
    log: TrainLog,
    /// The end of the step before.
    last: Instant,
}

impl<'a> Run<'a> {
    fn start(options: &'a LargeOptions) -> Result<Self, TrainError> {
        options.recipe.validate()?;
        let reduces = reduces(&options.devices, options.recipe.pictures_per_step)?;
        let saved = LargeCheckpoint::load(&options.run)?;
        check_folders(&options.run, &options.out, options.resume, saved.is_some())?;
        let base = base_folder(options, saved.as_ref().map(|(state, _)| state))?;
        let base = ModelDir::open(&base)?;
        let tokenizer = base.tokenizer()?;
        base.check_template(&tokenizer)?;
        let base_sha256 = base.hashes()?.all;
        let recipe = Arc::new(options.recipe.clone());
        if let Some((state, _)) = &saved {
            check_saved(options, state, &base_sha256)?;
        }
        let sampler = sampler(&recipe, &base, &tokenizer)?;
        let is_other_data = saved
            .as_ref()
            .is_some_and(|(state, _)| state.lengths != sampler.lengths());
        if is_other_data && !options.accept_changes {
            return Err(refused(
                &options.run,
                "a data set does not have as many pictures as when the run began, so it would go on \
                 with others; add --changed-recipe to go on with it all the same",
            ));
        }
        prepare_folders(&options.run, &options.out)?;

        let setups = options.devices.iter().zip(reduces);
        let setups = setups.map(|(device, reduce)| ReplicaSetup {
            base: base.clone(),
            tokenizer: tokenizer.clone(),
            recipe: Arc::clone(&recipe),
            device: device.clone(),
            reduce,
        });
        let copies = Copies::start(setups.collect())?;
        let (parameters, numbers) = copies.first(|replica| {
            let trained = replica.trained();
            (trained.listing(), trained.numbers())
        })?;
        let fresh = LargeCheckpoint {
            step: 0,
            pictures: 0,
            turns: 0,
            seconds: 0.0,
            updates: 0,
            file: String::new(),
            base: absolute(base.path())?,
            base_sha256,
            parameters,
            lengths: sampler.lengths(),
            recipe: options.recipe.clone(),
        };
        let log = TrainLog::new(&options.run);
        let (state, saved) = match saved {
            Some((state, tensors)) => {
                let state = restore(options, &copies, fresh, state, &tensors)?;
                log.forget_after(state.step)?;
                let step = state.step;
                (state, Some(step))
            }
            None => {
                log.forget_after(0)?;
                (fresh, None)
            }
        };
        let feed_threads = std::thread::available_parallelism()
            .map_or(1, usize::from)
            .saturating_sub(copies.count())
            .max(1);
        let names: Vec<String> = options.devices.iter().map(device::name_of).collect();
        eprintln!(
            "{numbers} numbers are trained on {}, {feed_threads} threads prepare pictures, step {} of {}",
            names.join(", "),
            state.step,
            recipe.total_steps(),
        );
        let feed = Feed::start(
            Arc::new(sampler),
            state.step,
            recipe.total_steps(),
            recipe.pictures_per_step,
            feed_threads,
        )?;
        Ok(Self {
            options,
            recipe,
            base,
            state,
            saved,
            copies,
            feed,
            log,
            last: Instant::now(),
        })
    }

    /// One optimiser step: every copy takes every so-many-th of the pictures.
    fn step(&mut self, seconds: f64) -> Result<(), TrainError> {
        let (stage, own_step) = self.recipe.stage_at(self.state.step);
        let rate = learning_rate(&self.recipe.stage(stage).schedule, own_step);
        let StepPictures { pictures, waited } = self.feed.next()?;
        let counts = pictures
            .iter()
            .fold(Counts::default(), |sum, picture| sum + picture.counts);
        let turns: u64 = pictures.iter().map(HostPicture::turns).sum();
        let count = pictures.len() as u64;
        let replaced = pictures.iter().filter(|picture| picture.is_replacement);
        let replaced = replaced.count() as f32 / count as f32;
        let names: Vec<String> = pictures
            .iter()
            .map(|picture| picture.name.clone())
            .collect();
        let mut dealt: Vec<Vec<HostPicture>> = vec![Vec::new(); self.copies.count()];
        for (number, picture) in pictures.into_iter().enumerate() {
            dealt[number % self.copies.count()].push(picture);
        }
        let outcomes = self.copies.all(|number| {
            let task = StepTask {
                stage,
                learning_rate: rate,
                pictures: std::mem::take(&mut dealt[number]),
                counts,
            };
            move |replica: &mut super::replica::Replica| replica.step(&task)
        })?;
        let (mut terms, norm) = self.settled(outcomes, names)?;
        self.state.step += 1;
        self.state.pictures += count;
        self.state.turns += turns;
        self.state.updates += 1;
        if self.state.step.is_multiple_of(COMPARE_EVERY) {
            self.compare_copies()?;
        }
        let took = self.last.elapsed();
        self.last = Instant::now();
        terms[Term::FeedWait as usize] =
            (waited.as_secs_f64() / took.as_secs_f64().max(1e-9)) as f32;
        terms[Term::Replaced as usize] = replaced;
        self.log.push(&StepRecord {
            step: self.state.step,
            total_steps: self.recipe.total_steps(),
            stage,
            terms,
            norm,
            learning_rate: rate,
            turns,
            scenes: count,
            seconds,
        })
    }

    /// What all copies have found, which is the same for all of them. `names` are those of the step's
    /// pictures, which are blamed together where none of them is to blame alone.
    fn settled(
        &self,
        mut outcomes: Vec<Result<StepOutcome, TrainError>>,
        names: Vec<String>,
    ) -> Result<([f32; TERMS.len()], f64), TrainError> {
        // That a copy has ended is what the others say; its own error says why.
        outcomes.sort_by_key(|outcome| matches!(outcome, Err(TrainError::CopyEnded)));
        let mut blamed: Option<Vec<String>> = None;
        let mut done = None;
        for outcome in outcomes {
            match outcome? {
                StepOutcome::Done { terms, norm } => done = Some((terms, norm)),
                StepOutcome::NotFinite { pictures } => {
                    blamed.get_or_insert_default().extend(pictures);
                }
            }
        }
        done.filter(|_| blamed.is_none()).ok_or_else(|| {
            let blamed = blamed.filter(|pictures| !pictures.is_empty());
            TrainError::NotFinitePictures {
                step: self.state.step,
                pictures: blamed.unwrap_or(names).join(", "),
            }
        })
    }

    fn compare_copies(&self) -> Result<(), TrainError> {
        if self.copies.count() < 2 {
            return Ok(());
        }
        let sums = self
            .copies
            .all(|_| |replica: &mut super::replica::Replica| replica.checksum())?;
        let sums = sums.into_iter().collect::<Result<Vec<f64>, _>>()?;
        match sums.windows(2).all(|pair| pair[0] == pair[1]) {
            true => Ok(()),
            false => Err(TrainError::CopiesDiffer {
                step: self.state.step,
            }),
        }
    }

    fn save(&mut self) -> Result<(), TrainError> {
        let path = self.state.tensors_path(&self.options.run);
        self.copies.first(move |replica| replica.save(&path))??;
        self.state.clone().commit(&self.options.run)?;
        self.saved = Some(self.state.step);
        self.log.write_plot()
    }

    fn write_model(&self) -> Result<(), TrainError> {
        let mut config = self.base.config().clone();
        config.consistency = self.recipe.consistency;
        if let Some(stage) = stage_after(&self.recipe, self.state.step) {
            config.stage = stage;
            let used = self.recipe.data.iter();
            let used = used.filter(|data| data.stage_1 > 0.0 || data.stage_2 > 0.0);
            let names: Vec<&str> = used.map(|data| data.name.as_str()).collect();
            config.knows = format!("Qwen2.5-VL and SAM, tuned on {}", names.join(", "));
        }
        let (out, base) = (self.options.out.clone(), self.base.clone());
        self.copies
            .first(move |replica| replica.write_model(&out, &config, &base))?
    }
}

/// The stage that a model is at after `step` steps; none where nothing was trained yet.
fn stage_after(recipe: &LargeRecipe, step: u64) -> Option<Stage> {
    match step {
        0 => None,
        _ if step <= recipe.stage_1.schedule.steps => Some(Stage::One),
        _ => Some(Stage::Two),
    }
}

fn absolute(path: &Path) -> Result<PathBuf, TrainError> {
    path::absolute(path).map_err(TrainError::io(path))
}

/// How each device adds its gradients to those of the others.
fn reduces(devices: &[Device], pictures_per_step: usize) -> Result<Vec<Reduce>, TrainError> {
    let refuse = |reason: String| Err(TrainError::Devices(reason));
    let count = devices.len();
    if count == 0 {
        return refuse("there is no device to train on".to_owned());
    }
    if count > pictures_per_step {
        return refuse(format!(
            "{count} devices cannot share {pictures_per_step} pictures; raise pictures_per_step or \
             name fewer devices"
        ));
    }
    if count == 1 {
        return Ok(vec![Reduce::Alone]);
    }
    let on_cpu = devices
        .iter()
        .filter(|device| device::is_cpu(device))
        .count();
    if on_cpu == count {
        let shared = Arc::new(HostReduce::new(count));
        let reduce = |number| Reduce::Host {
            shared: Arc::clone(&shared),
            number,
        };
        return Ok((0..count).map(reduce).collect());
    }
    if on_cpu > 0 {
        return refuse("the CPU and GPUs cannot train one model together".to_owned());
    }
    for (place, device) in devices.iter().enumerate() {
        if devices[..place].contains(device) {
            return refuse("a GPU is named twice; each can hold one copy of the model".to_owned());
        }
    }
    device::check_nccl().map_err(|error| TrainError::Devices(error.to_string()))?;
    Ok(vec![Reduce::Nccl(devices.to_vec()); count])
}

/// The folder of the model that a run starts, or has started, from.
fn base_folder(
    options: &LargeOptions,
    saved: Option<&LargeCheckpoint>,
) -> Result<PathBuf, TrainError> {
    let base = match (&options.from, saved) {
        (Some(from), _) => absolute(from)?,
        (None, Some(saved)) => saved.base.clone(),
        (None, None) => {
            return Err(TrainError::Recipe(
                "this recipe tunes a model; name its directory, such as `fclm init` writes, by \
                 --from"
                    .to_owned(),
            ));
        }
    };
    if absolute(&options.out)? == base {
        return Err(refused(
            &options.out,
            "the model that the run starts from would be replaced; name another folder with --out",
        ));
    }
    Ok(base)
}

/// Refuses a checkpoint of another run.
fn check_saved(
    options: &LargeOptions,
    saved: &LargeCheckpoint,
    base_sha256: &str,
) -> Result<(), TrainError> {
    if saved.base_sha256 != base_sha256 {
        return Err(refused(
            &options.run,
            &format!(
                "the run started from another model, which was in {}",
                saved.base.display()
            ),
        ));
    }
    // Data sets may be moved while a run rests.
    let anywhere = |recipe: &LargeRecipe| {
        let mut recipe = recipe.clone();
        recipe
            .data
            .iter_mut()
            .for_each(|data| data.dir = PathBuf::new());
        recipe
    };
    if anywhere(&saved.recipe) != anywhere(&options.recipe) && !options.accept_changes {
        return Err(refused(
            &options.run,
            "the checkpoint was made by another recipe; add --changed-recipe to go on with this one",
        ));
    }
    Ok(())
}

fn sampler(
    recipe: &Arc<LargeRecipe>,
    base: &ModelDir,
    tokenizer: &FclmTokenizer,
) -> Result<Sampler, TrainError> {
    let mixture = Mixture::open(recipe.seed, &recipe.data)?;
    Sampler::new(
        Arc::clone(recipe),
        Arc::new(base.config().clone()),
        tokenizer.clone(),
        base.chat_template(),
        mixture,
    )
}

/// Brings all copies to where a run stood.
fn restore(
    options: &LargeOptions,
    copies: &Copies,
    fresh: LargeCheckpoint,
    saved: LargeCheckpoint,
    tensors: &Weights,
) -> Result<LargeCheckpoint, TrainError> {
    if fresh.parameters != saved.parameters {
        return Err(refused(
            &options.run,
            "the checkpoint's parameters are not those that the recipe trains",
        ));
    }
    let updates = saved.updates;
    let restored = copies.all(|_| {
        let tensors = tensors.clone();
        move |replica: &mut super::replica::Replica| replica.restore(&tensors, updates)
    })?;
    restored.into_iter().collect::<Result<(), _>>()?;
    Ok(LargeCheckpoint {
        base: fresh.base,
        lengths: fresh.lengths,
        recipe: fresh.recipe,
        ..saved
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::tiny;
    use super::*;

    fn options(setting: &tiny::Setting, name: &str) -> LargeOptions {
        let run = setting.folder.join(name);
        LargeOptions {
            recipe: setting.recipe.clone(),
            out: run.join("model"),
            run,
            from: Some(setting.base.clone()),
            resume: false,
            accept_changes: false,
            limit: None,
            stop: StopRequest::default(),
            devices: vec![Device::flex()],
            display: Display::Plain,
        }
    }

    fn tensors(options: &LargeOptions) -> Vec<u8> {
        let (state, _) = LargeCheckpoint::load(&options.run).unwrap().unwrap();
        fs::read(state.tensors_path(&options.run)).unwrap()
    }

    /// Does some steps and saves, as a run that is killed afterwards.
    fn interrupted(options: &LargeOptions, steps: u64) {
        let mut run = Run::start(options).unwrap();
        for _ in 0..steps {
            run.step(0.0).unwrap();
        }
        run.save().unwrap();
        // What was done after the last checkpoint is lost.
        run.step(0.0).unwrap();
    }

    #[test]
    fn a_run_in_pieces_is_the_run_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let setting = tiny::Setting::new(folder.path());
        let whole = options(&setting, "whole");
        train_large(&whole).unwrap();
        let mut pieces = options(&setting, "pieces");
        // Before, at and behind the border between the stages, which is at 4 of 6.
        interrupted(&pieces, 3);
        let again = train_large(&pieces).unwrap_err().to_string();
        assert!(again.contains("add --resume"), "{again}");
        pieces.resume = true;
        pieces.from = None;
        interrupted(&pieces, 1);
        train_large(&pieces).unwrap();
        assert!(tensors(&whole) == tensors(&pieces), "the runs differ");

        let model = ModelDir::open(&whole.out).unwrap();
        assert_eq!(model.config().stage, Stage::Two);
        assert!(model.config().knows.contains("scenes"));
        // Nothing but published names is in it.
        model.check().unwrap();
        let text = fs::read_to_string(whole.run.join("train.jsonl")).unwrap();
        let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(
            (last["step"].as_u64(), last["stage"].as_u64()),
            (Some(6), Some(2))
        );
        let waited = last["feed_wait"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&waited), "{waited}");
    }

    #[test]
    fn a_run_goes_on_with_its_own_model_and_recipe_only() {
        let folder = tempfile::tempdir().unwrap();
        let setting = tiny::Setting::new(folder.path());
        let mut options = options(&setting, "run");
        interrupted(&options, 1);
        options.resume = true;
        let refusal = |options: &LargeOptions| Run::start(options).err().unwrap().to_string();

        let mut changed = options.clone();
        changed.recipe.stage_1.schedule.learning_rate *= 2.0;
        let sentence = refusal(&changed);
        assert!(sentence.contains("--changed-recipe"), "{sentence}");
        changed.accept_changes = true;
        assert_eq!(Run::start(&changed).unwrap().state.step, 1);
        // Moved data is the same data.
        let moved = setting.folder.join("moved");
        fs::rename(setting.folder.join("scenes"), &moved).unwrap();
        let lines = moved.join("scenes.jsonl");
        options.recipe.data[0].dir = moved;
        assert_eq!(Run::start(&options).unwrap().state.step, 1);
        // With a picture less it is not.
        let text = fs::read_to_string(&lines).unwrap();
        let (fewer, _) = text.trim_end().rsplit_once('\n').unwrap();
        fs::write(&lines, fewer).unwrap();
        let sentence = refusal(&options);
        assert!(sentence.contains("as many pictures"), "{sentence}");
        fs::write(&lines, &text).unwrap();

        changed.recipe.data[0].dir = options.recipe.data[0].dir.clone();
        changed.recipe.freeze_sam_encoder = true;
        let sentence = refusal(&changed);
        assert!(sentence.contains("parameters are not those"), "{sentence}");

        let other = setting.folder.join("other");
        tiny::write_model(&other, 2);
        options.from = Some(other.clone());
        let sentence = refusal(&options);
        assert!(sentence.contains("another model"), "{sentence}");
        options.out = other;
        let sentence = refusal(&options);
        assert!(sentence.contains("would be replaced"), "{sentence}");
    }

    #[test]
    fn what_cannot_begin_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let setting = tiny::Setting::new(folder.path());
        let refusal = |options: &LargeOptions| Run::start(options).err().unwrap().to_string();
        let start = options(&setting, "run");
        let sentence = refusal(&LargeOptions {
            from: None,
            ..start.clone()
        });
        assert!(sentence.contains("--from"), "{sentence}");
        let sentence = refusal(&LargeOptions {
            resume: true,
            ..start.clone()
        });
        assert!(sentence.contains("leave --resume out"), "{sentence}");
        let sentence = refusal(&LargeOptions {
            devices: vec![Device::flex(); 3],
            ..start.clone()
        });
        assert!(sentence.contains("3 devices cannot share 2"), "{sentence}");
        let mut elsewhere = start.clone();
        elsewhere.recipe.data[0].dir = folder.path().join("none");
        let sentence = refusal(&elsewhere);
        assert!(sentence.contains("\"scenes\""), "{sentence}");
        assert!(!start.run.exists());
    }

    #[test]
    fn a_run_that_is_asked_to_stop_can_be_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let setting = tiny::Setting::new(folder.path());
        let mut options = options(&setting, "run");
        options.stop.make();
        let trained = train_large(&options).unwrap();
        assert_eq!((trained.step, trained.is_finished()), (0, false));
        assert!(options.out.join("config.json").is_file());
        options.stop = StopRequest::default();
        options.resume = true;
        let mut run = Run::start(&options).unwrap();
        run.step(0.0).unwrap();
        assert_eq!(run.state.step, 1);
    }

    #[test]
    fn two_copies_on_the_cpu_train_one_model() {
        let folder = tempfile::tempdir().unwrap();
        let mut setting = tiny::Setting::new(folder.path());
        setting.recipe.stage_1.schedule.steps = 1;
        setting.recipe.stage_2.schedule.steps = 1;
        let mut two = options(&setting, "two");
        two.devices = vec![Device::flex(); 2];
        let mut run = Run::start(&two).unwrap();
        run.step(0.0).unwrap();
        run.step(0.0).unwrap();
        run.compare_copies().unwrap();
        assert_eq!((run.state.step, run.state.pictures), (2, 4));
    }
}
