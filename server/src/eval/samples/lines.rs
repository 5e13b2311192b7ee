//! The lines of a file of samples.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use super::header::{FORMAT, HEADER_OPENING, Header};
use crate::eval::error::EvalError;

/// What is known of pictures, by their places.
#[derive(Debug, Default)]
pub(super) struct Pictures {
    pub(super) kept: BTreeMap<usize, Kept>,
    /// What is wrong with those that are broken and that no samples are there of.
    pub(super) broken: BTreeMap<usize, String>,
}

/// The line of a picture.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) id: String,
    pub(super) line: String,
}

/// The part of a header that every version understands.
#[derive(Deserialize)]
struct HeaderHead {
    format: u32,
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
pub(super) struct BrokenLine<'a> {
    pub(super) picture: usize,
    pub(super) broken: &'a str,
}

impl Pictures {
    pub(super) fn keep(&mut self, place: usize, kept: Kept) {
        self.broken.remove(&place);
        self.kept.insert(place, kept);
    }

    pub(super) fn skip(&mut self, place: usize, reason: String) {
        if !self.kept.contains_key(&place) {
            self.broken.insert(place, reason);
        }
    }

    /// Behind the last picture of which anything is known.
    pub(super) fn end(&self) -> usize {
        let kept = self.kept.last_key_value().map_or(0, |(place, _)| place + 1);
        let broken = self.broken.last_key_value();
        kept.max(broken.map_or(0, |(place, _)| place + 1))
    }
}

/// Everything up to the end of the last line that has one.
pub(super) fn whole_lines(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|&byte| byte == b'\n');
    &bytes[..end.map_or(0, |end| end + 1)]
}

/// The last header and the pictures' lines; of two lines with samples of one picture the later one.
pub(super) fn read_lines(
    path: &Path,
    bytes: &[u8],
) -> Result<(Option<Header>, Pictures), EvalError> {
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
            let HeaderHead { format } =
                serde_json::from_str(line).map_err(|error| damaged(error.to_string()))?;
            if format != FORMAT {
                return Err(EvalError::OtherFormat {
                    path: path.to_owned(),
                    there: format,
                    here: FORMAT,
                });
            }
            let read: Header =
                serde_json::from_str(line).map_err(|error| damaged(error.to_string()))?;
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
