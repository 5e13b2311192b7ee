use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::eval::{data_set::name_of_folder, error::EvalError, protocol::Task, source::DataKind};

/// The layout of the lines and what they mean, so that those of another version are not misread.
/// Version 1 left masks without a pixel out.
pub(super) const FORMAT: u32 = 2;
/// How a header's line begins.
pub(super) const HEADER_OPENING: &str = "{\"format\":";
/// Digits of a hash that tell it from others in a message.
const SHOWN_DIGITS: usize = 12;

/// What samples are of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::eval) struct Header {
    pub(super) format: u32,
    /// The task.
    pub(in crate::eval) task: Task,
    /// The seed that chose what was asked.
    pub(in crate::eval) seed: u64,
    /// The model's name.
    pub(in crate::eval) model: String,
    /// SHA-256 over its weight files, hexadecimal.
    pub(in crate::eval) model_sha256: String,
    /// What the data set is called.
    pub(in crate::eval) data_set: String,
    /// The data set's folder.
    pub(in crate::eval) data: String,
    /// What that folder holds.
    pub(in crate::eval) on: DataKind,
    /// How many of its pictures are asked about.
    pub(in crate::eval) pictures: usize,
}

impl Header {
    /// A header for a data set that is called as its folder.
    pub(in crate::eval) fn new(
        task: Task,
        seed: u64,
        model: String,
        model_sha256: String,
        (data, on, pictures): (String, DataKind, usize),
    ) -> Self {
        Self {
            format: FORMAT,
            task,
            seed,
            model,
            model_sha256,
            data_set: name_of_folder(Path::new(&data)),
            data,
            on,
            pictures,
        }
    }

    /// Refuses to go on with samples of something else. More or fewer pictures of the same data
    /// set are no hindrance. Rendered sets all have the same ids, so the folder tells them apart.
    pub(super) fn refuse_other(&self, there: &Self, path: &Path) -> Result<(), EvalError> {
        let hash =
            |header: &Self| -> String { header.model_sha256.chars().take(SHOWN_DIGITS).collect() };
        let differs = [
            ("task", there.task.to_string(), self.task.to_string()),
            ("seed", there.seed.to_string(), self.seed.to_string()),
            ("model", hash(there), hash(self)),
            (
                "kind of data",
                there.on.name().to_owned(),
                self.on.name().to_owned(),
            ),
            ("data set", there.data.clone(), self.data.clone()),
        ]
        .into_iter()
        .find(|(_, there, here)| there != here);
        match differs {
            None => Ok(()),
            Some((what, there, here)) => Err(EvalError::OtherRun {
                path: path.to_owned(),
                what,
                there,
                here,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_tells_data_sets_apart() {
        let data = ("/sets/scenes".to_owned(), DataKind::Scenes, 3);
        let header = Header::new(Task::Res, 1, "tiny".to_owned(), "00".to_owned(), data);
        assert_eq!(header.data_set, "scenes");
        let mut named = header.clone();
        named.data_set = "Scenes, hard".to_owned();
        assert!(header.refuse_other(&named, Path::new("f")).is_ok());
        named.data = "/hard/scenes".to_owned();
        assert!(header.refuse_other(&named, Path::new("f")).is_err());
    }
}
