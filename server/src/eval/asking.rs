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
use crate::predict::{Found, Picture, PredictError, Predictor, read_picture};

/// A model that is asked about the pictures of a data set.
pub(super) struct Asking<'a> {
    pub(super) predictor: &'a Predictor,
    pub(super) source: &'a Source,
    pub(super) task: Task,
    /// Chooses what scenes are asked.
    pub(super) seed: u64,
    /// How many pictures are asked about, from the first.
    pub(super) pictures: usize,
    /// Hears how many pictures of how many are finished.
    pub(super) progress: &'a (dyn Fn(usize, usize) + Sync),
}

impl Asking<'_> {
    /// Asks about every picture whose samples are not there yet, and adds them. `cases` says what a
    /// picture is asked, and `ask` asks it. A picture is encoded once, and only where it is asked
    /// anything.
    pub(super) fn fill<C, D: Serialize>(
        &self,
        samples: &mut Samples,
        cases: impl Fn(&Entry<'_>) -> Vec<C> + Sync,
        ask: impl Fn(&Predictor, &mut Picture, C) -> Result<Sample<D>, PredictError> + Sync,
    ) -> Result<(), EvalError> {
        let Self {
            predictor,
            source,
            pictures,
            progress,
            ..
        } = *self;
        let mut places = Vec::new();
        for place in 0..pictures {
            let Some(there) = samples.id_of(place) else {
                places.push(place);
                continue;
            };
            let here = source.entry(place)?.id;
            if there != here {
                return Err(samples.of_other_data(there, &here));
            }
        }
        let finished = AtomicUsize::new(pictures - places.len());
        let samples = Mutex::new(samples);
        on_all_cores(predictor, &places, |predictor, place| {
            let entry = source.entry(place)?;
            let cases = cases(&entry);
            let mut asked = Vec::with_capacity(cases.len());
            if !cases.is_empty() {
                let failed = |source| EvalError::Predict {
                    picture: entry.id.clone(),
                    source,
                };
                let mut picture = see(predictor, &entry)?;
                for case in cases {
                    asked.push(ask(predictor, &mut picture, case).map_err(failed)?);
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
            samples
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(place, picture.id, line)?;
            progress(finished.fetch_add(1, Ordering::Relaxed) + 1, pictures);
            Ok(())
        })
    }
}

/// Opens and encodes a picture.
fn see(predictor: &Predictor, entry: &Entry<'_>) -> Result<Picture, EvalError> {
    let failed = |source| EvalError::Predict {
        picture: entry.id.clone(),
        source,
    };
    let image = read_picture(&entry.image).map_err(failed)?;
    if image.dimensions() != entry.size {
        return Err(EvalError::PictureSize {
            path: entry.image.clone(),
            found: image.dimensions(),
            said: entry.size,
        });
    }
    predictor.see(image).map_err(failed)
}

/// What is found for a text. A model that refuses a text, because it is too long for it or because
/// nothing of it is left to read, has found nothing; why, is the second.
pub(super) fn find(
    predictor: &Predictor,
    picture: &mut Picture,
    text: &str,
) -> Result<(Found, Option<String>), PredictError> {
    match predictor.find(picture, text) {
        Err(error) if error.is_refusal() => {
            let nothing = Found {
                text: String::new(),
                regions: Vec::new(),
            };
            Ok((nothing, Some(error.to_string())))
        }
        found => Ok((found?, None)),
    }
}
