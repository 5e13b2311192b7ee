use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use fclm_core::fclm::ConsistencyConfig;
use fclm_core::loss::PointSampling;
use fclm_core::qwen::LoraConfig;
use fclm_core::weights::Precision;

use crate::train::error::TrainError;
use crate::train::recipe::{OptimizerRecipe, Schedule};

const RECIPE_3B: &str = include_str!("../../../recipes/3b.toml");
const RECIPE_7B: &str = include_str!("../../../recipes/7b.toml");

/// Most pictures, regions, turns or tokens that a recipe may ask for: far above any use, and so few
/// that no sum of them overflows.
const MOST: usize = 1 << 20;

/// How a model directory is tuned on folders of pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LargeRecipe {
    /// Seed of the adapters and of what is drawn.
    pub seed: u64,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
    /// Adapters on the language model, which is frozen then; without them all of it is trained.
    #[serde(default)]
    pub lora: Option<LoraConfig>,
    /// The type of what is frozen of Qwen2.5-VL.
    pub base_precision: BasePrecision,
    /// Whether the insides of transformer blocks are computed again in the backward pass.
    pub recompute_blocks: bool,
    /// Whether what elementwise operations make is computed again, too.
    pub recompute_operations: bool,
    /// Mask losses on sampled points; without it on whole masks.
    #[serde(default)]
    pub mask_points: Option<PointSampling>,
    /// Whether SAM's image encoder stays as it is.
    pub freeze_sam_encoder: bool,
    /// Whether the vision tower stays as it is.
    pub freeze_vision_tower: bool,
    /// Pictures of one optimiser step, over all devices.
    pub pictures_per_step: usize,
    /// Most regions of a picture that are described.
    pub max_regions: usize,
    /// Most conversations behind a picture.
    pub max_turns: usize,
    /// Most tokens of a picture and all conversations behind it.
    pub max_length: usize,
    /// Further regions of a picture whose `<pos>` must draw their mask.
    pub extra_reconstructions: usize,
    /// Box and point prompts of a picture for SAM's own task, in stage 1.
    pub prompts: usize,
    /// How many of them are refined by clicks and by the mask that they gave.
    pub refinements: usize,
    /// Chance that a region is marked carelessly: by a rectangle, a stroke or a coarse mask.
    pub careless_chance: f64,
    /// Weight of the cross-entropy.
    pub ce_weight: f64,
    /// Weight of the score loss.
    pub score_weight: f64,
    /// Consistency switches.
    pub consistency: ConsistencyConfig,
    /// The optimiser.
    pub optimizer: OptimizerRecipe,
    /// Stage 1.
    pub stage_1: LargeStage,
    /// Stage 2.
    pub stage_2: LargeStage,
    /// The data sets.
    pub data: Vec<DataRecipe>,
}

/// The float type of frozen weights of Qwen2.5-VL; SAM's are in f32, frozen or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BasePrecision {
    /// 32 bits; what is trained needs them.
    F32,
    /// 16 bits with the range of 32.
    Bf16,
}

impl From<BasePrecision> for Precision {
    fn from(precision: BasePrecision) -> Self {
        match precision {
            BasePrecision::F32 => Self::F32,
            BasePrecision::Bf16 => Self::Bf16,
        }
    }
}

/// How one stage is trained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LargeStage {
    /// Weight of the latent loss; the paper has it in stage 2 only, at weight 1.
    pub latent_weight: f64,
    /// Its schedule.
    pub schedule: Schedule,
    /// How often pictures are asked what, among what can be asked of them.
    pub tasks: TaskShares,
}

/// How often each task is chosen among those that a picture has texts for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TaskShares {
    /// A region's category.
    pub category: f64,
    /// A short description of a region.
    pub brief: f64,
    /// A detailed description of a region.
    pub detailed: f64,
    /// A question about regions.
    pub question: f64,
    /// An expression for one mask, one that has to be reasoned about included.
    pub find: f64,
    /// An expression for several masks.
    pub find_several: f64,
    /// An expression for what is not there.
    pub find_none: f64,
    /// A detailed description turned into an expression (DL-RES).
    pub reversed: f64,
    /// A caption whose phrases have masks.
    pub grounded: f64,
    /// A caption without masks.
    pub caption: f64,
}

