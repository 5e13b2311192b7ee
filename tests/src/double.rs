//! A model of words instead of tensors, for tests of everything around the model.
//!
//! What it answers is decided by the question: `count N` writes N words, `delay MS` waits before
//! each, `panic` panics in the middle, and `break down` panics behind the end, where nothing is
//! expected to. A search finds the upper left quarter of the picture, or
//! nothing where the question says `nothing`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fclm_core::mask::Mask;
use fclm_core::wire::{
    FinishReason, FoundRegion, LightInfo, Mode, ModelInfo, RegionMask, RunEvent, SegmentRequest,
    Stage,
};
use fclm_server::engine::{Backend, BackendError, Prompt, Step, TokenCounts};
use image::RgbImage;

/// How often the model was asked to compute what.
#[derive(Debug, Default)]
pub struct Counters {
    /// Pictures that were encoded.
    pub images: AtomicUsize,
    /// Regions that were encoded.
    pub regions: AtomicUsize,
    /// Regions that were completed from a browser's vector.
    pub vectors: AtomicUsize,
    /// Conversations that went on from what was kept.
    pub kept: AtomicUsize,
}

/// The model of words.
#[derive(Debug, Default)]
pub struct Words {
    counters: Arc<Counters>,
    is_light: bool,
}

/// The hash of the weights that browsers are told of.
pub const LIGHT: &str = "0a1b";

/// An answer that is being written.
#[derive(Debug)]
pub struct WordsAnswer {
    size: [u32; 2],
    mode: Mode,
    text: String,
    count: usize,
    delay: Duration,
    written: usize,
    counts: TokenCounts,
}

impl Words {
    /// A model and the counters of what it computes.
    pub fn counted() -> (Self, Arc<Counters>) {
        let words = Self::default();
        let counters = Arc::clone(&words.counters);
        (words, counters)
    }

    /// The same with a part for browsers, whose vectors are two numbers.
    pub fn with_light(self) -> Self {
        Self {
            is_light: true,
            ..self
        }
    }
}

fn number_after(text: &str, word: &str) -> Option<usize> {
    let mut words = text.split_whitespace().skip_while(|other| *other != word);
    words.nth(1)?.parse().ok()
}

fn quarter([width, height]: [u32; 2]) -> Mask {
    Mask::rect(
        width,
        height,
        [0.0, 0.0, width as f32 / 2.0, height as f32 / 2.0],
    )
}

impl Backend for Words {
    type Features = [u32; 2];
    type Region = u64;
    type Session = ();
    type Answer = WordsAnswer;

    fn info(&self) -> ModelInfo {
        ModelInfo {
            name: "words".to_owned(),
            stage: Stage::Two,
            knows: "words".to_owned(),
            parameters: 0,
            parts: Vec::new(),
            device: "CPU".to_owned(),
            sha256: String::new(),
            light: self.is_light.then(|| LightInfo {
                url: format!("/models/light.safetensors?sha256={LIGHT}"),
                sha256: LIGHT.to_owned(),
                bytes: 7,
                vector_len: 2,
                config: serde_json::Value::Null,
            }),
        }
    }

    fn encode_image(&self, image: &RgbImage) -> Result<[u32; 2], BackendError> {
        self.counters.images.fetch_add(1, Ordering::Relaxed);
        Ok([image.width(), image.height()])
    }

    fn features_bytes(&self, _: &[u32; 2]) -> u64 {
        8
    }

    fn encode_region(&self, _: &[u32; 2], _: &RgbImage, mask: &Mask) -> Result<u64, BackendError> {
        self.counters.regions.fetch_add(1, Ordering::Relaxed);
        Ok(mask.area())
    }

    fn complete_region(
        &self,
        _: &[u32; 2],
        mask: &Mask,
        _: &[f32],
    ) -> Result<Option<u64>, BackendError> {
        self.counters.vectors.fetch_add(1, Ordering::Relaxed);
        Ok(Some(mask.area()))
    }

    fn segment(
        &self,
        size: &[u32; 2],
        request: &SegmentRequest,
    ) -> Result<Vec<RegionMask>, BackendError> {
        let [width, height] = *size;
        let mask = match request.box_px {
            Some(box_px) => Mask::rect(width, height, box_px),
            None => quarter(*size),
        };
        let box_px = mask.bounds().expect("boxes of tests cover a pixel");
        Ok(vec![RegionMask {
            mask: mask.to_wire(),
            box_px,
            score: 0.9,
        }])
    }

    fn begin(
        &self,
        prompt: Prompt<'_, [u32; 2], u64>,
        session: Option<()>,
    ) -> Result<WordsAnswer, BackendError> {
        let cached = session.map_or(0, |()| {
            self.counters.kept.fetch_add(1, Ordering::Relaxed) + 1
        });
        Ok(WordsAnswer {
            size: *prompt.features,
            mode: prompt.mode,
            text: prompt.text.to_owned(),
            count: number_after(prompt.text, "count").unwrap_or(3),
            delay: Duration::from_millis(number_after(prompt.text, "delay").unwrap_or(0) as u64),
            written: 0,
            counts: TokenCounts {
                prompt: 10,
                cached: cached as u32,
                written: 0,
            },
        })
    }

    fn step(&self, answer: &mut WordsAnswer) -> Result<Step, BackendError> {
        std::thread::sleep(answer.delay);
        answer.counts.written += 1;
        assert!(!answer.text.contains("panic"), "asked to");
        if answer.mode == Mode::Find && !answer.text.contains("nothing") {
            let mask = quarter(answer.size);
            let found = FoundRegion {
                phrase: answer.text.clone(),
                start: 0,
                end: 0,
                score: 0.8,
                box_px: mask.bounds().expect("a quarter of a picture"),
                mask: mask.to_wire(),
            };
            let finish = Some(FinishReason::Stop);
            return Ok(Step {
                events: vec![RunEvent::Region(found)],
                finish,
            });
        }
        if answer.written == answer.count {
            return Ok(Step {
                events: Vec::new(),
                finish: Some(FinishReason::Stop),
            });
        }
        let delta = format!("word{} ", answer.written);
        answer.written += 1;
        Ok(Step {
            events: vec![RunEvent::Text { delta }],
            finish: None,
        })
    }

    fn counts(&self, answer: &WordsAnswer) -> TokenCounts {
        answer.counts
    }

    fn end(&self, answer: WordsAnswer) {
        assert!(!answer.text.contains("break down"), "asked to");
    }
}

/// What the model of words answers to `count N`.
pub fn words(count: usize) -> String {
    (0..count).map(|index| format!("word{index} ")).collect()
}
