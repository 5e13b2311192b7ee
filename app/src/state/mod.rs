//! What the page knows and does, as signals: the application around all pages, and the editor and
//! conversation of one chat.

mod application;
mod conversation;
mod editor;
mod exchange;
mod message;
mod notices;
mod open_chat;
mod tasks;
mod theme;
mod workspace;

pub(crate) use application::Application;
pub(crate) use conversation::Conversation;
pub(crate) use editor::{Editor, SaveState, Tool};
pub(crate) use exchange::{DELETED, Export};
pub(crate) use message::{AnswerStatus, Found, Highlight, MessageState};
pub(crate) use notices::{Notice, NoticeKind, Notices};
pub(crate) use open_chat::{Loading, OpenChat};
pub(crate) use tasks::Tasks;
pub(crate) use theme::toggle_theme;
pub(crate) use workspace::{Workspace, is_field};
