//! Questions for several things to a mask of each (MUSE).

use std::{iter::zip, slice};

use fclm_core::mask::Mask;
use serde::{Deserialize, Serialize};

use super::{Figures, Setting, cases::AskedExpression, draws};
use crate::{
    chat_client::ChatClient,
    eval::{
        asking::find_all_hearing,
        blind::ConstantMask,
        dlc::JUDGE_TOKENS,
        error::EvalError,
        judging::side_by_side,
        matching::muse::{
            MatchedQuestion, MatchingPoints, MusePicture, matched_ciou, matched_giou, matched_pairs,
        },
        object_rating::{LOWEST_KEPT, in_words, prompt, rating_in, written_out},
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
    /// Which mask was matched with which true one by the decoder's logits; samples that were made
    /// before this was kept have none, and their masks are matched as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pairs: Option<Vec<(usize, usize)>>,
    /// How many code points of the answer stand before each mask; none as for the pairs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    places: Option<Vec<usize>>,
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
    cases: Vec<AskedExpression>,
    points: &MatchingPoints,
) -> Result<Vec<Sample<Matched>>, PredictError> {
    let mut logits = vec![Vec::new(); cases.len()];
    let mut hear = |place: usize, values: &[f32]| {
        let (width, height) = cases[place].size;
        logits[place].push(points.logits(values, width, height));
    };
    let texts: Vec<&str> = cases.iter().map(|case| case.text.as_str()).collect();
    let all = find_all_hearing(predictor, picture, &texts, &mut hear)?;
    let mut samples = Vec::with_capacity(cases.len());
    for ((case, logits), (found, refusal)) in zip(zip(cases, logits), all) {
        let targets: Vec<Mask> = case.targets.iter().map(|(mask, _)| mask.clone()).collect();
        let places = found.regions.iter().map(|region| region.end as usize);
        let truths = case.targets.into_iter();
        samples.push(Sample {
            detail: Matched {
                is_held_out: case.is_held_out,
                masks: [truths.len(), found.regions.len()],
                pairs: Some(matched_pairs(&logits, &targets, points)),
                places: Some(places.collect()),
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
        });
    }
    Ok(samples)
}

/// gIoU and cIoU after matching, as PixelLM has them, and, where there is a judge, the same without
/// what it rates low. Blind, each question is answered by the one mask that fits all targets best.
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
    let mut questions = Vec::with_capacity(pictures.len());
    for picture in pictures {
        let (mut own, mut blind) = (Vec::new(), Vec::new());
        for sample in &picture.samples {
            let truths = rasters(&sample.exchange.truths);
            let question = matched(sample, &truths, &points, &picture.id)?;
            qualities.push(MusePicture::of(slice::from_ref(&question)).giou());
            own.push(question);
            let constant = truths
                .first()
                .map(|truth| constant.at(truth.width(), truth.height()));
            let constant = constant.filter(|mask| !mask.is_empty());
            blind.push(MatchedQuestion::new(constant.as_slice(), &truths, &points));
        }
        if !own.is_empty() {
            let mut samples = picture.samples.iter();
            judged.push(Judged {
                place: picture.picture,
                is_held_out: samples.any(|sample| sample.detail.is_held_out == Some(true)),
                own: MusePicture::of(&own),
                blind: MusePicture::of(&blind),
            });
        }
        questions.push(own);
    }
    let count = exchanges().count();
    let every: Vec<&Judged> = judged.iter().collect();
    let mut report = with_giou(setting.report(count), "matched_giou", &every);
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
    // Objects of scenes have no names that could be rated.
    if !setting.is_on_scenes() {
        report = with_filtered(report, setting.tools.judge.as_ref(), pictures, questions)?;
    }
    Ok(Figures { report, qualities })
}

/// The masks of a sample beside the true ones.
fn matched(
    sample: &Sample<Matched>,
    truths: &[Mask],
    points: &MatchingPoints,
    id: &str,
) -> Result<MatchedQuestion, EvalError> {
    let drawn = rasters(&sample.exchange.drawn);
    match &sample.detail.pairs {
        None => Ok(MatchedQuestion::new(&drawn, truths, points)),
        Some(pairs) => {
            let of_others = || EvalError::Sample {
                picture: id.to_owned(),
                reason: "the pairs of one are not of its masks".to_owned(),
            };
            MatchedQuestion::paired(&drawn, truths, pairs.clone()).ok_or_else(of_others)
        }
    }
}

/// An object of an answer that a judge is to rate.
struct Rated {
    /// The place of its picture among all, of the question in it, and of the mask in the answer.
    at: [usize; 3],
    prompt: String,
}

/// Adds the figures without what the judge rates low, or says why they are not there.
fn with_filtered(
    report: Report,
    judge: Option<&ChatClient>,
    pictures: &[PictureSamples<Matched>],
    mut questions: Vec<Vec<MatchedQuestion>>,
) -> Result<Report, EvalError> {
    let without = |report: Report, why: &str| {
        let mut report = report
            .with("filtered_giou", None, None)
            .with("filtered_ciou", None, None);
        let note = format!("filtered_giou and filtered_ciou are not computed; {why}");
        report.notes.push(note);
        report
    };
    let Some(judge) = judge else {
        let why = "name an OpenAI-compatible endpoint and its model, which rates objects, by \
                   --judge-url and --judge-model.";
        return Ok(without(report, why));
    };
    let Some(rated) = all_rated(pictures, &questions) else {
        let why = "where a mask stands in its answer, or what an object is called, is not known \
                   of all samples; those of an earlier version have to be asked again.";
        return Ok(without(report, why));
    };
    let ratings = side_by_side(&rated, |object| {
        let reply = judge.complete("", &object.prompt, JUDGE_TOKENS)?;
        Ok(rating_in(&reply))
    })?;
    for (object, rating) in zip(&rated, &ratings) {
        let [picture, question, mask] = object.at;
        if rating.is_none_or(|rating| rating < LOWEST_KEPT) {
            questions[picture][question].reject(mask);
        }
    }
    let (mut places, mut filtered) = (Vec::new(), Vec::new());
    for (picture, questions) in zip(pictures, &questions) {
        if !questions.is_empty() {
            places.push(picture.picture);
            filtered.push(MusePicture::of(questions));
        }
    }
    let draws = draws(places, report.seed);
    let mut report = report
        .with("filtered_giou", matched_giou(&filtered, &draws), None)
        .with("filtered_ciou", matched_ciou(&filtered, &draws), None);
    let unread = ratings.iter().filter(|rating| rating.is_none()).count();
    report.judge = Some(judge.model().to_owned());
    report.notes.push(format!(
        "The judge was {}; an object that it rated below {LOWEST_KEPT} of 10 shares nothing with \
         the truth in filtered_giou and filtered_ciou, nor does one of the {unread} of {} that it \
         gave no rating. Figures of different judges do not compare.",
        judge.model(),
        ratings.len()
    ));
    Ok(report)
}

/// Every object that has a partner; none where not all can be rated.
fn all_rated(
    pictures: &[PictureSamples<Matched>],
    questions: &[Vec<MatchedQuestion>],
) -> Option<Vec<Rated>> {
    let mut all = Vec::new();
    for (picture, (samples, questions)) in zip(pictures, questions).enumerate() {
        for (place, (sample, question)) in zip(&samples.samples, questions).enumerate() {
            for (mask, prompt) in rated(sample, question)? {
                let at = [picture, place, mask];
                all.push(Rated { at, prompt });
            }
        }
    }
    Some(all)
}

/// The masks of an answer that have a partner, each with what the judge is asked about it.
fn rated(sample: &Sample<Matched>, question: &MatchedQuestion) -> Option<Vec<(usize, String)>> {
    let Exchange {
        asked,
        answer,
        drawn,
        truths,
        ..
    } = &sample.exchange;
    let places = sample.detail.places.as_ref()?;
    if places.len() != drawn.len() {
        return None;
    }
    let partner = |mask: usize| {
        let mut pairs = question.pairs.iter();
        pairs.find(|pair| pair.0 == mask).map(|pair| pair.1)
    };
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by_key(|&mask| places[mask]);
    let mut shown = Vec::with_capacity(order.len());
    for &mask in &order {
        let object = match partner(mask) {
            None => None,
            Some(truth) => {
                let truth = &truths[truth];
                Some((truth.phrase.as_deref()?, truth.mask.rle().bbox()))
            }
        };
        shown.push((places[mask], in_words(object)));
    }
    let answer = written_out(answer, &shown);
    let mut rated = Vec::new();
    for (number, (&mask, (_, object))) in (1..).zip(order.iter().zip(&shown)) {
        if partner(mask).is_some() {
            rated.push((mask, prompt(asked, &answer, number, object)));
        }
    }
    Some(rated)
}

fn rasters(masks: &[MarkedMask]) -> Vec<Mask> {
    masks.iter().map(|marked| marked.mask.mask()).collect()
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
