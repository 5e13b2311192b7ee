//! Reads a large JSON file one element at a time.
//!
//! The file is only cut into elements here: a scanner that knows strings and brackets finds where
//! each one ends, and serde reads its bytes when they are wanted. So at most one element is in
//! memory, each has a byte position, and one that is broken (Python writes `NaN`, for one) spoils
//! nothing but itself as long as its brackets are in balance.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;

use super::{
    ReadError,
    problems::{Place, Position, Problems},
};

/// Bytes that are read at once.
const CHUNK: usize = 1 << 18;
/// Largest element; a file of which an element is larger has another layout.
const MAX_ELEMENT: usize = 1 << 28;

/// An element of a list, or an entry of the top-level object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'a> {
    /// The file.
    pub(super) path: &'a Path,
    /// The list's name, empty where the file is the list; of an entry its key.
    pub(super) name: &'a str,
    /// Counted from 0; none for an entry of the top-level object.
    pub(super) index: Option<u64>,
    /// Where it starts in the file; none where it did not come from text.
    pub(super) byte: Option<u64>,
    /// Its JSON.
    pub(super) json: &'a [u8],
}

/// What is done with each element.
pub(super) type Visit<'a> = &'a mut dyn FnMut(&Element<'_>) -> Result<(), ReadError>;

impl Element<'_> {
    /// Where it is.
    pub(super) fn position(&self) -> Position {
        let place = match self.index {
            Some(index) => Place::Element {
                list: self.name.to_owned(),
                index,
                byte: self.byte,
            },
            None => Place::Entry {
                key: self.name.to_owned(),
                byte: self.byte.unwrap_or_default(),
            },
        };
        Position::new(self.path, place)
    }

    /// The element as a type; where it is none, that is reported and nothing is returned.
    ///
    /// # Errors
    /// Where too much is broken.
    pub(super) fn read<T: DeserializeOwned>(
        &self,
        problems: &mut Problems,
    ) -> Result<Option<T>, ReadError> {
        match serde_json::from_slice(self.json) {
            Ok(value) => Ok(Some(value)),
            Err(error) => {
                problems.report(&self.position(), &error)?;
                Ok(None)
            }
        }
    }
}

/// Visits the elements of the file's list: `[..]`.
///
/// # Errors
/// Where the file cannot be read or is no list, or what `visit` returns.
pub(super) fn read_list(path: &Path, visit: Visit<'_>) -> Result<(), ReadError> {
    let mut scanner = Scanner::open(path)?;
    if scanner.next_sign()? != Some(b'[') {
        return Err(scanner.wrong("a list was expected"));
    }
    scanner.list("", visit)?;
    scanner.end()
}

/// Visits the elements of some lists of the file's object, in the order of the file:
/// `{"images": [..], "annotations": [..]}`. Everything else is passed over.
///
/// # Errors
/// Where the file cannot be read, is no object or lacks one of the lists, or what `visit` returns.
pub(super) fn read_lists(path: &Path, lists: &[&str], visit: Visit<'_>) -> Result<(), ReadError> {
    let mut scanner = Scanner::open(path)?;
    let mut missing = lists.to_vec();
    scanner.object(&mut |scanner, key| {
        if !lists.contains(&key) {
            return scanner.value(None);
        }
        if scanner.next_sign()? != Some(b'[') {
            return Err(scanner.wrong(&format!("{key:?} should be a list")));
        }
        missing.retain(|name| *name != key);
        scanner.list(key, visit)
    })?;
    scanner.end()?;
    match missing.first() {
        Some(name) => Err(ReadError::layout(
            path,
            format!("there is no list {name:?}"),
        )),
        None => Ok(()),
    }
}

/// Visits the entries of the file's object, the element's name being the key: `{"7": .., "9": ..}`.
///
/// # Errors
/// Where the file cannot be read or is no object, or what `visit` returns.
pub(super) fn read_map(path: &Path, visit: Visit<'_>) -> Result<(), ReadError> {
    let mut scanner = Scanner::open(path)?;
    let mut json = Vec::new();
    scanner.object(&mut |scanner, key| {
        scanner.next_sign()?;
        let byte = scanner.position;
        scanner.value(Some(&mut json))?;
        visit(&Element {
            path,
            name: key,
            index: None,
            byte: Some(byte),
            json: &json,
        })
    })?;
    scanner.end()
}

