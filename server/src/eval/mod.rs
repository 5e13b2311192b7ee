//! Measures the model: what is asked of it, how answers are judged, and how figures are told.
//!
//! * [`protocol`] picks, by seed, what a data set's scenes are asked.
//! * [`metrics`] turns answers into figures with intervals.
//! * [`blind`] answers without looking at the picture; every figure stands beside its own.
//! * [`report`] writes the result as JSON or as a table.
//! * [`evaluate`] does all of it for one task.

pub mod blind;
mod error;
pub mod metrics;
mod over;
pub mod protocol;
pub mod report;
mod run;
mod samples;

pub use error::EvalError;
pub use run::{EvalOptions, evaluate};
