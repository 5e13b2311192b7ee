//! Temporary files, each with all there is of some of the pictures.

use std::{
    borrow::Cow,
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::{super::ReadError, Part};

/// What is read from or written to a file at once.
const CHUNK: usize = 1 << 16;

/// The files while they are written.
#[derive(Debug)]
pub(super) struct Buckets {
    folder: TempDir,
    files: Vec<(PathBuf, BufWriter<File>)>,
    /// How often what is in them has been divided before.
    level: u32,
}

/// An element in a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spilled<'a> {
    /// What it is to its picture.
    pub(super) part: Part,
    /// Where it comes from.
    pub(super) source: u64,
    /// Its index there.
    pub(super) index: Option<u64>,
    /// Its byte there.
    pub(super) byte: Option<u64>,
    /// The key that it is under; empty for an element of a list.
    pub(super) key: Cow<'a, str>,
    /// The picture's id.
    pub(super) id: Cow<'a, str>,
    /// Its JSON.
    pub(super) json: Cow<'a, [u8]>,
}

impl Buckets {
    /// Makes so many files in a folder of their own.
    pub(super) fn new(count: u64) -> Result<Self, ReadError> {
        Self::in_folder(&std::env::temp_dir(), 0, count)
    }

    fn in_folder(parent: &Path, level: u32, count: u64) -> Result<Self, ReadError> {
        let folder = tempfile::Builder::new()
            .prefix("fclm-data-")
            .tempdir_in(parent)
            .map_err(ReadError::io("make a temporary folder in", parent))?;
        let files = (0..count)
            .map(|bucket| {
                let path = folder.path().join(bucket.to_string());
                let file = File::create(&path).map_err(ReadError::io("create", &path))?;
                Ok((path, BufWriter::with_capacity(CHUNK, file)))
            })
            .collect::<Result<_, ReadError>>()?;
        Ok(Self {
            folder,
            files,
            level,
        })
    }

    /// Divides what is in a file, which was divided `level - 1` times before, among so many new ones
    /// beside it, and removes it. A file that is of one picture alone is left as it is, and there is
    /// none then.
    pub(super) fn divide(path: &Path, level: u32, count: u64) -> Result<Option<Self>, ReadError> {
        let mut divided = Self::in_folder(path.parent().unwrap_or(path), level, count)?;
        let mut first = None;
        let mut is_one = true;
        for spilled in read(path)? {
            let spilled = spilled.map_err(reading(path))?;
            divided.write(&spilled)?;
            is_one &= *first.get_or_insert_with(|| spilled.id.clone()) == spilled.id;
        }
        if is_one {
            return Ok(None);
        }
        fs::remove_file(path).map_err(ReadError::io("remove", path))?;
        Ok(Some(divided))
    }

    /// How often what is in the files has been divided before.
    pub(super) fn level(&self) -> u32 {
        self.level
    }

    /// The folder that the files are in.
    #[cfg(test)]
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes an element to the file of its picture.
    pub(super) fn write(&mut self, spilled: &Spilled<'_>) -> Result<(), ReadError> {
        let mut hasher = DefaultHasher::new();
        // What has come into one file must not come into one again when that is divided.
        self.level.hash(&mut hasher);
        spilled.id.hash(&mut hasher);
        let bucket = (hasher.finish() % self.files.len() as u64) as usize;
        let (path, file) = &mut self.files[bucket];
        spilled.write(file).map_err(ReadError::io("write", path))
    }

    /// Finishes writing; the folder is removed when it is dropped.
    pub(super) fn close(self) -> Result<(TempDir, Vec<PathBuf>), ReadError> {
        let mut paths = Vec::new();
        for (path, mut file) in self.files {
            file.flush().map_err(ReadError::io("write", &path))?;
            paths.push(path);
        }
        Ok((self.folder, paths))
    }
}

/// The elements of a file in the order in which they were written; what follows an error means
/// nothing.
pub(super) fn read(path: &Path) -> Result<Elements, ReadError> {
    let file = File::open(path).map_err(reading(path))?;
    Ok(Elements(BufReader::with_capacity(CHUNK, file)))
}

/// Reads a file element by element.
#[derive(Debug)]
pub(super) struct Elements(BufReader<File>);

impl Iterator for Elements {
    type Item = io::Result<Spilled<'static>>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.0.fill_buf().map(<[u8]>::is_empty) {
            Ok(true) => None,
            Ok(false) => Some(Spilled::read(&mut self.0)),
            Err(error) => Some(Err(error)),
        }
    }
}

/// For `map_err`: which file could not be read.
pub(super) fn reading(path: &Path) -> impl FnOnce(io::Error) -> ReadError {
    ReadError::io("read the temporary file", path)
}

/// Why a file makes no sense.
pub(super) fn changed() -> io::Error {
    io::Error::other("it is not as it was written")
}

