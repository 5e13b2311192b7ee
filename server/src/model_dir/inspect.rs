use std::{fmt, path::Path};

use fclm_core::{
    fclm::FclmConfig,
    wire::{PartSize, Stage},
};
use serde::Serialize;

use super::{error::ModelDirError, hash::Hashes, open::ModelDir};

/// What is in a model directory.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    /// The configuration, training stage included.
    pub config: FclmConfig,
    /// Parameters in all.
    pub parameters: u64,
    /// Parameters by part.
    pub parts: Vec<PartSize>,
    /// The files' hashes.
    pub hashes: Hashes,
}

/// Looks into a model directory: checks that its weights are those of its configuration, counts
/// parameters and hashes every file. Loads nothing.
///
/// # Errors
///
/// If it is not a model directory, or its weights do not fit; every tensor concerned is named.
pub fn inspect(path: &Path) -> Result<Inspection, ModelDirError> {
    let model = ModelDir::open(path)?;
    model.check()?;
    let parts = model.parts();
    Ok(Inspection {
        config: model.config().clone(),
        parameters: parts.iter().map(|size| size.parameters).sum(),
        parts,
        hashes: model.hashes()?,
    })
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = &self.config;
        let stage = match config.stage {
            Stage::Untrained => "stage 0: region parts untrained",
            Stage::One => "stage 1",
            Stage::Two => "stage 2",
        };
        writeln!(f, "{} ({stage})", config.name)?;
        writeln!(f, "{}", config.knows)?;
        writeln!(
            f,
            "language model: {} layers of width {}, vocabulary {}",
            config.qwen.text.num_hidden_layers,
            config.qwen.text.hidden_size,
            config.qwen.text.vocab_size,
        )?;
        writeln!(
            f,
            "vision: {} to {} pixels; SAM at {} pixels, embedding {}",
            config.min_pixels,
            config.max_pixels,
            config.sam.image_size,
            config.sam.embed_dim(),
        )?;
        writeln!(f, "\n{:>15}  parameters", self.parameters)?;
        for size in &self.parts {
            writeln!(f, "{:>15}  {}", size.parameters, size.part)?;
        }
        writeln!(f)?;
        for file in &self.hashes.files {
            writeln!(f, "{}  {:>13}  {}", file.sha256, file.bytes, file.file)?;
        }
        writeln!(f, "{}  all weight files", self.hashes.weights)?;
        writeln!(f, "{}  all files", self.hashes.all)?;
        let config = serde_json::to_string_pretty(config).map_err(|_| fmt::Error)?;
        write!(f, "\nconfiguration: {config}")
    }
}
