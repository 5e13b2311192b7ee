//! The beginning of a run, or its going on: what it starts from is checked, and then the copies of
//! the model and the threads that feed them are started.

use std::path::{self, Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use burn::tensor::Device;

use fclm_core::fclm::FclmTokenizer;
use fclm_core::weights::Weights;

use super::super::checkpoint::LargeCheckpoint;
use super::super::copies::Copies;
use super::super::feed::Feed;
use super::super::mixture::Mixture;
use super::super::recipe::LargeRecipe;
use super::super::reduce::{HostReduce, Reduce};
use super::super::replica::{Replica, ReplicaSetup};
use super::super::sample::Sampler;
use super::{LargeOptions, Run};
use crate::device;
use crate::model_dir::ModelDir;
use crate::train::error::TrainError;
use crate::train::folders::{check_folders, prepare_folders, refused};
use crate::train::log::TrainLog;

impl<'a> Run<'a> {
    pub(super) fn start(options: &'a LargeOptions) -> Result<Self, TrainError> {
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
        move |replica: &mut Replica| replica.restore(&tensors, updates)
    })?;
    restored.into_iter().collect::<Result<(), _>>()?;
    Ok(LargeCheckpoint {
        base: fresh.base,
        lengths: fresh.lengths,
        recipe: fresh.recipe,
        ..saved
    })
}
