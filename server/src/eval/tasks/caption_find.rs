//! Region to detailed description, and from that text alone back to the mask.

use fclm_core::fclm::prompt::DEFAULT_QUESTION;
use serde::{Deserialize, Serialize};

use super::{
    Figures, Setting,
    cases::AskedRegion,
    masks::{Drawn, every, qualities, with_giou_of_unseen, with_masks},
    names::{Named, with_names},
    placed,
};
use crate::{
    data::scenes::Attributes,
    eval::{
        asking::find,
        error::EvalError,
        metrics::Overlap,
        samples::{Exchange, MarkedMask, PictureSamples, Sample, StoredMask},
    },
    predict::{Picture, PredictError, Predictor},
};

/// What a description that was looked for again is judged by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Retold {
    /// What the region is, for objects of scenes.
    attributes: Option<Attributes>,
    overlap: Overlap,
    iou: f64,
}

pub(super) fn ask(
    predictor: &Predictor,
    picture: &mut Picture,
    case: AskedRegion,
) -> Result<Sample<Retold>, PredictError> {
    let answer = predictor.describe(picture, &case.mask, DEFAULT_QUESTION)?;
    // A description that never ended does not fit a second time.
    let (found, refusal) = find(predictor, picture, &answer)?;
    let overlap = Overlap::of(&found.union(picture), &case.mask);
    Ok(Sample {
        exchange: Exchange {
            asked: DEFAULT_QUESTION.to_owned(),
            answer,
            refusal,
            expected: case.detailed,
            region: Some(StoredMask::of(&case.mask)),
            truths: vec![MarkedMask::truth(&case.mask, None)],
            drawn: MarkedMask::all_found(&found),
            ..Exchange::default()
        },
        detail: Retold {
            attributes: case.attributes,
            overlap,
            iou: overlap.iou(),
        },
    })
}

/// How well the masks of descriptions are found again, and on scenes how many descriptions name
/// their region rightly.
pub(super) fn figures(
    setting: &Setting<'_>,
    pictures: &[PictureSamples<Retold>],
) -> Result<Figures, EvalError> {
    let all = placed(pictures);
    let mut named = Vec::new();
    let mut drawn = Vec::new();
    for placed in &all {
        let Sample { exchange, detail } = placed.sample;
        let is_held_out = detail.attributes.map(|truth| truth.is_held_out());
        drawn.push(Drawn::of(placed, detail.overlap, is_held_out)?);
        let truth = detail.attributes;
        named.extend(truth.map(|truth| Named::new(placed.place, truth, &exchange.answer)));
    }
    let mut report = setting.report(all.len());
    if setting.is_on_scenes() {
        report = with_names(report, &named);
    }
    let every = every(&drawn);
    Ok(Figures {
        report: with_giou_of_unseen(with_masks(report, &every), &every),
        qualities: qualities(&drawn),
    })
}
