//! The pages.

mod chat;
mod frame;
mod home;
mod missing;
mod parts;

pub(crate) use frame::Frame;
pub(crate) use home::HomePage;
pub(crate) use missing::NotFound;
pub use parts::load_parts;
pub(crate) use parts::{CHATS, ChatPage};
