use std::path::PathBuf;

use fclm_core::fclm::FclmError;
use fclm_core::weights::WeightError;

use crate::data::folder::FolderError;
use crate::data::published::ReadError;
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
    /// Loss or gradient is not a number, in a run on rendered scenes.
    #[error(
        "step {step}: the loss or its gradient is not finite; nothing was updated. To blame: {} of \
         the run's stream; {pictures}",
        listed(scenes)
    )]
    NotFinite {
        /// Steps done before.
        step: u64,
        /// The scenes that are to blame, or all of the step, by their places in the run's stream.
        scenes: Vec<u64>,
        /// Where their pictures are, or why they are not there.
        pictures: String,
    },
    /// Loss or gradient is not a number, in a run on folders of pictures.
    #[error(
        "step {step}: the loss or its gradient is not finite; nothing was updated. To blame: \
         {pictures}"
    )]
    NotFinitePictures {
        /// Steps done before.
        step: u64,
        /// The pictures that are to blame, or all of the step.
        pictures: String,
    },
    /// A data set could not be opened or read.
    #[error("data set {name:?} cannot be read: {source}; --data NAME=DIR names another folder")]
    Data {
        /// Its name in the recipe.
        name: String,
        /// Why.
        source: Box<FolderError>,
    },
    /// A folder that is looked at could not be read.
    #[error(transparent)]
    Folder(Box<FolderError>),
    /// Too many records are broken.
    #[error(transparent)]
    Broken(#[from] ReadError),
    /// No picture has texts for the tasks of the recipe.
    #[error(
        "step {step}: nothing can be asked of any picture that was tried for stage {stage}; its \
         tasks need texts that the data sets do not have, or max_length is too small"
    )]
    NothingToAsk {
        /// Stage 1 or 2.
        stage: u8,
        /// Steps done before.
        step: u64,
    },
    /// The copies of the model on several devices are not the same any more.
    #[error("step {step}: the copies of the model on the devices differ; go on with --resume")]
    CopiesDiffer {
        /// Steps done before.
        step: u64,
    },
    /// A copy of the model cannot go on because another one has ended.
    #[error("another copy of the model has ended")]
    CopyEnded,
    /// The devices cannot be used together.
    #[error("{0}")]
    Devices(String),
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

/// The numbers of scenes in words.
fn listed(scenes: &[u64]) -> String {
    let numbers: Vec<String> = scenes.iter().map(u64::to_string).collect();
    match numbers.len() {
        1 => format!("scene {}", numbers[0]),
        _ => format!("scenes {}", numbers.join(", ")),
    }
}

impl TrainError {
    /// Wraps what the system said of a file.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