impl TaskShares {
    fn named(&self) -> [(&'static str, f64); 10] {
        [
            ("category", self.category),
            ("brief", self.brief),
            ("detailed", self.detailed),
            ("question", self.question),
            ("find", self.find),
            ("find_several", self.find_several),
            ("find_none", self.find_none),
            ("reversed", self.reversed),
            ("grounded", self.grounded),
            ("caption", self.caption),
        ]
    }
}

/// A data set: a folder with `pictures.jsonl` or `scenes.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataRecipe {
    /// What it is called, for `--data NAME=DIR` and in messages.
    pub name: String,
    /// The folder.
    pub dir: PathBuf,
    /// How often its pictures come in stage 1, beside the others' numbers.
    #[serde(default)]
    pub stage_1: f64,
    /// How often they come in stage 2.
    #[serde(default)]
    pub stage_2: f64,
}

impl LargeRecipe {
    /// The built-in recipe of that name, where there is one.
    ///
    /// # Errors
    /// Where it is not valid.
    pub fn built_in(name: &str) -> Option<Result<Self, TrainError>> {
        match name {
            "3b" => Some(Self::from_toml(RECIPE_3B)),
            "7b" => Some(Self::from_toml(RECIPE_7B)),
            _ => None,
        }
    }

    /// Reads a recipe.
    ///
    /// # Errors
    /// Where the text is no recipe, or a value makes no sense.
    pub fn from_toml(text: &str) -> Result<Self, TrainError> {
        let recipe: Self =
            toml::from_str(text).map_err(|error| TrainError::Recipe(error.to_string()))?;
        recipe.validate()?;
        Ok(recipe)
    }

    /// The same with another folder for a data set.
    ///
    /// # Errors
    /// Where there is no data set of that name.
    pub fn with_data(mut self, name: &str, dir: &Path) -> Result<Self, TrainError> {
        let known: Vec<String> = self.data.iter().map(|data| data.name.clone()).collect();
        let Some(data) = self.data.iter_mut().find(|data| data.name == name) else {
            return Err(TrainError::Recipe(format!(
                "the recipe has no data set {name:?}; it has {}",
                known.join(", ")
            )));
        };
        data.dir = dir.to_owned();
        Ok(self)
    }

    /// Checks what the layout leaves open.
    ///
    /// # Errors
    /// Names the first field that is wrong, its value, and what would be right.
    pub fn validate(&self) -> Result<(), TrainError> {
        if let Some(lora) = &self.lora {
            lora.validate()
                .map_err(|error| TrainError::Recipe(format!("lora.{error}")))?;
        }
        if self.lora.is_none() && self.base_precision != BasePrecision::F32 {
            return refuse(
                "base_precision",
                &"bf16",
                "be f32 where there is no [lora], because all of the language model is trained",
            );
        }
        if let Some(points) = &self.mask_points {
            points
                .validate()
                .map_err(|error| TrainError::Recipe(format!("mask_points.{error}")))?;
        }
        for (field, value, least) in [
            ("pictures_per_step", self.pictures_per_step, 1),
            ("max_regions", self.max_regions, 1),
            ("max_turns", self.max_turns, 1),
            ("max_length", self.max_length, 1),
            ("extra_reconstructions", self.extra_reconstructions, 0),
            ("prompts", self.prompts, 0),
        ] {
            if !(least..=MOST).contains(&value) {
                return refuse(field, &value, &format!("be {least} to {MOST}"));
            }
        }
        if self.checkpoint_every == 0 {
            return refuse("checkpoint_every", &0, "be at least 1");
        }
        if self.refinements > self.prompts {
            let most = format!("be at most prompts = {}", self.prompts);
            return refuse("refinements", &self.refinements, &most);
        }
        if !(0.0..=1.0).contains(&self.careless_chance) {
            return refuse("careless_chance", &self.careless_chance, "be 0 to 1");
        }
        for (field, weight) in [
            ("ce_weight", self.ce_weight),
            ("score_weight", self.score_weight),
        ] {
            weighs(field, weight)?;
        }
        self.validate_optimizer()?;
        for (number, stage) in [(1, &self.stage_1), (2, &self.stage_2)] {
            self.validate_stage(number, stage)?;
        }
        if self.total_steps() == 0 {
            return refuse(
                "stage_1.schedule.steps",
                &0,
                "be at least 1 in one of the stages",
            );
        }
        self.validate_data()
    }

