//! FCLM's model and everything that browser and server must agree on.
//!
//! The crate defines the model once over [burn](https://burn.dev): every tensor function takes a
//! `&Device` (or tensors that already live on one) and, but for the few operations that burn does
//! not have, never names a backend, so the same code runs on Flex, CUDA and WebGPU. It does no
//! I/O, knows no web framework and compiles for wasm32; a forward pass never reads back to the
//! host.
//!
//! Without the default feature `model` only [`wire`], [`mask`], the geometry in [`mod@image`] and
//! the wordings in [`fclm::prompt`] are built: that is all the page needs.

#[cfg(feature = "model")]
mod activation;
#[cfg(feature = "model")]
pub mod attention;
pub mod fclm;
#[cfg(feature = "model")]
mod field;
#[cfg(test)]
mod fixtures;
pub mod image;
#[cfg(feature = "model")]
mod linear;
#[cfg(feature = "model")]
pub mod loss;
pub mod mask;
#[cfg(feature = "model")]
pub mod qwen;
#[cfg(feature = "model")]
pub mod region;
#[cfg(feature = "model")]
pub mod sam;
#[cfg(feature = "model")]
pub mod weights;
pub mod wire;

#[cfg(feature = "model")]
pub use field::FieldError;
