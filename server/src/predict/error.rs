use std::path::PathBuf;

use crate::{api::AppError, engine::BackendError, model_dir::ModelDirError};

/// Why nothing could be predicted.
#[derive(Debug, thiserror::Error)]
pub enum PredictError {
    /// There is no usable model.
    #[error(transparent)]
    Model(#[from] ModelDirError),
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is no picture that can be opened.
    #[error("{}: {source}", path.display())]
    Picture {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: AppError,
    },
    /// A file is no mask of the picture.
    #[error("{}: {reason}", path.display())]
    Mask {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// A box does not fit the picture.
    #[error("the box cannot be used: {0}")]
    Box(String),
    /// A text is empty or too long.
    #[error("{0}")]
    Text(String),
    /// The model refused or failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

impl PredictError {
    /// Whether the model was asked for what it cannot do, rather than having failed.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Backend(BackendError::Refused { .. }))
    }
}
