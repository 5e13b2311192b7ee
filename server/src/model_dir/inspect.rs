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

/// Looks into a model directory: checks that its weights are those of its configuration and that
/// questions can be put to it, counts parameters and hashes every file. Loads no weights.
///
/// # Errors
///
/// If it is not a model directory, its weights do not fit (every tensor concerned is named), or its
/// tokenizer or chat template cannot be used.
pub fn inspect(path: &Path) -> Result<Inspection, ModelDirError> {
    let model = ModelDir::open(path)?;
    model.check()?;
    model.check_template(&model.tokenizer()?)?;
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::model_dir::{CHAT_TEMPLATE, INDEX, TOKENIZER, fixtures::tiny_model};

    #[test]
    fn fixture_model_that_cannot_be_asked_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let model = tiny_model(folder.path());
        inspect(&model).unwrap();
        for (file, content, reason) in [
            (TOKENIZER, "{}", "tokenizer.json"),
            (CHAT_TEMPLATE, "{% for message in messages %}", "template"),
            (CHAT_TEMPLATE, "", "leaves out what is asked"),
        ] {
            let path = model.join(file);
            let whole = fs::read(&path).unwrap();
            fs::write(&path, content).unwrap();
            let error = inspect(&model).unwrap_err().to_string();
            assert!(error.contains(reason), "{content:?}: {error}");
            fs::write(&path, whole).unwrap();
        }
    }

    #[test]
    fn fixture_index_is_hashed_where_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let model = tiny_model(folder.path());
        let names = || -> Vec<String> {
            let files = inspect(&model).unwrap().hashes.files;
            files.into_iter().map(|hash| hash.file).collect()
        };
        assert!(names().iter().any(|name| name == INDEX));
        fs::remove_file(model.join(INDEX)).unwrap();
        assert!(names().iter().all(|name| name != INDEX));
    }
}
