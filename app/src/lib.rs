//! FCLM's page.

mod shell;

use leptos::prelude::*;
use leptos_router as _;
pub use shell::{Boot, PageAssets, shell};
#[cfg(feature = "ssr")]
pub use shell::render_page;

/// The page.
#[component]
pub fn App() -> impl IntoView {
    view! { <p>"FCLM"</p> }
}
