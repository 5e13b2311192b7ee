//! Picture to caption with a mask for each phrase (grounded conversation generation).

use std::collections::{BTreeSet, HashMap};

use fclm_core::{
    fclm::prompt::CAPTION_QUESTION,
    mask::{Mask, Rle},
};
use serde::{Deserialize, Serialize};

use super::{Figures, Placed, Setting, cases, draws, placed, texts::Texts};
use crate::{
    data::record::{GroundedRecord, PictureRecord},
    eval::{
        blind::{ConstantMask, most_frequent},
        error::EvalError,
        matching::{
            average_precision::{DetectedPicture, TrueMask, average_precision},
            greedy::{PhraseRecall, paired_iou, phrase_recall},
        },
        metrics::{Draws, mean},
        protocol::caption_case,
        report::Report,
        samples::{Exchange, MarkedMask, PictureSamples, Sample, StoredMask},
        source::{Content, Entry},
        text::{
            sentence::{SentenceEncoder, cosine},
            words::{grounded_caption, semantic_iou},
        },
    },
    predict::{Picture, PredictError, Predictor},
};

/// IoU at which a mask counts as found.
const FOUND: f64 = 0.5;

/// A picture that is to be captioned.
pub(super) struct AskedCaption {
    /// What people wrote.
    captions: Vec<String>,
    /// The masks that they marked, with their phrases; some have none.
    truths: Vec<(Mask, Option<String>)>,
    /// How many phrases there are to be found.
    labels: usize,
}

/// What a grounded caption is judged by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Grounded {
    /// Mean IoU of the pairs of masks.
    paired_iou: f64,
    /// How many phrases there were to be found; samples that were made before this was kept have
    /// none, and one for each mask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    labels: Option<usize>,
}

/// The caption of a picture, where it has one.
pub(super) fn cases(entry: &Entry<'_>, seed: u64) -> Vec<AskedCaption> {
    let asked = match &entry.content {
        Content::Scene(scene) => caption_case(scene, seed).map(|caption| {
            let masks = cases::masks(entry);
            let phrases = caption.phrases.iter();
            let truths = phrases.map(|phrase| {
                let text = cut(&caption.text, phrase.start, phrase.end);
                (union(entry.size, &masks, &phrase.targets), Some(text))
            });
            AskedCaption {
                truths: truths.collect(),
                captions: vec![caption.text.clone()],
                labels: caption.phrases.len(),
            }
        }),
        Content::Picture(record) => {
            let caption = record.grounded.first();
            caption.map(|caption| {
                let truths = truths_of_picture(record, caption, entry);
                let named = truths.iter().filter(|(_, phrase)| phrase.is_some());
                AskedCaption {
                    labels: caption.labels.unwrap_or(named.count()),
                    truths,
                    captions: record
                        .grounded
                        .iter()
                        .map(|caption| caption.text.clone())
                        .collect(),
                }
            })
        }
        Content::Bench(_) => None,
    };
    asked.into_iter().collect()
}

/// GranD-f's files for evaluation mark masks and give labels to them; every mask counts, also one
/// without a label. Elsewhere the masks of a phrase are one.
fn truths_of_picture(
    record: &PictureRecord,
    caption: &GroundedRecord,
    entry: &Entry<'_>,
) -> Vec<(Mask, Option<String>)> {
    let masks = cases::masks(entry);
    let mut regions = record.regions.iter();
    if caption.labels.is_some() || regions.any(|region| region.category.is_some()) {
        let named = masks.into_iter().zip(&record.regions);
        return named
            .map(|(mask, region)| (mask, region.category.clone()))
            .collect();
    }
    let phrases = caption.phrases.iter();
    phrases
        .map(|phrase| {
            let text = cut(&caption.text, phrase.start, phrase.end);
            (union(entry.size, &masks, &phrase.targets), Some(text))
        })
        .collect()
}

fn union((width, height): (u32, u32), masks: &[Mask], targets: &[usize]) -> Mask {
    let mut union = Mask::new(width, height);
    for mask in targets.iter().filter_map(|&target| masks.get(target)) {
        union.union_with(mask);
    }
    union
}

/// Code points `start..end` of a text.
fn cut(text: &str, start: usize, end: usize) -> String {
    text.chars()
        .skip(start)
        .take(end.saturating_sub(start))
        .collect()
}

