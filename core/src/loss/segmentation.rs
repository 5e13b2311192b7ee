use burn::tensor::{Tensor, activation};

/// Weight of the dice loss in `L_seg` (FCLM: lambda_dice = 1).
pub const DICE_WEIGHT: f64 = 1.0;
/// Weight of the binary cross-entropy in `L_seg` (FCLM: lambda_bce = 2).
pub const BCE_WEIGHT: f64 = 2.0;

/// LISA's scale inside the dice loss; together with [`DICE_EPSILON`] it smooths by 1e-3 pixel.
const DICE_SCALE: f64 = 1000.0;
const DICE_EPSILON: f64 = 1e-6;
/// Keeps the mean over no mask at all finite.
const COUNT_EPSILON: f64 = 1e-8;

/// Dice loss, averaged over the masks (LISA's `dice_loss`).
///
/// With `p = sigmoid(logit)`: `1 - (2 sum(p/1000 t) + 1e-6) / (sum(p/1000) + sum(t/1000) + 1e-6)`
/// per mask.
///
/// # Shapes
/// - `logits`, `target`: `[masks, height, width]`, targets in `[0, 1]`
/// - output: `[1]`
pub fn dice_loss(logits: Tensor<3>, target: Tensor<3>) -> Tensor<1> {
    averaged(dice_by_row(rows(logits), rows(target), None))
}

fn dice_by_row(logits: Tensor<2>, target: Tensor<2>, weights: Option<&Tensor<2>>) -> Tensor<2> {
    let weighed = |x: Tensor<2>| match weights {
        Some(weights) => x * weights.clone(),
        None => x,
    };
    let probability = weighed(activation::sigmoid(logits).div_scalar(DICE_SCALE));
    let overlap = (probability.clone() * target.clone())
        .sum_dim(1)
        .mul_scalar(2.0);
    let total = probability.sum_dim(1) + weighed(target.div_scalar(DICE_SCALE)).sum_dim(1);
    let ratio = overlap.add_scalar(DICE_EPSILON) / total.add_scalar(DICE_EPSILON);
    ratio.neg().add_scalar(1.0)
}

/// Binary cross-entropy of logits, mean over pixels, averaged over the masks (LISA's
/// `sigmoid_ce_loss`).
///
/// # Shapes
/// - `logits`, `target`: `[masks, height, width]`, targets in `[0, 1]`
/// - output: `[1]`
pub fn bce_loss(logits: Tensor<3>, target: Tensor<3>) -> Tensor<1> {
    averaged(bce_by_row(rows(logits), rows(target), None))
}

fn bce_by_row(logits: Tensor<2>, target: Tensor<2>, weights: Option<Tensor<2>>) -> Tensor<2> {
    // max(x, 0) - x t + log(1 + exp(-|x|)): no exponent of a large number.
    let magnitude = logits.clone().abs().neg().exp().log1p();
    let loss = activation::relu(logits.clone()) - logits * target + magnitude;
    match weights {
        Some(weights) => (loss * weights.clone()).sum_dim(1) / weights.sum_dim(1),
        None => loss.mean_dim(1),
    }
}

/// `[masks, height, width]` to `[masks, height * width]`.
fn rows(maps: Tensor<3>) -> Tensor<2> {
    let [masks, height, width] = maps.dims();
    maps.reshape([masks, height * width])
}

pub(super) fn averaged(by_mask: Tensor<2>) -> Tensor<1> {
    let [masks, _] = by_mask.dims();
    by_mask.sum().div_scalar(masks as f64 + COUNT_EPSILON)
}

/// `L_seg = 1 dice + 2 bce` of FCLM.
///
/// # Shapes
/// - `logits`, `target`: `[masks, height, width]`, targets in `[0, 1]`
/// - output: `[1]`
pub fn segmentation_loss(logits: Tensor<3>, target: Tensor<3>) -> Tensor<1> {
    averaged(segmentation_by_mask(logits, target))
}

/// [`segmentation_loss`] of each mask by itself.
///
/// # Shapes
/// - `logits`, `target`: `[masks, height, width]`, targets in `[0, 1]`
/// - output: `[masks, 1]`
pub fn segmentation_by_mask(logits: Tensor<3>, target: Tensor<3>) -> Tensor<2> {
    segmentation_by_row(rows(logits), rows(target), None)
}

/// `L_seg` of each row of samples, where a weight says how often a sample counts.
///
/// # Shapes
/// - `logits`, `target`, `weights`: `[masks, samples]`
/// - output: `[masks, 1]`
pub(super) fn segmentation_by_row(
    logits: Tensor<2>,
    target: Tensor<2>,
    weights: Option<Tensor<2>>,
) -> Tensor<2> {
    dice_by_row(logits.clone(), target.clone(), weights.as_ref()).mul_scalar(DICE_WEIGHT)
        + bce_by_row(logits, target, weights).mul_scalar(BCE_WEIGHT)
}
