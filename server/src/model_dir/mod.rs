//! Model directories and the checkpoints they are made from.
//!
//! A model directory holds `config.json` (`model_type` is `fclm`), `tokenizer.json`,
//! `chat_template.jinja` and safetensors files: `light.safetensors` with the part that a browser
//! loads too, `model-0000N-of-0000M.safetensors` with the rest, and an index over both.
//! [`ModelDir`] opens one, [`write_model`] writes one, [`init`] joins a published Qwen2.5-VL folder
//! and a SAM checkpoint into one, and [`inspect`] says what is in one.
//!
//! Weight files are memory-mapped, so opening costs nothing until a tensor is used. A directory is
//! written beside its place and renamed, so a crash never leaves half of one.

mod error;
#[cfg(test)]
pub(crate) mod fixtures;
mod hash;
mod init;
mod inspect;
mod mapped;
mod open;
mod pth;
mod qwen_folder;
mod sam_config;
mod stored_entries;
mod tokens;
mod write;

pub use error::ModelDirError;
pub use hash::{FileHash, Hashes};
pub use init::{InitOptions, init};
pub use inspect::{Inspection, inspect};
pub use mapped::{open_checkpoint, open_weights};
pub use open::{ModelDir, load_weights};
pub use pth::read_pth;
pub use qwen_folder::QwenFolder;
pub use sam_config::sam_config_of;
pub(crate) use write::refuse_foreign;
pub use write::{ModelFiles, WeightLayout, write_model, write_trained};

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const CHAT_TEMPLATE: &str = "chat_template.jinja";
const INDEX: &str = "model.safetensors.index.json";
/// The file with the part of a model that browsers load too.
pub(crate) const LIGHT: &str = "light.safetensors";
