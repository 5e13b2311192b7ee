use burn::tensor::Tensor;

/// L1 distance between the score that the IoU head gives and the IoU that the mask has.
///
/// SAM trains its IoU head by mean squared error; the absolute difference keeps the score's
/// median honest where masks are either right or entirely wrong.
///
/// # Shapes
/// - `score`, `iou`: `[masks]`; no gradient flows into `iou`
/// - output: `[1]`
pub fn score_loss(score: Tensor<1>, iou: Tensor<1>) -> Tensor<1> {
    (score - iou.detach()).abs().mean()
}
