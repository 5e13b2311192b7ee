//! Asks for what texts mean and takes all that is found as one mask.

use serde::{Deserialize, Serialize};

use super::{Placed, cases::AskedExpression, masks::Drawn};
use crate::{
    data::scenes::ReferKind,
    eval::{
        asking::find_all,
        error::EvalError,
        metrics::Overlap,
        samples::{Exchange, MarkedMask, Sample, StoredMask},
    },
    predict::{Found, Picture, PredictError, Predictor},
};

/// What a search is judged by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Searched {
    /// What the expression is like, for scenes.
    pub(super) kind: Option<ReferKind>,
    is_held_out: Option<bool>,
    overlap: Overlap,
    /// IoU of all that was found.
    iou: f64,
    /// Whether the expression is a sentence rather than a phrase, for ReasonSeg.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) is_sentence: Option<bool>,
}

pub(super) fn ask(
    predictor: &Predictor,
    picture: &mut Picture,
    cases: Vec<AskedExpression>,
) -> Result<Vec<Sample<Searched>>, PredictError> {
    let texts: Vec<&str> = cases.iter().map(|case| case.text.as_str()).collect();
    let all = find_all(predictor, picture, &texts)?;
    let sample = |(case, (found, refusal)): (AskedExpression, (Found, Option<String>))| {
        let region = case.region();
        let overlap = region.overlap(&found.union(picture));
        Sample {
            exchange: Exchange {
                asked: case.text,
                refusal,
                ignored: case.ignored.as_ref().map(StoredMask::of),
                truths: vec![MarkedMask::truth(region.target(), None)],
                drawn: MarkedMask::all_found(&found),
                answer: found.text,
                ..Exchange::default()
            },
            detail: Searched {
                kind: case.kind,
                is_held_out: case.is_held_out,
                overlap,
                iou: overlap.iou(),
                is_sentence: case.is_sentence,
            },
        }
    };
    Ok(cases.into_iter().zip(all).map(sample).collect())
}

/// The masks of searches, each beside the kind of its expression.
pub(super) fn drawn<'a>(
    placed: &[Placed<'a, Searched>],
) -> Result<Vec<(Option<ReferKind>, Drawn<'a>)>, EvalError> {
    placed
        .iter()
        .map(|placed| {
            let detail = &placed.sample.detail;
            let drawn = Drawn::of(placed, detail.overlap, detail.is_held_out)?;
            Ok((detail.kind, drawn))
        })
        .collect()
}