pub(super) fn ask(
    predictor: &Predictor,
    picture: &mut Picture,
    case: AskedCaption,
) -> Result<Sample<Grounded>, PredictError> {
    let found = predictor.caption_measured(picture)?;
    let exchange = Exchange {
        asked: CAPTION_QUESTION.to_owned(),
        expected: case.captions,
        truths: case
            .truths
            .into_iter()
            .map(|(mask, phrase)| MarkedMask::truth(&mask, phrase))
            .collect(),
        drawn: MarkedMask::all_found(&found),
        answer: grounded_caption(&found.text).caption,
        ..Exchange::default()
    };
    Ok(Sample {
        detail: Grounded {
            paired_iou: paired_iou(&ious(&exchange.truths, &exchange.drawn)),
            labels: Some(case.labels),
        },
        exchange,
    })
}

/// IoUs with a row for each true mask and a column for each drawn one.
fn ious(truths: &[MarkedMask], drawn: &[MarkedMask]) -> Vec<Vec<f64>> {
    let of = |truth: &MarkedMask, drawn: &MarkedMask| {
        let iou = truth.mask.rle().iou(drawn.mask.rle());
        // Masks of one sample are of one size.
        iou.unwrap_or_default()
    };
    truths
        .iter()
        .map(|truth| drawn.iter().map(|drawn| of(truth, drawn)).collect())
        .collect()
}

/// AP50, mIoU and recall as GLaMM has them, and METEOR and CIDEr of the captions. Blind, all
/// pictures have the caption and the phrase that people wrote most often, with the one mask that
/// fits all phrases best.
pub(super) fn figures(
    setting: &Setting<'_>,
    pictures: &[PictureSamples<Grounded>],
) -> Result<Figures, EvalError> {
    let all = placed(pictures);
    let draws = draws(all.iter().map(|placed| placed.place), setting.header.seed);
    let blind = blind_answers(&all);
    let own: Vec<&[MarkedMask]> = all
        .iter()
        .map(|placed| placed.sample.exchange.drawn.as_slice())
        .collect();
    let others: Vec<&[MarkedMask]> = blind.iter().map(Vec::as_slice).collect();
    let encoder = setting.tools.bert.as_ref();
    let alike = Similarity::of(&all, &blind, encoder)?;
    let name = match encoder {
        Some(_) => "recall",
        None => "recall_words",
    };
    let [own, others] = [own, others].map(|drawn| Judged::of(&all, &drawn, &alike));
    let (own, others) = (own?, others?);
    let mut report = own.beside(&others, setting.report(all.len()), name, &draws);
    if encoder.is_none() {
        report = report.with("recall", None, None);
        report.notes.push(
            "Phrases are compared by their words (recall_words); name the folder of \
             bert-base-uncased by --bert for recall as published."
                .to_owned(),
        );
    }
    let captions: Vec<(usize, &str, &[String])> = all
        .iter()
        .map(|placed| {
            let Exchange {
                answer, expected, ..
            } = &placed.sample.exchange;
            (placed.place, answer.as_str(), expected.as_slice())
        })
        .collect();
    let texts = Texts::new(&captions, report.seed);
    report = texts.with_cider(report, "");
    report = texts.with_meteor(report, "", setting.tools.meteor_jar.as_deref())?;
    setting.note_meteor(&mut report);
    Ok(Figures {
        report,
        qualities: all
            .iter()
            .map(|placed| Some(placed.sample.detail.paired_iou))
            .collect(),
    })
}

