use std::path::PathBuf;

use fclm_core::{
    fclm::prompt::{CATEGORY_QUESTION, DEFAULT_QUESTION},
    mask::Mask,
};

use super::{
    error::EvalError,
    metrics::Overlap,
    over::over_scenes,
    protocol::{RegionCase, Task, find_cases, region_cases},
    report::Report,
    samples::{
        Aligned, Drawn, Named, with_cosines, with_giou_of, with_masks, with_names, with_rectangles,
    },
};
use crate::{
    data::scenes::{Dataset, ReferKind, SceneRecord, read_dataset},
    predict::{Found, Picture, PredictError, Predictor},
};

/// What is to be measured, and on what.
#[derive(Debug, Clone)]
pub struct EvalOptions {
    /// What to measure.
    pub task: Task,
    /// A folder of scenes.
    pub data: PathBuf,
    /// Measure on the first scenes only.
    pub limit: Option<usize>,
    /// Chooses what is asked of each scene, and draws the intervals.
    pub seed: u64,
}

/// What every task needs besides its question.
struct Run<'a> {
    predictor: &'a Predictor,
    dataset: &'a Dataset,
    scenes: &'a [SceneRecord],
    seed: u64,
    progress: &'a (dyn Fn(usize) + Sync),
}

/// A region that is asked about.
struct Asked<'a> {
    /// Its scene's place in the data set.
    place: usize,
    case: RegionCase<'a>,
    /// The masks of all objects of the scene.
    masks: &'a [Mask],
}

