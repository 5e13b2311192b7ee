//! Asks for what a text means and takes all that is found as one mask.

use serde::{Deserialize, Serialize};

use super::{Placed, cases::AskedExpression, masks::Drawn};
use crate::{
    data::scenes::ReferKind,
    eval::{
        asking::find,
        error::EvalError,
        metrics::Overlap,
        samples::{Exchange, MarkedMask, Sample, StoredMask},
    },
    predict::{Picture, PredictError, Predictor},
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
    case: AskedExpression,
) -> Result<Sample<Searched>, PredictError> {
    let region = case.region();
    let (found, refusal) = find(predictor, picture, &case.text)?;
    let overlap = region.overlap(&found.union(picture));
    Ok(Sample {
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
    })
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