/// One mask and one phrase for every picture, at each one's size.
fn blind_answers(all: &[Placed<'_, Grounded>]) -> Vec<Vec<MarkedMask>> {
    let truths = || all.iter().flat_map(|placed| &placed.sample.exchange.truths);
    let constant = ConstantMask::best(truths().map(|truth| truth.mask.mask()));
    let phrase = most_frequent(truths().filter_map(|truth| truth.phrase.as_deref()));
    all.iter()
        .map(|placed| {
            let first = placed.sample.exchange.truths.first();
            let size = first.map(|truth| truth.mask.size());
            let mask = size.map(|(width, height)| constant.at(width, height));
            let mask = mask.filter(|mask| !mask.is_empty());
            mask.map(|mask| MarkedMask::truth(&mask, phrase.map(str::to_owned)))
                .into_iter()
                .collect()
        })
        .collect()
}

/// How alike phrases are.
enum Similarity<'a> {
    /// By their sets of words.
    Words,
    /// By what they mean.
    Vectors(HashMap<&'a str, Vec<f32>>),
}

impl<'a> Similarity<'a> {
    fn of(
        all: &[Placed<'a, Grounded>],
        blind: &'a [Vec<MarkedMask>],
        encoder: Option<&SentenceEncoder>,
    ) -> Result<Self, EvalError> {
        let Some(encoder) = encoder else {
            return Ok(Self::Words);
        };
        let mut phrases: BTreeSet<&'a str> = BTreeSet::new();
        for placed in all {
            let Exchange { truths, drawn, .. } = &placed.sample.exchange;
            phrases.extend(truths.iter().chain(drawn).map(phrase_of));
        }
        phrases.extend(blind.iter().flatten().map(phrase_of));
        let phrases: Vec<&str> = phrases.into_iter().collect();
        let vectors = encoder.encode(&phrases)?;
        Ok(Self::Vectors(phrases.into_iter().zip(vectors).collect()))
    }

    fn between(&self, left: &str, right: &str) -> f64 {
        match self {
            Self::Words => semantic_iou(left, right),
            Self::Vectors(vectors) => match (vectors.get(left), vectors.get(right)) {
                (Some(left), Some(right)) => cosine(left, right),
                _ => 0.0,
            },
        }
    }
}

fn phrase_of(marked: &MarkedMask) -> &str {
    marked.phrase.as_deref().unwrap_or_default()
}

/// What pictures' masks and phrases come to.
struct Judged<'a> {
    ids: Vec<&'a str>,
    detected: Vec<DetectedPicture>,
    paired: Vec<f64>,
    recalled: Vec<PhraseRecall>,
}

impl<'a> Judged<'a> {
    /// Judges what was drawn in each picture.
    fn of(
        all: &[Placed<'a, Grounded>],
        drawn: &[&[MarkedMask]],
        alike: &Similarity<'_>,
    ) -> Result<Self, EvalError> {
        let mut judged = Self {
            ids: all.iter().map(|placed| placed.id).collect(),
            detected: Vec::with_capacity(all.len()),
            paired: Vec::with_capacity(all.len()),
            recalled: Vec::with_capacity(all.len()),
        };
        for (placed, drawn) in all.iter().zip(drawn) {
            let truths = &placed.sample.exchange.truths;
            let predicted: Vec<Rle> = drawn.iter().map(|marked| rle_of(&marked.mask)).collect();
            let wanted: Vec<TrueMask> = truths
                .iter()
                .map(|marked| TrueMask {
                    mask: rle_of(&marked.mask),
                    is_crowd: false,
                })
                .collect();
            let ious = ious(truths, drawn);
            judged
                .detected
                .push(DetectedPicture::of(&predicted, &wanted, FOUND)?);
            judged.paired.push(paired_iou(&ious));
            let named = truths.iter().filter(|truth| truth.phrase.is_some());
            let labels = placed.sample.detail.labels.unwrap_or(named.count());
            let recalled = PhraseRecall::of(&ious, |row, column| {
                let phrase = truths[row].phrase.as_deref();
                phrase.map_or(0.0, |phrase| {
                    alike.between(phrase, phrase_of(&drawn[column]))
                })
            });
            judged.recalled.push(PhraseRecall {
                phrases: labels,
                ..recalled
            });
        }
        Ok(judged)
    }

    /// Adds the figures, each beside that of blind answers.
    fn beside(&self, blind: &Self, report: Report, recall: &str, draws: &Draws) -> Report {
        let ap50 = |judged: &Self| average_precision(&judged.detected, &judged.ids, draws);
        let miou = |judged: &Self| mean(&judged.paired, draws);
        let recalled = |judged: &Self| phrase_recall(&judged.recalled, draws);
        report
            .with("ap50", ap50(self), ap50(blind))
            .with("miou", miou(self), miou(blind))
            .with(recall, recalled(self), recalled(blind))
    }
}

fn rle_of(mask: &StoredMask) -> Rle {
    mask.rle().clone()
}
