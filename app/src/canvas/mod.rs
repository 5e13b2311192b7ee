//! The picture with its masks: layers, painting and gestures.

mod gestures;
mod hand;
mod keyboard;
mod layer;
mod painter;
mod preview;
mod stage;
mod toolbar;
mod view;

pub(crate) use stage::Stage;
