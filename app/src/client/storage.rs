use leptos::prelude::window;
use serde::{Serialize, de::DeserializeOwned};
use web_sys::Storage;

/// What the browser keeps of a chat between visits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChatPart {
    /// Regions that the server does not have yet.
    Regions,
    /// Which region is chosen, which are hidden or locked, and the corners of polygons.
    View,
    /// What is typed and not sent.
    Draft,
}

impl ChatPart {
    const ALL: [Self; 3] = [Self::Regions, Self::View, Self::Draft];

    fn name(self) -> &'static str {
        match self {
            Self::Regions => "regions",
            Self::View => "view",
            Self::Draft => "draft",
        }
    }
}

/// The key under which a part of a chat is kept.
pub(crate) fn chat_key(chat_id: &str, part: ChatPart) -> String {
    format!("fclm.chat.{chat_id}.{}", part.name())
}

/// Forgets all that is kept of a chat.
pub(crate) fn forget_chat(chat_id: &str) {
    for part in ChatPart::ALL {
        forget(&chat_key(chat_id, part));
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_a_chat_has_its_own_place() {
        let keys = ChatPart::ALL.map(|part| chat_key("0a1b", part));
        assert_eq!(
            keys,
            [
                "fclm.chat.0a1b.regions",
                "fclm.chat.0a1b.view",
                "fclm.chat.0a1b.draft",
            ]
        );
    }
}
