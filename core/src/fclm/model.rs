use ::image::RgbImage;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData, activation};

use super::config::FclmConfig;
use super::error::FclmError;
use crate::linear::in_type_of;
use crate::mask::Mask;
use crate::qwen::{self, Qwen};
use crate::region::{
    RegionBatch, RegionExtractor, RegionTokens, cell_features, mask_shape, prepare_region,
    region_center,
};
use crate::sam::{self, Decoded, PicturePrompt, Sam};

/// `seg_projection`: Linear, ReLU, Linear from the LLM's width to the mask decoder's (LISA's
/// `text_hidden_fcs`). `[SEG]`'s hidden state and `<pos>` both go through it.
#[derive(Module, Debug)]
pub struct SegProjection {
    pub(super) fc1: Linear,
    pub(super) fc2: Linear,
}

impl SegProjection {
    /// # Shapes
    /// - `tokens`: `[tokens, hidden_size]`
    /// - output: `[tokens, embedding_dim]`
    pub fn forward(&self, tokens: Tensor<2>) -> Tensor<2> {
        let tokens = in_type_of(tokens, self.fc1.weight.dtype());
        self.fc2.forward(activation::relu(self.fc1.forward(tokens)))
    }
}

/// One multimodal LLM that describes regions and segments from text.
///
/// Should be created using [`FclmConfig`].
#[derive(Module, Debug)]
pub struct Fclm {
    /// Qwen2.5-VL.
    pub qwen: Qwen,
    /// SAM.
    pub sam: Sam,
    /// The hybrid region extractor.
    pub region: RegionExtractor,
    /// From the LLM's width to the mask decoder's.
    pub seg_projection: SegProjection,
}

/// What an image looks like to the model; computed once per image, cheap to clone.
#[derive(Debug, Clone)]
pub struct ImageFeatures {
    /// Width of the upright picture in pixels.
    pub width: u32,
    /// Height of the upright picture in pixels.
    pub height: u32,
    /// Merged tokens of the vision tower in raster order, `[tokens, hidden_size]`.
    pub vision: Tensor<2>,
    /// Height and width of that raster.
    pub grid: [usize; 2],
    /// SAM's embedding, `[1, channels, cells, cells]`.
    pub sam: Tensor<4>,
    /// Height and width of the picture inside SAM's square input.
    pub sam_input: [usize; 2],
}

/// Mask logits at the picture's size with their scores, still on the device.
#[derive(Debug, Clone)]
pub struct ScoredLogits {
    /// `[prompts, masks, height, width]`
    pub logits: Tensor<4>,
    /// `[prompts, masks]`, estimated IoU.
    pub scores: Tensor<2>,
}

impl Fclm {
    /// The model as it is written and served: adapters and new tokens' rows folded into the weights
    /// that they add to.
    pub fn merged(mut self) -> Self {
        self.qwen = self.qwen.merge_new_rows();
        self.qwen.model = self.qwen.model.merge_lora();
        self
    }

    /// The model with blocks of the language model, of the vision tower and of SAM's image encoder
    /// whose insides are computed again in the backward pass, or kept.
    pub fn recomputing(mut self, recomputes: bool) -> Self {
        self.qwen.model = self.qwen.model.recomputing(recomputes);
        self.qwen.visual = self.qwen.visual.recomputing(recomputes);
        self.sam.image_encoder = self.sam.image_encoder.recomputing(recomputes);
        self
    }

    /// Encodes a picture for both the LLM and the mask decoder.
    ///
    /// # Errors
    /// Where the picture's sides cannot be brought to the vision tower's grid.
    pub fn encode_image(
        &self,
        image: &RgbImage,
        config: &FclmConfig,
        device: &Device,
    ) -> Result<ImageFeatures, FclmError> {
        let (vision, grid) = self.encode_for_llm(image, config, device)?;
        let (sam, sam_input) = self.sam.encode(image, &config.sam, device);
        Ok(ImageFeatures {
            width: image.width(),
            height: image.height(),
            vision,
            grid,
            sam,
            sam_input,
        })
    }

