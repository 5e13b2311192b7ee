//! Questions for several things to a mask of each (MUSE).

use std::slice;

use fclm_core::mask::Mask;
use serde::{Deserialize, Serialize};

use super::{Figures, Setting, cases::AskedExpression, draws};
use crate::{
    eval::{
        asking::find,
        blind::ConstantMask,
        error::EvalError,
        matching::muse::{
            MatchedQuestion, MatchingPoints, MusePicture, PredictedMask, matched_ciou, matched_giou,
        },
        report::Report,
        samples::{Exchange, MarkedMask, PictureSamples, Sample},
    },
    predict::{Picture, PredictError, Predictor},
};

/// What an answer with several masks is judged by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Matched {
    /// Whether a target is of a combination that is held out of training.
    is_held_out: Option<bool>,
    /// How many masks there should be, and how many there are.
    masks: [usize; 2],
}

/// A picture's questions with what they come to, and the same of blind answers.
struct Judged {
    place: usize,
    is_held_out: bool,
    own: MusePicture,
    blind: MusePicture,
}

pub(super) fn ask(
    predictor: &Predictor,
    picture: &mut Picture,
    case: AskedExpression,
) -> Result<Sample<Matched>, PredictError> {
    let (found, refusal) = find(predictor, picture, &case.text)?;
    let truths = case.targets.into_iter();
    Ok(Sample {
        detail: Matched {
            is_held_out: case.is_held_out,
            masks: [truths.len(), found.regions.len()],
        },
        exchange: Exchange {
            asked: case.text,
            refusal,
            truths: truths
                .map(|(mask, name)| MarkedMask::truth(&mask, name))
                .collect(),
            drawn: MarkedMask::all_found(&found),
            answer: found.text,
            ..Exchange::default()
        },
    })
}

/// gIoU and cIoU after matching, as PixelLM has them without the language model. Blind, each
/// question is answered by the one mask that fits all targets best.
pub(super) fn figures(
    setting: &Setting<'_>,
    pictures: &[PictureSamples<Matched>],
) -> Result<Figures, EvalError> {
    let points = MatchingPoints::new(setting.header.seed);
    let exchanges = || {
        let samples = pictures.iter().flat_map(|picture| &picture.samples);
        samples.map(|sample| &sample.exchange)
    };
    let constant = ConstantMask::best(
        exchanges().flat_map(|exchange| exchange.truths.iter().map(|truth| truth.mask.mask())),
    );
    let mut judged = Vec::new();
    let mut qualities = Vec::new();
    for picture in pictures {
        let (mut own, mut blind) = (Vec::new(), Vec::new());
        for Sample { exchange, .. } in &picture.samples {
            let truths = rasters(&exchange.truths);
            let question = matched(&rasters(&exchange.drawn), &truths, &points);
            qualities.push(MusePicture::of(slice::from_ref(&question)).giou());
            own.push(question);
            let constant = truths
                .first()
                .map(|truth| constant.at(truth.width(), truth.height()));
            let constant = constant.filter(|mask| !mask.is_empty());
            blind.push(matched(constant.as_slice(), &truths, &points));
        }
        if own.is_empty() {
            continue;
        }
        let mut samples = picture.samples.iter();
        judged.push(Judged {
            place: picture.picture,
            is_held_out: samples.any(|sample| sample.detail.is_held_out == Some(true)),
            own: MusePicture::of(&own),
            blind: MusePicture::of(&blind),
        });
    }
    let questions = exchanges().count();
    let every: Vec<&Judged> = judged.iter().collect();
    let mut report = with_giou(setting.report(questions), "matched_giou", &every);
    report = with_ciou(report, "matched_ciou", &every);
    let of = |wanted: bool| -> Vec<&Judged> {
        let those = judged.iter();
        those
            .filter(|picture| picture.is_held_out == wanted)
            .collect()
    };
    if setting.is_on_scenes() && !of(true).is_empty() {
        report = with_giou(report, "matched_giou_seen", &of(false));
        report = with_giou(report, "matched_giou_unseen", &of(true));
    }
    Ok(Figures { report, qualities })
}

fn rasters(masks: &[MarkedMask]) -> Vec<Mask> {
    masks.iter().map(|marked| marked.mask.mask()).collect()
}

fn matched(drawn: &[Mask], truths: &[Mask], points: &MatchingPoints) -> MatchedQuestion {
    let drawn: Vec<PredictedMask<'_>> = drawn.iter().map(PredictedMask::Mask).collect();
    MatchedQuestion::new(&drawn, truths, points)
}

fn with_giou(report: Report, name: &str, judged: &[&Judged]) -> Report {
    let draws = draws(judged.iter().map(|picture| picture.place), report.seed);
    let [own, blind] = sides(judged);
    report.with(
        name,
        matched_giou(&own, &draws),
        matched_giou(&blind, &draws),
    )
}

fn with_ciou(report: Report, name: &str, judged: &[&Judged]) -> Report {
    let draws = draws(judged.iter().map(|picture| picture.place), report.seed);
    let [own, blind] = sides(judged);
    report.with(
        name,
        matched_ciou(&own, &draws),
        matched_ciou(&blind, &draws),
    )
}

/// What was answered, and what would be without seeing.
fn sides(judged: &[&Judged]) -> [Vec<MusePicture>; 2] {
    let own = judged.iter().map(|picture| picture.own).collect();
    let blind = judged.iter().map(|picture| picture.blind).collect();
    [own, blind]
}
