//! The encoder of BERT, which [`sentence`](super::sentence) reads sentences with.
//!
//! Follows `BertModel` of
//! <https://github.com/huggingface/transformers/blob/main/src/transformers/models/bert/modeling_bert.py>,
//! without its pooler. There is one kind of segment, and nothing is dropped.

use std::{
    fs,
    path::{Path, PathBuf},
};

use burn::{
    module::Module,
    nn::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig},
    tensor::{Bool, Device, Int, Tensor, activation::gelu},
};
use fclm_core::{
    attention::{Attend, attend},
    weights::{self, NameMap, WeightError, Weights},
};
use serde::Deserialize;

use crate::model_dir::{ModelDirError, open_checkpoint, open_weights};

/// What published checkpoints of larger models put before the encoder's names.
const PREFIX: &str = "bert.";
const CONFIG: &str = "config.json";
/// Where checkpoints are that are no safetensors files.
const PYTORCH: &str = "pytorch_model.bin";
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

/// Why there is no encoder.
#[derive(Debug, thiserror::Error)]
pub enum BertError {
    /// `config.json` could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// `config.json` is not that of a BERT encoder.
    #[error("{}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// `config.json` asks for something that is not known here.
    #[error("{}: {field} is {value}, but must {wanted}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// What would be right, in words that go on after "must".
        wanted: &'static str,
    },
    /// The folder's weight files cannot be read.
    #[error(transparent)]
    Files(#[from] ModelDirError),
    /// The weights are not those of the encoder.
    #[error("{}: {source}", folder.display())]
    Weights {
        /// The folder.
        folder: PathBuf,
        /// What does not fit.
        source: Box<WeightError>,
    },
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

    /// An encoder with fresh weights.
    fn init(&self, device: &Device) -> BertEncoder {
        let width = self.hidden_size;
        let table = |rows: usize| EmbeddingConfig::new(rows, width).init(device);
        let linear = |from: usize, to: usize| LinearConfig::new(from, to).init(device);
        let norm = || {
            LayerNormConfig::new(width)
                .with_epsilon(self.layer_norm_eps)
                .init(device)
        };
        let layer = |_| Layer {
            attention: Attention {
                own: Projections {
                    query: linear(width, width),
                    key: linear(width, width),
                    value: linear(width, width),
                    heads: self.num_attention_heads,
                },
                output: Residual {
                    dense: linear(width, width),
                    layer_norm: norm(),
                },
            },
            intermediate: Intermediate {
                dense: linear(width, self.intermediate_size),
            },
            output: Residual {
                dense: linear(self.intermediate_size, width),
                layer_norm: norm(),
            },
        };
        BertEncoder {
            embeddings: Embeddings {
                word_embeddings: table(self.vocab_size),
                position_embeddings: table(self.max_position_embeddings),
                token_type_embeddings: table(self.type_vocab_size),
                layer_norm: norm(),
            },
            encoder: Layers {
                layer: (0..self.num_hidden_layers).map(layer).collect(),
            },
        }
    }

    /// The encoder with the weights of a folder, under their published names, with or without
    /// `bert.` before them. What else the checkpoint holds, such as heads, is not used.
    ///
    /// # Errors
    /// If a weight file is missing or damaged, or tensors are missing or misshapen.
    pub fn load(&self, folder: &Path, device: &Device) -> Result<BertEncoder, BertError> {
        let failed = |source: WeightError| BertError::Weights {
            folder: folder.to_owned(),
            source: Box::new(source),
        };
        let pytorch = folder.join(PYTORCH);
        let weights = match open_weights(folder) {
            Err(_) if pytorch.is_file() => open_checkpoint(&pytorch)?,
            opened => opened?.0,
        };
        let weights = encoder_weights(&weights).map_err(failed)?;
        weights::load(self.init(device), &weights, &name_map(), &[]).map_err(failed)
    }
}

/// The fields whose names no Rust field can have, or that are written in another manner.
fn name_map() -> NameMap {
    NameMap::with_rewrites(&[("own", "self"), ("layer_norm", "LayerNorm")])
}

/// The encoder's tensors of a checkpoint under today's names.
fn encoder_weights(weights: &Weights) -> Result<Weights, WeightError> {
    weights.renamed(|name| {
        let name = name.strip_prefix(PREFIX).unwrap_or(name);
        let is_encoder = name.starts_with("embeddings.") || name.starts_with("encoder.");
        if !is_encoder || name == "embeddings.position_ids" {
            return None;
        }
        // Checkpoints that were once TensorFlow's keep its names for norms.
        for (old, new) in [(".gamma", ".weight"), (".beta", ".bias")] {
            if let Some(norm) = name.strip_suffix(old) {
                return Some(format!("{norm}{new}"));
            }
        }
        Some(name.to_owned())
    })
}

