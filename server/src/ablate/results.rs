//! `results.jsonl`: one measured run a line.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::AblateError;
use crate::disk;

const RESULTS: &str = "results.jsonl";

/// A run that was trained and measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResultRecord {
    /// What was changed.
    pub variant: String,
    /// The seed, from 1.
    pub seed: u64,
    /// What was measured, by the name of the task.
    pub tasks: BTreeMap<String, Measured>,
    /// How long it took.
    pub seconds: Seconds,
    /// SHA-256 over the model's weight files, hexadecimal.
    pub model_sha256: String,
    /// Why there is no model, where training came to numbers that are none; nothing was measured then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diverged: Option<String>,
}

/// The figures of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// How many samples there were.
    pub n: usize,
    /// The figures that could be computed, by name.
    pub metrics: BTreeMap<String, f64>,
}

/// How long a run took, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Seconds {
    /// Up to the end of stage 1, whose checkpoint several runs may share.
    pub stage_1: f64,
    /// Stage 2.
    pub stage_2: f64,
    /// Measuring.
    pub measuring: f64,
}

/// The results of a folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Results {
    path: PathBuf,
    records: Vec<ResultRecord>,
}

impl Results {
    /// Reads the results of a folder; none are there where nothing has been measured yet.
    ///
    /// # Errors
    /// Where the file cannot be read, or a line is no result.
    pub fn read(folder: &Path) -> Result<Self, AblateError> {
        let path = folder.join(RESULTS);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(AblateError::io(&path)(error)),
        };
        let lines = text.lines().enumerate();
        let records = lines
            .map(|(index, line)| {
                serde_json::from_str(line).map_err(|error| AblateError::Line {
                    path: path.clone(),
                    line: index + 1,
                    reason: error.to_string(),
                })
            })
            .collect::<Result<Vec<ResultRecord>, _>>()?;
        Ok(Self { path, records })
    }

    /// All of them, in the order in which they were done.
    pub fn records(&self) -> &[ResultRecord] {
        &self.records
    }

    /// The result of a run.
    pub fn of(&self, variant: &str, seed: u64) -> Option<&ResultRecord> {
        let mut records = self.records.iter();
        records.find(|record| record.variant == variant && record.seed == seed)
    }

    /// Adds a result. The file holds it when this returns, and is never half written.
    pub(super) fn add(&mut self, record: ResultRecord) -> Result<(), AblateError> {
        self.records.push(record);
        disk::write_whole(&self.path, |file| {
            for record in &self.records {
                serde_json::to_writer(&mut *file, record)?;
                file.write_all(b"\n")?;
            }
            Ok(())
        })
        .map_err(AblateError::io(&self.path))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A result with one figure of one task.
    pub(in super::super) fn record(
        variant: &str,
        seed: u64,
        (task, metric): (&str, &str),
        value: f64,
    ) -> ResultRecord {
        let measured = Measured {
            n: 200,
            metrics: BTreeMap::from([(metric.to_owned(), value)]),
        };
        ResultRecord {
            variant: variant.to_owned(),
            seed,
            tasks: BTreeMap::from([(task.to_owned(), measured)]),
            seconds: Seconds {
                stage_1: 500.0,
                stage_2: 100.0,
                measuring: 40.0,
            },
            model_sha256: "00ff".to_owned(),
            diverged: None,
        }
    }

    #[test]
    fn results_are_read_back_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut results = Results::read(folder.path()).unwrap();
        assert!(results.records().is_empty());
        let first = record("paper", 2, ("roc", "category_accuracy"), 0.5);
        let second = record("latent-kl", 1, ("res", "giou"), 0.25);
        results.add(first.clone()).unwrap();
        results.add(second.clone()).unwrap();
        let read = Results::read(folder.path()).unwrap();
        assert_eq!(read, results);
        assert_eq!(read.records(), [first, second.clone()]);
        assert_eq!(read.of("latent-kl", 1), Some(&second));
        assert_eq!(read.of("latent-kl", 2), None);
    }

    #[test]
    fn lines_have_the_promised_names() {
        let line = serde_json::to_value(record("paper", 1, ("res", "giou"), 0.25)).unwrap();
        assert_eq!(line["variant"], "paper");
        assert_eq!(line["seed"], 1);
        assert_eq!(line["tasks"]["res"]["n"], 200);
        assert_eq!(line["tasks"]["res"]["metrics"]["giou"], 0.25);
        assert_eq!(line["seconds"]["stage_2"], 100.0);
    }

    #[test]
    fn a_line_that_is_no_result_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(RESULTS);
        let line = serde_json::to_string(&record("paper", 1, ("res", "giou"), 0.25)).unwrap();
        fs::write(&path, format!("{line}\n{{\"variant\":")).unwrap();
        let error = Results::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("results.jsonl:2 is no result"), "{error}");
    }
}
