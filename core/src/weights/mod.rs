//! Checkpoints: reading them into modules and writing modules back.
//!
//! The module does no I/O. A [`WeightFile`] parses the bytes of one safetensors file that the
//! caller owns (the server hands in a memory map, the browser a download), [`Weights`] is the
//! union of several, [`load`] fills a module from it and [`export`] reads a module back out.
//! Tensors are matched by name: [`NameMap`] turns the path of a parameter inside the module into
//! the name the published checkpoint uses, and whatever does not fit is reported in one
//! [`WeightError::Mismatch`] that names every tensor concerned.
//!
//! ```
//! use burn::{module::Module, nn::LinearConfig, tensor::Device};
//! use fclm_core::weights::{self, NameMap, Precision, WeightFile, Weights};
//!
//! let device = Device::flex();
//! let names = NameMap::new();
//! let tensors = weights::export(&LinearConfig::new(2, 3).init(&device), &names, Precision::F16)?;
//! let bytes = weights::to_safetensors(tensors)?;
//! let checkpoint = Weights::from_files([WeightFile::parse(bytes)?])?;
//! let linear = weights::load(LinearConfig::new(2, 3).init(&device), &checkpoint, &names, &[])?;
//! assert_eq!(linear.num_params(), 9);
//! # Ok::<(), weights::WeightError>(())
//! ```

mod convert;
mod error;
mod export;
mod file;
mod fit;
mod load;
mod names;
mod shards;
mod walk;

pub use convert::Precision;
pub use error::{Misfit, Mismatch, WeightError};
pub use export::{export, export_where, to_safetensors};
pub use file::{SharedBytes, StoredDtype, StoredTensor, WeightFile, Weights};
pub use fit::{check, tensor_specs};
pub use load::{load, load_as};
pub use names::NameMap;
pub use shards::{Shard, plan_shards, shard_index};
