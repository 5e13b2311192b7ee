//! The sizes of an encoder.

use std::{fs, path::Path};

use serde::Deserialize;

use super::BertError;

pub(super) const CONFIG: &str = "config.json";
/// More than any published encoder has, so that a wrong number is refused before it is used.
const MOST_LAYERS: usize = 1 << 10;
const WIDEST: usize = 1 << 20;

/// The sizes of an encoder, as `config.json` has them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct BertConfig {
    /// How many ids have a token.
    pub vocab_size: usize,
    /// Width of the hidden states.
    pub hidden_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Number of attention heads.
    pub num_attention_heads: usize,
    /// Width of the MLP.
    pub intermediate_size: usize,
    /// Most tokens of a text.
    pub max_position_embeddings: usize,
    /// Number of segments that are told apart; the first is used.
    #[serde(default = "two_segments")]
    pub type_vocab_size: usize,
    /// Keeps the norms finite.
    #[serde(default = "norm_epsilon")]
    pub layer_norm_eps: f64,
    /// The activation, which must be `gelu`.
    #[serde(default = "exact_gelu")]
    pub hidden_act: String,
    /// How positions are told, which must be `absolute`.
    #[serde(default = "absolute_positions")]
    pub position_embedding_type: String,
}

fn two_segments() -> usize {
    2
}

fn norm_epsilon() -> f64 {
    1e-12
}

fn exact_gelu() -> String {
    "gelu".to_owned()
}

fn absolute_positions() -> String {
    "absolute".to_owned()
}

impl BertConfig {
    /// Reads and checks `config.json` of a folder.
    ///
    /// # Errors
    /// If the file is missing or damaged, or asks for an encoder that is none of BERT's.
    pub fn read(folder: &Path) -> Result<Self, BertError> {
        let path = folder.join(CONFIG);
        let bytes = fs::read(&path).map_err(|source| BertError::Io {
            path: path.clone(),
            source,
        })?;
        let config: Self = serde_json::from_slice(&bytes).map_err(|source| BertError::Json {
            path: path.clone(),
            source,
        })?;
        match config.fault() {
            None => Ok(config),
            Some((field, value, wanted)) => Err(BertError::Config {
                path,
                field,
                value,
                wanted,
            }),
        }
    }

    /// The first field that cannot be used, its value, and what would be right.
    fn fault(&self) -> Option<(&'static str, String, &'static str)> {
        let width = |size: usize| (1..=WIDEST).contains(&size);
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("type_vocab_size", self.type_vocab_size),
        ];
        if let Some((field, size)) = sizes.into_iter().find(|&(_, size)| !width(size)) {
            return Some((field, size.to_string(), "be 1 to 1048576"));
        }
        let heads = self.num_attention_heads;
        if heads == 0 || !self.hidden_size.is_multiple_of(heads) {
            let wanted = "divide hidden_size";
            return Some(("num_attention_heads", heads.to_string(), wanted));
        }
        if self.num_hidden_layers > MOST_LAYERS {
            let layers = self.num_hidden_layers.to_string();
            return Some(("num_hidden_layers", layers, "be at most 1024"));
        }
        if !(self.layer_norm_eps.is_finite() && self.layer_norm_eps > 0.0) {
            let epsilon = self.layer_norm_eps.to_string();
            return Some(("layer_norm_eps", epsilon, "be a number above 0"));
        }
        if self.hidden_act != "gelu" {
            return Some(("hidden_act", self.hidden_act.clone(), "be gelu"));
        }
        if self.position_embedding_type != "absolute" {
            let kind = self.position_embedding_type.clone();
            return Some(("position_embedding_type", kind, "be absolute"));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::tests::write_encoder, *};

    #[test]
    fn configurations_that_cannot_be_used_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let missing = BertConfig::read(folder.path()).unwrap_err();
        assert!(matches!(missing, BertError::Io { .. }), "{missing}");
        write_encoder(folder.path(), false);
        let path = folder.path().join(CONFIG);
        let text = fs::read_to_string(&path).unwrap();
        for (field, value) in [
            ("num_attention_heads", json!(3)),
            ("num_attention_heads", json!(0)),
            ("hidden_size", json!(0)),
            ("vocab_size", json!(1u64 << 40)),
            ("num_hidden_layers", json!(100_000)),
            ("hidden_act", json!("relu")),
            ("layer_norm_eps", json!(-1.0)),
        ] {
            let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
            config[field] = value;
            fs::write(&path, config.to_string()).unwrap();
            let error = BertConfig::read(folder.path()).unwrap_err();
            assert!(error.to_string().contains(field), "{error}");
        }
    }
}
