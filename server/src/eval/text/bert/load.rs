//! The weights of published checkpoints.

use std::path::Path;

use burn::tensor::Device;
use fclm_core::weights::{self, NameMap, WeightError, Weights};

use super::{BertConfig, BertEncoder, BertError};
use crate::model_dir::{open_checkpoint, open_weights};

/// What published checkpoints of larger models put before the encoder's names.
const PREFIX: &str = "bert.";
/// Where checkpoints are that are no safetensors files.
const PYTORCH: &str = "pytorch_model.bin";

impl BertConfig {
    /// The encoder with the weights of a folder, under their published names, with or without
    /// `bert.` before them. What else the checkpoint holds, such as heads, is not used.
    ///
    /// # Errors
    /// If a weight file is missing or damaged, or tensors are missing or misshapen.
    pub fn load(&self, folder: &Path, device: &Device) -> Result<BertEncoder, BertError> {
        let failed = |source: WeightError| BertError::Weights {
            folder: folder.to_owned(),
            source: Box::new(source),
        };
        let pytorch = folder.join(PYTORCH);
        let weights = match open_weights(folder) {
            Err(_) if pytorch.is_file() => open_checkpoint(&pytorch)?,
            opened => opened?.0,
        };
        let weights = encoder_weights(&weights).map_err(failed)?;
        weights::load(self.init(device), &weights, &name_map(), &[]).map_err(failed)
    }
}

/// The fields whose names no Rust field can have, or that are written in another manner.
pub(super) fn name_map() -> NameMap {
    NameMap::with_rewrites(&[("own", "self"), ("layer_norm", "LayerNorm")])
}

/// The encoder's tensors of a checkpoint under today's names.
fn encoder_weights(weights: &Weights) -> Result<Weights, WeightError> {
    weights.renamed(|name| {
        let name = name.strip_prefix(PREFIX).unwrap_or(name);
        let is_encoder = name.starts_with("embeddings.") || name.starts_with("encoder.");
        if !is_encoder || name == "embeddings.position_ids" {
            return None;
        }
        // Checkpoints that were once TensorFlow's keep its names for norms.
        for (old, new) in [(".gamma", ".weight"), (".beta", ".bias")] {
            if let Some(norm) = name.strip_suffix(old) {
                return Some(format!("{norm}{new}"));
            }
        }
        Some(name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use fclm_core::weights::tensor_specs;

    use super::{super::tests::write_encoder, *};

    #[test]
    fn names_are_the_published_ones() {
        let folder = tempfile::tempdir().unwrap();
        write_encoder(folder.path(), false);
        let encoder = BertConfig::read(folder.path())
            .unwrap()
            .init(&Device::flex());
        let names: Vec<String> = tensor_specs(&encoder, &name_map())
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names.len(), 5 + 2 * 16);
        for name in [
            "embeddings.word_embeddings.weight",
            "embeddings.LayerNorm.bias",
            "encoder.layer.1.attention.self.query.weight",
            "encoder.layer.0.attention.output.LayerNorm.weight",
            "encoder.layer.0.intermediate.dense.bias",
            "encoder.layer.1.output.dense.weight",
        ] {
            assert!(
                names.iter().any(|other| other == name),
                "{name} is not in {names:?}"
            );
        }
    }

    #[test]
    fn weights_of_another_size_are_told() {
        let folder = tempfile::tempdir().unwrap();
        write_encoder(folder.path(), false);
        let mut config = BertConfig::read(folder.path()).unwrap();
        config.intermediate_size = 5;
        let error = config.load(folder.path(), &Device::flex()).unwrap_err();
        assert!(error.to_string().contains("intermediate.dense"), "{error}");
    }
}