impl Spilled<'_> {
    fn write(&self, file: &mut impl Write) -> io::Result<()> {
        // Places are written plus one, so that nought is none.
        let place = |place: Option<u64>| place.map_or(0, |place| place + 1).to_le_bytes();
        file.write_all(&[self.part as u8])?;
        file.write_all(&self.source.to_le_bytes())?;
        file.write_all(&place(self.index))?;
        file.write_all(&place(self.byte))?;
        for bytes in [self.key.as_bytes(), self.id.as_bytes(), &self.json[..]] {
            file.write_all(&(bytes.len() as u64).to_le_bytes())?;
            file.write_all(bytes)?;
        }
        Ok(())
    }
}

impl Spilled<'static> {
    fn read(reader: &mut impl Read) -> io::Result<Self> {
        let [part] = read_array::<1>(reader)?;
        let part = [Part::Picture, Part::Annotation, Part::Text]
            .into_iter()
            .find(|known| *known as u8 == part)
            .ok_or_else(changed)?;
        Ok(Self {
            part,
            source: read_number(reader)?,
            index: read_number(reader)?.checked_sub(1),
            byte: read_number(reader)?.checked_sub(1),
            key: read_text(reader)?.into(),
            id: read_text(reader)?.into(),
            json: read_bytes(reader)?.into(),
        })
    }
}

fn read_array<const N: usize>(reader: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn read_number(reader: &mut impl Read) -> io::Result<u64> {
    read_array(reader).map(u64::from_le_bytes)
}

fn read_bytes(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let length = read_number(reader)?;
    let mut bytes = Vec::new();
    if reader.take(length).read_to_end(&mut bytes)? as u64 == length {
        Ok(bytes)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

fn read_text(reader: &mut impl Read) -> io::Result<String> {
    String::from_utf8(read_bytes(reader)?).map_err(|_| changed())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn elements_are_read_as_they_were_written() {
        let spilled = |id: &'static str, index: Option<u64>| Spilled {
            part: Part::Text,
            source: 3,
            index,
            byte: index.map(|index| index * 9),
            key: "a \"key\"".into(),
            id: id.into(),
            json: b"{\"a\": \"\n\"}".into(),
        };
        let written = [
            spilled("7", None),
            spilled("", Some(0)),
            spilled("b\u{e4}r", Some(u64::MAX / 9)),
        ];
        let mut buckets = Buckets::new(1).unwrap();
        for spilled in &written {
            buckets.write(spilled).unwrap();
        }
        let (_folder, paths) = buckets.close().unwrap();
        assert_eq!(elements(&paths[0]), written);

        let bytes = fs::read(&paths[0]).unwrap();
        fs::write(&paths[0], &bytes[..bytes.len() - 1]).unwrap();
        let error = read(&paths[0]).unwrap().find_map(Result::err).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    fn elements(path: &Path) -> Vec<Spilled<'static>> {
        read(path).unwrap().map(Result::unwrap).collect()
    }

    fn ids(path: &Path) -> BTreeSet<String> {
        let ids = elements(path).into_iter();
        ids.map(|spilled| spilled.id.into_owned()).collect()
    }

    /// A file with three elements of each of so many pictures.
    fn file(pictures: usize) -> (TempDir, PathBuf) {
        let mut buckets = Buckets::new(1).unwrap();
        for number in 0..3 * pictures {
            let spilled = Spilled {
                part: Part::Annotation,
                source: 0,
                index: Some(number as u64),
                byte: None,
                key: "".into(),
                id: (number % pictures).to_string().into(),
                json: b"{}".into(),
            };
            buckets.write(&spilled).unwrap();
        }
        let (folder, mut paths) = buckets.close().unwrap();
        (folder, paths.remove(0))
    }

    #[test]
    fn files_are_divided_by_their_pictures_again_and_again() {
        let (_folder, path) = file(20);
        let divided = Buckets::divide(&path, 1, 4).unwrap().unwrap();
        assert!(!path.exists());
        assert_eq!(divided.level(), 1);
        let (_first, paths) = divided.close().unwrap();
        let counts: Vec<usize> = paths.iter().map(|path| ids(path).len()).collect();
        assert_eq!(counts.iter().sum::<usize>(), 20, "{counts:?}");
        assert!(counts.iter().all(|&count| count < 15), "{counts:?}");
        let all: usize = paths.iter().map(|path| elements(path).len()).sum();
        assert_eq!(all, 60);

        let largest = paths.iter().max_by_key(|path| ids(path).len()).unwrap();
        let whole = ids(largest);
        let again = Buckets::divide(largest, 2, 4).unwrap().unwrap();
        let (_second, paths) = again.close().unwrap();
        assert!(paths.iter().all(|path| ids(path).len() < whole.len()));
        let together: BTreeSet<String> = paths.iter().flat_map(|path| ids(path)).collect();
        assert_eq!(together, whole);
    }

    #[test]
    fn what_is_of_one_picture_is_not_divided() {
        let (folder, path) = file(1);
        assert!(Buckets::divide(&path, 1, 4).unwrap().is_none());
        assert_eq!(elements(&path).len(), 3);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
