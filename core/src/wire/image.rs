use serde::{Deserialize, Serialize};

/// Most bytes of a picture's file that the server takes.
pub const MAX_IMAGE_BYTES: usize = 32 << 20;
/// Most pixels along a side of a picture that the server takes.
pub const MAX_IMAGE_SIDE: u32 = 16_384;
/// Most pixels of a picture that the server takes.
pub const MAX_IMAGE_PIXELS: u64 = 50_000_000;
/// The media type of what the page makes of a picture that the server does not read.
pub const PHOTO_JPEG: &str = "image/jpeg";
/// The JPEG quality of such a picture, 0 to 1.
pub const PHOTO_QUALITY: f64 = 0.95;

/// A stored image. Sizes are those of the upright picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImageInfo {
    /// Unguessable id.
    pub id: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Where its bytes are: `/api/v1/images/{id}`.
    pub url: String,
}

/// A scene that is offered for a first try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SampleInfo {
    /// Stable id.
    pub id: String,
    /// Short title.
    pub title: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Where its picture is.
    pub url: String,
    /// Things to type in Find that are in the scene.
    pub suggestions: Vec<String>,
}
