//! Figures of captions and descriptions, each beside that of one text for all.

use std::path::Path;

use super::draws;
use crate::eval::{
    blind::most_frequent,
    error::EvalError,
    metrics::{Draws, Estimate, mean},
    report::Report,
    text::{
        Captioned,
        bleu::{BleuCounts, bleu},
        cider::cider,
        meteor::{JAVA, MeteorCounts, MeteorJar, meteor, meteor_lite},
        rouge::rouge_l,
    },
};

/// What was written about some pictures or regions, beside what people wrote, and the same with
/// the text that people wrote most often for all.
#[derive(Debug)]
pub(super) struct Texts {
    own: Vec<Captioned>,
    blind: Vec<Captioned>,
    draws: Draws,
}

impl Texts {
    /// Takes, for each text, the place of its picture in the data set, the text and its references.
    pub(super) fn new(texts: &[(usize, &str, &[String])], seed: u64) -> Self {
        let references = texts
            .iter()
            .flat_map(|(_, _, references)| references.iter());
        let usual = most_frequent(references.map(String::as_str)).unwrap_or_default();
        let captioned = |text: &str, references: &[String]| Captioned::tokenized(text, references);
        Self {
            own: texts
                .iter()
                .map(|&(_, text, references)| captioned(text, references))
                .collect(),
            blind: texts
                .iter()
                .map(|&(_, _, references)| captioned(usual, references))
                .collect(),
            draws: draws(texts.iter().map(|&(place, ..)| place), seed),
        }
    }

    /// Adds METEOR by the jar where there is one, else by equal words and stems, which is called
    /// so and stands beside METEOR without a figure. `suffix` goes behind its name.
    pub(super) fn with_meteor(
        &self,
        report: Report,
        suffix: &str,
        jar: Option<&Path>,
    ) -> Result<Report, EvalError> {
        let (name, report) = match jar {
            Some(_) => ("meteor", report),
            None => (
                "meteor_lite",
                report.with(&format!("meteor{suffix}"), None, None),
            ),
        };
        let of = |captions: &[Captioned]| -> Result<Option<Estimate>, EvalError> {
            let counts: Vec<MeteorCounts> = match jar {
                Some(jar) if !captions.is_empty() => {
                    MeteorJar::start(Path::new(JAVA), jar)?
                        .score(captions)?
                        .counts
                }
                _ => captions.iter().map(meteor_lite).collect(),
            };
            Ok(meteor(&counts, &self.draws))
        };
        Ok(report.with(&format!("{name}{suffix}"), of(&self.own)?, of(&self.blind)?))
    }

    /// Adds CIDEr.
    pub(super) fn with_cider(&self, report: Report, suffix: &str) -> Report {
        let of = |captions: &[Captioned]| mean(&cider(captions), &self.draws);
        report.with(&format!("cider{suffix}"), of(&self.own), of(&self.blind))
    }

    /// Adds BLEU-4 and ROUGE-L.
    pub(super) fn with_bleu_and_rouge(&self, report: Report, suffix: &str) -> Report {
        let bleu_4 = |captions: &[Captioned]| {
            let counts: Vec<BleuCounts> = captions.iter().map(BleuCounts::of).collect();
            let [.., bleu_4] = bleu(&counts, &self.draws);
            bleu_4
        };
        let rouge = |captions: &[Captioned]| {
            let scores: Vec<f64> = captions.iter().map(rouge_l).collect();
            mean(&scores, &self.draws)
        };
        report
            .with(
                &format!("bleu_4{suffix}"),
                bleu_4(&self.own),
                bleu_4(&self.blind),
            )
            .with(
                &format!("rouge_l{suffix}"),
                rouge(&self.own),
                rouge(&self.blind),
            )
    }
}

/// ROUGE-L of one text.
pub(super) fn rouge_l_of(text: &str, references: &[String]) -> f64 {
    rouge_l(&Captioned::tokenized(text, references))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::protocol::Task;

    #[test]
    fn texts_by_hand() {
        let references = [vec!["red mug".to_owned()], vec!["a green pot".to_owned()]];
        let texts = [
            (0, "Red mug.", &references[0][..]),
            (1, "blue", &references[1][..]),
        ];
        let texts = Texts::new(&texts, 1);
        let report = Report::new(Task::RegionCaption, 2, 1, "00");
        let report = texts.with_cider(report, "_brief");
        let report = texts.with_bleu_and_rouge(report, "_brief");
        let report = texts.with_meteor(report, "_brief", None).unwrap();
        let figure = |name: &str| {
            let metric = report.metrics[name];
            (metric.estimate.unwrap().value, metric.blind.unwrap().value)
        };
        // Words and pairs agree wholly, which is half of the four lengths: 5, and 0 for the other.
        // Blind, both are "a green pot", whose three words agree at three lengths of four.
        assert!((figure("cider_brief").0 - 2.5).abs() < 1e-9);
        assert!((figure("cider_brief").1 - 3.75).abs() < 1e-9);
        assert_eq!(figure("rouge_l_brief"), (0.5, 0.5));
        assert!(figure("bleu_4_brief").0 < 1e-3);
        assert!(figure("meteor_lite_brief").0 > 0.3);
        assert_eq!(report.metrics["meteor_brief"].estimate, None);
    }

    #[test]
    fn a_jar_that_is_not_there_is_an_error() {
        let references = ["red mug".to_owned()];
        let texts = Texts::new(&[(0, "red mug", &references[..])], 1);
        let report = Report::new(Task::RegionCaption, 1, 1, "00");
        let jar = Some(Path::new("/no/such.jar"));
        assert!(matches!(
            texts.with_meteor(report, "", jar),
            Err(EvalError::Meteor(_))
        ));
    }

    #[test]
    fn nothing_gives_rows_without_figures() {
        let texts = Texts::new(&[], 1);
        let report = Report::new(Task::RegionCaption, 0, 1, "00");
        let report = texts.with_bleu_and_rouge(texts.with_cider(report, ""), "");
        let report = texts.with_meteor(report, "", Some(Path::new("/no/such.jar")));
        let report = report.unwrap();
        let names: Vec<&str> = report.metrics.keys().map(String::as_str).collect();
        assert_eq!(names, ["bleu_4", "cider", "meteor", "rouge_l"]);
        assert!(
            report
                .metrics
                .values()
                .all(|metric| metric.estimate.is_none())
        );
    }
}
