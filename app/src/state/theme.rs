use leptos::prelude::*;

use crate::media::matches_media;

/// Turns dark to light and back, for this browser.
pub(crate) fn toggle_theme() {
    let Some(root) = document().document_element() else {
        return;
    };
    let dark = match root.get_attribute("data-theme").as_deref() {
        Some("dark") => true,
        Some("light") => false,
        _ => matches_media("(prefers-color-scheme: dark)"),
    };
    let theme = if dark { "light" } else { "dark" };
    // An attribute of a fixed name is always taken; storage may be switched off.
    let _ = root.set_attribute("data-theme", theme);
    if let Ok(Some(storage)) = window().local_storage() {
        let _ = storage.set_item("fclm.theme", theme);
    }
}
