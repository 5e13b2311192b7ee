//! The picture with its masks: layers, painting and gestures.

mod damage;
mod frame;
mod gestures;
mod ground;
mod hand;
mod hint;
mod idle;
mod keyboard;
mod layer;
mod overlay;
mod painter;
mod preview;
mod sight;
mod sprite;
mod stage;
mod tags;
mod toolbar;
mod view;

pub(crate) use keyboard::{arrow, press_of};
pub(crate) use stage::Stage;
