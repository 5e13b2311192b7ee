use std::collections::HashMap;
use std::sync::Arc;

use fclm_core::wire::{
    ApiError, Chat, FinishReason, FoundRegion, MaskRle, Message, Mode, PostMessage, PostedMessage,
    Role, RunEvent, RunState, Usage,
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Editor, Notices, Tasks};
use crate::client::{self, RunStream, StreamEvent};
use crate::text;

/// What is asked of a marked region when nothing is typed.
const DEFAULT_QUESTION: &str = "Describe this region in detail.";

/// Where an answer stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum AnswerStatus {
    /// Runs ahead of it, and milliseconds until it starts.
    Queued(u32, u32),
    /// Being written.
    Writing,
    /// Ended.
    Finished(Option<FinishReason>),
    /// Ended by an error.
    Failed(Option<ApiError>),
}

impl AnswerStatus {
    /// Whether more is to come.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Self::Queued(..) | Self::Writing)
    }
}

/// A mask of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    /// The phrase it belongs to.
    pub(crate) phrase: String,
    /// Where the phrase is in the answer's text, in code points.
    pub(crate) span: (u32, u32),
    /// Estimated IoU, 0 to 1.
    pub(crate) score: f32,
    /// The mask.
    pub(crate) mask: Arc<MaskRle>,
}

impl From<FoundRegion> for Found {
    fn from(found: FoundRegion) -> Self {
        Self {
            phrase: found.phrase,
            span: (found.start, found.end),
            score: found.score,
            mask: Arc::new(found.mask),
        }
    }
}

/// The mask in the focus of attention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Highlight {
    /// The answer it belongs to.
    pub(crate) message: String,
    /// Its index there.
    pub(crate) index: usize,
    /// Whether the pointer is over the picture; otherwise it is over the phrase, and the rest of
    /// the picture steps back.
    pub(crate) from_canvas: bool,
}

/// A message on the page; an answer fills up while it is shown.
#[derive(Debug, Clone)]
pub(crate) struct MessageState {
    /// Its id.
    pub(crate) id: String,
    /// Who wrote it.
    pub(crate) role: Role,
    /// What was asked for.
    pub(crate) mode: Mode,
    /// Regions that a question is about.
    pub(crate) region_ids: Vec<String>,
    /// The run that writes an answer.
    pub(crate) run_id: Option<String>,
    /// Its text.
    pub(crate) text: ArcRwSignal<String>,
    /// Its masks.
    pub(crate) found: ArcRwSignal<Vec<Found>>,
    /// Where it stands.
    pub(crate) status: ArcRwSignal<AnswerStatus>,
    /// Whether its stream is connected.
    pub(crate) connected: ArcRwSignal<bool>,
    /// What it cost, where that was heard.
    pub(crate) usage: ArcRwSignal<Option<Usage>>,
}

