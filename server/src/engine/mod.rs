//! The engine: one thread that owns the model, behind a bounded queue.
//!
//! Answers that are being written take turns token by token, so a long one does not hold up a
//! short one. What a picture and a region cost is kept by content, and the keys and values of a
//! conversation by its chat, so that a second question about the same picture computes only its
//! own tokens. While serving, nothing outside this module calls the model.

mod backend;
mod cache;
mod fclm;
mod found;
mod load;
mod queue;
mod worker;

pub(crate) use self::found::scored_masks;
pub use self::{
    backend::{Backend, BackendError, Prompt, PromptRegion, Step, TokenCounts},
    fclm::{FclmAnswer, FclmBackend},
    load::LoadedModel,
    queue::{
        AskedRegion, Engine, EngineError, EngineOptions, ImageSource, LoadState, Permit, Question,
    },
};
