//! Vectors of sentences whose directions tell what they mean.
//!
//! * [`SentenceEncoder::mini_lm`] is `all-MiniLM-L6-v2` of sentence-transformers, which ROC's
//!   semantic similarity is defined by: the mean over a text's tokens, of length 1.
//! * [`SentenceEncoder::bert`] is `bert-base-uncased` as GLaMM compares phrases with it: the mean
//!   over a text's tokens, `[CLS]` and `[SEP]` included.
//!
//! Both are read from a folder in the published layout: `config.json`, the weights, and
//! `tokenizer.json` or `vocab.txt`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use serde::Deserialize;
use tokenizers::{
    Tokenizer, TruncationParams,
    models::wordpiece::{WordPiece, WordPieceBuilder},
    normalizers::bert::BertNormalizer,
    pre_tokenizers::bert::BertPreTokenizer,
    processors::bert::BertProcessing,
};

use super::bert::{BertConfig, BertEncoder, BertError};

const TOKENIZER: &str = "tokenizer.json";
const VOCABULARY: &str = "vocab.txt";
const SENTENCE_CONFIG: &str = "sentence_bert_config.json";
/// Most tokens of a text for `all-MiniLM-L6-v2`, where its folder does not say.
const MINI_LM_TOKENS: usize = 256;
/// Most tokens of a text for `bert-base-uncased`.
const BERT_TOKENS: usize = 512;
/// Fewest that leave room for a word between the two tokens that every text has.
const FEWEST_TOKENS: usize = 3;
/// Texts that are encoded at once.
const BATCH: usize = 32;

/// Why texts have no vectors.
#[derive(Debug, thiserror::Error)]
pub enum SentenceError {
    /// The encoder cannot be loaded.
    #[error(transparent)]
    Bert(#[from] BertError),
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The tokenizer is damaged, or not that of the encoder.
    #[error("{}: {reason}", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A text cannot be cut into tokens.
    #[error("a text cannot be cut into tokens: {0}")]
    Text(String),
    /// The device did not hand its results back.
    #[error("the device that encodes sentences failed: {0}")]
    Device(String),
}

/// What makes one vector of those of the tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pooling {
    /// The mean.
    Mean,
    /// The mean, brought to length 1.
    UnitMean,
}

/// An encoder of sentences with its tokenizer.
#[derive(Debug, Clone)]
pub struct SentenceEncoder {
    tokenizer: Tokenizer,
    encoder: BertEncoder,
    pooling: Pooling,
    device: Device,
}

impl SentenceEncoder {
    /// Loads `all-MiniLM-L6-v2`.
    ///
    /// # Errors
    /// If a file is missing or damaged, or files do not belong together.
    pub fn mini_lm(folder: &Path, device: &Device) -> Result<Self, SentenceError> {
        let most_tokens = most_tokens(folder)?.unwrap_or(MINI_LM_TOKENS);
        Self::load(folder, device, Pooling::UnitMean, most_tokens)
    }

    /// Loads `bert-base-uncased`.
    ///
    /// # Errors
    /// As [`SentenceEncoder::mini_lm`].
    pub fn bert(folder: &Path, device: &Device) -> Result<Self, SentenceError> {
        Self::load(folder, device, Pooling::Mean, BERT_TOKENS)
    }

    fn load(
        folder: &Path,
        device: &Device,
        pooling: Pooling,
        most_tokens: usize,
    ) -> Result<Self, SentenceError> {
        let config = BertConfig::read(folder)?;
        let most_tokens = most_tokens.min(config.max_position_embeddings);
        let tokenizer = read_tokenizer(folder, config.vocab_size, most_tokens)?;
        Ok(Self {
            encoder: config.load(folder, device)?,
            tokenizer,
            pooling,
            device: device.clone(),
        })
    }