    /// What the LLM sees of a picture, `[tokens, hidden_size]`, and the rows and columns of those
    /// tokens.
    ///
    /// # Errors
    /// Where the picture's sides cannot be brought to the vision tower's grid.
    pub fn encode_for_llm(
        &self,
        image: &RgbImage,
        config: &FclmConfig,
        device: &Device,
    ) -> Result<(Tensor<2>, [usize; 2]), FclmError> {
        let vision_config = &config.qwen.vision;
        let (pixels, grid) =
            qwen::preprocess(image, vision_config, config.min_pixels, config.max_pixels)?;
        let patches = grid.h * grid.w;
        let width = pixels.len() / patches;
        let pixels = Tensor::from_data(TensorData::new(pixels, [1, patches, width]), device);
        let vision = self.qwen.encode_images(pixels, grid);
        let [_, tokens, hidden] = vision.dims();
        let merge = vision_config.spatial_merge_size;
        Ok((
            vision.reshape([tokens, hidden]),
            [grid.h / merge, grid.w / merge],
        ))
    }

    /// `<mask>` and `<pos>` of one region of an encoded picture, each `[1, hidden_size]`.
    ///
    /// # Errors
    /// Where the mask is empty or has another size than the picture.
    pub fn encode_region(
        &self,
        features: &ImageFeatures,
        image: &RgbImage,
        mask: &Mask,
        config: &FclmConfig,
        device: &Device,
    ) -> Result<RegionTokens, FclmError> {
        let prepared =
            prepare_region(image, mask, &config.sam, &config.region).ok_or(FclmError::Region)?;
        let batch = RegionBatch::new(&[&prepared], config.sam.image_size, device);
        let crop = match self.region.uses_crop() {
            true => self.sam.image_encoder.forward(batch.crop_pixels.clone()),
            // Without step 1 nobody looks at it.
            false => features.sam.clone(),
        };
        let vision = features.vision.clone().unsqueeze::<3>();
        Ok(self.extract_regions(crop, features.sam.clone(), vision, features.grid, batch))
    }

    /// `<mask>` and `<pos>` of one region, each `[1, hidden_size]`, from the vector that steps 1 and
    /// 2 gave elsewhere.
    ///
    /// # Errors
    /// Where the mask is empty or has another size than the picture.
    ///
    /// # Panics
    /// Panics where `vector` has not the extractor's width.
    pub fn complete_region(
        &self,
        features: &ImageFeatures,
        vector: &[f32],
        mask: &Mask,
        config: &FclmConfig,
        device: &Device,
    ) -> Result<RegionTokens, FclmError> {
        let size = (features.width, features.height);
        let center = region_center(mask)
            .filter(|_| (mask.width(), mask.height()) == size)
            .ok_or(FclmError::Region)?;
        let row = |values: Vec<f32>| {
            let length = values.len();
            Tensor::<2>::from_data(TensorData::new(values, [1, length]), device)
        };
        let vision = features.vision.clone().unsqueeze::<3>();
        Ok(self.region.complete(
            row(vector.to_vec()),
            vision,
            features.grid,
            row(center.to_vec()),
            row(mask_shape(mask, &config.region)),
        ))
    }

    /// Region tokens of a batch, from features that were computed before.
    ///
    /// # Shapes
    /// - `crops`, `images`: `[regions, channels, cells, cells]`, SAM's embeddings of each region's
    ///   crop, which is looked at only where step 1 is on, and of its whole picture
    /// - `vision`: `[regions, tokens, hidden_size]` of each region's picture
    pub fn extract_regions(
        &self,
        crops: Tensor<4>,
        images: Tensor<4>,
        vision: Tensor<3>,
        grid: [usize; 2],
        batch: RegionBatch,
    ) -> RegionTokens {
        let (pooled, selected) = match self.region.uses_crop() {
            true => (cell_features(crops), batch.crop_cells),
            false => (
                vision.clone(),
                self.region.touched_tokens(batch.shape.clone(), grid),
            ),
        };
        let light = self.region.light(
            pooled,
            selected,
            cell_features(images),
            batch.image_background,
        );
        self.region
            .complete(light, vision, grid, batch.center, batch.shape)
    }

