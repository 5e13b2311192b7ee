//! What the tests that cross crates share: the real `fclm` binary, a server started from it, the
//! sample scenes with their ground truth, and a browser that is driven by mouse and keyboard.
//!
//! Nothing here is skipped when something is missing: a test that cannot run panics with what to
//! do about it.

pub mod api;
pub mod binary;
pub mod browser;
pub mod desk;
pub mod difference;
pub mod double;
pub mod easel;
pub mod fixtures;
pub mod gate;
pub mod host;
pub mod samples;
pub mod served;
pub mod site;
pub mod view;
pub mod words_server;
pub mod worker;
