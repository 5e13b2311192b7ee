//! How near texts come to what people wrote.
//!
//! * [`ptb`] cuts captions into words as the Penn Treebank does; [`Captioned`] holds what it cut.
//! * [`bleu`], [`rouge`], [`cider`] and [`meteor`] compare a caption with its references, as
//!   [pycocoevalcap](https://github.com/salaniz/pycocoevalcap) does.
//! * [`words`] cleans answers up and compares them as sets of words.
//! * [`bert`] and [`sentence`] turn texts into vectors whose directions tell what they mean.

pub mod bert;
pub mod bleu;
pub mod cider;
pub mod meteor;
mod ngrams;
pub mod ptb;
pub mod rouge;
pub mod sentence;
mod stem;
pub mod words;

/// A picture's caption beside its references, all in words that single spaces part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captioned {
    /// What the model wrote.
    pub candidate: String,
    /// What people wrote.
    pub references: Vec<String>,
}

impl Captioned {
    /// Cuts a caption and its references into words.
    pub fn tokenized(candidate: &str, references: &[impl AsRef<str>]) -> Self {
        Self {
            candidate: ptb::tokenize(candidate),
            references: references
                .iter()
                .map(|reference| ptb::tokenize(reference.as_ref()))
                .collect(),
        }
    }
}

#[cfg(test)]
mod fixtures {
    use std::{collections::BTreeMap, fs};

    use serde::Deserialize;

    use super::Captioned;
    use crate::model_dir::fixtures::fixture;

    /// Captions in words, with what pycocoevalcap says about them.
    #[derive(Debug, Deserialize)]
    pub(super) struct CaptionFixture {
        #[serde(rename = "Bleu")]
        pub(super) bleu: [f64; 4],
        #[serde(rename = "ROUGE_L")]
        pub(super) rouge: f64,
        #[serde(rename = "CIDEr")]
        pub(super) cider: f64,
        #[serde(rename = "CIDEr_per_image")]
        pub(super) cider_per_image: BTreeMap<String, f64>,
        pub(super) items: Vec<CaptionItem>,
    }

    #[derive(Debug, Deserialize)]
    pub(super) struct CaptionItem {
        pub(super) image_id: u64,
        candidate: String,
        references: Vec<String>,
    }

    impl CaptionFixture {
        pub(super) fn read() -> Self {
            let text = fs::read(fixture("captions/coco_caption_metrics.json")).unwrap();
            serde_json::from_slice(&text).unwrap()
        }

        pub(super) fn captions(&self) -> Vec<Captioned> {
            assert!(!self.items.is_empty());
            let captioned = |item: &CaptionItem| Captioned {
                candidate: item.candidate.clone(),
                references: item.references.clone(),
            };
            self.items.iter().map(captioned).collect()
        }
    }
}
