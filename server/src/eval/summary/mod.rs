//! What a folder of samples comes to: `report.json` with the figures of every task on every data set
//! and the best and worst answers, and `report.html`, a page that shows them and needs nothing else.

mod answer;
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
use super::{
    data_set::{name_of_folder, slug},
    error::EvalError,
    report::Report,
    source::DataKind,
};
use crate::disk;

const REPORT: &str = "report.json";
const PAGE: &str = "report.html";

/// All that was measured into a folder.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Summary {
    /// In the order of all tasks; the data sets of one task in the order in which they were measured
    /// first.
    pub(super) tasks: Vec<Measured>,
}

/// What came of a task on a data set.
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
    /// Some of the best and of the worst answers.
    pub(super) cases: Cases,
}

impl Measured {
    /// Whether both are of one task on one data set.
    fn is_of_same(&self, other: &Self) -> bool {
        let key = |measured: &Self| (measured.report.task, slug(&measured.report.data_set));
        key(self) == key(other)
    }

    /// Takes over the figures of the same samples that were computed before and are not now, for
    /// want of an encoder, a jar or a judge, and with them what was said of them.
    fn complete_from(&mut self, earlier: &Self) {
        if self.samples_sha256 != earlier.samples_sha256 || self.report.seed != earlier.report.seed
        {
            return;
        }
        let own = &mut self.report.metrics;
        let mut has_filled = false;
        for (name, metric) in &earlier.report.metrics {
            let there = own.get(name);
            let is_missing = there.is_none_or(|metric| metric.estimate.is_none());
            if is_missing && metric.estimate.is_some() {
                // What stands in for a figure that is there now leaves no note in its place.
                has_filled |= there.is_some();
                own.insert(name.clone(), *metric);
            }
        }
        if has_filled {
            if self.report.judge.is_none() {
                self.report.judge.clone_from(&earlier.report.judge);
            }
            self.report.notes = merged(&self.report.notes, &earlier.report.notes);
        }
    }
}

/// The notes of two reports of the same samples, each once. That a figure wants an option is said
/// only where both say so: what one of them lacks, the other has.
fn merged(own: &[String], earlier: &[String]) -> Vec<String> {
    let mut notes: Vec<String> = own
        .iter()
        .filter(|note| !names_option(note) || earlier.contains(note))
        .cloned()
        .collect();
    for note in earlier {
        if !names_option(note) && !notes.contains(note) {
            notes.push(note.clone());
        }
    }
    notes
}

/// Whether a note names the option by which a figure would be computed.
fn names_option(note: &str) -> bool {
    note.contains(" --")
}

impl Summary {
    /// Adds what came of a task on a data set, in place of what was there of it.
    fn put(&mut self, mut measured: Measured) {
        let mut there = self.tasks.iter_mut();
        match there.find(|earlier| earlier.is_of_same(&measured)) {
            Some(earlier) => {
                measured.complete_from(earlier);
                *earlier = measured;
            }
            None => {
                self.tasks.push(measured);
                self.tasks.sort_by_key(|measured| measured.report.task);
            }
        }
    }

    fn read(dir: &Path) -> Result<Self, EvalError> {
        let path = dir.join(REPORT);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(EvalError::io("read", &path)(error)),
        };
        let mut summary: Self =
            serde_json::from_slice(&bytes).map_err(|source| EvalError::Report { path, source })?;
        // Reports of before data sets had names lack them.
        for measured in &mut summary.tasks {
            if measured.report.data_set.is_empty() {
                measured.report.data_set = name_of_folder(Path::new(&measured.data));
            }
        }
        Ok(summary)
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

/// Writes `report.json` and `report.html` of a folder anew, with these measurements in place of what
/// was there of them. Others who do the same wait.
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
    use crate::eval::{metrics::Estimate, protocol::Task};

    pub(in crate::eval::summary) fn figure(value: f64) -> Option<Estimate> {
        Some(Estimate {
            value,
            low: value - 0.03,
            high: value + 0.02,
        })
    }

