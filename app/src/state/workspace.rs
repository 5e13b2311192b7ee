use fclm_core::wire::{Chat, ErrorCode};
use leptos::prelude::*;

use super::{Application, Conversation, Editor, Notices, Tasks};
use crate::client;
use crate::text::without_region;

/// How far a chat is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loading {
    /// On its way.
    Pending,
    /// Shown.
    Ready,
    /// There is no such chat.
    Missing,
    /// It could not be fetched.
    Failed,
}

/// One chat on the page.
#[derive(Clone, Copy)]
pub(crate) struct Workspace {
    /// The chat's id.
    pub(crate) chat_id: StoredValue<String>,
    /// Its title.
    pub(crate) title: RwSignal<String>,
    /// How far it is loaded.
    pub(crate) loading: RwSignal<Loading>,
    /// Regions and tools.
    pub(crate) editor: Editor,
    /// Messages and the draft.
    pub(crate) conversation: Conversation,
    tasks: Tasks,
    notices: Notices,
}

impl Workspace {
    /// Loads a chat.
    pub(crate) fn new(chat_id: String, application: Application) -> Self {
        let tasks = Tasks::new();
        let notices = application.notices;
        let chat_id = StoredValue::new(chat_id);
        let editor = Editor::new(chat_id, tasks, notices);
        let workspace = Self {
            chat_id,
            title: RwSignal::new(String::new()),
            loading: RwSignal::new(Loading::Pending),
            editor,
            conversation: Conversation::new(chat_id, editor, tasks, notices),
            tasks,
            notices,
        };
        Effect::new(move |_| workspace.load());
        workspace
    }

    /// Fetches the chat.
    pub(crate) fn load(self) {
        self.loading.set(Loading::Pending);
        self.tasks.spawn(async move {
            let path = format!("/api/v1/chats/{}", self.chat_id.get_value());
            match client::get::<Chat>(&path).await {
                Ok(chat) => self.show(chat),
                Err(failure) if failure.code() == Some(ErrorCode::NotFound) => {
                    self.loading.set(Loading::Missing);
                }
                Err(failure) => {
                    self.loading.set(Loading::Failed);
                    self.notices.fail(&failure);
                }
            }
        });
    }

    /// Takes a region away, from the draft too.
    pub(crate) fn remove_region(self, id: &str) {
        if let Some(number) = self.editor.document.with_untracked(|d| d.number(id)) {
            self.conversation
                .draft
                .update(|draft| *draft = without_region(draft, number));
        }
        self.editor.remove(id);
    }

    fn show(self, chat: Chat) {
        self.title.set(chat.title);
        self.editor.open(chat.image, chat.regions);
        self.conversation.open(chat.messages);
        self.loading.set(Loading::Ready);
    }
}
