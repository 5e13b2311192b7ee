//! What a folder of samples comes to: `report.json` with the figures of every task and the best and
//! worst answers, and `report.html`, a page that shows them and needs nothing else.

mod cases;
mod page;
mod paper;

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};

pub(super) use self::cases::Cases;
use super::{error::EvalError, protocol::Task, report::Report, source::DataKind};
use crate::disk;

const REPORT: &str = "report.json";
const PAGE: &str = "report.html";

/// All tasks of a folder.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Summary {
    pub(super) tasks: Vec<Measured>,
}

/// What came of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Measured {
    #[serde(flatten)]
    pub(super) report: Report,
    /// The model's name.
    pub(super) model: String,
    /// The data set's folder.
    pub(super) data: String,
    /// What that folder holds.
    pub(super) on: DataKind,
    /// SHA-256 of the samples: equal ones give equal figures.
    pub(super) samples_sha256: String,
    /// What has to be known of the figures.
    pub(super) notes: Vec<String>,
    /// Some of the best and of the worst answers.
    pub(super) cases: Cases,
}

impl Measured {
    /// Takes over the figures of the same samples that were computed before and are not now, for
    /// want of an encoder, a jar or a judge, and with them what was said of them.
    fn complete_from(&mut self, earlier: &Self) {
        if self.samples_sha256 != earlier.samples_sha256 || self.report.seed != earlier.report.seed
        {
            return;
        }
        let own = &mut self.report.metrics;
        let mut has_taken = false;
        for (name, metric) in &earlier.report.metrics {
            let is_missing = own.get(name).is_none_or(|metric| metric.estimate.is_none());
            if is_missing && metric.estimate.is_some() {
                own.insert(name.clone(), *metric);
                has_taken = true;
            }
        }
        if has_taken {
            self.notes.clone_from(&earlier.notes);
        }
    }
}

impl Summary {
    /// Adds a task, in place of what was there of it. Tasks stay in the order of all tasks.
    fn put(&mut self, mut measured: Measured) {
        let task = measured.report.task;
        if let Some(place) = self
            .tasks
            .iter()
            .position(|earlier| earlier.report.task == task)
        {
            measured.complete_from(&self.tasks.swap_remove(place));
        }
        self.tasks.push(measured);
        let order = |task: Task| Task::ALL.iter().position(|&other| other == task);
        self.tasks
            .sort_by_key(|measured| order(measured.report.task));
    }

    fn read(dir: &Path) -> Result<Self, EvalError> {
        let path = dir.join(REPORT);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(EvalError::io("read", &path)(error)),
        };
        serde_json::from_slice(&bytes).map_err(|source| EvalError::Report { path, source })
    }

    fn write(&self, dir: &Path) -> Result<(), EvalError> {
        let json = serde_json::to_string_pretty(self)
            .expect("a summary has texts for keys and no number that is none");
        for (name, text) in [(REPORT, json), (PAGE, page::page(self))] {
            let path = dir.join(name);
            disk::write_whole(&path, |file| file.write_all(text.as_bytes()))
                .map_err(EvalError::io("write", &path))?;
        }
        Ok(())
    }
}

/// Writes `report.json` and `report.html` of a folder anew, with these tasks in place of what was
/// there of them. Others who do the same wait.
pub(super) fn keep(
    dir: &Path,
    measured: impl IntoIterator<Item = Measured>,
) -> Result<(), EvalError> {
    let folder = File::open(dir).map_err(EvalError::io("open", dir))?;
    // On a file system without locks nobody waits, and the last one's report is incomplete until
    // the next one is written.
    let _ = folder.lock();
    let mut summary = Summary::read(dir)?;
    for measured in measured {
        summary.put(measured);
    }
    summary.write(dir)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::eval::metrics::Estimate;

    pub(in crate::eval::summary) fn figure(value: f64) -> Option<Estimate> {
        Some(Estimate {
            value,
            low: value - 0.03,
            high: value + 0.02,
        })
    }

    pub(in crate::eval::summary) fn measured(task: Task) -> Measured {
        Measured {
            report: Report::new(task, 20, 7, "00ff").with("giou", figure(0.62), figure(0.11)),
            model: "tiny".to_owned(),
            data: "/sets/scenes".to_owned(),
            on: DataKind::Scenes,
            samples_sha256: "aa".to_owned(),
            notes: Vec::new(),
            cases: Cases::default(),
        }
    }

    #[test]
    fn each_task_has_one_place_in_the_order_of_all() {
        let folder = tempfile::tempdir().unwrap();
        keep(folder.path(), [measured(Task::Roc)]).unwrap();
        keep(folder.path(), [measured(Task::Res), measured(Task::Gcg)]).unwrap();
        let mut again = measured(Task::Roc);
        again.report.n = 30;
        keep(folder.path(), [again.clone()]).unwrap();
        let summary = Summary::read(folder.path()).unwrap();
        let tasks: Vec<Task> = summary.tasks.iter().map(|task| task.report.task).collect();
        assert_eq!(tasks, [Task::Res, Task::Roc, Task::Gcg]);
        assert_eq!(summary.tasks[1], again);
        let json: serde_json::Value =
            serde_json::from_slice(&fs::read(folder.path().join(REPORT)).unwrap()).unwrap();
        assert_eq!(json["tasks"][1]["task"], "roc");
        assert_eq!(json["tasks"][1]["metrics"]["giou"]["value"], 0.62);
        assert!(folder.path().join(PAGE).is_file());
        fs::write(folder.path().join(REPORT), "[]").unwrap();
        let broken = keep(folder.path(), [again]).unwrap_err();
        assert!(matches!(broken, EvalError::Report { .. }), "{broken}");
    }

    #[test]
    fn figures_of_the_same_samples_stay() {
        let mut earlier = measured(Task::Roc);
        earlier.report = earlier.report.with("ss", figure(0.9), None);
        earlier.notes.push("The judge was x.".to_owned());
        let mut now = measured(Task::Roc);
        now.report = now.report.with("ss", None, None);
        let mut other = now.clone();
        other.samples_sha256 = "bb".to_owned();
        for (measured, kept) in [(now, true), (other, false)] {
            let mut summary = Summary {
                tasks: vec![earlier.clone()],
            };
            summary.put(measured);
            let ss = summary.tasks[0].report.metrics["ss"];
            assert_eq!(ss.estimate.is_some(), kept);
            assert_eq!(!summary.tasks[0].notes.is_empty(), kept);
        }
    }
}
