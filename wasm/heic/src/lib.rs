//! HEIC photos into JPEG, in a Web Worker of browsers that do not read them.
//!
//! The worker's script calls `receive` with the bytes of a file. The answer is one message: the
//! photo as a JPEG file, or a `HeicFailure` of `fclm_core::wire`. The worker decodes in one go,
//! which holds up nobody but itself; the page ends it after its answer, and with it goes the memory
//! that a large photo takes.
#![cfg(any(target_family = "wasm", test))]

#[cfg(target_family = "wasm")]
mod jpeg;
mod photo;
#[cfg(target_family = "wasm")]
mod reply;

#[cfg(target_family = "wasm")]
use js_sys::{ArrayBuffer, Uint8Array};
#[cfg(target_family = "wasm")]
use wasm_bindgen::prelude::wasm_bindgen;
#[cfg(target_family = "wasm")]
use wasm_bindgen_futures::spawn_local;

/// Takes a message of the page: the bytes of a file.
#[cfg(target_family = "wasm")]
#[wasm_bindgen]
pub fn receive(file: &ArrayBuffer) {
    console_error_panic_hook::set_once();
    let decoded = photo::decode(&Uint8Array::new(file).to_vec());
    spawn_local(reply::send(decoded));
}
