use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use super::{
    PictureSamples,
    header::{FORMAT, HEADER_OPENING, Header},
    path::{all_in, path_of},
};
use crate::eval::{EvalOut, error::EvalError, protocol::Task};

/// The samples of a task on a data set, in memory and, where somebody wants them kept, in a file.
#[derive(Debug)]
pub(in crate::eval) struct Samples {
    header: Header,
    path: PathBuf,
    file: Option<File>,
    pictures: Pictures,
}

/// What is known of pictures, by their places.
#[derive(Debug, Default)]
struct Pictures {
    kept: BTreeMap<usize, Kept>,
    /// What is wrong with those that are broken and that no samples are there of.
    broken: BTreeMap<usize, String>,
}

/// The line of a picture.
#[derive(Debug)]
struct Kept {
    id: String,
    line: String,
}

/// The part of a line that tells which picture it is about.
#[derive(Deserialize)]
struct LineHead {
    picture: usize,
    id: Option<String>,
    broken: Option<String>,
}

/// The line of a broken picture.
#[derive(Serialize)]
struct BrokenLine<'a> {
    picture: usize,
    broken: &'a str,
}

impl Samples {
    /// Samples that nobody keeps.
    pub(in crate::eval) fn in_memory(header: Header) -> Self {
        Self {
            header,
            path: PathBuf::new(),
            file: None,
            pictures: Pictures::default(),
        }
    }

    /// Samples that are kept in a folder, each picture's as soon as they are there; those that are
    /// there already are gone on with where that is wanted, and else refused. The end of a line
    /// that was being written when the process was killed is cut off.
    pub(in crate::eval) fn begin(
        EvalOut { dir, resume }: &EvalOut,
        header: Header,
    ) -> Result<Self, EvalError> {
        fs::create_dir_all(dir).map_err(EvalError::io("create", dir))?;
        let path = path_of(dir, &header);
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&path)
            .map_err(EvalError::io("open", &path))?;
        // On a file system without locks nobody gets one, and two would write beside each other.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(EvalError::InUse(path));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)
            .map_err(EvalError::io("read", &path))?;
        if !bytes.is_empty() && !*resume {
            return Err(EvalError::AlreadyThere(path));
        }
        let whole = whole_lines(&bytes);
        if whole.len() < bytes.len() {
            file.set_len(whole.len() as u64)
                .map_err(EvalError::io("write", &path))?;
        }
        let (there, pictures) = read_lines(&path, whole)?;
        if let Some(there) = &there {
            header.refuse_other(there, &path)?;
        }
        let mut samples = Self {
            header,
            path,
            file: Some(file),
            pictures,
        };
        if there.as_ref() != Some(&samples.header) {
            let line = serde_json::to_string(&samples.header)
                .expect("a header has only texts and numbers");
            samples.write(&line)?;
        }
        Ok(samples)
    }

    /// All samples that a folder holds, of each task and data set, however many pictures were asked
    /// about the last time.
    pub(in crate::eval) fn read_all(dir: &Path) -> Result<Vec<Self>, EvalError> {
        let mut all = Vec::new();
        for (task, path) in all_in(dir)? {
            all.extend(Self::read(path, task)?);
        }
        Ok(all)
    }

    /// None where a file was killed before its first line.
    fn read(path: PathBuf, task: Task) -> Result<Option<Self>, EvalError> {
        let bytes = fs::read(&path).map_err(EvalError::io("read", &path))?;
        let (header, pictures) = read_lines(&path, whole_lines(&bytes))?;
        let Some(header) = header else {
            return Ok(None);
        };
        let current = Header {
            format: FORMAT,
            task,
            ..header.clone()
        };
        current.refuse_other(&header, &path)?;
        let mut samples = Self {
            header,
            path,
            file: None,
            pictures,
        };
        samples.take_all();
        Ok(Some(samples))
    }

    /// From now on all pictures count that samples are kept of, also those behind the last one that
    /// was to be asked about. Whether there are such.
    pub(in crate::eval) fn take_all(&mut self) -> bool {
        let end = self.pictures.end();
        let are_more = end > self.header.pictures;
        self.header.pictures = self.header.pictures.max(end);
        are_more
    }

    /// What they are of.
    pub(in crate::eval) fn header(&self) -> &Header {
        &self.header
    }

    /// The id of the picture at a place, where its samples are there.
    pub(in crate::eval) fn id_of(&self, place: usize) -> Option<&str> {
        self.pictures.kept.get(&place).map(|kept| kept.id.as_str())
    }

    /// The error that the picture at some place is another one than when its samples were made.
    pub(in crate::eval) fn of_other_data(&self, there: &str, here: &str) -> EvalError {
        EvalError::OtherRun {
            path: self.path.clone(),
            what: "data set",
            there: format!("its picture {there}"),
            here: format!("picture {here}"),
        }
    }

    /// Adds the samples of a picture: its place and id, and the line that has been made of them.
    pub(in crate::eval) fn push(
        &mut self,
        place: usize,
        id: String,
        line: String,
    ) -> Result<(), EvalError> {
        self.write(&line)?;
        self.pictures.keep(place, Kept { id, line });
        Ok(())
    }

    /// Notes that a picture is broken and no samples are there of it; the next time it is asked about
    /// again.
    pub(in crate::eval) fn skip(&mut self, place: usize, reason: String) -> Result<(), EvalError> {
        if self.pictures.broken.get(&place) == Some(&reason) {
            return Ok(());
        }
        let line = BrokenLine {
            picture: place,
            broken: &reason,
        };
        let line = serde_json::to_string(&line).expect("it has only a text and a number");
        self.write(&line)?;
        self.pictures.skip(place, reason);
        Ok(())
    }

    /// What is wrong with the pictures that are broken, of those that are asked about.
    pub(in crate::eval) fn broken(&self) -> Vec<String> {
        let those = self.pictures.broken.range(..self.header.pictures);
        those.map(|(_, reason)| reason.clone()).collect()
    }

    /// The pictures with their samples, in the order of the data set.
    pub(in crate::eval) fn parsed<D: DeserializeOwned>(
        &self,
    ) -> Result<Vec<PictureSamples<D>>, EvalError> {
        self.wanted()
            .map(|kept| {
                let unusable = |reason: String| EvalError::Sample {
                    picture: kept.id.clone(),
                    reason,
                };
                let picture: PictureSamples<D> = serde_json::from_str(&kept.line)
                    .map_err(|error| unusable(error.to_string()))?;
                let mut samples = picture.samples.iter();
                match samples.all(|sample| sample.exchange.has_one_size()) {
                    true => Ok(picture),
                    false => Err(unusable("its masks are not of one size".to_owned())),
                }
            })
            .collect()
    }

    /// How many pictures are still to be asked about.
    pub(in crate::eval) fn missing(&self) -> usize {
        let known = self.wanted().count() + self.broken().len();
        self.header.pictures.saturating_sub(known)
    }

    /// SHA-256 of the samples, hexadecimal: equal ones give equal figures.
    pub(in crate::eval) fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        for kept in self.wanted() {
            hash.update(kept.line.as_bytes());
            hash.update(b"\n");
        }
        format!("{:x}", hash.finalize())
    }

    /// The lines of the pictures that are asked about; a file may hold more of them, from when
    /// more were.
    fn wanted(&self) -> impl Iterator<Item = &Kept> {
        let those = self.pictures.kept.range(..self.header.pictures);
        those.map(|(_, kept)| kept)
    }

    fn write(&mut self, line: &str) -> Result<(), EvalError> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        // In one piece, so that what a kill leaves is at most one line that has no end.
        file.write_all(format!("{line}\n").as_bytes())
            .and_then(|()| file.flush())
            .map_err(EvalError::io("write", &self.path))
    }
}

