//! Our own format: `pictures.jsonl`, one picture with all that is known about it per line.
//!
//! Every published data set is converted into it, rendered scenes are read as it, and training and
//! evaluation read nothing else.

use fclm_core::{
    mask::{Mask, MaskError, Rle},
    wire::MaskRle,
};
use serde::{Deserialize, Serialize};

/// Name of the file that describes the pictures of a folder.
pub const PICTURES_FILE: &str = "pictures.jsonl";
/// Largest picture whose masks are read.
pub(super) const MAX_MASK_PIXELS: u64 = 1 << 28;

/// One picture, one line of `pictures.jsonl`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PictureRecord {
    /// Unique in the data set.
    pub id: String,
    /// The picture's file: relative to the data set's folder, or absolute where the pictures were
    /// left where they are.
    pub image: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// What is marked in it. Everything else names regions by their places in this list, from 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<RegionRecord>,
    /// Texts that mean regions, or nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expressions: Vec<ExpressionRecord>,
    /// Questions about regions that are answered in text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub questions: Vec<QuestionRecord>,
    /// Captions whose phrases mean regions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grounded: Vec<GroundedRecord>,
    /// Captions of the whole picture.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub captions: Vec<String>,
}

/// A marked region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegionRecord {
    /// The id that it has in its data set.
    pub id: String,
    /// Its pixels, at the picture's size.
    pub mask: MaskRle,
    /// Pixels that count neither for nor against it, such as those marked "ignore".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore: Option<MaskRle>,
    /// What it is, in a word or a phrase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Descriptions, short or long.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub descriptions: Vec<DescriptionRecord>,
}

/// What is said about a region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DescriptionRecord {
    /// The text.
    pub text: String,
    /// How long it is meant to be.
    pub length: DescriptionLength,
}

/// How long a description is meant to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DescriptionLength {
    /// A phrase or a short sentence.
    Brief,
    /// Everything that can be seen.
    Detailed,
}

/// A text that means regions of the picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpressionRecord {
    /// What somebody would type.
    pub text: String,
    /// What it is like.
    pub kind: ExpressionKind,
    /// What it means; nothing where the text fits nothing in the picture.
    pub targets: Vec<usize>,
    /// The data set's own answer, with one `{seg}` where each target is named (MUSE).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Whether it is a sentence, a long query, or a phrase, a short one (ReasonSeg).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_sentence: Option<bool>,
}

/// What an expression is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExpressionKind {
    /// A short referring expression (RefCOCO, gRefCOCO).
    Short,
    /// A detailed description that was turned into an expression (DL-RES).
    Detailed,
    /// A question or sentence that has to be reasoned about; its targets are one mask (ReasonSeg).
    Reasoning,
    /// A question that asks for several masks, each of its own (MUSE).
    Multiple,
}

/// A question about regions that is answered in text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuestionRecord {
    /// The question; `<region:K>` stands for the K-th region of the picture's list, from 0.
    pub question: String,
    /// The answer, with regions named likewise.
    pub answer: String,
    /// The regions it is about, in the order in which they are first named.
    pub regions: Vec<usize>,
}

/// A caption whose phrases mean regions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroundedRecord {
    /// The whole text.
    pub text: String,
    /// Its phrases, in the order of the text; they do not overlap.
    pub phrases: Vec<PhraseRecord>,
    /// How many labels the data set gives it where labels are kept with regions, as their categories
    /// (GranD-f's files for evaluation). There may be more of them than regions, or fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<usize>,
}

/// A phrase of a grounded caption.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhraseRecord {
    /// First code point.
    pub start: usize,
    /// One past the last code point.
    pub end: usize,
    /// The regions it means.
    pub targets: Vec<usize>,
}

/// What is wrong with a picture's record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not JSON of the right layout.
    #[error("not a picture: {0}")]
    Json(#[from] serde_json::Error),
    /// A mask that cannot be decoded.
    #[error("region {region}: the mask is broken: {source}")]
    Mask {
        /// The region's id.
        region: String,
        /// What is wrong with it.
        source: MaskError,
    },
    /// A mask of another size than the picture.
    #[error("region {region}: the mask is {}x{}, the picture {width}x{height}", found[1], found[0])]
    MaskSize {
        /// The region's id.
        region: String,
        /// Height and width of the mask.
        found: [u32; 2],
        /// Width of the picture.
        width: u32,
        /// Height of the picture.
        height: u32,
    },
    /// A place in the list of regions that is past its end.
    #[error("region {0} is named, but the picture has only {1}")]
    NoRegion(usize, usize),
    /// A phrase that is no part of its text, or overlaps the one before.
    #[error("the phrase {start}..{end} is no part of its caption, or overlaps another one")]
    Phrase {
        /// First code point.
        start: usize,
        /// One past the last code point.
        end: usize,
    },
    /// A picture's size that is no size.
    #[error("a picture of {0}x{1} cannot be")]
    Size(u32, u32),
}

impl PictureRecord {
    /// Reads a line and checks what its layout leaves open.
    ///
    /// # Errors
    /// Where the line is no picture, or its parts do not fit each other.
    pub fn from_line(line: &str) -> Result<Self, RecordError> {
        let record: Self = serde_json::from_str(line)?;
        record.check()?;
        Ok(record)
    }

