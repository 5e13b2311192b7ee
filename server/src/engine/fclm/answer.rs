//! An answer that is being written, token by token.

use burn::tensor::{Int, Tensor};
use fclm_core::{
    fclm::{AnswerEvent, AnswerReader, ImageFeatures, Session, StepOutput},
    wire::{FinishReason, Mode, RunEvent},
};

use super::super::{
    backend::{BackendError, Step},
    load::LoadedModel,
};
use super::{FclmBackend, MAX_NEW_TOKENS, SESSION_STEP, failed, masks::PendingMask};

/// Most masks of an answer.
const MAX_MASKS: usize = 32;
/// Most masks of an answer that is measured: as many as the COCO API looks at.
const MAX_MEASURED_MASKS: usize = 100;

/// An answer that is being written.
#[derive(Debug)]
pub struct FclmAnswer {
    pub(super) session: Session,
    pub(super) state: StepOutput,
    pub(super) features: ImageFeatures,
    pub(super) draft: Draft,
    /// Tokens of the prompt that were at hand.
    pub(super) cached: u32,
}

/// What an answer says so far.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) reader: AnswerReader,
    pub(super) mode: Mode,
    /// What was searched for.
    pub(super) wanted: String,
    pub(super) masks: Vec<PendingMask>,
    /// Whether it is written to be measured.
    pub(super) is_measured: bool,
    /// Tokens of the prompt.
    pub(super) prompt: usize,
    /// Tokens written.
    pub(super) written: usize,
}

impl Draft {
    /// One of which nothing is written yet, behind a prompt of that many tokens.
    pub(super) fn new(mode: Mode, wanted: String, prompt: usize) -> Self {
        Self {
            reader: AnswerReader::default(),
            mode,
            wanted,
            masks: Vec::new(),
            is_measured: false,
            prompt,
            written: 0,
        }
    }
}

impl FclmBackend {
    /// A session for a prompt of `length` tokens and its answer: the one that was kept, where it is
    /// large enough.
    pub(super) fn session_for(&self, kept: Option<Session>, length: usize) -> Session {
        let LoadedModel { config, device, .. } = &self.loaded;
        let needed = length + MAX_NEW_TOKENS;
        kept.filter(|kept| kept.capacity() >= needed)
            .unwrap_or_else(|| {
                let capacity = needed.next_multiple_of(SESSION_STEP);
                Session::new(&config.qwen.text, capacity, device)
            })
    }

    /// Takes the next token of an answer, which was predicted from `hidden`, and says whether that
    /// was the last one.
    pub(super) fn take(
        &self,
        draft: &mut Draft,
        id: u32,
        hidden: impl Fn() -> Tensor<2>,
    ) -> Result<Step, BackendError> {
        if self.ends.contains(&id) {
            return Ok(Step {
                events: Vec::new(),
                finish: Some(FinishReason::Stop),
            });
        }
        draft.written += 1;
        let events = self.read(draft, id, hidden)?;
        let limit = self.loaded.config.qwen.text.max_position_embeddings;
        let is_full = draft.written >= MAX_NEW_TOKENS || draft.prompt + draft.written >= limit;
        Ok(Step {
            events,
            finish: is_full.then_some(FinishReason::Length),
        })
    }

    fn read(
        &self,
        draft: &mut Draft,
        id: u32,
        hidden: impl Fn() -> Tensor<2>,
    ) -> Result<Vec<RunEvent>, BackendError> {
        let read = draft
            .reader
            .push(id, &self.loaded.tokenizer)
            .map_err(failed)?;
        let most_masks = match draft.is_measured {
            true => MAX_MEASURED_MASKS,
            false => MAX_MASKS,
        };
        let mut events = Vec::new();
        for event in read {
            match event {
                AnswerEvent::Text(delta) => events.push(RunEvent::Text { delta }),
                AnswerEvent::Segment { phrase, start, end } if draft.masks.len() < most_masks => {
                    draft.masks.push(PendingMask {
                        hidden: hidden(),
                        phrase,
                        start,
                        end,
                    });
                }
                AnswerEvent::Segment { .. } => {}
            }
        }
        Ok(events)
    }

