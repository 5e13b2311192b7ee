//! The benchmark's files.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use fclm_core::{
    mask::{MaskError, Rle},
    wire::MaskRle,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::answer::MOST_CHOICES;

const ANNOTATIONS: &str = "annotations.json";
const CLASS_NAMES: &str = "class_names.json";
const QUESTIONS: &str = "qa.json";
const MAX_PIXELS: u64 = 1 << 28;

/// Why the benchmark cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DlcError {
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not in the benchmark's format.
    #[error("{} is not in the format of DLC-Bench: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The files do not belong together, or hold something impossible.
    #[error("region {region} of DLC-Bench {reason}")]
    Region {
        /// The region's id.
        region: String,
        /// What is wrong.
        reason: String,
    },
    /// A mask is broken.
    #[error("the mask of region {region} of DLC-Bench is broken: {source}")]
    Mask {
        /// The region's id.
        region: String,
        /// What is wrong with it.
        source: MaskError,
    },
}

/// A region to be described, and what is asked about its description.
#[derive(Debug, Clone, PartialEq)]
pub struct DlcRegion {
    /// Its id, by which predictions are stored.
    pub id: String,
    /// Id of its picture.
    pub image_id: u64,
    /// The picture's file name.
    pub file_name: String,
    /// The region.
    pub mask: Rle,
    /// What it is.
    pub class_name: String,
    /// Questions about it.
    pub questions: Vec<DlcQuestion>,
}

/// A question with choices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DlcQuestion {
    /// The question.
    pub question: String,
    /// What may be answered, and what that scores.
    pub choices: Vec<(String, f64)>,
    /// Whether it asks for what is there.
    #[serde(rename = "type")]
    pub kind: QuestionKind,
}

/// What a question finds out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QuestionKind {
    /// Whether something that is there is told, and rightly.
    Positive,
    /// Whether something that is not there is made up.
    Negative,
}

#[derive(Deserialize)]
struct Annotations {
    images: Vec<AnnotatedImage>,
    annotations: Vec<Annotation>,
}

#[derive(Deserialize)]
struct AnnotatedImage {
    id: u64,
    file_name: String,
}

#[derive(Deserialize)]
struct Annotation {
    id: u64,
    image_id: u64,
    segmentation: MaskRle,
}

/// Whether a folder looks like the benchmark's.
pub(in crate::eval) fn is_dlc_bench(folder: &Path) -> bool {
    [ANNOTATIONS, QUESTIONS]
        .iter()
        .any(|file| folder.join(file).is_file())
}

