//! Mounts the page in the browser: takes over the document that the server has rendered.
#![cfg(target_family = "wasm")]

use wasm_bindgen::prelude::wasm_bindgen;

/// Makes the rendered page interactive; the page's own script calls it once the module is loaded.
#[wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    leptos::mount::hydrate_body(fclm_app::App);
}
