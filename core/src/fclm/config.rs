use burn::nn::{LinearConfig};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::error::FclmError;
use super::model::{Fclm, SegProjection};
use crate::loss::LatentKind;
use crate::qwen::QwenConfig;
use crate::region::RegionConfig;
use crate::sam::SamConfig;
use crate::wire::Stage;

/// Where the cosine between `[SEG]` and `<pos>` is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LatentSpace {
    /// After `seg_projection`: where both meet the mask decoder.
    #[default]
    Prompt,
    /// At the LLM's width.
    Language,
}

/// Which of the extractor's tokens must draw their mask back (the paper's table 6b).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SelfReconstruction {
    /// `<pos>`: the paper's choice.
    #[default]
    Pos,
    /// `<mask>`.
    Mask,
    /// Both.
    Both,
    /// Neither.
    None,
}

/// What stage 2 trains (the paper's table 6d).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage2Tuning {
    /// The LLM's blocks only: the paper's choice.
    #[default]
    Llm,
    /// Everything.
    All,
}

/// The switches of consistency learning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ConsistencyConfig {
    /// Where the latent loss is taken.
    pub space: LatentSpace,
    /// Which latent loss; none switches it off.
    pub latent: Option<LatentKind>,
    /// What self-reconstruction uses.
    pub self_reconstruction: SelfReconstruction,
    /// What stage 2 trains.
    pub stage2: Stage2Tuning,
}

impl ConsistencyConfig {
    /// The paper's choices.
    pub fn paper() -> Self {
        Self { latent: Some(LatentKind::Cosine), ..Self::default() }
    }
}

/// `config.json` of a model directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FclmConfig {
    /// Always `fclm`.
    pub model_type: String,
    /// The model's name, for example `fclm-nano`.
    pub name: String,
    /// What the model knows, in a sentence.
    pub knows: String,
    /// How far the region parts are trained.
    pub stage: Stage,
    /// Fewest pixels that the vision tower sees.
    pub min_pixels: usize,
    /// Most pixels that the vision tower sees.
    pub max_pixels: usize,
    /// The multimodal LLM.
    pub qwen: QwenConfig,
    /// The segmenter.
    pub sam: SamConfig,
    /// The region extractor.
    pub region: RegionConfig,
    /// Consistency learning.
    #[serde(default = "ConsistencyConfig::paper")]
    pub consistency: ConsistencyConfig,
}

impl FclmConfig {
    /// Reads `config.json`.
    ///
    /// # Errors
    /// Where it is no FCLM configuration, or the parts' sizes do not fit together.
    pub fn from_json(text: &str) -> Result<Self, FclmError> {
        let config: Self =
            serde_json::from_str(text).map_err(|error| FclmError::Config(error.to_string()))?;
        if config.model_type != "fclm" {
            return Err(FclmError::Config(format!(
                "model_type is {:?}, not \"fclm\"",
                config.model_type
            )));
        }
        let hidden = config.qwen.text.hidden_size;
        let embedding = config.sam.embed_dim();
        for (what, found, wanted) in [
            ("region.hidden_size", config.region.hidden_size, hidden),
            ("region.vision_dim", config.region.vision_dim, hidden),
            ("region.sam_dim", config.region.sam_dim, embedding),
        ] {
            if found != wanted {
                return Err(FclmError::Config(format!("{what} is {found} but must be {wanted}")));
            }
        }
        Ok(config)
    }

    /// A new model with random parameters on `device`; parameters are made when first used.
    pub fn init(&self, device: &Device) -> Fclm {
        let hidden = self.qwen.text.hidden_size;
        Fclm {
            qwen: self.qwen.init(device),
            sam: self.sam.init(device),
            region: self.region.init(device),
            seg_projection: SegProjection {
                fc1: LinearConfig::new(hidden, hidden).init(device),
                fc2: LinearConfig::new(hidden, self.sam.embed_dim()).init(device),
            },
        }
    }
}