/// Reads the benchmark's folder, with `annotations.json`, `class_names.json` and `qa.json`. Regions
/// come in the order of their ids as text.
///
/// # Errors
/// If a file is missing or not in the benchmark's format, or if a region that is asked about has no
/// mask, picture or class name.
pub fn read_dlc_bench(folder: &Path) -> Result<Vec<DlcRegion>, DlcError> {
    let annotations: Annotations = read_json(&folder.join(ANNOTATIONS))?;
    let class_names: BTreeMap<String, String> = read_json(&folder.join(CLASS_NAMES))?;
    let questions: BTreeMap<String, Vec<DlcQuestion>> = read_json(&folder.join(QUESTIONS))?;
    let file_names: BTreeMap<u64, String> = annotations
        .images
        .into_iter()
        .map(|image| (image.id, image.file_name))
        .collect();
    let masks: BTreeMap<String, Annotation> = annotations
        .annotations
        .into_iter()
        .map(|annotation| (annotation.id.to_string(), annotation))
        .collect();
    questions
        .into_iter()
        .map(|(id, questions)| {
            let broken = |reason: String| DlcError::Region {
                region: id.clone(),
                reason,
            };
            let lacks = |what: &str, file: &str| broken(format!("has no {what} in {file}"));
            let annotation = masks.get(&id).ok_or_else(|| lacks("mask", ANNOTATIONS))?;
            let file_name = file_names
                .get(&annotation.image_id)
                .ok_or_else(|| lacks("picture", ANNOTATIONS))?;
            let class_name = class_names
                .get(&id)
                .ok_or_else(|| lacks("class name", CLASS_NAMES))?;
            for question in &questions {
                let count = question.choices.len();
                if !(1..=MOST_CHOICES).contains(&count) {
                    return Err(broken(format!(
                        "has a question with {count} choices; 1 to {MOST_CHOICES} can be judged"
                    )));
                }
            }
            let mask = Rle::from_wire(&annotation.segmentation, MAX_PIXELS).map_err(|source| {
                DlcError::Mask {
                    region: id.clone(),
                    source,
                }
            })?;
            Ok(DlcRegion {
                image_id: annotation.image_id,
                file_name: file_name.clone(),
                mask,
                class_name: class_name.clone(),
                questions,
                id,
            })
        })
        .collect()
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, DlcError> {
    let bytes = fs::read(path).map_err(|source| DlcError::Io {
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_slice(&bytes).map_err(|source| DlcError::Json {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use fclm_core::mask::Mask;
    use serde_json::json;

    use super::*;

    fn question(text: &str, kind: QuestionKind, choices: &[(&str, f64)]) -> DlcQuestion {
        DlcQuestion {
            question: text.to_owned(),
            choices: choices
                .iter()
                .map(|&(choice, score)| (choice.to_owned(), score))
                .collect(),
            kind,
        }
    }

    /// A region with three questions.
    pub(in crate::eval::dlc) fn region() -> DlcRegion {
        DlcRegion {
            id: "7".to_owned(),
            image_id: 1,
            file_name: "a.jpg".to_owned(),
            mask: Rle::from_mask(&Mask::rect(4, 4, [0.0, 0.0, 2.0, 2.0])),
            class_name: "apple".to_owned(),
            questions: vec![
                question(
                    "What colour is it?",
                    QuestionKind::Positive,
                    &[("Red", 1.0), ("Green", -1.0), ("Not told", 0.0)],
                ),
                question(
                    "What about its leaf?",
                    QuestionKind::Positive,
                    &[("One leaf", 1.0), ("A leaf", 0.5)],
                ),
                question(
                    "Is there a worm?",
                    QuestionKind::Negative,
                    &[("A worm is told of", -1.0), ("No worm is told of", 1.0)],
                ),
            ],
        }
    }

    fn write(folder: &Path, file: &str, value: &serde_json::Value) {
        fs::write(folder.join(file), value.to_string()).unwrap();
    }

    /// Writes a benchmark of that region.
    pub(in crate::eval) fn write_bench(folder: &Path) {
        let wire = region().mask.to_wire();
        write(
            folder,
            ANNOTATIONS,
            &json!({
                "images": [{"id": 1, "file_name": "a.jpg", "height": 4, "width": 4}],
                "annotations": [{
                    "id": 7, "image_id": 1, "category_id": 3, "bbox": [0, 0, 2, 2], "area": 4,
                    "iscrowd": 0, "segmentation": wire,
                }],
                "categories": [{"id": 3, "name": "Apple"}],
            }),
        );
        write(folder, CLASS_NAMES, &json!({"7": "apple"}));
        let questions: Vec<_> = region()
            .questions
            .iter()
            .map(|question| {
                let kind = match question.kind {
                    QuestionKind::Positive => "positive",
                    QuestionKind::Negative => "negative",
                };
                json!({
                    "question": question.question, "choices": question.choices, "type": kind,
                    "subtype": "any",
                })
            })
            .collect();
        write(folder, QUESTIONS, &json!({"7": questions}));
    }

    #[test]
    fn the_published_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_dlc_bench(folder.path()));
        write_bench(folder.path());
        assert!(is_dlc_bench(folder.path()));
        assert_eq!(read_dlc_bench(folder.path()).unwrap(), [region()]);
    }

    #[test]
    fn files_that_do_not_fit_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let error = read_dlc_bench(folder.path()).unwrap_err();
        assert!(matches!(error, DlcError::Io { .. }), "{error}");
        write_bench(folder.path());
        write(folder.path(), CLASS_NAMES, &json!({"8": "apple"}));
        let error = read_dlc_bench(folder.path()).unwrap_err();
        assert!(error.to_string().contains("class name"), "{error}");
        write(folder.path(), CLASS_NAMES, &json!({"7": "apple"}));
        let none = json!([{"question": "?", "choices": [], "type": "negative"}]);
        write(folder.path(), QUESTIONS, &json!({"7": none}));
        let error = read_dlc_bench(folder.path()).unwrap_err();
        assert!(error.to_string().contains("0 choices"), "{error}");
        write(folder.path(), QUESTIONS, &json!({"7": [{"question": "?"}]}));
        let error = read_dlc_bench(folder.path()).unwrap_err();
        assert!(matches!(error, DlcError::Json { .. }), "{error}");
    }
}
