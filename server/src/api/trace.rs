use std::{any::Any, time::Instant};

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderName, HeaderValue},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tracing::Instrument;

use super::AppError;
use crate::store::new_id;

const REQUEST_ID_HEADER: HeaderName = HeaderName::from_static("x-request-id");

tokio::task_local! {
    static REQUEST_ID: String;
}

/// The id of the request that is being answered on this task.
pub(super) fn request_id() -> Option<String> {
    REQUEST_ID.try_with(Clone::clone).ok()
}

/// Work of the request that outlives it, on a task of its own: its errors and its lines in the
/// log go on naming the request.
pub(super) fn of_request<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let id = request_id();
    let named = async move {
        match id {
            Some(id) => REQUEST_ID.scope(id, work).await,
            None => work.await,
        }
    };
    named.in_current_span()
}

/// Gives the request an id and logs what became of it. The log names route patterns, never paths:
/// the ids in paths are what protects chats.
pub(super) async fn trace(request: Request, next: Next) -> Response {
    let id = new_id();
    let method = request.method().clone();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    let route = route.unwrap_or_else(|| "other".to_owned());
    let span = tracing::info_span!("request", id, %method, route);
    let started = Instant::now();
    let answered = REQUEST_ID.scope(id.clone(), next.run(request));
    let mut response = answered.instrument(span.clone()).await;
    let status = response.status().as_u16();
    // JSON has no numbers of 128 bits, so the log would hold a string.
    let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    span.in_scope(|| tracing::info!(status, ms, "answered"));
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID_HEADER, id);
    }
    response
}

/// What a handler's panic is answered with.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the layer that catches panics hands them over"
)]
pub(super) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    AppError::Internal(format!("panic: {text}").into()).into_response()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};

    use axum::{Router, body::Body, http, middleware, routing::get};
    use serde_json::Value;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn the_log_holds_status_and_milliseconds_as_numbers() {
        let mut log = tempfile::tempfile().expect("a file");
        let lines = tracing_subscriber::fmt()
            .json()
            .with_writer(log.try_clone().expect("a second handle"))
            .finish();
        let logging = tracing::subscriber::set_default(lines);
        let routes = Router::new()
            .route("/", get(async || "hello"))
            .layer(middleware::from_fn(trace));
        let request = http::Request::get("/").body(Body::empty());
        let answer = routes.oneshot(request.expect("a request")).await;
        assert_eq!(answer.expect("an answer").status().as_u16(), 200);
        drop(logging);
        let mut text = String::new();
        log.rewind().expect("a file can be read again");
        log.read_to_string(&mut text).expect("it is text");
        let line = text.lines().find(|line| line.contains("answered"));
        let line: Value = serde_json::from_str(line.expect("a line")).expect("it is JSON");
        let fields = &line["fields"];
        assert!(
            fields["status"].is_u64() && fields["ms"].is_u64(),
            "{fields}"
        );
    }

    #[tokio::test]
    async fn work_on_another_task_still_names_its_request() {
        let task = REQUEST_ID
            .scope("r".to_owned(), async {
                let own = of_request(async { request_id() });
                tokio::spawn(own).await
            })
            .await;
        assert_eq!(task.expect("it ends").as_deref(), Some("r"));
        assert_eq!(of_request(async { request_id() }).await, None);
    }
}
