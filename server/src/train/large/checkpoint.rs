//! Where a run stands, and the tensors of what it trains.
//!
//! `step-N.safetensors` holds each trained parameter and its two moments, in f32 and in the layout that
//! they have in memory; `state.json` names the file. The file is written first, so that a crash at any
//! moment leaves the checkpoint before.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use fclm_core::weights::{Precision, WeightError, Weights};

use super::adamw::Moments;
use super::recipe::LargeRecipe;
use super::trained::{Trained, Walk};
use crate::disk;
use crate::model_dir::open_checkpoint;
use crate::train::error::TrainError;

const STATE: &str = "state.json";
const EXTENSION: &str = "safetensors";
/// What is kept of each parameter, in the order of the file.
const PARTS: [&str; 3] = ["param", "first", "second"];

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LargeCheckpoint {
    /// Steps done.
    pub(super) step: u64,
    /// Pictures learned from.
    pub(super) pictures: u64,
    /// Turns about regions and masks learned from.
    pub(super) turns: u64,
    /// Seconds of training, over all pieces.
    pub(super) seconds: f64,
    /// Updates of the optimiser.
    pub(super) updates: u64,
    /// File name of the tensors.
    pub(super) file: String,
    /// The model directory that the run started from.
    pub(super) base: PathBuf,
    /// SHA-256 over all files of that directory.
    pub(super) base_sha256: String,
    /// Module path and shape of each trained parameter, in order.
    pub(super) parameters: Vec<(String, Vec<usize>)>,
    /// Pictures of each data set, by which is told which of them come next; none where no stage
    /// uses it.
    pub(super) lengths: Vec<Option<u64>>,
    /// The recipe that the run follows.
    pub(super) recipe: LargeRecipe,
}

impl LargeCheckpoint {
    /// Where the tensors of this step go.
    pub(super) fn tensors_path(&self, folder: &Path) -> PathBuf {
        folder.join(format!("step-{:08}.{EXTENSION}", self.step))
    }

    /// Makes the checkpoint whose tensors have been written the newest, and removes older ones.
    ///
    /// # Errors
    /// Where a file cannot be written or removed.
    pub(super) fn commit(mut self, folder: &Path) -> Result<(), TrainError> {
        let tensors = self.tensors_path(folder);
        self.file = tensors
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let path = folder.join(STATE);
        let text =
            serde_json::to_vec_pretty(&self).map_err(|error| refused(&path, error.to_string()))?;
        disk::write_whole(&path, |file| file.write_all(&text)).map_err(TrainError::io(&path))?;
        self.remove_older(folder)
    }

    /// Reads the newest checkpoint, its tensors mapped; none where there is none yet.
    ///
    /// # Errors
    /// Where a file cannot be read, is cut, or is that of another kind of run.
    pub(super) fn load(folder: &Path) -> Result<Option<(Self, Weights)>, TrainError> {
        let path = folder.join(STATE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(TrainError::io(&path)(error)),
        };
        let state: Self = serde_json::from_slice(&text).map_err(|error| {
            refused(
                &path,
                format!("this is no checkpoint of a run with such a recipe: {error}"),
            )
        })?;
        let file = Path::new(&state.file);
        if file.file_name() != Some(file.as_os_str()) {
            let reason = format!("{:?} is no plain file name", state.file);
            return Err(refused(&path, reason));
        }
        let tensors = open_checkpoint(&folder.join(file))?;
        Ok(Some((state, tensors)))
    }

    fn remove_older(&self, folder: &Path) -> Result<(), TrainError> {
        disk::remove_unfinished(folder).map_err(TrainError::io(folder))?;
        for entry in fs::read_dir(folder).map_err(TrainError::io(folder))? {
            let path = entry.map_err(TrainError::io(folder))?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let is_old = name.is_some_and(|name| {
                name.starts_with("step-") && name.ends_with(EXTENSION) && name != self.file
            });
            if is_old {
                fs::remove_file(&path).map_err(TrainError::io(&path))?;
            }
        }
        Ok(())
    }
}

fn refused(path: &Path, reason: String) -> TrainError {
    TrainError::Checkpoint {
        path: path.to_owned(),
        reason,
    }
}

/// Writes the trained parameters of a module and their moments into one file, one parameter after the
/// other, so that the host never holds more than one of them.
///
/// # Errors
/// Where the device fails or the file cannot be written.
pub(super) fn write_tensors<M: Module>(
    path: &Path,
    module: &M,
    trained: &Trained,
    moments: &[Moments],
) -> Result<(), TrainError> {
    disk::write_whole(path, |file| {
        let header = header(trained)?;
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        let mut writer = Writer {
            walk: Walk::default(),
            trained,
            moments,
            file,
            failure: None,
        };
        module.visit(&mut writer);
        writer.failure.map_or(Ok(()), Err)
    })
    .map_err(TrainError::io(path))
}

