//! Where the reference tensors are that tests compare with.

use std::fs;
use std::path::PathBuf;

use burn::tensor::{Device, Tensor};

use crate::weights::{WeightFile, Weights};

/// A folder of the fixtures: below `FCLM_FIXTURES` where that is set, else in the repository.
pub(crate) fn folder(name: &str) -> PathBuf {
    std::env::var_os("FCLM_FIXTURES")
        .map_or_else(
            || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures")),
            PathBuf::from,
        )
        .join(name)
}

/// The tensors of one fixture file.
pub(crate) fn tensors(folder_name: &str, file: &str) -> Weights {
    let path = folder(folder_name).join(file);
    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file = WeightFile::parse(bytes).expect("a safetensors file");
    Weights::from_files([file]).expect("one file has no name twice")
}

/// Asserts `|out - reference| / |reference| <= tolerance`.
pub(crate) fn assert_close<const D: usize>(
    what: &str,
    out: Tensor<D>,
    reference: Tensor<D>,
    tolerance: f64,
) {
    assert_eq!(out.dims(), reference.dims(), "{what}: shapes");
    let norm = |x: Tensor<D>| x.square().sum().sqrt().into_scalar::<f64>();
    let off = norm(out - reference.clone()) / norm(reference).max(1e-12);
    assert!(
        off <= tolerance,
        "{what}: off by {off:.2e}, more than {tolerance:.0e}"
    );
}

/// The CPU device that tests run on, with gradients.
pub(crate) fn device() -> Device {
    Device::flex().autodiff()
}

/// Asserts that a file holds no tensor but those that tests compare or feed.
pub(crate) fn assert_all_known(file: &Weights, known: impl Fn(&str) -> bool) {
    assert!(!file.is_empty(), "the file holds no tensor");
    let unknown: Vec<&str> = file
        .iter()
        .map(|tensor| tensor.name())
        .filter(|name| !known(name))
        .collect();
    assert!(unknown.is_empty(), "no test compares {unknown:?}");
}

#[test]
fn fixture_operators_are_all_compared() {
    let compared = [
        // By `region`.
        "deform.value",
        "deform.locations",
        "deform.weights",
        "deform.output",
        "deform.cotangent",
        "deform.grad_value",
        "deform.grad_locations",
        "deform.grad_weights",
        "pool.mask",
        "pool.features",
        "pool.selected",
        "pool.output",
        // By `loss`.
        "seg.logits",
        "seg.target",
        "seg.dice",
        "seg.bce",
        "seg.loss",
        "seg.grad",
        "latent.seg",
        "latent.pos",
        "latent.loss",
        "latent.grad",
        // By `sam`.
        "resize.input",
        "resize.up",
        "resize.down",
    ];
    let file = tensors("ops", "ops.safetensors");
    assert_all_known(&file, |name| compared.contains(&name));
}
