use serde::{Deserialize, Serialize};

use super::{FinishReason, FoundRegion, ImageInfo, MaskRle, Region, RunState, Usage};

/// Longest text of a message, in characters.
pub const MAX_TEXT: usize = 4000;

/// How many chats one list holds at most.
pub const CHATS_PER_PAGE: usize = 200;

/// What the user wants of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// A question about marked regions (or, without any, about the picture); text comes back, and
    /// no masks.
    #[default]
    Ask,
    /// A description of something; its mask or masks come back.
    Find,
    /// A caption of the whole picture whose phrases carry masks.
    Caption,
}

/// Who wrote a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The person.
    User,
    /// The model.
    Assistant,
}

/// One message of a chat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Message {
    /// Unguessable id.
    pub id: String,
    /// Who wrote it.
    pub role: Role,
    /// What was asked for.
    pub mode: Mode,
    /// The text as a person reads it: `@k` names region k of the chat, no special tokens.
    pub text: String,
    /// Ids of the regions that a question is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub region_ids: Vec<String>,
    /// Masks that an answer carries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<FoundRegion>,
    /// The run that wrote, or is writing, this answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Where that run stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_state: Option<RunState>,
    /// Why the answer ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish: Option<FinishReason>,
    /// What the answer cost, once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// RFC 3339 time.
    pub created_at: String,
}

/// A chat about one image, whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Chat {
    /// Unguessable id.
    pub id: String,
    /// Short title: the sample's or file's name.
    pub title: String,
    /// The image it is about.
    pub image: ImageInfo,
    /// Regions in the order of their `@k`.
    pub regions: Vec<Region>,
    /// Messages, oldest first.
    pub messages: Vec<Message>,
    /// RFC 3339 time.
    pub created_at: String,
}

/// A chat in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChatSummary {
    /// Unguessable id.
    pub id: String,
    /// Short title.
    pub title: String,
    /// The image it is about.
    pub image: ImageInfo,
    /// RFC 3339 time of the newest message, or of the chat itself.
    pub updated_at: String,
}

/// Body of `POST /api/v1/chats`: exactly one of `image_id` and `sample_id`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateChat {
    /// An uploaded image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    /// A sample scene.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_id: Option<String>,
    /// Title; the server makes one where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// Body of `PUT /api/v1/chats/{id}/regions`: the chat's regions, whole and in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PutRegions {
    /// All regions of the chat.
    pub regions: Vec<Region>,
}

/// What a browser has computed of a region, so that the server need not encode its crop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RegionVector {
    /// The region.
    pub region_id: String,
    /// The mask that it was computed of.
    pub mask: MaskRle,
    /// The region's vector after the extractor's second step.
    pub values: Vec<f32>,
    /// SHA-256 of the weights that it was computed with.
    pub sha256: String,
}

/// Body of `POST /api/v1/chats/{id}/messages`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PostMessage {
    /// What is wanted.
    pub mode: Mode,
    /// Question or description; `@k` and `<region:ID>` name regions. It may be empty in mode
    /// `caption`, and in mode `ask` about regions, which are then described in detail.
    pub text: String,
    /// Regions the question is about, by id; those named in the text count too.
    #[serde(default)]
    pub region_ids: Vec<String>,
    /// Regions that the chat does not hold yet; they are added to it.
    #[serde(default)]
    pub regions: Vec<Region>,
    /// Vectors of regions that the question is about. One that does not fit the model or the
    /// region is passed over, and the server computes it by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub region_vectors: Vec<RegionVector>,
}

/// Answer (202) of `POST /api/v1/chats/{id}/messages`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PostedMessage {
    /// The stored question.
    pub message: Message,
    /// The answer that will fill up.
    pub answer: Message,
    /// The run that writes the answer; follow `/api/v1/runs/{run_id}/events`.
    pub run_id: String,
}
