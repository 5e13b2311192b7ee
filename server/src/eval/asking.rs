use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use serde::Serialize;

use super::{
    error::EvalError,
    over::on_all_cores,
    protocol::Task,
    samples::{PictureSamples, Sample, Samples},
    source::{Entry, Source},
};
use crate::{
    data::published::{Problem, Problems},
    predict::{Found, Picture, PredictError, Predictor, read_picture},
};

/// What came of things that were asked together, in their order.
type Asked<D> = Result<Vec<Sample<D>>, PredictError>;

/// A model that is asked about the pictures of a data set.
pub(super) struct Asking<'a> {
    pub(super) predictor: &'a Predictor,
    pub(super) source: &'a Source,
    pub(super) task: Task,
    /// Chooses what scenes are asked.
    pub(super) seed: u64,
    /// How many pictures are asked about, from the first.
    pub(super) pictures: usize,
    /// How many broken ones are skipped before that is too much.
    pub(super) limit_broken: u64,
    /// Hears of each that is skipped as soon as it is found.
    pub(super) on_skip: fn(&Problem),
    /// How many questions about a picture are answered together.
    pub(super) batch: usize,
    /// Hears how many pictures of how many are finished.
    pub(super) progress: &'a (dyn Fn(usize, usize) + Sync),
}

impl Asking<'_> {
    /// Asks about every picture whose samples are not there yet, and adds them. `cases` says what a
    /// picture is asked, and `ask` asks as much of it as is answered together, which is never about
    /// two pictures: so the samples of a picture do not depend on which others are asked about. A
    /// picture is encoded once, and only where it is asked anything. What is broken is noted and
    /// skipped, until it is too much.
    pub(super) fn fill<C, D: Serialize>(
        &self,
        samples: &mut Samples,
        cases: impl Fn(&Entry<'_>) -> Vec<C> + Sync,
        ask: impl Fn(&Predictor, &mut Picture, Vec<C>) -> Asked<D> + Sync,
    ) -> Result<(), EvalError> {
        let Self {
            predictor,
            source,
            pictures,
            limit_broken,
            on_skip,
            batch,
            progress,
            ..
        } = *self;
        let mut places = Vec::new();
        for place in 0..pictures {
            let Some(there) = samples.id_of(place) else {
                places.push(place);
                continue;
            };
            match source.entry(place) {
                Ok(entry) if entry.id != there => {
                    return Err(samples.of_other_data(there, &entry.id));
                }
                // What was asked of it before it broke still counts.
                Ok(_) | Err(EvalError::Broken(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let look = |predictor: &Predictor, place: usize| -> Result<(String, String), EvalError> {
            let entry = source.entry(place)?;
            let cases = cases(&entry);
            let mut asked: Vec<Sample<D>> = Vec::with_capacity(cases.len());
            if !cases.is_empty() {
                let failed = |source| EvalError::Predict {
                    picture: entry.id.clone(),
                    source,
                };
                let mut picture = see(predictor, source, place, &entry)?;
                let mut cases = cases.into_iter();
                loop {
                    let together: Vec<C> = cases.by_ref().take(batch.max(1)).collect();
                    if together.is_empty() {
                        break;
                    }
                    asked.extend(ask(predictor, &mut picture, together).map_err(failed)?);
                }
            }
            let picture = PictureSamples {
                picture: place,
                id: entry.id,
                image: entry.image.to_string_lossy().into_owned(),
                samples: asked,
            };
            let line = serde_json::to_string(&picture)
                .expect("samples have texts for keys and no number that is none");
            Ok((picture.id, line))
        };
        let finished = AtomicUsize::new(pictures - places.len());
        let kept = Mutex::new((samples, Problems::told_to(limit_broken, on_skip)));
        on_all_cores(predictor, &places, |predictor, place| {
            let looked = look(predictor, place);
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            let (samples, problems) = &mut *kept;
            match looked {
                Ok((id, line)) => samples.push(place, id, line)?,
                Err(EvalError::Broken(problem)) => {
                    samples.skip(place, problem.to_string())?;
                    problems.report(&problem.position, &problem.message)?;
                }
                Err(error) => return Err(error),
            }
            drop(kept);
            progress(finished.fetch_add(1, Ordering::Relaxed) + 1, pictures);
            Ok(())
        })
    }

    /// As [`Self::fill`], where one thing is asked after another.
    pub(super) fn fill_one_by_one<C, D: Serialize>(
        &self,
        samples: &mut Samples,
        cases: impl Fn(&Entry<'_>) -> Vec<C> + Sync,
        ask: impl Fn(&Predictor, &mut Picture, C) -> Result<Sample<D>, PredictError> + Sync,
    ) -> Result<(), EvalError> {
        self.fill(samples, cases, |predictor, picture, cases| {
            let mut asked = Vec::with_capacity(cases.len());
            for case in cases {
                asked.push(ask(predictor, picture, case)?);
            }
            Ok(asked)
        })
    }
}

/// Opens and encodes a picture; [`EvalError::Broken`] where its file is missing or broken, of
/// another size than its masks, or of a shape that the model does not take.
fn see(
    predictor: &Predictor,
    source: &Source,
    place: usize,
    entry: &Entry<'_>,
) -> Result<Picture, EvalError> {
    let image = read_picture(&entry.image).map_err(|error| source.broken(place, error))?;
    let ((width, height), (said_width, said_height)) = (image.dimensions(), entry.size);
    if (width, height) != (said_width, said_height) {
        let reason = format!(
            "{} has {width} x {height} pixels but its record says {said_width} x {said_height}",
            entry.image.display()
        );
        return Err(source.broken(place, reason));
    }
    predictor
        .see(image)
        .map_err(|error| match error.is_refusal() {
            true => source.broken(place, error),
            false => EvalError::Predict {
                picture: entry.id.clone(),
                source: error,
            },
        })
}

/// What is found for each text. A model that refuses a text, because it is too long for it or
/// because nothing of it is left to read, has found nothing; why, is the second.
pub(super) fn find_all(
    predictor: &Predictor,
    picture: &mut Picture,
    texts: &[&str],
) -> Result<Vec<(Found, Option<String>)>, PredictError> {
    find_all_hearing(predictor, picture, texts, &mut |_, _| {})
}

/// As [`find_all`]; `hear` gets the place of the text and the logits of each mask, row by row at
/// the picture's size.
pub(super) fn find_all_hearing(
    predictor: &Predictor,
    picture: &mut Picture,
    texts: &[&str],
    hear: &mut dyn FnMut(usize, &[f32]),
) -> Result<Vec<(Found, Option<String>)>, PredictError> {
    let found = predictor.find_all_measured(picture, texts, hear)?;
    found
        .into_iter()
        .map(|found| match found {
            Err(error) if error.is_refusal() => {
                let nothing = Found {
                    text: String::new(),
                    regions: Vec::new(),
                };
                Ok((nothing, Some(error.to_string())))
            }
            found => Ok((found?, None)),
        })
        .collect()
}
