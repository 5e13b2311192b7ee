//! What a run's folder and the place of its model may hold before the run begins.

use std::fs;
use std::io;
use std::path::{self, Path, PathBuf};

use super::error::TrainError;
use crate::disk::{self, StagingFolder};
use crate::model_dir;

/// The model's place in a run's folder, where no other one is named.
const MODEL: &str = "model";
const LOG: &str = "train.jsonl";
/// The folder of pictures with which a loss was no number.
pub(super) const NOT_FINITE: &str = "not-finite";
/// What a run that never came to a checkpoint may have left beside unfinished files.
const LEFT: [&str; 5] = [MODEL, LOG, "train.svg", "tokenizer.json", NOT_FINITE];

/// Refuses folders in which the run could not begin or end, before anything is computed.
pub(super) fn check_folders(
    run: &Path,
    out: &Path,
    resume: bool,
    has_checkpoint: bool,
) -> Result<(), TrainError> {
    if absolute(run)?.starts_with(absolute(out)?) {
        return Err(refused(
            run,
            "the checkpoints would lie in the model's folder; name another one with --out",
        ));
    }
    model_dir::refuse_foreign(out)?;
    match (has_checkpoint, resume) {
        (true, false) => Err(refused(
            run,
            "there is a run in this folder; add --resume to go on with it, or name another folder \
             with --run",
        )),
        (false, true) => Err(refused(
            run,
            "there is no checkpoint in this folder; leave --resume out to start",
        )),
        (true, true) => Ok(()),
        (false, false) => check_new(run, out),
    }
}

/// Refuses folders of somebody else's for a run that begins.
fn check_new(run: &Path, out: &Path) -> Result<(), TrainError> {
    if let Some(foreign) = foreign_entry(run).map_err(TrainError::io(run))? {
        return Err(refused(
            run,
            &format!(
                "there is no run in this folder, but {foreign:?}; name a new or empty folder with \
                 --run"
            ),
        ));
    }
    let is_of_this_run = absolute(out)? == absolute(&run.join(MODEL))? && run.join(LOG).is_file();
    if !is_of_this_run && !disk::is_vacant(out).map_err(TrainError::io(out))? {
        return Err(refused(
            out,
            "there is a model in this folder that this run has not written; name another folder \
             with --out",
        ));
    }
    Ok(())
}

/// The name of something in a folder that no run has put there; none where all of it is a run's, or
/// there is no such folder.
fn foreign_entry(run: &Path) -> io::Result<Option<String>> {
    let entries = match fs::read_dir(run) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_vectors = name.starts_with("step-");
        let is_left = LEFT.contains(&&*name) || is_vectors || disk::is_unfinished(&path);
        if !is_left {
            return Ok(Some(name.into_owned()));
        }
    }
    Ok(None)
}

/// Makes the run's folder, and tries whether checkpoints and the model can be written: a place that
/// takes nothing would else be found when the run is done.
pub(super) fn prepare_folders(run: &Path, out: &Path) -> Result<(), TrainError> {
    fs::create_dir_all(run).map_err(TrainError::io(run))?;
    for (place, named, option) in [
        (run.join("checkpoint"), run, "--run"),
        (out.to_owned(), out, "--out"),
    ] {
        StagingFolder::new(&place).map(drop).map_err(|error| {
            let reason = format!("nothing can be written there ({error}); choose another {option}");
            refused(named, &reason)
        })?;
    }
    Ok(())
}

pub(super) fn refused(path: &Path, reason: &str) -> TrainError {
    TrainError::Checkpoint {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

fn absolute(path: &Path) -> Result<PathBuf, TrainError> {
    path::absolute(path).map_err(TrainError::io(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_begins_where_nothing_or_a_run_without_a_checkpoint_is() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let check = || check_folders(&run, &folder.path().join("out"), false, false);
        check().unwrap();
        fs::create_dir(&run).unwrap();
        check().unwrap();
        for left in [
            "tokenizer.json",
            "train.jsonl",
            "step-00000010.f32",
            "state.1.part",
            "not-finite",
        ] {
            fs::write(run.join(left), "").unwrap();
        }
        fs::create_dir(disk::beside(&run.join("model"), "partial").unwrap()).unwrap();
        check().unwrap();
        fs::write(run.join("thesis.txt"), "years of work").unwrap();
        let sentence = check().unwrap_err().to_string();
        assert!(
            sentence.contains("\"thesis.txt\"") && sentence.contains("--run"),
            "{sentence}"
        );
        // With a checkpoint it is the run's folder, whatever else is in it.
        check_folders(&run, &folder.path().join("out"), true, true).unwrap();
    }

    #[test]
    fn a_model_of_another_run_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (run, other) = (folder.path().join("run"), folder.path().join("other"));
        for model in [run.join("model"), other.clone()] {
            fs::create_dir_all(&model).unwrap();
            fs::write(model.join("config.json"), "{}").unwrap();
        }
        let refusal = |out: &Path| {
            check_folders(&run, out, false, false)
                .unwrap_err()
                .to_string()
        };
        for out in [&other, &run.join("model")] {
            let sentence = refusal(out);
            assert!(sentence.contains("--out"), "{sentence}");
        }
        // Beside its log it is the run's own.
        fs::write(run.join("train.jsonl"), "").unwrap();
        check_folders(&run, &run.join("model"), false, false).unwrap();
        assert!(refusal(&other).contains("--out"));
        check_folders(&run, &other, true, true).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn places_that_take_nothing_are_found_before_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let nowhere = Path::new("/proc/no-such/model");
        let sentence = prepare_folders(&run, nowhere).unwrap_err().to_string();
        assert!(
            sentence.contains("/proc/no-such/model") && sentence.contains("--out"),
            "{sentence}"
        );
        prepare_folders(&run, &run.join("models/mine")).unwrap();
        let left: Vec<_> = fs::read_dir(&run).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        assert_eq!(fs::read_dir(run.join("models")).unwrap().count(), 0);
    }
}
