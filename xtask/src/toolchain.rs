//! The one thing that the Rust toolchain may lack: the standard library for wasm32.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// The target that the page is compiled for.
pub(crate) const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// Adds the wasm32 target through rustup where the toolchain does not have it.
pub(crate) fn ensure_wasm_target() -> Result<()> {
    let sysroot = process::read(Command::new("rustc").args(["--print", "sysroot"]))?;
    let library = Path::new(&sysroot).join("lib/rustlib").join(WASM_TARGET);
    if library.is_dir() {
        return Ok(());
    }
    process::run(
        Command::new("rustup").args(["target", "add", WASM_TARGET]),
        "adding the wasm32 target",
    )
    .context(
        "the page is compiled for wasm32, and this Rust toolchain cannot do that yet; \
         `rustup target add wasm32-unknown-unknown` adds it",
    )
}
