use ::image::RgbImage;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::config::FclmConfig;
use super::error::FclmError;
use crate::field::equals;
use crate::mask::Mask;
use crate::region::{LightExtractor, RegionBatch, RegionConfig, cell_features, prepare_region};
use crate::sam::{self, Decoded, EncoderConfig, PicturePrompt, Sam, SamConfig};
use crate::weights::{self, NameMap, WeightError, Weights};

/// Sizes of the part of a model that a browser can compute with: those of the whole model's
/// configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LightConfig {
    /// The segmenter.
    pub sam: SamConfig,
    /// The region extractor.
    pub region: RegionConfig,
}

impl LightConfig {
    /// The light part of a model.
    pub fn of(config: &FclmConfig) -> Self {
        Self {
            sam: config.sam.clone(),
            region: config.region.clone(),
        }
    }

    /// Reads it from JSON.
    ///
    /// # Errors
    /// Where it is none, or the parts' sizes do not fit together.
    pub fn from_value(value: serde_json::Value) -> Result<Self, FclmError> {
        let config: Self =
            serde_json::from_value(value).map_err(|error| FclmError::Config(error.to_string()))?;
        config.sam.validate().map_err(|error| error.inside("sam"))?;
        config
            .region
            .validate()
            .map_err(|error| error.inside("region"))?;
        equals(
            "region.sam_dim",
            config.region.sam_dim,
            ("sam.prompt.embed_dim", config.sam.embed_dim()),
        )?;
        Ok(config)
    }

    /// Numbers of a region's vector. Where step 1 is off, the vector is made of the vision tower's
    /// tokens, which are not here, so there is none.
    pub fn vector_len(&self) -> usize {
        match self.region.steps.local {
            true => self.region.width,
            false => 0,
        }
    }

    /// Bytes of the largest array that a forward pass holds at once, in f32, which a GPU must be
    /// able to bind.
    pub fn largest_buffer(&self) -> u64 {
        let grid = self.sam.grid();
        let side = self.sam.image_size;
        let cells = grid * grid;
        let encoder = match &self.sam.encoder {
            EncoderConfig::Vit(vit) => {
                let scores = match vit.global_attn_indexes.is_empty() {
                    true => 0,
                    false => vit.num_heads * cells * cells,
                };
                scores.max(cells * vit.embed_dim * vit.mlp_ratio)
            }
            // The first stage works on a quarter of the picture's side.
            EncoderConfig::TinyVit(tiny) => {
                let first = tiny.embed_dims.first().copied().unwrap_or(0);
                (side / 4).pow(2) * first * tiny.mbconv_expand_ratio
            }
        };
        let decoder = self.sam.low_res_size().pow(2) * (self.sam.embed_dim() / 8).max(4);
        let largest = encoder.max(decoder).max(3 * side * side);
        largest as u64 * 4
    }

    /// A new model with random parameters on `device`; parameters are made when first used.
    pub fn init(&self, device: &Device) -> LightModel {
        LightModel {
            sam: self.sam.init(device),
            region: LightExtractor::new(&self.region, device),
        }
    }

    /// The model with the weights of `light.safetensors`.
    ///
    /// # Errors
    /// Names every tensor that is missing, unknown or misshapen.
    pub fn load(&self, weights: &Weights, device: &Device) -> Result<LightModel, WeightError> {
        weights::load(self.init(device), weights, &name_map(), &[])
    }
}

/// The names of the light part, which are those in the whole model.
fn name_map() -> NameMap {
    NameMap::new()
        .with_part("sam", "sam", sam::names())
        .with_part("region", "region", &[])
}

/// SAM and the extractor's steps 1 and 2.
///
/// Should be created using [`LightConfig`].
#[derive(Module, Debug)]
pub struct LightModel {
    /// SAM.
    pub sam: Sam,
    /// Steps 1 and 2.
    pub region: LightExtractor,
}

/// A picture as the light part sees it; cheap to clone.
#[derive(Debug, Clone)]
pub struct LightFeatures {
    /// Width of the upright picture in pixels.
    pub width: u32,
    /// Height of the upright picture in pixels.
    pub height: u32,
    /// SAM's embedding, `[1, channels, cells, cells]`.
    pub sam: Tensor<4>,
    /// Height and width of the picture inside SAM's square input.
    pub sam_input: [usize; 2],
}

impl LightModel {
    /// Encodes a picture.
    pub fn encode(&self, image: &RgbImage, config: &LightConfig, device: &Device) -> LightFeatures {
        let (sam, sam_input) = self.sam.encode(image, &config.sam, device);
        LightFeatures {
            width: image.width(),
            height: image.height(),
            sam,
            sam_input,
        }
    }

    /// Candidates for a prompt, at the decoder's resolution.
    ///
    /// # Panics
    /// As [`Sam::segment`].
    pub fn segment(
        &self,
        prompt: PicturePrompt<'_>,
        features: &LightFeatures,
        config: &LightConfig,
    ) -> Decoded {
        let original = [features.height as usize, features.width as usize];
        self.sam
            .segment(prompt, features.sam.clone(), original, &config.sam)
    }

