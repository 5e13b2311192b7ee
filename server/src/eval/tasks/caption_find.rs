//! Region to detailed description, and from that text alone back to the mask.

use fclm_core::{fclm::prompt::DEFAULT_QUESTION, mask::Mask};
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
        asking::find_all,
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
    cases: Vec<AskedRegion>,
) -> Result<Vec<Sample<Retold>>, PredictError> {
    let asked: Vec<(&Mask, &str)> = cases
        .iter()
        .map(|case| (&case.mask, DEFAULT_QUESTION))
        .collect();
    let answers = predictor.describe_all(picture, &asked)?;
    // A description that never ended does not fit a second time.
    let texts: Vec<&str> = answers.iter().map(String::as_str).collect();
    let all = find_all(predictor, picture, &texts)?;
    let mut samples = Vec::with_capacity(cases.len());
    for ((case, answer), (found, refusal)) in cases.into_iter().zip(answers).zip(all) {
        let overlap = Overlap::of(&found.union(picture), &case.mask);
        samples.push(Sample {
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
        });
    }
    Ok(samples)
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
