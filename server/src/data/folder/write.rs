use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Component, Path, PathBuf},
};

use super::error::FolderError;
use crate::{
    data::record::{PICTURES_FILE, PictureRecord},
    disk::{StagingFolder, is_vacant},
};

/// The folder within a data set for the files of its pictures.
pub const IMAGES_DIR: &str = "images";

/// Writes a new folder of pictures, which appears only when it is complete.
#[derive(Debug)]
pub struct PictureWriter {
    out: PathBuf,
    staging: StagingFolder,
    path: PathBuf,
    file: BufWriter<File>,
    count: u64,
}

impl PictureWriter {
    /// Begins a folder at a place that is new or empty.
    ///
    /// # Errors
    /// Where something is there already, or the file system refuses.
    pub fn create(out: &Path) -> Result<Self, FolderError> {
        if !is_vacant(out).map_err(FolderError::io("read", out))? {
            return Err(FolderError::NotEmpty(out.to_owned()));
        }
        let staging = StagingFolder::new(out).map_err(FolderError::io("create", out))?;
        let path = staging.path().join(PICTURES_FILE);
        let file = File::create(&path).map_err(FolderError::io("create", &path))?;
        Ok(Self {
            out: out.to_owned(),
            staging,
            path,
            file: BufWriter::with_capacity(1 << 20, file),
            count: 0,
        })
    }

    /// How many pictures have been written.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Checks a picture and adds its line.
    ///
    /// # Errors
    /// [`FolderError::Record`] where its parts do not fit each other; nothing is written then.
    pub fn write(&mut self, record: &PictureRecord) -> Result<(), FolderError> {
        record.check().map_err(|source| FolderError::Record {
            id: record.id.clone(),
            source,
        })?;
        serde_json::to_writer(&mut self.file, record)
            .map_err(io::Error::from)
            .and_then(|()| self.file.write_all(b"\n"))
            .map_err(FolderError::io("write", &self.path))?;
        self.count += 1;
        Ok(())
    }

    /// Writes the file of a picture into [`IMAGES_DIR`] and returns its name for the record, which
    /// is not the one asked for where another file has that.
    ///
    /// # Errors
    /// Where the name is no path within the folder, or the file system refuses.
    pub fn add_image(&self, name: &str, bytes: &[u8]) -> Result<String, FolderError> {
        let mut free = name.to_owned();
        let mut tries = 1;
        while self.place(&free)?.1.exists() {
            tries += 1;
            free = match name.rsplit_once('.') {
                Some((stem, ending)) => format!("{stem}-{tries}.{ending}"),
                None => format!("{name}-{tries}"),
            };
        }
        let (image, path) = self.place(&free)?;
        fs::write(&path, bytes).map_err(FolderError::io("write", &path))?;
        Ok(image)
    }

    /// Copies the file of a picture into [`IMAGES_DIR`] and returns its name for the record. A name
    /// stands for one file: where it has been copied already, that is not done again.
    ///
    /// # Errors
    /// As [`PictureWriter::add_image`], and where the file cannot be read.
    pub fn copy_image(&self, name: &str, from: &Path) -> Result<String, FolderError> {
        let (image, path) = self.place(name)?;
        if !path.exists() {
            // Opened first, so that an error names the one of the two files that it is about.
            File::open(from).map_err(FolderError::io("open", from))?;
            fs::copy(from, &path).map_err(FolderError::io("write", &path))?;
        }
        Ok(image)
    }

    /// The name of a picture's file for its record, and where the file goes; the folders above it
    /// are made.
    fn place(&self, name: &str) -> Result<(String, PathBuf), FolderError> {
        let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
        if name.is_empty() || !Path::new(name).components().all(is_plain) {
            return Err(FolderError::Name(name.to_owned()));
        }
        let image = format!("{IMAGES_DIR}/{name}");
        let path = self.staging.path().join(&image);
        let folder = path.parent().unwrap_or(&path);
        fs::create_dir_all(folder).map_err(FolderError::io("create", folder))?;
        Ok((image, path))
    }