impl Pictures {
    fn keep(&mut self, place: usize, kept: Kept) {
        self.broken.remove(&place);
        self.kept.insert(place, kept);
    }

    fn skip(&mut self, place: usize, reason: String) {
        if !self.kept.contains_key(&place) {
            self.broken.insert(place, reason);
        }
    }

    /// Behind the last picture of which anything is known.
    fn end(&self) -> usize {
        let kept = self.kept.last_key_value().map_or(0, |(place, _)| place + 1);
        let broken = self.broken.last_key_value();
        kept.max(broken.map_or(0, |(place, _)| place + 1))
    }
}

/// Everything up to the end of the last line that has one.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|&byte| byte == b'\n');
    &bytes[..end.map_or(0, |end| end + 1)]
}

/// The last header and the pictures' lines; of two lines with samples of one picture the later one.
fn read_lines(path: &Path, bytes: &[u8]) -> Result<(Option<Header>, Pictures), EvalError> {
    let mut header = None;
    let mut pictures = Pictures::default();
    for (number, line) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        let damaged = |reason: String| EvalError::Line {
            path: path.to_owned(),
            line: number,
            reason,
        };
        let line = std::str::from_utf8(line).map_err(|error| damaged(error.to_string()))?;
        if line.trim().is_empty() {
            continue;
        }
        if line.starts_with(HEADER_OPENING) {
            let read = Header::from_line(line).map_err(|error| damaged(error.to_string()))?;
            header = Some(read);
            continue;
        }
        if header.is_none() {
            return Err(damaged("no header stands before it".to_owned()));
        }
        let head: LineHead =
            serde_json::from_str(line).map_err(|error| damaged(error.to_string()))?;
        let place = head.picture;
        match (head.id, head.broken) {
            (_, Some(reason)) => pictures.skip(place, reason),
            (Some(id), None) => {
                let line = line.to_owned();
                pictures.keep(place, Kept { id, line });
            }
            (None, None) => return Err(damaged("it names no picture".to_owned())),
        }
    }
    Ok((header, pictures))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::{
        samples::{Exchange, Sample},
        source::DataKind,
    };

    fn header(seed: u64, pictures: usize) -> Header {
        let data = ("/scenes".to_owned(), DataKind::Scenes, pictures);
        Header::new(Task::Res, seed, "tiny".to_owned(), "00ff".to_owned(), data)
    }

    fn begin(dir: &Path, header: Header, resume: bool) -> Result<Samples, EvalError> {
        let dir = dir.to_owned();
        Samples::begin(&EvalOut { dir, resume }, header)
    }

    fn file_in(dir: &Path) -> PathBuf {
        dir.join("res.samples.jsonl")
    }

    /// The samples of the one file of a folder.
    fn read(dir: &Path) -> Result<Samples, EvalError> {
        let mut all = Samples::read_all(dir)?;
        assert_eq!(all.len(), 1);
        Ok(all.remove(0))
    }

    fn line(picture: usize, detail: u8) -> String {
        let samples = PictureSamples {
            picture,
            id: format!("p{picture}"),
            image: "p.png".to_owned(),
            samples: vec![Sample {
                exchange: Exchange::default(),
                detail,
            }],
        };
        serde_json::to_string(&samples).unwrap()
    }

    fn push(samples: &mut Samples, picture: usize, detail: u8) {
        let id = format!("p{picture}");
        samples.push(picture, id, line(picture, detail)).unwrap();
    }

    fn details(samples: &Samples) -> Vec<u8> {
        let pictures = samples.parsed::<u8>().unwrap();
        pictures
            .iter()
            .flat_map(|picture| picture.samples.iter().map(|sample| sample.detail))
            .collect()
    }

    #[test]
    fn pictures_come_in_order_whenever_they_were_finished() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("new");
        let mut samples = begin(&dir, header(1, 3), false).unwrap();
        push(&mut samples, 2, 12);
        push(&mut samples, 0, 10);
        assert_eq!((details(&samples), samples.missing()), (vec![10, 12], 1));
        assert_eq!(samples.id_of(2), Some("p2"));
        assert_eq!(samples.id_of(1), None);
        let mut other = Samples::in_memory(header(1, 3));
        push(&mut other, 0, 10);
        assert_ne!(other.sha256(), samples.sha256());
        push(&mut other, 2, 12);
        assert_eq!(other.sha256(), samples.sha256());

        let read = read(&dir).unwrap();
        assert_eq!(
            (details(&read), read.header()),
            (vec![10, 12], &header(1, 3))
        );
        // A file that a kill left without its first line holds nothing.
        fs::write(dir.join("roc.samples.jsonl"), "{\"format\":1").unwrap();
        assert_eq!(Samples::read_all(&dir).unwrap().len(), 1);
    }

    #[test]
    fn data_sets_of_one_task_are_kept_beside_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        for (name, detail) in [("/sets/val", 1), ("/sets/testA", 2), ("/sets/val", 3)] {
            let data = (name.to_owned(), DataKind::Pictures, 2);
            let header = Header::new(Task::Res, 1, "tiny".to_owned(), "00ff".to_owned(), data);
            let mut samples = begin(dir, header, true).unwrap();
            let place = usize::from(detail == 3);
            push(&mut samples, place, detail);
        }
        let all = Samples::read_all(dir).unwrap();
        let mut found: Vec<(&str, Vec<u8>)> = all
            .iter()
            .map(|samples| (samples.header().data_set.as_str(), details(samples)))
            .collect();
        found.sort();
        assert_eq!(found, [("testA", vec![2]), ("val", vec![1, 3])]);
    }

    #[test]
    fn broken_pictures_are_noted_until_samples_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let mut samples = begin(dir, header(1, 3), false).unwrap();
        push(&mut samples, 0, 10);
        let hash = samples.sha256();
        for _ in 0..2 {
            samples.skip(1, "a.jsonl:2: no picture".to_owned()).unwrap();
        }
        samples.skip(2, "a.jsonl:3: no mask".to_owned()).unwrap();
        assert_eq!(samples.sha256(), hash, "nothing was asked");
        drop(samples);
        let text = fs::read_to_string(file_in(dir)).unwrap();
        assert_eq!(
            text.lines().count(),
            4,
            "a header, samples, two that are broken"
        );

        let whole = read(dir).unwrap();
        assert_eq!((details(&whole), whole.missing()), (vec![10], 0));
        assert_eq!(
            whole.broken(),
            ["a.jsonl:2: no picture", "a.jsonl:3: no mask"]
        );
        let mut mended = begin(dir, header(1, 2), true).unwrap();
        assert_eq!(mended.broken().len(), 1, "the last one is not asked about");
        assert_eq!(mended.id_of(1), None);
        push(&mut mended, 1, 11);
        assert!(mended.broken().is_empty());
        drop(mended);
        let mended = read(dir).unwrap();
        assert_eq!(details(&mended), [10, 11]);
        assert_eq!(mended.broken(), ["a.jsonl:3: no mask"]);
    }

    #[test]
    fn what_a_kill_cut_off_is_asked_again() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let mut samples = begin(dir, header(1, 3), false).unwrap();
        push(&mut samples, 0, 10);
        push(&mut samples, 1, 11);
        drop(samples);
        let path = file_in(dir);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();

        let again = begin(dir, header(1, 3), false).unwrap_err();
        assert!(matches!(again, EvalError::AlreadyThere(_)), "{again}");
        let mut resumed = begin(dir, header(1, 3), true).unwrap();
        assert_eq!((details(&resumed), resumed.missing()), (vec![10], 2));
        push(&mut resumed, 1, 21);
        drop(resumed);
        // Fewer pictures leave the others where they are.
        let fewer = begin(dir, header(1, 1), true).unwrap();
        assert_eq!((details(&fewer), fewer.missing()), (vec![10], 0));
        drop(fewer);
        let mut fewer = begin(dir, header(1, 1), true).unwrap();
        assert!(fewer.take_all());
        assert_eq!((details(&fewer), fewer.missing()), (vec![10, 21], 0));
        assert!(!fewer.take_all());
        drop(fewer);
        let read = read(dir).unwrap();
        assert_eq!(details(&read), [10, 21]);
        let mut more = begin(dir, header(1, 3), true).unwrap();
        assert_eq!(details(&more), [10, 21]);
        // What has not been asked about yet is still missing.
        assert!(!more.take_all());
        assert_eq!(more.missing(), 1);
    }

    #[test]
    fn samples_of_something_else_are_not_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let first = begin(dir, header(1, 3), true).unwrap();
        let second = begin(dir, header(1, 3), true).unwrap_err();
        assert!(matches!(second, EvalError::InUse(_)), "{second}");
        drop(first);
        let mut model = header(1, 3);
        model.model_sha256 = "11aa".to_owned();
        let mut kind = header(1, 3);
        kind.on = DataKind::Pictures;
        let mut data = header(1, 3);
        data.data = "/hard/scenes".to_owned();
        for (other, what) in [
            (header(2, 3), "another seed (1, not 2)"),
            (model, "another model (00ff, not 11aa)"),
            (kind, "another kind of data (rendered scenes, not pictures)"),
            (data, "another data set (/scenes, not /hard/scenes)"),
        ] {
            let refused = begin(dir, other, true).unwrap_err().to_string();
            assert!(refused.contains(what), "{refused}");
        }
    }

    #[test]
    fn damaged_lines_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = file_in(folder.path());
        let head = serde_json::to_string(&header(1, 3)).unwrap();
        assert!(head.starts_with(HEADER_OPENING));
        let read = |text: &str| {
            fs::write(&path, text).unwrap();
            read(folder.path())?.parsed::<u8>().map(|_| ())
        };
        let first = line(0, 1);
        assert!(read(&format!("{head}\n{first}\n")).is_ok());
        let error = read(&format!("{head}\n{first}\n{{\"picture\": 1}}\n")).unwrap_err();
        assert!(matches!(error, EvalError::Line { line: 3, .. }), "{error}");
        let error = read(&format!("{first}\n")).unwrap_err();
        assert!(error.to_string().contains("no header"), "{error}");
        let other = first.replace("\"detail\":1", "\"detail\":\"x\"");
        let error = read(&format!("{head}\n{other}\n")).unwrap_err();
        assert!(error.to_string().contains("picture p0"), "{error}");
        let newer = head.replace("\"format\":1", "\"format\":2");
        let error = read(&format!("{newer}\n")).unwrap_err();
        assert!(
            error.to_string().contains("another format (2, not 1)"),
            "{error}"
        );
    }
}
