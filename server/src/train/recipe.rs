use serde::{Deserialize, Serialize};

use fclm_core::fclm::{ConsistencyConfig, FclmConfig};

use super::error::TrainError;

const NANO: &str = include_str!("../../recipes/nano.toml");
const MICRO: &str = include_str!("../../recipes/micro.toml");

/// How long a stage is, and how fast it learns.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
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
}

impl Schedule {
    /// How much of the rate's fall is behind a step, 0 to 1.
    pub fn fallen(&self, step: u64) -> f64 {
        let fall = (self.steps as f64 * self.decay).max(1.0);
        ((step as f64 - (self.steps as f64 - fall)) / fall).clamp(0.0, 1.0)
    }

    /// # Errors
    /// Where a number makes no schedule.
    pub(super) fn validate(&self, name: &str) -> Result<(), TrainError> {
        let refuse = |field: &str, value: f64, right: &str| {
            Err(TrainError::Recipe(format!(
                "{name}.{field} is {value} but must be {right}"
            )))
        };
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            return refuse("learning_rate", self.learning_rate, "a number above 0");
        }
        for (field, share) in [
            ("warm_up", self.warm_up),
            ("decay", self.decay),
            ("final_rate", self.final_rate),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return refuse(field, share, "between 0 and 1");
            }
        }
        if self.warm_up + self.decay > 1.0 {
            return refuse("decay", self.decay, "at most 1 - warm_up");
        }
        Ok(())
    }
}

/// How the vision tower is trained before stage 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TowerRecipe {
    /// Its schedule.
    pub schedule: Schedule,
    /// Scenes of one worker in one step.
    pub scenes: usize,
    /// How many of them are seen whole.
    pub whole: usize,
    /// Objects of each scene that are seen from near.
    pub crops: usize,
}

/// How one stage is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageRecipe {
    /// Its schedule.
    pub schedule: Schedule,
    /// Weight of naming attributes, which stands in for pretrained encoders; stage 2 has none.
    #[serde(default)]
    pub attribute_weight: f64,
    /// What that weight comes down to while the learning rate falls; without it, it stays.
    #[serde(default)]
    pub attribute_end: Option<f64>,
    /// Weight of telling where things are and of looking at them, which stands in for an LLM that
    /// can ground.
    #[serde(default)]
    pub grounding_weight: f64,
    /// Weight of the latent loss; the paper has it in stage 2 only, at weight 1.
    pub latent_weight: f64,
    /// What its scenes are asked.
    pub mix: MixRecipe,
    /// What they are asked at first.
    #[serde(default)]
    pub opening: Option<OpeningRecipe>,
}

impl StageRecipe {
    /// What a scene is asked at a step of the stage, and the weight of naming attributes.
    pub fn at(&self, step: u64) -> (&MixRecipe, f64) {
        match &self.opening {
            Some(opening) if step < opening.steps => (&opening.mix, opening.attribute_weight),
            _ => {
                let end = self.attribute_end.unwrap_or(self.attribute_weight);
                let fallen = self.schedule.fallen(step);
                let weight = self.attribute_weight + (end - self.attribute_weight) * fallen;
                (&self.mix, weight)
            }
        }
    }
}

/// The beginning of a stage, with a mix and a weight of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpeningRecipe {
    /// Its steps, which count among the stage's.
    pub steps: u64,
    /// Weight of naming attributes.
    #[serde(default)]
    pub attribute_weight: f64,
    /// What its scenes are asked.
    pub mix: MixRecipe,
}

/// What one scene is asked. Every text is a conversation of its own behind the picture.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixRecipe {
    /// Regions that are described.
    pub regions: usize,
    /// Questions about each of them.
    pub questions: usize,
    /// Expressions that are searched for.
    pub finds: usize,
    /// Share of the searches that are a detailed description turned round, nothing else (DL-RES).
    pub reversed_share: f64,
    /// Share of detailed descriptions among the other single-target expressions.
    pub detailed_share: f64,
    /// Chance of a grounded caption.
    pub caption_chance: f64,
    /// Further objects whose `<pos>` must draw their mask.
    pub extra_reconstructions: usize,
    /// Box and point prompts for SAM's own task.
    pub prompts: usize,
    /// How many of them are refined by clicks and by the mask that they gave.
    pub refinements: usize,
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
    /// The extractor's share of the learning rate, its position branch apart. At the whole rate
    /// what all regions have in common outgrows, within a few hundred steps from scratch, what
    /// tells them apart.
    pub extractor_share: f64,
}