    /// Puts the folder into its place and returns how many pictures it holds.
    ///
    /// # Errors
    /// Where it holds none, or the file system refuses.
    pub fn finish(self) -> Result<u64, FolderError> {
        let Self {
            out,
            staging,
            path,
            file,
            count,
        } = self;
        if count == 0 {
            return Err(FolderError::Empty(out));
        }
        file.into_inner()
            .map_err(io::IntoInnerError::into_error)
            .and_then(|file| file.sync_all())
            .map_err(FolderError::io("write", &path))?;
        fs::rename(staging.path(), &out).map_err(FolderError::io("create", &out))?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::PictureFolder, *};
    use crate::data::record::ExpressionRecord;

    fn record(id: &str, image: &str) -> PictureRecord {
        PictureRecord {
            id: id.to_owned(),
            image: image.to_owned(),
            width: 4,
            height: 3,
            ..PictureRecord::default()
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("set");
        let mut writer = PictureWriter::create(&dir).unwrap();
        let image = writer.add_image("a/7.jpg", b"seven").unwrap();
        assert_eq!(image, "images/a/7.jpg");
        writer.write(&record("7", &image)).unwrap();
        let copy = writer
            .copy_image("b.jpg", &writer.staging.path().join(&image))
            .unwrap();
        writer.write(&record("8", &copy)).unwrap();
        let second = writer.add_image("a/7.jpg", b"another").unwrap();
        assert_eq!(second, "images/a/7-2.jpg");
        assert!(!dir.exists(), "it appears only when it is complete");
        assert_eq!(writer.finish().unwrap(), 2);

        let folder = PictureFolder::open(&dir).unwrap();
        let read: Vec<PictureRecord> = (0..2).map(|place| folder.record(place).unwrap()).collect();
        assert_eq!(
            read,
            [record("7", "images/a/7.jpg"), record("8", "images/b.jpg")]
        );
        assert_eq!(fs::read(folder.image_path(&read[1])).unwrap(), b"seven");
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
        let again = PictureWriter::create(&dir).unwrap_err();
        assert!(matches!(again, FolderError::NotEmpty(_)), "{again}");
    }

    #[test]
    fn what_a_killed_process_left_beside_the_place_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("set");
        let left = crate::disk::beside(&dir, "partial").unwrap();
        fs::create_dir(&left).unwrap();
        fs::write(left.join(PICTURES_FILE), "{").unwrap();
        let first = PictureWriter::create(&dir).unwrap();
        assert!(!left.exists());
        // What somebody is still writing stays.
        let second = PictureWriter::create(&dir).unwrap();
        assert!(first.staging.path().exists() && second.staging.path().exists());
    }

    #[test]
    fn what_does_not_fit_is_not_written() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("set");
        let mut writer = PictureWriter::create(&dir).unwrap();
        let mut wrong = record("7", "7.jpg");
        wrong.expressions.push(ExpressionRecord {
            text: "the cup".to_owned(),
            kind: crate::data::record::ExpressionKind::Short,
            targets: vec![0],
            answer: None,
            is_sentence: None,
        });
        let refused = writer.write(&wrong).unwrap_err().to_string();
        assert!(
            refused.contains("picture 7: region 0 is named"),
            "{refused}"
        );
        for name in ["", "../7.jpg", "/7.jpg"] {
            let refused = writer.add_image(name, b"").unwrap_err();
            assert!(matches!(refused, FolderError::Name(_)), "{refused}");
        }
        let missing = writer.copy_image("7.jpg", Path::new("/no/such.jpg"));
        let missing = missing.unwrap_err().to_string();
        assert!(missing.contains("could not open /no/such.jpg"), "{missing}");
        assert_eq!(writer.count(), 0);
        let empty = writer.finish().unwrap_err();
        assert!(matches!(empty, FolderError::Empty(_)), "{empty}");
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
