//! Region to detailed description, judged by what it says: by a language model that answers
//! DLC-Bench's questions from it, or, on scenes, by the grammar.

use fclm_core::{
    fclm::prompt::DEFAULT_QUESTION,
    mask::{Mask, Rle},
};
use serde::{Deserialize, Serialize};

use super::{Figures, Placed, Setting, cases, draws, placed};
use crate::{
    chat_client::ChatClient,
    data::scenes::{Attributes, DescriptionCheck, Mention, check_description},
    eval::{
        blind::most_frequent,
        dlc::{DlcFigures, DlcQuestion, DlcRegion, JUDGE_TOKENS, JudgedRegion, judge_region},
        error::EvalError,
        judging::side_by_side,
        metrics::{mean, share},
        report::Report,
        samples::{Exchange, PictureSamples, Sample, StoredMask},
        source::{Content, Entry},
    },
    predict::{Picture, PredictError, Predictor},
};

/// Attributes of an object.
const ATTRIBUTES: f64 = 5.0;

/// A region that is to be described in detail.
pub(super) struct AskedInDetail {
    mask: Mask,
    expected: Vec<String>,
    detail: Told,
}

/// What a description is judged by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "kebab-case")]
pub(super) enum Told {
    /// An object of a scene.
    Object {
        attributes: Attributes,
        /// Whether everything that is said of its attributes is right; none before it is told.
        is_right: Option<bool>,
    },
    /// A region of DLC-Bench.
    Bench {
        id: String,
        image_id: u64,
        file_name: String,
        class_name: String,
        questions: Vec<DlcQuestion>,
    },
}

/// The regions of a picture that are to be described.
pub(super) fn cases(entry: &Entry<'_>, seed: u64) -> Vec<AskedInDetail> {
    if let Content::Bench(regions) = &entry.content {
        return regions.iter().map(AskedInDetail::of_bench).collect();
    }
    let regions = cases::regions(entry, seed).into_iter();
    regions
        .filter_map(|region| {
            Some(AskedInDetail {
                mask: region.mask,
                expected: region.detailed,
                detail: Told::Object {
                    attributes: region.attributes?,
                    is_right: None,
                },
            })
        })
        .collect()
}

impl AskedInDetail {
    fn of_bench(region: &DlcRegion) -> Self {
        Self {
            mask: region.mask.to_mask(),
            expected: Vec::new(),
            detail: Told::Bench {
                id: region.id.clone(),
                image_id: region.image_id,
                file_name: region.file_name.clone(),
                class_name: region.class_name.clone(),
                questions: region.questions.clone(),
            },
        }
    }
}

pub(super) fn ask(
    predictor: &Predictor,
    picture: &mut Picture,
    cases: Vec<AskedInDetail>,
) -> Result<Vec<Sample<Told>>, PredictError> {
    let asked: Vec<(&Mask, &str)> = cases
        .iter()
        .map(|case| (&case.mask, DEFAULT_QUESTION))
        .collect();
    let answers = predictor.describe_all(picture, &asked)?;
    let sample = |(case, answer): (AskedInDetail, String)| {
        let mut detail = case.detail;
        if let Told::Object {
            attributes,
            is_right,
        } = &mut detail
        {
            *is_right = Some(Judgement::of(&answer, attributes).is_right);
        }
        Sample {
            exchange: Exchange {
                asked: DEFAULT_QUESTION.to_owned(),
                answer,
                expected: case.expected,
                region: Some(StoredMask::of(&case.mask)),
                ..Exchange::default()
            },
            detail,
        }
    };
    Ok(cases.into_iter().zip(answers).map(sample).collect())
}

pub(super) fn figures(
    setting: &Setting<'_>,
    pictures: &[PictureSamples<Told>],
) -> Result<Figures, EvalError> {
    let all = placed(pictures);
    if setting.is_on_scenes() {
        return Ok(of_scenes(setting, &all));
    }
    of_bench(setting, &all)
}

/// What a description says of an object's attributes.
#[derive(Debug, Clone, Copy)]
struct Judgement {
    /// Whether it says something of them, and nothing that is wrong. A description that names no
    /// pattern says that there is none.
    is_right: bool,
    /// Share of them that it gives rightly.
    share: f64,
}

