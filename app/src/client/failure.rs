use fclm_core::wire::{ApiError, ErrorCode};
use serde::Deserialize;

/// A request that did not give what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// The server said why.
    #[error("{}", .0.message)]
    Refused(ApiError),
    /// There was no answer.
    #[error("The server cannot be reached. What you made is kept here; try again in a moment.")]
    Offline,
    /// The answer was something else than what the route gives.
    #[error("The server's answer (status {0}) could not be read. Reload the page and try again.")]
    Unreadable(u16),
}

#[derive(Deserialize)]
struct ErrorBody {
    error: ApiError,
}

impl Failure {
    /// From an answer that is no success.
    pub(crate) fn from_body(status: u16, body: &str) -> Self {
        match serde_json::from_str::<ErrorBody>(body) {
            Ok(body) => Self::Refused(body.error),
            Err(_) => Self::Unreadable(status),
        }
    }

    /// The server's code, where there is one.
    pub(crate) fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(error) => Some(error.code),
            Self::Offline | Self::Unreadable(_) => None,
        }
    }

    /// Whether the same request may well succeed a little later.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Refused(error) => {
                matches!(error.code, ErrorCode::Busy | ErrorCode::Unavailable)
            }
            Self::Offline => true,
            Self::Unreadable(status) => *status >= 500,
        }
    }

    /// A few words above the sentence.
    pub(crate) fn heading(&self) -> &'static str {
        match self {
            Self::Refused(error) => heading(error.code),
            Self::Offline => "No connection",
            Self::Unreadable(_) => "Unexpected answer",
        }
    }
}

/// A few words for a code; the server's sentence says the rest.
pub(crate) fn heading(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::BadRequest => "That request was not understood",
        ErrorCode::CrossOrigin => "Request from another site",
        ErrorCode::NotFound => "Not found",
        ErrorCode::MethodNotAllowed => "That is not possible here",
        ErrorCode::Conflict => "An answer is still being written",
        ErrorCode::TooLarge => "Too large",
        ErrorCode::UnsupportedImage => "Not a picture we can read",
        ErrorCode::BadImage => "The picture is broken",
        ErrorCode::BadRegion => "The region does not fit",
        ErrorCode::BadText => "The text does not fit",
        ErrorCode::Busy => "Many people are waiting",
        ErrorCode::Internal => "Something went wrong on the server",
        ErrorCode::Unavailable => "The model is not ready yet",
        ErrorCode::StorageFull => "The server's disk is full",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_sentence_is_kept() {
        let body = r#"{"error":{"code":"unsupported_image","message":"Send a JPEG."}}"#;
        let failure = Failure::from_body(415, body);
        assert_eq!(failure.code(), Some(ErrorCode::UnsupportedImage));
        assert_eq!(failure.to_string(), "Send a JPEG.");
        assert_eq!(failure.heading(), "Not a picture we can read");
        assert!(!failure.is_passing());
    }

    #[test]
    fn other_bodies_are_unreadable() {
        let failure = Failure::from_body(502, "<html>");
        assert_eq!(failure, Failure::Unreadable(502));
        assert!(failure.is_passing() && failure.code().is_none());
    }
}
