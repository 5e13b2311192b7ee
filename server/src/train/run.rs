use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::tensor::Device;

use fclm_core::fclm::prompt::CHAT_TEMPLATE;
use fclm_core::fclm::{Fclm, FclmConfig, FclmTokenizer, Stage2Tuning};
use fclm_core::wire::Stage;

use super::adamw::AdamW;
use super::checkpoint::{Checkpoint, listing};
use super::error::TrainError;
use super::log::{StepRecord, TrainLog};
use super::parameters::ParameterTable;
use super::recipe::Recipe;
use super::sample::{Sampler, corpus};
use super::schedule::learning_rate;
use super::step::{TERMS, TrainStage};
use super::tokenizer::train_tokenizer;
use super::worker::{Task, Worker};
use crate::model_dir;

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
    /// Start from a model directory's weights instead of random ones.
    pub from: Option<PathBuf>,
    /// Stop, with a checkpoint, after this long.
    pub limit: Option<Duration>,
}

/// Trains, or goes on training, until the recipe or the time limit ends; writes the model either
/// way.
///
/// # Errors
/// Where files cannot be read or written, or the loss is no number any more.
pub fn train(options: &TrainOptions) -> Result<(), TrainError> {
    let started = Instant::now();
    fs::create_dir_all(&options.run).map_err(TrainError::io(&options.run))?;
    let mut recipe = options.recipe.clone();
    let tokenizer_json = tokenizer(options, &recipe)?;
    let tokenizer = FclmTokenizer::from_json(tokenizer_json.as_bytes())?;
    set_ids(&mut recipe.model, &tokenizer)?;

    let device = Device::flex().autodiff();
    device.seed(recipe.seed);
    let mut model = recipe.model.init(&device);
    if let Some(from) = &options.from {
        model = model_dir::load_weights(model, from)?;
    }
    let table = ParameterTable::of(&model);
    let mut parameters = table.values(&model);
    let mut optimizer = AdamW::new(recipe.optimizer, table.len());
    let mut state = Checkpoint {
        step: 0,
        scenes: 0,
        turns: 0,
        seconds: 0.0,
        updates: 0,
        vectors: String::new(),
        parameters: listing(&table),
    };
    match (Checkpoint::load(&options.run, &table)?, options.resume) {
        (Some((saved, values, [first, second])), true) => {
            optimizer.time = saved.updates;
            optimizer.first = first;
            optimizer.second = second;
            parameters = values;
            state = saved;
        }
        (Some(_), false) => {
            return Err(TrainError::Checkpoint {
                path: options.run.clone(),
                reason: "there is a run in this folder; add --resume to go on with it, or name \
                         another folder with --run"
                    .to_owned(),
            });
        }
        (None, _) => {}
    }
    eprintln!(
        "{} parameters, {} workers with {} scenes each, step {} of {}",
        table.len(),
        recipe.batch.workers,
        recipe.batch.scenes,
        state.step,
        recipe.total_steps(),
    );

    let sampler = Sampler::new(&recipe, &tokenizer, CHAT_TEMPLATE)?;
    let workers = (0..recipe.batch.workers)
        .map(|number| {
            let model = model.clone().fork(&device);
            Worker::spawn(
                number,
                model,
                table.clone(),
                &recipe,
                sampler.clone(),
                device.clone(),
            )
        })
        .collect::<Result<Vec<_>, _>>()?;

    let before = state.seconds;
    let mut log = TrainLog::new(&options.run);
    while state.step < recipe.total_steps() {
        if options
            .limit
            .is_some_and(|limit| started.elapsed() >= limit)
        {
            break;
        }
        step(
            &recipe,
            &table,
            &workers,
            &mut parameters,
            &mut optimizer,
            &mut state,
            &mut log,
            before + started.elapsed().as_secs_f64(),
        )?;
        state.seconds = before + started.elapsed().as_secs_f64();
        let is_due = state.step.is_multiple_of(recipe.checkpoint_every);
        if is_due {
            state.clone().save(&options.run, &parameters, &optimizer)?;
            if state.step.is_multiple_of(4 * recipe.checkpoint_every) {
                write_model(
                    options,
                    &recipe,
                    &tokenizer_json,
                    &table,
                    &model,
                    &parameters,
                    &state,
                )?;
            }
        }
    }
    state.clone().save(&options.run, &parameters, &optimizer)?;
    write_model(
        options,
        &recipe,
        &tokenizer_json,
        &table,
        &model,
        &parameters,
        &state,
    )
}

