//! Pictures and texts that the model is trained on and measured with.

pub mod scenes;
