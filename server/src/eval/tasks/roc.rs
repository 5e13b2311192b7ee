//! Region to category phrase.

use std::iter::zip;

use fclm_core::{fclm::prompt::CATEGORY_QUESTION, mask::Mask};
use serde::{Deserialize, Serialize};

use super::{
    Figures, Placed, Setting,
    cases::{self, AskedRegion},
    draws,
    names::{Named, is_right, with_names},
    placed,
};
use crate::{
    data::scenes::Attributes,
    eval::{
        blind::most_frequent,
        error::EvalError,
        metrics::mean,
        report::Report,
        samples::{Exchange, PictureSamples, Sample, StoredMask},
        source::Entry,
        text::{
            sentence::{SentenceEncoder, cosine},
            words::{category_in_words, category_of_answer, semantic_iou},
        },
    },
    predict::{Picture, PredictError, Predictor},
};

/// What Osprey's
/// [`lvis_paco_eval.py`](https://github.com/CircleRadon/Osprey/blob/main/osprey/eval/lvis_paco_eval.py)
/// asks about published data; `@1` is where the region goes.
const PUBLISHED_QUESTION: &str = "What is the category of @1? Using only one word or phrase.";

/// What a name is judged by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Called {
    /// What the region is, for objects of scenes.
    attributes: Option<Attributes>,
    /// Whether colour, material and shape are right, for objects of scenes.
    is_right: Option<bool>,
    /// Shared words over all words.
    siou: f64,
}

/// The regions of a picture that have a name.
pub(super) fn cases(entry: &Entry<'_>, seed: u64) -> Vec<AskedRegion> {
    let regions = cases::regions(entry, seed).into_iter();
    regions.filter(|region| region.category.is_some()).collect()
}

pub(super) fn ask(
    predictor: &Predictor,
    picture: &mut Picture,
    cases: Vec<AskedRegion>,
) -> Result<Vec<Sample<Called>>, PredictError> {
    let question = |case: &AskedRegion| match case.attributes {
        Some(_) => CATEGORY_QUESTION,
        None => PUBLISHED_QUESTION,
    };
    let asked: Vec<(&Mask, &str)> = cases
        .iter()
        .map(|case| (&case.mask, question(case)))
        .collect();
    let answers = predictor.describe_all(picture, &asked)?;
    let sample = |(case, answer): (AskedRegion, String)| {
        let asked = question(&case).to_owned();
        let category = category_in_words(&case.category.unwrap_or_default());
        Sample {
            detail: Called {
                attributes: case.attributes,
                is_right: case.attributes.map(|truth| is_right(&truth, &answer)),
                siou: semantic_iou(&category_of_answer(&answer), &category),
            },
            exchange: Exchange {
                asked,
                answer,
                expected: vec![category],
                region: Some(StoredMask::of(&case.mask)),
                ..Exchange::default()
            },
        }
    };
    Ok(zip(cases, answers).map(sample).collect())
}

/// Semantic similarity and semantic IoU as Osprey has them, and on scenes how many names are right;
/// blind, all have the most frequent name.
pub(super) fn figures(
    setting: &Setting<'_>,
    pictures: &[PictureSamples<Called>],
) -> Result<Figures, EvalError> {
    let all = placed(pictures);
    let mut report = setting.report(all.len());
    if setting.is_on_scenes() {
        let named: Vec<Named> = all
            .iter()
            .filter_map(|placed| {
                let truth = placed.sample.detail.attributes?;
                let answer = &placed.sample.exchange.answer;
                Some(Named::new(placed.place, truth, answer))
            })
            .collect();
        report = with_names(report, &named);
    }
    let mut asked = all.iter().map(|placed| &placed.sample.exchange.asked);
    if let Some(first) = asked.next()
        && let Some(other) = asked.find(|other| *other != first)
    {
        report.notes.push(format!(
            "Regions were asked about in more than one way ({first:?} and {other:?}), so these \
             figures are of none of them; measure into another folder."
        ));
    }
    let names = Names::of(&all);
    report = names.with_siou(report, &all);
    match &setting.tools.sentence_encoder {
        Some(encoder) => report = names.with_ss(report, &all, encoder)?,
        None => {
            report = report.with("ss", None, None);
            let missing = "ss is not computed; name the folder of all-MiniLM-L6-v2 by \
                           --sentence-encoder.";
            report.notes.push(missing.to_owned());
        }
    }
    Ok(Figures {
        report,
        qualities: all
            .iter()
            .map(|placed| Some(placed.sample.detail.siou))
            .collect(),
    })
}

/// What regions were called, what they are called, and what most of them are.
struct Names<'a> {
    answers: Vec<String>,
    truths: Vec<&'a str>,
    most_frequent: &'a str,
}

impl<'a> Names<'a> {
    fn of(all: &[Placed<'a, Called>]) -> Self {
        let exchanges = || all.iter().map(|placed| &placed.sample.exchange);
        let truths: Vec<&str> = exchanges()
            .map(|exchange| exchange.expected.first().map_or("", String::as_str))
            .collect();
        Self {
            answers: exchanges()
                .map(|exchange| category_of_answer(&exchange.answer))
                .collect(),
            most_frequent: most_frequent(truths.iter().copied()).unwrap_or_default(),
            truths,
        }
    }

    fn with_siou(&self, report: Report, all: &[Placed<'a, Called>]) -> Report {
        let own: Vec<f64> = all.iter().map(|placed| placed.sample.detail.siou).collect();
        let blind: Vec<f64> = self
            .truths
            .iter()
            .map(|truth| semantic_iou(self.most_frequent, truth))
            .collect();
        with_mean(report, "siou", all, [own, blind])
    }

    fn with_ss(
        &self,
        report: Report,
        all: &[Placed<'a, Called>],
        encoder: &SentenceEncoder,
    ) -> Result<Report, EvalError> {
        let answers: Vec<&str> = self.answers.iter().map(String::as_str).collect();
        let answers = encoder.encode(&answers)?;
        let truths = encoder.encode(&self.truths)?;
        let most_frequent = encoder.encode(&[self.most_frequent])?.concat();
        let own = zip(&answers, &truths).map(|(answer, truth)| cosine(answer, truth));
        let blind = truths.iter().map(|truth| cosine(&most_frequent, truth));
        let sides = [own.collect(), blind.collect()];
        Ok(with_mean(report, "ss", all, sides))
    }
}

fn with_mean(
    report: Report,
    name: &str,
    all: &[Placed<'_, Called>],
    [own, blind]: [Vec<f64>; 2],
) -> Report {
    let draws = draws(all.iter().map(|placed| placed.place), report.seed);
    report.with(name, mean(&own, &draws), mean(&blind, &draws))
}
