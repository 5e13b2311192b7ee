//! Measures the model: what is asked of it, how answers are judged, and how figures are told.
//!
//! * [`protocol`] picks, by seed, what a data set's scenes are asked; other pictures are asked
//!   everything that is known of them.
//! * [`metrics`] turns answers into figures with intervals.
//! * [`blind`] answers without looking at the picture; figures stand beside its own.
//! * [`report`] writes the result as JSON or as a table.
//! * [`iou`], [`gres`] and [`matching`] hold the figures of published benchmarks about masks,
//!   [`text`] those about captions and names, and [`dlc`] the one that a language model judges.
//! * [`evaluate`] does all of it for one task; [`evaluate_with`] keeps what was asked and answered
//!   in a folder, goes on with it after a stop, and writes a report of all that was measured there.
//!   [`plan`] lists what one command measures.
//! * [`heatmaps`] draws where `<pos>` and `[SEG]` look.

mod asking;
pub mod blind;
mod data_set;
pub mod dlc;
mod error;
pub mod gres;
pub mod heatmaps;
pub mod iou;
mod judging;
pub mod matching;
mod measure;
pub mod metrics;
mod object_rating;
mod over;
pub mod plan;
pub mod protocol;
pub mod report;
mod samples;
mod source;
mod summary;
mod tasks;
pub mod text;

pub use error::EvalError;
pub use measure::{
    DEFAULT_BATCH, EvalOptions, EvalOut, EvalTools, evaluate, evaluate_with, rebuild_report,
};
