//! Region to brief and to detailed description, beside what people wrote.

use fclm_core::{
    fclm::prompt::{BRIEF_QUESTION, DEFAULT_QUESTION},
    mask::Mask,
};
use serde::{Deserialize, Serialize};

use super::{
    Figures, Setting, cases, placed,
    texts::{Texts, rouge_l_of},
};
use crate::{
    data::record::DescriptionLength,
    eval::{
        error::EvalError,
        samples::{Exchange, PictureSamples, Sample, StoredMask},
        source::Entry,
    },
    predict::{Picture, PredictError, Predictor},
};

/// A region that is to be described.
pub(super) struct AskedDescription {
    mask: Mask,
    length: DescriptionLength,
    references: Vec<String>,
}

/// What a description is judged by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Described {
    /// How long it was to be.
    length: DescriptionLength,
    rouge_l: f64,
}

/// The regions of a picture of which a description is known, once for each length.
pub(super) fn cases(entry: &Entry<'_>, seed: u64) -> Vec<AskedDescription> {
    let mut asked = Vec::new();
    for region in cases::regions(entry, seed) {
        for (length, references) in [
            (DescriptionLength::Brief, region.brief),
            (DescriptionLength::Detailed, region.detailed),
        ] {
            if !references.is_empty() {
                asked.push(AskedDescription {
                    mask: region.mask.clone(),
                    length,
                    references,
                });
            }
        }
    }
    asked
}

pub(super) fn ask(
    predictor: &Predictor,
    picture: &mut Picture,
    cases: Vec<AskedDescription>,
) -> Result<Vec<Sample<Described>>, PredictError> {
    let question = |case: &AskedDescription| match case.length {
        DescriptionLength::Brief => BRIEF_QUESTION,
        DescriptionLength::Detailed => DEFAULT_QUESTION,
    };
    let asked: Vec<(&Mask, &str)> = cases
        .iter()
        .map(|case| (&case.mask, question(case)))
        .collect();
    let answers = predictor.describe_all(picture, &asked)?;
    let sample = |(case, answer): (AskedDescription, String)| Sample {
        detail: Described {
            length: case.length,
            rouge_l: rouge_l_of(&answer, &case.references),
        },
        exchange: Exchange {
            asked: question(&case).to_owned(),
            answer,
            expected: case.references,
            region: Some(StoredMask::of(&case.mask)),
            ..Exchange::default()
        },
    };
    Ok(cases.into_iter().zip(answers).map(sample).collect())
}

/// METEOR, CIDEr, BLEU-4 and ROUGE-L, of brief and of detailed descriptions; blind, all regions
/// have the description that people wrote most often.
pub(super) fn figures(
    setting: &Setting<'_>,
    pictures: &[PictureSamples<Described>],
) -> Result<Figures, EvalError> {
    let all = placed(pictures);
    let mut report = setting.report(all.len());
    for (length, suffix) in [
        (DescriptionLength::Brief, "_brief"),
        (DescriptionLength::Detailed, "_detailed"),
    ] {
        let texts: Vec<(usize, &str, &[String])> = all
            .iter()
            .filter(|placed| placed.sample.detail.length == length)
            .map(|placed| {
                let Exchange {
                    answer, expected, ..
                } = &placed.sample.exchange;
                (placed.place, answer.as_str(), expected.as_slice())
            })
            .collect();
        let texts = Texts::new(&texts, report.seed);
        report = texts.with_cider(report, suffix);
        report = texts.with_bleu_and_rouge(report, suffix);
        report = texts.with_meteor(report, suffix, setting.tools.meteor_jar.as_deref())?;
    }
    setting.note_meteor(&mut report);
    Ok(Figures {
        report,
        qualities: all
            .iter()
            .map(|placed| Some(placed.sample.detail.rouge_l))
            .collect(),
    })
}
