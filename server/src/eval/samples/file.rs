use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read, Write},
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::{
    PictureSamples,
    header::Header,
    lines::{BrokenLine, Kept, Pictures, read_lines, whole_lines},
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
