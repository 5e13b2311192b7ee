use serde::{Deserialize, Serialize};

use fclm_core::fclm::{ConsistencyConfig, FclmConfig};

use super::error::TrainError;

const NANO: &str = include_str!("../../recipes/nano.toml");

/// How one stage is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageRecipe {
    /// Optimiser steps.
    pub steps: u64,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Share of the steps over which the rate rises from zero.
    pub warm_up: f64,
    /// Share of the steps over which the rate falls, at the end; between rise and fall it holds.
    pub decay: f64,
    /// The rate at the end as a share of the highest.
    pub final_rate: f64,
    /// Share of detailed descriptions among single-target expressions.
    pub detailed_share: f64,
}

/// The optimiser's constants.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimizerRecipe {
    /// Decay of the first moment.
    pub beta_1: f64,
    /// Decay of the second moment.
    pub beta_2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay, on matrices only.
    pub weight_decay: f64,
    /// Largest norm of the whole gradient.
    pub clip_norm: f64,
}

/// What a batch is made of.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchRecipe {
    /// Data-parallel workers.
    pub workers: usize,
    /// Scenes of one worker in one step.
    pub scenes: usize,
    /// Regions per scene that are described.
    pub regions: usize,
    /// Text turns per described region.
    pub turns_per_region: usize,
    /// Expressions per scene that are searched for.
    pub finds: usize,
    /// Further objects per scene whose `<pos>` must draw their mask.
    pub extra_reconstructions: usize,
    /// Box and point prompts per scene for SAM's own task.
    pub prompts: usize,
    /// Chance that a scene's turns hold a grounded caption.
    pub caption_chance: f64,
}

/// A whole training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Seed of parameters and samples.
    pub seed: u64,
    /// Ids of the tokenizer that is trained for the model.
    pub vocabulary: usize,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
    /// Weight of the score loss.
    pub score_weight: f64,
    /// Consistency switches.
    pub consistency: ConsistencyConfig,
    /// What a batch is made of.
    pub batch: BatchRecipe,
    /// The optimiser.
    pub optimizer: OptimizerRecipe,
    /// Stage 1.
    pub stage_1: StageRecipe,
    /// Stage 2.
    pub stage_2: StageRecipe,
    /// The model.
    pub model: FclmConfig,
}

impl Recipe {
    /// The built-in recipe of that name.
    ///
    /// # Errors
    /// Where there is none.
    pub fn named(name: &str) -> Result<Self, TrainError> {
        match name {
            "nano" => Self::from_toml(NANO),
            other => Err(TrainError::Recipe(format!(
                "there is no recipe {other:?}; the built-in one is \"nano\", and a path to a .toml \
                 file works too"
            ))),
        }
    }

    /// Reads a recipe.
    ///
    /// # Errors
    /// Where the text is no recipe.
    pub fn from_toml(text: &str) -> Result<Self, TrainError> {
        let recipe: Self =
            toml::from_str(text).map_err(|error| TrainError::Recipe(error.to_string()))?;
        if recipe.batch.workers == 0 || recipe.batch.scenes == 0 || recipe.batch.regions == 0 {
            return Err(TrainError::Recipe(
                "workers, scenes and regions of a batch must be at least 1".to_owned(),
            ));
        }
        Ok(recipe)
    }

    /// Steps of both stages.
    pub fn total_steps(&self) -> u64 {
        self.stage_1.steps + self.stage_2.steps
    }
}
