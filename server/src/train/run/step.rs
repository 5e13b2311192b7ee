//! One step of a run: the workers' shares are given out, and what they find is joined.

use std::fs;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::super::error::TrainError;
use super::super::folders::NOT_FINITE;
use super::super::log::StepRecord;
use super::super::phase::{Phase, PhaseStep, phase_at, shares};
use super::super::schedule::learning_rate;
use super::super::terms::{TERMS, Term};
use super::super::worker::{Task, Worker};
use super::Run;

impl Run<'_> {
    /// One optimiser step over the whole batch. Each of the recipe's workers has its share of it;
    /// where fewer threads compute, they compute the shares in turn.
    pub(super) fn step(&mut self, seconds: f64) -> Result<(), TrainError> {
        let began = Instant::now();
        let recipe = &self.recipe;
        let PhaseStep {
            phase,
            schedule,
            step: own_step,
            scenes: per_worker,
        } = phase_at(recipe, self.state.step);
        let shares = shares(&self.table, recipe, phase);
        let trained: Arc<[bool]> = shares.iter().map(|&share| share > 0.0).collect();
        let first = Task {
            samples: None,
            parameters: Arc::new(std::mem::take(&mut self.parameters)),
            phase,
            first_scene: self.state.scenes,
            scenes: per_worker,
            trained,
        };
        let (workers, ahead) = (&self.workers, self.ahead.as_ref());
        let (outcomes, waited) =
            Worker::compute_shares(workers, recipe.batch.workers, ahead, &first)?;
        let Task {
            parameters,
            trained,
            ..
        } = first;
        let mut outcomes = outcomes.into_iter();
        self.parameters = Arc::unwrap_or_clone(parameters);
        let share = 1.0 / recipe.batch.workers as f32;
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
        let mut terms: [f32; TERMS.len()] = sum.terms.map(|term| term * share);

        let scenes = (per_worker * recipe.batch.workers) as u64;
        let rate = learning_rate(&schedule, own_step);
        let norm = if terms[Term::Loss as usize].is_finite() {
            self.optimizer.step(
                &mut self.parameters,
                &sum.gradients,
                &self.table,
                &shares,
                rate,
            )
        } else {
            f64::NAN
        };
        if !norm.is_finite() {
            let scenes = self.state.scenes..self.state.scenes + scenes;
            return Err(self.not_finite(phase, scenes, &trained));
        }
        let took = began.elapsed().as_secs_f64().max(1e-9);
        terms[Term::FeedWait as usize] = (waited.as_secs_f64() / took) as f32;
        self.state.step += 1;
        self.state.scenes += scenes;
        self.state.turns += sum.turns as u64;
        self.state.updates = self.optimizer.time;
        self.log.push(&StepRecord {
            step: self.state.step,
            total_steps: recipe.total_steps(),
            stage: phase.number(),
            terms,
            norm,
            learning_rate: rate,
            turns: sum.turns as u64,
            scenes,
            seconds,
        })
    }

    /// What is said of a step whose loss or gradient is no number. Its scenes are computed one by
    /// one to find those that are to blame, and their pictures are written into the run's folder.
    fn not_finite(&self, phase: Phase, scenes: Range<u64>, trained: &Arc<[bool]>) -> TrainError {
        let parameters = Arc::new(self.parameters.clone());
        let is_finite = |scene: u64| -> Result<bool, TrainError> {
            let Some(worker) = self.workers.first() else {
                return Err(TrainError::Worker("there is none".to_owned()));
            };
            worker.start(Task {
                samples: None,
                parameters: Arc::clone(&parameters),
                phase,
                first_scene: scene,
                scenes: 1,
                trained: Arc::clone(trained),
            })?;
            Ok(worker.finish()?.is_finite())
        };
        let scenes = match blamed(scenes, is_finite) {
            Ok(scenes) => scenes,
            Err(error) => return error,
        };
        let folder = self.options.run.join(NOT_FINITE);
        let write = || -> io::Result<()> {
            fs::create_dir_all(&folder)?;
            scenes.iter().try_for_each(|&scene| {
                let path = folder.join(format!("scene-{scene:08}.png"));
                self.sampler
                    .seen(scene)
                    .save(path)
                    .map_err(io::Error::other)
            })
        };
        TrainError::NotFinite {
            step: self.state.step,
            pictures: match write() {
                Ok(()) => format!("what they show is in {}", folder.display()),
                Err(error) => format!(
                    "what they show could not be written into {}: {error}",
                    folder.display()
                ),
            },
            scenes,
        }
    }
}

