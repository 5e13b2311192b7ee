use burn::nn::LinearConfig;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::error::FclmError;
use super::model::{Fclm, SegProjection};
use crate::field::{FieldError, count, equals, require};
use crate::loss::LatentKind;
use crate::qwen::QwenConfig;
use crate::region::RegionConfig;
use crate::sam::SamConfig;
use crate::wire::Stage;

/// Most pixels that a vision tower can be asked to see: above the 12,845,056 of the published
/// processor, and so few that a picture which is enlarged to them fits into memory.
const MOST_PIXELS: usize = 1 << 24;

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
#[serde(default, deny_unknown_fields)]
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
        Self {
            latent: Some(LatentKind::Cosine),
            ..Self::default()
        }
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
        config.validate()?;
        Ok(config)
    }

    /// Checks that every part can be made and that the parts' sizes fit together.
    ///
    /// # Errors
    /// Names the first field that is wrong, and its value.
    pub fn validate(&self) -> Result<(), FieldError> {
        self.qwen.validate().map_err(|error| error.inside("qwen"))?;
        self.sam.validate().map_err(|error| error.inside("sam"))?;
        self.region
            .validate()
            .map_err(|error| error.inside("region"))?;
        let Self {
            qwen, sam, region, ..
        } = self;
        equals(
            "region.hidden_size",
            region.hidden_size,
            ("qwen.text_config.hidden_size", qwen.text.hidden_size),
        )?;
        equals(
            "region.vision_dim",
            region.vision_dim,
            (
                "qwen.vision_config.out_hidden_size",
                qwen.vision.out_hidden_size,
            ),
        )?;
        equals(
            "region.sam_dim",
            region.sam_dim,
            ("sam.prompt.embed_dim", sam.embed_dim()),
        )?;
        count("min_pixels", self.min_pixels, MOST_PIXELS)?;
        count("max_pixels", self.max_pixels, MOST_PIXELS)?;
        let wanted = format!("be at least min_pixels = {}", self.min_pixels);
        require(
            self.max_pixels >= self.min_pixels,
            "max_pixels",
            &self.max_pixels,
            &wanted,
        )
    }

    /// The smallest model with every part, for tests: 64 px pictures, a few thousand parameters.
    ///
    /// # Panics
    /// Never: the sizes fit together.
    pub fn tiny(vocab_size: usize, image_token_id: u32) -> Self {
        let qwen = serde_json::json!({
            "image_token_id": image_token_id,
            "vision_start_token_id": 0,
            "vision_end_token_id": 0,
            "tie_word_embeddings": true,
            "text_config": {
                "vocab_size": vocab_size, "hidden_size": 32, "intermediate_size": 48,
                "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
                "rms_norm_eps": 1e-6,
                "rope_parameters": { "rope_theta": 10000.0, "mrope_section": [2, 1, 1] }
            },
            "vision_config": {
                "depth": 2, "hidden_size": 24, "intermediate_size": 32, "num_heads": 3,
                "out_hidden_size": 32, "patch_size": 8, "spatial_merge_size": 2,
                "temporal_patch_size": 2, "window_size": 32, "fullatt_block_indexes": [1]
            }
        });
        let sam = serde_json::json!({
            "image_size": 64, "patch_size": 16,
            "encoder": {
                "kind": "vit", "depth": 2, "embed_dim": 24, "num_heads": 2,
                "global_attn_indexes": [1], "window_size": 2, "out_chans": 16
            },
            "prompt": { "embed_dim": 16, "mask_in_chans": 4 },
            "decoder": {
                "transformer_depth": 2, "embedding_dim": 16, "mlp_dim": 24, "num_heads": 2,
                "num_multimask_outputs": 3, "iou_head_depth": 2, "iou_head_hidden_dim": 16
            }
        });
        let config = serde_json::json!({
            "model_type": "fclm", "name": "fclm-tiny", "knows": "nothing", "stage": 0,
            "min_pixels": 256, "max_pixels": 4096,
            "qwen": qwen,
            "sam": sam,
            "region": {
                "sam_dim": 16, "vision_dim": 32, "hidden_size": 32, "width": 16, "num_heads": 2,
                "num_points": 2, "mask_side": 8, "position_hidden": [24, 24], "max_cells": 64
            }
        });
        Self::from_json(&config.to_string()).unwrap_or_else(|error| unreachable!("{error}"))
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

#[cfg(test)]
mod tests {
    use burn::module::{Module, ModuleVisitor, Param};
    use burn::tensor::Tensor;
    use serde_json::{Value, json};

    use super::*;

    fn changed(pointer: &str, value: Value) -> FclmError {
        let mut json = serde_json::to_value(FclmConfig::tiny(64, 1)).unwrap();
        *json.pointer_mut(pointer).unwrap() = value;
        FclmConfig::from_json(&json.to_string()).unwrap_err()
    }

    #[test]
    fn parts_that_do_not_fit_together_are_named() {
        for (pointer, value) in [
            ("/region/vision_dim", 24),
            ("/region/hidden_size", 24),
            ("/region/sam_dim", 32),
            ("/region/num_heads", 0),
            ("/sam/decoder/num_heads", 0),
            ("/sam/image_size", 0),
            ("/min_pixels", 0),
            ("/min_pixels", 1_i64 << 40),
            ("/max_pixels", 255),
            ("/max_pixels", 1_i64 << 40),
        ] {
            let error = changed(pointer, json!(value));
            let FclmError::Field(wrong) = &error else {
                panic!("{pointer} = {value}: {error}");
            };
            assert_eq!(wrong.field, pointer[1..].replace('/', "."));
            assert_eq!(wrong.value, value.to_string());
        }
    }

    #[test]
    fn the_published_pixels_can_be_used() {
        let config = FclmConfig {
            max_pixels: 16_384 * 28 * 28,
            ..FclmConfig::tiny(64, 1)
        };
        config.validate().unwrap();
    }

    #[derive(Default)]
    struct Made {
        path: Vec<String>,
        parameters: Vec<String>,
        seen: usize,
    }

    impl ModuleVisitor for Made {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.path.push(name.to_owned());
        }

        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.seen += 1;
            if param.is_initialized() {
                self.parameters.push(self.path.join("."));
            }
        }
    }

    /// A configuration is looked at before anybody knows whether its sizes fit into memory.
    #[test]
    fn a_new_model_holds_no_parameter_yet() {
        let mut made = Made::default();
        FclmConfig::tiny(64, 1)
            .init(&Device::flex())
            .visit(&mut made);
        assert!(made.seen > 100, "{} parameters", made.seen);
        assert!(made.parameters.is_empty(), "{:?}", made.parameters);
    }

    #[test]
    fn a_language_model_that_cannot_be_is_named() {
        for pointer in [
            "/qwen/text_config/num_attention_heads",
            "/qwen/vision_config/patch_size",
            "/qwen/vision_config/spatial_merge_size",
            "/qwen/vision_config/out_hidden_size",
        ] {
            let error = changed(pointer, json!(0)).to_string();
            let field = pointer.rsplit('/').next().unwrap();
            assert!(error.contains(&format!("{field} is 0 but")), "{error}");
        }
    }
}
