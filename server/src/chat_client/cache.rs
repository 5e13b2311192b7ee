//! Answers kept on disk.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ChatAnswer, ChatError};
use crate::disk;

/// One file for each answer, named after the hash of what was asked.
#[derive(Debug)]
pub(super) struct Cache {
    pub(super) folder: PathBuf,
}

/// A file of the cache. The request is kept so that a person can read what was asked.
#[derive(Serialize, Deserialize)]
struct Kept<R, A> {
    request: R,
    answer: A,
}

impl Cache {
    /// By the first byte of the hash, so that no folder holds millions of files.
    fn file(&self, address: &str) -> PathBuf {
        let shard: String = address.chars().take(2).collect();
        self.folder.join(shard).join(format!("{address}.json"))
    }

    /// What was answered before. A file that is broken counts for none, and is written anew.
    pub(super) fn get(
        &self,
        address: &str,
        request: &Value,
    ) -> Result<Option<ChatAnswer>, ChatError> {
        let path = self.file(address);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(ChatError::Cache {
                    action: "read",
                    path,
                    source,
                });
            }
        };
        let kept: Option<Kept<Value, ChatAnswer>> = serde_json::from_slice(&bytes).ok();
        Ok(kept
            .filter(|kept| kept.request == *request)
            .map(|kept| kept.answer))
    }

    /// Keeps an answer.
    pub(super) fn put(
        &self,
        address: &str,
        request: &Value,
        answer: &ChatAnswer,
    ) -> Result<(), ChatError> {
        let path = self.file(address);
        let kept = json!(Kept { request, answer }).to_string();
        let folder = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder)
            .and_then(|()| disk::write_whole(&path, |file| file.write_all(kept.as_bytes())))
            .map_err(|source| ChatError::Cache {
                action: "write",
                path: path.clone(),
                source,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "0badcafe";

    fn answer(text: &str) -> ChatAnswer {
        ChatAnswer {
            text: text.to_owned(),
            whole: true,
        }
    }

    #[test]
    fn an_answer_is_found_again_by_its_request_only() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache {
            folder: folder.path().join("answers"),
        };
        let request = json!({"model": "judge"});
        assert_eq!(cache.get(ADDRESS, &request).unwrap(), None);
        cache.put(ADDRESS, &request, &answer("yes")).unwrap();
        assert_eq!(cache.get(ADDRESS, &request).unwrap(), Some(answer("yes")));
        assert!(cache.file(ADDRESS).ends_with("answers/0b/0badcafe.json"));
        let other = json!({"model": "other"});
        assert_eq!(cache.get(ADDRESS, &other).unwrap(), None);
    }

    #[test]
    fn a_broken_file_counts_for_none_and_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache {
            folder: folder.path().to_owned(),
        };
        let request = json!({"model": "judge"});
        cache.put(ADDRESS, &request, &answer("yes")).unwrap();
        let file = cache.file(ADDRESS);
        let kept = fs::read(&file).unwrap();
        fs::write(&file, &kept[..kept.len() / 2]).unwrap();
        assert_eq!(cache.get(ADDRESS, &request).unwrap(), None);
        cache.put(ADDRESS, &request, &answer("no")).unwrap();
        assert_eq!(cache.get(ADDRESS, &request).unwrap(), Some(answer("no")));
    }

    #[test]
    fn a_place_that_takes_no_files_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let cache = Cache { folder: file };
        let error = cache.put(ADDRESS, &json!({}), &answer("yes")).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("0badcafe.json") && text.contains("write"),
            "{text}"
        );
    }
}
