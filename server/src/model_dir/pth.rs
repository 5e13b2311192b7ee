use std::{path::Path, sync::Arc};

use fclm_core::weights::{SharedBytes, StoredDtype, WeightFile, Weights};
use pytorch_reader::{DType, PytorchReader};

use super::{
    error::ModelDirError,
    mapped::{Window, map_file},
    stored_entries::StoredEntries,
};

/// Keys under which training scripts wrap what they save.
const WRAPPERS: [&str; 3] = ["model.", "state_dict.", "module."];

/// Reads a PyTorch checkpoint, such as SAM's published `.pth` files.
///
/// Only tensors are read; the file's pickled code is never run. Each is copied once, to check it,
/// and then let go for its place in a map of the file; a copy is kept only of what is not stored
/// there as it is, such as a transposed view. A wrapper that all tensors share (`model`,
/// `state_dict` or `module`) is taken off their names.
///
/// # Errors
///
/// If the file is not a checkpoint or a tensor's storage is damaged.
pub fn read_pth(path: &Path) -> Result<Weights, ModelDirError> {
    let reader = PytorchReader::new(path).map_err(|source| ModelDirError::Pytorch {
        path: path.to_owned(),
        source: Box::new(source),
    })?;
    let map: SharedBytes = Arc::new(map_file(path).map_err(ModelDirError::io("open", path))?);
    let entries = StoredEntries::of((*map).as_ref());
    let mut file = WeightFile::default();
    for (name, tensor) in reader.into_tensors() {
        let copy = tensor.read().map_err(ModelDirError::io("read", path))?;
        let mapped = entries
            .find(&copy)
            .and_then(|range| Window::new(Arc::clone(&map), range));
        let bytes: SharedBytes = match mapped {
            Some(window) => Arc::new(window),
            None => Arc::new(copy),
        };
        let shape = tensor.shape().to_vec();
        file.insert(name, stored(tensor.dtype()), shape, bytes)
            .map_err(ModelDirError::weights(path))?;
    }
    let weights = Weights::from_files([file]).map_err(ModelDirError::weights(path))?;
    unwrapped(weights).map_err(ModelDirError::weights(path))
}

fn unwrapped(mut weights: Weights) -> Result<Weights, fclm_core::weights::WeightError> {
    loop {
        let wrapper = WRAPPERS.iter().find(|wrapper| {
            !weights.is_empty()
                && weights
                    .iter()
                    .all(|tensor| tensor.name().starts_with(**wrapper))
        });
        match wrapper {
            Some(wrapper) => {
                weights = weights.renamed(|name| name.strip_prefix(wrapper).map(str::to_owned))?;
            }
            None => return Ok(weights),
        }
    }
}

fn stored(dtype: DType) -> StoredDtype {
    match dtype {
        DType::F64 => StoredDtype::F64,
        DType::F32 => StoredDtype::F32,
        DType::F16 => StoredDtype::F16,
        DType::BF16 => StoredDtype::BF16,
        DType::I64 => StoredDtype::I64,
        DType::I32 => StoredDtype::I32,
        DType::I16 => StoredDtype::I16,
        DType::I8 => StoredDtype::I8,
        DType::U64 => StoredDtype::U64,
        DType::U32 => StoredDtype::U32,
        DType::U16 => StoredDtype::U16,
        DType::U8 => StoredDtype::U8,
        DType::Bool => StoredDtype::BOOL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_dir::{fixtures::fixture, open_checkpoint};

    #[test]
    fn fixture_pth_equals_its_safetensors() {
        let pth = open_checkpoint(&fixture("sam/sam_vit.pth")).unwrap();
        let safetensors = open_checkpoint(&fixture("sam/sam_vit.safetensors")).unwrap();
        assert!(!pth.is_empty());
        assert_eq!(pth.len(), safetensors.len());
        for (left, right) in pth.iter().zip(safetensors.iter()) {
            assert_eq!(left.name(), right.name());
            assert_eq!(left.dtype(), right.dtype(), "{}", left.name());
            assert_eq!(left.shape(), right.shape(), "{}", left.name());
            assert_eq!(left.bytes(), right.bytes(), "{}", left.name());
        }
    }

    #[test]
    fn fixture_cut_pth_is_an_error() {
        let bytes = std::fs::read(fixture("sam/sam_vit.pth")).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for length in [0, 1, 100, bytes.len() / 2, bytes.len() - 1] {
            let path = folder.path().join("cut.pth");
            std::fs::write(&path, &bytes[..length]).unwrap();
            assert!(read_pth(&path).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn shared_wrappers_come_off() {
        let mut file = WeightFile::default();
        for name in ["model.a", "model.b"] {
            file.insert(name.to_owned(), StoredDtype::U8, vec![1], Arc::new(vec![0]))
                .unwrap();
        }
        let weights = unwrapped(Weights::from_files([file]).unwrap()).unwrap();
        assert!(weights.get("a").is_some() && weights.get("b").is_some());
    }
}
