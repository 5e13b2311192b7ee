use std::{error::Error, time::Duration};

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use fclm_core::wire::{ApiError, ErrorCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    engine::{BackendError, EngineError},
    store::StoreError,
};

use super::request_id;

/// Every error answer's body.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ApiError,
}

/// Why a request gets no answer. Each variant has one code, and each code one status.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The body or a parameter is not what the route takes.
    #[error("{0}")]
    BadRequest(String),
    /// The request comes from another site, or for another host.
    #[error("{0}")]
    CrossOrigin(&'static str),
    /// There is no such thing.
    #[error("There is no such {0}; it may have been deleted.")]
    NotFound(&'static str),
    /// The route does not take this method.
    #[error("This address does not take that method; /api/openapi.json lists what it takes.")]
    MethodNotAllowed,
    /// The body did not arrive in time.
    #[error("The body took more than {} seconds to arrive; send it again.", .0.as_secs())]
    TooSlow(Duration),
    /// The body stopped arriving.
    #[error("Nothing of the body arrived for {} seconds; send it again.", .0.as_secs())]
    Stalled(Duration),
    /// Another answer of the chat is being written.
    #[error("An answer in this chat is still being written; wait for it or stop it first.")]
    Conflict,
    /// Something is over a limit.
    #[error("{message}")]
    TooLarge {
        /// What is over which limit.
        message: String,
        /// The field it is about.
        param: Option<&'static str>,
    },
    /// The bytes are no picture that is taken.
    #[error("This is not a picture that can be opened; send a JPEG, PNG or WebP.")]
    UnsupportedImage,
    /// The picture is broken.
    #[error("{0}")]
    BadImage(String),
    /// One side of the picture is so much longer than the other that the model could not see it.
    #[error(
        "The picture has {width} x {height} pixels; its longer side may be up to {most} times the \
         shorter one."
    )]
    TooNarrow {
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
        /// The longer side over the shorter one at most.
        most: u32,
    },
    /// A mask, box or region does not fit.
    #[error("{message}")]
    BadRegion {
        /// What does not fit.
        message: String,
        /// The field it is about.
        param: String,
    },
    /// The text is empty where it must not be, or a question names an unknown region.
    #[error("{message}")]
    BadText {
        /// What does not fit.
        message: String,
        /// The field it is about.
        param: &'static str,
    },
    /// As much waits as may.
    #[error("The queue is full; try again in {}.", in_words(*retry_after))]
    Busy {
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// Not now.
    #[error("{0}")]
    Unavailable(&'static str),
    /// The disk is full.
    #[error("The server's disk is full; delete some chats, or make room, and try again.")]
    StorageFull,
    /// A defect of ours.
    #[error("Something went wrong in the server; its log says what, under this request's id.")]
    Internal(#[source] Box<dyn Error + Send + Sync>),
}

impl AppError {
    /// Code and parameter: the one place that says what each error is for programs.
    fn parts(&self) -> (ErrorCode, Option<&str>) {
        match self {
            Self::BadRequest(_) => (ErrorCode::BadRequest, None),
            Self::CrossOrigin(_) => (ErrorCode::CrossOrigin, None),
            Self::NotFound(_) => (ErrorCode::NotFound, None),
            Self::MethodNotAllowed => (ErrorCode::MethodNotAllowed, None),
            Self::TooSlow(_) | Self::Stalled(_) => (ErrorCode::TooSlow, None),
            Self::Conflict => (ErrorCode::Conflict, None),
            Self::TooLarge { param, .. } => (ErrorCode::TooLarge, *param),
            Self::UnsupportedImage => (ErrorCode::UnsupportedImage, None),
            Self::BadImage(_) => (ErrorCode::BadImage, None),
            Self::TooNarrow { .. } => (ErrorCode::TooNarrow, None),
            Self::BadRegion { param, .. } => (ErrorCode::BadRegion, Some(param)),
            Self::BadText { param, .. } => (ErrorCode::BadText, Some(param)),
            Self::Busy { .. } => (ErrorCode::Busy, None),
            Self::Unavailable(_) => (ErrorCode::Unavailable, None),
            Self::StorageFull => (ErrorCode::StorageFull, None),
            Self::Internal(_) => (ErrorCode::Internal, None),
        }
    }

    /// What the client is told.
    pub(super) fn to_wire(&self) -> ApiError {
        let (code, param) = self.parts();
        ApiError {
            code,
            message: self.to_string(),
            param: param.map(str::to_owned),
            request_id: request_id(),
        }
    }
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        if let Self::Internal(why) = &self {
            tracing::error!(error = %why, "a request failed");
        }
        let (code, _) = self.parts();
        let status =
            StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (
            status,
            Json(ErrorBody {
                error: self.to_wire(),
            }),
        )
            .into_response();
        let headers = response.headers_mut();
        match self {
            Self::Busy { retry_after } => {
                let seconds = HeaderValue::from(seconds(retry_after));
                headers.insert(header::RETRY_AFTER, seconds);
            }
            // What is still to come of the body would be read as the next request.
            Self::TooSlow(_) | Self::Stalled(_) => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

/// Whole seconds, at least one and at most a minute.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs().clamp(1, 60)
}

fn in_words(duration: Duration) -> String {
    match seconds(duration) {
        1 => "a second".to_owned(),
        more => format!("{more} seconds"),
    }
}

impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Missing(what) => Self::NotFound(what),
            StoreError::Full => Self::StorageFull,
            other => Self::Internal(Box::new(other)),
        }
    }
}

impl From<EngineError> for AppError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Full { retry_after } => Self::Busy { retry_after },
            EngineError::Loading => {
                Self::Unavailable("The model is still loading; try again in a moment.")
            }
            EngineError::Closing => Self::Unavailable("The server is going down."),
            EngineError::Backend(BackendError::Refused {
                code: ErrorCode::BadRegion,
                message,
            }) => Self::BadRegion {
                message,
                param: "box".to_owned(),
            },
            EngineError::Backend(BackendError::Refused { message, .. }) => Self::BadImage(message),
            EngineError::Backend(BackendError::Failed(why)) => Self::Internal(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_tells_the_time_in_words() {
        let told = [0, 1, 2, 90].map(|seconds| {
            let retry_after = Duration::from_secs(seconds);
            AppError::Busy { retry_after }.to_string()
        });
        assert_eq!(
            told,
            ["a second", "a second", "2 seconds", "60 seconds"]
                .map(|time| format!("The queue is full; try again in {time}."))
        );
    }
}