    /// The likeliest ids that have a token and may stand in an answer of that mode.
    ///
    /// # Shapes
    /// - `logits`: `[rows, vocab]`
    /// - output: `[rows, 1]`
    fn likeliest(&self, logits: Tensor<2>, mode: Mode) -> Tensor<2, Int> {
        let forbidden = match mode {
            Mode::Ask => &self.forbidden_in_words,
            Mode::Find | Mode::Caption => &self.forbidden,
        };
        (logits + forbidden.clone()).argmax(1)
    }

    /// The likeliest id of each row; as [`Self::likeliest`].
    pub(super) fn next_ids(&self, logits: Tensor<2>, mode: Mode) -> Result<Vec<u32>, BackendError> {
        let ids = self
            .likeliest(logits, mode)
            .try_into_vec_as::<i64>()
            .map_err(|error| BackendError::Failed(error.to_string().into()))?;
        ids.into_iter()
            .map(|id| u32::try_from(id).map_err(|error| BackendError::Failed(Box::new(error))))
            .collect()
    }

    /// The likeliest id of a lone row.
    fn next_id(&self, logits: Tensor<2>, mode: Mode) -> Result<u32, BackendError> {
        let id = self
            .likeliest(logits, mode)
            .try_into_scalar::<i64>()
            .map_err(|error| BackendError::Failed(error.to_string().into()))?;
        u32::try_from(id).map_err(|error| BackendError::Failed(Box::new(error)))
    }

    /// Writes one token as [`Backend::step`](crate::engine::Backend::step) does. `hear` gets the
    /// logits of each mask, row by row at the picture's size, in the order of the masks.
    pub(crate) fn step_hearing(
        &self,
        answer: &mut FclmAnswer,
        hear: &mut dyn FnMut(&[f32]),
    ) -> Result<Step, BackendError> {
        let FclmAnswer {
            session,
            state,
            features,
            draft,
            ..
        } = answer;
        let id = self.next_id(state.logits.clone(), draft.mode)?;
        let mut step = self.take(draft, id, || state.hidden.clone())?;
        match step.finish {
            None => *state = session.step(&self.loaded.model, id).map_err(failed)?,
            Some(_) => step.events.extend(self.finish(draft, features, hear)?),
        }
        Ok(step)
    }
}

impl FclmAnswer {
    /// `[1, hidden_size]`: what the next token is predicted from, and a mask decoded from if that
    /// token is `[SEG]`.
    pub(crate) fn hidden(&self) -> Tensor<2> {
        self.state.hidden.clone()
    }

