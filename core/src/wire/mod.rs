//! The types that travel between browser and server, each defined once.
//!
//! Masks travel as COCO RLE in upright original pixels; boxes are `x0, y0, x1, y1`, half-open, in
//! the same pixels; spans count Unicode code points.

mod chat;
mod error;
mod extractor;
mod heic;
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
pub use extractor::{
    LightDevice, MaskPrompt, PictureView, WorkerFailure, WorkerReply, WorkerRequest,
};
pub use heic::HeicFailure;
pub use image::{
    ImageInfo, MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS, MAX_IMAGE_SIDE, PHOTO_JPEG, PHOTO_QUALITY,
    SampleInfo,
};
pub use model::{LightInfo, ModelInfo, PartSize, Stage};
pub use region::{
    BoxPx, Counts, MAX_REGION_NAME, MAX_REGIONS, MaskRle, MaskSource, Point, PointLabel, Region,
    RegionMask, SegmentRequest, SegmentResponse,
};
pub use run::{FinishReason, FoundRegion, RunEvent, RunState, Usage};
