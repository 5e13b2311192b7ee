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
    averaged(dice_by_mask(logits, target))
}

fn dice_by_mask(logits: Tensor<3>, target: Tensor<3>) -> Tensor<2> {
    let [masks, height, width] = logits.dims();
    let flat = [masks, height * width];
    let probability = activation::sigmoid(logits)
        .reshape(flat)
        .div_scalar(DICE_SCALE);
    let target = target.reshape(flat);
    let overlap = (probability.clone() * target.clone())
        .sum_dim(1)
        .mul_scalar(2.0);
    let total = probability.sum_dim(1) + target.div_scalar(DICE_SCALE).sum_dim(1);
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
    averaged(bce_by_mask(logits, target))
}

fn bce_by_mask(logits: Tensor<3>, target: Tensor<3>) -> Tensor<2> {
    let [masks, height, width] = logits.dims();
    // max(x, 0) - x t + log(1 + exp(-|x|)): no exponent of a large number.
    let magnitude = logits.clone().abs().neg().exp().log1p();
    let loss = activation::relu(logits.clone()) - logits * target + magnitude;
    loss.reshape([masks, height * width]).mean_dim(1)
}

fn averaged(by_mask: Tensor<2>) -> Tensor<1> {
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
    dice_by_mask(logits.clone(), target.clone()).mul_scalar(DICE_WEIGHT)
        + bce_by_mask(logits, target).mul_scalar(BCE_WEIGHT)
}
