mod start;
mod step;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use burn::tensor::Device;

use fclm_core::wire::Stage;

use super::checkpoint::LargeCheckpoint;
use super::copies::Copies;
use super::feed::Feed;
use super::recipe::LargeRecipe;
use crate::model_dir::ModelDir;
use crate::train::display::Display;
use crate::train::error::TrainError;
use crate::train::log::TrainLog;
use crate::train::run::Trained;
use crate::train::stop::StopRequest;

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

impl Run<'_> {
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
