//! The result of a measurement, as JSON for programs and as a table for people.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::metrics::Estimate;
use super::protocol::Task;
use crate::data::scenes::LeftOut;

/// What stands for a figure that cannot be computed.
pub(super) const NOT_COMPUTED: &str = "not computed";

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

/// What `fclm eval` prints: `{task, data_set, n, seed, metrics: {name: {value, low, high, blind:
/// {value, low, high}}}, model_sha256, judge, notes}`.
///
/// Every figure of a task is there. Where one cannot be computed, as for samples of a kind that the
/// data set has none of, `value`, `low` and `high` are `null`; where its image-blind counterpart
/// cannot, `blind` is `null`. A rank correlation such as `score_iou_spearman` never has one: who
/// does not see the picture gives one score for all, and a constant score has no ranks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What was measured.
    pub task: Task,
    /// What the data set is called; empty where it has no name.
    #[serde(default)]
    pub data_set: String,
    /// How many samples there were.
    pub n: usize,
    /// The seed that chose them and drew the intervals.
    pub seed: u64,
    /// The figures by name.
    pub metrics: BTreeMap<String, Metric>,
    /// SHA-256 over the model's weight files, hexadecimal.
    pub model_sha256: String,
    /// The language model that judged, where one did.
    #[serde(default)]
    pub judge: Option<String>,
    /// What has to be known of the figures, in sentences.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What of the data set was not understood; no part of the JSON.
    #[serde(skip)]
    pub left_out: LeftOut,
    /// The pictures that are broken and were skipped, each with file and position; no part of the
    /// JSON.
    #[serde(skip)]
    pub broken: Vec<String>,
}

impl Report {
    /// A report without figures.
    pub fn new(task: Task, n: usize, seed: u64, model_sha256: impl Into<String>) -> Self {
        Self {
            task,
            data_set: String::new(),
            n,
            seed,
            metrics: BTreeMap::new(),
            model_sha256: model_sha256.into(),
            judge: None,
            notes: Vec::new(),
            left_out: LeftOut::default(),
            broken: Vec::new(),
        }
    }

    /// Adds a figure beside its blind one.
    #[must_use]
    pub fn with(mut self, name: &str, estimate: Option<Estimate>, blind: Option<Estimate>) -> Self {
        self.metrics
            .insert(name.to_owned(), Metric { estimate, blind });
        self
    }

    /// What was measured on what, in words.
    pub fn title(&self) -> String {
        match self.data_set.as_str() {
            "" => self.task.to_string(),
            name => format!("{} on {name}", self.task),
        }
    }

    /// The report as one JSON document.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report has only strings for keys")
    }

    /// Several reports as one JSON document, a list.
    pub fn list_to_json(reports: &[Self]) -> String {
        serde_json::to_string_pretty(reports).expect("a report has only strings for keys")
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
        let (title, n, seed) = (self.title(), self.n, self.seed);
        writeln!(f, "{title}: {n} {samples}, seed {seed}")?;
        writeln!(f, "model {}", self.model_sha256)?;
        writeln!(f)?;
        writeln!(
            f,
            "{:name_width$}  {:>12}  {:^18}  {:>11}",
            "metric", "value", "95 % interval", "image-blind"
        )?;
        for (name, metric) in &self.metrics {
            let value = match metric.estimate {
                Some(figure) => format!("{:.4}", figure.value),
                None => NOT_COMPUTED.to_owned(),
            };
            let interval = shown(metric.estimate, |figure| {
                format!("{:>7.4} to {:>7.4}", figure.low, figure.high)
            });
            let blind = shown(metric.blind, |figure| format!("{:.4}", figure.value));
            writeln!(
                f,
                "{name:name_width$}  {value:>12}  {interval:^18}  {blind:>11}"
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
        assert!(json["judge"].is_null());
        assert_eq!(json["notes"], serde_json::json!([]));
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

metric                     value    95 % interval     image-blind
ciou                      0.5800   0.5500 to  0.6000            -
giou                      0.6200   0.5900 to  0.6400       0.1100
score_iou_spearman  not computed          -                     -
";
        assert_eq!(report().to_string(), expected);
        let mut noted = report();
        noted.notes.push("Nothing is judged.".to_owned());
        assert_eq!(
            noted.to_string(),
            format!("{expected}\nNothing is judged.\n")
        );
    }

    #[test]
    fn what_is_known_of_the_figures_travels_with_them() {
        let mut one = report();
        one.data_set = "RefCOCO val".to_owned();
        one.judge = Some("llama".to_owned());
        one.notes.push("2 texts were refused.".to_owned());
        one.broken
            .push("pictures.jsonl:3: not a picture".to_owned());
        assert!(one.to_string().starts_with("dl-res on RefCOCO val: 200"));
        let all = Report::list_to_json(&[one.clone(), report()]);
        let json: serde_json::Value = serde_json::from_str(&all).unwrap();
        assert_eq!(json[0]["data_set"], "RefCOCO val");
        assert_eq!(json[0]["judge"], "llama");
        assert_eq!(json[0]["notes"][0], "2 texts were refused.");
        assert!(json[0].get("broken").is_none());
        assert_eq!(json[1]["task"], "dl-res");
        one.broken.clear();
        let read: Vec<Report> = serde_json::from_value(json).unwrap();
        assert_eq!(read, [one, report()]);
        // As reports were written before they had all of this.
        let old = r#"{"task": "res", "n": 1, "seed": 0, "metrics": {}, "model_sha256": "00"}"#;
        let old: Report = serde_json::from_str(old).unwrap();
        assert_eq!(old, Report::new(Task::Res, 1, 0, "00"));
    }
}
