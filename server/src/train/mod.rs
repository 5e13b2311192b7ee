//! Training: recipes, the stream of samples, the vision tower's lessons, the step of both stages,
//! workers and checkpoints.

mod adamw;
mod attributes;
mod batch;
mod checkpoint;
mod conversations;
mod encoded;
mod error;
mod grounding;
mod heads;
mod layout;
mod log;
mod marks;
mod parameters;
mod phase;
mod prompts;
mod recipe;
mod rows;
mod run;
mod sample;
mod schedule;
#[cfg(test)]
mod serving;
mod step;
mod terms;
mod tokenizer;
mod tower;
mod worker;

pub use adamw::AdamW;
pub use checkpoint::Checkpoint;
pub use error::TrainError;
pub use layout::{Turn, TurnKind};
pub use parameters::ParameterTable;
pub use recipe::Recipe;
pub use run::{TrainOptions, train};
pub use tokenizer::train_tokenizer;
