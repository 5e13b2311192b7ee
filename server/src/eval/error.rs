use std::path::PathBuf;

use fclm_core::mask::MaskError;

use super::{
    dlc::DlcError,
    text::{meteor::MeteorError, sentence::SentenceError},
};
use crate::{
    chat_client::ChatError,
    data::{
        folder::FolderError,
        published::{Problem, ReadError},
        scenes::DatasetError,
    },
    predict::PredictError,
};

/// Why a measurement gives no figures.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// The scenes cannot be read.
    #[error(transparent)]
    Data(#[from] DatasetError),
    /// The pictures cannot be read.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// DLC-Bench cannot be read.
    #[error(transparent)]
    Bench(#[from] DlcError),
    /// The data set holds nothing that the task asks about.
    #[error("{} holds nothing that {task} could ask about", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
        /// The task's name.
        task: &'static str,
    },
    /// The task needs more than a folder of pictures says.
    #[error(
        "{task} asks about {wanted}, and {} holds neither; name another folder",
        path.display()
    )]
    Unsuited {
        /// The folder.
        path: PathBuf,
        /// The task's name.
        task: &'static str,
        /// Two kinds of data that the task can be measured on.
        wanted: &'static str,
    },
    /// Every picture is broken.
    #[error(
        "{} holds nothing that {task} could ask about: all of its {count} pictures are broken, the \
         first of them {first}",
        path.display()
    )]
    AllBroken {
        /// The folder.
        path: PathBuf,
        /// The task's name.
        task: &'static str,
        /// How many.
        count: usize,
        /// The first one, with file and position.
        first: String,
    },
    /// A picture is broken, or what is written of it.
    #[error("{0}")]
    Broken(Box<Problem>),
    /// More pictures are broken than was allowed.
    #[error(transparent)]
    TooManyBroken(#[from] ReadError),
    /// The model refused or failed, or a picture could not be opened.
    #[error("picture {picture}: {source}")]
    Predict {
        /// The picture's id.
        picture: String,
        /// What happened.
        source: PredictError,
    },
    /// The system gives no threads.
    #[error("the system gives no threads: {0}")]
    Threads(String),
    /// A file of samples or a report could not be read or written.
    #[error("could not {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Samples are there already.
    #[error("{} is there already; add --resume to go on with it, or choose another --out", .0.display())]
    AlreadyThere(PathBuf),
    /// Another process writes the samples.
    #[error("{} is being written by another fclm eval; wait for it, or choose another --out", .0.display())]
    InUse(PathBuf),
    /// Samples are there of something else.
    #[error(
        "{} holds samples of another {what} ({there}, not {here}); choose another --out",
        path.display()
    )]
    OtherRun {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// What the samples are of.
        there: String,
        /// What they should be of.
        here: String,
    },
    /// Samples are there of another version of the program, which may mean something else by them.
    #[error(
        "{} holds samples of another version of fclm (format {there}; this one reads {here}); \
         measure again with another --out, or remove the file",
        path.display()
    )]
    OtherFormat {
        /// The file.
        path: PathBuf,
        /// The format of its samples.
        there: u32,
        /// The one that is read.
        here: u32,
    },
    /// A line of samples cannot be used.
    #[error("line {line} of {} is damaged ({reason}); remove it, and it is asked again", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A picture's samples are not those of the task.
    #[error("the samples of picture {picture} cannot be used: {reason}")]
    Sample {
        /// The picture's id.
        picture: String,
        /// What is wrong with them.
        reason: String,
    },
    /// A folder without samples.
    #[error("{} holds no samples of fclm eval; name the folder that --out has named", .0.display())]
    NoSamples(PathBuf),
    /// A report is none.
    #[error("{} is no report of fclm eval: {source}; remove it, and it is written anew", path.display())]
    Report {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Masks that belong together have different sizes.
    #[error("masks cannot be compared: {0}")]
    Mask(#[from] MaskError),
    /// Texts could not be turned into vectors.
    #[error(transparent)]
    Sentence(#[from] SentenceError),
    /// The METEOR jar gave no figures.
    #[error(transparent)]
    Meteor(#[from] MeteorError),
    /// The judge gave no answer.
    #[error("the judge gave no answer: {0}")]
    Judge(#[from] ChatError),
}

impl EvalError {
    /// Whether nothing went wrong but that the data set holds nothing that the task asks about.
    pub fn is_nothing_to_ask(&self) -> bool {
        matches!(self, Self::Empty { .. } | Self::Unsuited { .. })
    }

    /// For `map_err`: what was tried with which file or folder.
    pub(super) fn io(
        action: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
