//! Temporary files, each with all there is of some of the pictures.

use std::{
    borrow::Cow,
    fs::File,
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
        let folder = tempfile::Builder::new()
            .prefix("fclm-data-")
            .tempdir()
            .map_err(ReadError::io(
                "make a temporary folder in",
                &std::env::temp_dir(),
            ))?;
        let files = (0..count)
            .map(|bucket| {
                let path = folder.path().join(bucket.to_string());
                let file = File::create(&path).map_err(ReadError::io("create", &path))?;
                Ok((path, BufWriter::with_capacity(CHUNK, file)))
            })
            .collect::<Result<_, ReadError>>()?;
        Ok(Self { folder, files })
    }

    /// The folder that the files are in.
    #[cfg(test)]
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes an element to the file of its picture.
    pub(super) fn write(&mut self, spilled: &Spilled<'_>) -> Result<(), ReadError> {
        let mut hasher = DefaultHasher::new();
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

/// Reads the elements of a file in the order in which they were written.
pub(super) fn read(
    path: &Path,
    visit: &mut dyn FnMut(Spilled<'static>) -> io::Result<()>,
) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(CHUNK, File::open(path)?);
    while !reader.fill_buf()?.is_empty() {
        visit(Spilled::read(&mut reader)?)?;
    }
    Ok(())
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
        let mut seen = Vec::new();
        let mut keep = |spilled| {
            seen.push(spilled);
            Ok(())
        };
        read(&paths[0], &mut keep).unwrap();
        assert_eq!(seen, written);

        let bytes = std::fs::read(&paths[0]).unwrap();
        std::fs::write(&paths[0], &bytes[..bytes.len() - 1]).unwrap();
        let error = read(&paths[0], &mut |_| Ok(())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
