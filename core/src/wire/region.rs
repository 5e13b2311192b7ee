use serde::{Deserialize, Serialize};

/// Most regions of a chat.
pub const MAX_REGIONS: usize = 32;

/// Longest name of a region, in characters.
pub const MAX_REGION_NAME: usize = 64;

/// A box `[x0, y0, x1, y1]`, half-open, in upright original pixels.
pub type BoxPx = [f32; 4];

/// The runs of a COCO RLE: the compressed string, or the plain list of run lengths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
