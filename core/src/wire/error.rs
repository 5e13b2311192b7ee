use serde::{Deserialize, Serialize};

/// What went wrong, for programs. Each code has one HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// 400: the body is not what the route takes.
    BadRequest,
    /// 403: the request comes from another site.
    CrossOrigin,
    /// 404: no such image, chat, run, sample or route.
    NotFound,
    /// 405: the route does not take this method.
    MethodNotAllowed,
    /// 408: the body did not arrive in time.
    TooSlow,
    /// 409: another answer of this chat is being written.
    Conflict,
    /// 413: the body, the image or the text is over a limit.
    TooLarge,
    /// 415: the bytes are no JPEG, PNG or WebP.
    UnsupportedImage,
    /// 422: the image is broken or could not be decoded.
    BadImage,
    /// 422: the image is so narrow that the model could not see it.
    TooNarrow,
    /// 422: a mask, box or region does not fit.
    BadRegion,
    /// 422: the text is empty where it must not be, or names an unknown region.
    BadText,
    /// 429: the queue is full; `Retry-After` says when to try again.
    Busy,
    /// 500: a defect of ours; the log has the request id.
    Internal,
    /// 503: the model is still loading, or the server is going down.
    Unavailable,
    /// 507: the disk is full.
    StorageFull,
}

impl ErrorCode {
    /// The HTTP status that belongs to the code.
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::CrossOrigin => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::TooSlow => 408,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::UnsupportedImage => 415,
            Self::BadImage | Self::TooNarrow | Self::BadRegion | Self::BadText => 422,
            Self::Busy => 429,
            Self::Internal => 500,
            Self::Unavailable => 503,
            Self::StorageFull => 507,
        }
    }
}

/// The body of every error answer, under the key `error`, and the data of a run's `error` event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApiError {
    /// For programs.
    pub code: ErrorCode,
    /// For people: one sentence that says what to do.
    pub message: String,
    /// The field or parameter that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub param: Option<String>,
    /// The request's id in the server's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}
