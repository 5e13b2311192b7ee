use std::path::PathBuf;

use fclm_core::weights::WeightError;

use crate::model_dir::ModelDirError;

/// Why there is no encoder.
#[derive(Debug, thiserror::Error)]
pub enum BertError {
    /// `config.json` could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// `config.json` is not that of a BERT encoder.
    #[error("{}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// `config.json` asks for something that is not known here.
    #[error("{}: {field} is {value}, but must {wanted}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// What would be right, in words that go on after "must".
        wanted: &'static str,
    },
    /// The folder's weight files cannot be read.
    #[error(transparent)]
    Files(#[from] ModelDirError),
    /// The weights are not those of the encoder.
    #[error("{}: {source}", folder.display())]
    Weights {
        /// The folder.
        folder: PathBuf,
        /// What does not fit.
        source: Box<WeightError>,
    },
}