    fn validate_optimizer(&self) -> Result<(), TrainError> {
        let optimizer = &self.optimizer;
        for (field, value) in [
            ("optimizer.beta_1", optimizer.beta_1),
            ("optimizer.beta_2", optimizer.beta_2),
        ] {
            if !(0.0..1.0).contains(&value) {
                return refuse(field, &value, "be at least 0 and less than 1");
            }
        }
        for (field, value) in [
            ("optimizer.epsilon", optimizer.epsilon),
            ("optimizer.clip_norm", optimizer.clip_norm),
        ] {
            if !(value > 0.0 && value.is_finite()) {
                return refuse(field, &value, "be a number above 0");
            }
        }
        weighs("optimizer.weight_decay", optimizer.weight_decay)?;
        weighs("optimizer.extractor_share", optimizer.extractor_share)
    }

    fn validate_stage(&self, number: u8, stage: &LargeStage) -> Result<(), TrainError> {
        let name = format!("stage_{number}");
        stage.schedule.validate(&format!("{name}.schedule"))?;
        weighs(&format!("{name}.latent_weight"), stage.latent_weight)?;
        if stage.latent_weight > 0.0 && self.consistency.latent.is_none() {
            return refuse(
                &format!("{name}.latent_weight"),
                &stage.latent_weight,
                "be 0 where consistency.latent is none",
            );
        }
        let shares = stage.tasks.named();
        for (task, share) in shares {
            weighs(&format!("{name}.tasks.{task}"), share)?;
        }
        if stage.schedule.steps > 0 && shares.iter().all(|&(_, share)| share == 0.0) {
            return refuse(&format!("{name}.tasks"), &"all 0", "name what is asked");
        }
        Ok(())
    }

    fn validate_data(&self) -> Result<(), TrainError> {
        let mut names = BTreeSet::new();
        for data in &self.data {
            if data.name.is_empty() || data.name.contains('=') {
                return refuse("data.name", &data.name, "be a word without \"=\"");
            }
            if !names.insert(&data.name) {
                return refuse("data.name", &data.name, "be that of one data set only");
            }
            weighs(&format!("data.{}.stage_1", data.name), data.stage_1)?;
            weighs(&format!("data.{}.stage_2", data.name), data.stage_2)?;
        }
        for number in [1, 2] {
            let steps = self.stage(number).schedule.steps;
            let all_weigh_nothing = self.data.iter().all(|data| data.weight(number) == 0.0);
            if steps > 0 && all_weigh_nothing {
                return refuse(
                    &format!("data.stage_{number}"),
                    &"0 for every data set",
                    "be above 0 for one of them, because the stage has steps",
                );
            }
        }
        Ok(())
    }

    /// Stage 1 or 2.
    pub fn stage(&self, number: u8) -> &LargeStage {
        match number {
            1 => &self.stage_1,
            _ => &self.stage_2,
        }
    }

    /// Steps of both stages.
    pub fn total_steps(&self) -> u64 {
        self.stage_1
            .schedule
            .steps
            .saturating_add(self.stage_2.schedule.steps)
    }

    /// The number of the stage that a step belongs to, and the step's own number in it.
    pub fn stage_at(&self, step: u64) -> (u8, u64) {
        let first = self.stage_1.schedule.steps;
        match step < first {
            true => (1, step),
            false => (2, step - first),
        }
    }
}

impl DataRecipe {
    /// How often its pictures come in a stage.
    pub fn weight(&self, stage: u8) -> f64 {
        match stage {
            1 => self.stage_1,
            _ => self.stage_2,
        }
    }
}

fn weighs(field: &str, weight: f64) -> Result<(), TrainError> {
    match weight >= 0.0 && weight.is_finite() {
        true => Ok(()),
        false => refuse(field, &weight, "be a number from 0 on"),
    }
}