    /// Decodes tokens at the decoder's width (`[SEG]` or `<pos>` after [`SegProjection`]), each as
    /// the one sparse prompt of its own mask.
    ///
    /// # Shapes
    /// - `tokens`: `[prompts, embedding_dim]`
    /// - `embeddings`: `[prompts, embedding_dim, cells, cells]`
    pub fn decode_tokens(&self, tokens: Tensor<2>, embeddings: Tensor<4>) -> Decoded {
        let [prompts, dim] = tokens.dims();
        let prompt_encoder = &self.sam.prompt_encoder;
        let dtype = prompt_encoder.no_mask_embed.weight.dtype();
        self.sam.mask_decoder.forward(
            embeddings.cast(dtype),
            prompt_encoder.dense_pe(),
            tokens.cast(dtype).reshape([prompts, 1, dim]),
            prompt_encoder.dense_no_mask(prompts),
        )
    }

    /// Where the mask decoder looks for `[SEG]` hidden states (or `<pos>` tokens) over one picture:
    /// the attention of each one's token to the picture's cells, the mean of heads and layers.
    ///
    /// # Shapes
    /// - `hidden`: `[prompts, hidden_size]`, after the LLM's final norm
    /// - output: `[prompts, 1, cells, cells]` over SAM's square input; each prompt's adds up to one.
    ///   [`ImageFeatures::upscale`] brings it to the picture's size
    pub fn looks(&self, hidden: Tensor<2>, features: &ImageFeatures) -> Tensor<4> {
        let [prompts, _] = hidden.dims();
        let [_, _, height, width] = features.sam.dims();
        let tokens = self.seg_projection.forward(hidden);
        let [_, dim] = tokens.dims();
        let prompt_encoder = &self.sam.prompt_encoder;
        let dtype = prompt_encoder.no_mask_embed.weight.dtype();
        let embeddings = features.sam.clone().repeat_dim(0, prompts);
        let looks = self.sam.mask_decoder.looks(
            embeddings.cast(dtype),
            prompt_encoder.dense_pe(),
            tokens.cast(dtype).reshape([prompts, 1, dim]),
            prompt_encoder.dense_no_mask(prompts),
        );
        looks.mean_dim(1).reshape([prompts, 1, height, width])
    }

    /// Masks of `[SEG]` hidden states (or `<pos>` tokens) over one picture, at its size.
    ///
    /// # Shapes
    /// - `hidden`: `[prompts, hidden_size]`, after the LLM's final norm
    pub fn ground(
        &self,
        hidden: Tensor<2>,
        features: &ImageFeatures,
        config: &FclmConfig,
    ) -> ScoredLogits {
        let [prompts, _] = hidden.dims();
        let tokens = self.seg_projection.forward(hidden);
        let embeddings = features.sam.clone().repeat_dim(0, prompts);
        let Decoded {
            low_res,
            iou: scores,
        } = self.decode_tokens(tokens, embeddings).single();
        ScoredLogits {
            logits: features.upscale(low_res, config),
            scores,
        }
    }

    /// SAM's own task over one picture: three candidates for points and a box, still at the
    /// decoder's resolution, because all three at the size of a large picture would take more than
    /// a gigabyte. [`ImageFeatures::upscale`] brings them there.
    ///
    /// `points` are `(x, y, label)` with label 1 on and 0 off the object; everything is in pixels
    /// of the upright picture. At least one of the two must be given.
    ///
    /// # Panics
    /// Panics without points and box.
    pub fn segment_prompt(
        &self,
        points: &[(f32, f32, i32)],
        box_px: Option<[f32; 4]>,
        features: &ImageFeatures,
        config: &FclmConfig,
    ) -> Decoded {
        let original = [features.height as usize, features.width as usize];
        let prompt = PicturePrompt {
            points,
            box_px,
            mask: None,
        };
        self.sam
            .segment(prompt, features.sam.clone(), original, &config.sam)
    }
}

impl ImageFeatures {
    /// Brings mask logits of the decoder's resolution to the picture's.
    ///
    /// # Shapes
    /// - `low_res`: `[prompts, masks, side, side]`
    /// - output: `[prompts, masks, height, width]`
    pub fn upscale(&self, low_res: Tensor<4>, config: &FclmConfig) -> Tensor<4> {
        sam::upscale_logits(
            low_res,
            self.sam_input,
            config.sam.image_size,
            [self.height as usize, self.width as usize],
        )
    }
}

#[cfg(test)]
mod tests {
    use ::image::Rgb;
    use burn::module::{ModuleMapper, Param};
    use burn::tensor::{DType, Distribution};

    use super::*;
    use crate::fclm::{PromptPart, Session};
    use crate::fixtures::test_device;
    use crate::region::ExtractorSteps;

