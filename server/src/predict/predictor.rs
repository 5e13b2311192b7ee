mod looks;
mod together;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use burn::tensor::{Device, Tensor, TensorData};
use fclm_core::{
    fclm::{FclmError, ImageFeatures, LatentSpace, Session},
    mask::Mask,
    region::{RegionTokens, mask_shape},
    wire::{BoxPx, ErrorCode, FoundRegion, Mode, ModelInfo, RunEvent, SegmentRequest},
};
use image::RgbImage;
use serde::Serialize;

pub use self::looks::Looks;
use super::error::PredictError;
use crate::engine::{
    Backend, BackendError, FclmAnswer, FclmBackend, LoadedModel, Prompt, PromptRegion, Step,
    scored_masks,
};
use crate::model_dir::ModelDir;

/// Tells pictures apart in what a session holds.
static NEXT_PICTURE: AtomicU64 = AtomicU64::new(1);

/// A loaded model that answers questions for one caller at a time. Clones share its tensors.
#[derive(Debug, Clone)]
pub struct Predictor {
    backend: FclmBackend,
}

/// A picture that the model has encoded, with what is kept between questions about it.
#[derive(Debug)]
pub struct Picture {
    image: RgbImage,
    features: ImageFeatures,
    key: u64,
    regions: u64,
    session: Option<Session>,
}

/// What was found for a text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// What the model wrote, without the places of masks.
    pub text: String,
    /// The masks with their phrases; spans are in code points of `text`.
    pub regions: Vec<FoundRegion>,
}

/// A mask with the model's estimate of its IoU.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredMask {
    /// The mask, at the picture's size.
    pub mask: Mask,
    /// Estimated IoU, 0 to 1.
    pub score: f32,
}

/// Where a text and some regions lie in the space in which the model holds them together.
#[derive(Debug, Clone, PartialEq)]
pub struct Latents {
    /// `T_seg`: what `[SEG]` would be decoded from right after the text.
    pub seg: Vec<f32>,
    /// `T_pos` of each region.
    pub pos: Vec<Vec<f32>>,
}

impl Picture {
    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.image.width()
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.image.height()
    }

    /// The one region of a further question.
    fn asked_about(&mut self, tokens: Arc<RegionTokens>) -> PromptRegion<Arc<RegionTokens>> {
        self.regions += 1;
        PromptRegion {
            number: 1,
            key: self.regions,
            tokens,
        }
    }
}

impl Found {
    /// What an answer consists of.
    fn of(events: Vec<RunEvent>) -> Self {
        let mut found = Self {
            text: String::new(),
            regions: Vec::new(),
        };
        for event in events {
            match event {
                RunEvent::Text { delta } => found.text.push_str(&delta),
                RunEvent::Region(region) => found.regions.push(region),
                _ => {}
            }
        }
        found
    }

    /// Everything that was found, as one mask at the size of the picture.
    pub fn union(&self, picture: &Picture) -> Mask {
        let mut union = Mask::new(picture.width(), picture.height());
        let pixels = u64::from(picture.width()) * u64::from(picture.height());
        for region in &self.regions {
            let mask = Mask::from_wire(&region.mask, pixels)
                .expect("the model's masks have the picture's size");
            union.union_with(&mask);
        }
        union
    }

    /// Mean estimated IoU of the masks; none where nothing was found.
    pub fn score(&self) -> Option<f32> {
        let sum: f32 = self.regions.iter().map(|region| region.score).sum();
        (!self.regions.is_empty()).then(|| sum / self.regions.len() as f32)
    }
}

impl Predictor {
    /// Loads a model directory on the CPU.
    ///
    /// # Errors
    /// Where the directory holds no FCLM model, or its tensors do not fit.
    pub fn open(path: &Path) -> Result<Self, PredictError> {
        Self::open_on(path, &Device::flex())
    }

    /// Loads a model directory onto a device.
    ///
    /// # Errors
    /// As [`Predictor::open`].
    pub fn open_on(path: &Path, device: &Device) -> Result<Self, PredictError> {
        let backend = FclmBackend::load(&ModelDir::open(path)?, device)?;
        Ok(Self { backend })
    }