/// The size of a file in bytes.
pub(super) fn size_of(path: &Path) -> Result<u64, ReadError> {
    let metadata = path.metadata().map_err(ReadError::io("open", path))?;
    Ok(metadata.len())
}

/// What an entry of an object is handed to: the scanner stands before the value.
type VisitEntry<'a> = &'a mut dyn FnMut(&mut Scanner, &str) -> Result<(), ReadError>;

struct Scanner {
    path: PathBuf,
    reader: BufReader<File>,
    /// Bytes that have been passed.
    position: u64,
}

impl Scanner {
    fn open(path: &Path) -> Result<Self, ReadError> {
        let file = File::open(path).map_err(ReadError::io("open", path))?;
        Ok(Self {
            path: path.to_owned(),
            reader: BufReader::with_capacity(CHUNK, file),
            position: 0,
        })
    }

    fn wrong(&self, message: &str) -> ReadError {
        ReadError::layout(&self.path, format!("{message} at byte {}", self.position))
    }

    /// The bytes at hand; empty at the end of the file only.
    fn chunk(&mut self) -> Result<&[u8], ReadError> {
        self.reader.fill_buf().map_err(|source| ReadError::Io {
            action: "read",
            path: self.path.clone(),
            source,
        })
    }

    fn pass(&mut self, count: usize) {
        self.reader.consume(count);
        self.position += count as u64;
    }

    /// Passes white space and looks at what follows.
    fn next_sign(&mut self) -> Result<Option<u8>, ReadError> {
        loop {
            let chunk = self.chunk()?;
            if chunk.is_empty() {
                return Ok(None);
            }
            let space = chunk.iter().take_while(|byte| is_space(**byte)).count();
            let sign = chunk.get(space).copied();
            self.pass(space);
            if sign.is_some() {
                return Ok(sign);
            }
        }
    }

    /// Passes one sign that has to follow.
    fn expect(&mut self, sign: u8) -> Result<(), ReadError> {
        if self.next_sign()? != Some(sign) {
            return Err(self.wrong(&format!("{:?} was expected", char::from(sign))));
        }
        self.pass(1);
        Ok(())
    }

    /// Passes what stands between two elements, or the bracket after the last one; whether there is
    /// another element.
    fn another(&mut self, close: u8) -> Result<bool, ReadError> {
        match self.next_sign()? {
            Some(b',') => {
                self.pass(1);
                Ok(true)
            }
            Some(sign) if sign == close => {
                self.pass(1);
                Ok(false)
            }
            _ => Err(self.wrong(&format!("',' or {:?} was expected", char::from(close)))),
        }
    }

    /// Passes an opening bracket; whether anything is between it and the closing one, which is
    /// passed where nothing is.
    fn opens(&mut self, open: u8, close: u8) -> Result<bool, ReadError> {
        self.expect(open)?;
        if self.next_sign()? == Some(close) {
            self.pass(1);
            return Ok(false);
        }
        Ok(true)
    }

    fn list(&mut self, name: &str, visit: Visit<'_>) -> Result<(), ReadError> {
        let path = self.path.clone();
        let mut json = Vec::new();
        let mut index = 0;
        let mut more = self.opens(b'[', b']')?;
        while more {
            self.next_sign()?;
            let byte = self.position;
            self.value(Some(&mut json))?;
            visit(&Element {
                path: &path,
                name,
                index: Some(index),
                byte: Some(byte),
                json: &json,
            })?;
            index += 1;
            more = self.another(b']')?;
        }
        Ok(())
    }

