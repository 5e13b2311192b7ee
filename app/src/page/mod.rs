//! The pages.

mod chat;
mod frame;
mod home;
mod missing;

pub(crate) use chat::ChatPage;
pub(crate) use frame::Frame;
pub(crate) use home::HomePage;
pub(crate) use missing::NotFound;
