//! A folder that a test works in.

use std::fs;
use std::path::{Path, PathBuf};

use image::{GrayImage, Luma, RgbImage};
use tempfile::TempDir;

/// A folder with one good picture, `good.png` of 96 by 64 pixels, and whatever a test adds.
#[derive(Debug)]
pub struct Desk {
    folder: TempDir,
}

impl Desk {
    /// A new one.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn with_picture() -> Self {
        let desk = Self {
            folder: tempfile::tempdir().expect("a folder to work in"),
        };
        let picture = RgbImage::from_fn(96, 64, |x, y| image::Rgb([x as u8, y as u8, 80]));
        let good = desk.path("good.png");
        picture.save(good).expect("the picture is written");
        desk
    }

    /// Where something of that name is in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).expect("the file is written");
        path
    }

    /// Writes a mask that is the same everywhere.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn mask(&self, name: &str, width: u32, height: u32, value: u8) -> PathBuf {
        let path = self.path(name);
        let mask = GrayImage::from_pixel(width, height, Luma([value]));
        mask.save(&path).expect("the mask is written");
        path
    }
}

/// A path as an argument of a command.
///
/// # Panics
/// If it is not UTF-8.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("test paths are UTF-8")
}
