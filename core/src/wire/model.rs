use serde::{Deserialize, Serialize};

/// How far a model's region parts are trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(try_from = "u8", into = "u8")]
pub enum Stage {
    /// Joined by `fclm init`; the region parts are random.
    Untrained,
    /// All modules trained, with self-reconstruction.
    One,
    /// The LLM tuned with the latent consistency loss.
    Two,
}

impl From<Stage> for u8 {
    fn from(stage: Stage) -> Self {
        match stage {
            Stage::Untrained => 0,
            Stage::One => 1,
            Stage::Two => 2,
        }
    }
}

impl TryFrom<u8> for Stage {
    type Error = String;

    fn try_from(value: u8) -> Result<Self, String> {
        match value {
            0 => Ok(Self::Untrained),
            1 => Ok(Self::One),
            2 => Ok(Self::Two),
            other => Err(format!("stage {other} is none of 0, 1 and 2")),
        }
    }
}

/// Parameters of one part of the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PartSize {
    /// The part's name.
    pub part: String,
    /// How many parameters it has.
    pub parameters: u64,
}

/// The part of the served model that a browser can compute with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LightInfo {
    /// Where the weights are; the address changes with them.
    pub url: String,
    /// SHA-256 of the weights, hexadecimal.
    pub sha256: String,
    /// How many bytes they are.
    pub bytes: u64,
    /// Numbers of a region's vector; zero where a browser cannot compute it.
    pub vector_len: u32,
    /// The sizes of its parts, as in the model's own configuration.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub config: serde_json::Value,
}

/// The model that is served: `GET /api/v1/model`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelInfo {
    /// Its name, for example `fclm-nano`.
    pub name: String,
    /// How far it is trained.
    pub stage: Stage,
    /// What it knows, in a sentence.
    pub knows: String,
    /// Parameters in all.
    pub parameters: u64,
    /// Parameters by part.
    pub parts: Vec<PartSize>,
    /// Where it runs, for example `CPU (flex)`.
    pub device: String,
    /// SHA-256 over its weight files, hexadecimal.
    pub sha256: String,
    /// What a browser can compute by itself; none where the model is too large for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub light: Option<LightInfo>,
}
