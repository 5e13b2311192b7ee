use std::path::PathBuf;

use fclm_core::fclm::FclmError;
use fclm_core::weights::WeightError;

use crate::model_dir::ModelDirError;

/// Why a training run ends early.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// No such recipe, or it is not valid.
    #[error("{0}")]
    Recipe(String),
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A checkpoint does not belong to this model.
    #[error("{path}: {reason}")]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// The loss is not a number.
    #[error("step {step}: the loss is not finite; scenes {first}..{end} were in the batch")]
    NotFinite {
        /// Steps done before.
        step: u64,
        /// First scene index of the batch.
        first: u64,
        /// One past the last scene index.
        end: u64,
    },
    /// A worker thread is gone.
    #[error("a training worker stopped: {0}")]
    Worker(String),
    /// The tokenizer could not be trained.
    #[error("the tokenizer could not be trained: {0}")]
    Tokenizer(String),
    /// The model or its prompts.
    #[error(transparent)]
    Model(#[from] FclmError),
    /// Weights.
    #[error(transparent)]
    Weights(#[from] WeightError),
    /// A model directory could not be read or written.
    #[error(transparent)]
    ModelDir(#[from] ModelDirError),
}

impl TrainError {
    /// Wraps what the system said of a file.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
