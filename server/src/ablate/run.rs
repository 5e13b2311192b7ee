//! Trains and measures what has not been measured yet.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::error::AblateError;
use super::measure::{ModelFigures, measure};
use super::plan::{PlannedRun, plan, select};
use super::results::{ResultRecord, Results, Seconds};
use super::variant::VARIANTS;
use crate::data::scenes::{DEFAULT_SIDE, write_dataset};
use crate::disk;
use crate::train::{
    Checkpoint, Display, Recipe, StopRequest, TrainError, TrainOptions, Trained, train,
};

/// The seed of the scenes that every run is measured on.
const DATA_SEED: u64 = 20_261_126;
/// Says what a folder's results belong to.
const STUDY: &str = "study.json";

/// How ablations are run.
#[derive(Debug, Clone)]
pub struct AblateOptions {
    /// The recipe that is varied.
    pub recipe: Recipe,
    /// Folder of checkpoints, models and results.
    pub run: PathBuf,
    /// How many seeds each variant is trained with.
    pub seeds: u64,
    /// Names of variants and tables; all where there is none.
    pub only: Vec<String>,
    /// Scenes that every run is measured on.
    pub scenes: u64,
    /// Stop, ready to go on, after this long.
    pub limit: Option<Duration>,
    /// Stop, ready to go on, when this is made.
    pub stop: StopRequest,
    /// What models are trained and measured on.
    pub device: Device,
}

/// How far ablations have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Runs that have a result, measured or diverged, of those that were asked for.
    pub measured: usize,
    /// Runs that were asked for.
    pub planned: usize,
}

/// Trains and measures every run that has no result yet, until all have, the time is over or somebody
/// asks to stop. `say` hears what is done next.
///
/// # Errors
/// Where a name is unknown, the folder belongs to another recipe or to somebody else, or a run cannot
/// be trained or measured. Results that were written before stay.
pub fn ablate(options: &AblateOptions, say: &dyn Fn(&str)) -> Result<Progress, AblateError> {
    let planned = plan(&options.recipe, &select(&options.only)?, options.seeds);
    let mut study = Study::open(options)?;
    for (index, run) in planned.iter().enumerate() {
        if study.has(run) {
            continue;
        }
        say(&format!(
            "run {} of {}: {}, stage 1 of {}",
            index + 1,
            planned.len(),
            run.name(),
            run.stage_1
        ));
        if !study.run(run)? {
            break;
        }
    }
    Ok(Progress {
        measured: planned.iter().filter(|run| study.has(run)).count(),
        planned: planned.len(),
    })
}

/// A folder of ablations under way.
struct Study<'a> {
    options: &'a AblateOptions,
    results: Results,
    started: Instant,
}

impl<'a> Study<'a> {
    fn open(options: &'a AblateOptions) -> Result<Self, AblateError> {
        let folder = &options.run;
        fs::create_dir_all(folder).map_err(AblateError::io(folder))?;
        let path = folder.join(STUDY);
        let own = Identity::of(options);
        match path.exists() {
            true => {
                let there = fs::read(&path).map_err(AblateError::io(&path))?;
                // What cannot be read was written for a recipe that is none here.
                if serde_json::from_slice::<Identity>(&there).ok() != Some(own) {
                    return Err(AblateError::Other(folder.clone()));
                }
            }
            false => {
                refuse_foreign(folder)?;
                disk::write_whole(&path, |file| Ok(serde_json::to_writer(file, &own)?))
                    .map_err(AblateError::io(&path))?;
            }
        }
        let study = Self {
            options,
            results: Results::read(folder)?,
            started: Instant::now(),
        };
        study.tidy()?;
        Ok(study)
    }

    fn has(&self, run: &PlannedRun) -> bool {
        self.results.of(run.variant.name, run.seed).is_some()
    }

    /// Trains and measures a run, or writes down that it diverged, so that the others go on. False where
    /// the time is over before it is measured.
    fn run(&mut self, run: &PlannedRun) -> Result<bool, AblateError> {
        match self.train_and_measure(run) {
            Err(AblateError::Train(error @ TrainError::NotFinite { .. })) => {
                self.results.add(ResultRecord {
                    variant: run.variant.name.to_owned(),
                    seed: run.seed,
                    tasks: BTreeMap::new(),
                    seconds: Seconds::default(),
                    model_sha256: String::new(),
                    diverged: Some(error.to_string()),
                })?;
                self.tidy()?;
                Ok(true)
            }
            other => other,
        }
    }

