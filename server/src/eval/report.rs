//! The result of a measurement, as JSON for programs and as a table for people.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::metrics::Estimate;
use super::protocol::Task;
use crate::data::scenes::LeftOut;

/// A figure and the same figure of answers given without the picture; each is none where it cannot
/// be computed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Metric {
    /// The model's figure.
    pub estimate: Option<Estimate>,
    /// The image-blind baseline's.
    pub blind: Option<Estimate>,
}

/// A metric as JSON has it.
#[derive(Serialize, Deserialize)]
struct Written {
    value: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    blind: Option<Estimate>,
}

/// What `fclm eval` prints: `{task, n, seed, metrics: {name: {value, low, high, blind: {value, low,
/// high}}}, model_sha256}`.
///
/// Every figure of a task is there. Where one cannot be computed, as for samples of a kind that the
/// data set has none of, `value`, `low` and `high` are `null`; where its image-blind counterpart
/// cannot, `blind` is `null`. A rank correlation such as `score_iou_spearman` never has one: who
/// does not see the picture gives one score for all, and a constant score has no ranks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What was measured.
    pub task: Task,
    /// How many samples there were.
    pub n: usize,
    /// The seed that chose them and drew the intervals.
    pub seed: u64,
    /// The figures by name.
    pub metrics: BTreeMap<String, Metric>,
    /// SHA-256 over the model's weight files, hexadecimal.
    pub model_sha256: String,
    /// What of the data set was not understood; no part of the JSON.
    #[serde(skip)]
    pub left_out: LeftOut,
    /// What has to be known of the figures, in sentences; no part of the JSON.
    #[serde(skip)]
    pub notes: Vec<String>,
}

impl Report {
    /// A report without figures.
    pub fn new(task: Task, n: usize, seed: u64, model_sha256: impl Into<String>) -> Self {
        Self {
            task,
            n,
            seed,
            metrics: BTreeMap::new(),
            model_sha256: model_sha256.into(),
            left_out: LeftOut::default(),
            notes: Vec::new(),
        }
    }

    /// Adds a figure beside its blind one.
    #[must_use]
    pub fn with(mut self, name: &str, estimate: Option<Estimate>, blind: Option<Estimate>) -> Self {
        self.metrics
            .insert(name.to_owned(), Metric { estimate, blind });
        self
    }

    /// The report as one JSON document.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report has only strings for keys")
    }
}

impl From<Metric> for Written {
    fn from(Metric { estimate, blind }: Metric) -> Self {
        Self {
            value: estimate.map(|estimate| estimate.value),
            low: estimate.map(|estimate| estimate.low),
            high: estimate.map(|estimate| estimate.high),
            blind,
        }
    }
}

impl From<Written> for Metric {
    fn from(written: Written) -> Self {
        let estimate = match (written.value, written.low, written.high) {
            (Some(value), Some(low), Some(high)) => Some(Estimate { value, low, high }),
            _ => None,
        };
        Self {
            estimate,
            blind: written.blind,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name_width = self
            .metrics
            .keys()
            .map(String::len)
            .max()
            .unwrap_or(0)
            .max(6);
        let samples = if self.n == 1 { "sample" } else { "samples" };
        writeln!(f, "{}: {} {samples}, seed {}", self.task, self.n, self.seed)?;
        writeln!(f, "model {}", self.model_sha256)?;
        writeln!(f)?;
        writeln!(
            f,
            "{:name_width$}  {:>7}  {:^18}  {:>11}",
            "metric", "value", "95 % interval", "image-blind"
        )?;
        for (name, metric) in &self.metrics {
            let value = shown(metric.estimate, |figure| format!("{:.4}", figure.value));
            let interval = shown(metric.estimate, |figure| {
                format!("{:>7.4} to {:>7.4}", figure.low, figure.high)
            });
            let blind = shown(metric.blind, |figure| format!("{:.4}", figure.value));
            writeln!(
                f,
                "{name:name_width$}  {value:>7}  {interval:^18}  {blind:>11}"
            )?;
        }
        for note in &self.notes {
            write!(f, "\n{note}\n")?;
        }
        Ok(())
    }
}

fn shown(figure: Option<Estimate>, show: impl Fn(Estimate) -> String) -> String {
    figure.map_or_else(|| "-".to_owned(), show)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let figure = |value| {
            Some(Estimate {
                value,
                low: value - 0.03,
                high: value + 0.02,
            })
        };
        Report::new(Task::DlRes, 200, 7, "00ff")
            .with("giou", figure(0.62), figure(0.11))
            .with("ciou", figure(0.58), None)
            .with("score_iou_spearman", None, None)
    }

    #[test]
    fn json_has_the_promised_names() {
        let json: serde_json::Value = serde_json::from_str(&report().to_json()).unwrap();
        assert_eq!(json["task"], "dl-res");
        assert_eq!(json["n"], 200);
        assert_eq!(json["seed"], 7);
        assert_eq!(json["model_sha256"], "00ff");
        assert_eq!(json["metrics"]["giou"]["value"], 0.62);
        assert_eq!(json["metrics"]["giou"]["blind"]["value"], 0.11);
        let blind = json["metrics"]["ciou"].get("blind");
        assert!(blind.is_some_and(serde_json::Value::is_null));
        let nothing = serde_json::json!({"value": null, "low": null, "high": null, "blind": null});
        assert_eq!(json["metrics"]["score_iou_spearman"], nothing);
        assert_eq!(serde_json::from_value::<Report>(json).unwrap(), report());
    }

    #[test]
    fn the_table_is_aligned() {
        let expected = "\
dl-res: 200 samples, seed 7
model 00ff

metric                value    95 % interval     image-blind
ciou                 0.5800   0.5500 to  0.6000            -
giou                 0.6200   0.5900 to  0.6400       0.1100
score_iou_spearman        -          -                     -
";
        assert_eq!(report().to_string(), expected);
        let mut noted = report();
        noted.notes.push("Nothing is judged.".to_owned());
        assert_eq!(
            noted.to_string(),
            format!("{expected}\nNothing is judged.\n")
        );
        assert_eq!(noted.to_json(), report().to_json());
    }
}
