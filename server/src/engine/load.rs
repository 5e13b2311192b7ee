use burn::tensor::Device;
#[cfg(test)]
use fclm_core::fclm::prompt::CHAT_TEMPLATE;
use fclm_core::{
    fclm::{Fclm, FclmConfig, FclmTokenizer, LightConfig},
    wire::{LightInfo, ModelInfo},
};

use super::fclm::FclmBackend;
use crate::device;
use crate::model_dir::{Hashes, LIGHT, ModelDir, ModelDirError};

/// Largest light part that browsers are offered, in bytes: the TinyViT of MobileSAM has 40 MB, a
/// ViT-B would have 360.
const MOST_LIGHT: u64 = 96 << 20;

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
        let hashes = dir.hashes()?;
        let info = ModelInfo {
            name: config.name.clone(),
            stage: config.stage,
            knows: config.knows.clone(),
            parameters: parts.iter().map(|part| part.parameters).sum(),
            parts,
            device: device::name_of(device),
            light: light_info(dir, &hashes),
            sha256: hashes.weights,
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
                light: None,
            },
            config,
            device,
        }
    }
}

/// What browsers are told of the light part; none where it is no file of its own, or too large.
fn light_info(dir: &ModelDir, hashes: &Hashes) -> Option<LightInfo> {
    let file = hashes.files.iter().find(|file| file.file == LIGHT)?;
    if file.bytes > MOST_LIGHT {
        return None;
    }
    let config = LightConfig::of(dir.config());
    Some(LightInfo {
        url: format!("/models/{LIGHT}?sha256={}", file.sha256),
        sha256: file.sha256.clone(),
        bytes: file.bytes,
        vector_len: u32::try_from(config.vector_len()).ok()?,
        config: serde_json::to_value(config).ok()?,
    })
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
