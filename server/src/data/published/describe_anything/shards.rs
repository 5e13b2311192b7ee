//! Shards as the webdataset convention has them: tar files in which what belongs to one sample
//! stands together, under names that are alike up to their first dot.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use super::super::{Place, Position, Problems, ReadError};

/// Bytes that are read at once.
const CHUNK: usize = 1 << 18;
/// Largest file in a shard that is read.
const MAX_MEMBER: u64 = 1 << 28;
/// What the names of pictures end with.
const PICTURES: [&str; 4] = ["jpg", "jpeg", "png", "webp"];

/// A file in a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// Its name without folders.
    pub(super) name: String,
    /// Where it starts in the shard, in bytes.
    pub(super) start: u64,
    pub(super) bytes: Vec<u8>,
}

/// What a shard has of one picture.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Sample {
    /// Its path up to the first dot of the name.
    pub(super) key: String,
    pub(super) picture: Option<Member>,
    pub(super) pickle: Option<Member>,
}

/// What is done with each sample.
pub(super) type VisitSample<'a> = &'a mut dyn FnMut(Sample, &mut Problems) -> Result<(), ReadError>;

/// The shards of a folder by their names.
///
/// # Errors
/// Where the folder cannot be read or holds none.
pub(super) fn shards_in(folder: &Path) -> Result<Vec<PathBuf>, ReadError> {
    let mut shards = Vec::new();
    for entry in fs::read_dir(folder).map_err(ReadError::io("read", folder))? {
        let path = entry.map_err(ReadError::io("read", folder))?.path();
        if path.extension().is_some_and(|extension| extension == "tar") {
            shards.push(path);
        }
    }
    if shards.is_empty() {
        return Err(ReadError::layout(folder, "it holds no shard NAME.tar"));
    }
    shards.sort_unstable();
    Ok(shards)
}

/// Visits the samples of a shard. One that is broken is reported, and read up to where it breaks.
///
/// # Errors
/// Where it cannot be opened or too much is broken, or what `visit` returns.
pub(super) fn read_samples(
    path: &Path,
    problems: &mut Problems,
    visit: VisitSample<'_>,
) -> Result<(), ReadError> {
    let file = File::open(path).map_err(ReadError::io("open", path))?;
    let mut archive = tar::Archive::new(BufReader::with_capacity(CHUNK, file));
    let entries = archive.entries().map_err(ReadError::io("read", path))?;
    let mut sample = Sample::default();
    for entry in entries {
        let (key, ending, member) = match entry.and_then(read_entry) {
            Ok(Some(read)) => read,
            Ok(None) => continue,
            Err(error) => {
                let message = format!("the shard is broken: {error}");
                return problems.report(&Position::new(path, Place::Whole), &message);
            }
        };
        if key != sample.key {
            let next = Sample {
                key,
                ..Sample::default()
            };
            finish(std::mem::replace(&mut sample, next), problems, visit)?;
        }
        match ending.as_str() {
            "pickle" | "pkl" => sample.pickle = Some(member),
            _ => sample.picture = Some(member),
        }
    }
    finish(sample, problems, visit)
}

/// Reads a file of a shard once more, by where it is.
///
/// # Errors
/// Where the shard cannot be read.
pub(super) fn read_again(shard: &Path, start: u64, length: u64) -> Result<Vec<u8>, ReadError> {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(shard)?;
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        match file.take(length).read_to_end(&mut bytes)? as u64 == length {
            true => Ok(bytes),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    };
    read().map_err(ReadError::io("read", shard))
}

fn finish(
    sample: Sample,
    problems: &mut Problems,
    visit: VisitSample<'_>,
) -> Result<(), ReadError> {
    if sample.picture.is_none() && sample.pickle.is_none() {
        return Ok(());
    }
    visit(sample, problems)
}

