use std::path::PathBuf;

use crate::{
    data::scenes::{DatasetError, RecordId},
    predict::PredictError,
};

/// Why a measurement gives no figures.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// The data set cannot be read.
    #[error(transparent)]
    Data(#[from] DatasetError),
    /// The data set holds nothing that the task asks about.
    #[error("{} holds no scene that {task} could ask about", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
        /// The task's name.
        task: &'static str,
    },
    /// A scene's picture is of another size than its masks.
    #[error("{} has {} x {} pixels but its scene says {} x {}", path.display(), found.0, found.1, said.0, said.1)]
    PictureSize {
        /// The picture.
        path: PathBuf,
        /// Its width and height.
        found: (u32, u32),
        /// What its scene says.
        said: (u32, u32),
    },
    /// The model refused or failed, or a picture could not be opened.
    #[error("scene {scene}: {source}")]
    Predict {
        /// The scene's id.
        scene: RecordId,
        /// What happened.
        source: PredictError,
    },
    /// The system gives no threads.
    #[error("the system gives no threads: {0}")]
    Threads(String),
}
