mod answer;
mod finish;
mod masks;
mod parts;
mod together;

use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};
use fclm_core::{
    fclm::{FclmError, ImageFeatures, LightConfig, ScoredLogits, Session},
    mask::Mask,
    region::RegionTokens,
    sam::Decoded,
    wire::{ErrorCode, ModelInfo, Point, RegionMask, SegmentRequest},
};
use image::RgbImage;

pub use self::answer::FclmAnswer;
use self::masks::masks_at_a_time;
use super::backend::{Backend, BackendError, Prompt, Step, TokenCounts};
use super::found::scored_masks;
use super::load::LoadedModel;

/// Most tokens of an answer.
const MAX_NEW_TOKENS: usize = 512;
/// Sessions grow by this many tokens.
const SESSION_STEP: usize = 512;
/// Answers with these end too; published tokenizers have more than one end.
const OTHER_END: &str = "<|endoftext|>";

/// FCLM as the engine drives it: greedy, with ids masked that have no token.
///
/// A prompt is the picture and one question. The picture comes first, so its keys and values
/// serve every question of a chat; earlier questions stay out, because the model answers best
/// what it was mostly trained on, a first question.
#[derive(Debug, Clone)]
pub struct FclmBackend {
    loaded: LoadedModel,
    /// `[1, vocab]`: minus infinity for ids without a token.
    forbidden: Tensor<2>,
    /// The same with `[SEG]`: a question is answered in words, and what a model draws that was
    /// never taught to draw there means nothing.
    forbidden_in_words: Tensor<2>,
    ends: Vec<u32>,
}

impl FclmBackend {
    /// Makes a loaded model ready for questions.
    pub fn new(loaded: LoadedModel) -> Self {
        let vocabulary = loaded.config.qwen.text.vocab_size;
        let forbidding = |is_forbidden: &dyn Fn(u32) -> bool| {
            let row: Vec<f32> = (0..vocabulary as u32)
                .map(|id| {
                    if is_forbidden(id) {
                        f32::NEG_INFINITY
                    } else {
                        0.0
                    }
                })
                .collect();
            Tensor::<2>::from_data(TensorData::new(row, [1, vocabulary]), &loaded.device)
        };
        let seg = loaded.tokenizer.special().seg;
        let forbidden = forbidding(&|id| !loaded.tokenizer.has_token(id));
        let forbidden_in_words = forbidding(&|id| id == seg || !loaded.tokenizer.has_token(id));
        let mut ends = vec![loaded.tokenizer.special().im_end];
        ends.extend(loaded.config.qwen.text.eos_token_id);
        if let Ok(other) = loaded.tokenizer.encode(OTHER_END)
            && let [other] = other[..]
        {
            ends.push(other);
        }
        Self {
            loaded,
            forbidden,
            forbidden_in_words,
            ends,
        }
    }

    /// What it asks.
    pub(crate) fn loaded(&self) -> &LoadedModel {
        &self.loaded
    }
}

impl Backend for FclmBackend {
    type Features = ImageFeatures;
    type Region = Arc<RegionTokens>;
    type Session = Session;
    type Answer = FclmAnswer;

    fn info(&self) -> ModelInfo {
        self.loaded.info.clone()
    }

    fn encode_image(&self, image: &RgbImage) -> Result<ImageFeatures, BackendError> {
        let LoadedModel {
            model,
            config,
            device,
            ..
        } = &self.loaded;
        model.encode_image(image, config, device).map_err(refused)
    }

    fn features_bytes(&self, features: &ImageFeatures) -> u64 {
        let elements = features.vision.shape().num_elements() + features.sam.shape().num_elements();
        elements as u64 * 4
    }

    fn encode_region(
        &self,
        features: &ImageFeatures,
        image: &RgbImage,
        mask: &Mask,
    ) -> Result<Arc<RegionTokens>, BackendError> {
        let LoadedModel {
            model,
            config,
            device,
            ..
        } = &self.loaded;
        model
            .encode_region(features, image, mask, config, device)
            .map(Arc::new)
            .map_err(refused)
    }

