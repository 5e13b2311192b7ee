use crate::field::FieldError;
use crate::qwen::PreprocessError;

/// What can go wrong on the way from a request to tensors.
#[derive(Debug, thiserror::Error)]
pub enum FclmError {
    /// The configuration is not valid.
    #[error("the model's config.json is not valid: {0}")]
    Config(String),
    /// A field of the configuration cannot be used, or does not fit the others.
    #[error("the model's config.json is not valid: {0}")]
    Field(#[from] FieldError),
    /// The tokenizer file is not valid.
    #[error("the model's tokenizer.json is not valid: {0}")]
    Tokenizer(String),
    /// The tokenizer lacks a token that FCLM needs.
    #[error("the tokenizer has no token {0}")]
    MissingToken(String),
    /// The chat template failed.
    #[error("the chat template failed: {0}")]
    Template(String),
    /// The picture cannot be brought to the vision tower's grid.
    #[error(transparent)]
    Preprocess(#[from] PreprocessError),
    /// The mask is empty or has another size than the picture.
    #[error("the region's mask is empty or has another size than the picture")]
    Region,
    /// The prompt does not fit.
    #[error(
        "the text is too long for this model ({needed} tokens with the picture, where {capacity} \
         fit); a shorter one helps"
    )]
    TooLong {
        /// Tokens wanted.
        needed: usize,
        /// Tokens that fit.
        capacity: usize,
    },
}
