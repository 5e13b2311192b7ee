use burn::tensor::Device;
#[cfg(test)]
use fclm_core::fclm::{Fclm, FclmConfig, FclmTokenizer, prompt::CHAT_TEMPLATE};
use fclm_core::wire::ModelInfo;

use super::fclm::{FclmBackend, LoadedModel};
use crate::device;
use crate::model_dir::{ModelDir, ModelDirError};

impl LoadedModel {
    /// Loads the model of a directory onto a device.
    ///
    /// # Errors
    /// Where its tensors do not fit, or its tokenizer or chat template cannot be used.
    pub fn load(dir: &ModelDir, device: &Device) -> Result<Self, ModelDirError> {
        let config = dir.config().clone();
        let tokenizer = dir.tokenizer()?;
        dir.check_template(&tokenizer)?;
        let parts = dir.parts();
        let info = ModelInfo {
            name: config.name.clone(),
            stage: config.stage,
            knows: config.knows.clone(),
            parameters: parts.iter().map(|part| part.parameters).sum(),
            parts,
            device: device::name_of(device),
            sha256: dir.hashes()?.weights,
        };
        Ok(Self {
            model: dir.load(device)?,
            tokenizer,
            chat_template: dir.chat_template().to_owned(),
            config,
            device: device.clone(),
            info,
        })
    }

    /// A model that comes from no directory.
    #[cfg(test)]
    pub(crate) fn of(
        model: Fclm,
        tokenizer: FclmTokenizer,
        config: FclmConfig,
        device: Device,
    ) -> Self {
        Self {
            model,
            tokenizer,
            chat_template: CHAT_TEMPLATE.to_owned(),
            info: ModelInfo {
                name: config.name.clone(),
                stage: config.stage,
                knows: config.knows.clone(),
                parameters: 0,
                parts: Vec::new(),
                device: String::new(),
                sha256: String::new(),
            },
            config,
            device,
        }
    }
}

impl FclmBackend {
    /// Loads the model of a directory onto a device, for the engine.
    ///
    /// # Errors
    /// As [`LoadedModel::load`].
    pub fn load(dir: &ModelDir, device: &Device) -> Result<Self, ModelDirError> {
        LoadedModel::load(dir, device).map(Self::new)
    }
}
