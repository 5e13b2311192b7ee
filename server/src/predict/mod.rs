//! The model for one caller at a time: what the command line and the measurements run on.
//!
//! [`Predictor`] drives the same [`FclmBackend`](crate::engine::FclmBackend) as the server's
//! engine, without its queue and its thread, so both ask and read the model in the same way.
//! [`read_picture`] and [`read_mask`] take files as the server takes uploads.

mod error;
mod input;
mod predictor;

pub use error::PredictError;
pub use input::{box_inside, check_text, read_mask, read_picture};
pub use predictor::{Found, Latents, Looks, Picture, Predictor, ScoredMask};
