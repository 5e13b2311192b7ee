//! Tuning large models: a model directory that `fclm init` has joined, on folders of pictures.
//!
//! [`train_large`] follows a [`LargeRecipe`]. The trainer beside it makes small models from scratch on
//! rendered scenes and keeps parameters on the host; here they stay where they are computed with, the
//! language model is frozen in half precision and carries adapters, and each picture is a forward and
//! backward pass of its own, whose gradients are summed over the step and over devices.
//!
//! What is seen when is a function of the recipe's seed and of the picture's number (`mixture`,
//! `questions`, `sample`), so that a run that is resumed needs nothing but parameters, moments and the
//! number of steps done. Threads of their own prepare pictures (`feed`). [`preview()`] shows people what
//! they make of the pictures of a folder.

mod adamw;
mod checkpoint;
mod copies;
mod counts;
mod device_batch;
mod draw;
mod feed;
mod gradients;
mod load;
mod loss;
mod masks;
mod mixture;
mod preview;
mod questions;
mod recipe;
mod reduce;
mod replica;
mod run;
mod sample;
#[cfg(test)]
mod tiny;
mod trained;

pub use preview::{PreviewOptions, preview};
pub use recipe::{BasePrecision, DataRecipe, LargeRecipe, LargeStage, TaskShares};
pub use run::{LargeOptions, train_large};
