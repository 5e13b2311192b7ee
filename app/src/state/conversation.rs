use std::collections::HashMap;
use std::time::Duration;

use fclm_core::fclm::prompt::DEFAULT_QUESTION;
use fclm_core::wire::{
    Chat, FinishReason, Message, Mode, PostMessage, PostedMessage, Role, RunEvent,
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use super::message::is_question;
use super::{AnswerStatus, Editor, Found, Highlight, MessageState, Notices, OpenChat, Tasks};
use crate::client::{self, ChatPart, Failure, RunStream, StreamEvent};
use crate::editor::Document;
use crate::text;

/// What asks for a caption where nothing is typed.
const CAPTION: &str = "Describe the picture.";
const POLL: Duration = Duration::from_millis(40);

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
    // Whether the server may hold messages that this page has not heard of.
    unsure: StoredValue<bool>,
    chat: OpenChat,
    editor: Editor,
    tasks: Tasks,
    notices: Notices,
}

impl Conversation {
    /// Without messages yet.
    pub(super) fn new(chat: OpenChat, editor: Editor, tasks: Tasks, notices: Notices) -> Self {
        Self {
            messages: RwSignal::new(Vec::new()),
            mode: RwSignal::new(Mode::Ask),
            draft: RwSignal::new(String::new()),
            sending: RwSignal::new(false),
            highlight: RwSignal::new(None),
            shown: RwSignal::new(None),
            streams: StoredValue::new_local(HashMap::new()),
            unsure: StoredValue::new(false),
            chat,
            editor,
            tasks,
            notices,
        }
    }

    /// Shows a chat's messages and the draft of the last visit, and follows what is still being
    /// written.
    pub(crate) fn open(self, messages: Vec<Message>) {
        if let Some(draft) = client::recall::<Draft>(&self.chat.key(ChatPart::Draft)) {
            self.mode.set(draft.mode);
            self.draft.set(draft.text);
        }
        let messages: Vec<MessageState> = messages.into_iter().map(MessageState::from).collect();
        self.take_up(&messages);
        self.messages.set(messages);
    }

    fn append(self, messages: Vec<MessageState>) {
        if messages.is_empty() {
            return;
        }
        self.take_up(&messages);
        self.messages.update(|all| all.extend(messages));
    }

    // Follows what is being written, and draws the masks of the newest answer in place of those
    // of an older one.
    fn take_up(self, messages: &[MessageState]) {
        for message in messages {
            match message.status.get_untracked() {
                AnswerStatus::Failed(None) => self.learn_reason(message),
                status if status.is_open() => self.follow(message),
                _ => {}
            }
        }
        let newest = messages
            .iter()
            .rev()
            .find(|message| message.role == Role::Assistant);
        let found = newest.filter(|answer| answer.has_found());
        self.shown.set(found.map(|answer| answer.id.clone()));
        self.highlight.set(None);
    }

