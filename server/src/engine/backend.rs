use fclm_core::{
    mask::Mask,
    wire::{ErrorCode, FinishReason, Mode, ModelInfo, RegionMask, RunEvent, SegmentRequest},
};
use image::RgbImage;

/// What the engine needs of a model. The engine decides what is computed when and what is kept;
/// a backend only computes.
pub trait Backend: 'static {
    /// What a picture looks like to the model; cheap to clone.
    type Features: Clone;
    /// A region's tokens; cheap to clone.
    type Region: Clone;
    /// What is kept of a conversation between its answers.
    type Session;
    /// An answer that is being written.
    type Answer;

    /// What is served.
    fn info(&self) -> ModelInfo;

    /// Encodes a picture.
    ///
    /// # Errors
    /// Where the picture's sides do not suit the model.
    fn encode_image(&self, image: &RgbImage) -> Result<Self::Features, BackendError>;

    /// How much memory the features hold.
    fn features_bytes(&self, features: &Self::Features) -> u64;

    /// Encodes a region of an encoded picture.
    ///
    /// # Errors
    /// Where the mask is empty or has another size than the picture.
    fn encode_region(
        &self,
        features: &Self::Features,
        image: &RgbImage,
        mask: &Mask,
    ) -> Result<Self::Region, BackendError>;

    /// Encodes a region whose vector a browser has computed; none where the vector is of no use,
    /// and the region has to be encoded from its pixels.
    ///
    /// # Errors
    /// Where the mask is empty or has another size than the picture.
    fn complete_region(
        &self,
        _features: &Self::Features,
        _mask: &Mask,
        _vector: &[f32],
    ) -> Result<Option<Self::Region>, BackendError> {
        Ok(None)
    }

    /// SAM's own task: candidates for points and a box, best first.
    ///
    /// # Errors
    /// Where the device fails.
    fn segment(
        &self,
        features: &Self::Features,
        request: &SegmentRequest,
    ) -> Result<Vec<RegionMask>, BackendError>;

    /// Computes a prompt. `session` is what the chat's previous answer left.
    ///
    /// # Errors
    /// Where the prompt does not fit.
    fn begin(
        &self,
        prompt: Prompt<'_, Self::Features, Self::Region>,
        session: Option<Self::Session>,
    ) -> Result<Self::Answer, BackendError>;

    /// Writes one token.
    ///
    /// # Errors
    /// Where the device fails.
    fn step(&self, answer: &mut Self::Answer) -> Result<Step, BackendError>;

    /// What has been computed for an answer so far.
    fn counts(&self, answer: &Self::Answer) -> TokenCounts;

    /// Takes back what is worth keeping for the chat's next question.
    fn end(&self, answer: Self::Answer) -> Self::Session;
}

/// A question with everything it is about.
#[derive(Debug, Clone)]
pub struct Prompt<'a, F, R> {
    /// Says which picture it is.
    pub image_key: u64,
    /// The picture.
    pub features: &'a F,
    /// What is wanted.
    pub mode: Mode,
    /// What the person wrote; `@k` names region k.
    pub text: &'a str,
    /// The regions that it is about, in order.
    pub regions: Vec<PromptRegion<R>>,
}

/// A region that a question is about.
#[derive(Debug, Clone)]
pub struct PromptRegion<R> {
    /// Its `@k`.
    pub number: usize,
    /// Says which region of which picture it is.
    pub key: u64,
    /// Its tokens.
    pub tokens: R,
}

/// What one token added.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Step {
    /// Text and masks.
    pub events: Vec<RunEvent>,
    /// Set with the last step.
    pub finish: Option<FinishReason>,
}

/// Tokens of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TokenCounts {
    /// Tokens of the prompt, the picture's included.
    pub prompt: u32,
    /// Those of them that were at hand.
    pub cached: u32,
    /// Tokens written.
    pub written: u32,
}

/// Why a backend could not compute.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The request asks for what cannot be done; the sentence is for the person.
    #[error("{message}")]
    Refused {
        /// What is wrong.
        code: ErrorCode,
        /// One sentence that says what to do.
        message: String,
    },
    /// The model or its device failed.
    #[error("the model failed: {0}")]
    Failed(Box<dyn std::error::Error + Send + Sync>),
}
