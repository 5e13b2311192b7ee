use std::time::Duration;

use axum::{
    body::Body as HttpBody,
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::{HeaderMap, header, request::Parts},
};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::AppError;

/// Most bytes of a JSON body: a full chat of detailed masks fits several times.
const JSON_BYTES: usize = 8 << 20;
/// Most bytes that are read and thrown away, so that a client that sends too much hears why
/// instead of losing its connection.
const DISCARDED_BYTES: usize = 512 << 20;
/// Most time for a body to arrive.
const ARRIVAL: Duration = Duration::from_secs(60);
/// Most time in which nothing of a body arrives. Short, because an upload that stalls holds one
/// of a few places for so long.
const STALL: Duration = Duration::from_secs(10);

/// A JSON body.
#[derive(Debug)]
pub(super) struct JsonBody<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = AppError;

    async fn from_request(request: Request, _: &S) -> Result<Self, AppError> {
        let (parts, body) = request.into_parts();
        let is_json = parts
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"));
        let gathering = Gathering::new("body", JSON_BYTES);
        let bytes = read_body(&parts.headers, body, gathering).await?;
        if !is_json {
            let message = "The body must be JSON, with the content type application/json.";
            return Err(AppError::BadRequest(message.to_owned()));
        }
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            AppError::BadRequest(format!("The body is not what this address takes: {error}."))
        })
    }
}

/// The id in the path. What is no text is no id either.
#[derive(Debug)]
pub(super) struct Id(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AppError> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(id)| Self(id))
            .map_err(|_| AppError::NotFound("address"))
    }
}

/// Reads a whole body.
pub(super) async fn read_body(
    headers: &HeaderMap,
    body: HttpBody,
    mut gathering: Gathering,
) -> Result<Bytes, AppError> {
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<usize>().ok())
        .unwrap_or(0);
    // A client that asks before it sends need not send in vain.
    let asks = headers.contains_key(header::EXPECT);
    if declared > gathering.limit && (asks || declared > DISCARDED_BYTES) {
        return Err(gathering.too_large());
    }
    let mut stream = body.into_data_stream();
    let read = async {
        while let Some(chunk) = next_part(stream.next()).await? {
            let chunk = chunk.map_err(|error| {
                AppError::BadRequest(format!("The body did not arrive whole: {error}."))
            })?;
            gathering.push(&chunk)?;
        }
        Ok(())
    };
    in_time(read).await?;
    gathering.finish()
}

/// Reads a body and throws it away, so that a client that is turned away hears why instead of
/// losing its connection.
pub(super) async fn discard(headers: &HeaderMap, body: HttpBody) {
    // The client is refused anyway, whatever becomes of its body.
    let _ = read_body(headers, body, Gathering::new("body", 0)).await;
}

/// Waits for what is to arrive, but not for ever.
pub(super) async fn in_time<T>(
    arriving: impl Future<Output = Result<T, AppError>>,
) -> Result<T, AppError> {
    within(ARRIVAL, AppError::TooSlow, arriving).await?
}

/// Waits for the next part of a body, but not for one that has stalled.
pub(super) async fn next_part<F: Future>(part: F) -> Result<F::Output, AppError> {
    within(STALL, AppError::Stalled, part).await
}

async fn within<F: Future>(
    limit: Duration,
    late: fn(Duration) -> AppError,
    arriving: F,
) -> Result<F::Output, AppError> {
    timeout(limit, arriving).await.map_err(|_| late(limit))
}

/// A number of bytes as people read it.
fn readable_size(bytes: usize) -> String {
    match bytes >> 20 {
        0 => format!("{bytes} bytes"),
        mebibytes => format!("{mebibytes} MiB"),
    }
}

/// Gathers chunks up to a limit; what comes after it is thrown away.
pub(super) struct Gathering {
    what: &'static str,
    bytes: BytesMut,
    limit: usize,
    seen: usize,
}

impl Gathering {
    /// `what` is what people call it.
    pub(super) fn new(what: &'static str, limit: usize) -> Self {
        Self {
            what,
            bytes: BytesMut::new(),
            limit,
            seen: 0,
        }
    }

    /// Takes a chunk; an error means that it is not worth reading on.
    pub(super) fn push(&mut self, chunk: &[u8]) -> Result<(), AppError> {
        self.seen = self.seen.saturating_add(chunk.len());
        if self.seen > DISCARDED_BYTES {
            return Err(self.too_large());
        }
        if self.seen > self.limit {
            self.bytes = BytesMut::new();
        } else {
            self.bytes.extend_from_slice(chunk);
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Bytes, AppError> {
        match self.seen > self.limit {
            true => Err(self.too_large()),
            false => Ok(self.bytes.freeze()),
        }
    }

    fn too_large(&self) -> AppError {
        let (what, limit) = (self.what, readable_size(self.limit));
        AppError::TooLarge {
            message: format!("The {what} is larger than {limit}; send a smaller one."),
            param: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_over_the_limit_is_read_but_not_kept() {
        let chunks = (0..100).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![0; 1024])));
        let body = HttpBody::from_stream(futures::stream::iter(chunks));
        let small = Gathering::new("list", 700);
        let read = read_body(&HeaderMap::new(), body, small).await;
        let Err(AppError::TooLarge { message, .. }) = read else {
            panic!("{read:?} is taken");
        };
        assert_eq!(
            message,
            "The list is larger than 700 bytes; send a smaller one."
        );
        let fits = Gathering::new("word", 3);
        let read = read_body(&HeaderMap::new(), HttpBody::from("abc"), fits).await;
        assert_eq!(read.expect("it fits"), "abc");
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_too_slow() {
        let read = within(
            Duration::from_millis(5),
            AppError::TooSlow,
            std::future::pending::<()>(),
        );
        assert!(matches!(read.await, Err(AppError::TooSlow(_))));
    }

    #[test]
    fn sizes_are_read_by_people() {
        assert_eq!(readable_size(32 << 20), "32 MiB");
        assert_eq!(readable_size(700), "700 bytes");
    }
}
