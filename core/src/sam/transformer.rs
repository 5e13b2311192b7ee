//! The two-way transformer: prompt tokens and image tokens attend to each other in turn.
//!
//! Source: `segment_anything/modeling/transformer.py`.

use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

use super::DecoderConfig;
use crate::attention::{Attend, attend, attention_weights};
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

    /// How much each token looks at each cell of the image, in each layer; the mean of the heads.
    ///
    /// # Shapes
    /// - as in [`Self::forward`]
    /// - output: one `[prompts, n, cells]` a layer, each row adds up to one
    pub(super) fn looks(
        &self,
        image: Tensor<3>,
        image_pe: &Tensor<3>,
        tokens: Tensor<3>,
    ) -> Vec<Tensor<3>> {
        let token_pe = tokens.clone();
        let (mut queries, mut keys) = (tokens, image);
        let mut looks = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let settled = layer.among_themselves(queries.clone(), token_pe.clone());
            looks.push(
                layer
                    .cross_attn_token_to_image
                    .weights(settled + token_pe.clone(), keys.clone() + image_pe.clone()),
            );
            (queries, keys) = layer.forward(queries, keys, token_pe.clone(), image_pe.clone());
        }
        looks
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
        let queries = self.among_themselves(queries, token_pe.clone());

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

    /// The tokens after they have attended to each other.
    fn among_themselves(&self, queries: Tensor<3>, token_pe: Tensor<3>) -> Tensor<3> {
        // The first layer's tokens are their own position encoding: neither added nor kept.
        let queries = if self.is_first {
            self.self_attn
                .forward(queries.clone(), queries.clone(), queries)
        } else {
            let placed = queries.clone() + token_pe;
            queries.clone() + self.self_attn.forward(placed.clone(), placed, queries)
        };
        self.norm1.forward(queries)
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
        let out = attend(
            self.heads(q, &self.q_proj),
            self.heads(k, &self.k_proj),
            self.heads(v, &self.v_proj),
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

    /// How much each query looks at each key, the mean of the heads.
    ///
    /// # Shapes
    /// - q: `[prompts, n, channels]`; k: `[prompts, m, channels]`
    /// - output: `[prompts, n, m]`
    fn weights(&self, q: Tensor<3>, k: Tensor<3>) -> Tensor<3> {
        let [prompts, n, _] = q.dims();
        let [_, m, _] = k.dims();
        attention_weights(self.heads(q, &self.q_proj), self.heads(k, &self.k_proj))
            .mean_dim(1)
            .reshape([prompts, n, m])
    }

    /// # Shapes
    /// - x: `[prompts, n, channels]`
    /// - output: `[prompts, heads, n, head width]`
    fn heads(&self, x: Tensor<3>, projection: &Linear) -> Tensor<4> {
        let x = over_rows(x, |rows| projection.forward(rows));
        let [prompts, n, inner] = x.dims();
        x.reshape([prompts, n, self.num_heads, inner / self.num_heads])
            .swap_dims(1, 2)
    }
}

#[cfg(test)]
mod tests {
    use burn::module::Param;
    use burn::tensor::{Distribution, TensorData, Tolerance};

    use super::*;

    fn config() -> DecoderConfig {
        DecoderConfig {
            transformer_depth: 2,
            embedding_dim: 16,
            mlp_dim: 24,
            num_heads: 2,
            num_multimask_outputs: 3,
            iou_head_depth: 2,
            iou_head_hidden_dim: 16,
        }
    }

    #[test]
    fn every_layer_tells_where_its_tokens_look() {
        let device = Device::flex();
        device.seed(3);
        let transformer = TwoWayTransformer::new(&config(), &device);
        let random =
            |shape: [usize; 3]| Tensor::<3>::random(shape, Distribution::Normal(0.0, 1.0), &device);
        let (image, pe, tokens) = (random([2, 9, 16]), random([1, 9, 16]), random([2, 6, 16]));
        let looks = transformer.looks(image, &pe, tokens);
        assert_eq!(looks.len(), 2);
        for look in looks {
            assert_eq!(look.dims(), [2, 6, 9]);
            let sums = look.sum_dim(2).into_data();
            let ones = Tensor::<3>::ones([2, 6, 1], &device).into_data();
            sums.assert_approx_eq::<f32>(&ones, Tolerance::absolute(1e-5));
        }
    }

    /// A key that is the query's own direction, much longer than the others, is looked at alone.
    #[test]
    fn what_resembles_the_query_is_looked_at() {
        let device = Device::flex();
        let mut attention = DecoderAttention::new(&config(), 2, &device);
        let mut identity = vec![0.0_f32; 16 * 8];
        for place in 0..8 {
            identity[place * 8 + place] = 1.0;
        }
        let weight = Tensor::<2>::from_data(TensorData::new(identity, [16, 8]), &device);
        for linear in [&mut attention.q_proj, &mut attention.k_proj] {
            linear.weight = Param::from_tensor(weight.clone());
            linear.bias = None;
        }
        let mut query = vec![0.0_f32; 16];
        (query[0], query[4]) = (20.0, 20.0);
        let mut keys = vec![0.0_f32; 3 * 16];
        (keys[16], keys[16 + 4]) = (20.0, 20.0);
        let weights = attention.weights(
            Tensor::from_data(TensorData::new(query, [1, 1, 16]), &device),
            Tensor::from_data(TensorData::new(keys, [1, 3, 16]), &device),
        );
        weights.into_data().assert_approx_eq::<f32>(
            &TensorData::from([[[0.0_f32, 1.0, 0.0]]]),
            Tolerance::absolute(1e-5),
        );
    }
}
