//! Pictures and texts that the model is trained on and measured with.

pub mod convert;
pub mod dl_res;
pub mod folder;
pub mod look;
pub mod published;
pub mod record;
pub mod scenes;
