use std::time::Duration;

use fclm_core::wire::ErrorCode;
use leptos::prelude::*;

use crate::client::Failure;

const INFO_STAYS: Duration = Duration::from_secs(5);
const ERROR_STAYS: Duration = Duration::from_secs(20);

/// Whether a notice tells of something that went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoticeKind {
    /// Something failed.
    Error,
    /// Good to know.
    Info,
}

/// A message to the user that goes away by itself or when it is dismissed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    /// Unique on the page.
    pub(crate) id: u64,
    /// Whether something failed.
    pub(crate) kind: NoticeKind,
    /// A few words.
    pub(crate) heading: String,
    /// The sentence.
    pub(crate) text: String,
    /// The server's code, where there was one.
    pub(crate) code: Option<ErrorCode>,
}

/// The notices that are shown now.
#[derive(Clone, Copy)]
pub(crate) struct Notices {
    list: RwSignal<Vec<Notice>>,
    next: StoredValue<u64>,
}

impl Notices {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self {
            list: RwSignal::new(Vec::new()),
            next: StoredValue::new(0),
        }
    }

    /// All of them, oldest first.
    pub(crate) fn list(self) -> Vec<Notice> {
        self.list.get()
    }

    /// Tells of a failure; one that is shown already is not shown twice.
    pub(crate) fn fail(self, failure: &Failure) {
        self.show(
            NoticeKind::Error,
            failure.heading(),
            &failure.to_string(),
            failure.code(),
        );
    }

    /// Tells of something that went wrong here.
    pub(crate) fn error(self, heading: &str, text: &str) {
        self.show(NoticeKind::Error, heading, text, None);
    }

    /// Tells something.
    pub(crate) fn info(self, heading: &str, text: &str) {
        self.show(NoticeKind::Info, heading, text, None);
    }

    /// Takes a notice away.
    pub(crate) fn dismiss(self, id: u64) {
        self.list
            .update(|list| list.retain(|notice| notice.id != id));
    }

    fn show(self, kind: NoticeKind, heading: &str, text: &str, code: Option<ErrorCode>) {
        let id = self.next.get_value();
        self.next.set_value(id + 1);
        let notice = Notice {
            id,
            kind,
            heading: heading.to_owned(),
            text: text.to_owned(),
            code,
        };
        self.list.update(|list| {
            list.retain(|old| old.heading != notice.heading || old.text != notice.text);
            list.push(notice);
            let surplus = list.len().saturating_sub(4);
            list.drain(..surplus);
        });
        let stays = if kind == NoticeKind::Error {
            ERROR_STAYS
        } else {
            INFO_STAYS
        };
        set_timeout(move || self.dismiss(id), stays);
    }
}
