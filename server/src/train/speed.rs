//! How fast a recipe trains: scenes a second, and what the products of matrices come to in them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use burn::tensor::Device;
use serde::Serialize;

use fclm_core::fclm::FclmTokenizer;
use fclm_core::fclm::prompt::CHAT_TEMPLATE;

use super::adamw::AdamW;
use super::error::TrainError;
use super::flops::Product;
use super::heads::Learner;
use super::parameters::ParameterTable;
use super::phase::{PhaseStep, phase_at, shares};
use super::recipe::Recipe;
use super::run::{new_tokenizer, set_ids, worker_count};
use super::sample::Sampler;
use super::samples::Ahead;
use super::schedule::learning_rate;
use super::worker::{Outcome, Task, Worker};
use crate::device;

/// How fast one phase of a recipe is trained.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PhaseSpeed {
    /// The phase.
    pub phase: &'static str,
    /// Steps that were timed.
    pub steps: u64,
    /// Scenes of all workers in a second.
    pub scenes_per_s: f64,
    /// Share of the time in which scenes were waited for.
    pub feed_wait: f64,
    /// 10^9 floating-point operations of a scene's products of matrices, forward and backward; none
    /// where they are not counted.
    pub gflop_per_scene: Option<f64>,
    /// Those of a second.
    pub gflop_per_s: Option<f64>,
    /// The products of one worker's last step, those with the most operations first.
    pub products: Vec<Product>,
}

/// Times the phases of a recipe in which all that is computed is trained: the vision tower's
/// lessons and stage 1, its opening apart. A step is that of a run, from drawing the scenes to the
/// optimiser; one before those that are timed warms up. Nothing is written.
///
/// A phase of fewer steps is timed as long as it is, and left out where it has no more than one.
///
/// # Errors
/// Where the recipe cannot be followed, or a worker ends.
pub fn time_phases(
    recipe: &Recipe,
    device: &Device,
    steps: u64,
) -> Result<Vec<PhaseSpeed>, TrainError> {
    let mut trial = Trial::new(recipe, &new_tokenizer(recipe)?, device)?;
    phases(recipe)
        .into_iter()
        .filter(|&(_, _, length)| length > 1)
        .map(|(name, first, length)| trial.time(name, first, steps.clamp(1, length - 1)))
        .collect()
}

/// Name, first step and length of each phase that is timed.
fn phases(recipe: &Recipe) -> [(&'static str, u64, u64); 3] {
    let stage = &recipe.stage_1;
    let opening = stage.opening.as_ref().map_or(0, |opening| opening.steps);
    let opening = opening.min(stage.schedule.steps);
    let before = recipe.steps_before_stage_1();
    [
        ("the vision tower", 0, recipe.tower_steps()),
        ("stage 1, the opening", before, opening),
        ("stage 1", before + opening, stage.schedule.steps - opening),
    ]
}

/// A run that leaves nothing behind.
struct Trial<'a> {
    recipe: Recipe,
    device: &'a Device,
    sampler: Sampler,
    table: ParameterTable,
    parameters: Vec<f32>,
    optimizer: AdamW,
    workers: Vec<Worker>,
    /// Scenes that were drawn.
    scenes: u64,
}

/// What a step took, and what it came to.
struct Step {
    took: Duration,
    waited: Duration,
    outcomes: Vec<Outcome>,
}

impl<'a> Trial<'a> {
    fn new(recipe: &Recipe, tokenizer: &str, device: &'a Device) -> Result<Self, TrainError> {
        let mut recipe = recipe.clone();
        let tokenizer = FclmTokenizer::from_json(tokenizer.as_bytes())?;
        set_ids(&mut recipe.model, &tokenizer)?;
        let host = Device::flex().autodiff();
        host.seed(recipe.seed);
        let learner = Learner::new(recipe.model.init(&host), &recipe.model, &host);
        let table = ParameterTable::of(&learner);
        let sampler = Sampler::new(&recipe, &tokenizer, CHAT_TEMPLATE)?;
        // The values come first: parameters are made when they are first used.
        let parameters = table.values(&learner);
        let recording = device.clone().autodiff();
        let count = worker_count(&recipe, device);
        let workers = Worker::spawn_all(count, &learner, &table, &recipe, &sampler, &recording)?;
        Ok(Self {
            device,
            sampler,
            parameters,
            optimizer: AdamW::new(recipe.optimizer, table.len()),
            table,
            workers,
            scenes: 0,
            recipe,
        })
    }

