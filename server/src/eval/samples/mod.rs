//! What was asked and what came of it, kept so that a measurement goes on where it was stopped and
//! its figures can be computed again.
//!
//! `TASK.samples.jsonl` opens with a [`Header`]. Each further line has one picture's samples, or
//! says what is broken of it; lines come in the order in which pictures were finished, and a later
//! header counts instead of an earlier one. Figures are always computed from the lines as they are
//! written, so that a measurement that was stopped ends with the same figures as one that was not.

mod file;
mod header;
mod lines;
mod path;
mod sample;
#[cfg(test)]
mod tests;

pub(super) use file::Samples;
pub(super) use header::Header;
pub(super) use sample::{Exchange, MarkedMask, PictureSamples, Sample, StoredMask, finite};
