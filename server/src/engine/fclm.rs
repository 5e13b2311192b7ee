use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use fclm_core::{
    fclm::{
        AnswerEvent, AnswerReader, Fclm, FclmConfig, FclmError, FclmTokenizer, ImageFeatures,
        LightConfig, PromptPart, ScoredLogits, Session, StepOutput,
        prompt::{self, ChatMessage, Piece},
    },
    mask::Mask,
    region::RegionTokens,
    sam::Decoded,
    wire::{
        ErrorCode, FinishReason, FoundRegion, Mode, ModelInfo, Point, RegionMask, RunEvent,
        SegmentRequest,
    },
};
use image::RgbImage;

use super::backend::{Backend, BackendError, Prompt, Step, TokenCounts};
use super::found::{drawn_masks, named_by, scored_masks};

/// Most tokens of an answer.
const MAX_NEW_TOKENS: usize = 512;
/// Most masks of an answer.
const MAX_MASKS: usize = 32;
/// Most masks of an answer that is measured: as many as the COCO API looks at.
const MAX_MEASURED_MASKS: usize = 100;
/// Sessions grow by this many tokens.
const SESSION_STEP: usize = 512;
/// Mask pixels that are brought to the picture's size at a time.
const GROUNDED_PIXELS: usize = 1 << 25;
/// Answers with these end too; published tokenizers have more than one end.
const OTHER_END: &str = "<|endoftext|>";

/// A model with everything that is needed to ask it. Clones share its tensors.
#[derive(Debug, Clone)]
pub struct LoadedModel {
    /// The model.
    pub model: Fclm,
    /// Its `config.json`.
    pub config: FclmConfig,
    /// Its tokenizer.
    pub tokenizer: FclmTokenizer,
    /// Its chat template.
    pub chat_template: String,
    /// Where it lives.
    pub device: Device,
    /// What people are told about it.
    pub info: ModelInfo,
}

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

/// An answer that is being written.
#[derive(Debug)]
pub struct FclmAnswer {
    session: Session,
    state: StepOutput,
    reader: AnswerReader,
    features: ImageFeatures,
    mode: Mode,
    /// What was searched for.
    wanted: String,
    masks: Vec<PendingMask>,
    /// Whether it is written to be measured.
    is_measured: bool,
    counts: TokenCounts,
}

#[derive(Debug)]
struct PendingMask {
    hidden: Tensor<2>,
    phrase: Option<String>,
    start: u32,
    end: u32,
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

    /// The parts of a prompt: template, picture, regions, question.
    fn parts(
        &self,
        prompt: &Prompt<'_, ImageFeatures, Arc<RegionTokens>>,
    ) -> Result<Vec<PromptPart>, BackendError> {
        let LoadedModel {
            tokenizer,
            chat_template,
            ..
        } = &self.loaded;
        let typed = tokenizer.sanitize(prompt.text);
        let is_empty = typed.trim().is_empty();
        let text = match prompt.mode {
            Mode::Ask if is_empty && prompt.regions.is_empty() => return Err(nothing_asked()),
            Mode::Ask if is_empty => prompt::DEFAULT_QUESTION.to_owned(),
            Mode::Ask => typed,
            Mode::Find if is_empty => return Err(nothing_wanted()),
            Mode::Find => prompt::find(&typed),
            Mode::Caption => prompt::CAPTION_QUESTION.to_owned(),
        };
        let mentioned: Vec<usize> = prompt.regions.iter().map(|region| region.number).collect();
        let (text, order) = prompt::with_regions(&text, &mentioned, &[]);
        let message = ChatMessage::user(format!("{}{text}", prompt::IMAGE_PLACE));
        let rendered = prompt::render(chat_template, &[message]).map_err(refused)?;
        let mut order = order.into_iter();
        let mut parts = Vec::new();
        for piece in prompt::pieces(&rendered, tokenizer).map_err(refused)? {
            parts.push(match piece {
                Piece::Text(ids) => PromptPart::Text(ids),
                Piece::Image => PromptPart::Image {
                    key: prompt.image_key,
                    tokens: prompt.features.vision.clone(),
                    grid: prompt.features.grid,
                },
                Piece::Region => {
                    let region = order
                        .next()
                        .and_then(|k| prompt.regions.iter().find(|region| region.number == k))
                        .ok_or_else(|| refused(FclmError::Region))?;
                    PromptPart::Region {
                        key: region.key,
                        mask: region.tokens.mask.clone(),
                        pos: region.tokens.pos.clone(),
                    }
                }
            });
        }
        Ok(parts)
    }

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

    /// Writes one token as [`Backend::step`] does. `hear` gets the logits of each mask, row by row
    /// at the picture's size, in the order of the masks.
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

