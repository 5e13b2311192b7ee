//! The encoder of BERT, which [`sentence`](super::sentence) reads sentences with.
//!
//! Follows `BertModel` of
//! <https://github.com/huggingface/transformers/blob/main/src/transformers/models/bert/modeling_bert.py>,
//! without its pooler. There is one kind of segment, and nothing is dropped.

mod config;
mod error;
mod load;

use burn::{
    module::Module,
    nn::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig},
    tensor::{Bool, Device, Int, Tensor, activation::gelu},
};
use fclm_core::attention::{Attend, attend};

pub use self::{config::BertConfig, error::BertError};

impl BertConfig {
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
    use std::{fs, path::Path};

    use burn::tensor::{TensorData, Tolerance};
    use fclm_core::weights::{tensor_specs, to_safetensors};
    use serde_json::json;

    use super::{config::CONFIG, load::name_map, *};

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
}
