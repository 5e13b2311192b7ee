//! A copy of the model on one device, and what it does in a step.

use std::path::Path;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use fclm_core::fclm::{Fclm, FclmConfig, FclmTokenizer};
use fclm_core::weights::Weights;

use super::adamw::{DeviceAdamW, Update};
use super::checkpoint;
use super::counts::Counts;
use super::device_batch::LargeBatch;
use super::gradients::{GradientBuffer, square_sums};
use super::load::load;
use super::loss::{PictureLoss, no_terms, picture_loss, reported};
use super::recipe::LargeRecipe;
use super::reduce::Reduce;
use super::sample::HostPicture;
use super::trained::{Trained, recording};
use crate::model_dir::{self, ModelDir};
use crate::train::error::TrainError;
use crate::train::terms::{TERMS, Term};

/// What a copy of the model is made of.
#[derive(Debug, Clone)]
pub(super) struct ReplicaSetup {
    pub(super) base: ModelDir,
    pub(super) tokenizer: FclmTokenizer,
    pub(super) recipe: Arc<LargeRecipe>,
    pub(super) device: Device,
    pub(super) reduce: Reduce,
}

/// A copy of the model with its optimiser. All copies of a run hold the same numbers.
#[derive(Debug)]
pub(super) struct Replica {
    /// None while it is replaced.
    model: Option<Fclm>,
    trained: Trained,
    optimizer: DeviceAdamW,
    recipe: Arc<LargeRecipe>,
    config: FclmConfig,
    /// The device, recording.
    device: Device,
    /// The device, not recording.
    plain: Device,
    reduce: Reduce,
    /// The stage whose parameters are recorded, and their shares of the learning rate.
    stage: Option<(u8, Vec<f64>)>,
}

/// One step, or a copy's part of it.
#[derive(Debug, Clone)]
pub(super) struct StepTask {
    pub(super) stage: u8,
    pub(super) learning_rate: f64,
    pub(super) pictures: Vec<HostPicture>,
    /// What the pictures of all copies have together.
    pub(super) counts: Counts,
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum StepOutcome {
    /// The parameters were updated.
    Done {
        terms: [f32; TERMS.len()],
        /// The gradient's, before clipping.
        norm: f64,
    },
    /// Loss or gradient is not a number, and nothing was updated.
    NotFinite {
        /// Those of the copy's pictures whose own loss or gradient is not a number; none where they
        /// are numbers one by one, or where another copy's pictures are to blame.
        pictures: Vec<String>,
    },
}

impl Replica {
    /// Loads the model.
    ///
    /// # Errors
    /// Where the weights do not fit, or the recipe trains none of them.
    pub(super) fn new(setup: ReplicaSetup) -> Result<Self, TrainError> {
        let ReplicaSetup {
            base,
            tokenizer,
            recipe,
            device,
            reduce,
        } = setup;
        let plain = device.without_autodiff();
        let recording = plain.clone().autodiff();
        let device = match recipe.recompute_operations {
            true => recording.gradient_checkpointing(),
            false => recording,
        };
        let model = load(&base, &tokenizer, &recipe, &device)?;
        let trained = Trained::of(&model, &recipe);
        if trained.count() == 0 {
            return Err(TrainError::Recipe(
                "everything is frozen, so there is nothing to train".to_owned(),
            ));
        }
        Ok(Self {
            optimizer: DeviceAdamW::new(recipe.optimizer, &trained, &plain),
            model: Some(model),
            trained,
            config: base.config().clone(),
            recipe,
            device,
            plain,
            reduce,
            stage: None,
        })
    }

    /// The parameters that the run trains.
    pub(super) fn trained(&self) -> &Trained {
        &self.trained
    }

    fn model(&self) -> Result<&Fclm, TrainError> {
        let gone = || TrainError::Worker("an update of the model was interrupted".to_owned());
        self.model.as_ref().ok_or_else(gone)
    }

    /// Computes the gradients of the pictures, adds those of the other copies, and updates the
    /// parameters.
    ///
    /// # Errors
    /// Where the device fails, or another copy has ended.
    pub(super) fn step(&mut self, task: &StepTask) -> Result<StepOutcome, TrainError> {
        let outcome = self.try_step(task);
        if outcome.is_err() {
            self.reduce.end();
        }
        outcome
    }

