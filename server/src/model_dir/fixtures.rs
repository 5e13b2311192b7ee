//! Where the tests' reference files are.

use std::{
    fs,
    path::{Path, PathBuf},
};

use burn::tensor::Device;
use serde_json::Value;

use super::{InitOptions, init};
use crate::device::DeviceChoice;

/// The device that models of reference files run on: the one that `FCLM_DEVICE` names, else the
/// CPU.
pub(crate) fn test_device() -> Device {
    let name = std::env::var("FCLM_DEVICE").unwrap_or_else(|_| DeviceChoice::Cpu.to_string());
    name.parse::<DeviceChoice>().unwrap().open().unwrap()
}

pub(crate) fn fixture(path: &str) -> PathBuf {
    let root = std::env::var_os("FCLM_FIXTURES").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures")),
        PathBuf::from,
    );
    root.join(path)
}

/// A small random model that is joined from the reference checkpoints, in `folder`.
pub(crate) fn tiny_model(folder: &Path) -> PathBuf {
    let out = folder.join("tiny-model");
    init(&InitOptions {
        qwen: fixture("qwen"),
        sam: fixture("sam/sam_vit.pth"),
        out: out.clone(),
        seed: 7,
        name: None,
        max_pixels: Some(64 * 28 * 28),
        sam_heads: Some(sam_heads()),
    })
    .unwrap();
    out
}

/// Heads of the reference SAM's mask decoder, which its tensors do not say.
pub(super) fn sam_heads() -> usize {
    let case = fs::read(fixture("sam/case.json")).unwrap();
    let case: Value = serde_json::from_slice(&case).unwrap();
    case["decoder"]["num_heads"].as_u64().unwrap() as usize
}

/// Copies the Qwen folder, so that a test can change it.
pub(super) fn copy_qwen(to: &Path) {
    for entry in fs::read_dir(fixture("qwen")).unwrap() {
        let entry = entry.unwrap();
        let bytes = fs::read(entry.path()).unwrap();
        fs::write(to.join(entry.file_name()), bytes).unwrap();
    }
}
