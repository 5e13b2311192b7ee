//! The types that travel between browser and server, each defined once.
//!
//! Masks travel as COCO RLE in upright original pixels; boxes are `x0, y0, x1, y1`, half-open, in
//! the same pixels; spans count Unicode code points.

mod chat;
mod error;
mod extractor;
mod image;
pub mod mention;
mod model;
mod region;
mod run;

pub use chat::{
    CHATS_PER_PAGE, Chat, ChatSummary, CreateChat, MAX_TEXT, Message, Mode, PostMessage,
    PostedMessage, PutRegions, RegionVector, Role,
};
pub use error::{ApiError, ErrorCode};
pub use extractor::{LightDevice, MaskPrompt, WorkerFailure, WorkerReply, WorkerRequest};
pub use image::{ImageInfo, SampleInfo};
pub use model::{LightInfo, ModelInfo, PartSize, Stage};
pub use region::{
    BoxPx, Counts, MAX_REGION_NAME, MAX_REGIONS, MaskRle, MaskSource, Point, PointLabel, Region,
    RegionMask, SegmentRequest, SegmentResponse,
};
pub use run::{FinishReason, FoundRegion, RunEvent, RunState, Usage};
