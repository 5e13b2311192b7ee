//! Picture geometry that both sides need, and resizing that equals the reference libraries'.

pub mod geometry;
#[cfg(feature = "model")]
mod resize;

#[cfg(feature = "model")]
pub use resize::{resize_bicubic, resize_bilinear};
