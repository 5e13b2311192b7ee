//! The beginning of a run, or its going on from a checkpoint.

use std::fs;
use std::io::Write;

use burn::tensor::Device;

use fclm_core::fclm::FclmTokenizer;
use fclm_core::fclm::prompt::CHAT_TEMPLATE;
use fclm_core::wire::Stage;

use super::super::adamw::AdamW;
use super::super::checkpoint::{Checkpoint, Saved};
use super::super::conversations::corpus;
use super::super::error::TrainError;
use super::super::folders::{check_folders, prepare_folders, refused};
use super::super::heads::Learner;
use super::super::log::TrainLog;
use super::super::parameters::ParameterTable;
use super::super::recipe::Recipe;
use super::super::sample::Sampler;
use super::super::samples::Ahead;
use super::super::tokenizer::train_tokenizer;
use super::super::worker::Worker;
use super::{Run, TrainOptions, set_ids};
use crate::model_dir::{self, ModelDir};
use crate::{device, disk};

/// Texts that the tokenizer is trained on.
const TOKENIZER_SCENES: u64 = 400;

impl<'a> Run<'a> {
    pub(super) fn start(options: &'a TrainOptions) -> Result<Self, TrainError> {
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
        let Run {
            learner,
            table,
            recipe,
            sampler,
            ..
        } = &run;
        run.workers = Worker::spawn_all(workers, learner, table, recipe, sampler, &device)?;
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
}

/// How many threads compute gradients: the recipe's workers on the CPU, one on a GPU, which is busy
/// with one already.
pub(in crate::train) fn worker_count(recipe: &Recipe, device: &Device) -> usize {
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
        None => new_tokenizer(recipe)?,
    };
    disk::write_whole(&path, |file| file.write_all(json.as_bytes()))
        .map_err(TrainError::io(&path))?;
    Ok(json)
}

/// A tokenizer that is trained for a recipe's texts.
pub(in crate::train) fn new_tokenizer(recipe: &Recipe) -> Result<String, TrainError> {
    train_tokenizer(
        corpus(recipe.seed, TOKENIZER_SCENES, recipe.stage_1.mix),
        recipe.vocabulary,
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::{give_tokenizer, options};
    use super::*;

    #[test]
    fn nano_is_trained_by_two_workers() {
        let folder = tempfile::tempdir().unwrap();
        let options = options(folder.path());
        give_tokenizer(&options);
        assert_eq!(options.recipe.batch.workers, 2);
        let run = Run::start(&options).unwrap();
        assert_eq!(run.workers.len(), 2);
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
