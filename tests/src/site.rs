//! The built page with a worker that a test has changed.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::binary;

/// A copy of the built page whose worker runs a script before anything else.
///
/// # Panics
/// If there is no built page with a worker, or it cannot be copied.
pub fn with_worker_after(script: &str) -> TempDir {
    let copy = copied();
    let manifest = manifest(copy.path());
    let worker = manifest["extractor"]["worker"]
        .as_str()
        .expect("the page has a worker");
    let file = copy.path().join(worker.trim_start_matches('/'));
    let before = fs::read_to_string(&file).expect("the worker's script is read");
    fs::write(&file, format!("{script}\n{before}")).expect("the worker's script is written");
    let compressed = PathBuf::from(format!("{}.br", file.display()));
    if compressed.exists() {
        fs::remove_file(compressed).expect("the old script is removed");
    }
    copy
}

/// A copy of the built page.
///
/// # Panics
/// If there is none, or it cannot be copied.
pub fn copied() -> TempDir {
    let copy = tempfile::tempdir().expect("a folder for the page");
    copy_folder(&built(), copy.path());
    copy
}

/// What the page in a folder consists of.
///
/// # Panics
/// If there is no page.
pub fn manifest(site: &Path) -> Value {
    let manifest = fs::read(site.join("manifest.json")).expect("the page has a manifest");
    serde_json::from_slice(&manifest).expect("the manifest is JSON")
}

/// Where `cargo xtask build` has put the page.
pub fn built() -> PathBuf {
    if let Some(named) = env::var_os("FCLM_SITE") {
        return named.into();
    }
    let binary = binary::path();
    let folder = binary
        .ancestors()
        .nth(2)
        .expect("the binary is in the target directory");
    folder.join("site")
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder is made");
    let entries = fs::read_dir(from)
        .unwrap_or_else(|error| panic!("{} could not be read: {error}", from.display()));
    for entry in entries {
        let path = entry.expect("an entry is read").path();
        let name = path.file_name().expect("an entry has a name");
        if path.is_dir() {
            copy_folder(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).expect("a file is copied");
        }
    }
}
