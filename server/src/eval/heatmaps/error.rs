use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{data::folder::FolderError, predict::PredictError};

/// Why no heat maps could be drawn.
#[derive(Debug, thiserror::Error)]
pub enum HeatmapError {
    /// The folder to write already holds something.
    #[error("{} is not empty; choose a new folder for the heat maps", .0.display())]
    NotEmpty(PathBuf),
    /// The data set cannot be read.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The data set has nothing to draw.
    #[error("{} holds no region with a text and a mask", .0.display())]
    Empty(PathBuf),
    /// A picture is of another size than its masks.
    #[error("picture {picture} has {} x {} pixels but its record says {} x {}", found.0, found.1, said.0, said.1)]
    Size {
        /// The picture's id.
        picture: String,
        /// Its width and height.
        found: (u32, u32),
        /// What its record says.
        said: (u32, u32),
    },
    /// The model refused or failed, or a picture could not be opened.
    #[error("picture {picture}: {source}")]
    Predict {
        /// The picture's id.
        picture: String,
        /// What happened.
        source: PredictError,
    },
    /// A heat map could not be written as PNG.
    #[error("could not write the picture {}: {source}", path.display())]
    Png {
        /// The file.
        path: PathBuf,
        /// Why.
        source: image::ImageError,
    },
    /// A file or folder could not be read or written.
    #[error("could not {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl HeatmapError {
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
