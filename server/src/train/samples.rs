//! What workers learn from. On the CPU each worker draws its own; a GPU would wait for them, so that
//! threads of their own draw ahead of it.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::batch::HostScene;
use super::error::TrainError;
use super::phase::{Phase, PhaseStep, phase_at};
use super::recipe::Recipe;
use super::sample::Sampler;
use super::step::{LossRecipe, TrainStage};
use super::tower::TowerBatch;

/// Shares that may be ready before they are asked for.
const SHARES_AHEAD: usize = 3;

/// A worker's share of one step.
#[derive(Debug)]
pub(super) enum Samples {
    /// Pictures and crops for the vision tower.
    Tower([TowerBatch; 2]),
    /// Scenes with their conversations, for a stage.
    Scenes {
        /// The stage.
        stage: TrainStage,
        /// How its losses are weighed.
        losses: LossRecipe,
        /// The scenes.
        scenes: Vec<HostScene>,
    },
}

impl Samples {
    /// Draws the samples of a phase from `scenes` scenes of the stream, on all threads of the pool
    /// that the caller is in.
    ///
    /// # Errors
    /// Where a scene cannot be prepared.
    pub(super) fn draw(
        sampler: &Sampler,
        phase: Phase,
        first_scene: u64,
        scenes: usize,
    ) -> Result<Self, TrainError> {
        let (stage, mix, losses) = match phase {
            Phase::Tower { whole, crops } => {
                let scenes = first_scene..first_scene + scenes as u64;
                return Ok(Self::Tower(sampler.tower_batches(scenes, whole, crops)?));
            }
            Phase::Heads { mix, losses } => (TrainStage::One, mix, losses),
            Phase::Stage { stage, mix, losses } => (stage, mix, losses),
        };
        Ok(Self::Scenes {
            stage,
            losses,
            scenes: (0..scenes)
                .into_par_iter()
                .map(|place| sampler.scene(first_scene + place as u64, place, &mix))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// Draws the shares of a run in their order, on all cores, before they are asked for.
#[derive(Debug)]
pub(super) struct Ahead {
    shares: Option<Receiver<Result<Samples, TrainError>>>,
    thread: Option<JoinHandle<()>>,
}

impl Ahead {
    /// Begins with the first share of step `step`, whose first scene is `first_scene`.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub(super) fn start(
        recipe: &Recipe,
        sampler: Sampler,
        step: u64,
        first_scene: u64,
    ) -> Result<Self, TrainError> {
        let recipe = recipe.clone();
        let (outbox, shares) = sync_channel(SHARES_AHEAD);
        let pool = rayon::ThreadPoolBuilder::new()
            .thread_name(|number| format!("samples-{number}"))
            .build()
            .map_err(|error| TrainError::Worker(error.to_string()))?;
        let draw_all = move || {
            let mut first_scene = first_scene;
            for step in step..recipe.total_steps() {
                let PhaseStep { phase, scenes, .. } = phase_at(&recipe, step);
                for _ in 0..recipe.batch.workers {
                    let drawn =
                        pool.install(|| Samples::draw(&sampler, phase, first_scene, scenes));
                    first_scene += scenes as u64;
                    if outbox.send(drawn).is_err() {
                        return;
                    }
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("samples".to_owned())
            .spawn(draw_all)
            .map_err(|error| TrainError::Worker(error.to_string()))?;
        Ok(Self {
            shares: Some(shares),
            thread: Some(thread),
        })
    }

    /// The next worker's share.
    ///
    /// # Errors
    /// Where a scene of it could not be prepared, or the run has no more.
    pub(super) fn next(&self) -> Result<Samples, TrainError> {
        let ended = || TrainError::Worker("no thread draws samples any more".to_owned());
        let shares = self.shares.as_ref().ok_or_else(ended)?;
        shares.recv().map_err(|_| ended())?
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.shares = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use fclm_core::fclm::FclmTokenizer;
    use fclm_core::fclm::prompt::CHAT_TEMPLATE;

    use super::super::conversations::corpus;
    use super::super::recipe::TowerRecipe;
    use super::super::run::set_ids;
    use super::super::tokenizer::train_tokenizer;
    use super::*;

    /// The first numbers of each picture of a share.
    fn beginnings(samples: &Samples) -> Vec<Vec<f32>> {
        let some = |pixels: &[f32]| pixels[..500].to_vec();
        match samples {
            Samples::Tower(batches) => batches
                .iter()
                .flat_map(TowerBatch::pictures)
                .map(some)
                .collect(),
            Samples::Scenes { scenes, .. } => {
                scenes.iter().map(|scene| some(&scene.sam_pixels)).collect()
            }
        }
    }

    #[test]
    fn what_is_drawn_ahead_is_what_workers_draw_themselves() {
        let mut recipe = Recipe::named("nano").unwrap();
        recipe.batch.scenes = 2;
        recipe.stage_1.schedule.steps = 1;
        recipe.stage_2.schedule.steps = 1;
        let mut tower: TowerRecipe = recipe.tower.unwrap();
        tower.schedule.steps = 1;
        (tower.scenes, tower.whole, tower.crops) = (3, 1, 1);
        recipe.tower = Some(tower);
        let json = train_tokenizer(corpus(1, 20, recipe.stage_1.mix), recipe.vocabulary).unwrap();
        let tokenizer = FclmTokenizer::from_json(json.as_bytes()).unwrap();
        set_ids(&mut recipe.model, &tokenizer).unwrap();
        let sampler = Sampler::new(&recipe, &tokenizer, CHAT_TEMPLATE).unwrap();

        let ahead = Ahead::start(&recipe, sampler.clone(), 0, 10).unwrap();
        for (step, first_scene, scenes, pictures) in [
            (0, 10, 3, 4),
            (0, 13, 3, 4),
            (1, 16, 2, 2),
            (1, 18, 2, 2),
            (2, 20, 2, 2),
        ] {
            let phase = phase_at(&recipe, step).phase;
            let own = Samples::draw(&sampler, phase, first_scene, scenes).unwrap();
            let own = beginnings(&own);
            assert_eq!(own.len(), pictures, "step {step}");
            assert!(own == beginnings(&ahead.next().unwrap()), "step {step}");
        }
        assert!(ahead.next().is_ok());
        assert!(ahead.next().is_err(), "the run has ended");
    }
}
