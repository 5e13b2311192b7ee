//! Where the pictures of a data set lie.

use std::path::{Component, Path, PathBuf};

use super::ReadError;

/// The folders that hold a data set's pictures.
///
/// Some data sets mix pictures of several folders, such as LVIS, whose validation set is made of
/// COCO's `train2017` and `val2017`; then each picture is looked for in one folder after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pictures {
    folders: Vec<PathBuf>,
}

/// A picture that cannot be found by its name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PictureNameError {
    /// The name is empty, absolute or leads out of the folder.
    #[error("the picture's name {0:?} is no path within its folder")]
    NoName(String),
    /// No folder has such a file.
    #[error("the picture {0:?} is in none of the folders")]
    Missing(String),
    /// The folder has a name that cannot be written down.
    #[error("the path of the picture {0:?} is not UTF-8")]
    NotText(String),
}

impl Pictures {
    /// Takes the folders in the order in which they are searched. Where there is only one, its
    /// pictures are not looked for before they are used.
    ///
    /// # Errors
    /// Where a folder's absolute path cannot be told.
    pub fn new(folders: &[PathBuf]) -> Result<Self, ReadError> {
        let folders = folders
            .iter()
            .map(|folder| std::path::absolute(folder).map_err(ReadError::io("find", folder)))
            .collect::<Result<_, _>>()?;
        Ok(Self { folders })
    }

    /// The absolute path of a picture, as records have it.
    ///
    /// # Errors
    /// Where the name is no path within a folder, or the picture is in none of several folders.
    pub(super) fn path(&self, name: &str) -> Result<String, PictureNameError> {
        let relative = Path::new(name);
        let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        if name.is_empty() || !relative.components().all(inside) {
            return Err(PictureNameError::NoName(name.to_owned()));
        }
        let path = match self.folders.as_slice() {
            [only] => Some(only.join(relative)),
            folders => folders
                .iter()
                .map(|folder| folder.join(relative))
                .find(|path| path.is_file()),
        };
        path.ok_or_else(|| PictureNameError::Missing(name.to_owned()))?
            .into_os_string()
            .into_string()
            .map_err(|_| PictureNameError::NotText(name.to_owned()))
    }
}

/// The name of a picture that is known by its address only: what follows the last slash.
pub(super) fn name_of_url(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn one_folder_is_taken_at_its_word() {
        let pictures = Pictures::new(&[PathBuf::from("/coco")]).unwrap();
        let path = pictures.path("train2017/7.jpg").unwrap();
        assert_eq!(path, "/coco/train2017/7.jpg");
        for bad in ["", "../7.jpg", "/etc/passwd", "a/../../7.jpg"] {
            assert_eq!(
                pictures.path(bad),
                Err(PictureNameError::NoName(bad.to_owned()))
            );
        }
    }

    #[test]
    fn folders_become_absolute() {
        let pictures = Pictures::new(&[PathBuf::from("coco")]).unwrap();
        assert!(Path::new(&pictures.path("7.jpg").unwrap()).is_absolute());
    }

    #[test]
    fn the_first_folder_that_has_the_picture_is_taken() {
        let parent = tempfile::tempdir().unwrap();
        let folders = ["train2017", "val2017"].map(|name| parent.path().join(name));
        for folder in &folders {
            fs::create_dir(folder).unwrap();
        }
        fs::write(folders[1].join("7.jpg"), "").unwrap();
        let pictures = Pictures::new(&folders).unwrap();
        assert!(pictures.path("7.jpg").unwrap().ends_with("val2017/7.jpg"));
        fs::write(folders[0].join("7.jpg"), "").unwrap();
        assert!(pictures.path("7.jpg").unwrap().ends_with("train2017/7.jpg"));
        assert_eq!(
            pictures.path("8.jpg"),
            Err(PictureNameError::Missing("8.jpg".to_owned()))
        );
    }

    #[test]
    fn addresses_end_in_the_name() {
        let url = "http://images.cocodataset.org/train2017/000000391895.jpg";
        assert_eq!(name_of_url(url), "000000391895.jpg");
        assert_eq!(name_of_url("7.jpg"), "7.jpg");
    }
}
