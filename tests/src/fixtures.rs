//! The reference checkpoints with what the original modules made of pictures and prompts.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use fclm_core::weights::{WeightFile, Weights};
use serde_json::Value;

use crate::binary;
use crate::desk::text;

/// A file or folder of the fixtures: below `FCLM_FIXTURES` where that is set, else in the
/// repository.
pub fn path(name: &str) -> PathBuf {
    let folder = env::var_os("FCLM_FIXTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures"),
        PathBuf::from,
    );
    folder.join(name)
}

/// The tensors of one file of the fixtures.
///
/// # Panics
/// If there is no such file, or it holds no tensors.
pub fn tensors(name: &str) -> Weights {
    let file = WeightFile::parse(read(name)).expect("it is a safetensors file");
    Weights::from_files([file]).expect("one file has no name twice")
}

/// Joins the reference checkpoints into a model.
///
/// # Panics
/// If they cannot be joined without a complaint.
pub fn join(out: &Path, seed: &str) {
    let case: Value = serde_json::from_slice(&read("sam/case.json")).expect("the case is JSON");
    let heads = case["decoder"]["num_heads"].to_string();
    let (qwen, sam) = (path("qwen"), path("sam/sam_vit.pth"));
    let arguments = [
        "init",
        "--qwen",
        text(&qwen),
        "--sam",
        text(&sam),
        "--out",
        text(out),
        "--seed",
        seed,
        "--name",
        "joined",
        "--sam-heads",
        &heads,
    ];
    let said = binary::run(&arguments).expect_clean().stdout;
    assert!(said.contains("stage 0"), "{said}");
}

fn read(name: &str) -> Vec<u8> {
    let path = path(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{} could not be read: {error}", path.display()))
}
