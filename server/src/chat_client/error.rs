//! Why there is no answer.

use std::{io, path::PathBuf};

/// An answer that could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// The address is none.
    #[error(
        "{address:?} is no address of a chat endpoint, such as http://127.0.0.1:8000/v1: {reason}"
    )]
    Address {
        /// What was given.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The key cannot be sent.
    #[error("the key of the chat endpoint holds characters that no HTTP header may hold")]
    Key,
    /// The client could not be set up.
    #[error("the client of the chat endpoint cannot be set up: {0}")]
    SetUp(String),
    /// No reply, after all repetitions.
    #[error("{url} cannot be asked: {reason}")]
    Unreachable {
        /// The endpoint.
        url: String,
        /// Why.
        reason: String,
    },
    /// The endpoint will not answer.
    #[error("{url} answers {status}: {reason}")]
    Refused {
        /// The endpoint.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What the endpoint says about it.
        reason: String,
    },
    /// The reply is no chat completion.
    #[error("{url} sends no chat completion: {reason}")]
    Unreadable {
        /// The endpoint.
        url: String,
        /// What is wrong with the reply.
        reason: String,
    },
    /// An answer could not be read from the cache, or kept in it.
    #[error("could not {action} {}, where answers are kept: {source}", path.display())]
    Cache {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl ChatError {
    /// Whether another request may well be answered: the endpoint is there and lets us in, but
    /// this text is too long for it, or not to its liking.
    pub fn concerns_one_request(&self) -> bool {
        matches!(
            self,
            Self::Unreadable { .. }
                | Self::Refused {
                    status: 400 | 413 | 422,
                    ..
                }
        )
    }
}
