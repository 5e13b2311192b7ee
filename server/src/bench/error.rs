use crate::{api::EventError, engine::BackendError, train::TrainError};

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The model or its device failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// Training cannot be measured.
    #[error(transparent)]
    Training(#[from] Box<TrainError>),
    /// There is no server to measure.
    #[error("the server that is to be measured does not run: {0}")]
    Server(String),
    /// A picture could not be written for its upload.
    #[error("a picture could not be encoded for its upload: {0}")]
    Picture(#[from] image::ImageError),
    /// A request or its answer was lost.
    #[error("the server that is measured could not be asked: {0}")]
    Request(#[from] reqwest::Error),
    /// The server turned a request away.
    #[error("the server that is measured answers {path} with {status}: {reason}")]
    Refused {
        /// What was asked for.
        path: String,
        /// The HTTP status.
        status: u16,
        /// What the server says about it.
        reason: String,
    },
    /// An answer holds what is no event.
    #[error("the server that is measured sends what is not understood: {0}")]
    Event(#[from] EventError),
    /// An answer ended with an error.
    #[error("the server that is measured failed on a question: {0}")]
    Answer(String),
}