/// The header of a safetensors file, padded so that the tensors behind it are aligned.
fn header(trained: &Trained) -> io::Result<Vec<u8>> {
    let mut header = Map::new();
    header.insert("__metadata__".to_owned(), json!({ "format": "pt" }));
    let mut start = 0;
    for parameter in &trained.parameters {
        for part in PARTS {
            let end = start + parameter.len() * size_of::<f32>();
            let entry = json!({
                "dtype": "F32",
                "shape": parameter.shape,
                "data_offsets": [start, end],
            });
            header.insert(format!("{part}.{}", parameter.path), entry);
            start = end;
        }
    }
    let mut header = serde_json::to_vec(&header)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

struct Writer<'a, W> {
    walk: Walk,
    trained: &'a Trained,
    moments: &'a [Moments],
    file: &'a mut W,
    failure: Option<io::Error>,
}

impl<W: Write> Writer<'_, W> {
    fn write(&mut self, place: usize, value: Tensor<1>) -> io::Result<()> {
        let Moments { first, second } = self.moments[place].clone();
        // One wait for the device instead of three.
        let numbers = Tensor::cat(vec![value, first, second], 0)
            .try_into_vec_as::<f32>()
            .map_err(|error| io::Error::other(error.to_string()))?;
        for chunk in numbers.chunks(1 << 16) {
            let bytes: Vec<u8> = chunk.iter().flat_map(|value| value.to_le_bytes()).collect();
            self.file.write_all(&bytes)?;
        }
        Ok(())
    }
}

impl<W: Write> ModuleVisitor for Writer<'_, W> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.walk.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.walk.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(place) = self.walk.place(self.trained) else {
            return;
        };
        if self.failure.is_none() {
            let count = self.trained.parameters[place].len();
            let value = param.val().without_autodiff().reshape([count]);
            self.failure = self.write(place, value).err();
        }
    }
}

/// The trained parameters of a module, flat and outside autodiff.
pub(super) fn flat_values<M: Module>(module: &M, trained: &Trained) -> Vec<Tensor<1>> {
    struct Reader<'a> {
        walk: Walk,
        trained: &'a Trained,
        values: Vec<Tensor<1>>,
    }

    impl ModuleVisitor for Reader<'_> {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.walk.enter(name);
        }

        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.walk.exit();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(place) = self.walk.place(self.trained) {
                let count = self.trained.parameters[place].len();
                let value = param.val().without_autodiff().reshape([count]);
                self.values.push(value);
            }
        }
    }

    let mut reader = Reader {
        walk: Walk::default(),
        trained,
        values: Vec::new(),
    };
    module.visit(&mut reader);
    reader.values
}

/// The module with the parameters of a checkpoint, and the moments of these.
///
/// # Errors
/// Where a tensor is missing, or has another shape than its parameter.
pub(super) fn restored<M: Module>(
    module: M,
    trained: &Trained,
    saved: &Weights,
    plain: &Device,
) -> Result<(M, Vec<Moments>), TrainError> {
    let mut restorer = Restorer {
        walk: Walk::default(),
        trained,
        saved,
        plain,
        moments: Vec::new(),
        failure: None,
    };
    let module = module.map(&mut restorer);
    match restorer.failure {
        Some(failure) => Err(failure.into()),
        None => Ok((module, restorer.moments)),
    }
}

struct Restorer<'a> {
    walk: Walk,
    trained: &'a Trained,
    saved: &'a Weights,
    plain: &'a Device,
    moments: Vec<Moments>,
    failure: Option<WeightError>,
}

impl Restorer<'_> {
    /// The parameter and its moments, all of them flat.
    fn read(&self, place: usize) -> Result<[Tensor<1>; 3], WeightError> {
        let parameter = &self.trained.parameters[place];
        let read = |part: &str| -> Result<Tensor<1>, WeightError> {
            let name = format!("{part}.{}", parameter.path);
            let stored = self.saved.get(&name);
            let stored = stored.filter(|stored| stored.shape() == parameter.shape);
            let stored = stored.ok_or(WeightError::Absent { name })?;
            let data = stored.to_float_data(Precision::F32)?;
            let values: Vec<f32> = data.iter::<f32>().collect();
            let data = TensorData::new(values, [parameter.len()]);
            Ok(Tensor::from_data(data, (self.plain, DType::F32)))
        };
        let [value, first, second] = PARTS.map(read);
        Ok([value?, first?, second?])
    }
}

