//! What is broken in a data set: told when it is found, counted, and ended when it is too much.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use super::ReadError;

/// Broken records that are skipped where nothing else is asked for.
pub const DEFAULT_LIMIT: u64 = 100;
/// Broken records whose messages are kept after they have been told.
const MOST_KEPT: usize = 20;

/// Where in a data set something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The file.
    pub path: PathBuf,
    /// Where in the file.
    pub place: Place,
}

/// Where in a file something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The file as a whole.
    Whole,
    /// A line.
    Line(
        /// Counted from 1.
        u64,
    ),
    /// An element of a list.
    Element {
        /// The list's name; empty where the file is the list.
        list: String,
        /// Counted from 0.
        index: u64,
        /// Where it starts, in bytes; none where the file's bytes say nothing to a person.
        byte: Option<u64>,
    },
    /// An entry of the object that the file is.
    Entry {
        /// Its key.
        key: String,
        /// Where its value starts, in bytes.
        byte: u64,
    },
    /// A file in an archive.
    Member(
        /// Its name.
        String,
    ),
}

impl Position {
    /// A place in a file.
    pub fn new(path: &Path, place: Place) -> Self {
        Self {
            path: path.to_owned(),
            place,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        match &self.place {
            Place::Whole => Ok(()),
            Place::Line(line) => write!(f, ":{line}"),
            Place::Element { list, index, byte } => {
                write!(f, ": {list}[{index}]")?;
                match byte {
                    Some(byte) => write!(f, " at byte {byte}"),
                    None => Ok(()),
                }
            }
            Place::Entry { key, byte } => write!(f, ": {key:?} at byte {byte}"),
            Place::Member(name) => write!(f, ": {name}"),
        }
    }
}

/// A broken record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it is.
    pub position: Position,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.position, self.message)
    }
}

/// Counts what is broken or left out while a data set is read.
#[derive(Debug, Clone)]
pub struct Problems {
    limit: u64,
    broken: u64,
    kept: Vec<Problem>,
    left_out: BTreeMap<&'static str, u64>,
    on_skip: fn(&Problem),
}

impl Default for Problems {
    fn default() -> Self {
        Self::new(DEFAULT_LIMIT)
    }
}

impl Problems {
    /// Lets so many broken records pass; the next one ends the reading.
    pub fn new(limit: u64) -> Self {
        Self::told_to(limit, |_| {})
    }

    /// The same; `on_skip` hears of each that passes as soon as it is found. The one that ends the
    /// reading is in the error.
    pub fn told_to(limit: u64, on_skip: fn(&Problem)) -> Self {
        Self {
            limit,
            broken: 0,
            kept: Vec::new(),
            left_out: BTreeMap::new(),
            on_skip,
        }
    }

    /// How many records were broken.
    pub fn broken(&self) -> u64 {
        self.broken
    }

    /// The first of the broken records that were skipped.
    pub fn kept(&self) -> &[Problem] {
        &self.kept
    }

    /// What was in good order and is not used, in words, and how often.
    pub fn left_out(&self) -> &BTreeMap<&'static str, u64> {
        &self.left_out
    }

    /// Notes a broken record, which the reader then skips, and tells it.
    ///
    /// # Errors
    /// Where that is one more than the limit.
    pub fn report(
        &mut self,
        position: &Position,
        message: &dyn fmt::Display,
    ) -> Result<(), ReadError> {
        self.broken += 1;
        let problem = Problem {
            position: position.clone(),
            message: message.to_string(),
        };
        if self.broken > self.limit {
            return Err(ReadError::TooManyBroken {
                limit: self.limit,
                last: problem.to_string(),
            });
        }
        (self.on_skip)(&problem);
        if self.kept.len() < MOST_KEPT {
            self.kept.push(problem);
        }
        Ok(())
    }

    /// Notes something that is in good order and not used, such as `"regions that are crowds"`.
    pub fn leave_out(&mut self, what: &'static str) {
        *self.left_out.entry(what).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn at(place: Place) -> Position {
        Position::new(Path::new("d/file.json"), place)
    }

    #[test]
    fn one_more_than_the_limit_ends_the_reading() {
        let mut problems = Problems::new(2);
        for line in 1..=2 {
            problems
                .report(&at(Place::Line(line)), &"no picture")
                .unwrap();
        }
        let error = problems
            .report(&at(Place::Line(9)), &"no mask")
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "more than 2 records are broken; the last of them is d/file.json:9: no mask"
        );
        assert_eq!(problems.broken(), 3);
        assert_eq!(problems.kept()[0].to_string(), "d/file.json:1: no picture");
    }

    thread_local! {
        static TOLD: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    }

    #[test]
    fn each_is_told_at_once_and_only_the_first_are_kept() {
        let mut problems = Problems::told_to(500, |problem| {
            TOLD.with_borrow_mut(|told| told.push(problem.to_string()));
        });
        for line in 1..=500 {
            problems.report(&at(Place::Line(line)), &"x").unwrap();
            assert_eq!(TOLD.with_borrow(Vec::len) as u64, line);
        }
        assert_eq!((problems.broken(), problems.kept().len()), (500, MOST_KEPT));
        problems.report(&at(Place::Line(501)), &"x").unwrap_err();
        let told = TOLD.take();
        assert_eq!(told.len(), 500, "the last one is in the error");
        assert_eq!(told[499], "d/file.json:500: x");
    }

    #[test]
    fn places_are_told_so_that_they_can_be_found() {
        let element = |list: &str, byte| Place::Element {
            list: list.to_owned(),
            index: 7,
            byte,
        };
        let shown = |place| at(place).to_string();
        assert_eq!(
            shown(element("annotations", Some(120))),
            "d/file.json: annotations[7] at byte 120"
        );
        assert_eq!(shown(element("", None)), "d/file.json: [7]");
        let key = "a\"b".to_owned();
        assert_eq!(
            shown(Place::Entry { key, byte: 3 }),
            "d/file.json: \"a\\\"b\" at byte 3"
        );
        let member = Place::Member("7.pickle".to_owned());
        assert_eq!(shown(member), "d/file.json: 7.pickle");
        assert_eq!(shown(Place::Whole), "d/file.json");
    }

    #[test]
    fn what_is_left_out_is_counted_apart() {
        let mut problems = Problems::new(0);
        problems.leave_out("regions that are crowds");
        problems.leave_out("regions that are crowds");
        assert_eq!(problems.left_out()["regions that are crowds"], 2);
        assert_eq!(problems.broken(), 0);
    }
}
