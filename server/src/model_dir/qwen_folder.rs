use std::path::Path;

use burn::tensor::Device;
use fclm_core::{
    fclm::prompt,
    qwen::{self, QwenConfig},
    weights::{self, NameMap, Weights},
};
use serde_json::Value;

use super::{
    CHAT_TEMPLATE, CONFIG, TOKENIZER,
    error::ModelDirError,
    mapped::{open_weights, read_text},
};

/// What the published processor is set to.
const PREPROCESSOR: &str = "preprocessor_config.json";
/// Fewest pixels of the published processor.
const MIN_PIXELS: usize = 4 * 28 * 28;
/// Most pixels of the published processor.
const MAX_PIXELS: usize = 16_384 * 28 * 28;

/// A published Qwen2.5-VL folder: flat or nested configuration, one weight file or shards.
#[derive(Debug, Clone)]
pub struct QwenFolder {
    /// The configuration.
    pub config: QwenConfig,
    /// The content of `tokenizer.json`.
    pub tokenizer: String,
    /// The chat template: the folder's own, or FCLM's where it has none.
    pub chat_template: String,
    /// Fewest pixels that the processor hands to the vision tower.
    pub min_pixels: usize,
    /// Most pixels that the processor hands to the vision tower.
    pub max_pixels: usize,
    /// The tensors under their published names.
    pub weights: Weights,
}

impl QwenFolder {
    /// Opens the folder and checks that its weights are exactly those of its configuration.
    ///
    /// # Errors
    ///
    /// If a file is missing or damaged, or a tensor is missing, unknown or misshapen; all of them
    /// are named.
    pub fn open(folder: &Path) -> Result<Self, ModelDirError> {
        let config = QwenConfig::from_json(&read_text(folder, CONFIG)?).map_err(|source| {
            ModelDirError::Qwen {
                path: folder.join(CONFIG),
                source: Box::new(source),
            }
        })?;
        let (weights, _) = open_weights(folder)?;
        let weights = weights
            .renamed(|name| published_name(name, config.tie_word_embeddings))
            .map_err(ModelDirError::weights(folder))?;
        let names = NameMap::with_rewrites(qwen::names());
        weights::check(&config.init(&Device::flex()), &weights, &names, &[])
            .map_err(ModelDirError::weights(folder))?;
        let (min_pixels, max_pixels) = pixels(folder)?;
        Ok(Self {
            config,
            tokenizer: read_text(folder, TOKENIZER)?,
            chat_template: chat_template(folder)?,
            min_pixels,
            max_pixels,
            weights,
        })
    }
}

/// The published name of a tensor, or none where the model does not use it.
///
/// Newer tools save the same model with everything below `model`; a tied head is sometimes saved
/// although it is the embedding table.
fn published_name(name: &str, tied: bool) -> Option<String> {
    if tied && name == "lm_head.weight" {
        return None;
    }
    for (newer, published) in [
        ("model.language_model.", "model."),
        ("model.visual.", "visual."),
    ] {
        if let Some(rest) = name.strip_prefix(newer) {
            return Some(format!("{published}{rest}"));
        }
    }
    Some(name.to_owned())
}

fn chat_template(folder: &Path) -> Result<String, ModelDirError> {
    if folder.join(CHAT_TEMPLATE).exists() {
        return read_text(folder, CHAT_TEMPLATE);
    }
    for file in ["chat_template.json", "tokenizer_config.json"] {
        let Some(json) = json_if_there(folder, file)? else {
            continue;
        };
        if let Some(template) = json.get("chat_template").and_then(Value::as_str) {
            return Ok(template.to_owned());
        }
    }
    Ok(prompt::CHAT_TEMPLATE.to_owned())
}

fn pixels(folder: &Path) -> Result<(usize, usize), ModelDirError> {
    let json = json_if_there(folder, PREPROCESSOR)?.unwrap_or_default();
    let number = |name: &str, edge: &str, default: usize| {
        let of_size = json.get("size").and_then(|size| size.get(edge));
        // Tools write null in the place that they do not use.
        let given = [(name, json.get(name)), (edge, of_size)]
            .into_iter()
            .find_map(|(place, value)| Some((place, value.filter(|value| !value.is_null())?)));
        let Some((place, value)) = given else {
            return Ok(default);
        };
        let number = value.as_u64().and_then(|value| usize::try_from(value).ok());
        number.ok_or_else(|| {
            let reason = format!("{place} is {value}, which is no whole number of pixels");
            ModelDirError::content(&folder.join(PREPROCESSOR), reason)
        })
    };
    Ok((
        number("min_pixels", "shortest_edge", MIN_PIXELS)?,
        number("max_pixels", "longest_edge", MAX_PIXELS)?,
    ))
}

