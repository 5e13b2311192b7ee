//! The paper's ablations in miniature: one change of a small recipe at a time, some seeds each.
//!
//! * [`variant`] says what is changed, [`table`] which changes are compared beside the paper's own
//!   figures.
//! * [`plan`] lists the runs. Runs whose recipes do not differ before stage 2 go on from one
//!   checkpoint.
//! * [`ablate`] trains and measures what has not been measured yet, and writes each result as it is
//!   done, so that it may be stopped or killed at any time.
//! * [`Report`] compares the results.

mod error;
mod measure;
pub mod plan;
mod report;
mod results;
mod run;
mod statistics;
pub mod table;
pub mod variant;

pub use error::AblateError;
pub use report::{Difference, Report, ReportRow, ReportTable, Verdict};
pub use results::{Measured, ResultRecord, Results, Seconds};
pub use run::{AblateOptions, Progress, ablate};
pub use statistics::{Mean, paired, t_interval};
