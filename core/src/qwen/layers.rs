//! Layers that the vision tower and the language model share.

use burn::module::Param;
use burn::nn::{Initializer, Linear, RmsNorm, RmsNormConfig};
use burn::tensor::{DType, Device, Tensor};

use crate::activation::silu;

/// A linear layer with normal weights and no or a zero bias.
pub(super) fn linear(
    [input, output]: [usize; 2],
    bias: bool,
    range: f64,
    device: &Device,
) -> Linear {
    let normal = Initializer::Normal {
        mean: 0.0,
        std: range,
    };
    Linear {
        weight: normal.init([input, output], device),
        bias: bias.then(|| Initializer::Zeros.init([output], device)),
    }
}

pub(super) fn rms_norm_layer(width: usize, epsilon: f64, device: &Device) -> RmsNorm {
    RmsNormConfig::new(width).with_epsilon(epsilon).init(device)
}

/// `x / sqrt(mean(x^2) + eps) * gamma`, in f32 inside.
///
/// Multiplies by the reciprocal where burn's own layer divides: a recorded quotient costs four
/// more passes over the activations in its gradient.
pub(super) fn rms_norm(norm: &RmsNorm, x: Tensor<3>) -> Tensor<3> {
    let dtype = x.dtype();
    let wide = x.cast(DType::F32);
    let mean = (wide.clone() * wide.clone()).mean_dim(2);
    let scale = mean.add_scalar(norm.epsilon).sqrt().recip();
    (wide * scale).cast(dtype) * gamma(&norm.gamma).cast(dtype)
}

/// `silu(gate) * up`.
pub(super) fn gated<const D: usize>(gate: Tensor<D>, up: Tensor<D>) -> Tensor<D> {
    silu(gate) * up
}

fn gamma(gamma: &Param<Tensor<1>>) -> Tensor<3> {
    gamma.val().unsqueeze()
}