/// The sample's key, what the name ends with, and the file; none where it is no part of a sample.
fn read_entry(
    mut entry: tar::Entry<'_, BufReader<File>>,
) -> io::Result<Option<(String, String, Member)>> {
    if !entry.header().entry_type().is_file() {
        return Ok(None);
    }
    let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    let name = path.rsplit('/').next().unwrap_or(&path).to_owned();
    let Some((stem, ending)) = name.split_once('.') else {
        return Ok(None);
    };
    let ending = ending.to_lowercase();
    let wanted = PICTURES.contains(&ending.as_str()) || matches!(&ending[..], "pickle" | "pkl");
    if stem.is_empty() || !wanted {
        return Ok(None);
    }
    if entry.size() > MAX_MEMBER {
        let message = format!("{path} has {} bytes", entry.size());
        return Err(io::Error::other(message));
    }
    let folders = path.len() - name.len();
    let key = format!("{}{stem}", &path[..folders]);
    let start = entry.raw_file_position();
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes)?;
    if bytes.len() as u64 != entry.size() {
        let message = format!("it ends in the middle of {path}");
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
    }
    Ok(Some((key, ending, Member { name, start, bytes })))
}

#[cfg(test)]
mod tests {
    use super::{super::write_shard, *};

    fn told(path: &Path, problems: &mut Problems) -> Vec<String> {
        let mut told = Vec::new();
        let bytes = |member: Option<Member>| {
            member.map_or("-".to_owned(), |member| {
                let text = String::from_utf8_lossy(&member.bytes).into_owned();
                format!("{}={text}", member.name)
            })
        };
        read_samples(path, problems, &mut |sample, _| {
            for member in sample.picture.iter().chain(&sample.pickle) {
                let again = read_again(path, member.start, member.bytes.len() as u64);
                assert_eq!(again.unwrap(), member.bytes);
            }
            let Sample {
                key,
                picture,
                pickle,
            } = sample;
            told.push(format!("{key}: {} {}", bytes(picture), bytes(pickle)));
            Ok(())
        })
        .unwrap();
        told
    }

    #[test]
    fn what_belongs_together_is_one_sample() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("00000000.tar");
        let long = format!("{}9.png", "folder/".repeat(30));
        let members = [
            ("92.jpg", "A"),
            ("92.pickle", "B"),
            ("README", "no sample"),
            (".jpg", "no sample"),
            ("113.pkl", "C"),
            ("113.json", "not asked for"),
            ("113.JPG", "D"),
            (long.as_str(), "E"),
        ];
        write_shard(&path, &members.map(|(name, text)| (name, text.as_bytes())));
        let long = long.trim_end_matches(".png");
        assert_eq!(
            told(&path, &mut Problems::new(0)),
            [
                "92: 92.jpg=A 92.pickle=B".to_owned(),
                "113: 113.JPG=D 113.pkl=C".to_owned(),
                format!("{long}: 9.png=E -"),
            ]
        );
    }

    #[test]
    fn a_shard_that_breaks_off_gives_what_comes_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("00000000.tar");
        let long = "C".repeat(2000);
        let members = [("1.jpg", "A"), ("2.jpg", "B"), ("3.jpg", long.as_str())];
        write_shard(&path, &members.map(|(name, text)| (name, text.as_bytes())));
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..5 * 512 + 100]).unwrap();
        let mut problems = Problems::new(1);
        assert_eq!(told(&path, &mut problems), ["1: 1.jpg=A -"]);
        let problem = problems.kept()[0].to_string();
        assert!(
            problem.contains("00000000.tar: the shard is broken") && problem.contains("3.jpg"),
            "{problem}"
        );

        fs::write(&path, [b'x'; 1024]).unwrap();
        let mut problems = Problems::new(1);
        assert!(told(&path, &mut problems).is_empty());
        assert_eq!(problems.broken(), 1);
    }

    #[test]
    fn shards_come_by_their_names() {
        let folder = tempfile::tempdir().unwrap();
        assert!(shards_in(folder.path()).is_err());
        for name in ["00000001.tar", "00000000.tar", "notes.txt"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let names: Vec<PathBuf> = shards_in(folder.path())
            .unwrap()
            .iter()
            .map(|path| path.strip_prefix(folder.path()).unwrap().to_owned())
            .collect();
        assert_eq!(
            names,
            [Path::new("00000000.tar"), Path::new("00000001.tar")]
        );
    }
}