/// Those of a step's scenes that are no number alone; all of them where none is.
fn blamed(
    scenes: Range<u64>,
    is_finite: impl Fn(u64) -> Result<bool, TrainError>,
) -> Result<Vec<u64>, TrainError> {
    let mut blamed = Vec::new();
    for scene in scenes.clone() {
        if !is_finite(scene)? {
            blamed.push(scene);
        }
    }
    if blamed.is_empty() {
        blamed.extend(scenes);
    }
    Ok(blamed)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::super::recipe::TowerRecipe;
    use super::super::TrainOptions;
    use super::super::tests::{give_tokenizer, options};
    use super::*;

    /// As [`options`], with two scenes a step, one for each worker.
    fn small_options(folder: &Path) -> TrainOptions {
        let mut options = options(folder);
        let tower = options.recipe.tower.unwrap();
        options.recipe.tower = Some(TowerRecipe {
            scenes: 1,
            whole: 1,
            crops: 1,
            ..tower
        });
        give_tokenizer(&options);
        options
    }

    #[test]
    fn scenes_that_are_no_numbers_are_named_and_their_pictures_kept() {
        let folder = tempfile::tempdir().unwrap();
        let options = small_options(folder.path());
        let mut run = Run::start(&options).unwrap();
        run.parameters.fill(f32::NAN);
        let error = run.step(0.0).unwrap_err();
        let TrainError::NotFinite { step, scenes, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!((*step, scenes.as_slice()), (0, [0, 1].as_slice()));
        assert_eq!((run.state.step, run.state.scenes), (0, 0));
        let pictures = options.run.join("not-finite");
        for &scene in scenes {
            let path = pictures.join(format!("scene-0000000{scene}.png"));
            let kept = image::open(path).unwrap().into_rgb8();
            assert!(kept == run.sampler.seen(scene), "scene {scene}");
        }
        let sentence = error.to_string();
        assert!(sentence.contains("To blame: scenes 0, 1 of"), "{sentence}");
        let path = pictures.display().to_string();
        assert!(sentence.ends_with(&path), "{sentence}");
    }

    #[test]
    fn a_scene_that_is_no_number_alone_is_to_blame() {
        let of = |bad: &[u64]| blamed(3..7, |scene| Ok(!bad.contains(&scene))).unwrap();
        assert_eq!(of(&[4]), [4]);
        assert_eq!(of(&[3, 6]), [3, 6]);
        assert_eq!(of(&[]), [3, 4, 5, 6]);
        let failed = blamed(3..7, |_| Err(TrainError::CopyEnded));
        assert!(matches!(failed, Err(TrainError::CopyEnded)));
        let one = TrainError::NotFinite {
            step: 9,
            scenes: vec![4],
            pictures: "it is there".to_owned(),
        };
        assert!(one.to_string().contains("scene 4 of the run's stream"));
    }

    #[test]
    fn one_thread_computes_in_turns_what_two_compute_at_once() {
        let after_a_step = |threads| {
            let folder = tempfile::tempdir().unwrap();
            let options = small_options(folder.path());
            let mut run = Run::start(&options).unwrap();
            // Random initial values would depend on other tests that draw at the same time.
            let value = |place: usize| ((place * 37 % 101) as f32 - 50.0) * 1e-3;
            run.parameters = (0..run.table.len()).map(value).collect();
            let before = run.parameters.clone();
            run.workers.truncate(threads);
            run.step(0.0).unwrap();
            assert!(run.parameters != before);
            assert_eq!(run.state.scenes, 2);
            run.parameters
        };
        assert!(after_a_step(1) == after_a_step(2));
    }
}
