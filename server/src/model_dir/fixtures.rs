//! Where the tests' reference files are.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{CONFIG, InitOptions, init};

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
    })
    .unwrap();
    set_decoder_heads(&out.join(CONFIG));
    out
}

/// Sets what the tensors of a SAM do not say to what the reference was made with.
fn set_decoder_heads(config: &Path) {
    let json = |path: &Path| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let mut written = json(config);
    let case = json(&fixture("sam/case.json"));
    written["sam"]["decoder"]["num_heads"] = case["decoder"]["num_heads"].clone();
    fs::write(config, written.to_string()).unwrap();
}

/// Copies the Qwen folder, so that a test can change it.
pub(super) fn copy_qwen(to: &Path) {
    for entry in fs::read_dir(fixture("qwen")).unwrap() {
        let entry = entry.unwrap();
        let bytes = fs::read(entry.path()).unwrap();
        fs::write(to.join(entry.file_name()), bytes).unwrap();
    }
}
