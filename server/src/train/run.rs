mod start;
mod step;
mod write;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use burn::tensor::Device;

use fclm_core::fclm::{FclmConfig, FclmTokenizer};
use fclm_core::wire::Stage;

use super::adamw::AdamW;
use super::checkpoint::Checkpoint;
use super::display::Display;
use super::error::TrainError;
use super::heads::Learner;
use super::log::TrainLog;
use super::parameters::ParameterTable;
use super::recipe::Recipe;
use super::sample::Sampler;
use super::samples::Ahead;
use super::stop::StopRequest;
use super::worker::Worker;

pub(super) use self::start::{new_tokenizer, worker_count};

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
    use std::fs;
    use std::path::Path;

    use super::super::conversations::corpus;
    use super::super::tokenizer::train_tokenizer;
    use super::*;

    pub(super) fn options(folder: &Path) -> TrainOptions {
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
    pub(super) fn give_tokenizer(options: &TrainOptions) {
        let recipe = &options.recipe;
        let json = train_tokenizer(corpus(1, 20, recipe.stage_1.mix), recipe.vocabulary).unwrap();
        fs::create_dir(&options.run).unwrap();
        fs::write(options.run.join("tokenizer.json"), json).unwrap();
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
}