    fn object(&mut self, visit: VisitEntry<'_>) -> Result<(), ReadError> {
        let mut json = Vec::new();
        let mut more = self.opens(b'{', b'}')?;
        while more {
            if self.next_sign()? != Some(b'"') {
                return Err(self.wrong("a key in quotes was expected"));
            }
            self.value(Some(&mut json))?;
            let key: String =
                serde_json::from_slice(&json).map_err(|_| self.wrong("there is a broken key"))?;
            self.expect(b':')?;
            visit(self, &key)?;
            more = self.another(b'}')?;
        }
        Ok(())
    }

    /// Passes a value, and keeps its bytes where they are wanted.
    fn value(&mut self, mut keep: Option<&mut Vec<u8>>) -> Result<(), ReadError> {
        if let Some(keep) = keep.as_deref_mut() {
            keep.clear();
        }
        let mut end = match self.next_sign()? {
            Some(b'"' | b'[' | b'{') => End::default(),
            Some(sign) if !ends_plain(sign) => End::plain(),
            _ => return Err(self.wrong("a value was expected")),
        };
        loop {
            let chunk = self.chunk()?;
            if chunk.is_empty() {
                return Err(self.wrong("the file ends in the middle of a value"));
            }
            let (count, done) = end.find(chunk);
            if let Some(keep) = keep.as_deref_mut() {
                keep.extend_from_slice(&chunk[..count]);
                if keep.len() > MAX_ELEMENT {
                    let message = format!("an element has more than {MAX_ELEMENT} bytes");
                    return Err(self.wrong(&message));
                }
            }
            self.pass(count);
            if done {
                return Ok(());
            }
        }
    }

    /// Makes sure that nothing follows.
    fn end(&mut self) -> Result<(), ReadError> {
        match self.next_sign()? {
            Some(_) => Err(self.wrong("something follows the end of the JSON")),
            None => Ok(()),
        }
    }
}

/// Looks for the end of a value, chunk by chunk.
#[derive(Debug, Default)]
struct End {
    plain: bool,
    in_string: bool,
    escaped: bool,
    depth: usize,
}

impl End {
    /// For what has neither quotes nor brackets, such as a number.
    fn plain() -> Self {
        Self {
            plain: true,
            ..Self::default()
        }
    }

