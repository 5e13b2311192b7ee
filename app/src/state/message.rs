use std::sync::Arc;

use fclm_core::wire::{
    ApiError, FinishReason, FoundRegion, MaskRle, Message, Mode, PostMessage, Role, RunState, Usage,
};
use leptos::prelude::*;

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
    /// What it cost, once it has ended.
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
            usage: ArcRwSignal::new(message.usage),
        }
    }
}

impl MessageState {
    /// Whether more of it is to come.
    pub(crate) fn is_open(&self) -> bool {
        self.status.with_untracked(AnswerStatus::is_open)
    }

    /// Whether it has masks.
    pub(crate) fn has_found(&self) -> bool {
        !self.found.with_untracked(Vec::is_empty)
    }
}

/// Whether a stored message is the question that was sent.
pub(super) fn is_question(message: &Message, sent: &PostMessage) -> bool {
    message.role == Role::User && message.mode == sent.mode && message.text == sent.text.trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(role: Role, text: &str) -> Message {
        Message {
            id: "m".to_owned(),
            role,
            mode: Mode::Ask,
            text: text.to_owned(),
            region_ids: Vec::new(),
            found: Vec::new(),
            run_id: None,
            run_state: None,
            finish: None,
            usage: None,
            created_at: String::new(),
        }
    }

    #[test]
    fn a_question_is_known_again() {
        let mut sent = PostMessage {
            mode: Mode::Ask,
            text: " what is @1? ".to_owned(),
            region_ids: Vec::new(),
            regions: Vec::new(),
            region_vectors: Vec::new(),
        };
        assert!(is_question(&message(Role::User, "what is @1?"), &sent));
        assert!(!is_question(&message(Role::User, "what is @2?"), &sent));
        assert!(!is_question(
            &message(Role::Assistant, "what is @1?"),
            &sent
        ));
        sent.mode = Mode::Find;
        assert!(!is_question(&message(Role::User, "what is @1?"), &sent));
    }
}
