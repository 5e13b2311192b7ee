//! What ends the reading of a data set.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{SinkError, pickle::PickleError};

/// A data set that could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file or folder could not be read or written.
    #[error("could not {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that is something else than the data set's layout has there.
    #[error("{}: {message}", path.display())]
    Layout {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        message: String,
    },
    /// A pickle that cannot be read.
    #[error("{}: {source}", path.display())]
    Pickle {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: PickleError,
    },
    /// More is broken than was allowed.
    #[error("more than {limit} records are broken; the last of them is {last}")]
    TooManyBroken {
        /// How many were allowed.
        limit: u64,
        /// The one that was too many, with its file and position.
        last: String,
    },
    /// Whoever takes the pictures will have no more.
    #[error("the pictures could not be taken any further: {0}")]
    Sink(#[source] SinkError),
}

impl ReadError {
    /// For `map_err`: what was tried with which file.
    pub(in crate::data) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// For `map_err`: why the sink takes no more. Where too much is broken, that is said as if a
    /// reader had found it.
    pub(super) fn of_sink(error: SinkError) -> Self {
        error
            .downcast()
            .map_or_else(Self::Sink, |too_much: Box<Self>| *too_much)
    }

    /// For `map_err`: which file is the pickle.
    pub(super) fn pickle(path: &Path) -> impl FnOnce(PickleError) -> Self {
        let path = path.to_owned();
        move |source| Self::Pickle { path, source }
    }

    /// A file of another layout.
    pub(in crate::data) fn layout(path: &Path, message: impl Into<String>) -> Self {
        Self::Layout {
            path: path.to_owned(),
            message: message.into(),
        }
    }
}
