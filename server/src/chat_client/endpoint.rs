//! A chat endpoint inside a test.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Json, Router,
    http::HeaderMap,
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Runtime};

/// Answers on a port of its own until it is dropped.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) base_url: String,
    asked: Arc<AtomicUsize>,
    _runtime: Runtime,
}

impl Endpoint {
    /// `answer` gets how many requests came before, the headers and the request.
    pub(crate) fn start<F>(answer: F) -> Self
    where
        F: Fn(usize, &HeaderMap, &Value) -> Response + Send + Sync + 'static,
    {
        let runtime = Runtime::new().unwrap();
        let listener = runtime
            .block_on(TcpListener::bind(("127.0.0.1", 0)))
            .unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let (counter, answer) = (Arc::clone(&asked), Arc::new(answer));
        let reply = move |headers: HeaderMap, Json(request): Json<Value>| {
            let before = counter.fetch_add(1, Ordering::SeqCst);
            let response = answer(before, &headers, &request);
            async move { response }
        };
        let app = Router::new().route("/v1/chat/completions", post(reply));
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self {
            base_url,
            asked,
            _runtime: runtime,
        }
    }

    /// How many requests have come.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// A chat completion with that text.
pub(crate) fn completion(text: &str) -> Response {
    let message = json!({"role": "assistant", "content": text});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
    Json(json!({"id": "1", "object": "chat.completion", "choices": [choice]})).into_response()
}

/// The text of a request's last message.
pub(crate) fn user_text(request: &Value) -> &str {
    let messages = request["messages"].as_array().unwrap();
    messages.last().unwrap()["content"].as_str().unwrap()
}
