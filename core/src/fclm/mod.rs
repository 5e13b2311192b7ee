//! FCLM: Qwen2.5-VL, SAM, the region extractor and the projection that joins them.

mod answer;
mod config;
mod error;
#[cfg(test)]
mod gradient;
mod model;
mod names;
pub mod prompt;
mod session;
mod tokenizer;

pub use answer::{AnswerEvent, AnswerReader};
pub use config::{ConsistencyConfig, FclmConfig, LatentSpace, SelfReconstruction, Stage2Tuning};
pub use error::FclmError;
pub use model::{Fclm, ImageFeatures, ScoredLogits, SegProjection};
pub use names::{is_light, name_map, part_of};
pub use session::{PromptPart, Session, StepOutput};
pub use tokenizer::{FclmTokenizer, SPECIAL_TOKENS, SpecialTokens};