    fn try_step(&mut self, task: &StepTask) -> Result<StepOutcome, TrainError> {
        let shares = self.record(task.stage)?;
        let model = self.model()?;
        let mut buffer = GradientBuffer::new(&self.trained);
        let mut terms = no_terms(&self.plain);
        for picture in &task.pictures {
            let own = self.loss(model, picture, task);
            terms = terms + own.terms;
            buffer.add(model, &self.trained, own.loss.backward());
        }
        let [reported_terms] = terms.dims();
        let mut tensors = vec![terms];
        tensors.extend(buffer.into_tensors(&self.trained, &self.plain));
        let mut sums = self.reduce.sum(tensors, &self.plain)?;
        let terms = sums.remove(0);
        // The one place where a step waits for the device.
        let numbers = read(Tensor::cat(vec![terms, square_sums(&sums)], 0))?;
        let (terms, squares) = numbers.split_at(reported_terms);
        let terms = reported(terms, &task.counts);
        let norm = squares.iter().copied().map(f64::from).sum::<f64>().sqrt();
        if !norm.is_finite() || !terms[Term::Loss as usize].is_finite() {
            let pictures = self.suspects(task)?;
            return Ok(StepOutcome::NotFinite { pictures });
        }
        let update = Update {
            shares: &shares,
            scale: self.optimizer.clip(norm),
            learning_rate: task.learning_rate,
        };
        if let Some(model) = self.model.take() {
            let model = self.optimizer.step(model, &self.trained, sums, update);
            self.model = Some(model);
        }
        Ok(StepOutcome::Done { terms, norm })
    }

    fn loss(&self, model: &Fclm, picture: &HostPicture, task: &StepTask) -> PictureLoss {
        let batch = LargeBatch::new(picture, &self.recipe, &self.config, &self.device);
        let (recipe, own) = (&*self.recipe, &picture.counts);
        picture_loss(model, batch, task.stage, recipe, own, &task.counts)
    }

    /// Records what the stage trains and nothing else, and returns the shares of the learning rate.
    fn record(&mut self, stage: u8) -> Result<Vec<f64>, TrainError> {
        if let Some((_, shares)) = self.stage.as_ref().filter(|(known, _)| *known == stage) {
            return Ok(shares.clone());
        }
        let shares = self.trained.shares(&self.recipe, stage);
        if shares.iter().all(|&share| share == 0.0) {
            return Err(TrainError::Recipe(format!(
                "stage {stage} trains nothing: everything that it could train is frozen"
            )));
        }
        if let Some(model) = self.model.take() {
            self.model = Some(recording(model, &self.trained, &shares));
        }
        self.stage = Some((stage, shares.clone()));
        Ok(shares)
    }

    /// The pictures whose own loss or gradient is not a number.
    fn suspects(&self, task: &StepTask) -> Result<Vec<String>, TrainError> {
        let model = self.model()?;
        let mut names = Vec::new();
        for picture in &task.pictures {
            let own = self.loss(model, picture, task);
            let mut buffer = GradientBuffer::new(&self.trained);
            buffer.add(model, &self.trained, own.loss.backward());
            let gradients = buffer.into_tensors(&self.trained, &self.plain);
            let numbers = read(Tensor::cat(vec![own.terms, square_sums(&gradients)], 0))?;
            if numbers.iter().any(|number| !number.is_finite()) {
                names.push(picture.name.clone());
            }
        }
        Ok(names)
    }

    /// A number that differs where the trained parameters do.
    ///
    /// # Errors
    /// Where the device fails.
    pub(super) fn checksum(&self) -> Result<f64, TrainError> {
        let values = checkpoint::flat_values(self.model()?, &self.trained);
        let sums = read(square_sums(&values))?;
        Ok(sums
            .iter()
            .zip(1_u32..)
            .map(|(&sum, number)| f64::from(sum) * f64::from(number).sqrt())
            .sum())
    }

    /// Writes parameters and moments.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub(super) fn save(&self, path: &Path) -> Result<(), TrainError> {
        checkpoint::write_tensors(path, self.model()?, &self.trained, &self.optimizer.moments)
    }

    /// Takes over parameters and moments that [`Self::save`] has written after so many updates.
    ///
    /// # Errors
    /// Where a tensor is missing or has another shape.
    pub(super) fn restore(&mut self, saved: &Weights, updates: u64) -> Result<(), TrainError> {
        if let Some(model) = self.model.take() {
            let (model, moments) = checkpoint::restored(model, &self.trained, saved, &self.plain)?;
            self.model = Some(model);
            self.optimizer.moments = moments;
            self.optimizer.time = updates;
        }
        Ok(())
    }