impl ModuleMapper for Restorer<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.walk.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.walk.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(place) = self.walk.place(self.trained) else {
            return param;
        };
        let [value, first, second] = match self.read(place) {
            Ok(read) => read,
            Err(error) => {
                self.failure.get_or_insert(error);
                return param;
            }
        };
        self.moments.push(Moments { first, second });
        let shape: [usize; D] = param.lazy_shape().dims();
        let mut value: Tensor<D> = value.reshape(shape);
        let device = param.lazy_device();
        if let Some(strategy) = device.gradient_checkpointing_strategy() {
            value = value
                .autodiff()
                .with_gradient_checkpointing_strategy(strategy);
        }
        let id = param.id;
        param.transform_for_load(value, id)
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::{Linear, LinearConfig};

    use super::*;

    fn state(step: u64) -> LargeCheckpoint {
        LargeCheckpoint {
            step,
            pictures: 2 * step,
            turns: 5 * step,
            seconds: 1.5,
            updates: step,
            file: String::new(),
            base: PathBuf::from("base"),
            base_sha256: "abc".to_owned(),
            parameters: vec![("weight".to_owned(), vec![2, 3])],
            lengths: vec![Some(6), None],
            recipe: LargeRecipe::built_in("3b").unwrap().unwrap(),
        }
    }

    fn linear(device: &Device) -> Linear {
        LinearConfig::new(2, 3).init(device)
    }

    fn trained(linear: &Linear) -> Trained {
        Trained::chosen(linear, |path| path == "weight")
    }

    fn moments(value: f32) -> Vec<Moments> {
        let device = Device::flex();
        vec![Moments {
            first: Tensor::full([6], value + 0.25, &device),
            second: Tensor::full([6], value + 0.5, &device),
        }]
    }

    /// Saves a checkpoint whose moments tell its step.
    fn save(folder: &Path, step: u64) -> Linear {
        let linear = linear(&Device::flex());
        let state = state(step);
        let path = state.tensors_path(folder);
        write_tensors(&path, &linear, &trained(&linear), &moments(step as f32)).unwrap();
        state.commit(folder).unwrap();
        linear
    }

    fn assert_loads(folder: &Path, step: u64) {
        let (state, _) = LargeCheckpoint::load(folder).unwrap().unwrap();
        assert_eq!(state.step, step);
        assert_eq!(state.recipe, self::state(1).recipe);
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
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let written = save(folder.path(), 7);
        let (_, saved) = LargeCheckpoint::load(folder.path()).unwrap().unwrap();
        for device in [
            Device::flex(),
            Device::flex().autodiff(),
            Device::flex().autodiff().gradient_checkpointing(),
        ] {
            let fresh = linear(&device);
            let bias = fresh.bias.as_ref().unwrap().val().into_data();
            let trained = trained(&fresh);
            let (read, moments) = restored(fresh, &trained, &saved, &Device::flex()).unwrap();
            let weight = read.weight.val();
            assert_eq!(weight.is_require_grad(), device.is_autodiff());
            assert_eq!(
                weight.gradient_checkpointing_strategy(),
                device.gradient_checkpointing_strategy()
            );
            let expected = written.weight.val().into_data();
            weight.into_data().assert_eq(&expected, true);
            read.bias.unwrap().val().into_data().assert_eq(&bias, true);
            let of = |tensor: &Tensor<1>| -> Vec<f32> {
                tensor.clone().into_data().iter::<f32>().collect()
            };
            let values: Vec<Vec<f32>> = vec![of(&moments[0].first), of(&moments[0].second)];
            assert_eq!(values, [vec![7.25; 6], vec![7.5; 6]]);
        }
    }

    #[test]
    fn tensors_that_do_not_fit_are_named() {
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), 7);
        let (_, saved) = LargeCheckpoint::load(folder.path()).unwrap().unwrap();
        let device = Device::flex();
        let wider = LinearConfig::new(2, 4).init(&device);
        let error = restored(wider.clone(), &trained(&wider), &saved, &device).unwrap_err();
        assert!(error.to_string().contains("param.weight"), "{error}");
        let all = Trained::chosen(&linear(&device), |_| true);
        let error = restored(linear(&device), &all, &saved, &device).unwrap_err();
        assert!(error.to_string().contains("param.bias"), "{error}");
    }

    #[test]
    fn a_crash_while_saving_leaves_the_checkpoint_before() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert!(LargeCheckpoint::load(folder).unwrap().is_none());
        save(folder, 10);
        // The tensors of step 20 were whole when the process was killed, its state was not.
        let linear = linear(&Device::flex());
        let path = state(20).tensors_path(folder);
        write_tensors(&path, &linear, &trained(&linear), &moments(20.0)).unwrap();
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
        for name in [
            "step-00000015.safetensors",
            "step-00000015.1.part",
            "train.jsonl",
        ] {
            fs::write(folder.join(name), name).unwrap();
        }
        save(folder, 20);
        assert_eq!(
            names(folder),
            ["state.json", "step-00000020.safetensors", "train.jsonl"]
        );
    }

    #[test]
    fn files_that_are_cut_or_of_another_run_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        save(folder, 10);
        let path = state(10).tensors_path(folder);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        let error = LargeCheckpoint::load(folder).unwrap_err().to_string();
        assert!(error.contains("step-00000010.safetensors"), "{error}");
        fs::write(folder.join(STATE), "{\"step\": 10, \"scenes\": 20}").unwrap();
        let error = LargeCheckpoint::load(folder).unwrap_err().to_string();
        assert!(error.contains("no checkpoint of a run"), "{error}");
    }
}
