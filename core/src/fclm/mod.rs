//! FCLM: Qwen2.5-VL, SAM, the region extractor and the projection that joins them.
//!
//! Without the feature `model` there is only [`prompt`], whose wordings the page shares.

#[cfg(feature = "model")]
mod answer;
#[cfg(feature = "model")]
mod candidates;
#[cfg(feature = "model")]
mod config;
#[cfg(feature = "model")]
mod error;
#[cfg(all(test, feature = "model"))]
mod gradient;
#[cfg(feature = "model")]
mod light;
#[cfg(feature = "model")]
mod model;
#[cfg(feature = "model")]
mod names;
pub mod prompt;
#[cfg(feature = "model")]
pub(crate) mod recompute;
#[cfg(feature = "model")]
mod render;
#[cfg(feature = "model")]
mod session;
#[cfg(feature = "model")]
mod tokenizer;

#[cfg(feature = "model")]
pub use self::{
    answer::{AnswerEvent, AnswerReader},
    candidates::{ScoredMask, candidates},
    config::{ConsistencyConfig, FclmConfig, LatentSpace, SelfReconstruction, Stage2Tuning},
    error::FclmError,
    light::{LightConfig, LightFeatures, LightModel},
    model::{Fclm, ImageFeatures, ScoredLogits, SegProjection},
    names::{is_light, name_map, part_of},
    session::{PromptPart, Session, SessionBatch, StepOutput},
    tokenizer::{FclmTokenizer, SPECIAL_TOKENS, SpecialTokens},
};