    /// A vector for each text, in their order. What is too long is cut off.
    ///
    /// # Errors
    /// If a text cannot be cut into tokens, or the device fails.
    pub fn encode(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, SentenceError> {
        let tokens = texts
            .iter()
            .map(|&text| -> Result<Vec<u32>, SentenceError> {
                let encoding = self.tokenizer.encode_fast(text, true);
                let encoding = encoding.map_err(|error| SentenceError::Text(error.to_string()))?;
                Ok(encoding.get_ids().to_vec())
            })
            .collect::<Result<Vec<_>, _>>()?;
        // Texts of like lengths share a batch, so that little of it is padding.
        let mut order: Vec<usize> = (0..tokens.len()).collect();
        order.sort_by_key(|&place| tokens[place].len());
        let mut vectors = vec![Vec::new(); tokens.len()];
        for batch in order.chunks(BATCH) {
            let ids: Vec<&[u32]> = batch
                .iter()
                .map(|&place| tokens[place].as_slice())
                .collect();
            for (&place, vector) in batch.iter().zip(self.encode_batch(&ids)?) {
                vectors[place] = vector;
            }
        }
        Ok(vectors)
    }

    fn encode_batch(&self, texts: &[&[u32]]) -> Result<Vec<Vec<f32>>, SentenceError> {
        let length = texts.iter().map(|ids| ids.len()).max().unwrap_or(0).max(1);
        let mut ids = vec![0i32; texts.len() * length];
        let mut is_padding = vec![true; texts.len() * length];
        for (row, text) in texts.iter().enumerate() {
            for (column, &id) in text.iter().enumerate() {
                ids[row * length + column] = id as i32;
                is_padding[row * length + column] = false;
            }
        }
        let shape = [texts.len(), length];
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, shape), &self.device);
        let padding = Tensor::<1, Bool>::from_data(is_padding.as_slice(), &self.device);
        let states = self.encoder.forward(ids, padding.reshape(shape));
        let [_, _, width] = states.dims();
        let states = states
            .try_into_vec_as::<f32>()
            .map_err(|error| SentenceError::Device(error.to_string()))?;
        let rows = states.chunks_exact(length * width).zip(texts);
        Ok(rows
            .map(|(states, text)| self.pool(&states[..text.len() * width], width))
            .collect())
    }

    /// One vector of those of a text's tokens; all zero without tokens.
    fn pool(&self, states: &[f32], width: usize) -> Vec<f32> {
        let mut sum = vec![0.0f64; width];
        for state in states.chunks_exact(width) {
            for (total, &value) in sum.iter_mut().zip(state) {
                *total += f64::from(value);
            }
        }
        let scale = match self.pooling {
            Pooling::Mean => (states.len() / width) as f64,
            Pooling::UnitMean => sum.iter().map(|value| value * value).sum::<f64>().sqrt(),
        };
        let scale = scale.max(f64::MIN_POSITIVE);
        sum.into_iter()
            .map(|value| (value / scale) as f32)
            .collect()
    }
}