/// An encoder of texts.
#[derive(Module, Debug)]
pub struct BertEncoder {
    embeddings: Embeddings,
    encoder: Layers,
}

/// What a token is, where it stands and in which segment.
#[derive(Module, Debug)]
struct Embeddings {
    word_embeddings: Embedding,
    position_embeddings: Embedding,
    token_type_embeddings: Embedding,
    layer_norm: LayerNorm,
}

#[derive(Module, Debug)]
struct Layers {
    layer: Vec<Layer>,
}

/// Attention and an MLP, each with a norm behind it.
#[derive(Module, Debug)]
struct Layer {
    attention: Attention,
    intermediate: Intermediate,
    output: Residual,
}

#[derive(Module, Debug)]
struct Attention {
    own: Projections,
    output: Residual,
}

#[derive(Module, Debug)]
struct Projections {
    query: Linear,
    key: Linear,
    value: Linear,
    heads: usize,
}

#[derive(Module, Debug)]
struct Intermediate {
    dense: Linear,
}

/// `norm(dense(x) + before)`
#[derive(Module, Debug)]
struct Residual {
    dense: Linear,
    layer_norm: LayerNorm,
}

impl BertEncoder {
    /// The last hidden states.
    ///
    /// # Shapes
    /// - `ids`: `[batch, length]`, at most `max_position_embeddings` of them in a row
    /// - `padding`: `[batch, length]`, `true` for places behind the end of a text
    /// - output: `[batch, length, hidden_size]`
    ///
    /// # Panics
    /// If the shapes differ, or there are more tokens than positions.
    pub fn forward(&self, ids: Tensor<2, Int>, padding: Tensor<2, Bool>) -> Tensor<3> {
        let [batch, length] = ids.dims();
        assert_eq!(padding.dims(), [batch, length], "one mark a token");
        let hidden = padding.reshape([batch, 1, 1, length]);
        let mut x = self.embeddings.forward(ids);
        for layer in &self.encoder.layer {
            x = layer.forward(x, hidden.clone());
        }
        x
    }
}

impl Embeddings {
    fn forward(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let [_, length] = ids.dims();
        let rows = |table: &Embedding, count: usize| -> Tensor<3> {
            table.weight.val().narrow(0, 0, count).unsqueeze()
        };
        let x = self.word_embeddings.forward(ids)
            + rows(&self.token_type_embeddings, 1)
            + rows(&self.position_embeddings, length);
        self.layer_norm.forward(x)
    }
}

impl Layer {
    fn forward(&self, x: Tensor<3>, hidden: Tensor<4, Bool>) -> Tensor<3> {
        let mixed = self.attention.own.forward(x.clone(), hidden);
        let x = self.attention.output.forward(mixed, x);
        let wide = gelu(self.intermediate.dense.forward(x.clone()));
        self.output.forward(wide, x)
    }
}

impl Projections {
    fn forward(&self, x: Tensor<3>, hidden: Tensor<4, Bool>) -> Tensor<3> {
        let [batch, length, width] = x.dims();
        let heads = |x: Tensor<3>| {
            x.reshape([batch, length, self.heads, width / self.heads])
                .swap_dims(1, 2)
        };
        let mixed = attend(
            heads(self.query.forward(x.clone())),
            heads(self.key.forward(x.clone())),
            heads(self.value.forward(x)),
            Some(hidden),
            None,
            Attend::default(),
        );
        mixed.swap_dims(1, 2).reshape([batch, length, width])
    }
}

