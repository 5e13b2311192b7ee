use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use super::error::EvalError;
use crate::predict::Predictor;

/// Does some work for every place, each on one of as many threads as there are cores, until one
/// fails.
///
/// Elementwise operations run on one core in the CPU backend, so two pictures side by side use two
/// cores better than one picture with all of them. Each thread has a pool of one thread, so that
/// matrix products stay where they were asked for.
pub(super) fn on_all_cores(
    predictor: &Predictor,
    places: &[usize],
    work: impl Fn(&Predictor, usize) -> Result<(), EvalError> + Sync,
) -> Result<(), EvalError> {
    let threads = thread::available_parallelism()
        .map_or(1, usize::from)
        .clamp(1, places.len().max(1));
    let (next, has_failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (work, next, has_failed) = (&work, &next, &has_failed);

    let run = move |predictor: Predictor| -> Result<(), EvalError> {
        while !has_failed.load(Ordering::Relaxed) {
            let Some(&place) = places.get(next.fetch_add(1, Ordering::Relaxed)) else {
                break;
            };
            let done = work(&predictor, place);
            if done.is_err() {
                has_failed.store(true, Ordering::Relaxed);
            }
            done?;
        }
        Ok(())
    };

    thread::scope(|scope| {
        let mut running = Vec::new();
        for number in 0..threads {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(1)
                .thread_name(move |_| format!("eval-{number}"))
                .build()
                .map_err(|error| EvalError::Threads(error.to_string()))?;
            let predictor = predictor.clone();
            running.push(scope.spawn(move || pool.install(|| run(predictor))));
        }
        running.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })
}
