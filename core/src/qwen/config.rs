//! The configuration of a Qwen2.5-VL checkpoint.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::field::FieldError;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The text is not JSON, or a field is missing or of another type.
    #[error("cannot read the Qwen configuration: {0}")]
    Json(#[from] serde_json::Error),
    /// A setting asks for a computation that is not built.
    #[error("the Qwen configuration has {field} = {value}, which is not supported")]
    Unsupported {
        /// The setting.
        field: &'static str,
        /// Its value.
        value: String,
    },
    /// A setting has a value that cannot be used, or that does not fit the others.
    #[error("the Qwen configuration cannot be used: {0}")]
    Field(#[from] FieldError),
}

/// A whole checkpoint's configuration.
///
/// Reads the flat layout of published folders (text fields at the top, `rope_scaling`) and the
/// nested one (`text_config`, `rope_parameters`); writes the nested one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value")]
pub struct QwenConfig {
    /// The language model.
    #[serde(rename = "text_config")]
    pub text: TextConfig,
    /// The vision tower and what the image processor needs to know of it.
    #[serde(rename = "vision_config")]
    pub vision: VisionConfig,
    /// The id that stands for one merged image token.
    pub image_token_id: u32,
    /// The id that stands for one merged video token.
    pub video_token_id: Option<u32>,
    /// The id that opens an image.
    pub vision_start_token_id: u32,
    /// The id that closes an image.
    pub vision_end_token_id: u32,
    /// Whether the output head is the embedding table.
    pub tie_word_embeddings: bool,
}

/// The language model's configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TextConfig {
    /// Rows of the embedding table, spare ones included.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Inner width of the gated MLP.
    pub intermediate_size: usize,
    /// Number of decoder layers.
    pub num_hidden_layers: usize,
    /// Number of query heads.
    pub num_attention_heads: usize,
    /// Number of key/value heads; divides the query heads.
    pub num_key_value_heads: usize,
    /// Added to the mean square before the root.
    pub rms_norm_eps: f64,
    /// Rotary embedding.
    pub rope_parameters: TextRope,
    /// Longest sequence of the published model.
    #[serde(default = "default_positions")]
    pub max_position_embeddings: usize,
    /// Standard deviation of fresh weights.
    #[serde(default = "default_range")]
    pub initializer_range: f64,
    /// The id that begins a text, where there is one.
    #[serde(default)]
    pub bos_token_id: Option<u32>,
    /// The id that ends a turn, where there is one.
    #[serde(default)]
    pub eos_token_id: Option<u32>,
}

/// Rotary embedding over three position axes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TextRope {
    /// Base of the frequencies.
    pub rope_theta: f64,
    /// How many of the frequencies follow time, height and width; they add up to half of the head
    /// width.
    pub mrope_section: [usize; 3],
}

/// The vision tower's configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VisionConfig {
    /// Number of blocks.
    pub depth: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Inner width of the gated MLP.
    pub intermediate_size: usize,
    /// Number of heads.
    pub num_heads: usize,
    /// Colour channels of a pixel.
    #[serde(alias = "in_chans", default = "default_channels")]
    pub in_channels: usize,
    /// Width after the merger: the language model's.
    pub out_hidden_size: usize,
    /// Side of a patch in pixels.
    pub patch_size: usize,
    /// Side of the square of patches that one output token covers.
    pub spatial_merge_size: usize,
    /// Frames in a patch; an image is repeated to fill it.
    pub temporal_patch_size: usize,
    /// Side of an attention window in pixels.
    pub window_size: usize,
    /// The blocks that see the whole image.
    pub fullatt_block_indexes: Vec<usize>,
    /// Rotary embedding.
    #[serde(default)]
    pub rope_parameters: VisionRope,
    /// Standard deviation of fresh weights.
    #[serde(default = "default_range")]
    pub initializer_range: f64,
}

/// Rotary embedding over rows and columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VisionRope {
    /// Base of the frequencies.
    pub rope_theta: f64,
}

impl Default for VisionRope {
    fn default() -> Self {
        Self {
            rope_theta: 10_000.0,
        }
    }
}

impl QwenConfig {
    /// Reads a `config.json` of either layout.
    ///
    /// # Errors
    ///
    /// Fails if `json` is not a configuration, asks for what is not built (another activation than
    /// SiLU, a sliding window, stretched rotary embeddings), or has sizes that do not fit together.
    pub fn from_json(json: &str) -> Result<Self, ConfigError> {
        Self::try_from(serde_json::from_str::<Value>(json)?)
    }

    /// The published 3B model.
    pub fn qwen2_5_vl_3b() -> Self {
        Self {
            text: TextConfig {
                vocab_size: 151_936,
                hidden_size: 2048,
                intermediate_size: 11_008,
                num_hidden_layers: 36,
                num_attention_heads: 16,
                num_key_value_heads: 2,
                ..published_text()
            },
            vision: published_vision(2048),
            tie_word_embeddings: true,
            ..published(published_text(), published_vision(2048))
        }
    }

    /// The published 7B model.
    pub fn qwen2_5_vl_7b() -> Self {
        published(published_text(), published_vision(3584))
    }
}

impl TextConfig {
    /// Width of one head.
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }
}