/// Measures a model at a task. `progress` hears how many of how many scenes are finished.
///
/// # Errors
/// Where the data set is broken or holds nothing that the task asks about, or the model fails.
pub fn evaluate(
    predictor: &Predictor,
    options: &EvalOptions,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Report, EvalError> {
    let dataset = read_dataset(&options.data)?;
    let limit = options
        .limit
        .unwrap_or(usize::MAX)
        .min(dataset.scenes.len());
    let scenes = &dataset.scenes[..limit];
    let run = Run {
        predictor,
        dataset: &dataset,
        scenes,
        seed: options.seed,
        progress: &|finished| progress(finished, scenes.len()),
    };
    let task = options.task;
    let report = match task {
        Task::Roc => run.names()?,
        Task::Res | Task::DlRes => run.expressions(task)?,
        Task::CaptionFind => run.captions()?,
        Task::BoxMask => run.boxes()?,
        Task::Consistency => run.consistency()?,
    };
    match report.n {
        0 => Err(EvalError::Empty {
            path: options.data.clone(),
            task: task.name(),
        }),
        _ => Ok(report),
    }
}

impl Run<'_> {
    fn names(&self) -> Result<Report, EvalError> {
        let samples = self.over_regions(|predictor, picture, Asked { case, masks, .. }| {
            let mask = &masks[case.object.id];
            let answer = predictor.describe(picture, mask, CATEGORY_QUESTION)?;
            Ok(Named::new(case.object.attributes, &answer))
        })?;
        Ok(with_names(self.report(Task::Roc, samples.len()), &samples))
    }

    fn expressions(&self, task: Task) -> Result<Report, EvalError> {
        let kinds = task.kinds();
        let samples = self.over(|predictor, place, scene, picture| {
            let masks = masks_of(scene);
            find_cases(std::slice::from_ref(scene), kinds, self.seed)
                .into_iter()
                .map(|case| {
                    let mut truth = Mask::new(scene.width, scene.height);
                    for &target in &case.expression.targets {
                        truth.union_with(&masks[target]);
                    }
                    let found = predictor.find(picture, &case.expression.text)?;
                    let drawn = Drawn::found(place, truth, &found, picture);
                    Ok((case.expression.kind, drawn))
                })
                .collect()
        })?;
        let of = |wanted: &dyn Fn(ReferKind) -> bool| -> Vec<&Drawn> {
            samples
                .iter()
                .filter(|&&(kind, _)| wanted(kind))
                .map(|(_, drawn)| drawn)
                .collect()
        };
        // Expressions for what is not there have a figure of their own: to those, who never finds
        // anything is right.
        let meant = of(&|kind| kind != ReferKind::None);
        let mut report = self.report(task, meant.len());
        if kinds.len() > 1 {
            for &kind in kinds {
                let name = match kind {
                    ReferKind::Short => "giou_short",
                    ReferKind::Detailed => "giou_detailed",
                    ReferKind::Several => "giou_several",
                    ReferKind::None => "giou_none",
                };
                report = with_giou_of(report, name, &of(&|other| other == kind));
            }
        }
        Ok(with_masks(report, &meant))
    }

    fn captions(&self) -> Result<Report, EvalError> {
        let samples = self.over_regions(|predictor, picture, asked| {
            let Asked { place, case, masks } = asked;
            let mask = &masks[case.object.id];
            let text = predictor.describe(picture, mask, DEFAULT_QUESTION)?;
            let found = match predictor.find(picture, &text) {
                // A description that never ended does not fit a second time.
                Err(error) if error.is_refusal() => Found {
                    text: String::new(),
                    regions: Vec::new(),
                },
                found => found?,
            };
            let named = Named::new(case.object.attributes, &text);
            let drawn = Drawn::found(place, mask.clone(), &found, picture);
            Ok((named, drawn))
        })?;
        let (named, drawn): (Vec<Named>, Vec<Drawn>) = samples.into_iter().unzip();
        let report = self.report(Task::CaptionFind, named.len());
        Ok(with_masks(with_names(report, &named), &every(&drawn)))
    }

    /// Beside the blind mask stands what the plain rectangle of the box would reach.
    fn boxes(&self) -> Result<Report, EvalError> {
        let samples = self.over_regions(|predictor, picture, asked| {
            let Asked { place, case, masks } = asked;
            let truth = masks[case.object.id].clone();
            let candidates = predictor.box_masks(picture, case.object.box_px)?;
            let rectangle = Mask::rect(truth.width(), truth.height(), case.object.box_px);
            let of_rectangle = Overlap::of(&rectangle, &truth);
            let drawn = Drawn::one(place, truth, candidates.first());
            Ok((of_rectangle, drawn))
        })?;
        let (rectangles, drawn): (Vec<Overlap>, Vec<Drawn>) = samples.into_iter().unzip();
        let drawn = every(&drawn);
        let report = self.report(Task::BoxMask, drawn.len());
        Ok(with_masks(
            with_rectangles(report, &rectangles, &drawn),
            &drawn,
        ))
    }

    fn consistency(&self) -> Result<Report, EvalError> {
        let samples = self.over_regions(|predictor, picture, asked| {
            let Asked { place, case, masks } = asked;
            let own = case.object.id;
            let drawn = predictor.reconstruct(picture, &[&masks[own]])?;
            let drawn = drawn.into_iter().next().flatten();
            // Objects that are wholly hidden have no region to be compared with.
            let seen: Vec<usize> = (0..masks.len()).filter(|&k| !masks[k].is_empty()).collect();
            let among_seen = seen.iter().position(|&k| k == own).unwrap_or_default();
            let of_seen: Vec<&Mask> = seen.iter().map(|&k| &masks[k]).collect();
            let latents = predictor.latents(picture, &case.region.detailed, &of_seen)?;
            let drawn = Drawn::one(place, masks[own].clone(), drawn.as_ref());
            Ok((Aligned::new(latents, among_seen), drawn))
        })?;
        let (aligned, drawn): (Vec<Aligned>, Vec<Drawn>) = samples.into_iter().unzip();
        let report = self.report(Task::Consistency, drawn.len());
        Ok(with_masks(with_cosines(report, &aligned), &every(&drawn)))
    }

    fn report(&self, task: Task, n: usize) -> Report {
        Report::new(task, n, self.seed, self.predictor.info().sha256)
    }

    /// Asks about the one region of each scene that the seed has chosen.
    fn over_regions<T: Send>(
        &self,
        ask: impl Fn(&Predictor, &mut Picture, Asked<'_>) -> Result<T, PredictError> + Sync,
    ) -> Result<Vec<T>, EvalError> {
        self.over(|predictor, place, scene, picture| {
            let masks = masks_of(scene);
            region_cases(std::slice::from_ref(scene), self.seed)
                .into_iter()
                .map(|case| {
                    let asked = Asked {
                        place,
                        case,
                        masks: &masks,
                    };
                    ask(predictor, picture, asked)
                })
                .collect()
        })
    }

    fn over<T: Send>(
        &self,
        ask: impl Fn(&Predictor, usize, &SceneRecord, &mut Picture) -> Result<Vec<T>, PredictError>
        + Sync,
    ) -> Result<Vec<T>, EvalError> {
        over_scenes(
            self.predictor,
            self.dataset,
            self.scenes,
            self.progress,
            ask,
        )
    }
}

fn every(drawn: &[Drawn]) -> Vec<&Drawn> {
    drawn.iter().collect()
}

fn masks_of(scene: &SceneRecord) -> Vec<Mask> {
    scene
        .masks()
        .expect("reading a data set has checked its masks")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        data::scenes::{SCENES_FILE, write_dataset},
        model_dir::fixtures::tiny_model,
    };

    #[test]
    fn fixture_model_is_measured_at_every_task() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("scenes");
        write_dataset(11, 3, &data, (64, 64)).unwrap();
        let predictor = Predictor::open(&tiny_model(folder.path())).unwrap();
        for task in Task::ALL {
            let options = EvalOptions {
                task,
                data: data.clone(),
                limit: Some(2),
                seed: 5,
            };
            let report = evaluate(&predictor, &options, &|_, _| {}).unwrap();
            assert_eq!(report.model_sha256.len(), 64, "{task}");
            assert!(report.n >= 1, "{task}");
            let expected: &[&str] = match task {
                Task::Roc => &["category_accuracy"],
                Task::Res => &["giou", "ciou", "success_at_50"],
                Task::DlRes => &["giou", "ciou", "success_at_50"],
                Task::CaptionFind => &["giou", "success_at_50", "category_accuracy"],
                Task::BoxMask => &["giou", "success_at_50", "rectangle_giou"],
                Task::Consistency => &["giou", "success_at_50", "cosine_same"],
            };
            for name in expected {
                let metric = report.metrics.get(*name);
                let metric = metric.unwrap_or_else(|| panic!("{task} has no {name}"));
                let value = metric.estimate.unwrap();
                assert!(value.low <= value.high, "{task} {name}");
                assert!(metric.blind.is_some(), "{task} {name}");
            }
            assert_eq!(report, evaluate(&predictor, &options, &|_, _| {}).unwrap());
        }
    }

    #[test]
    fn fixture_model_draws_scenes_apart_that_share_an_id() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("scenes");
        write_dataset(20_261_124, 4, &data, (128, 128)).unwrap();
        let path = data.join(SCENES_FILE);
        let mut lines = String::new();
        for line in fs::read_to_string(&path).unwrap().lines() {
            let (before, after) = line.split_once(',').unwrap();
            assert!(before.starts_with("{\"id\":"), "{before}");
            lines.push_str(&format!("{{\"id\":\"kitchen\",{after}\n"));
        }
        fs::write(&path, lines).unwrap();
        let predictor = Predictor::open(&tiny_model(folder.path())).unwrap();
        let options = EvalOptions {
            task: Task::BoxMask,
            data,
            limit: None,
            seed: 0,
        };
        let report = evaluate(&predictor, &options, &|_, _| {}).unwrap();
        assert!(report.n >= 2, "{} scenes have regions", report.n);
        let rectangles = report.metrics["rectangle_giou"].estimate.unwrap();
        assert!(rectangles.low < rectangles.high, "{rectangles:?}");
        let blind = report.metrics["giou"].blind.unwrap();
        assert!(blind.low < blind.high, "{blind:?}");
    }

    #[test]
    fn fixture_model_without_data_gives_a_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("scenes");
        let predictor = Predictor::open(&tiny_model(folder.path())).unwrap();
        let options = EvalOptions {
            task: Task::Roc,
            data: data.clone(),
            limit: None,
            seed: 0,
        };
        assert!(matches!(
            evaluate(&predictor, &options, &|_, _| {}),
            Err(EvalError::Data(_))
        ));
        write_dataset(11, 2, &data, (64, 64)).unwrap();
        let none = EvalOptions {
            limit: Some(0),
            ..options
        };
        assert!(matches!(
            evaluate(&predictor, &none, &|_, _| {}),
            Err(EvalError::Empty { .. })
        ));
    }
}