/// Cosine of the angle between two vectors, -1 to 1; 0 where one has no direction.
pub fn cosine(left: &[f32], right: &[f32]) -> f64 {
    let product = |a: &[f32], b: &[f32]| -> f64 {
        let pairs = a.iter().zip(b);
        pairs.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    let scale = (product(left, left) * product(right, right)).sqrt();
    if scale > 0.0 {
        product(left, right) / scale
    } else {
        0.0
    }
}

/// What the folder of a sentence-transformers model says about how long a text may be.
fn most_tokens(folder: &Path) -> Result<Option<usize>, SentenceError> {
    #[derive(Deserialize)]
    struct SentenceConfig {
        max_seq_length: Option<usize>,
    }
    let path = folder.join(SENTENCE_CONFIG);
    if !path.exists() {
        return Ok(None);
    }
    let config: Result<SentenceConfig, _> = serde_json::from_slice(&read(&path)?);
    match config {
        Ok(config) => Ok(config.max_seq_length),
        Err(error) => Err(SentenceError::Tokenizer {
            path,
            reason: error.to_string(),
        }),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, SentenceError> {
    fs::read(path).map_err(|source| SentenceError::Io {
        path: path.to_owned(),
        source,
    })
}

/// The tokenizer of a folder, which cuts texts at `most_tokens` and fills none up.
fn read_tokenizer(
    folder: &Path,
    vocab_size: usize,
    most_tokens: usize,
) -> Result<Tokenizer, SentenceError> {
    let mut path = folder.join(TOKENIZER);
    let is_json = path.exists();
    if !is_json {
        path = folder.join(VOCABULARY);
    }
    let bytes = read(&path)?;
    let broken = |reason: String| SentenceError::Tokenizer {
        path: path.clone(),
        reason,
    };
    let parsed = match is_json {
        true => Tokenizer::from_bytes(&bytes),
        false => from_vocabulary(&bytes),
    };
    let mut tokenizer = parsed.map_err(|error| broken(error.to_string()))?;
    let highest = tokenizer.get_vocab(true).into_values().max();
    let reason = match highest {
        None => Some("has no tokens".to_owned()),
        Some(id) if id as usize >= vocab_size => Some(format!(
            "has a token {id}, but the encoder's vocab_size is {vocab_size}"
        )),
        Some(_) if most_tokens < FEWEST_TOKENS => Some(format!(
            "may cut texts at {most_tokens} tokens, but needs {FEWEST_TOKENS} at least"
        )),
        Some(_) => None,
    };
    if let Some(reason) = reason {
        return Err(broken(reason));
    }
    tokenizer.with_padding(None);
    let truncation = TruncationParams {
        max_length: most_tokens,
        ..TruncationParams::default()
    };
    tokenizer
        .with_truncation(Some(truncation))
        .map_err(|error| broken(error.to_string()))?;
    Ok(tokenizer)
}

/// The uncased BERT tokenizer with a vocabulary of one token a line.
fn from_vocabulary(bytes: &[u8]) -> tokenizers::Result<Tokenizer> {
    let vocabulary = WordPiece::read_bytes(bytes)?;
    let id = |token: &str| match vocabulary.get(token) {
        Some(&id) => Ok((token.to_owned(), id)),
        None => Err(format!("has no line {token}")),
    };
    let processor = BertProcessing::new(id("[SEP]")?, id("[CLS]")?);
    id("[UNK]")?;
    let model = WordPieceBuilder::new().vocab(vocabulary).build()?;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_normalizer(Some(BertNormalizer::default()))?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    tokenizer.with_post_processor(Some(processor));
    Ok(tokenizer)
}

#[cfg(test)]
pub(in crate::eval) mod tests {
    use tokenizers::{PaddingParams, PaddingStrategy};

    use super::*;
    use crate::eval::text::bert::tests::write_encoder;

    const TOKENS: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\nred\nmug\nbow\n##l\n";

    /// The folder of a small encoder that knows "red", "mug" and "bow".
    pub(in crate::eval) fn tiny_encoder() -> tempfile::TempDir {
        folder(TOKENS)
    }

    fn folder(vocabulary: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        write_encoder(folder.path(), false);
        fs::write(folder.path().join(VOCABULARY), vocabulary).unwrap();
        folder
    }

    fn close(got: &[f32], expected: [f32; 4]) {
        let is_near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-5;
        assert!(
            got.len() == 4 && got.iter().zip(&expected).all(is_near),
            "{got:?} is not {expected:?}"
        );
    }

    // The means of the hidden states that the encoder's own test knows.
    const RED_BOW: [f32; 4] = [0.03711, -0.256836, 0.217536, 0.443614];
    const MUG: [f32; 4] = [0.758384, 0.066465, -0.267131, -0.069522];
    const RED_BOW_UNIT: [f32; 4] = [0.066495, -0.460211, 0.389791, 0.794888];

    #[test]
    fn vectors_are_means_whatever_shares_their_batch() {
        let folder = folder(TOKENS);
        let encoder = SentenceEncoder::bert(folder.path(), &Device::flex()).unwrap();
        let both = encoder.encode(&["Red  bow", "mug"]).unwrap();
        close(&both[0], RED_BOW);
        close(&both[1], MUG);
        let turned = encoder.encode(&["mug", "red bow"]).unwrap();
        close(&turned[1], RED_BOW);
        close(&encoder.encode(&["mug"]).unwrap()[0], MUG);
        assert!(encoder.encode(&[]).unwrap().is_empty());
    }

    #[test]
    fn sentence_vectors_have_length_one() {
        let folder = folder(TOKENS);
        let encoder = SentenceEncoder::mini_lm(folder.path(), &Device::flex()).unwrap();
        let vectors = encoder.encode(&["red bow"]).unwrap();
        close(&vectors[0], RED_BOW_UNIT);
    }

    #[test]
    fn more_texts_than_a_batch_come_back_in_order() {
        let folder = folder(TOKENS);
        let encoder = SentenceEncoder::bert(folder.path(), &Device::flex()).unwrap();
        let texts: Vec<&str> = (0..2 * BATCH + 3)
            .map(|place| if place % 3 == 0 { "red bow" } else { "mug" })
            .collect();
        let vectors = encoder.encode(&texts).unwrap();
        assert_eq!(vectors.len(), texts.len());
        for (place, vector) in vectors.iter().enumerate() {
            close(vector, if place % 3 == 0 { RED_BOW } else { MUG });
        }
    }

    #[test]
    fn words_are_cut_into_pieces_and_texts_at_the_end() {
        let folder = folder(TOKENS);
        let tokenizer = read_tokenizer(folder.path(), 8, 5).unwrap();
        let ids = |text: &str| {
            tokenizer
                .encode_fast(text, true)
                .unwrap()
                .get_ids()
                .to_vec()
        };
        assert_eq!(ids("A RED bowl"), [2, 1, 4, 6, 3]);
        assert_eq!(ids("bowl"), [2, 6, 7, 3]);
        assert_eq!(ids(""), [2, 3]);
    }

    #[test]
    fn a_tokenizer_file_is_taken_without_its_padding() {
        let folder = folder(TOKENS);
        let mut tokenizer = read_tokenizer(folder.path(), 8, 4).unwrap();
        tokenizer.with_padding(Some(PaddingParams {
            strategy: PaddingStrategy::Fixed(8),
            ..PaddingParams::default()
        }));
        tokenizer
            .save(folder.path().join(TOKENIZER), false)
            .unwrap();
        fs::remove_file(folder.path().join(VOCABULARY)).unwrap();
        let encoder = SentenceEncoder::bert(folder.path(), &Device::flex()).unwrap();
        close(&encoder.encode(&["mug"]).unwrap()[0], MUG);
    }

    #[test]
    fn the_folder_says_how_long_texts_may_be() {
        let folder = folder(TOKENS);
        assert_eq!(most_tokens(folder.path()).unwrap(), None);
        let path = folder.path().join(SENTENCE_CONFIG);
        fs::write(&path, "{\"max_seq_length\": 4, \"do_lower_case\": false}").unwrap();
        assert_eq!(most_tokens(folder.path()).unwrap(), Some(4));
        let encoder = SentenceEncoder::mini_lm(folder.path(), &Device::flex()).unwrap();
        let vectors = encoder.encode(&["red bow", "red bow mug mug"]).unwrap();
        close(&vectors[0], RED_BOW_UNIT);
        close(&vectors[1], RED_BOW_UNIT);
        fs::write(&path, "{").unwrap();
        assert!(most_tokens(folder.path()).is_err());
    }

    #[test]
    fn files_that_do_not_fit_are_told() {
        let told = |vocabulary: &str| {
            let folder = folder(vocabulary);
            let error = SentenceEncoder::bert(folder.path(), &Device::flex()).unwrap_err();
            error.to_string()
        };
        assert!(told("[PAD]\n[UNK]\n[SEP]\n").contains("[CLS]"));
        assert!(told(&format!("{TOKENS}bowl\n")).contains("vocab_size is 8"));
        let nothing = tempfile::tempdir().unwrap();
        assert!(SentenceEncoder::bert(nothing.path(), &Device::flex()).is_err());
    }

    #[test]
    fn cosines_by_hand() {
        assert!((cosine(&[1.0, 0.0], &[2.0, 2.0]) - 0.5f64.sqrt()).abs() < 1e-6);
        assert_eq!(cosine(&[1.0], &[-3.0]), -1.0);
        assert_eq!(cosine(&[0.0], &[1.0]), 0.0);
    }
}