    fn train_and_measure(&mut self, run: &PlannedRun) -> Result<bool, AblateError> {
        let before = self.folder("stage-1", &run.stage_1);
        let Some(stage_1) = self.stage_1(&before, &run.stage_1_recipe)? else {
            return Ok(false);
        };
        let folder = self.folder("runs", &run.name());
        if !Checkpoint::is_in(&folder) {
            Checkpoint::copy(&before, &folder)?;
        }
        // Also where its last step is done: the model may be older than the checkpoint.
        let trained = self.train(&folder, &run.recipe)?;
        if !trained.is_finished() || self.is_over() {
            return Ok(false);
        }
        let started = Instant::now();
        let data = self.data()?;
        let AblateOptions { device, stop, .. } = self.options;
        let measured = measure(&folder.join("model"), &data, device, stop)?;
        let Some(ModelFigures {
            model_sha256,
            tasks,
        }) = measured
        else {
            return Ok(false);
        };
        self.results.add(ResultRecord {
            variant: run.variant.name.to_owned(),
            seed: run.seed,
            tasks,
            seconds: Seconds {
                stage_1,
                stage_2: (trained.seconds - stage_1).max(0.0),
                measuring: started.elapsed().as_secs_f64(),
            },
            model_sha256,
            diverged: None,
        })?;
        self.tidy()?;
        Ok(true)
    }

    /// Trains stage 1 to its end, where that has not been done: the seconds that it took; none where
    /// the time is over before.
    fn stage_1(&self, folder: &Path, recipe: &Recipe) -> Result<Option<f64>, AblateError> {
        let done = || -> Result<Option<f64>, AblateError> {
            let checkpoint = Checkpoint::of(folder)?;
            let done = checkpoint.filter(|there| there.step >= recipe.total_steps());
            Ok(done.map(|done| done.seconds))
        };
        if let Some(seconds) = done()? {
            return Ok(Some(seconds));
        }
        self.train(folder, recipe)?;
        done()
    }

    /// Trains a folder's run until its end or that of the time.
    fn train(&self, folder: &Path, recipe: &Recipe) -> Result<Trained, AblateError> {
        let options = TrainOptions {
            recipe: recipe.clone(),
            run: folder.to_owned(),
            out: folder.join("model"),
            resume: Checkpoint::is_in(folder),
            // A run that goes on from a stage 1 has that one's recipe, which ends there.
            accept_changes: true,
            from: None,
            limit: self.left(),
            stop: self.options.stop.clone(),
            device: self.options.device.clone(),
            display: Display::Plain,
        };
        Ok(train(&options)?)
    }

    /// The scenes that every run is measured on.
    fn data(&self) -> Result<PathBuf, AblateError> {
        let data = self.options.run.join("scenes");
        if !data.exists() {
            let size = (DEFAULT_SIDE, DEFAULT_SIDE);
            write_dataset(DATA_SEED, self.options.scenes, &data, size)?;
        }
        Ok(data)
    }

    /// Removes checkpoints that no run will go on from; models and logs stay.
    fn tidy(&self) -> Result<(), AblateError> {
        let seeds = self.results.records().iter().map(|record| record.seed);
        let all = plan(&self.options.recipe, &VARIANTS, seeds.max().unwrap_or(0));
        for run in &all {
            if self.has(run) {
                Checkpoint::remove(&self.folder("runs", &run.name()))?;
            }
            let mut sharing = all.iter().filter(|other| other.stage_1 == run.stage_1);
            if sharing.all(|other| self.has(other)) {
                Checkpoint::remove(&self.folder("stage-1", &run.stage_1))?;
            }
        }
        Ok(())
    }

    fn folder(&self, kind: &str, name: &str) -> PathBuf {
        self.options.run.join(kind).join(name)
    }

    fn left(&self) -> Option<Duration> {
        let limit = self.options.limit?;
        Some(limit.saturating_sub(self.started.elapsed()))
    }

