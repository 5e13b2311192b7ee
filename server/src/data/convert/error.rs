use std::path::PathBuf;

use super::source::Source;
use crate::data::{folder::FolderError, published::ReadError};

/// A data set that could not be converted.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// Nobody said where the pictures are.
    #[error("{0} needs --images, the folder in which its pictures are")]
    NoImages(Source),
    /// The folder that was said to hold the pictures is not there.
    #[error("there is no folder {}; --images names the folder in which the pictures are", .0.display())]
    NoImagesFolder(PathBuf),
    /// Somebody said where pictures are that come with the data set.
    #[error("{0} comes with its pictures; leave out --images")]
    ImagesWithin(Source),
    /// A split of what has none.
    #[error("a file of {0} is one split; leave out --split")]
    NoSplits(Source),
    /// The splits of a folder are apart, so one has to be named.
    #[error("reasonseg needs --split, one of the folder's: train, val or test")]
    NoSplit,
    /// More or fewer files than can be read together.
    #[error("{0} wants its folder{files}", files = match .0 {
        Source::ReasonSeg => ", the one that holds train, val and test",
        _ => ", or its references and instances.json",
    })]
    Files(Source),
    /// A folder where the data set has a file.
    #[error("{} is a folder; {source_name} wants a file, such as {example}", path.display())]
    FolderForFile {
        /// The folder.
        path: PathBuf,
        /// The data set.
        source_name: Source,
        /// A name that would do.
        example: &'static str,
    },
    /// A file where the data set has a folder.
    #[error("{} is a file; {source_name} wants a folder: {wanted}", path.display())]
    FileForFolder {
        /// The file.
        path: PathBuf,
        /// The data set.
        source_name: Source,
        /// Which folder.
        wanted: &'static str,
    },
    /// A file whose name says nothing of its layout.
    #[error(
        "{}: what is in a file of {source_name} is told by its name, such as {example}",
        path.display()
    )]
    UnknownName {
        /// The file.
        path: PathBuf,
        /// The data set.
        source_name: Source,
        /// A name that would do.
        example: &'static str,
    },
    /// Two files with one name, so that ids could not be told apart.
    #[error("two of the files are called {0}; convert them one by one")]
    SameName(String),
    /// Nothing could be used.
    #[error("no picture of {source_name} could be used{because}")]
    Nothing {
        /// The data set.
        source_name: Source,
        /// What was wrong first, with what joins it to the sentence; nothing where nothing was.
        because: String,
    },
    /// The data set could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The new folder could not be written.
    #[error(transparent)]
    Write(#[from] FolderError),
}