    /// Writes the model directory, adapters and new rows folded in.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub(super) fn write_model(
        &self,
        out: &Path,
        config: &FclmConfig,
        base: &ModelDir,
    ) -> Result<(), TrainError> {
        let model = self.model()?.clone().merged();
        let (tokenizer, template) = (base.tokenizer_json(), base.chat_template());
        model_dir::write_trained(out, config, tokenizer, template, &model)?;
        Ok(())
    }

    /// All trained numbers and moments, for comparisons.
    #[cfg(test)]
    pub(super) fn numbers(&self) -> Vec<Vec<f32>> {
        let values = checkpoint::flat_values(self.model().unwrap(), &self.trained);
        let moments = &self.optimizer.moments;
        let moments = moments
            .iter()
            .flat_map(|moments| [moments.first.clone(), moments.second.clone()]);
        values
            .into_iter()
            .chain(moments)
            .map(|tensor| read(tensor).unwrap())
            .collect()
    }

    /// The model, for comparisons.
    #[cfg(test)]
    pub(super) fn tuned(&self) -> &Fclm {
        self.model().unwrap()
    }
}

/// Waits for numbers of the device.
fn read(tensor: Tensor<1>) -> Result<Vec<f32>, TrainError> {
    tensor
        .try_into_vec_as::<f32>()
        .map_err(|error| TrainError::Worker(error.to_string()))
}

#[cfg(test)]
mod tests {
    use burn::module::{Module, ModuleVisitor, Param};

    use super::super::recipe::BasePrecision;
    use super::super::reduce::HostReduce;
    use super::super::tiny;
    use super::*;

    fn task(setting: &tiny::Setting, step: u64) -> StepTask {
        let sampler = setting.sampler();
        let pictures: Vec<HostPicture> = (0..setting.recipe.pictures_per_step)
            .map(|slot| sampler.picture(step, slot).unwrap())
            .collect();
        StepTask {
            stage: setting.recipe.stage_at(step).0,
            learning_rate: 1e-3,
            counts: pictures
                .iter()
                .fold(Counts::default(), |sum, picture| sum + picture.counts),
            pictures,
        }
    }

    fn done(outcome: StepOutcome) -> ([f32; TERMS.len()], f64) {
        match outcome {
            StepOutcome::Done { terms, norm } => (terms, norm),
            StepOutcome::NotFinite { pictures } => panic!("not finite: {pictures:?}"),
        }
    }

    #[track_caller]
    fn assert_near(ours: &[Vec<f32>], theirs: &[Vec<f32>], bound: f32) {
        assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.iter().flatten().zip(theirs.iter().flatten()) {
            assert!((ours - theirs).abs() <= bound, "{ours}, {theirs}");
        }
    }

