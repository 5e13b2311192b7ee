use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use super::error::EvalError;
use crate::{
    data::scenes::{Dataset, SceneRecord},
    predict::{Picture, PredictError, Predictor, read_picture},
};

/// Asks about every scene, each on one of as many threads as there are cores, and returns the
/// answers in the scenes' order. Every picture is encoded once. `ask` also hears the scene's place
/// among them.
///
/// Elementwise operations run on one core in the CPU backend, so two scenes side by side use two
/// cores better than one scene with all of them. Each thread has a pool of one thread, so that
/// matrix products stay where they were asked for.
pub(super) fn over_scenes<T, F>(
    predictor: &Predictor,
    dataset: &Dataset,
    scenes: &[SceneRecord],
    progress: &(dyn Fn(usize) + Sync),
    ask: F,
) -> Result<Vec<T>, EvalError>
where
    T: Send,
    F: Fn(&Predictor, usize, &SceneRecord, &mut Picture) -> Result<Vec<T>, PredictError> + Sync,
{
    let threads = thread::available_parallelism()
        .map_or(1, usize::from)
        .clamp(1, scenes.len().max(1));
    let (next, finished) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let has_failed = AtomicBool::new(false);
    let (ask, next, finished, has_failed) = (&ask, &next, &finished, &has_failed);

    let work = move |predictor: Predictor| -> Result<Vec<(usize, Vec<T>)>, EvalError> {
        let mut answers = Vec::new();
        while !has_failed.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(scene) = scenes.get(index) else {
                break;
            };
            let answer = see(&predictor, dataset, scene).and_then(|mut picture| {
                ask(&predictor, index, scene, &mut picture).map_err(|source| EvalError::Predict {
                    scene: scene.id.clone(),
                    source,
                })
            });
            if answer.is_err() {
                has_failed.store(true, Ordering::Relaxed);
            }
            answers.push((index, answer?));
            progress(finished.fetch_add(1, Ordering::Relaxed) + 1);
        }
        Ok(answers)
    };

    let outcomes = thread::scope(|scope| {
        let mut running = Vec::new();
        for number in 0..threads {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(1)
                .thread_name(move |_| format!("eval-{number}"))
                .build()
                .map_err(|error| EvalError::Threads(error.to_string()))?;
            let predictor = predictor.clone();
            running.push(scope.spawn(move || pool.install(|| work(predictor))));
        }
        running
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect::<Result<Vec<_>, EvalError>>()
    })?;
    let mut answers: Vec<_> = outcomes.into_iter().flatten().collect();
    answers.sort_unstable_by_key(|&(index, _)| index);
    Ok(answers
        .into_iter()
        .flat_map(|(_, of_scene)| of_scene)
        .collect())
}

fn see(
    predictor: &Predictor,
    dataset: &Dataset,
    scene: &SceneRecord,
) -> Result<Picture, EvalError> {
    let failed = |source| EvalError::Predict {
        scene: scene.id.clone(),
        source,
    };
    let path = dataset.image_path(scene);
    let image = read_picture(&path).map_err(failed)?;
    let said = (scene.width, scene.height);
    if image.dimensions() != said {
        return Err(EvalError::PictureSize {
            path,
            found: image.dimensions(),
            said,
        });
    }
    predictor.see(image).map_err(failed)
}
