//! The language model.

use burn::module::Module;
use burn::nn::{Embedding, Initializer, RmsNorm};
use burn::tensor::{Bool, DType, Device, Int, Tensor};

use super::cache::KvCache;
use super::layers::{linear, rms_norm, rms_norm_layer};
use super::rope::Rotation;
use super::vision::GatedMlp;
use super::{LoraConfig, LoraLinear, LoraTarget, TextConfig, TextRope};
use crate::attention::{Branches, SharedMask};
use crate::fclm::recompute::recomputed;
use crate::linear::over_rows;

/// Embeddings, decoder layers and the final norm.
///
/// Follows `Qwen2_5_VLTextModel` of
/// <https://github.com/huggingface/transformers/blob/main/src/transformers/models/qwen2_5_vl/modeling_qwen2_5_vl.py>.
#[derive(Module, Debug)]
pub struct TextModel {
    /// The embedding table.
    pub embed_tokens: Embedding,
    /// The decoder layers.
    pub layers: Vec<DecoderLayer>,
    /// The final norm.
    pub norm: RmsNorm,
    head_dim: usize,
    recomputes: bool,
    #[module(skip)]
    rope: TextRope,
}

/// One decoder layer.
#[derive(Module, Debug)]
pub struct DecoderLayer {
    /// Attention over what was read so far.
    pub self_attn: SelfAttention,
    /// The MLP.
    pub mlp: GatedMlp,
    /// The norm before attention.
    pub input_layernorm: RmsNorm,
    /// The norm before the MLP.
    pub post_attention_layernorm: RmsNorm,
}

/// Grouped-query attention.
#[derive(Module, Debug)]
pub struct SelfAttention {
    /// Queries.
    pub q_proj: LoraLinear,
    /// Keys.
    pub k_proj: LoraLinear,
    /// Values.
    pub v_proj: LoraLinear,
    /// The output projection.
    pub o_proj: LoraLinear,
    heads: usize,
    kv_heads: usize,
}

impl TextConfig {
    /// A language model with fresh weights.
    pub fn init(&self, device: &Device) -> TextModel {
        let range = self.initializer_range;
        let width = self.hidden_size;
        let kv_width = self.num_key_value_heads * self.head_dim();
        let norm = || rms_norm_layer(width, self.rms_norm_eps, device);
        let layer = |_| DecoderLayer {
            self_attn: SelfAttention {
                q_proj: linear([width, width], true, range, device).into(),
                k_proj: linear([width, kv_width], true, range, device).into(),
                v_proj: linear([width, kv_width], true, range, device).into(),
                o_proj: linear([width, width], false, range, device).into(),
                heads: self.num_attention_heads,
                kv_heads: self.num_key_value_heads,
            },
            mlp: GatedMlp::new(width, self.intermediate_size, false, range, device),
            input_layernorm: norm(),
            post_attention_layernorm: norm(),
        };
        TextModel {
            embed_tokens: Embedding {
                weight: Initializer::Normal {
                    mean: 0.0,
                    std: range,
                }
                .init([self.vocab_size, width], device),
            },
            layers: (0..self.num_hidden_layers).map(layer).collect(),
            norm: norm(),
            head_dim: self.head_dim(),
            recomputes: false,
            rope: self.rope_parameters.clone(),
        }
    }
}

impl TextModel {
    /// The float type in which the layers compute: that of the norms, because matrices may be
    /// quantised.
    pub fn dtype(&self) -> DType {
        self.norm.gamma.dtype()
    }

    /// The same with blocks whose insides are computed again in the backward pass, or kept.
    pub fn recomputing(mut self, recomputes: bool) -> Self {
        self.recomputes = recomputes;
        self
    }

    /// The same with fresh adapters on the layers that `config` names, in every block, and with
    /// everything else frozen. Adapters that it had are folded in first.
    pub fn with_lora(self, config: &LoraConfig) -> Self {
        let mut model = self.merge_lora().no_grad();
        for layer in &mut model.layers {
            for (target, linear) in layer.linears() {
                if config.targets.contains(&target) {
                    linear.adapt(config.rank, config.scale());
                }
            }
        }
        model
    }

    /// The same with its adapters folded into the weights that they adapt, as it is served.
    pub fn merge_lora(mut self) -> Self {
        for layer in &mut self.layers {
            for (_, linear) in layer.linears() {
                linear.merge();
            }
        }
        self
    }

    /// Hidden states after the final norm.
    ///
    /// # Shapes
    ///
    /// - `embeds`: `[B, L, hidden]`, in any float type
    /// - `positions`: `[3, B, L]`
    /// - `mask` (`true` = hidden): `[B, 1, L, held + L]`; without it attention is causal
    /// - output: `[B, L, hidden]`, in the type of [`Self::dtype`]
    ///
    /// # Panics
    ///
    /// Panics if `cache` cannot hold `L` more tokens.
    pub fn forward(
        &self,
        embeds: Tensor<3>,
        positions: Tensor<3, Int>,
        mask: Option<Tensor<4, Bool>>,
        cache: Option<&mut KvCache>,
    ) -> Tensor<3> {
        let [_, len, _] = embeds.dims();
        let held = cache.as_ref().map_or(0, |cache| cache.len());
        let mask = SharedMask::new(mask, len, held + len, self.dtype(), &embeds.device());
        self.run(embeds, positions, &mask, cache, |_, _| ())
    }