/// What a batch is made of.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchRecipe {
    /// Data-parallel workers.
    pub workers: usize,
    /// Scenes of one worker in one step.
    pub scenes: usize,
    /// Chance that a scene is rendered at twice the side.
    pub large_chance: f64,
    /// Chance that a region is marked carelessly: by a rectangle, a stroke or a coarse mask.
    pub careless_chance: f64,
    /// Share of the scenes that are drawn from the hard world.
    #[serde(default)]
    pub hard_share: f64,
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
    /// Weight of the cross-entropy, 1 in the paper, whose LLM can speak already.
    pub ce_weight: f64,
    /// Consistency switches.
    pub consistency: ConsistencyConfig,
    /// What a batch is made of.
    pub batch: BatchRecipe,
    /// The optimiser.
    pub optimizer: OptimizerRecipe,
    /// Before stage 1, the vision tower alone learns what objects are and where they end.
    #[serde(default)]
    pub tower: Option<TowerRecipe>,
    /// Right before stage 1, the heads of training alone learn to read the model, by what stage 1 is
    /// taught. A run that starts from a model begins with new heads, whose gradients would undo what
    /// the model knows.
    #[serde(default)]
    pub heads: Option<Schedule>,
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
            "micro" => Self::from_toml(MICRO),
            other => Err(TrainError::Recipe(format!(
                "there is no recipe {other:?}; the built-in ones are \"nano\" and \"micro\", and a \
                 path to a .toml file works too"
            ))),
        }
    }

    /// Reads a recipe.
    ///
    /// # Errors
    /// Where the text is no recipe, or its model cannot be made.
    pub fn from_toml(text: &str) -> Result<Self, TrainError> {
        let recipe: Self =
            toml::from_str(text).map_err(|error| TrainError::Recipe(error.to_string()))?;
        recipe.validate()?;
        Ok(recipe)
    }

    /// Checks that the recipe can be followed and its model be made.
    ///
    /// # Errors
    /// Names the first value that makes no sense.
    pub fn validate(&self) -> Result<(), TrainError> {
        let recipe = self;
        let stages: Vec<MixRecipe> = [&recipe.stage_1, &recipe.stage_2]
            .into_iter()
            .flat_map(|stage| {
                let opening = stage.opening.iter().map(|opening| opening.mix);
                opening.chain([stage.mix])
            })
            .collect();
        let is_empty = recipe.batch.workers == 0
            || recipe.batch.scenes == 0
            || stages.iter().any(|mix| mix.regions == 0);
        if is_empty {
            return Err(TrainError::Recipe(
                "workers, scenes and regions must be at least 1".to_owned(),
            ));
        }
        if let Some(tower) = recipe.tower
            && (tower.scenes == 0 || tower.whole > tower.scenes || tower.whole + tower.crops == 0)
        {
            return Err(TrainError::Recipe(format!(
                "tower has scenes = {}, whole = {} and crops = {}; of at least one scene, no more \
                 than there are can be seen whole, and something must be seen",
                tower.scenes, tower.whole, tower.crops
            )));
        }
        let chances = [
            recipe.batch.large_chance,
            recipe.batch.careless_chance,
            recipe.batch.hard_share,
        ]
        .into_iter()
        .chain(
            stages
                .iter()
                .flat_map(|mix| [mix.reversed_share, mix.detailed_share, mix.caption_chance]),
        );
        for chance in chances {
            if !(0.0..=1.0).contains(&chance) {
                return Err(TrainError::Recipe(format!(
                    "{chance} is no chance; shares and chances lie between 0 and 1"
                )));
            }
        }
        if let Some(tower) = &recipe.tower {
            tower.schedule.validate("tower.schedule")?;
        }
        if let Some(heads) = &recipe.heads {
            heads.validate("heads")?;
        }
        for (name, stage) in [("stage_1", &recipe.stage_1), ("stage_2", &recipe.stage_2)] {
            stage.schedule.validate(&format!("{name}.schedule"))?;
            if stage.latent_weight > 0.0 && recipe.consistency.latent.is_none() {
                return Err(TrainError::Recipe(format!(
                    "{name} has a latent_weight of {}, but consistency.latent is none",
                    stage.latent_weight
                )));
            }
            for (field, weight) in [
                ("latent_weight", stage.latent_weight),
                ("grounding_weight", stage.grounding_weight),
            ] {
                if !(weight >= 0.0 && weight.is_finite()) {
                    return Err(TrainError::Recipe(format!(
                        "{name} has a {field} of {weight}; it may be any number from 0"
                    )));
                }
            }
            let opening = stage.opening.iter().map(|opening| opening.attribute_weight);
            let weights = opening
                .chain([stage.attribute_weight])
                .chain(stage.attribute_end);
            for weight in weights {
                let fits = weight == 0.0 || (name != "stage_2" && weight > 0.0);
                if !fits || !weight.is_finite() {
                    return Err(TrainError::Recipe(format!(
                        "{name} has an attribute_weight of {weight}; it may be any number from 0 \
                         before stage_2, which names no attributes"
                    )));
                }
            }
        }
        recipe
            .model
            .validate()
            .map_err(|error| TrainError::Recipe(format!("model.{error}")))
    }

    /// Steps of the vision tower alone.
    pub fn tower_steps(&self) -> u64 {
        self.tower.map_or(0, |tower| tower.schedule.steps)
    }

    /// Steps before stage 1.
    pub fn steps_before_stage_1(&self) -> u64 {
        self.tower_steps() + self.heads.map_or(0, |heads| heads.steps)
    }

    /// Steps of all stages.
    pub fn total_steps(&self) -> u64 {
        self.steps_before_stage_1() + self.stage_1.schedule.steps + self.stage_2.schedule.steps
    }
}

