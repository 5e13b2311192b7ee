use std::path::{Path, PathBuf};

use fclm_core::{fclm::FclmError, qwen::ConfigError, weights::WeightError};
use pytorch_reader::PytorchError;

/// Why a model directory or a checkpoint could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ModelDirError {
    /// The operating system refused.
    #[error("cannot {what} {path}: {source}", path = path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file is not what its place in the directory asks for.
    #[error("{path}: {reason}", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The weights of a checkpoint do not form a model.
    #[error("{path}: {source}", path = path.display())]
    Weights {
        /// The file or directory.
        path: PathBuf,
        /// What does not fit.
        source: Box<WeightError>,
    },
    /// A `.pth` file could not be read.
    #[error("{path}: {source}", path = path.display())]
    Pytorch {
        /// The file.
        path: PathBuf,
        /// The reader's error.
        source: Box<PytorchError>,
    },
    /// FCLM's own configuration or tokenizer is wrong.
    #[error("{path}: {source}", path = path.display())]
    Model {
        /// The directory.
        path: PathBuf,
        /// What is wrong.
        source: Box<FclmError>,
    },
    /// A Qwen2.5-VL configuration is wrong.
    #[error("{path}: {source}", path = path.display())]
    Qwen {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<ConfigError>,
    },
    /// The directory to write is there already.
    #[error("{path} exists already; name a directory that does not", path = path.display())]
    Exists {
        /// The directory.
        path: PathBuf,
    },
}

impl ModelDirError {
    pub(super) fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }

    pub(super) fn content(path: &Path, reason: impl Into<String>) -> Self {
        Self::Content {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }

    pub(super) fn weights(path: &Path) -> impl FnOnce(WeightError) -> Self {
        let path = path.to_owned();
        move |source| Self::Weights {
            path,
            source: Box::new(source),
        }
    }

    pub(super) fn model(path: &Path) -> impl FnOnce(FclmError) -> Self {
        let path = path.to_owned();
        move |source| Self::Model {
            path,
            source: Box::new(source),
        }
    }
}