    /// Checks that masks have the picture's size, and that everything that is named is there. No
    /// mask is drawn for it.
    ///
    /// # Errors
    /// At the first part that does not fit.
    pub fn check(&self) -> Result<(), RecordError> {
        if self.width == 0 || self.height == 0 {
            return Err(RecordError::Size(self.width, self.height));
        }
        for region in &self.regions {
            self.run_lengths(region, &region.mask)?;
            if let Some(ignore) = &region.ignore {
                self.run_lengths(region, ignore)?;
            }
        }
        let expressions = self.expressions.iter().flat_map(|e| &e.targets);
        let questions = self.questions.iter().flat_map(|q| &q.regions);
        let phrases = self.grounded.iter().flat_map(|g| &g.phrases);
        let named = expressions
            .chain(questions)
            .chain(phrases.flat_map(|phrase| &phrase.targets));
        let count = self.regions.len();
        for &place in named {
            if place >= count {
                return Err(RecordError::NoRegion(place, count));
            }
        }
        self.grounded.iter().try_for_each(GroundedRecord::check)
    }

    /// The pixels of a region.
    ///
    /// # Errors
    /// Where the mask is broken or of another size than the picture.
    ///
    /// # Panics
    /// If there is no region at that place.
    pub fn mask(&self, place: usize) -> Result<Mask, RecordError> {
        Ok(self.rle(place)?.to_mask())
    }

    /// The run lengths of a region's mask, which take much less memory than its pixels.
    ///
    /// # Errors
    /// As [`PictureRecord::mask`].
    ///
    /// # Panics
    /// If there is no region at that place.
    pub fn rle(&self, place: usize) -> Result<Rle, RecordError> {
        let region = &self.regions[place];
        self.run_lengths(region, &region.mask)
    }

    /// The pixels that count neither for nor against a region.
    ///
    /// # Errors
    /// Where the mask is broken or of another size than the picture.
    ///
    /// # Panics
    /// If there is no region at that place.
    pub fn ignore(&self, place: usize) -> Result<Option<Mask>, RecordError> {
        let region = &self.regions[place];
        region
            .ignore
            .as_ref()
            .map(|mask| Ok(self.run_lengths(region, mask)?.to_mask()))
            .transpose()
    }

    fn run_lengths(&self, region: &RegionRecord, mask: &MaskRle) -> Result<Rle, RecordError> {
        if mask.size != [self.height, self.width] {
            return Err(RecordError::MaskSize {
                region: region.id.clone(),
                found: mask.size,
                width: self.width,
                height: self.height,
            });
        }
        Rle::from_wire(mask, MAX_MASK_PIXELS).map_err(|source| RecordError::Mask {
            region: region.id.clone(),
            source,
        })
    }
}

impl GroundedRecord {
    fn check(&self) -> Result<(), RecordError> {
        let length = self.text.chars().count();
        let mut free = 0;
        for phrase in &self.phrases {
            let PhraseRecord { start, end, .. } = *phrase;
            if start < free || start >= end || end > length {
                return Err(RecordError::Phrase { start, end });
            }
            free = end;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"id": "7", "image": "images/7.jpg", "width": 4, "height": 3,
        "regions": [{"id": "70", "mask": {"size": [3, 4], "counts": [0, 3, 9]}, "category": "cup"}],
        "expressions": [{"text": "the cup", "kind": "short", "targets": [0]},
                        {"text": "the dog", "kind": "short", "targets": []}],
        "grounded": [{"text": "A cup.", "phrases": [{"start": 0, "end": 5, "targets": [0]}]}]}"#;

    fn changed(from: &str, to: &str) -> String {
        assert!(LINE.contains(from));
        let line = LINE.replacen(from, to, 1);
        PictureRecord::from_line(&line).unwrap_err().to_string()
    }

    #[test]
    fn a_line_is_read_back() {
        let record = PictureRecord::from_line(LINE).unwrap();
        assert_eq!(record.mask(0).unwrap().area(), 3);
        assert_eq!(record.rle(0).unwrap().runs(), [0, 3, 9]);
        assert_eq!(record.ignore(0).unwrap(), None);
        let line = serde_json::to_string(&record).unwrap();
        assert!(!line.contains("questions"), "{line}");
        assert_eq!(PictureRecord::from_line(&line).unwrap(), record);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        assert!(changed("[3, 4]", "[4, 3]").contains("region 70: the mask is 3x4"));
        assert!(changed("[0, 3, 9]", "[0, 3, 8]").contains("region 70: the mask is broken"));
        let ignored = r#""ignore": {"size": [3, 4], "counts": [13]}, "category""#;
        assert!(changed("\"category\"", ignored).contains("region 70: the mask is broken"));
        assert!(changed("\"targets\": [0]", "\"targets\": [1]").contains("region 1 is named"));
        assert!(changed("\"end\": 5", "\"end\": 7").contains("0..7"));
        assert!(changed("\"start\": 0", "\"start\": 5").contains("5..5"));
        assert!(changed("\"width\": 4", "\"width\": 0").contains("0x3"));
        assert!(changed("\"height\"", "\"heigth\"").contains("not a picture"));
    }
}
