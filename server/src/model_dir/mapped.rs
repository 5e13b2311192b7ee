use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    ops::Range,
    path::{Path, PathBuf},
};

use fclm_core::weights::{SharedBytes, WeightFile, Weights};
use memmap2::Mmap;
use serde::Deserialize;

use super::{INDEX, LIGHT, error::ModelDirError, pth::read_pth};

/// The tensors of a checkpoint: a safetensors file, a PyTorch file (`.pth`, `.pt`, `.bin`) or a
/// folder of safetensors files.
///
/// # Errors
///
/// If the path does not exist, or a file is damaged or of another kind.
pub fn open_checkpoint(path: &Path) -> Result<Weights, ModelDirError> {
    if path.is_dir() {
        return open_weights(path).map(|(weights, _)| weights);
    }
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("pth" | "pt" | "bin") => read_pth(path),
        Some("safetensors") => {
            Weights::from_files([open_file(path)?]).map_err(ModelDirError::weights(path))
        }
        _ => Err(ModelDirError::content(
            path,
            "neither a folder nor a .safetensors or .pth file",
        )),
    }
}

/// The tensors of a folder and the names of the files they are in: those that its index names.
///
/// Without an index they are `model.safetensors`, shards and the light part, or every safetensors
/// file where there is none of these.
///
/// # Errors
///
/// If there is no weight file, one is damaged, or the index names one that is not there.
pub fn open_weights(folder: &Path) -> Result<(Weights, Vec<String>), ModelDirError> {
    let files = weight_files(folder)?;
    let mut weights = Weights::default();
    for file in &files {
        let path = folder.join(file);
        weights
            .add(open_file(&path)?)
            .map_err(ModelDirError::weights(&path))?;
    }
    Ok((weights, files))
}

fn weight_files(folder: &Path) -> Result<Vec<String>, ModelDirError> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let index = folder.join(INDEX);
    let files: BTreeSet<String> = if index.exists() {
        let text = fs::read(&index).map_err(ModelDirError::io("read", &index))?;
        let parsed: Index = serde_json::from_slice(&text)
            .map_err(|error| ModelDirError::content(&index, error.to_string()))?;
        parsed.weight_map.into_values().collect()
    } else {
        files_without_index(folder)?
    };
    if files.is_empty() {
        return Err(ModelDirError::content(folder, "has no .safetensors file"));
    }
    for file in &files {
        // An index comes from elsewhere; it may name files of its own folder only.
        if Path::new(file).file_name() != Some(file.as_ref()) {
            return Err(ModelDirError::content(
                &index,
                format!("{file:?} is no plain file name"),
            ));
        }
    }
    Ok(files.into_iter().collect())
}

/// The files that have the name of a model's weights; where none has, every safetensors file.
fn files_without_index(folder: &Path) -> Result<BTreeSet<String>, ModelDirError> {
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(folder).map_err(ModelDirError::io("read", folder))? {
        let name = entry
            .map_err(ModelDirError::io("read", folder))?
            .file_name();
        let name = name.to_string_lossy();
        if name.ends_with(".safetensors") && !name.starts_with('.') {
            files.insert(name.into_owned());
        }
    }
    let is_weights =
        |file: &str| file == LIGHT || file == "model.safetensors" || file.starts_with("model-");
    if files.iter().any(|file| is_weights(file)) {
        files.retain(|file| is_weights(file));
    }
    Ok(files)
}

fn open_file(path: &Path) -> Result<WeightFile, ModelDirError> {
    let map = map_file(path).map_err(ModelDirError::io("open", path))?;
    WeightFile::parse(map).map_err(ModelDirError::weights(path))
}

/// Maps a file into memory for reading.
///
/// Weight files are gigabytes: mapping lets every tensor be copied once, from the page cache to
/// where it is computed with, instead of twice.
#[allow(unsafe_code)]
pub(super) fn map_file(path: &Path) -> std::io::Result<Mmap> {
    let file = File::open(path)?;
    // SAFETY: a map is only sound while nobody changes the file. Weight files are never changed in
    // place: this crate writes them under another name and renames, which leaves the mapped inode
    // alone, and so do the tools that download them.
    unsafe { Mmap::map(&file) }
}

/// A part of bytes that others hold too.
pub(super) struct Window {
    bytes: SharedBytes,
    range: Range<usize>,
}

impl Window {
    /// That part of `bytes`; none where it lies outside.
    pub(super) fn new(bytes: SharedBytes, range: Range<usize>) -> Option<Self> {
        (*bytes).as_ref().get(range.clone())?;
        Some(Self { bytes, range })
    }
}

impl AsRef<[u8]> for Window {
    fn as_ref(&self) -> &[u8] {
        &(*self.bytes).as_ref()[self.range.clone()]
    }
}

/// Reads a small text file of a folder.
pub(super) fn read_text(folder: &Path, file: &str) -> Result<String, ModelDirError> {
    let path: PathBuf = folder.join(file);
    fs::read_to_string(&path).map_err(ModelDirError::io("read", &path))
}