    fn complete_region(
        &self,
        features: &ImageFeatures,
        mask: &Mask,
        vector: &[f32],
    ) -> Result<Option<Arc<RegionTokens>>, BackendError> {
        let LoadedModel {
            model,
            config,
            device,
            ..
        } = &self.loaded;
        if vector.len() != LightConfig::of(config).vector_len() {
            return Ok(None);
        }
        let completed = model.complete_region(features, vector, mask, config, device);
        completed
            .map(|tokens| Some(Arc::new(tokens)))
            .map_err(refused)
    }

    fn segment(
        &self,
        features: &ImageFeatures,
        request: &SegmentRequest,
    ) -> Result<Vec<RegionMask>, BackendError> {
        let LoadedModel { model, config, .. } = &self.loaded;
        let points: Vec<(f32, f32, i32)> = request.points.iter().map(Point::labelled).collect();
        let Decoded { low_res, iou } =
            model.segment_prompt(&points, request.box_px, features, config);
        let [_, count] = iou.dims();
        let at_a_time = masks_at_a_time(features);
        let mut masks = Vec::new();
        for start in (0..count).step_by(at_a_time) {
            let length = at_a_time.min(count - start);
            let decoded = ScoredLogits {
                logits: features.upscale(low_res.clone().narrow(1, start, length), config),
                scores: iou.clone().narrow(1, start, length),
            };
            let scored = scored_masks(decoded, features)?.into_iter().flatten();
            masks.extend(scored.map(|scored| scored.to_wire()));
        }
        masks.sort_by(|a, b| b.score.total_cmp(&a.score));
        match masks.is_empty() {
            false => Ok(masks),
            true => Err(BackendError::Refused {
                code: ErrorCode::BadRegion,
                message: "Nothing stands out there; draw the box tighter, or keep it as a \
                          rectangle."
                    .to_owned(),
            }),
        }
    }

    fn begin(
        &self,
        prompt: Prompt<'_, ImageFeatures, Arc<RegionTokens>>,
        session: Option<Session>,
    ) -> Result<FclmAnswer, BackendError> {
        let (parts, draft) = self.prepare(&prompt)?;
        let mut session = self.session_for(session, draft.prompt);
        let (state, cached) = session
            .prefill(&self.loaded.model, &parts)
            .map_err(refused)?;
        Ok(FclmAnswer {
            session,
            state,
            features: prompt.features.clone(),
            draft,
            cached: cached as u32,
        })
    }

    fn step(&self, answer: &mut FclmAnswer) -> Result<Step, BackendError> {
        self.step_hearing(answer, &mut |_| {})
    }

    fn counts(&self, answer: &FclmAnswer) -> TokenCounts {
        TokenCounts {
            prompt: answer.draft.prompt as u32,
            cached: answer.cached,
            written: answer.draft.written as u32,
        }
    }

    fn end(&self, answer: FclmAnswer) -> Session {
        answer.session
    }
}

/// What a request itself is to blame for.
fn refused(error: FclmError) -> BackendError {
    let code = match &error {
        FclmError::Region => ErrorCode::BadRegion,
        FclmError::TooLong { .. } => ErrorCode::BadText,
        FclmError::Preprocess(_) => ErrorCode::BadImage,
        _ => return failed(error),
    };
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    let message = first.into_iter().chain(letters).chain(['.']).collect();
    BackendError::Refused { code, message }
}

fn failed(error: FclmError) -> BackendError {
    BackendError::Failed(Box::new(error))
}

#[cfg(test)]
mod fixtures {
    use burn::tensor::Device;
    use fclm_core::fclm::{FclmConfig, FclmTokenizer};

    use super::*;
    use crate::train::train_tokenizer;

    /// An untrained model with seven ids that have no token.
    pub(super) fn backend() -> FclmBackend {
        let texts = (0..50).map(|number| format!("a red cube left of cube {number}"));
        let json = train_tokenizer(texts, 300).unwrap();
        let tokenizer = FclmTokenizer::from_json(json.as_bytes()).unwrap();
        let rows = tokenizer.ids() + 7;
        let config = FclmConfig::tiny(rows, tokenizer.special().image);
        let device = Device::flex();
        let model = config.init(&device);
        FclmBackend::new(LoadedModel::of(model, tokenizer, config, device))
    }
}
