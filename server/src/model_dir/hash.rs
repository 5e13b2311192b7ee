use std::{fs::File, io, path::Path};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::error::ModelDirError;

/// One file of a model with its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileHash {
    /// The file's name.
    pub file: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its SHA-256, hexadecimal.
    pub sha256: String,
}

/// The hashes of a model directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hashes {
    /// Every file of the model, configuration first, then the weights by name.
    pub files: Vec<FileHash>,
    /// SHA-256 over the weight files: that of the lines which `sha256sum` prints for them, sorted
    /// by name.
    pub weights: String,
    /// The same over all files of the model.
    pub all: String,
}

impl Hashes {
    pub(super) fn of(
        folder: &Path,
        texts: &[String],
        weights: &[String],
    ) -> Result<Self, ModelDirError> {
        let hash = |file: &String| hash_file(folder, file);
        let texts = texts.iter().map(hash).collect::<Result<Vec<_>, _>>()?;
        let weights = weights.iter().map(hash).collect::<Result<Vec<_>, _>>()?;
        let weights_hash = over(weights.iter());
        let all = over(texts.iter().chain(&weights));
        Ok(Self {
            files: [texts, weights].concat(),
            weights: weights_hash,
            all,
        })
    }
}

fn hash_file(folder: &Path, file: &str) -> Result<FileHash, ModelDirError> {
    let path = folder.join(file);
    let mut reader = File::open(&path).map_err(ModelDirError::io("open", &path))?;
    let mut hasher = Sha256::new();
    let bytes = io::copy(&mut reader, &mut hasher).map_err(ModelDirError::io("read", &path))?;
    Ok(FileHash {
        file: file.to_owned(),
        bytes,
        sha256: format!("{:x}", hasher.finalize()),
    })
}

fn over<'a>(files: impl Iterator<Item = &'a FileHash>) -> String {
    let mut files: Vec<&FileHash> = files.collect();
    files.sort_by(|left, right| left.file.cmp(&right.file));
    let mut hasher = Sha256::new();
    for file in files {
        hasher.update(format!("{}  {}\n", file.sha256, file.file));
    }
    format!("{:x}", hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_sha256sum() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), "abc").unwrap();
        std::fs::write(folder.path().join("b"), "").unwrap();
        let hashes = Hashes::of(folder.path(), &["a".to_owned()], &["b".to_owned()]).unwrap();
        assert_eq!(
            hashes.files[0].sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        );
        assert_eq!(
            hashes.files[1].sha256,
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        );
        assert_ne!(hashes.all, hashes.weights);
    }
}