/// One optimiser step over all workers.
#[expect(
    clippy::too_many_arguments,
    reason = "the parts of a run, each borrowed by itself"
)]
fn step(
    recipe: &Recipe,
    table: &ParameterTable,
    workers: &[Worker],
    parameters: &mut Vec<f32>,
    optimizer: &mut AdamW,
    state: &mut Checkpoint,
    log: &mut TrainLog,
    seconds: f64,
) -> Result<(), TrainError> {
    let (stage, stage_recipe, stage_step) = if state.step < recipe.stage_1.steps {
        (TrainStage::One, &recipe.stage_1, state.step)
    } else {
        (
            TrainStage::Two,
            &recipe.stage_2,
            state.step - recipe.stage_1.steps,
        )
    };
    let shared = Arc::new(std::mem::take(parameters));
    for (number, worker) in workers.iter().enumerate() {
        worker.start(Task {
            parameters: Arc::clone(&shared),
            stage,
            first_scene: state.scenes + (number * recipe.batch.scenes) as u64,
            scenes: recipe.batch.scenes,
            detailed_share: stage_recipe.detailed_share,
        })?;
    }
    let mut outcomes = workers
        .iter()
        .map(Worker::finish)
        .collect::<Result<Vec<_>, _>>()?
        .into_iter();
    *parameters = Arc::try_unwrap(shared).unwrap_or_else(|shared| shared.as_ref().clone());
    let share = 1.0 / workers.len() as f32;
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
    }
    sum.gradients.iter_mut().for_each(|value| *value *= share);
    let terms: [f32; TERMS.len()] = sum.terms.map(|term| term * share);

    let scenes = (recipe.batch.scenes * workers.len()) as u64;
    let trained = trained(table, recipe, stage);
    let rate = learning_rate(stage_recipe, stage_step);
    let norm = if terms[0].is_finite() {
        optimizer.step(parameters, &sum.gradients, table, &trained, rate)
    } else {
        f64::NAN
    };
    if !norm.is_finite() {
        return Err(TrainError::NotFinite {
            step: state.step,
            first: state.scenes,
            end: state.scenes + scenes,
        });
    }
    state.step += 1;
    state.scenes += scenes;
    state.turns += sum.turns as u64;
    state.updates = optimizer.time;
    log.push(&StepRecord {
        step: state.step,
        total_steps: recipe.total_steps(),
        stage: if stage == TrainStage::One { 1 } else { 2 },
        terms,
        norm,
        learning_rate: rate,
        turns: sum.turns as u64,
        scenes,
        seconds,
    })
}

/// Which parameters a stage trains: everything in stage 1, the LLM's blocks in stage 2. SAM's
/// position table is random by design and never trained.
fn trained(table: &ParameterTable, recipe: &Recipe, stage: TrainStage) -> Vec<bool> {
    let llm_only = stage == TrainStage::Two && recipe.consistency.stage2 == Stage2Tuning::Llm;
    table
        .parameters
        .iter()
        .map(|parameter| {
            let path = &parameter.path;
            let is_table = path.ends_with("positional_encoding_gaussian_matrix");
            !is_table && (!llm_only || path.starts_with("qwen.model.layers."))
        })
        .collect()
}

fn write_model(
    options: &TrainOptions,
    recipe: &Recipe,
    tokenizer_json: &str,
    table: &ParameterTable,
    model: &Fclm,
    parameters: &[f32],
    state: &Checkpoint,
) -> Result<(), TrainError> {
    let mut config = recipe.model.clone();
    config.consistency = recipe.consistency;
    config.stage = if state.step <= recipe.stage_1.steps {
        Stage::One
    } else {
        Stage::Two
    };
    // Values become leaves of the autodiff graph, so they need a device that records.
    let model = table.with_values(model.clone(), parameters, &Device::flex().autodiff());
    model_dir::write_trained(&options.out, &config, tokenizer_json, CHAT_TEMPLATE, &model)?;
    Ok(())
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
        None => train_tokenizer(corpus(recipe.seed, TOKENIZER_SCENES), recipe.vocabulary)?,
    };
    fs::write(&path, &json).map_err(TrainError::io(&path))?;
    Ok(json)
}

/// Puts the tokenizer's ids and size into the configuration.
fn set_ids(config: &mut FclmConfig, tokenizer: &FclmTokenizer) -> Result<(), TrainError> {
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