impl Judgement {
    fn of(text: &str, truth: &Attributes) -> Self {
        let DescriptionCheck {
            size,
            colour,
            pattern,
            material,
            shape,
        } = check_description(text, truth);
        let all = [size, colour, pattern, material, shape];
        let says_something = [size, colour, material, shape]
            .iter()
            .any(|&said| said != Mention::Missing);
        let right = all.iter().filter(|&&said| said == Mention::Right).count();
        Self {
            is_right: says_something && !all.contains(&Mention::Wrong),
            share: match says_something {
                true => right as f64 / ATTRIBUTES,
                false => 0.0,
            },
        }
    }
}

/// A description of an object.
struct ToldObject {
    place: usize,
    truth: Attributes,
    judgement: Judgement,
}

/// How many descriptions say nothing wrong of attributes, and what share of the attributes is told
/// rightly; blind, all objects are described as the most frequent one.
fn of_scenes(setting: &Setting<'_>, all: &[Placed<'_, Told>]) -> Figures {
    let told: Vec<ToldObject> = all
        .iter()
        .filter_map(|placed| match &placed.sample.detail {
            Told::Object { attributes, .. } => Some(ToldObject {
                place: placed.place,
                truth: *attributes,
                judgement: Judgement::of(&placed.sample.exchange.answer, attributes),
            }),
            Told::Bench { .. } => None,
        })
        .collect();
    let every: Vec<&ToldObject> = told.iter().collect();
    let mut report = with_precision(setting.report(told.len()), "attribute_precision", &every);
    report = with_recall(report, &every);
    let (unseen, seen): (Vec<&ToldObject>, Vec<&ToldObject>) =
        every.into_iter().partition(|told| told.truth.is_held_out());
    if !unseen.is_empty() {
        report = with_precision(report, "attribute_precision_seen", &seen);
        report = with_precision(report, "attribute_precision_unseen", &unseen);
    }
    report.notes.push(
        "Scenes have no judge: descriptions are read by the grammar, and attribute_precision is \
         the share of them in which every attribute that is stated is right."
            .to_owned(),
    );
    Figures {
        report,
        qualities: told.iter().map(|told| Some(told.judgement.share)).collect(),
    }
}

fn with_precision(report: Report, name: &str, told: &[&ToldObject]) -> Report {
    let draws = draws(told.iter().map(|told| told.place), report.seed);
    let usual = usual(told);
    let right: Vec<bool> = told.iter().map(|told| told.judgement.is_right).collect();
    let blind: Vec<bool> = told
        .iter()
        .map(|told| usual == Some(values(&told.truth)))
        .collect();
    report.with(name, share(&right, &draws), share(&blind, &draws))
}

fn with_recall(report: Report, told: &[&ToldObject]) -> Report {
    let draws = draws(told.iter().map(|told| told.place), report.seed);
    let usual = usual(told);
    let own: Vec<f64> = told.iter().map(|told| told.judgement.share).collect();
    let blind: Vec<f64> = told
        .iter()
        .map(|told| usual.map_or(0.0, |usual| in_common(usual, values(&told.truth))))
        .collect();
    report.with("attribute_recall", mean(&own, &draws), mean(&blind, &draws))
}

/// The attributes by the places of their values, in the order size, colour, pattern, material,
/// shape.
fn values(truth: &Attributes) -> [u8; 5] {
    [
        truth.size as u8,
        truth.colour as u8,
        truth.pattern as u8,
        truth.material as u8,
        truth.shape as u8,
    ]
}

/// The attributes that most objects have.
fn usual(told: &[&ToldObject]) -> Option<[u8; 5]> {
    most_frequent(told.iter().map(|told| values(&told.truth)))
}

fn in_common(left: [u8; 5], right: [u8; 5]) -> f64 {
    let equal = left.iter().zip(right).filter(|&(&a, b)| a == b).count();
    equal as f64 / ATTRIBUTES
}