    /// Times `steps` steps like step `first` of the recipe.
    fn time(
        &mut self,
        phase: &'static str,
        first: u64,
        steps: u64,
    ) -> Result<PhaseSpeed, TrainError> {
        let now = phase_at(&self.recipe, first);
        let ahead = match device::is_cpu(self.device) {
            true => None,
            false => {
                let sampler = self.sampler.clone();
                Some(Ahead::start(&self.recipe, sampler, first, self.scenes)?)
            }
        };
        self.step(&now, ahead.as_ref())?;

        let before = self.scenes;
        let (mut took, mut waited) = (Duration::ZERO, Duration::ZERO);
        let mut flops = Some(0);
        let mut products = Vec::new();
        for _ in 0..steps {
            let step = self.step(&now, ahead.as_ref())?;
            took += step.took;
            waited += step.waited;
            for outcome in &step.outcomes {
                let counted = outcome.size.products(&self.recipe.model);
                flops = flops.zip(counted.as_deref()).map(|(flops, counted)| {
                    let each = counted.iter().map(Product::trained_flops);
                    flops + each.sum::<u64>()
                });
                products = counted.unwrap_or_default();
            }
        }
        let seconds = took.as_secs_f64().max(1e-9);
        let scenes = (self.scenes - before) as f64;
        let gflop = flops.map(|flops| flops as f64 / 1e9);
        Ok(PhaseSpeed {
            phase,
            steps,
            scenes_per_s: scenes / seconds,
            feed_wait: waited.as_secs_f64() / seconds,
            gflop_per_scene: gflop.map(|gflop| gflop / scenes),
            gflop_per_s: gflop.map(|gflop| gflop / seconds),
            products,
        })
    }

    /// A step as a run makes it.
    fn step(&mut self, now: &PhaseStep, ahead: Option<&Ahead>) -> Result<Step, TrainError> {
        let began = Instant::now();
        let shares = shares(&self.table, &self.recipe, now.phase);
        let trained: Arc<[bool]> = shares.iter().map(|&share| share > 0.0).collect();
        let count = self.recipe.batch.workers;
        let first = Task {
            samples: None,
            parameters: Arc::new(std::mem::take(&mut self.parameters)),
            phase: now.phase,
            first_scene: self.scenes,
            scenes: now.scenes,
            trained,
        };
        let (outcomes, waited) = Worker::compute_shares(&self.workers, count, ahead, &first)?;
        self.parameters = Arc::unwrap_or_clone(first.parameters);
        let share = 1.0 / count as f32;
        let mut gradients = vec![0.0_f32; self.table.len()];
        for outcome in &outcomes {
            for (mean, gradient) in gradients.iter_mut().zip(&outcome.gradients) {
                *mean += share * gradient;
            }
        }
        let rate = learning_rate(&now.schedule, now.step);
        self.optimizer
            .step(&mut self.parameters, &gradients, &self.table, &shares, rate);
        self.scenes += (count * now.scenes) as u64;
        Ok(Step {
            took: began.elapsed(),
            waited,
            outcomes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::conversations::corpus;
    use super::super::recipe::TowerRecipe;
    use super::super::tokenizer::train_tokenizer;
    use super::*;

    fn recipe() -> Recipe {
        let mut recipe = Recipe::named("micro").unwrap();
        recipe.batch.scenes = 1;
        let tower = recipe.tower.unwrap();
        recipe.tower = Some(TowerRecipe {
            scenes: 2,
            whole: 1,
            crops: 1,
            ..tower
        });
        recipe
    }

    #[test]
    fn phases_are_timed_where_everything_is_trained() {
        let nano = Recipe::named("nano").unwrap();
        let opening = nano.stage_1.opening.as_ref().unwrap().steps;
        let before = nano.steps_before_stage_1();
        let stage = nano.stage_1.schedule.steps;
        assert_eq!(
            phases(&nano),
            [
                ("the vision tower", 0, nano.tower_steps()),
                ("stage 1, the opening", before, opening),
                ("stage 1", before + opening, stage - opening),
            ]
        );
        let mut short = nano;
        short.stage_1.schedule.steps = 3;
        assert_eq!(phases(&short)[2].2, 0);
    }

    #[test]
    fn a_phase_has_its_speed_and_its_count() {
        let recipe = recipe();
        let json = train_tokenizer(corpus(1, 20, recipe.stage_1.mix), recipe.vocabulary).unwrap();
        let device = Device::flex();
        let mut trial = Trial::new(&recipe, &json, &device).unwrap();
        let before = trial.parameters.clone();

        let tower = trial.time("tower", 0, 1).unwrap();
        assert!(trial.parameters != before, "a step has trained nothing");
        // A warm-up and a step, of two workers with two scenes each.
        assert_eq!(trial.scenes, 8);
        assert!(tower.scenes_per_s > 0.0);
        assert!((0.0..1.0).contains(&tower.feed_wait), "{tower:?}");
        let is_of_tower = |product: &Product| product.part == "vision tower";
        assert!(tower.products.iter().all(is_of_tower));

        let stage = trial
            .time("stage", recipe.steps_before_stage_1(), 1)
            .unwrap();
        assert_eq!(trial.scenes, 12);
        let parts = [
            "vision tower",
            "SAM's encoder",
            "region extractor",
            "language model",
            "seg_projection",
            "mask decoder",
        ];
        for part in parts {
            let mut products = stage.products.iter();
            assert!(products.any(|product| product.part == part), "{part}");
        }
        for speed in [tower, stage] {
            let gflop = speed.gflop_per_scene.unwrap();
            let per_s = speed.gflop_per_s.unwrap();
            assert!(gflop > 0.0);
            assert!((per_s / (gflop * speed.scenes_per_s) - 1.0).abs() < 1e-9);
        }
    }
}
