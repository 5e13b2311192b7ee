//! What stands around the canvas: header, regions, messages, composer and notices.

mod answer;
mod badge;
mod composer;
mod header;
mod menus;
mod messages;
mod notices;
mod region_chip;
mod regions;
mod table;

pub(crate) use composer::{Composer, focus_draft};
pub(crate) use header::Header;
pub(crate) use messages::Messages;
pub(crate) use notices::NoticeList;
pub(crate) use regions::Regions;
