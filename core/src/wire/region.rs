use serde::{Deserialize, Deserializer, Serialize, de::Error};
use serde_json::Value;

/// Most regions of a chat.
pub const MAX_REGIONS: usize = 128;

/// Longest name of a region, in characters.
pub const MAX_REGION_NAME: usize = 64;

/// A box `[x0, y0, x1, y1]`, half-open, in upright original pixels.
pub type BoxPx = [f32; 4];

/// The runs of a COCO RLE: the compressed string, or the plain list of run lengths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum Counts {
    /// The printable form of the COCO mask API.
    Compressed(String),
    /// Run lengths in pixels, column by column, starting with background.
    Runs(Vec<u32>),
}

/// A mask as COCO RLE: runs go column by column and start with background.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MaskRle {
    /// `[height, width]` in pixels.
    pub size: [u32; 2],
    /// The runs.
    pub counts: Counts,
}

/// How a region's mask came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum MaskSource {
    /// SAM turned the box into a mask.
    #[default]
    Box,
    /// The plain rectangle of the box.
    Rectangle,
    /// Painted with brush and eraser.
    Brush,
    /// Returned by the model for a phrase.
    Model,
    /// Imported from a file or a data set.
    Import,
}

/// A region of an image that the user marked, with its name in the conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Region {
    /// Chosen by the client; `[A-Za-z0-9_-]{1,64}`, unique in its chat.
    pub id: String,
    /// What the user calls it; in texts a region is `@k`, its 1-based place in the chat's list.
    pub name: String,
    /// CSS colour `#rrggbb`.
    pub color: String,
    /// The mask, at the image's size.
    pub mask: MaskRle,
    /// The box the user drew, where there was one.
    #[serde(default, rename = "box", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<[f32; 4]>))]
    pub box_px: Option<BoxPx>,
    /// How the mask came to be.
    #[serde(default)]
    pub source: MaskSource,
    /// The model's estimate of the mask's IoU with what was meant, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f32>,
}

/// Whether a point marks the object or what does not belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PointLabel {
    /// On the object.
    Positive,
    /// Off the object.
    Negative,
}

/// A click, in upright original pixels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Point {
    /// Pixels from the left edge.
    pub x: f32,
    /// Pixels from the top edge.
    pub y: f32,
    /// On or off the object.
    pub label: PointLabel,
}

impl Point {
    /// As SAM's prompt encoder takes it: x, y, and 1 on or 0 off the object.
    pub fn labelled(&self) -> (f32, f32, i32) {
        (
            self.x,
            self.y,
            i32::from(self.label == PointLabel::Positive),
        )
    }
}

/// Body of `POST /api/v1/images/{id}/segment`: SAM's own prompts. At least one must be given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SegmentRequest {
    /// A box around the object.
    #[serde(default, rename = "box", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<[f32; 4]>))]
    pub box_px: Option<BoxPx>,
    /// Clicks on and off the object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<Point>,
}

/// A mask with the model's estimate of its IoU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RegionMask {
    /// The mask, at the image's size.
    pub mask: MaskRle,
    /// Tight box around the mask.
    #[serde(rename = "box")]
    #[cfg_attr(feature = "openapi", schema(value_type = [f32; 4]))]
    pub box_px: BoxPx,
    /// Estimated IoU, 0 to 1.
    pub score: f32,
}

/// Answer of `POST /api/v1/images/{id}/segment`: candidates, best first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SegmentResponse {
    /// One to three candidates, best score first.
    pub masks: Vec<RegionMask>,
}

/// Written by hand, because what is derived says of wrong counts only that no variant matches.
impl<'de> Deserialize<'de> for Counts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = match Value::deserialize(deserializer)? {
            Value::String(text) => Some(Self::Compressed(text)),
            Value::Array(values) => values
                .iter()
                .map(run_length)
                .collect::<Option<Vec<u32>>>()
                .map(Self::Runs),
            _ => None,
        };
        read.ok_or_else(|| {
            D::Error::custom(
                "counts must be a COCO RLE string or a list of whole numbers from 0 to 4294967295",
            )
        })
    }
}

fn run_length(value: &Value) -> Option<u32> {
    u32::try_from(value.as_u64()?).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(counts: &Value) -> Result<Counts, serde_json::Error> {
        let text = json!({ "size": [2, 3], "counts": counts }).to_string();
        serde_json::from_str::<MaskRle>(&text).map(|mask| mask.counts)
    }

    #[test]
    fn counts_are_read_in_both_forms_as_they_are_written() {
        for counts in [
            Counts::Compressed("06".to_owned()),
            Counts::Compressed(String::new()),
            Counts::Runs(vec![0, 6]),
            Counts::Runs(vec![u32::MAX]),
            Counts::Runs(Vec::new()),
        ] {
            let written = serde_json::to_value(&counts).expect("it is JSON");
            assert_eq!(read(&written).expect("it is read"), counts);
        }
    }

    #[test]
    fn what_is_wrong_with_counts_is_said_in_a_sentence() {
        for wrong in [
            json!([-1, 7]),
            json!([1.5, 4.5]),
            json!([4_294_967_296_u64]),
            json!(["1", 5]),
            json!([[1], 5]),
            json!([null]),
            json!(6),
            json!(null),
            json!({ "runs": [0, 6] }),
        ] {
            let error = read(&wrong).expect_err("it is refused").to_string();
            let sentence = "counts must be a COCO RLE string or a list of whole numbers from 0";
            assert!(error.starts_with(sentence), "{wrong}: {error}");
        }
    }
}
