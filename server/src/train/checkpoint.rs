use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::adamw::AdamW;
use super::error::TrainError;
use super::parameters::ParameterTable;
use super::recipe::Recipe;
use crate::disk;

const STATE: &str = "state.json";
/// What a run's folder holds beside its checkpoint, and what goes on where the checkpoint does.
const BESIDE: [&str; 2] = ["tokenizer.json", "train.jsonl"];

/// Where a run stands; beside it, the flat vectors of parameters and moments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Steps done.
    pub step: u64,
    /// Scenes drawn so far; the next one has this index.
    pub scenes: u64,
    /// Region turns learned from.
    pub turns: u64,
    /// Seconds of training, over all pieces.
    pub seconds: f64,
    /// Updates of the optimiser.
    pub updates: u64,
    /// File name of the vectors.
    pub vectors: String,
    /// Module path and shape of each parameter, in order.
    pub parameters: Vec<(String, Vec<usize>)>,
    /// The recipe that the run follows.
    #[serde(default)]
    pub recipe: Option<Recipe>,
}

/// A checkpoint that was read.
#[derive(Debug, Clone)]
pub struct Saved {
    /// Where the run stands.
    pub checkpoint: Checkpoint,
    /// All parameters.
    pub parameters: Vec<f32>,
    /// The optimiser's first and second moments.
    pub moments: [Vec<f32>; 2],
}

impl Checkpoint {
    /// Where a run stands before its first step.
    pub fn new(table: &ParameterTable, recipe: &Recipe) -> Self {
        Self {
            step: 0,
            scenes: 0,
            turns: 0,
            seconds: 0.0,
            updates: 0,
            vectors: String::new(),
            parameters: listing(table),
            recipe: Some(recipe.clone()),
        }
    }

    /// Writes a checkpoint; a crash at any moment leaves the one before usable.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn save(
        mut self,
        folder: &Path,
        parameters: &[f32],
        optimizer: &AdamW,
    ) -> Result<(), TrainError> {
        fs::create_dir_all(folder).map_err(TrainError::io(folder))?;
        self.vectors = format!("step-{:08}.f32", self.step);
        let path = folder.join(&self.vectors);
        disk::write_whole(&path, |file| {
            for vector in [parameters, &optimizer.first, &optimizer.second] {
                for chunk in vector.chunks(1 << 16) {
                    let bytes: Vec<u8> =
                        chunk.iter().flat_map(|value| value.to_le_bytes()).collect();
                    file.write_all(&bytes)?;
                }
            }
            Ok(())
        })
        .map_err(TrainError::io(&path))?;
        let path = folder.join(STATE);
        let text = serde_json::to_vec_pretty(&self).map_err(|error| TrainError::Checkpoint {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        disk::write_whole(&path, |file| file.write_all(&text)).map_err(TrainError::io(&path))?;
        self.remove_older(folder)
    }

    /// Whether a folder holds one.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(STATE).exists()
    }

    /// Where the run in a folder stands; `None` where it has no checkpoint yet.
    ///
    /// # Errors
    /// Where that cannot be read.
    pub fn of(folder: &Path) -> Result<Option<Self>, TrainError> {
        if !Self::is_in(folder) {
            return Ok(None);
        }
        let path = folder.join(STATE);
        let text = fs::read(&path).map_err(TrainError::io(&path))?;
        let read = serde_json::from_slice(&text);
        read.map(Some)
            .map_err(|error| broken(&path, error.to_string()))
    }

    /// Reads the newest checkpoint; `None` where there is none yet.
    ///
    /// # Errors
    /// Where it cannot be read or belongs to another model.
    pub fn load(folder: &Path, table: &ParameterTable) -> Result<Option<Saved>, TrainError> {
        let path = folder.join(STATE);
        let Some(checkpoint) = Self::of(folder)? else {
            return Ok(None);
        };
        if checkpoint.parameters != listing(table) {
            return Err(broken(
                &path,
                "the checkpoint's parameters are not those of the recipe's model".to_owned(),
            ));
        }
        let path = folder.join(&checkpoint.vectors);
        let bytes = fs::read(&path).map_err(TrainError::io(&path))?;
        let len = table.len();
        if bytes.len() != 3 * len * size_of::<f32>() {
            return Err(broken(
                &path,
                format!("{} bytes are not {len} x 3 numbers", bytes.len()),
            ));
        }
        let mut values = bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes));
        let mut take = || -> Vec<f32> { values.by_ref().take(len).collect() };
        let parameters = take();
        let moments = [take(), take()];
        Ok(Some(Saved {
            checkpoint,
            parameters,
            moments,
        }))
    }

    /// Makes one run's checkpoint that of another folder, where a run may go on from it. It is there
    /// when all of it is.
    ///
    /// # Errors
    /// Where there is no checkpoint, or a file cannot be read or written.
    pub fn copy(from: &Path, to: &Path) -> Result<(), TrainError> {
        let Some(checkpoint) = Self::of(from)? else {
            return Err(broken(
                from,
                "there is no checkpoint to go on from".to_owned(),
            ));
        };
        fs::create_dir_all(to).map_err(TrainError::io(to))?;
        let beside = BESIDE.into_iter().filter(|name| from.join(name).exists());
        for name in beside.chain([checkpoint.vectors.as_str(), STATE]) {
            let source = from.join(name);
            let mut source = File::open(&source).map_err(TrainError::io(source))?;
            let path = to.join(name);
            disk::write_whole(&path, |file| io::copy(&mut source, file).map(drop))
                .map_err(TrainError::io(&path))?;
        }
        Ok(())
    }

    /// Removes a folder's checkpoint, after which the run cannot go on; log and tokenizer stay.
    ///
    /// # Errors
    /// Where a file cannot be removed.
    pub fn remove(folder: &Path) -> Result<(), TrainError> {
        let Some(checkpoint) = Self::of(folder)? else {
            return Ok(());
        };
        // First what says that there is one.
        for name in [STATE, checkpoint.vectors.as_str()] {
            let path = folder.join(name);
            fs::remove_file(&path).map_err(TrainError::io(path))?;
        }
        Ok(())
    }

    fn remove_older(&self, folder: &Path) -> Result<(), TrainError> {
        disk::remove_unfinished(folder).map_err(TrainError::io(folder))?;
        for entry in fs::read_dir(folder).map_err(TrainError::io(folder))? {
            let path = entry.map_err(TrainError::io(folder))?.path();
            let is_vectors = path.extension().is_some_and(|extension| extension == "f32");
            if is_vectors && path.file_name() != Some(self.vectors.as_ref()) {
                fs::remove_file(&path).map_err(TrainError::io(&path))?;
            }
        }
        Ok(())
    }
}

