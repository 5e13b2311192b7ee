//! What the server computes with.

use std::fs;
use std::path::Path;

use burn::tensor::{Device, Tensor};
use fclm_core::fclm::{LightConfig, LightFeatures, LightModel};
use fclm_core::sam::{Decoded, PicturePrompt};
use fclm_core::weights::{WeightFile, Weights};
use fclm_core::wire::LightInfo;
use image::RgbImage;

/// The numbers of a tensor, row by row.
pub fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// The light part of a model on this machine's CPU.
#[derive(Debug)]
pub struct Host {
    /// The CPU.
    pub device: Device,
    /// The sizes of the model.
    pub config: LightConfig,
    /// The model.
    pub model: LightModel,
}

impl Host {
    /// Loads it from a model directory, as the server has announced it.
    ///
    /// # Panics
    /// If the weights are missing, or are not those of the configuration.
    pub fn load(folder: &Path, light: &LightInfo) -> Self {
        let device = Device::flex();
        let config = LightConfig::from_value(light.config.clone()).expect("it is a configuration");
        let bytes = fs::read(folder.join("light.safetensors")).expect("the weights are there");
        let file = WeightFile::parse(bytes).expect("it is a safetensors file");
        let weights = Weights::from_files([file]).expect("names are there once");
        let model = config.load(&weights, &device).expect("the weights fit");
        Self {
            device,
            config,
            model,
        }
    }

    /// Encodes a picture.
    pub fn encode(&self, picture: &RgbImage) -> LightFeatures {
        self.model.encode(picture, &self.config, &self.device)
    }

    /// Candidates for a prompt.
    pub fn segment(&self, prompt: PicturePrompt<'_>, features: &LightFeatures) -> Decoded {
        self.model.segment(prompt, features, &self.config)
    }
}