    pub(in crate::eval::summary) fn measured(task: Task) -> Measured {
        measured_on(task, "scenes", DataKind::Scenes)
    }

    pub(in crate::eval::summary) fn measured_on(task: Task, name: &str, on: DataKind) -> Measured {
        let report = Report::new(task, 20, 7, "00ff");
        Measured {
            report: Report {
                data_set: name.to_owned(),
                ..report.with("giou", figure(0.62), figure(0.11))
            },
            model: "tiny".to_owned(),
            data: "/sets/scenes".to_owned(),
            on,
            samples_sha256: "aa".to_owned(),
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
    fn data_sets_of_a_task_stay_in_the_order_of_their_first_measurement() {
        let folder = tempfile::tempdir().unwrap();
        let of = |name: &str| measured_on(Task::Res, name, DataKind::Pictures);
        keep(folder.path(), [of("val"), measured(Task::Roc), of("testA")]).unwrap();
        let mut again = of("Val");
        again.report.n = 30;
        keep(folder.path(), [again]).unwrap();
        let summary = Summary::read(folder.path()).unwrap();
        let found: Vec<(String, usize)> = summary
            .tasks
            .iter()
            .map(|measured| (measured.report.title(), measured.report.n))
            .collect();
        let expected = [
            ("res on Val", 30),
            ("res on testA", 20),
            ("roc on scenes", 20),
        ];
        assert_eq!(found, expected.map(|(title, n)| (title.to_owned(), n)));
    }

    #[test]
    fn reports_of_before_data_sets_had_names_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let mut old = measured(Task::Roc);
        old.report.notes.push("Nothing is judged.".to_owned());
        let json = serde_json::to_string(&Summary {
            tasks: vec![old.clone()],
        });
        let json = json.unwrap().replace("\"data_set\":\"scenes\",", "");
        assert!(!json.contains("data_set"), "{json}");
        fs::write(folder.path().join(REPORT), json).unwrap();
        assert_eq!(Summary::read(folder.path()).unwrap().tasks, [old]);
    }

    #[test]
    fn figures_of_the_same_samples_stay() {
        let mut earlier = measured(Task::Roc);
        earlier.report = earlier.report.with("ss", figure(0.9), None);
        earlier.report.judge = Some("x".to_owned());
        earlier.report.notes.push("The judge was x.".to_owned());
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
            assert_eq!(!summary.tasks[0].report.notes.is_empty(), kept);
            assert_eq!(summary.tasks[0].report.judge.is_some(), kept);
        }
        // Notes of both are merged; none says that a figure is missing which is there.
        let words = "Phrases by words; name --bert.";
        let lite = "Stems only; name --meteor-jar.";
        let both = "2 texts were refused.";
        earlier.report.notes = ["The judge was x.", words, both].map(str::to_owned).into();
        let mut now = measured(Task::Roc);
        now.report = now.report.with("ss", None, None);
        now.report.notes = [both, lite, "Names are words."].map(str::to_owned).into();
        let mut summary = Summary {
            tasks: vec![earlier],
        };
        summary.put(now);
        let notes = &summary.tasks[0].report.notes;
        assert_eq!(*notes, [both, "Names are words.", "The judge was x."]);
        // What stood in for a figure that is computed now stays beside it.
        let mut words = measured(Task::Gcg);
        words.report = words.report.with("recall_words", figure(0.4), None);
        words.report.notes.push("Phrases by words.".to_owned());
        let mut meant = measured(Task::Gcg);
        meant.report = meant.report.with("recall", figure(0.5), None);
        let mut summary = Summary { tasks: vec![words] };
        summary.put(meant);
        let report = &summary.tasks[0].report;
        assert!(report.metrics["recall_words"].estimate.is_some());
        assert!(report.notes.is_empty(), "{:?}", report.notes);
    }
}
