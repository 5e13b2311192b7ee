//! Which file holds the samples of a task on a data set.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use super::header::Header;
use crate::eval::{data_set::slug, error::EvalError, protocol::Task};

/// What names of files of samples end with.
const ENDING: &str = ".samples.jsonl";
/// Longest first line that is looked at.
const MAX_HEADER: u64 = 1 << 16;

/// Where the samples are that a header is about. The first data set of a task has
/// `TASK.samples.jsonl`, each further one `TASK.NAME.samples.jsonl`.
pub(super) fn path_of(dir: &Path, header: &Header) -> PathBuf {
    let (task, name) = (header.task, slug(&header.data_set));
    let own = dir.join(format!("{task}.{name}{ENDING}"));
    let first = dir.join(format!("{task}{ENDING}"));
    if own.exists() {
        return own;
    }
    match header_of(&first) {
        Some(there) if slug(&there.data_set) != name => own,
        _ => first,
    }
}

/// The files of samples in a folder, each with its task, in the order of the tasks.
pub(super) fn all_in(dir: &Path) -> Result<Vec<(Task, PathBuf)>, EvalError> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).map_err(EvalError::io("read", dir))? {
        let entry = entry.map_err(EvalError::io("read", dir))?;
        let name = entry.file_name();
        if let Some(task) = name.to_str().and_then(task_of) {
            all.push((task, entry.path()));
        }
    }
    all.sort();
    Ok(all)
}

fn task_of(file: &str) -> Option<Task> {
    let stem = file.strip_suffix(ENDING)?;
    let (task, _) = stem.split_once('.').unwrap_or((stem, ""));
    task.parse().ok()
}

/// What a file is about; none where there is none or it does not begin with a header.
fn header_of(path: &Path) -> Option<Header> {
    let file = File::open(path).ok()?;
    let mut line = String::new();
    let mut reader = BufReader::new(file.take(MAX_HEADER));
    reader.read_line(&mut line).ok()?;
    serde_json::from_str(&line).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::source::DataKind;

    fn header(task: Task, name: &str) -> Header {
        let data = (format!("/sets/{name}"), DataKind::Pictures, 3);
        Header::new(task, 1, "tiny".to_owned(), "00".to_owned(), data)
    }

    #[test]
    fn each_data_set_of_a_task_has_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let of = |task: Task, name: &str| path_of(dir, &header(task, name));
        let file = |name: &str| dir.join(name);
        assert_eq!(of(Task::Roc, "lvis"), file("roc.samples.jsonl"));
        // A file whose first line was never written belongs to whoever comes first.
        fs::write(file("roc.samples.jsonl"), "").unwrap();
        assert_eq!(of(Task::Roc, "paco"), file("roc.samples.jsonl"));
        let line = serde_json::to_string(&header(Task::Roc, "lvis")).unwrap();
        fs::write(file("roc.samples.jsonl"), format!("{line}\n{{}}\n")).unwrap();
        assert_eq!(of(Task::Roc, "lvis"), file("roc.samples.jsonl"));
        assert_eq!(of(Task::Roc, "LVIS"), file("roc.samples.jsonl"));
        assert_eq!(of(Task::Roc, "paco"), file("roc.paco.samples.jsonl"));
        assert_eq!(of(Task::DlRes, "paco"), file("dl-res.samples.jsonl"));
        // Its own file is gone on with, whatever became of the first one.
        fs::write(file("roc.paco.samples.jsonl"), "").unwrap();
        fs::remove_file(file("roc.samples.jsonl")).unwrap();
        assert_eq!(of(Task::Roc, "paco"), file("roc.paco.samples.jsonl"));

        for name in ["res.samples.jsonl", "rec.samples.jsonl", "res.jsonl"] {
            fs::write(file(name), "").unwrap();
        }
        let all = all_in(dir).unwrap();
        let expected = [
            (Task::Res, file("res.samples.jsonl")),
            (Task::Roc, file("roc.paco.samples.jsonl")),
        ];
        assert_eq!(all, expected);
    }
}
