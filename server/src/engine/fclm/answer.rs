//! An answer that is being written, token by token.

use burn::tensor::Tensor;
use fclm_core::{
    fclm::{AnswerEvent, AnswerReader, ImageFeatures, Session, StepOutput, prompt},
    wire::{FinishReason, Mode, RunEvent},
};

use super::super::{
    backend::{BackendError, Step, TokenCounts},
    found::named_by,
};
use super::{FclmBackend, MAX_NEW_TOKENS, failed, masks::PendingMask};

/// Most masks of an answer.
const MAX_MASKS: usize = 32;
/// Most masks of an answer that is measured: as many as the COCO API looks at.
const MAX_MEASURED_MASKS: usize = 100;

/// An answer that is being written.
#[derive(Debug)]
pub struct FclmAnswer {
    pub(super) session: Session,
    pub(super) state: StepOutput,
    pub(super) reader: AnswerReader,
    pub(super) features: ImageFeatures,
    pub(super) mode: Mode,
    /// What was searched for.
    pub(super) wanted: String,
    pub(super) masks: Vec<PendingMask>,
    /// Whether it is written to be measured.
    pub(super) is_measured: bool,
    pub(super) counts: TokenCounts,
}

impl FclmBackend {
    fn read(&self, answer: &mut FclmAnswer, id: u32) -> Result<Vec<RunEvent>, BackendError> {
        let read = answer
            .reader
            .push(id, &self.loaded.tokenizer)
            .map_err(failed)?;
        let most_masks = match answer.is_measured {
            true => MAX_MEASURED_MASKS,
            false => MAX_MASKS,
        };
        let mut events = Vec::new();
        for event in read {
            match event {
                AnswerEvent::Text(delta) => events.push(RunEvent::Text { delta }),
                AnswerEvent::Segment { phrase, start, end } if answer.masks.len() < most_masks => {
                    let hidden = answer.state.hidden.clone();
                    answer.masks.push(PendingMask {
                        hidden,
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

    /// The likeliest id that has a token and may stand in an answer of that mode.
    ///
    /// # Shapes
    /// - `logits`: `[1, vocab]`
    fn next_id(&self, logits: Tensor<2>, mode: Mode) -> Result<u32, BackendError> {
        let forbidden = match mode {
            Mode::Ask => &self.forbidden_in_words,
            Mode::Find | Mode::Caption => &self.forbidden,
        };
        let id = (logits + forbidden.clone())
            .argmax(1)
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
        let id = self.next_id(answer.state.logits.clone(), answer.mode)?;
        if self.ends.contains(&id) {
            let events = self.finish(answer, hear)?;
            return Ok(Step {
                events,
                finish: Some(FinishReason::Stop),
            });
        }
        answer.counts.written += 1;
        let mut events = self.read(answer, id)?;
        let limit = self.loaded.config.qwen.text.max_position_embeddings;
        let is_full = answer.counts.written as usize >= MAX_NEW_TOKENS
            || answer.session.len() + 1 >= limit.min(answer.session.capacity());
        if is_full {
            events.extend(self.finish(answer, hear)?);
            return Ok(Step {
                events,
                finish: Some(FinishReason::Length),
            });
        }
        answer.state = answer
            .session
            .step(&self.loaded.model, id)
            .map_err(failed)?;
        Ok(Step {
            events,
            finish: None,
        })
    }

    /// What comes after the last token: text that was held back, what stands for the answer to a
    /// search that is no text, then all masks.
    fn finish(
        &self,
        answer: &mut FclmAnswer,
        hear: &mut dyn FnMut(&[f32]),
    ) -> Result<Vec<RunEvent>, BackendError> {
        let mut events = Vec::new();
        for event in answer
            .reader
            .finish(&self.loaded.tokenizer)
            .map_err(failed)?
        {
            if let AnswerEvent::Text(delta) = event {
                events.push(RunEvent::Text { delta });
            }
        }
        let mut found = self.ground(answer, hear)?;
        if answer.mode == Mode::Find {
            let text = answer.reader.text();
            let delta = match found.is_empty() && text.trim().is_empty() {
                true => Some(prompt::NOT_FOUND.to_owned()),
                // Whoever measures an answer needs to know where in it its masks stand.
                false if answer.is_measured && !text.trim().is_empty() => None,
                false => named_by(&answer.wanted, text, &mut found),
            };
            events.extend(delta.map(|delta| RunEvent::Text { delta }));
        }
        events.extend(found.into_iter().map(RunEvent::Region));
        Ok(events)
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
        self.is_measured = true;
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
        for _ in 0..count {
            backend.read(&mut answer, seg).unwrap();
        }
        let mut has_pixels = Vec::new();
        let mut hear = |logits: &[f32]| {
            assert_eq!(logits.len(), 32 * 32);
            has_pixels.push(logits.iter().any(|&logit| logit > 0.0));
        };
        let events = backend.finish(&mut answer, &mut hear).unwrap();
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
        let tokenizer = &backend.loaded.tokenizer;
        let mut said = String::new();
        let mut ends = Vec::new();
        for part in ["The cup", SEG, " and the bowl", SEG, "."] {
            for id in tokenizer.encode(part).unwrap() {
                for event in backend.read(&mut answer, id).unwrap() {
                    if let RunEvent::Text { delta } = event {
                        said.push_str(&delta);
                    }
                }
            }
            if part == SEG {
                ends.push(answer.reader.text().chars().count() as u32);
            }
        }
        for event in backend.finish(&mut answer, &mut |_| {}).unwrap() {
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