impl Residual {
    fn forward(&self, x: Tensor<3>, before: Tensor<3>) -> Tensor<3> {
        self.layer_norm.forward(self.dense.forward(x) + before)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use burn::tensor::{TensorData, Tolerance};
    use fclm_core::weights::{tensor_specs, to_safetensors};
    use serde_json::json;

    use super::*;

    /// Writes a small encoder whose weights follow a formula, with the names of an old checkpoint
    /// if wanted.
    pub(in crate::eval::text) fn write_encoder(folder: &Path, is_old: bool) {
        let config = json!({
            "vocab_size": 8, "hidden_size": 4, "num_hidden_layers": 2, "num_attention_heads": 2,
            "intermediate_size": 6, "max_position_embeddings": 8, "type_vocab_size": 2,
            "layer_norm_eps": 1e-12, "hidden_act": "gelu", "model_type": "bert",
        });
        fs::write(folder.join(CONFIG), config.to_string()).unwrap();
        let encoder = BertConfig::read(folder).unwrap().init(&Device::flex());
        let mut tensors = Vec::new();
        for (place, (name, shape)) in tensor_specs(&encoder, &name_map()).into_iter().enumerate() {
            let values: Vec<f32> = (0..shape.iter().product::<usize>())
                .map(|index| weight(&name, place, index))
                .collect();
            let name = match is_old {
                false => name,
                true => format!("bert.{name}")
                    .replace("LayerNorm.weight", "LayerNorm.gamma")
                    .replace("LayerNorm.bias", "LayerNorm.beta"),
            };
            tensors.push((name, TensorData::new(values, shape)));
        }
        if is_old {
            let head = TensorData::new(vec![0.0f32; 8], [8]);
            tensors.push(("cls.predictions.bias".to_owned(), head.clone()));
            tensors.push(("bert.pooler.dense.bias".to_owned(), head));
        } else {
            let ids = TensorData::new((0..8i64).collect::<Vec<_>>(), [1, 8]);
            tensors.push(("embeddings.position_ids".to_owned(), ids));
        }
        let bytes = to_safetensors(tensors).unwrap();
        fs::write(folder.join("model.safetensors"), bytes).unwrap();
    }

    /// Between -1/2 and 1/2; factors of norms lie around 1.
    fn weight(name: &str, place: usize, index: usize) -> f32 {
        let value = (index + 1) * (index + 7) * 7_919 + (place + 1) * (index + 3) * 104_729;
        let value = value % 2_003;
        let value = value as f32 / 2_003.0 - 0.5;
        match name.ends_with("LayerNorm.weight") {
            true => 1.0 + value,
            false => value,
        }
    }

    fn hidden_states(encoder: &BertEncoder) -> TensorData {
        let device = Device::flex();
        let ids = TensorData::new(vec![2i32, 4, 6, 3, 2, 5, 3, 0], [2, 4]);
        let padding = [false, false, false, false, false, false, false, true];
        let padding = Tensor::<1, Bool>::from_data(padding.as_slice(), &device).reshape([2, 4]);
        encoder
            .forward(Tensor::from_data(ids, &device), padding)
            .into_data()
    }

    // Computed by a separate implementation in Python with 64-bit floats.
    const EXPECTED: [[[f32; 4]; 4]; 2] = [
        [
            [1.186368, -0.263921, -0.893108, 1.069789],
            [-0.458235, -0.293253, 1.418682, -1.168479],
            [-1.128025, -0.536343, 1.35726, 0.214311],
            [0.548329, 0.066172, -1.01269, 1.658834],
        ],
        [
            [1.576894, -0.300398, -0.720752, 0.267271],
            [0.289091, 0.369187, 0.93182, -2.223495],
            [0.409168, 0.130606, -1.012459, 1.747657],
            [0.0, 0.0, 0.0, 0.0],
        ],
    ];

    #[test]
    fn hidden_states_are_those_of_the_reference() {
        for is_old in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            write_encoder(folder.path(), is_old);
            let config = BertConfig::read(folder.path()).unwrap();
            let encoder = config.load(folder.path(), &Device::flex()).unwrap();
            let states = hidden_states(&encoder);
            // What stands behind the end of the second text is nobody's business.
            let states = Tensor::<3>::from_data(states, &Device::flex());
            let expected = Tensor::<3>::from_data(EXPECTED, &Device::flex());
            for (text, length) in [(0, 4), (1, 3)] {
                let part = |x: &Tensor<3>| {
                    x.clone()
                        .narrow(0, text, 1)
                        .narrow(1, 0, length)
                        .into_data()
                };
                part(&states).assert_approx_eq::<f32>(&part(&expected), Tolerance::absolute(1e-5));
            }
        }
    }

    #[test]
    fn names_are_the_published_ones() {
        let folder = tempfile::tempdir().unwrap();
        write_encoder(folder.path(), false);
        let encoder = BertConfig::read(folder.path())
            .unwrap()
            .init(&Device::flex());
        let names: Vec<String> = tensor_specs(&encoder, &name_map())
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names.len(), 5 + 2 * 16);
        for name in [
            "embeddings.word_embeddings.weight",
            "embeddings.LayerNorm.bias",
            "encoder.layer.1.attention.self.query.weight",
            "encoder.layer.0.attention.output.LayerNorm.weight",
            "encoder.layer.0.intermediate.dense.bias",
            "encoder.layer.1.output.dense.weight",
        ] {
            assert!(
                names.iter().any(|other| other == name),
                "{name} is not in {names:?}"
            );
        }
    }

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

    #[test]
    fn weights_of_another_size_are_told() {
        let folder = tempfile::tempdir().unwrap();
        write_encoder(folder.path(), false);
        let mut config = BertConfig::read(folder.path()).unwrap();
        config.intermediate_size = 5;
        let error = config.load(folder.path(), &Device::flex()).unwrap_err();
        assert!(error.to_string().contains("intermediate.dense"), "{error}");
    }
}
