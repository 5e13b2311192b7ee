use std::path::{Path, PathBuf};

use super::{ConvertOptions, input::Input};
use crate::data::{
    folder::{FolderError, PictureWriter},
    published::{Place, Position, Problems, ReadError, SinkError},
    record::PictureRecord,
};

/// Takes what readers give, and writes it.
#[derive(Debug)]
pub(super) struct Taker {
    writer: PictureWriter,
    /// Where pictures are copied from, outer folders first; none where they stay.
    roots: Option<Vec<PathBuf>>,
}

impl Taker {
    pub(super) fn new(writer: PictureWriter, options: &ConvertOptions) -> Result<Self, ReadError> {
        let roots = match options.copy {
            true => Some(absolute(options.images.iter().chain(&options.files))?),
            false => None,
        };
        Ok(Self { writer, roots })
    }

    /// The writer.
    pub(super) fn into_writer(self) -> PictureWriter {
        self.writer
    }

    /// How many pictures have been written.
    pub(super) fn count(&self) -> u64 {
        self.writer.count()
    }

    /// Writes the file of a picture that comes out of an archive, and returns its name for the
    /// record.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn save(
        &self,
        name: &str,
        bytes: &[u8],
        input: &Input,
    ) -> Result<String, FolderError> {
        match &input.prefix {
            Some(prefix) => self.writer.add_image(&format!("{prefix}/{name}"), bytes),
            None => self.writer.add_image(name, bytes),
        }
    }

    /// Writes a picture; one that cannot be written because of itself is reported.
    ///
    /// # Errors
    /// Where too much is broken, or the folder cannot be written.
    pub(super) fn take(
        &mut self,
        mut record: PictureRecord,
        input: &Input,
        problems: &mut Problems,
    ) -> Result<(), SinkError> {
        let place = Place::Member(format!("picture {}", record.id));
        let position = Position::new(&input.path, place);
        if let Some(prefix) = &input.prefix {
            record.id = format!("{prefix}/{}", record.id);
        }
        let image = PathBuf::from(&record.image);
        // What was saved before is named relative to the new folder; readers name the rest whole.
        if image.is_absolute() {
            if !image.is_file() {
                let message = format!("there is no file {}", image.display());
                problems.report(&position, &message)?;
                return Ok(());
            }
            if let Some(roots) = &self.roots {
                record.image = self.writer.copy_image(&name_below(roots, &image), &image)?;
            }
        }
        match self.writer.write(&record) {
            Err(FolderError::Record { source, .. }) => problems.report(&position, &source)?,
            written => written?,
        }
        Ok(())
    }
}

/// The folders as readers have them, outer ones first.
fn absolute<'a>(folders: impl Iterator<Item = &'a PathBuf>) -> Result<Vec<PathBuf>, ReadError> {
    let mut roots = folders
        .map(|folder| std::path::absolute(folder).map_err(ReadError::io("find", folder)))
        .collect::<Result<Vec<PathBuf>, ReadError>>()?;
    roots.sort_by_key(|root| root.components().count());
    Ok(roots)
}

/// What a picture is called below the folder that it is in: two pictures never get one name.
fn name_below(roots: &[PathBuf], image: &Path) -> String {
    let below = roots.iter().find_map(|root| image.strip_prefix(root).ok());
    let name = below.or(image.file_name().map(Path::new));
    name.unwrap_or(image).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outermost_folder_names_a_picture() {
        let folders = ["/coco/val2017", "/coco", "/photos"].map(PathBuf::from);
        let roots = absolute(folders.iter()).unwrap();
        let name = |image: &str| name_below(&roots, Path::new(image));
        assert_eq!(name("/coco/val2017/7.jpg"), "val2017/7.jpg");
        assert_eq!(name("/coco/7.jpg"), "7.jpg");
        assert_eq!(name("/photos/a/b.png"), "a/b.png");
        assert_eq!(name("/elsewhere/c.png"), "c.png");
    }
}
