use fclm_core::fclm::SPECIAL_TOKENS;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{
    AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper,
    SplitDelimiterBehavior, TokenizerBuilder,
};

use super::error::TrainError;

/// Qwen2's own special tokens that the chat format needs.
const CHAT_TOKENS: [&str; 6] = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
];

/// How Qwen2 cuts text before byte pairs are merged.
const QWEN_SPLIT: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Trains a byte-level BPE of at most `vocabulary` ids, special tokens included, and returns its
/// `tokenizer.json`. The cutting is Qwen2's, so that any text can be written in it.
///
/// # Errors
/// Where the texts cannot be learned from.
pub fn train_tokenizer(
    texts: impl Iterator<Item = String> + Send,
    vocabulary: usize,
) -> Result<String, TrainError> {
    let failed = |error: tokenizers::Error| TrainError::Tokenizer(error.to_string());
    let special: Vec<AddedToken> = CHAT_TOKENS
        .iter()
        .chain(&SPECIAL_TOKENS)
        .map(|&token| AddedToken::from(token, true))
        .collect();
    let learned = vocabulary.checked_sub(special.len()).ok_or_else(|| {
        let count = special.len();
        TrainError::Tokenizer(format!(
            "{vocabulary} ids do not hold {count} special tokens"
        ))
    })?;
    let split = Split::new(
        SplitPattern::Regex(QWEN_SPLIT.to_owned()),
        SplitDelimiterBehavior::Isolated,
        false,
    )
    .map_err(failed)?;
    let mut tokenizer = TokenizerBuilder::<
        BPE,
        NormalizerWrapper,
        PreTokenizerWrapper,
        PostProcessorWrapper,
        DecoderWrapper,
    >::new()
    .with_model(BPE::default())
    .with_normalizer(Some(NFC.into()))
    .with_pre_tokenizer(Some(
        Sequence::new(vec![
            split.into(),
            ByteLevel::new(false, false, false).into(),
        ])
        .into(),
    ))
    .with_decoder(Some(ByteLevel::new(false, false, false).into()))
    .build()
    .map_err(failed)?;
    let mut trainer = BpeTrainer::builder()
        .vocab_size(learned)
        .min_frequency(2)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    train(&mut tokenizer, &mut trainer, texts)?;
    tokenizer.add_special_tokens(special).map_err(failed)?;
    tokenizer.to_string(true).map_err(failed)
}

type Building = tokenizers::TokenizerImpl<
    BPE,
    NormalizerWrapper,
    PreTokenizerWrapper,
    PostProcessorWrapper,
    DecoderWrapper,
>;

fn train(
    tokenizer: &mut Building,
    trainer: &mut BpeTrainer,
    texts: impl Iterator<Item = String> + Send,
) -> Result<(), TrainError> {
    tokenizer
        .train(trainer, texts)
        .map(|_| ())
        .map_err(|error| TrainError::Tokenizer(error.to_string()))
}

#[cfg(test)]
mod tests {
    use fclm_core::fclm::FclmTokenizer;

    use super::*;

    #[test]
    fn words_become_tokens_and_any_text_survives() {
        let texts = (0..200).map(|i| format!("a small red metal cylinder left of cube {i}"));
        let json = train_tokenizer(texts, 400).expect("learnable");
        let tokenizer = FclmTokenizer::from_json(json.as_bytes()).expect("complete");
        assert_eq!(
            tokenizer.encode(" metal cylinder").expect("encodes").len(),
            2
        );
        for text in ["Grüße, 世界! \n", "the red cube", "🙂"] {
            let ids = tokenizer.encode(text).expect("encodes");
            assert_eq!(tokenizer.decode(&ids).expect("decodes"), text);
        }
        assert!(tokenizer.len() <= 400);
    }
}