    /// Says that the answer is written to be measured: a mask without a pixel is one that is wrong,
    /// not one that is not there, and more masks count than a person is shown.
    pub(crate) fn measure(&mut self) {
        self.draft.is_measured = true;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use burn::tensor::TensorData;
    use fclm_core::{fclm::prompt::SEG, mask::Mask, region::RegionTokens, wire::FoundRegion};
    use image::RgbImage;

    use super::super::{
        super::backend::{Backend, Prompt},
        fixtures::backend,
    };
    use super::*;

    /// What is written next in that mode where `first` is by far the likeliest and `second` comes
    /// behind it.
    fn written(backend: &FclmBackend, mode: Mode, first: usize, second: usize) -> usize {
        let rows = backend.loaded.config.qwen.text.vocab_size;
        let mut logits = vec![0.0f32; rows];
        logits[second] = 1.0;
        logits[first] = 1e9;
        let logits = TensorData::new(logits, [1, rows]);
        let logits = Tensor::from_data(logits, &backend.loaded.device);
        backend.next_id(logits, mode).unwrap() as usize
    }

    #[test]
    fn ids_without_a_token_are_never_written() {
        let backend = backend();
        let ids = backend.loaded.tokenizer.ids();
        for spare in ids..ids + 7 {
            for likeliest in [0, ids - 1] {
                for mode in [Mode::Ask, Mode::Find, Mode::Caption] {
                    let id = written(&backend, mode, spare, likeliest);
                    assert_eq!(id, likeliest, "{mode:?}");
                }
            }
        }
    }

    #[test]
    fn a_question_is_answered_without_masks() {
        let backend = backend();
        let seg = backend.loaded.tokenizer.special().seg as usize;
        assert_ne!(seg, 0);
        assert_eq!(written(&backend, Mode::Ask, seg, 0), 0);
        assert_eq!(written(&backend, Mode::Find, seg, 0), seg);
        assert_eq!(written(&backend, Mode::Caption, seg, 0), seg);
        assert_eq!(written(&backend, Mode::Ask, 0, seg), 0);
    }

    /// What is said where something is searched for in a picture of no account.
    fn search<'a>(
        features: &'a ImageFeatures,
        text: &'a str,
    ) -> Prompt<'a, ImageFeatures, Arc<RegionTokens>> {
        Prompt {
            image_key: 1,
            features,
            mode: Mode::Find,
            text,
            regions: Vec::new(),
        }
    }

    /// The regions of an answer that is so many bare `[SEG]`, and whether each mask that was decoded
    /// has a pixel.
    fn drawn(is_measured: bool, count: usize) -> (Vec<FoundRegion>, Vec<bool>) {
        let backend = backend();
        let features = backend.encode_image(&RgbImage::new(32, 32)).unwrap();
        let prompt = search(&features, "the cubes");
        let mut answer = backend.begin(prompt, None).unwrap();
        if is_measured {
            answer.measure();
        }
        let seg = backend.loaded.tokenizer.special().seg;
        let FclmAnswer { state, draft, .. } = &mut answer;
        for _ in 0..count {
            backend.read(draft, seg, || state.hidden.clone()).unwrap();
        }
        let mut has_pixels = Vec::new();
        let mut hear = |logits: &[f32]| {
            assert_eq!(logits.len(), 32 * 32);
            has_pixels.push(logits.iter().any(|&logit| logit > 0.0));
        };
        let events = backend.finish(draft, &features, &mut hear).unwrap();
        let regions = events.into_iter().filter_map(|event| match event {
            RunEvent::Region(region) => Some(region),
            _ => None,
        });
        (regions.collect(), has_pixels)
    }

    /// MUSE's answers are sentences in which masks stand; its judge must see where.
    #[test]
    fn masks_of_a_measured_sentence_stay_where_they_stand() {
        let backend = backend();
        let features = backend.encode_image(&RgbImage::new(32, 32)).unwrap();
        let prompt = search(&features, "what is for tea");
        let mut answer = backend.begin(prompt, None).unwrap();
        answer.measure();
        let FclmAnswer { state, draft, .. } = &mut answer;
        let hidden = || state.hidden.clone();
        let tokenizer = &backend.loaded.tokenizer;
        let mut said = String::new();
        let mut ends = Vec::new();
        for part in ["The cup", SEG, " and the bowl", SEG, "."] {
            for id in tokenizer.encode(part).unwrap() {
                for event in backend.read(draft, id, hidden).unwrap() {
                    if let RunEvent::Text { delta } = event {
                        said.push_str(&delta);
                    }
                }
            }
            if part == SEG {
                ends.push(draft.reader.text().chars().count() as u32);
            }
        }
        for event in backend.finish(draft, &features, &mut |_| {}).unwrap() {
            match event {
                RunEvent::Text { delta } => said.push_str(&delta),
                RunEvent::Region(region) => assert_eq!(region.end, ends.remove(0)),
                _ => {}
            }
        }
        assert!(ends.is_empty(), "{ends:?}");
        assert!(said.contains("cup") && said.contains("bowl"), "{said}");
        assert!(!said.contains("tea"), "{said}");
    }

    #[test]
    fn every_mask_of_a_measured_answer_counts() {
        let (regions, has_pixels) = drawn(true, MAX_MEASURED_MASKS + 3);
        assert_eq!(regions.len(), MAX_MEASURED_MASKS);
        let seen: Vec<bool> = regions
            .iter()
            .map(|region| !Mask::from_wire(&region.mask, 1024).unwrap().is_empty())
            .collect();
        assert_eq!(seen, has_pixels);
        let (regions, has_pixels) = drawn(false, MAX_MASKS + 3);
        assert_eq!(has_pixels.len(), MAX_MASKS);
        let seen = has_pixels.iter().filter(|&&has_pixels| has_pixels).count();
        assert_eq!(regions.len(), seen);
    }
}
