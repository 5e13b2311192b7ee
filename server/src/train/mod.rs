//! Training: recipes, the stream of samples, the vision tower's lessons, the step of both stages,
//! workers and checkpoints; beside it, tuning of large models on folders of pictures.

mod adamw;
mod attributes;
mod batch;
mod checkpoint;
mod conversations;
#[cfg(feature = "dashboard")]
mod dashboard;
#[cfg(not(feature = "dashboard"))]
#[path = "no_dashboard.rs"]
mod dashboard;
mod display;
mod encoded;
mod error;
mod flops;
mod folders;
mod grounding;
mod heads;
mod large;
mod layout;
mod log;
mod marks;
mod parameters;
mod phase;
mod plot;
mod prompts;
mod recipe;
mod recipe_kind;
mod rows;
mod run;
mod sample;
mod samples;
mod schedule;
#[cfg(test)]
mod serving;
mod speed;
mod step;
mod stop;
mod terms;
mod tokenizer;
mod tower;
mod worker;

pub use adamw::AdamW;
pub use checkpoint::Checkpoint;
pub use display::Display;
pub use error::TrainError;
pub use flops::{COUNTED, Product};
pub use large::{
    BasePrecision, DataRecipe, LargeOptions, LargeRecipe, LargeStage, PreviewOptions, TaskShares,
    preview, train_large,
};
pub use layout::{Turn, TurnKind};
pub use parameters::ParameterTable;
pub use recipe::Recipe;
pub use recipe_kind::AnyRecipe;
pub use run::{TrainOptions, Trained, train};
pub use speed::{PhaseSpeed, time_phases};
pub use stop::StopRequest;
pub use tokenizer::train_tokenizer;