    /// What the model is.
    pub fn info(&self) -> ModelInfo {
        self.backend.info()
    }

    /// Encodes a picture.
    ///
    /// # Errors
    /// Where the picture's sides do not suit the model.
    pub fn see(&self, image: RgbImage) -> Result<Picture, PredictError> {
        let features = self.backend.encode_image(&image)?;
        Ok(Picture {
            image,
            features,
            key: NEXT_PICTURE.fetch_add(1, Ordering::Relaxed),
            regions: 0,
            session: None,
        })
    }

    /// Answers a question about a region; where the question is empty, describes it in detail.
    ///
    /// # Errors
    /// Where the mask is empty or has another size than the picture, or the question is too long.
    pub fn describe(
        &self,
        picture: &mut Picture,
        mask: &Mask,
        question: &str,
    ) -> Result<String, PredictError> {
        let tokens = self
            .backend
            .encode_region(&picture.features, &picture.image, mask)?;
        let region = picture.asked_about(tokens);
        let answer = self.ask(picture, Mode::Ask, question, vec![region])?;
        Ok(answer.text.trim().to_owned())
    }

    /// Finds what a text describes.
    ///
    /// # Errors
    /// Where the text is too long for the model.
    pub fn find(&self, picture: &mut Picture, text: &str) -> Result<Found, PredictError> {
        self.ask(picture, Mode::Find, text, Vec::new())
    }

