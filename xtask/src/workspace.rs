//! Where things are: the repository, cargo's target directory, what is built there.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// The repository and cargo's target directory.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Asks cargo, so that `CARGO_TARGET_DIR` and cargo's configuration files are respected.
    pub(crate) fn find() -> Result<Self> {
        let manifest_dir =
            std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or(env!("CARGO_MANIFEST_DIR").into());
        let text = process::read(
            Command::new(cargo_program())
                .args(["metadata", "--format-version", "1", "--no-deps"])
                .current_dir(&manifest_dir),
        )?;
        let metadata: serde_json::Value =
            serde_json::from_str(&text).context("`cargo metadata` did not write JSON")?;
        let directory = |key: &str| {
            metadata[key]
                .as_str()
                .map(PathBuf::from)
                .with_context(|| format!("`cargo metadata` did not name its {key}"))
        };
        Ok(Self {
            root: directory("workspace_root")?,
            target: directory("target_directory")?,
        })
    }

    /// The repository's root.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo's target directory.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// The built page: beside the directory of the `fclm` binary, where the server looks for it.
    pub(crate) fn site(&self) -> PathBuf {
        self.target.join("site")
    }

    /// The built `fclm` binary.
    pub(crate) fn fclm(&self) -> PathBuf {
        let name = format!("fclm{}", std::env::consts::EXE_SUFFIX);
        self.target.join("release").join(name)
    }

    /// A cargo command that runs in the repository's root.
    pub(crate) fn cargo<I, S>(&self, arguments: I) -> Command
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut command = Command::new(cargo_program());
        command.args(arguments).current_dir(&self.root);
        // `cargo run` sets these for us; passed on, they would make build scripts that watch them
        // run again each time a build is started in another way.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                command.env_remove(&name);
            }
        }
        command
    }
}

fn cargo_program() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
