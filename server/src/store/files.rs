use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::{StoreError, StoredFormat};
use crate::disk;

/// Image bytes as files named by their SHA-256. A file that has its final name is whole.
#[derive(Debug)]
pub(super) struct ImageFiles {
    dir: PathBuf,
    /// Keeps a new reference to a file and the removal of its last one apart.
    pub(super) guard: tokio::sync::Mutex<()>,
}

impl ImageFiles {
    /// Opens the folder and removes what a killed process left unfinished.
    pub(super) fn open(dir: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(dir).map_err(|e| StoreError::io("create", dir, e))?;
        disk::remove_unfinished(dir).map_err(|e| StoreError::io("clean up", dir, e))?;
        Ok(Self {
            dir: dir.to_path_buf(),
            guard: tokio::sync::Mutex::new(()),
        })
    }

    pub(super) fn path(&self, sha256: &str, format: StoredFormat) -> PathBuf {
        self.dir.join(format!("{sha256}.{}", format.extension()))
    }

    /// Blocks; call it where blocking is allowed.
    pub(super) fn remove(&self, sha256: &str, format: StoredFormat) -> Result<(), StoreError> {
        let path = self.path(sha256, format);
        match fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(StoreError::io("remove", &path, e)),
        }
    }

    /// Names of all files, as `(sha256, format)`.
    pub(super) fn list(&self) -> Result<Vec<(String, StoredFormat)>, StoreError> {
        let error = |e| StoreError::io("list", &self.dir, e);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(error)? {
            let name = entry.map_err(error)?.file_name();
            let Some((stem, extension)) = name.to_str().and_then(|n| n.rsplit_once('.')) else {
                continue;
            };
            if let Some(format) = StoredFormat::from_extension(extension) {
                names.push((stem.to_owned(), format));
            }
        }
        Ok(names)
    }
}

/// Writes a file whose name says its content; one that is there and as long is that content.
pub(super) fn write_content(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    if path.metadata().is_ok_and(|m| m.len() == bytes.len() as u64) {
        return Ok(());
    }
    disk::write_whole(path, |file| file.write_all(bytes))
        .map_err(|e| StoreError::io("write", path, e))
}