    /// Decodes the answer's masks, as many at a time as fit. Those of a bare `[SEG]` have an empty
    /// phrase; those without a pixel stay only where the answer is measured.
    fn ground(
        &self,
        answer: &mut FclmAnswer,
        hear: &mut dyn FnMut(&[f32]),
    ) -> Result<Vec<FoundRegion>, BackendError> {
        let LoadedModel { model, config, .. } = &self.loaded;
        let features = &answer.features;
        let at_a_time = masks_at_a_time(features);
        let mut found = Vec::new();
        for pending in answer.masks.chunks(at_a_time) {
            let hidden = pending.iter().map(|mask| mask.hidden.clone()).collect();
            let decoded = model.ground(Tensor::cat(hidden, 0), features, config);
            for (pending, scored) in pending.iter().zip(drawn_masks(decoded, features, hear)?) {
                if scored.mask.is_empty() && !answer.is_measured {
                    continue;
                }
                found.push(FoundRegion {
                    phrase: pending.phrase.clone().unwrap_or_default(),
                    start: pending.start,
                    end: pending.end,
                    score: scored.score,
                    box_px: scored.box_px,
                    mask: scored.mask.to_wire(),
                });
            }
        }
        answer.masks.clear();
        Ok(found)
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
        let LoadedModel {
            model,
            config,
            device,
            ..
        } = &self.loaded;
        let parts = self.parts(&prompt)?;
        let length: usize = parts
            .iter()
            .map(|part| match part {
                PromptPart::Text(ids) => ids.len(),
                PromptPart::Image {
                    grid: [height, width],
                    ..
                } => height * width,
                PromptPart::Region { .. } => 2,
            })
            .sum();
        let text = &config.qwen.text;
        // One place is left for the answer.
        let capacity = text.max_position_embeddings.saturating_sub(1);
        if length > capacity {
            return Err(refused(FclmError::TooLong {
                needed: length,
                capacity,
            }));
        }
        let needed = length + MAX_NEW_TOKENS;
        let mut session = session
            .filter(|kept| kept.capacity() >= needed)
            .unwrap_or_else(|| Session::new(text, needed.next_multiple_of(SESSION_STEP), device));
        let (state, cached) = session.prefill(model, &parts).map_err(refused)?;
        Ok(FclmAnswer {
            session,
            state,
            reader: AnswerReader::default(),
            features: prompt.features.clone(),
            mode: prompt.mode,
            wanted: prompt.text.trim().to_owned(),
            masks: Vec::new(),
            is_measured: false,
            counts: TokenCounts {
                prompt: length as u32,
                cached: cached as u32,
                written: 0,
            },
        })
    }

    fn step(&self, answer: &mut FclmAnswer) -> Result<Step, BackendError> {
        self.step_hearing(answer, &mut |_| {})
    }

    fn counts(&self, answer: &FclmAnswer) -> TokenCounts {
        answer.counts
    }

    fn end(&self, answer: FclmAnswer) -> Session {
        answer.session
    }
}

/// How many masks may be brought to the picture's size together.
fn masks_at_a_time(features: &ImageFeatures) -> usize {
    let pixels = features.width as usize * features.height as usize;
    (GROUNDED_PIXELS / pixels.max(1)).max(1)
}

/// Of a question without a region, nothing but special tokens was typed.
fn nothing_asked() -> BackendError {
    no_text("Nothing of the question is left to read; mark a region, or ask in other words.")
}

/// Of a description, nothing but special tokens was typed.
fn nothing_wanted() -> BackendError {
    no_text("Nothing of the text is left to read; describe in other words what is to be found.")
}

fn no_text(message: &str) -> BackendError {
    BackendError::Refused {
        code: ErrorCode::BadText,
        message: message.to_owned(),
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
mod tests {
    use fclm_core::fclm::prompt::SEG;

    use super::*;
    use crate::train::train_tokenizer;

    /// An untrained model with seven ids that have no token.
    fn backend() -> FclmBackend {
        let texts = (0..50).map(|number| format!("a red cube left of cube {number}"));
        let json = train_tokenizer(texts, 300).unwrap();
        let tokenizer = FclmTokenizer::from_json(json.as_bytes()).unwrap();
        let rows = tokenizer.ids() + 7;
        let config = FclmConfig::tiny(rows, tokenizer.special().image);
        let device = Device::flex();
        let model = config.init(&device);
        FclmBackend::new(LoadedModel::of(model, tokenizer, config, device))
    }

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

    #[test]
    fn masks_without_a_pixel_are_told_from_the_others() {
        let backend = backend();
        let features = backend.encode_image(&RgbImage::new(32, 32)).unwrap();
        let mut logits = vec![-1.0f32; 2 * 32 * 32];
        logits[32 * 32 + 40] = 3.0;
        let decoded = || ScoredLogits {
            logits: Tensor::from_data(
                TensorData::new(logits.clone(), [2, 1, 32, 32]),
                &backend.loaded.device,
            ),
            scores: Tensor::from_data(
                TensorData::new(vec![0.75f32, 1.5], [2, 1]),
                &backend.loaded.device,
            ),
        };
        let mut heard = Vec::new();
        let all = drawn_masks(decoded(), &features, &mut |logits| {
            heard.extend_from_slice(logits);
        })
        .unwrap();
        assert_eq!(heard, logits);
        let told: Vec<(u64, f32)> = all
            .iter()
            .map(|scored| (scored.mask.area(), scored.score))
            .collect();
        assert_eq!(told, [(0, 0.75), (1, 1.0)]);
        let shown = scored_masks(decoded(), &features).unwrap();
        let areas: Vec<Option<u64>> = shown
            .iter()
            .map(|scored| scored.as_ref().map(|scored| scored.mask.area()))
            .collect();
        assert_eq!(areas, [None, Some(1)]);
    }

    #[test]
    fn a_text_of_special_tokens_alone_is_refused() {
        let backend = backend();
        let picture = RgbImage::new(32, 32);
        let features = backend.encode_image(&picture).unwrap();
        for (mode, text) in [
            (Mode::Ask, "[SEG]"),
            (Mode::Ask, "  "),
            (Mode::Find, "<mask> <pos>"),
        ] {
            let prompt = Prompt {
                image_key: 1,
                features: &features,
                mode,
                text,
                regions: Vec::new(),
            };
            let refused = matches!(
                backend.begin(prompt, None),
                Err(BackendError::Refused {
                    code: ErrorCode::BadText,
                    ..
                })
            );
            assert!(refused, "{mode:?} {text:?}");
        }
    }
}