impl From<Message> for MessageState {
    fn from(message: Message) -> Self {
        let status = match message.run_state {
            Some(RunState::Queued) => AnswerStatus::Queued(0, 0),
            Some(RunState::Running) => AnswerStatus::Writing,
            Some(RunState::Failed) => AnswerStatus::Failed(None),
            Some(RunState::Stopped) => AnswerStatus::Finished(Some(FinishReason::Cancelled)),
            Some(RunState::Done) | None => AnswerStatus::Finished(message.finish),
        };
        Self {
            id: message.id,
            role: message.role,
            mode: message.mode,
            region_ids: message.region_ids,
            run_id: message.run_id,
            text: ArcRwSignal::new(message.text),
            found: ArcRwSignal::new(message.found.into_iter().map(Found::from).collect()),
            status: ArcRwSignal::new(status),
            connected: ArcRwSignal::new(true),
            usage: ArcRwSignal::new(None),
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Draft {
    mode: Mode,
    text: String,
}

/// The messages of a chat, and the next one.
#[derive(Clone, Copy)]
pub(crate) struct Conversation {
    /// Messages, oldest first.
    pub(crate) messages: RwSignal<Vec<MessageState>>,
    /// What the next message asks for.
    pub(crate) mode: RwSignal<Mode>,
    /// The next message's text.
    pub(crate) draft: RwSignal<String>,
    /// Whether a message is on its way to the server.
    pub(crate) sending: RwSignal<bool>,
    /// The mask in the focus of attention.
    pub(crate) highlight: RwSignal<Option<Highlight>>,
    /// The answer whose masks are drawn.
    pub(crate) shown: RwSignal<Option<String>>,
    streams: StoredValue<HashMap<String, RunStream>, LocalStorage>,
    chat_id: StoredValue<String>,
    editor: Editor,
    tasks: Tasks,
    notices: Notices,
}

impl Conversation {
    /// Without messages yet.
    pub(crate) fn new(
        chat_id: StoredValue<String>,
        editor: Editor,
        tasks: Tasks,
        notices: Notices,
    ) -> Self {
        Self {
            messages: RwSignal::new(Vec::new()),
            mode: RwSignal::new(Mode::Ask),
            draft: RwSignal::new(String::new()),
            sending: RwSignal::new(false),
            highlight: RwSignal::new(None),
            shown: RwSignal::new(None),
            streams: StoredValue::new_local(HashMap::new()),
            chat_id,
            editor,
            tasks,
            notices,
        }
    }

    /// Shows a chat's messages and the draft of the last visit, and follows what is still being
    /// written.
    pub(crate) fn open(self, messages: Vec<Message>) {
        if let Some(draft) = client::recall::<Draft>(&self.draft_key()) {
            self.mode.set(draft.mode);
            self.draft.set(draft.text);
        }
        let messages: Vec<MessageState> = messages.into_iter().map(MessageState::from).collect();
        let newest = messages
            .iter()
            .rev()
            .find(|message| message.role == Role::Assistant);
        if let Some(answer) = newest
            && !answer.found.with_untracked(Vec::is_empty)
        {
            self.shown.set(Some(answer.id.clone()));
        }
        for message in &messages {
            if message.status.with_untracked(AnswerStatus::is_open) {
                self.follow(message);
            }
        }
        self.messages.set(messages);
    }

    /// Keeps what is typed, for the next visit.
    pub(crate) fn keep_draft(self) {
        let draft = Draft {
            mode: self.mode.get_untracked(),
            text: self.draft.get_untracked(),
        };
        if draft == Draft::default() {
            client::forget(&self.draft_key());
        } else {
            client::remember(&self.draft_key(), &draft);
        }
    }

    fn draft_key(self) -> String {
        format!("fclm.chat.{}.draft", self.chat_id.get_value())
    }

    /// The answer that is being written, if one is.
    pub(crate) fn open_answer(self) -> Option<MessageState> {
        self.messages.with(|messages| {
            messages
                .iter()
                .rev()
                .find(|m| m.status.with(AnswerStatus::is_open))
                .cloned()
        })
    }

    /// Whether there is something to send: a text, or a region to describe.
    pub(crate) fn can_send(self) -> bool {
        let typed = self.draft.with(|draft| !draft.trim().is_empty());
        let region = self.editor.selected.with(Option::is_some);
        typed || (self.mode.get() == Mode::Ask && region)
    }

    /// Regions that a question with this text would be about: those it names, or else the chosen
    /// one.
    pub(crate) fn targets(self, mode: Mode, text: &str) -> Vec<String> {
        let named: Vec<String> = self.editor.document.with(|document| {
            let numbers = text::mentions(text);
            let regions = numbers
                .into_iter()
                .filter_map(|k| document.regions.get(k - 1));
            regions.map(|region| region.id.clone()).collect()
        });
        if named.is_empty() && mode == Mode::Ask {
            self.editor.selected.get().into_iter().collect()
        } else {
            named
        }
    }

    /// Sends what is typed.
    pub(crate) fn send(self) {
        let waiting = self.sending.get_untracked() || untrack(|| self.open_answer()).is_some();
        if waiting || !untrack(|| self.can_send()) {
            return;
        }
        self.sending.set(true);
        self.tasks.spawn(async move {
            if let Err(failure) = self.send_draft().await {
                self.notices.fail(&failure);
            }
            self.sending.set(false);
        });
    }

    async fn send_draft(self) -> Result<(), client::Failure> {
        self.editor.settle().await?;
        let mode = self.mode.get_untracked();
        let typed = self.draft.get_untracked();
        let text = match typed.trim() {
            "" => DEFAULT_QUESTION,
            typed => typed,
        };
        let region_ids = untrack(|| self.targets(mode, text));
        let body = PostMessage {
            mode,
            text: text.to_owned(),
            region_ids,
            regions: Vec::new(),
        };
        let path = format!("/api/v1/chats/{}/messages", self.chat_id.get_value());
        let posted: PostedMessage = client::post(&path, &body).await?;
        // What was typed while the message was on its way stays.
        if self.draft.with_untracked(|draft| *draft == typed) {
            self.draft.set(String::new());
        }
        let mut answer = MessageState::from(posted.answer);
        answer.run_id = Some(posted.run_id);
        if !answer.status.with_untracked(AnswerStatus::is_open) {
            answer.status.set(AnswerStatus::Queued(0, 0));
        }
        self.follow(&answer);
        let question = MessageState::from(posted.message);
        self.messages
            .update(|messages| messages.extend([question, answer]));
        Ok(())
    }

    /// Stops the answer that is being written.
    pub(crate) fn stop(self) {
        let Some(run_id) = untrack(|| self.open_answer()).and_then(|answer| answer.run_id) else {
            return;
        };
        self.tasks.spawn(async move {
            if let Err(failure) = client::post_empty(&format!("/api/v1/runs/{run_id}/stop")).await {
                self.notices.fail(&failure);
            }
        });
    }

    /// Fills an answer from its run's events, from the first on.
    fn follow(self, answer: &MessageState) {
        let Some(run_id) = answer.run_id.clone() else {
            return;
        };
        answer.text.set(String::new());
        answer.found.set(Vec::new());
        let message = answer.clone();
        let stream = RunStream::follow(&run_id, move |event| self.hear(&message, event));
        self.streams.update_value(|streams| {
            streams.insert(answer.id.clone(), stream);
        });
    }

    fn hear(self, answer: &MessageState, event: StreamEvent) {
        match event {
            StreamEvent::Connected(connected) => answer.connected.set(connected),
            StreamEvent::Lost => self.reload(answer.clone()),
            StreamEvent::Run(event) => self.hear_run(answer, event),
        }
    }

    fn hear_run(self, answer: &MessageState, event: RunEvent) {
        answer.connected.set(true);
        match event {
            RunEvent::Queue { position, eta_ms } => {
                answer.status.set(AnswerStatus::Queued(position, eta_ms));
            }
            RunEvent::Text { delta } => {
                answer.status.set(AnswerStatus::Writing);
                answer.text.update(|text| text.push_str(&delta));
            }
            RunEvent::Region(found) => {
                answer.found.update(|list| list.push(Found::from(found)));
                self.shown.set(Some(answer.id.clone()));
            }
            RunEvent::Usage(usage) => answer.usage.set(Some(usage)),
            RunEvent::Done { finish } => {
                answer.status.set(AnswerStatus::Finished(Some(finish)));
            }
            RunEvent::Error(error) => answer.status.set(AnswerStatus::Failed(Some(error))),
        }
    }

    fn reload(self, answer: MessageState) {
        self.tasks.spawn(async move {
            let path = format!("/api/v1/chats/{}", self.chat_id.get_value());
            match client::get::<Chat>(&path).await {
                Ok(chat) => {
                    let stored = chat
                        .messages
                        .into_iter()
                        .find(|message| message.id == answer.id);
                    let Some(stored) = stored.map(MessageState::from) else {
                        return;
                    };
                    answer.text.set(stored.text.get_untracked());
                    answer.found.set(stored.found.get_untracked());
                    answer.status.set(match stored.status.get_untracked() {
                        status if status.is_open() => AnswerStatus::Failed(None),
                        status => status,
                    });
                    answer.connected.set(true);
                }
                Err(failure) => self.notices.fail(&failure),
            }
        });
    }
}
