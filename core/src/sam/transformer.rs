//! The two-way transformer: prompt tokens and image tokens attend to each other in turn.
//!
//! Source: `segment_anything/modeling/transformer.py`.

use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

use super::DecoderConfig;
use crate::attention::{Attend, attend};
use crate::linear::over_rows;

const CROSS_ATTENTION_DOWNSAMPLING: usize = 2;

/// The transformer of the mask decoder.
#[derive(Module, Debug)]
pub struct TwoWayTransformer {
    /// The layers.
    pub layers: Vec<TwoWayBlock>,
    /// A last look of the tokens at the image.
    pub final_attn_token_to_image: DecoderAttention,
    /// Norm after it.
    pub norm_final_attn: LayerNorm,
}

/// One layer: the tokens among themselves, at the image, an MLP, and the image at the tokens.
#[derive(Module, Debug)]
pub struct TwoWayBlock {
    /// Tokens among themselves.
    pub self_attn: DecoderAttention,
    /// Norm after it.
    pub norm1: LayerNorm,
    /// Tokens at the image.
    pub cross_attn_token_to_image: DecoderAttention,
    /// Norm after it.
    pub norm2: LayerNorm,
    /// MLP of the tokens.
    pub mlp: TokenMlp,
    /// Norm after it.
    pub norm3: LayerNorm,
    /// Norm of the image tokens after the last attention.
    pub norm4: LayerNorm,
    /// The image at the tokens.
    pub cross_attn_image_to_token: DecoderAttention,
    is_first: bool,
}

/// Attention with projections of its own for queries, keys and values.
#[derive(Module, Debug)]
pub struct DecoderAttention {
    /// Queries.
    pub q_proj: Linear,
    /// Keys.
    pub k_proj: Linear,
    /// Values.
    pub v_proj: Linear,
    /// Output.
    pub out_proj: Linear,
    num_heads: usize,
}

/// Two linear maps with a ReLU between.
#[derive(Module, Debug)]
pub struct TokenMlp {
    /// To the hidden width.
    pub lin1: Linear,
    /// And back.
    pub lin2: Linear,
}

impl TwoWayTransformer {
    pub(super) fn new(config: &DecoderConfig, device: &Device) -> Self {
        Self {
            layers: (0..config.transformer_depth)
                .map(|index| TwoWayBlock::new(config, index == 0, device))
                .collect(),
            final_attn_token_to_image: DecoderAttention::new(
                config,
                CROSS_ATTENTION_DOWNSAMPLING,
                device,
            ),
            norm_final_attn: LayerNormConfig::new(config.embedding_dim).init(device),
        }
    }

    /// # Shapes
    /// - image: `[prompts, cells, channels]`; image_pe: `[1, cells, channels]`
    /// - tokens: `[prompts, n, channels]`
    /// - output: tokens and image, each as it came in
    pub(super) fn forward(
        &self,
        image: Tensor<3>,
        image_pe: Tensor<3>,
        tokens: Tensor<3>,
    ) -> (Tensor<3>, Tensor<3>) {
        let token_pe = tokens.clone();
        let (mut queries, mut keys) = (tokens, image);
        for layer in &self.layers {
            (queries, keys) = layer.forward(queries, keys, token_pe.clone(), image_pe.clone());
        }
        let attended = self.final_attn_token_to_image.forward(
            queries.clone() + token_pe,
            keys.clone() + image_pe,
            keys.clone(),
        );
        (self.norm_final_attn.forward(queries + attended), keys)
    }
}

impl TwoWayBlock {
    fn new(config: &DecoderConfig, is_first: bool, device: &Device) -> Self {
        let dim = config.embedding_dim;
        let norm = || LayerNormConfig::new(dim).init(device);
        let cross = || DecoderAttention::new(config, CROSS_ATTENTION_DOWNSAMPLING, device);
        Self {
            self_attn: DecoderAttention::new(config, 1, device),
            norm1: norm(),
            cross_attn_token_to_image: cross(),
            norm2: norm(),
            mlp: TokenMlp {
                lin1: LinearConfig::new(dim, config.mlp_dim).init(device),
                lin2: LinearConfig::new(config.mlp_dim, dim).init(device),
            },
            norm3: norm(),
            norm4: norm(),
            cross_attn_image_to_token: cross(),
            is_first,
        }
    }

    fn forward(
        &self,
        queries: Tensor<3>,
        keys: Tensor<3>,
        token_pe: Tensor<3>,
        image_pe: Tensor<3>,
    ) -> (Tensor<3>, Tensor<3>) {
        // The first layer's tokens are their own position encoding: neither added nor kept.
        let queries = if self.is_first {
            self.self_attn
                .forward(queries.clone(), queries.clone(), queries)
        } else {
            let placed = queries.clone() + token_pe.clone();
            queries.clone() + self.self_attn.forward(placed.clone(), placed, queries)
        };
        let queries = self.norm1.forward(queries);

        let placed_keys = keys.clone() + image_pe;
        let attended = self.cross_attn_token_to_image.forward(
            queries.clone() + token_pe.clone(),
            placed_keys.clone(),
            keys.clone(),
        );
        let queries = self.norm2.forward(queries + attended);

        let mlp = over_rows(queries.clone(), |rows| {
            self.mlp.lin2.forward(relu(self.mlp.lin1.forward(rows)))
        });
        let queries = self.norm3.forward(queries + mlp);

        let attended = self.cross_attn_image_to_token.forward(
            placed_keys,
            queries.clone() + token_pe,
            queries.clone(),
        );
        let keys = self.norm4.forward(keys + attended);
        (queries, keys)
    }
}

impl DecoderAttention {
    fn new(config: &DecoderConfig, downsampling: usize, device: &Device) -> Self {
        let dim = config.embedding_dim;
        let inner = dim / downsampling;
        let project = || LinearConfig::new(dim, inner).init(device);
        Self {
            q_proj: project(),
            k_proj: project(),
            v_proj: project(),
            out_proj: LinearConfig::new(inner, dim).init(device),
            num_heads: config.num_heads,
        }
    }

    /// # Shapes
    /// - q: `[prompts, n, channels]`; k and v: `[prompts, m, channels]`
    /// - output: `[prompts, n, channels]`
    fn forward(&self, q: Tensor<3>, k: Tensor<3>, v: Tensor<3>) -> Tensor<3> {
        let [prompts, n_queries, _] = q.dims();
        let heads = |x: Tensor<3>, projection: &Linear| {
            let x = over_rows(x, |rows| projection.forward(rows));
            let [_, n, inner] = x.dims();
            x.reshape([prompts, n, self.num_heads, inner / self.num_heads])
                .swap_dims(1, 2)
        };
        let out = attend(
            heads(q, &self.q_proj),
            heads(k, &self.k_proj),
            heads(v, &self.v_proj),
            None,
            None,
            Attend::default(),
        );
        let [_, n_heads, _, head_dim] = out.dims();
        let out = out
            .swap_dims(1, 2)
            .reshape([prompts, n_queries, n_heads * head_dim]);
        over_rows(out, |rows| self.out_proj.forward(rows))
    }
}
