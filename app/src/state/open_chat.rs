use leptos::prelude::*;

use crate::client::{self, ChatPart, Failure};

/// How far a chat is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loading {
    /// On its way.
    Pending,
    /// Shown.
    Ready,
    /// There is no such chat, or there is none any more.
    Missing,
    /// It could not be fetched.
    Failed,
}

impl Loading {
    /// Whether there is nothing of the chat to show, and nothing will come by itself.
    pub(crate) fn is_blank(self) -> bool {
        matches!(self, Self::Missing | Self::Failed)
    }
}

/// Which chat the page shows, and whether it is there.
#[derive(Clone, Copy)]
pub(crate) struct OpenChat {
    id: StoredValue<String>,
    /// How far it is loaded.
    pub(super) loading: RwSignal<Loading>,
}

impl OpenChat {
    /// One that is still to be fetched.
    pub(super) fn new(id: String) -> Self {
        Self {
            id: StoredValue::new(id),
            loading: RwSignal::new(Loading::Pending),
        }
    }

    /// Its address on the server.
    pub(super) fn path(self) -> String {
        format!("/api/v1/chats/{}", self.id.get_value())
    }

    /// Where the browser keeps a part of it.
    pub(super) fn key(self, part: ChatPart) -> String {
        client::chat_key(&self.id.get_value(), part)
    }

    /// Whether the server has said that it is gone.
    pub(super) fn is_missing(self) -> bool {
        self.loading.get_untracked() == Loading::Missing
    }

    /// Where a request about the chat failed because there is no such chat, lets the page say so,
    /// forgets what the browser kept of it, and gives true. After any other failure it may be
    /// there still, so nothing changes.
    pub(super) fn leave_if_gone(self, failure: &Failure) -> bool {
        let gone = failure.is_gone();
        if gone {
            self.loading.set(Loading::Missing);
            client::forget_chat(&self.id.get_value());
        }
        gone
    }
}