    /// Hidden states of several conversations behind one beginning, after the final norm.
    ///
    /// # Shapes
    ///
    /// - `embeds`: `[B, prefix + rows * width, hidden]`
    /// - `positions`: `[3, B, prefix + rows * width]`
    /// - output: as `embeds`; beside it what layer `probed` reads, normalised, for
    ///   [`Self::queries_and_keys`]
    ///
    /// # Panics
    ///
    /// Panics if there is no layer `probed`.
    pub fn forward_branches(
        &self,
        embeds: Tensor<3>,
        positions: Tensor<3, Int>,
        branches: Branches,
        probed: usize,
    ) -> [Tensor<3>; 2] {
        let mask = SharedMask::branching(branches, self.dtype(), &embeds.device());
        let mut read = None;
        let hidden = self.run(embeds, positions, &mask, None, |layer, x| {
            if layer == probed {
                read = Some(rms_norm(&self.layers[layer].input_layernorm, x.clone()));
            }
        });
        [
            hidden,
            read.expect("the model has the layer that is probed"),
        ]
    }

    /// What layer `layer` compares where it reads `x`: queries and keys, turned to their positions.
    ///
    /// # Shapes
    ///
    /// - `x`: `[B, L, hidden]`, normalised
    /// - `positions`: `[3, B, L]`
    /// - output: `[B, L, heads, D]` and `[B, L, kv_heads, D]`
    pub fn queries_and_keys(
        &self,
        layer: usize,
        x: Tensor<3>,
        positions: Tensor<3, Int>,
    ) -> [Tensor<4>; 2] {
        let rotation = Rotation::text(positions, &self.rope, self.head_dim, x.dtype());
        let attention = &self.layers[layer].self_attn;
        [
            rotation.project(&attention.q_proj, x.clone(), attention.heads),
            rotation.project(&attention.k_proj, x, attention.kv_heads),
        ]
    }

    fn run(
        &self,
        embeds: Tensor<3>,
        positions: Tensor<3, Int>,
        mask: &SharedMask,
        mut cache: Option<&mut KvCache>,
        mut watch: impl FnMut(usize, &Tensor<3>),
    ) -> Tensor<3> {
        let [_, len, _] = embeds.dims();
        let dtype = self.dtype();
        let rotation = Rotation::text(positions, &self.rope, self.head_dim, dtype);
        let mut x = embeds.cast(dtype);
        for (index, layer) in self.layers.iter().enumerate() {
            watch(index, &x);
            let cache = cache.as_deref_mut().map(|cache| (cache, index));
            x = match cache {
                None if self.recomputes => {
                    let (rotation, mask) = (rotation.clone(), mask.clone());
                    recomputed(layer, x, move |layer: &DecoderLayer, x: Tensor<3>| {
                        layer.forward(x, &rotation, &mask, None)
                    })
                }
                cache => layer.forward(x, &rotation, mask, cache),
            };
        }
        if let Some(cache) = cache {
            cache.advance(len);
        }
        rms_norm(&self.norm, x)
    }
}

impl DecoderLayer {
    /// What can carry an adapter.
    fn linears(&mut self) -> [(LoraTarget, &mut LoraLinear); 7] {
        let (attention, mlp) = (&mut self.self_attn, &mut self.mlp);
        [
            (LoraTarget::QProj, &mut attention.q_proj),
            (LoraTarget::KProj, &mut attention.k_proj),
            (LoraTarget::VProj, &mut attention.v_proj),
            (LoraTarget::OProj, &mut attention.o_proj),
            (LoraTarget::GateProj, &mut mlp.gate_proj),
            (LoraTarget::UpProj, &mut mlp.up_proj),
            (LoraTarget::DownProj, &mut mlp.down_proj),
        ]
    }

    fn forward(
        &self,
        x: Tensor<3>,
        rotation: &Rotation,
        mask: &SharedMask,
        cache: Option<(&mut KvCache, usize)>,
    ) -> Tensor<3> {
        let mixed = self.self_attn.forward(
            rms_norm(&self.input_layernorm, x.clone()),
            rotation,
            mask,
            cache,
        );
        let x = x + mixed;
        x.clone()
            + self
                .mlp
                .forward(rms_norm(&self.post_attention_layernorm, x))
    }
}

impl SelfAttention {
    fn forward(
        &self,
        x: Tensor<3>,
        rotation: &Rotation,
        mask: &SharedMask,
        cache: Option<(&mut KvCache, usize)>,
    ) -> Tensor<3> {
        let [batch, len, width] = x.dims();
        let q = rotation
            .project(&self.q_proj, x.clone(), self.heads)
            .swap_dims(1, 2);
        let k = rotation
            .project(&self.k_proj, x.clone(), self.kv_heads)
            .swap_dims(1, 2);
        let v = over_rows(x, |rows| self.v_proj.forward(rows));
        let v = v
            .reshape([batch, len, self.kv_heads, width / self.heads])
            .swap_dims(1, 2);
        let [k, v] = match cache {
            Some((cache, layer)) => cache.append(layer, k, v),
            None => [k, v],
        };
        let mixed = mask.attend(q, k, v, None);
        over_rows(mixed.swap_dims(1, 2).reshape([batch, len, width]), |rows| {
            self.o_proj.forward(rows)
        })
    }
}
