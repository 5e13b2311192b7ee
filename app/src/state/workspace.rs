use fclm_core::wire::Chat;
use leptos::ev;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{ClipboardEvent, HtmlInputElement, HtmlTextAreaElement};

use super::{Application, Conversation, Editor, Loading, Notices, OpenChat, Tasks};
use crate::client::{self, Failure};
use crate::editor::Document;
use crate::extractor::Extractor;
use crate::text::renumbered;

/// One chat on the page.
#[derive(Clone, Copy)]
pub(crate) struct Workspace {
    /// The chat's title.
    pub(crate) title: RwSignal<String>,
    /// How far it is loaded.
    pub(crate) loading: RwSignal<Loading>,
    /// Regions and tools.
    pub(crate) editor: Editor,
    /// Messages and the draft.
    pub(crate) conversation: Conversation,
    chat: OpenChat,
    pub(super) tasks: Tasks,
    pub(super) notices: Notices,
    extractor: Extractor,
}

impl Workspace {
    /// Loads a chat.
    pub(crate) fn new(chat_id: String, application: Application) -> Self {
        let tasks = Tasks::new();
        let notices = application.notices;
        let chat = OpenChat::new(chat_id);
        let editor = Editor::new(chat, tasks, notices, application.extractor);
        let workspace = Self {
            title: RwSignal::new(String::new()),
            loading: chat.loading,
            editor,
            conversation: Conversation::new(chat, editor, tasks, notices),
            chat,
            tasks,
            notices,
            extractor: application.extractor,
        };
        let take = Callback::new(move |picked| workspace.take_pasted(picked, application));
        application.pasted.set_value(Some(take));
        on_cleanup(move || {
            application.pasted.update_value(|shown| {
                // The next chat may be shown already.
                if shown.is_some_and(|shown| shown.matches(&take)) {
                    *shown = None;
                }
            });
        });
        Effect::new(move |_| workspace.load());
        Effect::new(move |before: Option<Vec<String>>| workspace.renumber_draft(before));
        // Most of what changes the regions leaves it as it is.
        let view = Memo::new(move |_| workspace.editor.view());
        Effect::new(move |_| {
            if workspace.loading.get() == Loading::Ready {
                workspace.editor.keep_view(view.get());
            }
        });
        Effect::new(move |_| {
            let paste = window_event_listener(ev::paste, move |event| {
                let text = event
                    .clipboard_data()
                    .and_then(|data| data.get_data("text/plain").ok());
                if let Some(text) = text
                    && looks_like_regions(&text)
                    && !is_field(&event)
                    && workspace.loading.get_untracked() == Loading::Ready
                {
                    event.prevent_default();
                    workspace.import_text(&text);
                }
            });
            on_cleanup(move || paste.remove());
        });
        Effect::new(move |_| {
            let focus = window_event_listener(ev::focus, move |_| workspace.catch_up());
            on_cleanup(move || focus.remove());
        });
        workspace
    }

    // Another tab may have changed the regions, and what is saved here would overwrite them; or
    // it has deleted the chat.
    fn catch_up(self) {
        if self.loading.get_untracked() != Loading::Ready {
            return;
        }
        // Until the answer is there, this tab may keep its own corners under the same key.
        let corners = self.editor.kept_corners();
        self.tasks.spawn(async move {
            match self.fetch().await {
                Ok(chat) => self.editor.catch_up(chat.regions, &corners),
                // Whoever cannot be reached now is asked again with the next focus.
                Err(failure) => {
                    self.chat.leave_if_gone(&failure);
                }
            }
        });
    }

    /// Fetches the chat.
    pub(crate) fn load(self) {
        self.loading.set(Loading::Pending);
        self.tasks.spawn(async move {
            match self.fetch().await {
                Ok(chat) => self.show(chat),
                Err(failure) if self.chat.leave_if_gone(&failure) => {}
                Err(failure) => {
                    self.loading.set(Loading::Failed);
                    self.notices.fail(&failure);
                }
            }
        });
    }

    async fn fetch(self) -> Result<Chat, Failure> {
        client::get(&self.chat.path()).await
    }

    // Deleting, erasing, undoing and redoing all give regions other numbers; the draft goes on to
    // mean the same ones.
    fn renumber_draft(self, before: Option<Vec<String>>) -> Vec<String> {
        let after = self.editor.document.with(Document::ids);
        if let Some(before) = before
            && before != after
        {
            let draft = self.conversation.draft.get_untracked();
            let next = renumbered(&draft, &before, &after);
            if next != draft {
                self.conversation.draft.set(next);
            }
        }
        after
    }

    fn show(self, chat: Chat) {
        self.title.set(chat.title);
        self.extractor.open(chat.image.url.clone());
        self.editor.open(chat.image, chat.regions);
        self.conversation.open(chat.messages);
        self.loading.set(Loading::Ready);
    }
}

/// Whether a paste goes into a field.
pub(crate) fn is_field(event: &ClipboardEvent) -> bool {
    event.target().is_some_and(|target| {
        target.has_type::<HtmlTextAreaElement>() || target.has_type::<HtmlInputElement>()
    })
}

/// Whether a text that was pasted beside any field may hold regions; other texts are left alone.
fn looks_like_regions(text: &str) -> bool {
    let text = text.trim_start();
    let mut characters = text.chars();
    match characters.next() {
        Some('{' | '[') => true,
        Some('<') => text.contains("<path"),
        Some('M' | 'm') => characters.next().is_some_and(|next| {
            next.is_ascii_digit() || next.is_ascii_whitespace() || next == '-' || next == '.'
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_hold_regions_is_read() {
        for text in [
            "{\"size\": []}",
            " [1]",
            "M1 1h3z",
            "m-1 2",
            "<svg><path/></svg>",
        ] {
            assert!(looks_like_regions(text), "{text}");
        }
        for text in ["", "Mug", "what is it?", "<b>bold</b>"] {
            assert!(!looks_like_regions(text), "{text}");
        }
    }
}
