//! Lets a judge work on several things at once.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use super::error::EvalError;

/// Things that are judged side by side.
const JUDGED_AT_ONCE: usize = 8;

/// What a judge makes of each thing, in their order. The first failure ends it; what has been
/// answered is kept by the judge's client.
pub(super) fn side_by_side<T: Sync, R: Send>(
    things: &[T],
    judge: impl Fn(&T) -> Result<R, EvalError> + Sync,
) -> Result<Vec<R>, EvalError> {
    let judged: Mutex<Vec<Option<R>>> = Mutex::new(things.iter().map(|_| None).collect());
    let (next, has_failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = || -> Result<(), EvalError> {
        while !has_failed.load(Ordering::Relaxed) {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(thing) = things.get(place) else {
                break;
            };
            let one = judge(thing);
            has_failed.fetch_or(one.is_err(), Ordering::Relaxed);
            let one = one?;
            judged.lock().unwrap_or_else(PoisonError::into_inner)[place] = Some(one);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let running: Vec<_> = (0..JUDGED_AT_ONCE.min(things.len()))
            .map(|_| scope.spawn(work))
            .collect();
        running.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })?;
    let judged = judged.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(judged.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_in_the_order_of_the_things() {
        let things: Vec<u64> = (0..50).collect();
        let doubled = side_by_side(&things, |&thing| Ok(2 * thing)).unwrap();
        assert!(
            doubled
                .iter()
                .zip(&things)
                .all(|(two, one)| *two == 2 * one)
        );
        assert_eq!(doubled.len(), 50);
        assert!(side_by_side(&[0u8; 0], |_| Ok(())).unwrap().is_empty());
    }

    #[test]
    fn a_failure_ends_it() {
        let things: Vec<u64> = (0..50).collect();
        let failed = side_by_side(&things, |&thing| match thing {
            20 => Err(EvalError::Threads("gone".to_owned())),
            _ => Ok(thing),
        });
        assert!(matches!(failed, Err(EvalError::Threads(_))));
    }
}
