use std::path::{Path, PathBuf};

use burn::tensor::Device;
use fclm_core::{
    fclm::{
        Fclm, FclmConfig, FclmTokenizer, name_map, part_of,
        prompt::{self, ChatMessage, Piece},
    },
    weights::{self, Precision, Weights},
    wire::PartSize,
};

use super::{
    CHAT_TEMPLATE, CONFIG, INDEX, TOKENIZER,
    error::ModelDirError,
    hash::Hashes,
    mapped::{open_weights, read_text},
};

/// An open model directory: everything but the tensors is read, the tensors are mapped.
#[derive(Debug, Clone)]
pub struct ModelDir {
    path: PathBuf,
    config: FclmConfig,
    tokenizer: String,
    chat_template: String,
    weights: Weights,
    weight_files: Vec<String>,
}

impl ModelDir {
    /// Opens a model directory.
    ///
    /// # Errors
    ///
    /// If a file is missing or damaged, or `config.json` is not that of an FCLM model. That the
    /// weights fit the configuration is checked by [`ModelDir::load`] and [`ModelDir::check`].
    pub fn open(path: &Path) -> Result<Self, ModelDirError> {
        let config =
            FclmConfig::from_json(&read_text(path, CONFIG)?).map_err(ModelDirError::model(path))?;
        let tokenizer = read_text(path, TOKENIZER)?;
        let chat_template = read_text(path, CHAT_TEMPLATE)?;
        let (weights, weight_files) = open_weights(path)?;
        Ok(Self {
            path: path.to_owned(),
            config,
            tokenizer,
            chat_template,
            weights,
            weight_files,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The content of `config.json`.
    pub fn config(&self) -> &FclmConfig {
        &self.config
    }

    /// The content of `tokenizer.json`.
    pub fn tokenizer_json(&self) -> &str {
        &self.tokenizer
    }

    /// The tokenizer.
    ///
    /// # Errors
    ///
    /// If `tokenizer.json` is damaged, lacks a token that FCLM needs, or has ids for which the
    /// model has no embedding.
    pub fn tokenizer(&self) -> Result<FclmTokenizer, ModelDirError> {
        let tokenizer = FclmTokenizer::from_json(self.tokenizer.as_bytes())
            .map_err(ModelDirError::model(&self.path))?;
        let (ids, rows) = (tokenizer.ids(), self.config.qwen.text.vocab_size);
        if ids > rows {
            let reason = format!(
                "its highest id is {} but the model's vocab_size is {rows}",
                ids - 1
            );
            return Err(ModelDirError::content(&self.path.join(TOKENIZER), reason));
        }
        Ok(tokenizer)
    }

    /// The content of `chat_template.jinja`.
    pub fn chat_template(&self) -> &str {
        &self.chat_template
    }

    /// Whether a question about a region of a picture can be put to the model.
    ///
    /// # Errors
    ///
    /// If the chat template is damaged or leaves out what is asked.
    pub fn check_template(&self, tokenizer: &FclmTokenizer) -> Result<(), ModelDirError> {
        let question = ChatMessage::user(format!(
            "{}{} {}",
            prompt::IMAGE_PLACE,
            prompt::REGION_PLACE,
            prompt::DEFAULT_QUESTION
        ));
        let pieces = prompt::render(&self.chat_template, &[question])
            .and_then(|text| prompt::pieces(&text, tokenizer))
            .map_err(ModelDirError::model(&self.path))?;
        match pieces.contains(&Piece::Image) && pieces.contains(&Piece::Region) {
            true => Ok(()),
            false => Err(ModelDirError::content(
                &self.path.join(CHAT_TEMPLATE),
                "leaves out what is asked",
            )),
        }
    }

    /// The mapped tensors.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The weight files' names, sorted.
    pub fn weight_files(&self) -> &[String] {
        &self.weight_files
    }

    /// Loads the model onto a device, in the type that the device computes in.
    ///
    /// # Errors
    ///
    /// Names every tensor that is missing, unknown or misshapen.
    pub fn load(&self, device: &Device) -> Result<Fclm, ModelDirError> {
        weights::load(self.config.init(device), &self.weights, &name_map(), &[])
            .map_err(ModelDirError::weights(&self.path))
    }

    /// As [`ModelDir::load`], in a type of the caller's choice.
    ///
    /// # Errors
    ///
    /// As [`ModelDir::load`].
    pub fn load_as(&self, device: &Device, precision: Precision) -> Result<Fclm, ModelDirError> {
        weights::load_as(
            self.config.init(device),
            &self.weights,
            &name_map(),
            &[],
            precision,
        )
        .map_err(ModelDirError::weights(&self.path))
    }

    /// Whether [`ModelDir::load`] would succeed; allocates nothing.
    ///
    /// # Errors
    ///
    /// As [`ModelDir::load`].
    pub fn check(&self) -> Result<(), ModelDirError> {
        weights::check(
            &self.config.init(&Device::flex()),
            &self.weights,
            &name_map(),
            &[],
        )
        .map_err(ModelDirError::weights(&self.path))
    }

    /// How many parameters each part of the model has, in the model's order.
    pub fn parts(&self) -> Vec<PartSize> {
        let module = self.config.init(&Device::flex());
        let mut parts: Vec<PartSize> = Vec::new();
        for (name, shape) in weights::tensor_specs(&module, &name_map()) {
            let part = part_of(&name);
            let parameters = shape.iter().product::<usize>() as u64;
            match parts.iter_mut().find(|size| size.part == part) {
                Some(size) => size.parameters += parameters,
                None => parts.push(PartSize {
                    part: part.to_owned(),
                    parameters,
                }),
            }
        }
        parts
    }

    /// SHA-256 of every file of the model; reads all of them.
    ///
    /// # Errors
    ///
    /// If a file cannot be read.
    pub fn hashes(&self) -> Result<Hashes, ModelDirError> {
        let mut texts = [CONFIG, TOKENIZER, CHAT_TEMPLATE]
            .map(str::to_owned)
            .to_vec();
        // A model in one file needs none.
        if self.path.join(INDEX).exists() {
            texts.push(INDEX.to_owned());
        }
        Hashes::of(&self.path, &texts, &self.weight_files)
    }
}

/// Fills a module with the weights of a model directory, whose own configuration is not asked.
///
/// # Errors
///
/// If a weight file is damaged, or the tensors are not exactly those of the module.
pub fn load_weights(module: Fclm, folder: &Path) -> Result<Fclm, ModelDirError> {
    let (weights, _) = open_weights(folder)?;
    weights::load(module, &weights, &name_map(), &[]).map_err(ModelDirError::weights(folder))
}