    /// Keeps what is typed, for the next visit.
    pub(crate) fn keep_draft(self) {
        let draft = Draft {
            mode: self.mode.get_untracked(),
            text: self.draft.get_untracked(),
        };
        let key = self.chat.key(ChatPart::Draft);
        if draft == Draft::default() {
            client::forget(&key);
        } else {
            client::remember(&key, &draft);
        }
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
        match self.mode.get() {
            Mode::Ask => typed || region,
            Mode::Find => typed,
            // A caption is of the whole picture, whatever is asked.
            Mode::Caption => true,
        }
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

    /// Sends what is typed; says what to do where there is nothing to send.
    pub(crate) fn send(self) {
        let mode = self.mode.get_untracked();
        if !untrack(|| self.can_send()) {
            let (heading, text) = nothing_to_send(mode);
            self.notices.info(heading, text);
            return;
        }
        let typed = self.draft.get_untracked();
        let text = match typed.trim() {
            "" if mode == Mode::Caption => CAPTION,
            "" => DEFAULT_QUESTION,
            text => text,
        };
        let region_ids = untrack(|| self.targets(mode, text));
        let question = question(mode, text.to_owned(), region_ids);
        self.begin(question, Some(typed));
    }

    /// Asks something that nobody typed, about the given regions; the draft stays as it is.
    pub(crate) fn ask(self, mode: Mode, text: String, region_ids: Vec<String>) {
        self.begin(question(mode, text, region_ids), None);
    }

    /// Asks what is typed of every region, one after the other, until an answer is stopped.
    pub(crate) fn ask_each(self) {
        let typed = self.draft.get_untracked();
        let text = match typed.trim() {
            "" => DEFAULT_QUESTION,
            text => text,
        };
        if !text::mentions(text).is_empty() {
            self.notices.info(
                "The question names a region",
                "Leave the @ out; it is asked of each region by itself.",
            );
            return;
        }
        if self.sending.get_untracked() || untrack(|| self.open_answer()).is_some() {
            self.notices.info(
                "One question at a time",
                "Wait for the answer that is being written, or stop it.",
            );
            return;
        }
        let text = text.to_owned();
        let ids = self.editor.document.with_untracked(Document::ids);
        self.sending.set(true);
        self.tasks.spawn(async move {
            let mut is_delivered = true;
            for id in ids {
                let one = question(Mode::Ask, text.clone(), vec![id]);
                if let Err(failure) = self.deliver(&one).await {
                    if !self.chat.leave_if_gone(&failure) {
                        self.notices.fail(&failure);
                    }
                    is_delivered = false;
                    break;
                }
                while untrack(|| self.open_answer()).is_some() {
                    client::pause(POLL).await;
                }
                if self.was_stopped() {
                    break;
                }
            }
            if is_delivered && self.draft.with_untracked(|draft| *draft == typed) {
                self.draft.set(String::new());
            }
            self.sending.set(false);
        });
    }

    // Whether the last answer did not come to its own end.
    fn was_stopped(self) -> bool {
        self.messages.with_untracked(|messages| {
            messages.last().is_some_and(|last| {
                last.status.with_untracked(|status| {
                    matches!(
                        status,
                        AnswerStatus::Failed(_)
                            | AnswerStatus::Finished(Some(FinishReason::Cancelled))
                    )
                })
            })
        })
    }

    /// Asks the question of an answer again, about the same regions whatever is chosen now.
    pub(crate) fn ask_again(self, answer: &str) {
        let asked = self.messages.with_untracked(|messages| {
            let at = messages.iter().position(|message| message.id == answer)?;
            messages.get(at.checked_sub(1)?).cloned()
        });
        let Some(asked) = asked else { return };
        let today = self.editor.document.with_untracked(Document::ids);
        let text = asked
            .text
            .with_untracked(|text| text::readdressed(text, &asked.region_ids, &today));
        match text {
            Some(text) => self.ask(asked.mode, text, asked.region_ids),
            None => self.notices.info(
                "A region of that question is gone",
                "Bring it back with undo, or mark it again and ask anew.",
            ),
        }
    }

    fn begin(self, question: PostMessage, typed: Option<String>) {
        if self.sending.get_untracked() {
            return;
        }
        if untrack(|| self.open_answer()).is_some() {
            self.notices.info(
                "One question at a time",
                "Wait for the answer that is being written, or stop it.",
            );
            return;
        }
        self.sending.set(true);
        self.tasks.spawn(async move {
            match self.deliver(&question).await {
                Ok(()) => {
                    // What was typed while the message was on its way stays.
                    if self
                        .draft
                        .with_untracked(|draft| typed.as_ref() == Some(draft))
                    {
                        self.draft.set(String::new());
                    }
                }
                Err(failure) if self.chat.leave_if_gone(&failure) => {}
                Err(failure) => self.notices.fail(&failure),
            }
            self.sending.set(false);
        });
    }

    async fn deliver(self, question: &PostMessage) -> Result<(), Failure> {
        self.editor.settle().await?;
        if self.unsure.get_value() && self.catch_up(question).await? {
            return Ok(());
        }
        let path = format!("{}/messages", self.chat.path());
        let asked = PostMessage {
            region_vectors: self.editor.vectors(&question.region_ids).await,
            ..question.clone()
        };
        let failure = match client::post::<_, PostedMessage>(&path, &asked).await {
            Ok(posted) => {
                self.show_posted(posted);
                return Ok(());
            }
            Err(failure) => failure,
        };
        if failure.may_have_arrived() {
            self.unsure.set_value(true);
            // Where the chat cannot be had either, the first failure says enough.
            if self.catch_up(question).await.unwrap_or(false) {
                return Ok(());
            }
        }
        Err(failure)
    }

    fn show_posted(self, posted: PostedMessage) {
        let mut answer = MessageState::from(posted.answer);
        answer.run_id = Some(posted.run_id);
        if !answer.is_open() {
            answer.status.set(AnswerStatus::Queued(0, 0));
        }
        self.append(vec![MessageState::from(posted.message), answer]);
    }

    /// Shows what the server has and this page had missed; true where the question is among it.
    async fn catch_up(self, question: &PostMessage) -> Result<bool, Failure> {
        let chat: Chat = client::get(&self.chat.path()).await?;
        self.unsure.set_value(false);
        let known = self.messages.get_untracked();
        let mut missed = Vec::new();
        let mut arrived = false;
        for stored in chat.messages {
            match known.iter().find(|message| message.id == stored.id) {
                Some(message) => self.resume(message, &MessageState::from(stored)),
                None => {
                    arrived |= is_question(&stored, question);
                    missed.push(MessageState::from(stored));
                }
            }
        }
        self.append(missed);
        Ok(arrived)
    }

    // An answer that this page had given up may still be written.
    fn resume(self, message: &MessageState, stored: &MessageState) {
        if stored.is_open() && !message.is_open() {
            message.status.set(stored.status.get_untracked());
            self.follow(message);
        }
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
        answer.text.set(String::new());
        answer.found.set(Vec::new());
        let message = answer.clone();
        self.listen(answer, move |event| self.hear(&message, event));
    }

    // A stored answer does not say why it failed, but its run's last event does.
    fn learn_reason(self, answer: &MessageState) {
        let status = answer.status.clone();
        self.listen(answer, move |event| {
            if let StreamEvent::Run(RunEvent::Error(error)) = event {
                status.set(AnswerStatus::Failed(Some(error)));
            }
        });
    }

    fn listen(self, answer: &MessageState, listener: impl Fn(StreamEvent) + 'static) {
        let Some(run_id) = &answer.run_id else { return };
        let stream = RunStream::follow(run_id, listener);
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

    // Its stream is lost for good, so what is stored has to say how far it came.
    fn reload(self, answer: MessageState) {
        self.tasks.spawn(async move {
            let stored = match client::get::<Chat>(&self.chat.path()).await {
                Ok(chat) => chat
                    .messages
                    .into_iter()
                    .find(|message| message.id == answer.id),
                Err(failure) => {
                    if !self.chat.leave_if_gone(&failure) {
                        self.notices.fail(&failure);
                    }
                    None
                }
            };
            let status = match stored.map(MessageState::from) {
                Some(stored) => {
                    answer.text.set(stored.text.get_untracked());
                    answer.found.set(stored.found.get_untracked());
                    answer.usage.set(stored.usage.get_untracked());
                    stored.status.get_untracked()
                }
                None => AnswerStatus::Failed(None),
            };
            // An answer that nobody follows must not look as if more of it were to come.
            answer.status.set(if status.is_open() {
                AnswerStatus::Failed(None)
            } else {
                status
            });
            answer.connected.set(true);
        });
    }
}

fn question(mode: Mode, text: String, region_ids: Vec<String>) -> PostMessage {
    PostMessage {
        mode,
        text,
        region_ids,
        regions: Vec::new(),
        region_vectors: Vec::new(),
    }
}

fn nothing_to_send(mode: Mode) -> (&'static str, &'static str) {
    match mode {
        Mode::Ask | Mode::Caption => (
            "Nothing to ask yet",
            "Mark something on the picture, or type a question.",
        ),
        Mode::Find => (
            "Nothing to find yet",
            "Describe in words what is to be found.",
        ),
    }
}