    /// How many bytes of the chunk belong to the value, and whether it ends there.
    fn find(&mut self, chunk: &[u8]) -> (usize, bool) {
        if self.plain {
            let count = chunk.iter().take_while(|byte| !ends_plain(**byte)).count();
            return (count, count < chunk.len());
        }
        for (place, &byte) in chunk.iter().enumerate() {
            match (self.in_string, byte) {
                (true, _) if self.escaped => self.escaped = false,
                (true, b'\\') => self.escaped = true,
                (true, b'"') => self.in_string = false,
                (true, _) => continue,
                (false, b'"') => self.in_string = true,
                (false, b'[' | b'{') => self.depth += 1,
                (false, b']' | b'}') => self.depth -= 1,
                (false, _) => continue,
            }
            if self.depth == 0 && !self.in_string {
                return (place + 1, true);
            }
        }
        (chunk.len(), false)
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Whether a number or a word ends before this byte.
fn ends_plain(byte: u8) -> bool {
    is_space(byte) || matches!(byte, b',' | b':' | b']' | b'}')
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What the visits of `read` saw: name, index, byte and JSON of each element.
    fn seen(
        text: &str,
        read: impl FnOnce(&Path, Visit<'_>) -> Result<(), ReadError>,
    ) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.json");
        fs::write(&path, text).unwrap();
        let mut seen = Vec::new();
        let result = read(&path, &mut |element| {
            let position = element.position().to_string();
            let (_, place) = position.split_once(": ").unwrap();
            let json = std::str::from_utf8(element.json).unwrap();
            seen.push(format!("{place} {json}"));
            Ok(())
        });
        match result {
            Ok(()) => Ok(seen),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn lists_are_cut_into_elements() {
        let text = r#" [ {"a": "]}\\"}, [1,[2]] ,-3.5,"x\",", null ] "#;
        assert_eq!(
            seen(text, read_list).unwrap(),
            [
                r#"[0] at byte 3 {"a": "]}\\"}"#,
                "[1] at byte 18 [1,[2]]",
                "[2] at byte 27 -3.5",
                r#"[3] at byte 32 "x\",""#,
                "[4] at byte 40 null",
            ]
        );
        assert!(seen("[]", read_list).unwrap().is_empty());
    }

    #[test]
    fn named_lists_are_found_and_the_rest_is_passed_over() {
        let text = r#"{"info": {"images": [0], "x": "["}, "images": [1, 2], "year": 2017,
            "annotations": [], "categories": [3]}"#;
        let read = |lists: &'static [&'static str]| {
            seen(text, move |path, visit| read_lists(path, lists, visit))
        };
        let images = ["images[0] at byte 47 1", "images[1] at byte 50 2"];
        assert_eq!(read(&["annotations", "images"]).unwrap(), images);
        let error = read(&["images", "refs"]).unwrap_err();
        assert!(error.contains("there is no list \"refs\""), "{error}");
        let error = read(&["info"]).unwrap_err();
        assert!(
            error.contains("\"info\" should be a list at byte 9"),
            "{error}"
        );
    }

    #[test]
    fn entries_of_the_object_have_their_keys() {
        let entries = seen(r#"{"7": [1], "a\"b": {}}"#, read_map).unwrap();
        assert_eq!(entries, [r#""7" at byte 6 [1]"#, r#""a\"b" at byte 19 {}"#]);
    }

    #[test]
    fn elements_reach_over_chunks() {
        let long = "x".repeat(CHUNK * 2 + 7);
        let space = " ".repeat(CHUNK + 1);
        let text = format!("[\"{long}\",{space}7]");
        let elements = seen(&text, read_list).unwrap();
        assert!(elements[0].ends_with("x\""));
        let byte = 4 + long.len() + space.len();
        assert_eq!(elements[1], format!("[1] at byte {byte} 7"));
    }

    #[test]
    fn a_broken_element_spoils_nothing_but_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.json");
        fs::write(&path, r#"[{"id": 1}, {"id": NaN}, {"id": "x"}, {"id": 4}]"#).unwrap();
        #[derive(serde::Deserialize)]
        struct Record {
            id: u32,
        }
        let read = |problems: &mut Problems| {
            let mut ids = Vec::new();
            read_list(&path, &mut |element| {
                ids.extend(element.read::<Record>(problems)?.map(|record| record.id));
                Ok(())
            })?;
            Ok::<_, ReadError>(ids)
        };
        let mut problems = Problems::new(2);
        assert_eq!(read(&mut problems).unwrap(), [1, 4]);
        let told: Vec<String> = problems.kept().iter().map(ToString::to_string).collect();
        assert!(told[0].contains("file.json: [1] at byte 12: "), "{told:?}");
        assert!(told[1].contains("file.json: [2] at byte 25: "), "{told:?}");

        let error = read(&mut Problems::new(1)).unwrap_err();
        assert!(
            matches!(error, ReadError::TooManyBroken { limit: 1, .. }),
            "{error}"
        );
    }

    #[test]
    fn files_of_another_layout_are_refused() {
        let refused = |text: &str, what: &str| {
            let error = seen(text, read_list).unwrap_err();
            assert!(error.contains(what), "{text}: {error}");
        };
        refused("{}", "a list was expected at byte 0");
        refused("", "a list was expected at byte 0");
        refused("[1", "the file ends in the middle of a value at byte 2");
        refused("[{\"a\": [}", "the file ends in the middle of a value");
        refused("[1,]", "a value was expected at byte 3");
        refused("[1 2]", "',' or ']' was expected at byte 3");
        refused(
            "[1]\n[2]",
            "something follows the end of the JSON at byte 4",
        );
        let error = seen("{1: 2}", read_map).unwrap_err();
        assert!(error.contains("a key in quotes was expected"), "{error}");
        let error = seen("{\"a\" 2}", read_map).unwrap_err();
        assert!(error.contains("':' was expected at byte 5"), "{error}");
    }
}
