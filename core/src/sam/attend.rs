use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Tensor};

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Attend {
    pub(super) scale: Option<f64>,
    pub(super) causal: bool,
}

pub(super) fn attend(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    _mask: Option<Tensor<4, Bool>>,
    bias: Option<Tensor<4>>,
    options: Attend,
) -> Tensor<4> {
    let _ = options.causal;
    let scale = options.scale.unwrap_or(1.0 / (q.dims()[3] as f64).sqrt());
    let scores = (q * scale).matmul(k.swap_dims(2, 3));
    let scores = match bias {
        Some(bias) => scores + bias,
        None => scores,
    };
    softmax(scores, 3).matmul(v)
}
