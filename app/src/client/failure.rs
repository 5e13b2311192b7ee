use fclm_core::wire::{ApiError, ErrorCode, HeicFailure};
use serde::Deserialize;

use super::foreign::Foreign;
use super::heic;

/// A request that did not give what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// The server said why.
    #[error("{}", sentence(.0))]
    Refused(ApiError),
    /// There was no answer.
    #[error("The server cannot be reached. Try again in a moment.")]
    Offline,
    /// The answer was something else than what the route gives.
    #[error("The server's answer (status {0}) could not be read. Reload the page and try again.")]
    Unreadable(u16),
    /// What was to be sent cannot be read, as folders cannot.
    #[error(
        "It is a folder, or a file that cannot be read. Choose a JPEG, PNG, WebP or HEIC picture."
    )]
    NoFile,
    /// The server does not take such pictures, and the browser cannot read this one.
    #[error("{}", .0.sentence())]
    Foreign(Foreign),
    /// A worker of the page could not read a HEIC photo.
    #[error("{}", heic::sentence(.0))]
    Heic(HeicFailure),
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
            Self::Offline
            | Self::Unreadable(_)
            | Self::NoFile
            | Self::Foreign(_)
            | Self::Heic(_) => None,
        }
    }

    /// Whether the server may have done what was asked, although its answer says otherwise or was
    /// lost. A conflict is such a case: what stands in the way may be the same request, sent before.
    pub(crate) fn may_have_arrived(&self) -> bool {
        match self {
            Self::Refused(error) => error.code == ErrorCode::Conflict,
            Self::Offline | Self::Unreadable(_) => true,
            Self::NoFile | Self::Foreign(_) | Self::Heic(_) => false,
        }
    }

    /// Whether the same request may well succeed a little later.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Refused(error) => {
                matches!(
                    error.code,
                    ErrorCode::Busy | ErrorCode::TooSlow | ErrorCode::Unavailable
                )
            }
            Self::Offline => true,
            Self::Unreadable(status) => *status >= 500,
            Self::NoFile | Self::Foreign(_) | Self::Heic(_) => false,
        }
    }

    /// Whether the server says that what was asked for is not there. Nobody else's word counts:
    /// a page that stands in between may answer with the same status.
    pub(crate) fn is_gone(&self) -> bool {
        self.code() == Some(ErrorCode::NotFound)
    }

    /// A few words above the sentence.
    pub(crate) fn heading(&self) -> &'static str {
        match self {
            Self::Refused(error) => heading(error.code),
            Self::Offline => "No connection",
            Self::Unreadable(_) => "Unexpected answer",
            Self::Heic(HeicFailure::TooLarge { .. }) => heading(ErrorCode::TooLarge),
            Self::NoFile | Self::Foreign(_) | Self::Heic(_) => "This cannot be opened",
        }
    }
}

/// What to tell of an error: the server's sentence, with the number under which its log says more
/// where the log is the only place to look.
pub(crate) fn sentence(error: &ApiError) -> String {
    match &error.request_id {
        Some(id) if error.code == ErrorCode::Internal => format!("{} ({id})", error.message),
        _ => error.message.clone(),
    }
}

/// The code as it travels.
pub(crate) fn code_name(code: ErrorCode) -> Option<String> {
    let name = serde_json::to_value(code).ok()?;
    name.as_str().map(str::to_owned)
}

/// A few words for a code; the server's sentence says the rest.
fn heading(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::BadRequest => "That request was not understood",
        ErrorCode::CrossOrigin => "Request from another site",
        ErrorCode::NotFound => "Not found",
        ErrorCode::MethodNotAllowed => "That is not possible here",
        ErrorCode::TooSlow => "That took too long to arrive",
        ErrorCode::Conflict => "An answer is still being written",
        ErrorCode::TooLarge => "Too large",
        ErrorCode::UnsupportedImage => "Not a picture we can read",
        ErrorCode::BadImage => "The picture is broken",
        ErrorCode::TooNarrow => "The picture is too narrow",
        ErrorCode::BadRegion => "The region does not fit",
        ErrorCode::BadText => "The text cannot be taken",
        ErrorCode::Busy => "Too much is waiting already",
        ErrorCode::Internal => "Something went wrong on the server",
        ErrorCode::Unavailable => "Not available right now",
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
        assert!(!failure.is_passing() && !failure.may_have_arrived());
    }

    #[test]
    fn only_the_server_says_that_something_is_gone() {
        let body = r#"{"error":{"code":"not_found","message":"There is no such chat."}}"#;
        assert!(Failure::from_body(404, body).is_gone());
        let body = r#"{"error":{"code":"unavailable","message":"Wait."}}"#;
        assert!(!Failure::from_body(503, body).is_gone());
        assert!(!Failure::from_body(404, "<html>").is_gone());
        assert!(!Failure::Offline.is_gone());
    }

    #[test]
    fn a_narrow_picture_is_not_called_broken() {
        let body = r#"{"error":{"code":"too_narrow","message":"It has 2 x 300 pixels."}}"#;
        let failure = Failure::from_body(422, body);
        assert_eq!(failure.heading(), "The picture is too narrow");
        assert_eq!(failure.to_string(), "It has 2 x 300 pixels.");
    }

    #[test]
    fn a_lost_answer_leaves_it_open_whether_the_request_arrived() {
        let body = r#"{"error":{"code":"conflict","message":"Wait."}}"#;
        assert!(Failure::from_body(409, body).may_have_arrived());
        assert!(Failure::Offline.may_have_arrived());
        assert!(!Failure::NoFile.may_have_arrived());
    }

    #[test]
    fn a_photo_that_is_too_large_is_not_called_unreadable() {
        let (width, height) = (9_000, 6_000);
        let failure = Failure::Heic(HeicFailure::TooLarge { width, height });
        assert_eq!(failure.heading(), "Too large");
        assert!(failure.to_string().contains("9000 x 6000"));
        let failure = Failure::Heic(HeicFailure::Damaged);
        assert_eq!(failure.heading(), "This cannot be opened");
        assert!(!failure.is_passing() && !failure.may_have_arrived());
    }

    #[test]
    fn a_defect_of_the_server_names_its_request() {
        let body = r#"{"error":{"code":"internal","message":"It failed.","request_id":"r7"}}"#;
        assert_eq!(Failure::from_body(500, body).to_string(), "It failed. (r7)");
        let body = r#"{"error":{"code":"busy","message":"Wait.","request_id":"r7"}}"#;
        assert_eq!(Failure::from_body(429, body).to_string(), "Wait.");
        assert_eq!(code_name(ErrorCode::TooLarge).as_deref(), Some("too_large"));
    }

    #[test]
    fn other_bodies_are_unreadable() {
        let failure = Failure::from_body(502, "<html>");
        assert_eq!(failure, Failure::Unreadable(502));
        assert!(failure.is_passing() && failure.code().is_none());
    }
}