fn refuse(field: &str, value: &dyn std::fmt::Display, wanted: &str) -> Result<(), TrainError> {
    Err(TrainError::Recipe(format!(
        "{field} is {value} but must {wanted}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_recipes_are_valid_and_follow_the_paper() {
        for name in ["3b", "7b"] {
            let recipe = LargeRecipe::built_in(name).unwrap().unwrap();
            assert_eq!(recipe.stage_1.schedule.learning_rate, 2e-5, "{name}");
            assert_eq!(recipe.stage_2.schedule.learning_rate, 1e-5, "{name}");
            assert_eq!(recipe.stage_1.latent_weight, 0.0, "{name}");
            assert_eq!(recipe.stage_2.latent_weight, 1.0, "{name}");
            assert_eq!(recipe.consistency, ConsistencyConfig::paper(), "{name}");
            let lora = recipe.lora.as_ref().unwrap();
            assert_eq!(lora.alpha, 2.0 * lora.rank as f64, "{name}");
            // 30 % of stage 2 is the mix of stage 1.
            let total = |stage: u8, of: &dyn Fn(&DataRecipe) -> bool| -> f64 {
                let sets = recipe.data.iter().filter(|data| of(data));
                sets.map(|data| data.weight(stage)).sum()
            };
            let old = total(2, &|data| data.stage_1 > 0.0);
            let all = total(2, &|_| true);
            assert!((old / all - 0.3).abs() < 1e-9, "{name}: {old} of {all}");
            for data in recipe.data.iter().filter(|data| data.stage_1 > 0.0) {
                let share = |stage| data.weight(stage) / total(stage, &|data| data.stage_1 > 0.0);
                assert!((share(1) - share(2)).abs() < 1e-9, "{name}: {}", data.name);
            }
        }
        assert!(LargeRecipe::built_in("nano").is_none());
    }

    #[test]
    fn steps_belong_to_stages() {
        let mut recipe = LargeRecipe::built_in("3b").unwrap().unwrap();
        recipe.stage_1.schedule.steps = 7;
        recipe.stage_2.schedule.steps = 3;
        let stages = [0, 6, 7, 9].map(|step| recipe.stage_at(step));
        assert_eq!(stages, [(1, 0), (1, 6), (2, 0), (2, 2)]);
        assert_eq!(recipe.total_steps(), 10);
    }

    #[test]
    fn values_that_make_no_sense_are_named() {
        let right = LargeRecipe::built_in("3b").unwrap().unwrap();
        let wrong = |change: fn(&mut LargeRecipe)| {
            let mut recipe = right.clone();
            change(&mut recipe);
            recipe.validate().unwrap_err().to_string()
        };
        for (message, sentence) in [
            (wrong(|r| r.pictures_per_step = 0), "pictures_per_step is 0"),
            (wrong(|r| r.checkpoint_every = 0), "checkpoint_every is 0"),
            (wrong(|r| r.lora = None), "base_precision is bf16"),
            (wrong(|r| r.refinements = 99), "refinements is 99"),
            (wrong(|r| r.careless_chance = 1.5), "careless_chance is 1.5"),
            (wrong(|r| r.ce_weight = f64::NAN), "ce_weight is NaN"),
            (
                wrong(|r| r.optimizer.beta_2 = 1.0),
                "optimizer.beta_2 is 1 but",
            ),
            (
                wrong(|r| r.stage_2.tasks.reversed = -1.0),
                "stage_2.tasks.reversed is -1",
            ),
            (
                wrong(|r| r.stage_1.tasks = TaskShares::default()),
                "stage_1.tasks is all 0",
            ),
            (
                wrong(|r| r.consistency.latent = None),
                "stage_2.latent_weight is 1",
            ),
            (
                wrong(|r| r.stage_1.schedule.learning_rate = 0.0),
                "stage_1.schedule.learning_rate is 0",
            ),
            (
                wrong(|r| r.data.iter_mut().for_each(|data| data.stage_1 = 0.0)),
                "data.stage_1 is 0 for every",
            ),
            (
                wrong(|r| r.data.push(r.data[0].clone())),
                "be that of one data set only",
            ),
            (
                wrong(|r| {
                    r.lora.as_mut().unwrap().rank = 0;
                }),
                "lora.rank is 0",
            ),
        ] {
            assert!(message.contains(sentence), "{message}");
        }
        let misspelt = RECIPE_3B.replace("self_reconstruction =", "self_reconstructions =");
        let message = LargeRecipe::from_toml(&misspelt).unwrap_err().to_string();
        assert!(message.contains("self_reconstructions"), "{message}");
    }

    #[test]
    fn folders_are_changed_by_name() {
        let recipe = LargeRecipe::built_in("3b").unwrap().unwrap();
        let name = recipe.data[0].name.clone();
        let changed = recipe.clone().with_data(&name, Path::new("/mine")).unwrap();
        assert_eq!(changed.data[0].dir, Path::new("/mine"));
        assert_eq!(changed.data[1], recipe.data[1]);
        let error = recipe.with_data("none", Path::new("/mine")).unwrap_err();
        assert!(error.to_string().contains(&name), "{error}");
    }
}
