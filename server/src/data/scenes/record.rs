//! What `scenes.jsonl` says about a scene and its objects.

use std::fmt;

use fclm_core::{
    mask::{Mask, MaskError, Rle},
    wire::{BoxPx, MaskRle},
};
use serde::{Deserialize, Serialize};

use super::{
    grammar::{Caption, Question, ReferKind},
    sample::AnnotatedScene,
    view::Relation,
    vocabulary::Attributes,
};

/// Largest picture whose masks are read.
const MAX_MASK_PIXELS: u64 = 1 << 26;

/// One line of `scenes.jsonl`.
///
/// Objects are named by their places in the list throughout, whatever ids the file gives them: the
/// records that have an `Id` are read with a [`RecordId`] first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SceneRecord {
    /// The scene's id; in data sets of our own its place, from 0.
    pub id: RecordId,
    /// The picture, relative to the folder.
    pub image: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The objects; their ids are their places in this list.
    pub objects: Vec<ObjectRecord>,
    /// Every clear relation between two objects.
    pub relations: Vec<RelationRecord>,
    /// Texts about single objects.
    pub regions: Vec<RegionRecord>,
    /// Expressions with the objects they mean.
    pub refs: Vec<RefRecord>,
    /// Grounded captions of the picture.
    pub captions: Vec<Caption>,
    /// Questions about single objects.
    pub questions: Vec<Question>,
}

/// An id as it stands in a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged, expecting = "an id is a number from 0 or a word")]
pub enum RecordId {
    /// A running number.
    Number(u64),
    /// A name.
    Word(String),
}

/// An object of a scene.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObjectRecord<Id = usize> {
    /// Its place in the list of objects.
    pub id: Id,
    /// Its visible pixels.
    pub mask: MaskRle,
    /// Tight box around them; zeros where nothing of it is seen.
    #[serde(rename = "box")]
    pub box_px: BoxPx,
    /// What it is.
    #[serde(flatten)]
    pub attributes: Attributes,
    /// Share of it that is not hidden behind another object.
    pub visible: f32,
}

/// How one object lies to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelationRecord<Id = usize> {
    /// The object that lies so.
    pub subject: Id,
    /// How it lies.
    pub relation: Relation,
    /// The object it lies so to.
    pub object: Id,
}

/// Texts about one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionRecord<Id = usize> {
    /// The object.
    pub object: Id,
    /// Colour, material and shape.
    pub category: String,
    /// A noun phrase.
    pub brief: String,
    /// One or two sentences that fit no other object.
    pub detailed: String,
}

/// An expression with the objects it means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefRecord {
    /// What somebody would type.
    pub text: String,
    /// What it is like.
    pub kind: ReferKind,
    /// The objects, in order.
    pub targets: Vec<usize>,
}

/// What is wrong with an object of a scene.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// A mask that cannot be decoded.
    #[error("the mask is broken: {0}")]
    Mask(#[from] MaskError),
    /// A mask of another size than the picture.
    #[error("the mask is {}x{}, the picture {width}x{height}", found[1], found[0])]
    MaskSize {
        /// Height and width of the mask.
        found: [u32; 2],
        /// Width of the picture.
        width: u32,
        /// Height of the picture.
        height: u32,
    },
    /// A box that is none, or that the picture does not hold.
    #[error("the box {found:?} {reason}; the picture is {width}x{height}")]
    Box {
        /// The box.
        found: BoxPx,
        /// What is wrong with it.
        reason: &'static str,
        /// Width of the picture.
        width: u32,
        /// Height of the picture.
        height: u32,
    },
}

impl RecordId {
    /// A number that stands for the id where something is drawn by it: the number that it is or
    /// spells, or the FNV-1a hash of the word.
    pub fn number(&self) -> u64 {
        match self {
            Self::Number(number) => *number,
            Self::Word(word) => word.parse().unwrap_or_else(|_| {
                word.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
                    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
                })
            }),
        }
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Word(word) => f.write_str(word),
        }
    }
}

