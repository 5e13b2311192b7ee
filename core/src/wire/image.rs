use serde::{Deserialize, Serialize};

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