    /// Bits of everything that is not trained.
    struct Frozen<'a> {
        trained: &'a Trained,
        walk: super::super::trained::Walk,
        bits: Vec<Vec<u32>>,
    }

    impl ModuleVisitor for Frozen<'_> {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.walk.enter(name);
        }

        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.walk.exit();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if self.walk.place(self.trained).is_none() {
                let data = param.val().into_data();
                self.bits
                    .push(data.iter::<f32>().map(f32::to_bits).collect());
            }
        }
    }

    fn frozen(replica: &Replica) -> Vec<Vec<u32>> {
        let mut frozen = Frozen {
            trained: &replica.trained,
            walk: super::super::trained::Walk::default(),
            bits: Vec::new(),
        };
        replica.tuned().visit(&mut frozen);
        frozen.bits
    }

    #[test]
    fn only_what_is_trained_changes() {
        let folder = tempfile::tempdir().unwrap();
        let setting = tiny::Setting::new(folder.path());
        let mut replica = setting.replica(Reduce::Alone);
        let before = (frozen(&replica), replica.numbers());
        for step in 0..5 {
            done(replica.step(&task(&setting, step)).unwrap());
        }
        assert!(before.0.len() > 40, "{}", before.0.len());
        assert!(
            frozen(&replica) == before.0,
            "a frozen parameter has changed"
        );
        let after = replica.numbers();
        let count = replica.trained.count();
        let changed = (0..count).filter(|&place| before.1[place] != after[place]);
        let changed = changed.count();
        assert!(4 * changed > 3 * count, "{changed} of {count} have changed");
    }

    #[test]
    fn two_copies_learn_what_one_does() {
        let folder = tempfile::tempdir().unwrap();
        let mut setting = tiny::Setting::new(folder.path());
        setting.recipe.pictures_per_step = 3;
        let tasks: Vec<StepTask> = [0, 1].map(|step| task(&setting, step)).to_vec();
        let mut alone = setting.replica(Reduce::Alone);
        let expected: Vec<_> = tasks
            .iter()
            .map(|task| done(alone.step(task).unwrap()))
            .collect();

        let shared = Arc::new(HostReduce::new(2));
        let copies: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = [0, 1]
                .into_iter()
                .map(|number| {
                    let reduce = Reduce::Host {
                        shared: Arc::clone(&shared),
                        number,
                    };
                    let (setting, tasks) = (&setting, &tasks);
                    scope.spawn(move || {
                        let mut replica = setting.replica(reduce);
                        let mut outcomes = Vec::new();
                        for task in tasks {
                            let own = task.pictures.iter().skip(number).step_by(2);
                            let own = StepTask {
                                pictures: own.cloned().collect(),
                                ..task.clone()
                            };
                            outcomes.push(done(replica.step(&own).unwrap()));
                        }
                        (outcomes, replica.numbers(), replica.checksum().unwrap())
                    })
                })
                .collect();
            let joined = threads.into_iter().map(|thread| thread.join().unwrap());
            joined.collect()
        });
        assert!(copies[0].1 == copies[1].1, "the copies differ");
        assert_eq!(copies[0].2, copies[1].2);
        assert_near(&copies[0].1, &alone.numbers(), 1e-5);
        for (ours, theirs) in copies[0].0.iter().zip(&expected) {
            assert!(
                (ours.1 - theirs.1).abs() < 1e-4 * theirs.1,
                "{} {}",
                ours.1,
                theirs.1
            );
            for (ours, theirs) in ours.0.iter().zip(theirs.0) {
                assert!(
                    (ours - theirs).abs() < 1e-4 || (ours.is_nan() && theirs.is_nan()),
                    "{ours}, {theirs}"
                );
            }
        }
    }

    #[test]
    fn pictures_that_are_no_numbers_are_named_and_nothing_is_updated() {
        let folder = tempfile::tempdir().unwrap();
        let setting = tiny::Setting::new(folder.path());
        let mut replica = setting.replica(Reduce::Alone);
        let mut task = task(&setting, 0);
        task.pictures[1].qwen_pixels.fill(f32::NAN);
        let before = replica.numbers();
        let outcome = replica.step(&task).unwrap();
        let pictures = vec![task.pictures[1].name.clone()];
        assert_eq!(outcome, StepOutcome::NotFinite { pictures });
        assert!(replica.numbers() == before);
    }

    /// A learning rate of 1e30 leaves nothing that a step could be computed with.
    #[test]
    fn a_model_that_has_exploded_names_the_pictures_of_the_step() {
        let folder = tempfile::tempdir().unwrap();
        let setting = tiny::Setting::new(folder.path());
        let mut replica = setting.replica(Reduce::Alone);
        let mut first = task(&setting, 0);
        first.learning_rate = 1e30;
        done(replica.step(&first).unwrap());
        let second = task(&setting, 1);
        let StepOutcome::NotFinite { mut pictures } = replica.step(&second).unwrap() else {
            panic!("the second step has a result");
        };
        let mut expected: Vec<String> = second
            .pictures
            .iter()
            .map(|picture| picture.name.clone())
            .collect();
        pictures.sort();
        expected.sort();
        assert_eq!(pictures, expected);
    }

    #[test]
    fn eight_pictures_are_learned_by_heart() {
        let folder = tempfile::tempdir().unwrap();
        let mut setting = tiny::Setting::new(folder.path());
        setting.recipe.lora = None;
        setting.recipe.base_precision = BasePrecision::F32;
        setting.recipe.freeze_vision_tower = false;
        setting.recipe.pictures_per_step = 8;
        setting.recipe.recompute_blocks = false;
        setting.recipe.optimizer.epsilon = 1e-8;
        let mut task = task(&setting, 0);
        task.learning_rate = 5e-3;
        let mut replica = setting.replica(Reduce::Alone);
        let losses: Vec<f32> = (0..25)
            .map(|_| done(replica.step(&task).unwrap()).0[Term::Loss as usize])
            .collect();
        assert!(losses[24] < 0.8 * losses[0], "{losses:?}");
    }
}