    /// A region's vector, `[1, width]`.
    ///
    /// # Errors
    /// Where the mask is empty or has another size than the picture, or the model's vectors are
    /// made of what is not here.
    pub fn vector(
        &self,
        image: &RgbImage,
        mask: &Mask,
        features: &LightFeatures,
        config: &LightConfig,
        device: &Device,
    ) -> Result<Tensor<2>, FclmError> {
        if config.vector_len() == 0 {
            return Err(FclmError::Region);
        }
        let prepared =
            prepare_region(image, mask, &config.sam, &config.region).ok_or(FclmError::Region)?;
        let batch = RegionBatch::new(&[&prepared], config.sam.image_size, device);
        let crop = self.sam.image_encoder.forward(batch.crop_pixels);
        Ok(self.region.forward(
            cell_features(crop),
            batch.crop_cells,
            cell_features(features.sam.clone()),
            batch.image_background,
        ))
    }
}

#[cfg(test)]
mod tests {
    use ::image::Rgb;

    use super::*;
    use crate::fclm::{Fclm, is_light};
    use crate::weights::{Precision, WeightFile, export_where, to_safetensors};

    fn picture() -> RgbImage {
        RgbImage::from_fn(48, 32, |x, y| Rgb([(x * 5) as u8, (y * 7) as u8, 90]))
    }

    fn both() -> (Fclm, FclmConfig, LightModel, LightConfig) {
        let device = Device::flex();
        device.seed(5);
        let config = FclmConfig::tiny(64, 1);
        let whole = config.init(&device);
        let tensors =
            export_where(&whole, &crate::fclm::name_map(), Precision::F32, is_light).unwrap();
        let file = WeightFile::parse(to_safetensors(tensors).unwrap()).unwrap();
        let weights = Weights::from_files([file]).unwrap();
        let json = serde_json::to_value(LightConfig::of(&config)).unwrap();
        let light_config = LightConfig::from_value(json).unwrap();
        let light = light_config.load(&weights, &device).unwrap();
        (whole, config, light, light_config)
    }

    #[test]
    fn it_draws_what_the_whole_model_draws() {
        let device = Device::flex();
        let (whole, config, light, light_config) = both();
        let features = light.encode(&picture(), &light_config, &device);
        let points = [(20.0, 10.0, 1), (3.0, 30.0, 0)];
        let prompt = PicturePrompt {
            points: &points,
            ..PicturePrompt::default()
        };
        let drawn = light.segment(prompt, &features, &light_config);
        let image = whole.encode_image(&picture(), &config, &device).unwrap();
        let wanted = whole.segment_prompt(&points, None, &image, &config);
        let tolerance = burn::tensor::Tolerance::<f32>::absolute(1e-5);
        drawn
            .low_res
            .into_data()
            .assert_approx_eq(&wanted.low_res.into_data(), tolerance);
        drawn
            .iou
            .into_data()
            .assert_approx_eq(&wanted.iou.into_data(), tolerance);
    }

    #[test]
    fn the_whole_model_goes_on_from_its_vector() {
        let device = Device::flex();
        let (whole, config, light, light_config) = both();
        let image = picture();
        let mask = Mask::rect(48, 32, [10.0, 4.0, 30.0, 20.0]);
        let features = light.encode(&image, &light_config, &device);
        let vector = light
            .vector(&image, &mask, &features, &light_config, &device)
            .unwrap();
        let values: Vec<f32> = vector.into_data().try_into_vec().unwrap();
        assert_eq!(values.len(), light_config.vector_len());

        let features = whole.encode_image(&image, &config, &device).unwrap();
        let wanted = whole
            .encode_region(&features, &image, &mask, &config, &device)
            .unwrap();
        let completed = whole
            .complete_region(&features, &values, &mask, &config, &device)
            .unwrap();
        let tolerance = burn::tensor::Tolerance::<f32>::absolute(1e-5);
        completed
            .mask
            .into_data()
            .assert_approx_eq(&wanted.mask.clone().into_data(), tolerance);
        completed
            .pos
            .into_data()
            .assert_approx_eq(&wanted.pos.into_data(), tolerance);

        let zeros = vec![0.0; values.len()];
        let other = whole
            .complete_region(&features, &zeros, &mask, &config, &device)
            .unwrap();
        let change = (other.mask - wanted.mask).abs().max().into_scalar::<f32>();
        assert!(change > 1e-4, "the vector changes nothing: {change}");
        assert!(
            whole
                .complete_region(&features, &values, &Mask::new(48, 32), &config, &device)
                .is_err()
        );
    }

    #[test]
    fn the_largest_buffer_is_that_of_the_widest_step() {
        let of = |sam: SamConfig| {
            let region = RegionConfig::published(2048);
            LightConfig { sam, region }.largest_buffer()
        };
        // 12 heads of 4096 x 4096 scores; 256 x 256 places of 64 x 4 channels.
        assert_eq!(of(SamConfig::vit_b()), 12 * 4096 * 4096 * 4);
        assert_eq!(of(SamConfig::mobile_sam()), 256 * 256 * 256 * 4);
    }

    #[test]
    fn without_step_1_there_is_no_vector() {
        let device = Device::flex();
        let mut config = LightConfig::of(&FclmConfig::tiny(64, 1));
        config.region.steps.local = false;
        assert_eq!(config.vector_len(), 0);
        let light = config.init(&device);
        let features = light.encode(&picture(), &config, &device);
        let mask = Mask::rect(48, 32, [10.0, 4.0, 30.0, 20.0]);
        assert!(
            light
                .vector(&picture(), &mask, &features, &config, &device)
                .is_err()
        );
    }
}
