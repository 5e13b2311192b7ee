//! What can be wrong with a folder of pictures.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::data::{
    published::{Position, ReadError},
    record::{PICTURES_FILE, RecordError},
    scenes::{LineError, SCENES_FILE},
};

/// A folder of pictures that could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The folder to write already holds something.
    #[error("{} is not empty; choose a new folder for the data set", .0.display())]
    NotEmpty(PathBuf),
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
    /// There is no folder.
    #[error("there is no folder {}", .0.display())]
    Missing(PathBuf),
    /// A file stands where a folder is wanted.
    #[error("{} is a file; a folder is wanted", .0.display())]
    File(PathBuf),
    /// The folder is none of our format.
    #[error("{} holds neither {} nor {}", .0.display(), PICTURES_FILE, SCENES_FILE)]
    NoData(PathBuf),
    /// The file has no line.
    #[error("{} holds no picture", .0.display())]
    Empty(PathBuf),
    /// A place past the end.
    #[error("there is no picture {place} in {}, which holds {count}", path.display())]
    NoPicture {
        /// The file.
        path: PathBuf,
        /// The place asked for, from 0.
        place: usize,
        /// How many pictures there are.
        count: usize,
    },
    /// A line is no picture.
    #[error("{position}: {source}")]
    Line {
        /// The file and the line.
        position: Position,
        /// What is wrong with the line.
        source: Box<FolderLineError>,
    },
    /// A picture whose parts do not fit each other was to be written.
    #[error("picture {id}: {source}")]
    Record {
        /// The picture's id.
        id: String,
        /// What does not fit.
        source: RecordError,
    },
    /// A picture's file was to get a name that is no path within the folder.
    #[error("{0:?} is no name for a picture's file within the folder")]
    Name(String),
    /// More lines are broken than was allowed.
    #[error(transparent)]
    TooManyBroken(#[from] ReadError),
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum FolderLineError {
    /// It is no picture.
    #[error(transparent)]
    Picture(#[from] RecordError),
    /// It is no scene.
    #[error(transparent)]
    Scene(#[from] LineError),
    /// It is no text.
    #[error("it is not UTF-8: {0}")]
    Text(#[from] std::str::Utf8Error),
    /// It is longer than any picture's line.
    #[error("it has {0} bytes, which is too long for a picture")]
    TooLong(u64),
}

impl FolderError {
    /// Makes sure that a folder is there.
    ///
    /// # Errors
    /// Where there is none, or the system does not tell.
    pub(crate) fn unless_folder(dir: &Path) -> Result<(), Self> {
        match dir.metadata() {
            Ok(there) if there.is_dir() => Ok(()),
            Ok(_) => Err(Self::File(dir.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Self::Missing(dir.to_owned()))
            }
            Err(error) => Err(Self::io("open", dir)(error)),
        }
    }

    /// For `map_err`: what was tried with which file or folder.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
