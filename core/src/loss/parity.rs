//! The losses against the reference values and gradients.

use burn::tensor::Tensor;

use super::{LatentKind, bce_loss, dice_loss, latent_loss, segmentation_loss};
use crate::fixtures::{assert_close, device, tensors};

const TOLERANCE: f64 = 1e-5;

#[test]
fn fixture_segmentation_loss_and_its_gradient() {
    let device = device();
    let file = tensors("ops", "ops.safetensors");
    let read = |name: &str| file.tensor::<3>(name, &device).expect(name);
    let logits = read("seg.logits").require_grad();
    let target = read("seg.target");
    let expected = |name: &str| file.tensor::<1>(name, &device).expect(name);
    assert_close(
        "dice",
        dice_loss(logits.clone(), target.clone()),
        expected("seg.dice"),
        TOLERANCE,
    );
    assert_close(
        "bce",
        bce_loss(logits.clone(), target.clone()),
        expected("seg.bce"),
        TOLERANCE,
    );
    let loss = segmentation_loss(logits.clone(), target);
    assert_close("loss", loss.clone(), expected("seg.loss"), TOLERANCE);
    let gradient = logits.grad(&loss.backward()).expect("a gradient");
    let reference = read("seg.grad").without_autodiff();
    assert_close("gradient", gradient, reference, TOLERANCE);
}

#[test]
fn fixture_latent_loss_and_its_gradient() {
    let device = device();
    let file = tensors("ops", "ops.safetensors");
    let read = |name: &str| file.tensor::<2>(name, &device).expect(name);
    let seg = read("latent.seg").require_grad();
    let pos = read("latent.pos").require_grad();
    let loss = latent_loss(seg.clone(), pos.clone(), LatentKind::Cosine);
    let expected: Tensor<1> = file.tensor("latent.loss", &device).expect("latent.loss");
    assert_close("loss", loss.clone(), expected, TOLERANCE);
    let gradients = loss.backward();
    let gradient = seg.grad(&gradients).expect("a gradient");
    assert_close(
        "gradient",
        gradient,
        read("latent.grad").without_autodiff(),
        TOLERANCE,
    );
    assert!(
        pos.grad(&gradients).is_none(),
        "the pseudo-label must not learn"
    );
}