    fn is_over(&self) -> bool {
        self.options.stop.is_made() || self.left().is_some_and(|left| left.is_zero())
    }
}

/// What a folder's results belong to. Compared by value: a field that a later version adds to recipes
/// with a default changes nothing.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Identity {
    recipe: Recipe,
    scenes: u64,
}

impl Identity {
    fn of(options: &AblateOptions) -> Self {
        Self {
            recipe: options.recipe.clone(),
            scenes: options.scenes,
        }
    }
}

/// Refuses a folder without ablations that holds anything but what a killed process has left.
fn refuse_foreign(folder: &Path) -> Result<(), AblateError> {
    for entry in fs::read_dir(folder).map_err(AblateError::io(folder))? {
        let path = entry.map_err(AblateError::io(folder))?.path();
        if !disk::is_unfinished(&path) {
            return Err(AblateError::Foreign(folder.to_owned()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::data::scenes::{SceneRecord, Seeds, sample_sized};
    use crate::train::train_tokenizer;

    /// Two short steps of each stage, one scene each, and two scenes to measure on.
    fn options(folder: &Path, only: &[&str]) -> AblateOptions {
        let mut recipe = Recipe::named("micro").unwrap();
        recipe.tower = None;
        recipe.batch.workers = 1;
        // An untrained model answers until nothing fits any more.
        recipe.model.qwen.text.max_position_embeddings = 320;
        recipe.batch.scenes = 1;
        recipe.stage_1.opening = None;
        recipe.stage_1.mix.finds = 1;
        recipe.stage_1.schedule.steps = 2;
        recipe.stage_2.mix.finds = 1;
        recipe.stage_2.schedule.steps = 2;
        let options = AblateOptions {
            recipe,
            run: folder.to_owned(),
            seeds: 1,
            only: only.iter().map(|&name| name.to_owned()).collect(),
            scenes: 2,
            limit: None,
            stop: StopRequest::default(),
            device: Device::flex(),
        };
        // A tokenizer that is there is not trained again.
        let scenes = (0..40)
            .map(|index| SceneRecord::new(index, &sample_sized(Seeds::public(3), index, 64, 64)));
        let texts: Vec<String> = scenes
            .flat_map(|scene| {
                let regions = scene.regions.into_iter().map(|region| region.detailed);
                let refs = scene.refs.into_iter().map(|expression| expression.text);
                regions.chain(refs).collect::<Vec<String>>()
            })
            .collect();
        let tokenizer = train_tokenizer(texts.into_iter(), options.recipe.vocabulary).unwrap();
        for run in plan(&options.recipe, &VARIANTS, 1) {
            let folder = folder.join("stage-1").join(run.stage_1);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("tokenizer.json"), &tokenizer).unwrap();
        }
        let identity = serde_json::to_string(&Identity::of(&options)).unwrap();
        fs::write(folder.join(STUDY), identity).unwrap();
        options
    }

    /// Runs what is left; what was said, and how far it came.
    fn go_on(options: &AblateOptions) -> (Vec<String>, Progress) {
        let said = RefCell::new(Vec::new());
        let progress = ablate(options, &|text| said.borrow_mut().push(text.to_owned())).unwrap();
        (said.into_inner(), progress)
    }

    #[test]
    fn runs_share_stage_1_stop_in_order_and_are_not_done_twice() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut options = options(folder, &["latent-none", "latent-kl"]);
        options.limit = Some(Duration::ZERO);
        let (said, progress) = go_on(&options);
        assert_eq!(said, ["run 1 of 2: latent-none-1, stage 1 of paper-1"]);
        assert_eq!((progress.measured, progress.planned), (0, 2));
        // It stopped before its first step, with a checkpoint.
        let stage_1 = folder.join("stage-1/paper-1");
        assert_eq!(Checkpoint::of(&stage_1).unwrap().unwrap().step, 0);

        options.limit = None;
        options.only.truncate(1);
        let (_, progress) = go_on(&options);
        assert_eq!((progress.measured, progress.planned), (1, 1));
        let written = fs::read_to_string(folder.join("results.jsonl")).unwrap();
        assert_eq!(written.lines().count(), 1);
        // Others may still go on from stage 1, nobody from a run that was measured.
        let before = Checkpoint::of(&stage_1).unwrap().unwrap();
        assert_eq!(before.step, 2);
        assert!(!Checkpoint::is_in(&folder.join("runs/latent-none-1")));
        assert!(folder.join("runs/latent-none-1/model/config.json").exists());

        options.only = vec!["latent-none".to_owned(), "latent-kl".to_owned()];
        let (said, progress) = go_on(&options);
        assert_eq!(said, ["run 2 of 2: latent-kl-1, stage 1 of paper-1"]);
        assert_eq!((progress.measured, progress.planned), (2, 2));
        // Stage 1 was not trained again.
        assert_eq!(Checkpoint::of(&stage_1).unwrap().unwrap(), before);
        let results = Results::read(folder).unwrap();
        let [none, kl] = results.records() else {
            panic!("{:?}", results.records());
        };
        assert_eq!(none.seconds.stage_1, kl.seconds.stage_1);
        assert_ne!(none.model_sha256, kl.model_sha256);
        assert!(go_on(&options).0.is_empty());

        options.scenes = 3;
        let refused = ablate(&options, &|_| {}).unwrap_err().to_string();
        assert!(refused.contains("--run"), "{refused}");
    }

    #[test]
    fn a_run_that_diverges_is_written_down_and_the_others_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut options = options(folder, &["steps-0", "latent-none"]);
        options.recipe.stage_1.schedule.learning_rate = 1e30;
        options.recipe.stage_1.schedule.steps = 4;
        let identity = serde_json::to_string(&Identity::of(&options)).unwrap();
        fs::write(folder.join(STUDY), identity).unwrap();
        let (said, progress) = go_on(&options);
        assert_eq!((said.len(), progress.measured, progress.planned), (2, 2, 2));
        let results = Results::read(folder).unwrap();
        for record in results.records() {
            let why = record.diverged.as_deref().unwrap();
            assert!(why.contains("not finite"), "{why}");
            assert!(record.tasks.is_empty());
        }
        assert!(go_on(&options).0.is_empty());
    }

    #[test]
    fn a_field_that_a_recipe_gains_with_a_default_is_no_other_recipe() {
        let folder = tempfile::tempdir().unwrap();
        let options = options(folder.path(), &["steps-0"]);
        let path = folder.path().join(STUDY);
        let mut study: serde_json::Value =
            serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let removed = study["recipe"]["batch"].as_object_mut().unwrap();
        assert!(removed.remove("hard_share").is_some());
        fs::write(&path, study.to_string()).unwrap();
        Study::open(&options).unwrap();
        study["scenes"] = 7.into();
        fs::write(&path, study.to_string()).unwrap();
        let refused = Study::open(&options).err().unwrap();
        assert!(matches!(refused, AblateError::Other(_)), "{refused}");
    }

    #[test]
    fn a_request_to_stop_ends_the_run_that_is_under_way() {
        let folder = tempfile::tempdir().unwrap();
        let options = options(folder.path(), &["steps-0"]);
        options.stop.make();
        let (said, progress) = go_on(&options);
        assert_eq!(said.len(), 1);
        assert_eq!((progress.measured, progress.planned), (0, 1));
        let checkpoint = Checkpoint::of(&folder.path().join("stage-1/steps-0-1")).unwrap();
        assert_eq!(checkpoint.unwrap().step, 0);
    }

    #[test]
    fn a_folder_of_somebody_else_s_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let options = options(folder, &["steps-0"]);
        fs::remove_file(folder.join(STUDY)).unwrap();
        let refused = ablate(&options, &|_| {}).unwrap_err();
        assert!(matches!(refused, AblateError::Foreign(_)), "{refused}");
        assert!(!folder.join(STUDY).exists());
    }

    #[test]
    fn a_checkpoint_that_nobody_goes_on_from_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let options = options(folder, &["steps-0"]);
        let (_, progress) = go_on(&options);
        assert_eq!((progress.measured, progress.planned), (1, 1));
        let stage_1 = folder.join("stage-1/steps-0-1");
        assert!(!Checkpoint::is_in(&stage_1));
        assert!(stage_1.join("train.jsonl").exists());
    }
}