    /// Describes the whole picture, with a mask for each of its phrases.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn caption(&self, picture: &mut Picture) -> Result<Found, PredictError> {
        self.ask(picture, Mode::Caption, "", Vec::new())
    }

    /// As [`Predictor::find`], to be measured: masks without a pixel stay, and there may be more of
    /// them. `hear` gets the logits of each mask, row by row at the picture's size.
    pub(crate) fn find_measured(
        &self,
        picture: &mut Picture,
        text: &str,
        hear: &mut dyn FnMut(&[f32]),
    ) -> Result<Found, PredictError> {
        let mut answer = self.begin(picture, Mode::Find, text, Vec::new())?;
        answer.measure();
        self.write(picture, answer, hear)
    }

    /// As [`Predictor::caption`], to be measured: masks without a pixel stay, and there may be more
    /// of them.
    pub(crate) fn caption_measured(&self, picture: &mut Picture) -> Result<Found, PredictError> {
        let mut answer = self.begin(picture, Mode::Caption, "", Vec::new())?;
        answer.measure();
        self.write(picture, answer, &mut |_| {})
    }

    /// SAM's own task: candidates for what a box holds, best first; none where nothing stands
    /// out.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn box_masks(
        &self,
        picture: &Picture,
        box_px: BoxPx,
    ) -> Result<Vec<ScoredMask>, PredictError> {
        let request = SegmentRequest {
            box_px: Some(box_px),
            points: Vec::new(),
        };
        let pixels = u64::from(picture.width()) * u64::from(picture.height());
        match self.backend.segment(&picture.features, &request) {
            Ok(masks) => Ok(masks
                .into_iter()
                .map(|found| ScoredMask {
                    mask: Mask::from_wire(&found.mask, pixels)
                        .expect("the model's masks have the picture's size"),
                    score: found.score,
                })
                .collect()),
            Err(BackendError::Refused {
                code: ErrorCode::BadRegion,
                ..
            }) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// The mask of what a box holds: the best candidate, or the plain rectangle where there is
    /// none.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn box_mask(&self, picture: &Picture, box_px: BoxPx) -> Result<Mask, PredictError> {
        let best = self.box_masks(picture, box_px)?.into_iter().next();
        Ok(best.map_or_else(
            || Mask::rect(picture.width(), picture.height(), box_px),
            |best| best.mask,
        ))
    }

    /// Draws regions back from their `<pos>` alone; none where no pixel is drawn.
    ///
    /// # Errors
    /// Where a mask is empty or has another size than the picture.
    pub fn reconstruct(
        &self,
        picture: &Picture,
        masks: &[&Mask],
    ) -> Result<Vec<Option<ScoredMask>>, PredictError> {
        let LoadedModel { model, config, .. } = self.backend.loaded();
        let positions = self.positions(picture, masks)?;
        let decoded = model.ground(positions, &picture.features, config);
        let drawn = scored_masks(decoded, &picture.features)?;
        Ok(drawn
            .into_iter()
            .map(|drawn| {
                drawn.map(|drawn| ScoredMask {
                    mask: drawn.mask,
                    score: drawn.score,
                })
            })
            .collect())
    }

    /// `T_seg` of a text and `T_pos` of some regions, where consistency learning compares them.
    ///
    /// `T_seg` is the state from which the first token of the answer to "find this" is predicted,
    /// whether or not that token would be `[SEG]`.
    ///
    /// # Errors
    /// Where a mask is empty or has another size than the picture, or the text is too long.
    pub fn latents(
        &self,
        picture: &mut Picture,
        text: &str,
        masks: &[&Mask],
    ) -> Result<Latents, PredictError> {
        let answer = self.begin(picture, Mode::Find, text, Vec::new())?;
        let seg = answer.hidden();
        picture.session = Some(self.backend.end(answer));
        let pos = self.positions(picture, masks)?;
        let LoadedModel { model, config, .. } = self.backend.loaded();
        let rows = Tensor::cat(vec![seg, pos], 0);
        let rows = match config.consistency.space {
            LatentSpace::Prompt => model.seg_projection.forward(rows),
            LatentSpace::Language => rows,
        };
        let [_, width] = rows.dims();
        let values = rows
            .try_into_vec_as::<f32>()
            .map_err(|error| BackendError::Failed(error.to_string().into()))?;
        let mut rows = values.chunks_exact(width).map(<[f32]>::to_vec);
        let seg = rows.next().unwrap_or_default();
        Ok(Latents {
            seg,
            pos: rows.collect(),
        })
    }

    /// `<pos>` of regions, `[regions, hidden_size]`. Needs no more of the picture than its size.
    fn positions(&self, picture: &Picture, masks: &[&Mask]) -> Result<Tensor<2>, PredictError> {
        let LoadedModel {
            model,
            config,
            device,
            ..
        } = self.backend.loaded();
        let size = picture.image.dimensions();
        let fits = |mask: &&Mask| !mask.is_empty() && (mask.width(), mask.height()) == size;
        if masks.is_empty() || !masks.iter().all(fits) {
            return Err(PredictError::Backend(BackendError::Refused {
                code: ErrorCode::BadRegion,
                message: FclmError::Region.to_string(),
            }));
        }
        // Where a region is needs no look at its crop.
        let shapes: Vec<f32> = masks
            .iter()
            .flat_map(|mask| mask_shape(mask, &config.region))
            .collect();
        let dims = [masks.len(), config.region.shape_len()];
        let shapes = Tensor::from_data(TensorData::new(shapes, dims), device);
        Ok(model.region.position.forward(shapes))
    }

    fn begin(
        &self,
        picture: &mut Picture,
        mode: Mode,
        text: &str,
        regions: Vec<PromptRegion<Arc<RegionTokens>>>,
    ) -> Result<FclmAnswer, PredictError> {
        let session = picture.session.take();
        let prompt = Prompt {
            image_key: picture.key,
            features: &picture.features,
            mode,
            text,
            regions,
        };
        Ok(self.backend.begin(prompt, session)?)
    }

    fn ask(
        &self,
        picture: &mut Picture,
        mode: Mode,
        text: &str,
        regions: Vec<PromptRegion<Arc<RegionTokens>>>,
    ) -> Result<Found, PredictError> {
        let answer = self.begin(picture, mode, text, regions)?;
        self.write(picture, answer, &mut |_| {})
    }

    /// Writes an answer to its end, and keeps its session with the picture.
    fn write(
        &self,
        picture: &mut Picture,
        mut answer: FclmAnswer,
        hear: &mut dyn FnMut(&[f32]),
    ) -> Result<Found, PredictError> {
        let mut written = Vec::new();
        loop {
            let Step { events, finish } = self.backend.step_hearing(&mut answer, hear)?;
            written.extend(events);
            if finish.is_some() {
                break;
            }
        }
        picture.session = Some(self.backend.end(answer));
        Ok(Found::of(written))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_dir::fixtures::{fixture, test_device, tiny_model};

    fn open(folder: &Path) -> Predictor {
        Predictor::open_on(&tiny_model(folder), &test_device()).unwrap()
    }

    fn picture() -> RgbImage {
        RgbImage::from_fn(96, 64, |x, y| image::Rgb([x as u8 * 2, y as u8 * 3, 90]))
    }

    #[test]
    fn fixture_model_answers_the_same_whatever_was_asked_before() {
        assert!(fixture("qwen").is_dir());
        let folder = tempfile::tempdir().unwrap();
        let predictor = open(folder.path());
        let mask = Mask::rect(96, 64, [10.0, 8.0, 60.0, 50.0]);
        let mut first = predictor.see(picture()).unwrap();
        let alone = predictor.find(&mut first, "the red cube").unwrap();
        let mut second = predictor.see(picture()).unwrap();
        let said = predictor
            .describe(&mut second, &mask, "What is this?")
            .unwrap();
        assert_eq!(said, said.trim());
        let after = predictor.find(&mut second, "the red cube").unwrap();
        assert_eq!(alone.text, after.text);
        assert_eq!(alone.regions.len(), after.regions.len());
        let union = after.union(&second);
        assert_eq!((union.width(), union.height()), (96, 64));
        assert_eq!(after.score().is_some(), !after.regions.is_empty());
    }

    #[test]
    fn fixture_model_says_which_text_is_too_long() {
        let folder = tempfile::tempdir().unwrap();
        let predictor = open(folder.path());
        let mut picture = predictor.see(picture()).unwrap();
        let config = &predictor.backend.loaded().config;
        let places = config.qwen.text.max_position_embeddings;
        // No token holds two of them.
        let error = predictor
            .find(&mut picture, &"漢".repeat(places))
            .unwrap_err();
        assert!(error.is_refusal(), "{error}");
        let sentence = error.to_string();
        let end = format!(" where {} fit); a shorter one helps.", places - 1);
        assert!(
            sentence.starts_with("The text is too long for this model (")
                && sentence.ends_with(&end),
            "{sentence}"
        );
        // The picture may still be asked about.
        assert!(predictor.find(&mut picture, "the red cube").is_ok());
    }

    #[test]
    fn fixture_model_takes_boxes_and_draws_regions_back() {
        let folder = tempfile::tempdir().unwrap();
        let predictor = open(folder.path());
        let mut picture = predictor.see(picture()).unwrap();
        let candidates = predictor
            .box_masks(&picture, [10.0, 8.0, 60.0, 50.0])
            .unwrap();
        assert!(
            candidates
                .windows(2)
                .all(|pair| pair[0].score >= pair[1].score)
        );
        let mask = predictor
            .box_mask(&picture, [10.0, 8.0, 60.0, 50.0])
            .unwrap();
        assert!(!mask.is_empty());
        let other = Mask::rect(96, 64, [0.0, 0.0, 20.0, 20.0]);
        let drawn = predictor.reconstruct(&picture, &[&mask, &other]).unwrap();
        assert_eq!(drawn.len(), 2);
        let latents = predictor
            .latents(&mut picture, "the red cube", &[&mask, &other])
            .unwrap();
        assert_eq!(latents.pos.len(), 2);
        assert!(latents.pos.iter().all(|pos| pos.len() == latents.seg.len()));
        assert_ne!(latents.pos[0], latents.pos[1]);
        let empty = Mask::new(96, 64);
        assert!(
            predictor
                .reconstruct(&picture, &[&empty])
                .unwrap_err()
                .is_refusal()
        );
    }
}
