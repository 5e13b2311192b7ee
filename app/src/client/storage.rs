use leptos::prelude::window;
use serde::{Serialize, de::DeserializeOwned};
use web_sys::Storage;

// Storage may be switched off or full; the page then works without it.
fn storage() -> Option<Storage> {
    window().local_storage().ok().flatten()
}

/// What was kept under a key.
pub(crate) fn recall<T: DeserializeOwned>(key: &str) -> Option<T> {
    serde_json::from_str(&storage()?.get_item(key).ok()??).ok()
}

/// Keeps something under a key; false where the browser does not take it.
pub(crate) fn remember<T: Serialize>(key: &str, value: &T) -> bool {
    let Some(storage) = storage() else {
        return false;
    };
    let Ok(json) = serde_json::to_string(value) else {
        return false;
    };
    storage.set_item(key, &json).is_ok()
}

/// Forgets what is kept under a key.
pub(crate) fn forget(key: &str) {
    if let Some(storage) = storage() {
        // Removing what is not there is no error, and nothing depends on it.
        let _ = storage.remove_item(key);
    }
}
