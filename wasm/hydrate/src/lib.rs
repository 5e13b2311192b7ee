//! Mounts the page in the browser: takes over the document that the server has rendered.
#![cfg(target_family = "wasm")]

use wasm_bindgen::prelude::wasm_bindgen;

/// Makes the rendered page interactive; the page's own script calls it once the module is loaded.
#[wasm_bindgen]
pub async fn hydrate() {
    console_error_panic_hook::set_once();
    fclm_app::load_parts().await;
    leptos::mount::hydrate_body(fclm_app::App);
}