#[cfg(test)]
mod tests {
    use super::super::parameters::ParameterTable;
    use super::*;

    #[test]
    fn micro_is_small_and_leaves_the_latent_loss_to_stage_2() {
        let recipe = Recipe::named("micro").unwrap();
        let model = recipe.model.init(&burn::tensor::Device::flex());
        let parameters = ParameterTable::of(&model).len();
        assert!((1_000_000..2_500_000).contains(&parameters), "{parameters}");
        assert_eq!(recipe.stage_1.latent_weight, 0.0);
        assert!(recipe.stage_2.latent_weight > 0.0);
    }

    #[test]
    fn an_opening_ends_with_its_last_step() {
        let stage = Recipe::named("nano").unwrap().stage_1;
        let opening = stage.opening.clone().unwrap();
        let last = stage.at(opening.steps - 1);
        assert_eq!(last, (&opening.mix, opening.attribute_weight));
        let next = stage.at(opening.steps);
        assert_eq!(next, (&stage.mix, stage.attribute_weight));
        assert_ne!(last, next);
    }

    #[test]
    fn the_weight_of_attributes_falls_with_the_rate() {
        let mut stage = Recipe::named("nano").unwrap().stage_1;
        stage.attribute_weight = 8.0;
        stage.attribute_end = Some(2.0);
        let steps = stage.schedule.steps;
        let fall = (steps as f64 * stage.schedule.decay) as u64;
        assert_eq!(stage.at(steps - fall).1, 8.0);
        assert!((stage.at(steps - fall / 2).1 - 5.0).abs() < 1e-2);
        assert_eq!(stage.at(steps).1, 2.0);
        stage.attribute_end = None;
        assert_eq!(stage.at(steps).1, 8.0);
    }

    #[test]
    fn weights_that_nothing_uses_are_refused() {
        for wrong in [
            NANO.replacen("attribute_weight = 8.0", "attribute_weight = -1.0", 1),
            NANO.replacen("attribute_weight = 8.0", "attribute_weight = inf", 1),
            NANO.replacen("attribute_end = 2.0", "attribute_end = -2.0", 1),
            NANO.replacen("[stage_2]", "[stage_2]\nattribute_weight = 1.0", 1),
            NANO.replacen("latent_weight = 1.0", "latent_weight = nan", 1),
            NANO.replacen("grounding_weight = 2.0", "grounding_weight = -2.0", 1),
            NANO.replacen("latent = \"cosine\"\n", "", 1),
        ] {
            assert_ne!(wrong, NANO);
            let message = Recipe::from_toml(&wrong).unwrap_err().to_string();
            assert!(message.contains("weight"), "{message}");
        }
    }

    #[test]
    fn schedules_that_make_no_sense_are_refused() {
        for (right, wrong) in [
            ("learning_rate = 1e-3", "learning_rate = nan"),
            (
                "[stage_1]\n",
                "[heads]\nsteps = 1\nlearning_rate = -1.0\nwarm_up = 0\ndecay = 0\n\
                 final_rate = 0\n[stage_1]\n",
            ),
            ("decay = 0.6", "decay = 1.5"),
            ("decay = 0.95", "decay = 0.99"),
            ("whole = 3", "whole = 300"),
            ("scenes = 12", "scenes = 0"),
        ] {
            let recipe = NANO.replacen(right, wrong, 1);
            assert_ne!(recipe, NANO, "{right}");
            let message = Recipe::from_toml(&recipe).unwrap_err().to_string();
            let field = wrong.split(" = ").next().unwrap();
            let field = if wrong.contains("[heads]") {
                "heads.learning_rate"
            } else {
                field
            };
            assert!(message.contains(field), "{message}");
        }
    }

    #[test]
    fn a_model_that_cannot_be_made_is_refused() {
        let broken = NANO.replacen("num_attention_heads = 6", "num_attention_heads = 7", 1);
        let message = Recipe::from_toml(&broken).unwrap_err().to_string();
        let reason = "text_config.num_attention_heads is 7 but must divide hidden_size = 192";
        assert!(message.contains(reason), "{message}");
    }
}
