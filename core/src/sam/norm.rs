//! The layer norm over channels that SAM uses between convolutions.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::module::layer_norm;
use burn::tensor::{Device, Tensor};

const EPSILON: f64 = 1e-6;

/// Layer norm over the channels of a map, with one weight and bias per channel.
///
/// Unlike `burn::nn::LayerNorm` it has the checkpoint's field names, which are those of a
/// channel-first norm; it is applied channel-last, where it is an ordinary layer norm.
#[derive(Module, Debug)]
pub struct LayerNorm2d {
    /// One factor per channel.
    pub weight: Param<Tensor<1>>,
    /// One offset per channel.
    pub bias: Param<Tensor<1>>,
}

impl LayerNorm2d {
    pub(super) fn new(channels: usize, device: &Device) -> Self {
        Self {
            weight: Initializer::Ones.init([channels], device),
            bias: Initializer::Zeros.init([channels], device),
        }
    }

    /// Normalises the last axis.
    ///
    /// # Shapes
    /// - input and output: `[.., channels]`
    pub(super) fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        layer_norm(input, self.weight.val(), Some(self.bias.val()), EPSILON)
    }
}