impl VisionConfig {
    /// Width of one head.
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.num_heads
    }

    /// Values of one flattened patch.
    pub fn patch_dim(&self) -> usize {
        self.in_channels * self.temporal_patch_size * self.patch_size * self.patch_size
    }

    /// Side in pixels of the square that one output token covers.
    pub fn token_side(&self) -> usize {
        self.patch_size * self.spatial_merge_size
    }
}

impl TryFrom<Value> for QwenConfig {
    type Error = ConfigError;

    fn try_from(value: Value) -> Result<Self, ConfigError> {
        #[derive(Deserialize)]
        struct Nested {
            text_config: TextConfig,
            vision_config: VisionConfig,
            image_token_id: u32,
            video_token_id: Option<u32>,
            vision_start_token_id: u32,
            vision_end_token_id: u32,
            #[serde(default)]
            tie_word_embeddings: bool,
        }
        let mut top: Map<String, Value> = serde_json::from_value(value)?;
        let mut text: Map<String, Value> = match top.get("text_config") {
            Some(text) => serde_json::from_value(text.clone())?,
            None => top.clone(),
        };
        refuse_unsupported(&text)?;
        if let Some(vision) = top.get("vision_config") {
            refuse_other_activation("vision_config.hidden_act", vision.get("hidden_act"))?;
        }
        let mut rope = Map::new();
        for place in ["rope_scaling", "rope_parameters"] {
            if let Some(Value::Object(fields)) = text.remove(place) {
                rope.extend(fields);
            }
        }
        refuse_unsupported_rope(&rope)?;
        if let Some(theta) = text.remove("rope_theta") {
            rope.entry("rope_theta").or_insert(theta);
        }
        text.insert("rope_parameters".into(), Value::Object(rope));
        for name in ["bos_token_id", "eos_token_id"] {
            if let (None, Some(id)) = (text.get(name), top.get(name)) {
                text.insert(name.into(), id.clone());
            }
        }
        for name in [
            "tie_word_embeddings",
            "vision_start_token_id",
            "vision_end_token_id",
        ] {
            if let (None, Some(value)) = (top.get(name), text.get(name)) {
                top.insert(name.into(), value.clone());
            }
        }
        top.insert("text_config".into(), Value::Object(text));
        let nested: Nested = serde_json::from_value(Value::Object(top))?;
        let config = Self {
            text: nested.text_config,
            vision: nested.vision_config,
            image_token_id: nested.image_token_id,
            video_token_id: nested.video_token_id,
            vision_start_token_id: nested.vision_start_token_id,
            vision_end_token_id: nested.vision_end_token_id,
            tie_word_embeddings: nested.tie_word_embeddings,
        };
        config.validate()?;
        Ok(config)
    }
}

fn refuse_unsupported(text: &Map<String, Value>) -> Result<(), ConfigError> {
    refuse_other_activation("hidden_act", text.get("hidden_act"))?;
    match text.get("use_sliding_window") {
        Some(value) if value == true => Err(ConfigError::Unsupported {
            field: "use_sliding_window",
            value: value.to_string(),
        }),
        _ => Ok(()),
    }
}

/// Both parts compute with SiLU whatever is asked for; where nothing is, it is what is meant.
fn refuse_other_activation(field: &'static str, value: Option<&Value>) -> Result<(), ConfigError> {
    match value {
        Some(value) if value != "silu" => Err(ConfigError::Unsupported {
            field,
            value: value.to_string(),
        }),
        _ => Ok(()),
    }
}

fn refuse_unsupported_rope(rope: &Map<String, Value>) -> Result<(), ConfigError> {
    for place in ["rope_type", "type"] {
        match rope.get(place) {
            Some(value) if value != "default" && value != "mrope" => {
                return Err(ConfigError::Unsupported {
                    field: "rope_type",
                    value: value.to_string(),
                });
            }
            _ => {}
        }
    }
    Ok(())
}

fn published(text: TextConfig, vision: VisionConfig) -> QwenConfig {
    QwenConfig {
        text,
        vision,
        image_token_id: 151_655,
        video_token_id: Some(151_656),
        vision_start_token_id: 151_652,
        vision_end_token_id: 151_653,
        tie_word_embeddings: false,
    }
}

fn published_text() -> TextConfig {
    TextConfig {
        vocab_size: 152_064,
        hidden_size: 3584,
        intermediate_size: 18_944,
        num_hidden_layers: 28,
        num_attention_heads: 28,
        num_key_value_heads: 4,
        rms_norm_eps: 1e-6,
        rope_parameters: TextRope {
            rope_theta: 1e6,
            mrope_section: [16, 24, 24],
        },
        max_position_embeddings: 128_000,
        initializer_range: default_range(),
        bos_token_id: Some(151_643),
        eos_token_id: Some(151_645),
    }
}

fn published_vision(out_hidden_size: usize) -> VisionConfig {
    VisionConfig {
        depth: 32,
        hidden_size: 1280,
        intermediate_size: 3420,
        num_heads: 16,
        in_channels: default_channels(),
        out_hidden_size,
        patch_size: 14,
        spatial_merge_size: 2,
        temporal_patch_size: 2,
        window_size: 112,
        fullatt_block_indexes: vec![7, 15, 23, 31],
        rope_parameters: VisionRope::default(),
        initializer_range: default_range(),
    }
}

fn default_channels() -> usize {
    3
}

fn default_range() -> f64 {
    0.02
}

fn default_positions() -> usize {
    32_768
}
