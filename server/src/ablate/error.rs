use std::io;
use std::path::{Path, PathBuf};

use super::table::TABLES;
use super::variant::VARIANTS;
use crate::data::scenes::DatasetError;
use crate::eval::EvalError;
use crate::predict::PredictError;
use crate::train::TrainError;

/// Why the ablations stop.
#[derive(Debug, thiserror::Error)]
pub enum AblateError {
    /// A name that is neither a variant's nor a table's.
    #[error("{:?} is nothing to compare; there are the tables {} and the variants {}", .0, tables(), variants())]
    Unknown(String),
    /// The folder's results belong to another recipe or to other scenes.
    #[error(
        "{} was begun with another recipe or another number of scenes; its results cannot be \
         compared with these, so name another folder with --run",
        .0.display()
    )]
    Other(PathBuf),
    /// The folder has files and no ablations.
    #[error(
        "{} holds files and no ablations; name a new or empty folder with --run",
        .0.display()
    )]
    Foreign(PathBuf),
    /// A line of the results cannot be read.
    #[error("{}:{line} is no result: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// There is nothing to report yet.
    #[error("{} holds no result yet", .0.display())]
    Empty(PathBuf),
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Training failed.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The scenes to measure on could not be rendered.
    #[error(transparent)]
    Data(#[from] DatasetError),
    /// A trained model could not be opened.
    #[error(transparent)]
    Predict(#[from] PredictError),
    /// Measuring failed.
    #[error(transparent)]
    Eval(#[from] EvalError),
}

impl AblateError {
    /// Wraps what the system said of a file.
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

fn tables() -> String {
    TABLES.map(|table| table.name).join(", ")
}

fn variants() -> String {
    VARIANTS.map(|variant| variant.name).join(", ")
}
