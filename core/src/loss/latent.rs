use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

/// Keeps the cosine of a zero vector finite.
const NORM_EPSILON: f64 = 1e-8;

/// How `[SEG]` is pulled towards `<pos>` in stage 2 (the paper's table 6c).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LatentKind {
    /// `1 - cos`: the paper's choice.
    #[default]
    Cosine,
    /// Mean squared error.
    Mse,
    /// KL divergence between the softmaxes of the two vectors.
    Kl,
}

/// The latent consistency loss (the paper's equation 5), averaged over the pairs.
///
/// `T_pos` is a pseudo-label: no gradient flows into it.
///
/// # Shapes
/// - `seg`, `pos`: `[pairs, width]`
/// - output: `[1]`
pub fn latent_loss(seg: Tensor<2>, pos: Tensor<2>, kind: LatentKind) -> Tensor<1> {
    let pos = pos.detach();
    match kind {
        LatentKind::Cosine => {
            let dot = (seg.clone() * pos.clone()).sum_dim(1);
            let norm = |x: Tensor<2>| x.square().sum_dim(1).sqrt().clamp_min(NORM_EPSILON);
            (dot / (norm(seg) * norm(pos))).neg().add_scalar(1.0).mean()
        }
        LatentKind::Mse => (seg - pos).square().mean(),
        LatentKind::Kl => {
            let target = activation::softmax(pos.clone(), 1);
            let gap = activation::log_softmax(pos, 1) - activation::log_softmax(seg, 1);
            (target * gap).sum_dim(1).mean()
        }
    }
}
