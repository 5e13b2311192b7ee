use tokenizers::Tokenizer;

use super::error::FclmError;

/// Tokens that FCLM adds after the published ones, in the order of their ids.
pub const SPECIAL_TOKENS: [&str; 5] = ["<mask>", "<pos>", "[SEG]", "<p>", "</p>"];

/// Ids of the tokens that mean something to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpecialTokens {
    /// `<mask>`: the place of a region's semantic token.
    pub mask: u32,
    /// `<pos>`: the place of a region's position token.
    pub pos: u32,
    /// `[SEG]`: a mask comes here.
    pub seg: u32,
    /// `<p>`: a phrase begins.
    pub phrase_open: u32,
    /// `</p>`: a phrase ends.
    pub phrase_close: u32,
    /// `<|image_pad|>`: the place of the picture's tokens.
    pub image: u32,
    /// `<|im_start|>`: a message begins.
    pub im_start: u32,
    /// `<|im_end|>`: a message ends.
    pub im_end: u32,
}

/// The model's tokenizer with its special ids.
#[derive(Debug, Clone)]
pub struct FclmTokenizer {
    inner: Tokenizer,
    special: SpecialTokens,
}

impl FclmTokenizer {
    /// Reads `tokenizer.json`.
    ///
    /// # Errors
    /// Where the file is not valid or lacks a token that FCLM needs.
    pub fn from_json(bytes: &[u8]) -> Result<Self, FclmError> {
        let inner = Tokenizer::from_bytes(bytes)
            .map_err(|error| FclmError::Tokenizer(error.to_string()))?;
        let id = |token: &str| {
            inner
                .token_to_id(token)
                .ok_or_else(|| FclmError::MissingToken(token.to_owned()))
        };
        let special = SpecialTokens {
            mask: id("<mask>")?,
            pos: id("<pos>")?,
            seg: id("[SEG]")?,
            phrase_open: id("<p>")?,
            phrase_close: id("</p>")?,
            image: id("<|image_pad|>")?,
            im_start: id("<|im_start|>")?,
            im_end: id("<|im_end|>")?,
        };
        Ok(Self { inner, special })
    }

    /// Ids of the special tokens.
    pub fn special(&self) -> SpecialTokens {
        self.special
    }

    /// How many ids have a token; the model's vocabulary may have spare rows above.
    pub fn len(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// One more than the highest id that has a token.
    pub fn ids(&self) -> usize {
        let highest = self.inner.get_vocab(true).into_values().max();
        highest.map_or(0, |id| id as usize + 1)
    }

    /// Whether the vocabulary is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `id` has a token; ids without one must not be sampled when serving.
    pub fn has_token(&self, id: u32) -> bool {
        self.inner.id_to_token(id).is_some()
    }

    /// Ids of a text; special tokens in it become their ids.
    ///
    /// # Errors
    /// Where the tokenizer cannot take the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, FclmError> {
        self.inner
            .encode_fast(text, false)
            .map(|encoding| encoding.get_ids().to_vec())
            .map_err(|error| FclmError::Tokenizer(error.to_string()))
    }

    /// Text of ids, special tokens left out.
    ///
    /// # Errors
    /// Where the tokenizer cannot take the ids.
    pub fn decode(&self, ids: &[u32]) -> Result<String, FclmError> {
        self.inner
            .decode(ids, true)
            .map_err(|error| FclmError::Tokenizer(error.to_string()))
    }

    /// Takes out of what a person typed whatever the tokenizer would read as a special token.
    pub fn sanitize(&self, text: &str) -> String {
        let mut clean = text.to_owned();
        loop {
            let before = clean.len();
            for token in self.inner.get_added_tokens_decoder().values() {
                if token.special && clean.contains(&token.content) {
                    clean = clean.replace(&token.content, " ");
                }
            }
            if clean.len() == before {
                return clean;
            }
        }
    }
}