/// DLC-Bench's figures, by the judge that there is.
fn of_bench(setting: &Setting<'_>, all: &[Placed<'_, Told>]) -> Result<Figures, EvalError> {
    let mut report = setting.report(all.len());
    let Some(judge) = &setting.tools.judge else {
        for name in ["positive", "negative", "average"] {
            report = report.with(name, None, None);
        }
        report.notes.push(
            "Nothing is judged; name an OpenAI-compatible endpoint and its model by --judge-url \
             and --judge-model."
                .to_owned(),
        );
        return Ok(Figures {
            report,
            qualities: vec![None; all.len()],
        });
    };
    let mut asked = Vec::with_capacity(all.len());
    for placed in all {
        asked.push((region_of(placed)?, placed.sample.exchange.answer.as_str()));
    }
    let judged = judged_by(judge, &asked)?;
    let draws = draws(all.iter().map(|placed| placed.place), report.seed);
    let figures = DlcFigures::of(&judged, &draws);
    report = report
        .with("positive", figures.positive, None)
        .with("negative", figures.negative, None)
        .with("average", figures.average, None);
    report.judge = Some(judge.model().to_owned());
    report.notes.push(format!(
        "The judge was {}; figures of different judges do not compare, and the published ones are \
         Llama 3.1 8B Instruct's.",
        judge.model()
    ));
    let mean_score = |judged: &JudgedRegion| {
        let scores = [judged.positive, judged.negative];
        let known: Vec<f64> = scores.into_iter().flatten().collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    };
    Ok(Figures {
        report,
        qualities: judged.iter().map(mean_score).collect(),
    })
}

/// The region of DLC-Bench that a sample describes.
fn region_of(placed: &Placed<'_, Told>) -> Result<DlcRegion, EvalError> {
    let Sample { exchange, detail } = placed.sample;
    let mask: Option<&Rle> = exchange.region.as_ref().map(StoredMask::rle);
    match (detail, mask) {
        (
            Told::Bench {
                id,
                image_id,
                file_name,
                class_name,
                questions,
            },
            Some(mask),
        ) => Ok(DlcRegion {
            id: id.clone(),
            image_id: *image_id,
            file_name: file_name.clone(),
            mask: mask.clone(),
            class_name: class_name.clone(),
            questions: questions.clone(),
        }),
        _ => Err(EvalError::Sample {
            picture: placed.id.to_owned(),
            reason: "one is no region of DLC-Bench".to_owned(),
        }),
    }
}

/// Lets the judge answer the questions about several regions at once.
fn judged_by(
    judge: &ChatClient,
    regions: &[(DlcRegion, &str)],
) -> Result<Vec<JudgedRegion>, EvalError> {
    side_by_side(regions, |(region, description)| {
        let ask = |system: &str, user: &str| judge.complete(system, user, JUDGE_TOKENS);
        judge_region(region, description, ask).map_err(EvalError::from)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::scenes::{Colour, Material, Pattern, Shape, Size};

    fn cube() -> Attributes {
        Attributes {
            size: Size::Small,
            colour: Colour::Red,
            material: Material::Metal,
            shape: Shape::Cube,
            pattern: Pattern::Striped,
        }
    }

    #[test]
    fn what_is_not_stated_is_not_wrong_and_not_right() {
        let of = |text: &str| {
            let Judgement { is_right, share } = Judgement::of(text, &cube());
            (is_right, share)
        };
        assert_eq!(
            of("A small red metal cube with stripes, left of it."),
            (true, 1.0)
        );
        assert_eq!(of("A striped red cube."), (true, 0.6));
        assert_eq!(of("A small red glass cube with stripes."), (false, 0.8));
        // No pattern is said to be there, and there is one.
        assert_eq!(of("A red cube."), (false, 0.4));
        assert_eq!(of("Something."), (false, 0.0));
        let plain = Attributes {
            pattern: Pattern::Plain,
            ..cube()
        };
        assert!(!Judgement::of("", &plain).is_right);
    }

    #[test]
    fn objects_are_compared_value_by_value() {
        let other = Attributes {
            colour: Colour::Blue,
            shape: Shape::Cone,
            ..cube()
        };
        assert_eq!(in_common(values(&cube()), values(&cube())), 1.0);
        assert_eq!(in_common(values(&cube()), values(&other)), 0.6);
    }
}