    struct Halve;

    impl ModuleMapper for Halve {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|value| value.set_require_grad(false).cast(DType::BF16))
        }
    }

    fn assert_near<const D: usize>(what: &str, half: Tensor<D>, full: Tensor<D>) {
        let norm = |x: Tensor<D>| x.square().sum().sqrt().into_scalar::<f32>();
        let off = norm(half.cast(DType::F32) - full.clone()) / norm(full);
        assert!(off < 5e-2, "{what}: off by {off}");
    }

    #[test]
    fn a_half_precision_language_model_fits_full_precision_parts() {
        let device = test_device();
        device.seed(4);
        let config = FclmConfig::tiny(64, 1);
        let full = config.init(&device);
        let half = Fclm {
            qwen: full.qwen.clone().map(&mut Halve),
            ..full.clone()
        };
        let image = RgbImage::from_fn(64, 48, |x, y| {
            Rgb([(4 * x) as u8, (5 * y) as u8, (x * y) as u8])
        });
        let mask = Mask::rect(64, 48, [20.0, 10.0, 44.0, 30.0]);
        let pass = |model: &Fclm| {
            let features = model.encode_image(&image, &config, &device).unwrap();
            let region = model
                .encode_region(&features, &image, &mask, &config, &device)
                .unwrap();
            let parts = [
                PromptPart::Text(vec![3, 4]),
                PromptPart::Image {
                    key: 1,
                    tokens: features.vision.clone(),
                    grid: features.grid,
                },
                PromptPart::Region {
                    key: 1,
                    mask: region.mask.clone(),
                    pos: region.pos.clone(),
                },
                PromptPart::Text(vec![5]),
            ];
            let mut session = Session::new(&config.qwen.text, 64, &device);
            let (state, _) = session.prefill(model, &parts).unwrap();
            let drawn = model.ground(state.hidden.clone(), &features, &config);
            (features.vision, region.mask, state, drawn.logits)
        };
        let (half, full) = (pass(&half), pass(&full));
        assert_eq!(half.0.dtype(), DType::BF16);
        assert_near("picture tokens", half.0, full.0);
        assert_eq!(half.1.dtype(), DType::F32);
        assert_near("<mask>", half.1, full.1);
        assert_eq!(half.2.hidden.dtype(), DType::BF16);
        assert_near("hidden state", half.2.hidden, full.2.hidden);
        assert_near("logits", half.2.logits, full.2.logits);
        assert_eq!(half.3.dtype(), DType::F32);
        assert_near("drawn mask", half.3, full.3);
    }

    #[test]
    fn every_row_of_the_extractor_s_ablation_gives_tokens() {
        let device = test_device();
        device.seed(4);
        let image = RgbImage::from_fn(64, 64, |x, y| Rgb([(4 * x) as u8, (4 * y) as u8, 90]));
        let mask = Mask::rect(64, 64, [20.0, 10.0, 44.0, 30.0]);
        for on in 0..=3 {
            let mut config = FclmConfig::tiny(64, 1);
            config.region.steps = ExtractorSteps {
                local: on > 0,
                pixel: on > 1,
                semantic: on > 2,
            };
            let model = config.init(&device);
            let features = model.encode_image(&image, &config, &device).unwrap();
            let region = model
                .encode_region(&features, &image, &mask, &config, &device)
                .unwrap();
            assert_eq!(region.mask.dims(), [1, 32], "{on} steps");
            assert!(region.mask.is_finite().all().into_scalar::<bool>());
        }
    }

    #[test]
    fn a_token_s_looks_add_up_to_one() {
        let device = test_device();
        device.seed(4);
        let config = FclmConfig::tiny(64, 1);
        let model = config.init(&device);
        let image = RgbImage::from_pixel(64, 48, Rgb([90, 160, 200]));
        let features = model.encode_image(&image, &config, &device).unwrap();
        let hidden = Tensor::random([3, 32], Distribution::Normal(0.0, 1.0), &device);
        let looks = model.looks(hidden, &features);
        let grid = config.sam.grid();
        assert_eq!(looks.dims(), [3, 1, grid, grid]);
        let sums = looks.reshape([3, grid * grid]).sum_dim(1);
        let ones = Tensor::<2>::ones([3, 1], &device);
        assert_near("sums", sums, ones);
    }
}