impl SceneRecord {
    /// What is known about a scene, as a line of `scenes.jsonl`.
    pub fn new(id: u64, scene: &AnnotatedScene) -> Self {
        let AnnotatedScene { drawn, annotations } = scene;
        let objects = drawn
            .masks
            .iter()
            .enumerate()
            .map(|(object, mask)| ObjectRecord {
                id: object,
                mask: mask.to_wire(),
                box_px: mask.bounds().unwrap_or_default(),
                attributes: drawn.view.objects[object].attributes,
                visible: (drawn.visible[object] * 1e4).round() / 1e4,
            })
            .collect();
        Self {
            id: RecordId::Number(id),
            image: format!("images/{id:06}.png"),
            width: drawn.image.width(),
            height: drawn.image.height(),
            objects,
            relations: annotations
                .relations
                .iter()
                .map(|&(subject, relation, object)| RelationRecord {
                    subject,
                    relation,
                    object,
                })
                .collect(),
            regions: annotations
                .descriptions
                .iter()
                .map(|text| RegionRecord {
                    object: text.object,
                    category: text.category.clone(),
                    brief: text.brief.clone(),
                    detailed: text.detailed.clone(),
                })
                .collect(),
            refs: annotations
                .refs
                .iter()
                .map(|expression| RefRecord {
                    text: expression.text.clone(),
                    kind: expression.kind,
                    targets: expression.targets.clone(),
                })
                .collect(),
            captions: annotations.captions.clone(),
            questions: annotations.questions.clone(),
        }
    }

    /// The mask of every object.
    pub fn masks(&self) -> Result<Vec<Mask>, ObjectError> {
        self.objects
            .iter()
            .map(|object| Ok(object.rle_for(self.width, self.height)?.to_mask()))
            .collect()
    }
}

impl<Id> ObjectRecord<Id> {
    /// Checks mask and box against the size of the picture.
    pub(super) fn check(&self, width: u32, height: u32) -> Result<(), ObjectError> {
        let mask = self.rle_for(width, height)?;
        let [x0, y0, x1, y1] = self.box_px;
        let is_unseen = mask.area() == 0 && self.box_px == [0.0; 4];
        let reason = if self.box_px.iter().any(|value| !value.is_finite()) {
            "holds what is no finite number"
        } else if !is_unseen && (x0 >= x1 || y0 >= y1) {
            "is empty, as x0 must be less than x1 and y0 less than y1"
        } else if x0 < 0.0 || y0 < 0.0 || x1 > width as f32 || y1 > height as f32 {
            "reaches out of the picture"
        } else {
            return Ok(());
        };
        Err(ObjectError::Box {
            found: self.box_px,
            reason,
            width,
            height,
        })
    }

    fn rle_for(&self, width: u32, height: u32) -> Result<Rle, ObjectError> {
        if self.mask.size != [height, width] {
            return Err(ObjectError::MaskSize {
                found: self.mask.size,
                width,
                height,
            });
        }
        Ok(Rle::from_wire(&self.mask, MAX_MASK_PIXELS)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_as_they_are_and_counted_alike() {
        let word = |word: &str| RecordId::Word(word.to_owned());
        for (id, json) in [
            (RecordId::Number(7), "7"),
            (word("000007"), "\"000007\""),
            (word("kitchen"), "\"kitchen\""),
        ] {
            assert_eq!(serde_json::to_string(&id).unwrap(), json);
            assert_eq!(serde_json::from_str::<RecordId>(json).unwrap(), id);
        }
        assert_eq!(word("000007").number(), 7);
        assert_ne!(word("kitchen").number(), word("garden").number());
        let wrong = serde_json::from_str::<RecordId>("[1]").unwrap_err();
        assert!(wrong.to_string().contains("a number from 0 or a word"));
    }
}
