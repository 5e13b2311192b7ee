use std::path::Path;

use burn::tensor::Device;
use fclm_core::wire::ModelInfo;

use super::fclm::{FclmBackend, LoadedModel};
use crate::model_dir::{ModelDir, ModelDirError};

/// What models that are served from here run on.
const DEVICE: &str = "CPU (flex)";

impl LoadedModel {
    /// Loads a model directory.
    ///
    /// # Errors
    /// Where the directory holds no FCLM model, or its tensors do not fit.
    pub fn open(path: &Path) -> Result<Self, ModelDirError> {
        let dir = ModelDir::open(path)?;
        let device = Device::flex();
        let config = dir.config().clone();
        let parts = dir.parts();
        let info = ModelInfo {
            name: config.name.clone(),
            stage: config.stage,
            knows: config.knows.clone(),
            parameters: parts.iter().map(|part| part.parameters).sum(),
            parts,
            device: DEVICE.to_owned(),
            sha256: dir.hashes()?.weights,
        };
        Ok(Self {
            model: dir.load(&device)?,
            tokenizer: dir.tokenizer()?,
            chat_template: dir.chat_template().to_owned(),
            config,
            device,
            info,
        })
    }
}

impl FclmBackend {
    /// Loads a model directory for the engine; an error is a sentence for people.
    ///
    /// # Errors
    /// As [`LoadedModel::open`].
    pub fn open(path: &Path) -> Result<Self, String> {
        LoadedModel::open(path).map(Self::new).map_err(|error| error.to_string())
    }
}
