//! Box to mask, which is SAM's own task.

use fclm_core::{mask::Mask, wire::BoxPx};
use serde::{Deserialize, Serialize};

use super::{
    Figures, Setting,
    cases::AskedRegion,
    draws,
    masks::{Drawn, blind_overlaps, every, qualities, with_giou_of_unseen, with_masks},
    placed,
};
use crate::{
    eval::{
        error::EvalError,
        metrics::{Overlap, giou},
        samples::{Exchange, MarkedMask, PictureSamples, Sample},
    },
    predict::{Picture, PredictError, Predictor},
};

/// What the mask of a box is judged by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Boxed {
    /// The box.
    #[serde(rename = "box")]
    box_px: BoxPx,
    is_held_out: Option<bool>,
    overlap: Overlap,
    iou: f64,
    /// What the plain rectangle of the box shares with the truth.
    rectangle: Overlap,
}

pub(super) fn ask(
    predictor: &Predictor,
    picture: &mut Picture,
    case: AskedRegion,
) -> Result<Sample<Boxed>, PredictError> {
    let AskedRegion {
        mask: truth,
        box_px,
        attributes,
        ..
    } = case;
    let (width, height) = (truth.width(), truth.height());
    let candidates = predictor.box_masks(picture, box_px)?;
    let best = candidates.first();
    let overlap = match best {
        Some(best) => Overlap::of(&best.mask, &truth),
        None => Overlap::of(&Mask::new(width, height), &truth),
    };
    let rectangle = Mask::rect(width, height, box_px);
    let [x0, y0, x1, y1] = box_px;
    Ok(Sample {
        exchange: Exchange {
            asked: format!("{x0},{y0},{x1},{y1}"),
            truths: vec![MarkedMask::truth(&truth, None)],
            drawn: best.map(MarkedMask::scored).into_iter().collect(),
            ..Exchange::default()
        },
        detail: Boxed {
            box_px,
            is_held_out: attributes.map(|attributes| attributes.is_held_out()),
            overlap,
            iou: overlap.iou(),
            rectangle: Overlap::of(&rectangle, &truth),
        },
    })
}

/// How well the best candidate fits. Beside the blind mask stands what the plain rectangle of the
/// box would reach.
pub(super) fn figures(
    setting: &Setting<'_>,
    pictures: &[PictureSamples<Boxed>],
) -> Result<Figures, EvalError> {
    let all = placed(pictures);
    let mut rectangles = Vec::new();
    let mut drawn = Vec::new();
    for placed in &all {
        let detail = &placed.sample.detail;
        rectangles.push(detail.rectangle);
        drawn.push(Drawn::of(placed, detail.overlap, detail.is_held_out)?);
    }
    let every = every(&drawn);
    let draws = draws(all.iter().map(|placed| placed.place), setting.header.seed);
    let report = setting.report(all.len()).with(
        "rectangle_giou",
        giou(&rectangles, &draws),
        giou(&blind_overlaps(&every), &draws),
    );
    Ok(Figures {
        report: with_giou_of_unseen(with_masks(report, &every), &every),
        qualities: qualities(&drawn),
    })
}
