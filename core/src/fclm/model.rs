use ::image::RgbImage;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Int, Tensor, TensorData, activation};

use super::config::FclmConfig;
use super::error::FclmError;
use crate::mask::Mask;
use crate::qwen::{self, Qwen};
use crate::region::{RegionBatch, RegionExtractor, RegionTokens, prepare_region};
use crate::sam::{self, Decoded, Sam};

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
        let (sam, sam_input) = self.encode_for_decoder(image, config, device);
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

    /// SAM's embedding of a picture, `[1, channels, height, width]`, and the height and width that
    /// the picture takes of SAM's input.
    pub fn encode_for_decoder(
        &self,
        image: &RgbImage,
        config: &FclmConfig,
        device: &Device,
    ) -> (Tensor<4>, [usize; 2]) {
        let prepared = sam::preprocess(image, &config.sam);
        let side = config.sam.image_size;
        let sam_pixels =
            Tensor::from_data(TensorData::new(prepared.pixels, [1, 3, side, side]), device);
        (
            self.sam.image_encoder.forward(sam_pixels),
            [prepared.input_h, prepared.input_w],
        )
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
        let crop = self.sam.image_encoder.forward(batch.crop_pixels.clone());
        let vision = features.vision.clone().unsqueeze::<3>();
        Ok(self.extract_regions(crop, features.sam.clone(), vision, features.grid, batch))
    }

    /// Region tokens of a batch, from features that were computed before.
    ///
    /// # Shapes
    /// - `crops`, `images`: `[regions, channels, cells, cells]`, SAM's embeddings of each region's
    ///   crop and of its whole picture
    /// - `vision`: `[regions, tokens, hidden_size]` of each region's picture
    pub fn extract_regions(
        &self,
        crops: Tensor<4>,
        images: Tensor<4>,
        vision: Tensor<3>,
        grid: [usize; 2],
        batch: RegionBatch,
    ) -> RegionTokens {
        let cells = |map: Tensor<4>| {
            let [regions, channels, height, width] = map.dims();
            map.reshape([regions, channels, height * width])
                .swap_dims(1, 2)
        };
        let light = self.region.light(
            cells(crops),
            batch.crop_cells,
            cells(images),
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
        self.sam.mask_decoder.forward(
            embeddings,
            self.sam.prompt_encoder.dense_pe(),
            tokens.reshape([prompts, 1, dim]),
            self.sam.prompt_encoder.dense_no_mask(prompts),
        )
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
        device: &Device,
    ) -> Decoded {
        let original = [features.height as usize, features.width as usize];
        let to_input = |places: &[[f32; 2]]| -> Vec<f32> {
            sam::to_input_coords(places, original, config.sam.image_size).into_flattened()
        };
        let points = (!points.is_empty()).then(|| {
            let places: Vec<[f32; 2]> = points.iter().map(|&(x, y, _)| [x, y]).collect();
            let labels: Vec<i32> = points.iter().map(|&(_, _, label)| label).collect();
            let count = points.len();
            (
                Tensor::<3>::from_data(TensorData::new(to_input(&places), [1, count, 2]), device),
                Tensor::<2, Int>::from_data(TensorData::new(labels, [1, count]), device),
            )
        });
        let boxes = box_px.map(|[x0, y0, x1, y1]| {
            let corners = to_input(&[[x0, y0], [x1, y1]]);
            Tensor::<2>::from_data(TensorData::new(corners, [1, 4]), device)
        });
        let prompts = &self.sam.prompt_encoder;
        let decoded = self.sam.mask_decoder.forward(
            features.sam.clone(),
            prompts.dense_pe(),
            prompts.sparse(points, boxes),
            prompts.dense_no_mask(1),
        );
        decoded.multi()
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
