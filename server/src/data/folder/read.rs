use std::{
    fs::File,
    io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::error::{FolderError, FolderLineError};
use crate::data::{
    published::{Place, Position, Problems},
    record::{PICTURES_FILE, PictureRecord},
    scenes::{SCENES_FILE, SceneRecord},
};

/// Bytes that are read at once where lines are counted.
const CHUNK: usize = 1 << 18;
/// Longest line; a file with a longer one has another layout.
const MAX_LINE: u64 = 1 << 28;

/// A folder of pictures, read line by line; may be shared among threads.
#[derive(Debug)]
pub struct PictureFolder {
    dir: PathBuf,
    path: PathBuf,
    layout: Layout,
    file: Mutex<File>,
    /// Where each line that is not blank begins.
    starts: Vec<u64>,
    /// Length of the file.
    end: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Pictures,
    Scenes,
}

impl PictureFolder {
    /// Opens a folder and finds its lines, without reading what they say.
    ///
    /// # Errors
    /// Where there is no folder, neither `pictures.jsonl` nor `scenes.jsonl` in it, or no line there.
    pub fn open(dir: &Path) -> Result<Self, FolderError> {
        for (name, layout) in [
            (PICTURES_FILE, Layout::Pictures),
            (SCENES_FILE, Layout::Scenes),
        ] {
            let path = dir.join(name);
            match File::open(&path) {
                Ok(file) => return Self::index(dir, path, layout, file),
                Err(error)
                    if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
                Err(error) => return Err(FolderError::io("open", &path)(error)),
            }
        }
        FolderError::unless_folder(dir)?;
        Err(FolderError::NoData(dir.to_owned()))
    }

    fn index(dir: &Path, path: PathBuf, layout: Layout, file: File) -> Result<Self, FolderError> {
        let (starts, end) = find_lines(&file).map_err(FolderError::io("read", &path))?;
        if starts.is_empty() {
            return Err(FolderError::Empty(path));
        }
        Ok(Self {
            dir: dir.to_owned(),
            path,
            layout,
            file: Mutex::new(file),
            starts,
            end,
        })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The file with its lines.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many pictures there are, broken ones included.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there is none; never so of a folder that could be opened.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Where the file of a picture is.
    pub fn image_path(&self, record: &PictureRecord) -> PathBuf {
        self.dir.join(&record.image)
    }

    /// Reads and checks a picture by its place, from 0.
    ///
    /// # Errors
    /// [`FolderError::Line`] where the line is no picture; others where there is no such place or
    /// the file cannot be read.
    pub fn record(&self, place: usize) -> Result<PictureRecord, FolderError> {
        let start = self.start(place)?;
        let end = self.starts.get(place + 1).copied().unwrap_or(self.end);
        let length = end.saturating_sub(start);
        if length > MAX_LINE {
            return Err(self.broken(start, FolderLineError::TooLong(length)));
        }
        let mut line = vec![0; length as usize];
        self.read_at(start, &mut line)
            .map_err(FolderError::io("read", &self.path))?;
        self.parse(&line)
            .map_err(|source| self.broken(start, source))
    }

    /// Where what is written of a picture is, by the picture's place, from 0.
    ///
    /// # Errors
    /// Where there is no such place or the file cannot be read.
    pub fn position(&self, place: usize) -> Result<Position, FolderError> {
        let start = self.start(place)?;
        let line = self
            .line_at(start)
            .map_err(FolderError::io("read", &self.path))?;
        Ok(Position::new(&self.path, Place::Line(line)))
    }

    /// The pictures in the order of the file. Lines that are broken are told to `problems` and left
    /// out, until they are too many.
    pub fn records(
        &self,
        problems: &mut Problems,
    ) -> impl Iterator<Item = Result<PictureRecord, FolderError>> {
        (0..self.len()).filter_map(move |place| match self.record(place) {
            Err(FolderError::Line { position, source }) => {
                let ended = problems.report(&position, &source).err()?;
                Some(Err(ended.into()))
            }
            read => Some(read),
        })
    }

    fn start(&self, place: usize) -> Result<u64, FolderError> {
        let start = self.starts.get(place).copied();
        start.ok_or_else(|| FolderError::NoPicture {
            path: self.path.clone(),
            place,
            count: self.len(),
        })
    }

    fn parse(&self, line: &[u8]) -> Result<PictureRecord, FolderLineError> {
        let line = std::str::from_utf8(line)?;
        match self.layout {
            Layout::Pictures => Ok(PictureRecord::from_line(line)?),
            Layout::Scenes => {
                let (scene, _) = SceneRecord::from_line(line)?;
                let record = PictureRecord::from(scene);
                record.check()?;
                Ok(record)
            }
        }
    }

    fn read_at(&self, start: u64, bytes: &mut [u8]) -> io::Result<()> {
        let mut file = self.file();
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(bytes)
    }

    fn broken(&self, start: u64, source: FolderLineError) -> FolderError {
        match self.line_at(start) {
            Ok(line) => FolderError::Line {
                position: Position::new(&self.path, Place::Line(line)),
                source: Box::new(source),
            },
            Err(error) => FolderError::io("read", &self.path)(error),
        }
    }

    /// The number of the line that begins there, from 1. Blank lines count, so it is found by
    /// reading what comes before: numbers of all lines would take memory for what is rarely asked.
    fn line_at(&self, start: u64) -> io::Result<u64> {
        let mut file = self.file();
        file.seek(SeekFrom::Start(0))?;
        let mut reader = BufReader::with_capacity(CHUNK, file.by_ref().take(start));
        let mut line = 1;
        loop {
            let chunk = reader.fill_buf()?;
            if chunk.is_empty() {
                return Ok(line);
            }
            line += chunk.iter().filter(|&&byte| byte == b'\n').count() as u64;
            let read = chunk.len();
            reader.consume(read);
        }
    }

    /// The file, whose place is set before each reading, so that a panic leaves nothing wrong.
    fn file(&self) -> MutexGuard<'_, File> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the lines begin that are not blank, and where the file ends.
fn find_lines(file: &File) -> io::Result<(Vec<u64>, u64)> {
    let mut reader = BufReader::with_capacity(CHUNK, file);
    let (mut starts, mut start, mut position) = (Vec::new(), 0, 0);
    let mut is_blank = true;
    loop {
        let chunk = reader.fill_buf()?;
        if chunk.is_empty() {
            break;
        }
        for piece in chunk.split_inclusive(|&byte| byte == b'\n') {
            is_blank = is_blank && piece.iter().all(u8::is_ascii_whitespace);
            position += piece.len() as u64;
            if piece.ends_with(b"\n") {
                if !is_blank {
                    starts.push(start);
                }
                (start, is_blank) = (position, true);
            }
        }
        let read = chunk.len();
        reader.consume(read);
    }
    if !is_blank {
        starts.push(start);
    }
    Ok((starts, position))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::data::scenes::{read_dataset, write_dataset};

    fn line(id: &str) -> String {
        format!(r#"{{"id": "{id}", "image": "images/{id}.jpg", "width": 4, "height": 3}}"#)
    }

    fn folder(text: &str) -> (tempfile::TempDir, PictureFolder) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(PICTURES_FILE), text).unwrap();
        let folder = PictureFolder::open(dir.path()).unwrap();
        (dir, folder)
    }

    fn ids(folder: &PictureFolder, problems: &mut Problems) -> Vec<String> {
        folder
            .records(problems)
            .map(|record| record.unwrap().id)
            .collect()
    }

    #[test]
    fn lines_are_found_in_any_order() {
        let text = format!("\n{}\r\n  \n{}\n\n{}", line("a"), line("b"), line("c"));
        let (dir, folder) = folder(&text);
        assert_eq!(folder.len(), 3);
        for (place, id) in [(2, "c"), (0, "a"), (1, "b"), (2, "c")] {
            let record = folder.record(place).unwrap();
            assert_eq!(record.id, id);
            let path = dir.path().join(format!("images/{id}.jpg"));
            assert_eq!(folder.image_path(&record), path);
        }
        let position = folder.position(1).unwrap().to_string();
        assert!(position.ends_with("pictures.jsonl:4"), "{position}");
        assert!(folder.position(3).is_err());
        let beyond = folder.record(3).unwrap_err().to_string();
        assert!(beyond.contains("no picture 3"), "{beyond}");
        let mut absolute = folder.record(0).unwrap();
        absolute.image = "/photos/a.jpg".to_owned();
        assert_eq!(folder.image_path(&absolute), Path::new("/photos/a.jpg"));
    }

    #[test]
    fn lines_longer_than_a_chunk_are_one() {
        let long = line("a").replace('}', &format!("{}}}", " ".repeat(3 * CHUNK)));
        let (_dir, folder) = folder(&format!("{long}\n{}\n", line("b")));
        assert_eq!(folder.len(), 2);
        assert_eq!(ids(&folder, &mut Problems::new(0)), ["a", "b"]);
    }

    #[test]
    fn broken_lines_are_named_and_skipped_up_to_a_limit() {
        let small = line("b").replace("\"width\": 4", "\"width\": 0");
        let text = format!("{}\n\n{small}\n{{\n{}\n", line("a"), line("c"));
        let (_dir, folder) = folder(&text);
        let mut problems = Problems::new(2);
        assert_eq!(ids(&folder, &mut problems), ["a", "c"]);
        let told: Vec<String> = problems.kept().iter().map(ToString::to_string).collect();
        assert!(
            told[0].ends_with("pictures.jsonl:3: a picture of 0x3 cannot be"),
            "{told:?}"
        );
        assert!(
            told[1].contains("pictures.jsonl:4: not a picture"),
            "{told:?}"
        );

        let mut strict = Problems::new(1);
        let last = folder.records(&mut strict).find_map(Result::err).unwrap();
        let last = last.to_string();
        assert!(last.contains("more than 1 records are broken"), "{last}");
        assert!(last.contains("pictures.jsonl:4"), "{last}");
    }

    #[test]
    fn bytes_that_are_no_text_are_a_broken_line() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(PICTURES_FILE), b"{\"id\": \"\xFF\"}\n").unwrap();
        let folder = PictureFolder::open(dir.path()).unwrap();
        let error = folder.record(0).unwrap_err().to_string();
        assert!(
            error.contains("pictures.jsonl:1: it is not UTF-8"),
            "{error}"
        );
    }

    #[test]
    fn scenes_are_read_as_pictures() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("scenes");
        write_dataset(9, 2, &dir, (64, 64)).unwrap();
        let folder = PictureFolder::open(&dir).unwrap();
        assert_eq!(folder.len(), 2);
        let scenes = read_dataset(&dir).unwrap().scenes;
        let record = folder.record(1).unwrap();
        assert!(folder.image_path(&record).is_file());
        assert_eq!(record.regions.len(), scenes[1].objects.len());
        assert_eq!(record.expressions.len(), scenes[1].refs.len());
    }

    #[test]
    fn folders_without_pictures_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let refused = |path: &Path| PictureFolder::open(path).unwrap_err().to_string();
        let neither = refused(dir.path());
        assert!(
            neither.contains("neither pictures.jsonl nor scenes.jsonl"),
            "{neither}"
        );
        assert!(refused(&dir.path().join("missing")).contains("there is no folder"));
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(refused(&file).contains("is a file"));
        fs::write(dir.path().join(PICTURES_FILE), "\n \n").unwrap();
        assert!(refused(dir.path()).contains("holds no picture"));
    }
}