fn broken(path: &Path, reason: String) -> TrainError {
    TrainError::Checkpoint {
        path: path.to_owned(),
        reason,
    }
}

/// Module path and shape of each parameter.
pub(super) fn listing(table: &ParameterTable) -> Vec<(String, Vec<usize>)> {
    table
        .parameters
        .iter()
        .map(|parameter| (parameter.path.clone(), parameter.shape.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::parameters::Parameter;
    use super::*;

    fn table() -> ParameterTable {
        ParameterTable {
            parameters: vec![Parameter {
                path: "weight".to_owned(),
                shape: vec![3],
                offset: 0,
            }],
        }
    }

    /// Saves a checkpoint whose numbers tell its step.
    fn save(folder: &Path, step: u64) {
        let (table, recipe) = (table(), Recipe::named("nano").unwrap());
        let value = step as f32;
        let mut optimizer = AdamW::new(recipe.optimizer, table.len());
        optimizer.first = vec![value + 0.25; 3];
        optimizer.second = vec![value + 0.5; 3];
        let checkpoint = Checkpoint {
            step,
            ..Checkpoint::new(&table, &recipe)
        };
        checkpoint.save(folder, &[value; 3], &optimizer).unwrap();
    }

    fn assert_loads(folder: &Path, step: u64) {
        let saved = Checkpoint::load(folder, &table()).unwrap().unwrap();
        let value = step as f32;
        assert_eq!(saved.checkpoint.step, step);
        assert_eq!(saved.parameters, [value; 3]);
        assert_eq!(saved.moments, [[value + 0.25; 3], [value + 0.5; 3]]);
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_crash_while_saving_leaves_the_checkpoint_before() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert!(Checkpoint::load(folder, &table()).unwrap().is_none());
        save(folder, 10);
        // The vectors of step 20 were whole when the process was killed, its state was not.
        fs::write(folder.join("step-00000020.f32"), [7_u8; 36]).unwrap();
        fs::write(folder.join("state.1.part"), "{\"step\": 20").unwrap();
        assert_loads(folder, 10);
        save(folder, 20);
        assert_loads(folder, 20);
    }

    #[test]
    fn only_the_newest_checkpoint_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        save(folder, 10);
        for name in ["step-00000015.f32", "step-00000015.1.part", "train.jsonl"] {
            fs::write(folder.join(name), name).unwrap();
        }
        save(folder, 20);
        assert_eq!(
            names(folder),
            ["state.json", "step-00000020.f32", "train.jsonl"]
        );
    }

    #[test]
    fn a_copy_goes_on_by_itself_and_what_is_removed_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        let missing = Checkpoint::copy(&first, &second).unwrap_err().to_string();
        assert!(missing.contains("no checkpoint"), "{missing}");
        assert!(Checkpoint::of(&second).unwrap().is_none());
        save(&first, 10);
        fs::write(first.join("tokenizer.json"), "{}").unwrap();
        fs::write(first.join("notes.txt"), "mine").unwrap();
        Checkpoint::copy(&first, &second).unwrap();
        assert_loads(&second, 10);
        assert_eq!(
            names(&second),
            ["state.json", "step-00000010.f32", "tokenizer.json"]
        );
        save(&second, 20);
        assert_loads(&first, 10);
        assert_eq!(Checkpoint::of(&second).unwrap().unwrap().step, 20);
        Checkpoint::remove(&second).unwrap();
        assert_eq!(names(&second), ["tokenizer.json"]);
        Checkpoint::remove(&second).unwrap();
    }

    #[test]
    fn vectors_that_are_cut_off_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        save(folder, 10);
        fs::write(folder.join("step-00000010.f32"), [0_u8; 35]).unwrap();
        let error = Checkpoint::load(folder, &table()).unwrap_err().to_string();
        assert!(error.contains("35 bytes"), "{error}");
    }
}
