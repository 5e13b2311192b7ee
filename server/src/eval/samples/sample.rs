use fclm_core::{
    mask::{Mask, MaskError, Rle},
    wire::{FoundRegion, MaskRle},
};
use serde::{Deserialize, Serialize};

use crate::predict::{Found, ScoredMask};

/// Largest picture whose masks are read.
const MAX_MASK_PIXELS: u64 = 1 << 28;

/// The samples of one picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::eval) struct PictureSamples<D> {
    /// Its place in the data set, from 0.
    pub(in crate::eval) picture: usize,
    /// Its id.
    pub(in crate::eval) id: String,
    /// Its file.
    pub(in crate::eval) image: String,
    /// What it was asked.
    pub(in crate::eval) samples: Vec<Sample<D>>,
}

/// One thing that was asked of a picture, with what the task's figures need.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::eval) struct Sample<D> {
    /// What can be shown of it.
    #[serde(flatten)]
    pub(in crate::eval) exchange: Exchange,
    /// What is the task's own.
    pub(in crate::eval) detail: D,
}

/// A question with its answer and with the truth.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::eval) struct Exchange {
    /// What was asked.
    pub(in crate::eval) asked: String,
    /// What the model wrote.
    pub(in crate::eval) answer: String,
    /// Why the model would not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::eval) refusal: Option<String>,
    /// What it should have written; one of these is as good as another.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::eval) expected: Vec<String>,
    /// The region that was asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::eval) region: Option<StoredMask>,
    /// Pixels that count on no side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::eval) ignored: Option<StoredMask>,
    /// The masks that it should have drawn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::eval) truths: Vec<MarkedMask>,
    /// Those that it has drawn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::eval) drawn: Vec<MarkedMask>,
}

/// A mask with what is said about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::eval) struct MarkedMask {
    /// The mask.
    pub(in crate::eval) mask: StoredMask,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::eval) phrase: Option<String>,
    /// The model's estimate of its IoU, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::eval) score: Option<f32>,
}

/// A mask as run lengths, which travels as COCO has them. What is read has been checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "MaskRle", into = "MaskRle")]
pub(in crate::eval) struct StoredMask(Rle);

impl StoredMask {
    /// A raster's run lengths.
    pub(in crate::eval) fn of(mask: &Mask) -> Self {
        Self(Rle::from_mask(mask))
    }

    /// The run lengths.
    pub(in crate::eval) fn rle(&self) -> &Rle {
        &self.0
    }

    /// The raster.
    pub(in crate::eval) fn mask(&self) -> Mask {
        self.0.to_mask()
    }

    /// Width and height in pixels.
    pub(in crate::eval) fn size(&self) -> (u32, u32) {
        (self.0.width(), self.0.height())
    }
}

impl TryFrom<MaskRle> for StoredMask {
    type Error = MaskError;

    fn try_from(mask: MaskRle) -> Result<Self, MaskError> {
        Rle::from_wire(&mask, MAX_MASK_PIXELS).map(Self)
    }
}

impl From<StoredMask> for MaskRle {
    fn from(mask: StoredMask) -> Self {
        mask.0.to_wire()
    }
}

impl MarkedMask {
    /// A true mask.
    pub(in crate::eval) fn truth(mask: &Mask, phrase: Option<String>) -> Self {
        Self {
            mask: StoredMask::of(mask),
            phrase,
            score: None,
        }
    }

    /// What was drawn without a phrase.
    pub(in crate::eval) fn scored(drawn: &ScoredMask) -> Self {
        Self {
            mask: StoredMask::of(&drawn.mask),
            phrase: None,
            score: Some(finite(drawn.score)),
        }
    }

    fn found(region: &FoundRegion) -> Self {
        let mask = StoredMask::try_from(region.mask.clone())
            .expect("the model's masks have the picture's size");
        Self {
            mask,
            phrase: Some(region.phrase.clone()),
            score: Some(finite(region.score)),
        }
    }

    /// Everything that was found.
    pub(in crate::eval) fn all_found(found: &Found) -> Vec<Self> {
        found.regions.iter().map(Self::found).collect()
    }
}

/// JSON has no place for what is no number.
pub(in crate::eval) fn finite(value: f32) -> f32 {
    if value.is_finite() { value } else { 0.0 }
}

impl Exchange {
    /// Whether all masks are of one size, so that they can be compared.
    pub(super) fn has_one_size(&self) -> bool {
        let marked = self.truths.iter().chain(&self.drawn);
        let mut sizes = marked
            .map(|marked| &marked.mask)
            .chain(&self.region)
            .chain(&self.ignored)
            .map(StoredMask::size);
        let first = sizes.next();
        sizes.all(|size| Some(size) == first)
    }

    /// Everything that was drawn, as one mask of that size.
    pub(in crate::eval) fn union_drawn(&self, (width, height): (u32, u32)) -> Mask {
        let mut union = Mask::new(width, height);
        for drawn in &self.drawn {
            union.union_with(&drawn.mask.mask());
        }
        union
    }

    /// Mean estimated IoU of what was drawn; none where nothing was.
    pub(in crate::eval) fn score(&self) -> Option<f64> {
        let sum: f32 = self.drawn.iter().filter_map(|drawn| drawn.score).sum();
        (!self.drawn.is_empty()).then(|| f64::from(sum / self.drawn.len() as f32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(width: u32, phrase: &str, score: f32) -> MarkedMask {
        MarkedMask {
            mask: StoredMask::of(&Mask::rect(width, 2, [0.0, 0.0, 1.0, 2.0])),
            phrase: Some(phrase.to_owned()),
            score: Some(score),
        }
    }

    #[test]
    fn samples_are_read_back_with_their_masks_as_run_lengths() {
        let sample = Sample {
            exchange: Exchange {
                asked: "the cup".to_owned(),
                answer: "the cup".to_owned(),
                truths: vec![MarkedMask::truth(&Mask::new(3, 2), None)],
                drawn: vec![marked(3, "the cup", 0.1)],
                ..Exchange::default()
            },
            detail: [7u8, 8],
        };
        let line = serde_json::to_string(&sample).unwrap();
        for part in [
            r#""truths":[{"mask":{"size":[2,3],"counts":"6"}}]"#,
            r#""phrase":"the cup","score":0.1"#,
            r#""detail":[7,8]"#,
        ] {
            assert!(line.contains(part), "{part} is not in {line}");
        }
        assert!(!line.contains("refusal"), "{line}");
        assert_eq!(
            serde_json::from_str::<Sample<[u8; 2]>>(&line).unwrap(),
            sample
        );
        let broken = line.replace("[2,3]", "[2,4]");
        let error = serde_json::from_str::<Sample<[u8; 2]>>(&broken).unwrap_err();
        assert!(error.to_string().contains("6 pixels"), "{error}");
    }

    #[test]
    fn sizes_are_compared_and_scores_are_means() {
        let mut exchange = Exchange {
            drawn: vec![marked(3, "", 0.25), marked(3, "", 0.75)],
            ..Exchange::default()
        };
        assert!(exchange.has_one_size());
        assert_eq!(exchange.score(), Some(0.5));
        assert_eq!(exchange.union_drawn((3, 2)).area(), 2);
        exchange.region = Some(StoredMask::of(&Mask::new(4, 2)));
        assert!(!exchange.has_one_size());
        assert_eq!(Exchange::default().score(), None);
        assert_eq!((finite(f32::NAN), finite(0.5)), (0.0, 0.5));
    }
}