fn json_if_there(folder: &Path, file: &str) -> Result<Option<Value>, ModelDirError> {
    let path = folder.join(file);
    if !path.exists() {
        return Ok(None);
    }
    serde_json::from_str(&read_text(folder, file)?)
        .map(Some)
        .map_err(|error| ModelDirError::content(&path, error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::model_dir::{
        INDEX,
        fixtures::{copy_qwen, fixture},
    };

    /// The configuration of a Qwen folder in the layout that its `config.json` does not have.
    fn other_layout(folder: &Path) -> String {
        let text = read_text(folder, CONFIG).unwrap();
        let mut json: Value = serde_json::from_str(&text).unwrap();
        let top = json.as_object_mut().unwrap();
        let Some(mut nested) = top.remove("text_config") else {
            // What is written is always nested.
            return serde_json::to_string(&QwenConfig::from_json(&text).unwrap()).unwrap();
        };
        if let Ok(flat) = read_text(folder, "config_flat.json") {
            return flat;
        }
        let nested = nested.as_object_mut().unwrap();
        if let Some(Value::Object(mut rope)) = nested.remove("rope_parameters") {
            top.extend(rope.remove_entry("rope_theta"));
            top.insert("rope_scaling".to_owned(), Value::Object(rope));
        }
        for (name, value) in nested {
            top.entry(name.clone()).or_insert(value.clone());
        }
        json.to_string()
    }

    /// The name that newer tools give to a published tensor.
    fn newer_name(name: &str) -> String {
        if let Some(rest) = name.strip_prefix("model.") {
            return format!("model.language_model.{rest}");
        }
        match name.starts_with("visual.") {
            true => format!("model.{name}"),
            false => name.to_owned(),
        }
    }

    #[test]
    fn fixture_flat_and_nested_shards_and_one_file_open_alike() {
        let published = QwenFolder::open(&fixture("qwen")).unwrap();
        let folder = tempfile::tempdir().unwrap();
        copy_qwen(folder.path());
        let other = other_layout(folder.path());
        fs::write(folder.path().join(CONFIG), other).unwrap();
        let tensors = published
            .weights
            .iter()
            .map(|tensor| {
                (
                    newer_name(tensor.name()),
                    tensor.to_float_data(weights::Precision::F32).unwrap(),
                )
            })
            .collect();
        for entry in fs::read_dir(folder.path()).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy();
            if name.starts_with("model") && name.contains("safetensors") {
                fs::remove_file(&path).unwrap();
            }
        }
        let bytes = weights::to_safetensors(tensors).unwrap();
        fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
        let one = QwenFolder::open(folder.path()).unwrap();
        assert_eq!(one.config, published.config);
        assert_eq!(one.weights.len(), published.weights.len());
        for (left, right) in one.weights.iter().zip(published.weights.iter()) {
            assert_eq!((left.name(), left.shape()), (right.name(), right.shape()));
            assert_eq!(
                left.to_float_data(weights::Precision::F32).unwrap(),
                right.to_float_data(weights::Precision::F32).unwrap(),
            );
        }
    }

    #[test]
    fn fixture_without_a_shard_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        copy_qwen(folder.path());
        let (_, files) = open_weights(folder.path()).unwrap();
        let index = folder.path().join(INDEX);
        if !index.exists() {
            let map = format!(r#"{{"weight_map": {{"any": "{}"}}}}"#, files[0]);
            fs::write(index, map).unwrap();
        }
        fs::remove_file(folder.path().join(&files[0])).unwrap();
        let error = QwenFolder::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains(&files[0]), "{error}");
    }

    #[test]
    fn pixels_stand_in_either_place() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let read = |text: &str| {
            fs::write(folder.join(PREPROCESSOR), text).unwrap();
            pixels(folder)
        };
        for (text, expected) in [
            ("{}", (MIN_PIXELS, MAX_PIXELS)),
            (r#"{"min_pixels": 784, "max_pixels": 1568}"#, (784, 1568)),
            (
                r#"{"min_pixels": null, "max_pixels": null,
                    "size": {"shortest_edge": 784, "longest_edge": 1568}}"#,
                (784, 1568),
            ),
            (r#"{"max_pixels": 1568, "size": null}"#, (MIN_PIXELS, 1568)),
        ] {
            assert_eq!(read(text).unwrap(), expected, "{text}");
        }
        for (text, wrong) in [
            (r#"{"min_pixels": "x"}"#, r#"min_pixels is "x""#),
            (r#"{"max_pixels": 0.5}"#, "max_pixels is 0.5"),
            (r#"{"size": {"longest_edge": -1}}"#, "longest_edge is -1"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(
                error.contains(wrong) && error.contains(PREPROCESSOR),
                "{error}"
            );
        }
    }

    #[test]
    fn newer_names_are_those_of_the_published_tensors() {
        for name in ["model.norm.weight", "visual.merger.ln_q.weight"] {
            let newer = newer_name(name);
            assert_ne!(newer, name);
            assert_eq!(published_name(&newer, true).as_deref(), Some(name));
        }
        let head = "lm_head.weight";
        assert_eq!(published_name(head, false).as_deref(), Some(head));
        assert_eq!(published_name(head, true), None);
    }

    #[test]
    fn an_index_cannot_lead_out_of_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let index = r#"{"weight_map": {"a": "../secret.safetensors"}}"#;
        fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
        let error = open_weights(folder.path()).unwrap_err();
        assert!(matches!(error, ModelDirError::Content { .. }), "{error}");
    }
}
