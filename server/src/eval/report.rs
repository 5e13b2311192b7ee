//! The result of a measurement, as JSON for programs and as a table for people.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::metrics::Estimate;
use super::protocol::Task;

/// A figure and, where there is one, the same figure of answers given without the picture.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// The model's figure.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// The image-blind baseline's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blind: Option<Estimate>,
}

/// What `fclm eval` prints: `{task, n, seed, metrics: {name: {value, low, high, blind}},
/// model_sha256}`.
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
        }
    }

    /// Adds a figure beside its blind one; a figure that could not be had is left out.
    #[must_use]
    pub fn with(mut self, name: &str, estimate: Option<Estimate>, blind: Option<Estimate>) -> Self {
        if let Some(estimate) = estimate {
            self.metrics
                .insert(name.to_owned(), Metric { estimate, blind });
        }
        self
    }

    /// The report as one JSON document.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report has only strings for keys")
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
            let Estimate { value, low, high } = metric.estimate;
            let blind = metric
                .blind
                .map_or_else(|| "-".to_owned(), |blind| format!("{:.4}", blind.value));
            writeln!(
                f,
                "{name:name_width$}  {value:>7.4}  {low:>7.4} to {high:>7.4}  {blind:>11}"
            )?;
        }
        Ok(())
    }
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
        assert!(json["metrics"]["ciou"].get("blind").is_none());
        assert!(json["metrics"].get("score_iou_spearman").is_none());
        assert_eq!(serde_json::from_value::<Report>(json).unwrap(), report());
    }

    #[test]
    fn the_table_is_aligned() {
        let expected = "\
dl-res: 200 samples, seed 7
model 00ff

metric    value    95 % interval     image-blind
ciou     0.5800   0.5500 to  0.6000            -
giou     0.6200   0.5900 to  0.6400       0.1100
";
        assert_eq!(report().to_string(), expected);
    }
}
