use serde::{Deserialize, Serialize};

use super::{ApiError, BoxPx, MaskRle};

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Waiting for the engine.
    Queued,
    /// Being computed.
    Running,
    /// Finished; the answer is whole.
    Done,
    /// Stopped by the user; the answer is what was there.
    Stopped,
    /// Failed; the answer is what was there.
    Failed,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model ended it.
    Stop,
    /// The token limit was reached.
    Length,
    /// The user stopped it.
    Cancelled,
    /// It failed.
    Error,
}

/// A mask that an answer carries, tied to the phrase it belongs to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FoundRegion {
    /// The phrase; for a plain Find answer the description that was searched for.
    pub phrase: String,
    /// First code point of the phrase in the answer's text.
    pub start: u32,
    /// One past the last code point of the phrase.
    pub end: u32,
    /// Estimated IoU, 0 to 1.
    pub score: f32,
    /// Tight box around the mask.
    #[serde(rename = "box")]
    #[cfg_attr(feature = "openapi", schema(value_type = [f32; 4]))]
    pub box_px: BoxPx,
    /// The mask, at the image's size.
    pub mask: MaskRle,
}

/// What an answer cost.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Usage {
    /// Tokens of the prompt, image tokens included.
    pub prompt_tokens: u32,
    /// Prompt tokens whose keys and values were still at hand.
    pub cached_tokens: u32,
    /// Tokens that the model wrote.
    pub completion_tokens: u32,
    /// Milliseconds from the start of the computation to the first token.
    pub first_token_ms: u32,
    /// Milliseconds of computation in all.
    pub total_ms: u32,
}

/// One event of a run. As SSE the variant's name is the event's name, the content its data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "event", content = "data", rename_all = "snake_case")]
pub enum RunEvent {
    /// Still waiting.
    Queue {
        /// Runs ahead of this one.
        position: u32,
        /// Estimated milliseconds until it starts.
        eta_ms: u32,
    },
    /// More text.
    Text {
        /// What is added to the answer's end.
        delta: String,
    },
    /// A mask.
    Region(FoundRegion),
    /// What it cost.
    Usage(Usage),
    /// The end of the answer.
    Done {
        /// Why it ended.
        finish: FinishReason,
    },
    /// The end of the answer, with what went wrong.
    Error(ApiError),
}

impl RunEvent {
    /// The SSE event name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Queue { .. } => "queue",
            Self::Text { .. } => "text",
            Self::Region(_) => "region",
            Self::Usage(_) => "usage",
            Self::Done { .. } => "done",
            Self::Error(_) => "error",
        }
    }

    /// Whether nothing comes after this event.
    pub fn is_last(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::Error(_))
    }
}
