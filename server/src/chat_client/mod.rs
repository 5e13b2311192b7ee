//! Asks a language model behind an OpenAI-compatible endpoint, such as one that vLLM serves.
//!
//! Every answer is kept on disk under the hash of what was asked, so that a run that was stopped
//! goes on where it was, and a second one costs nothing. The endpoint's address is no part of
//! that hash: the same model asked elsewhere is the same model.

mod cache;
#[cfg(test)]
pub(crate) mod endpoint;
mod error;
mod options;
mod reply;
mod retry;

use std::{future::Future, time::Duration};

use http::{
    HeaderMap, HeaderValue,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use reqwest::{Client, Url};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::runtime::{Builder, Runtime};

use cache::Cache;
pub use error::ChatError;
pub use options::{ApiKey, ChatOptions};
use options::{endpoint_of, is_this_computer};
pub use reply::ChatAnswer;
use reply::{answer_in, passes, reason_in, wanted_wait};
pub use retry::Retry;

/// Longest reply that is read.
const MAX_REPLY_BYTES: usize = 4 << 20;
/// Longest wait between two tries, whatever the endpoint asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(120);
/// Time to reach the endpoint.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// A model behind an endpoint.
///
/// It owns the threads that wait for the network, so its blocking methods and its end belong
/// outside of asynchronous code. Several threads may ask at once.
#[derive(Debug)]
pub struct ChatClient {
    http: Client,
    endpoint: Url,
    model: String,
    cache: Option<Cache>,
    retries: u32,
    first_wait: Duration,
    on_retry: fn(&Retry<'_>),
    runtime: Runtime,
}

/// Chooses who computes TLS for every HTTP client of the process; building one needs it, whether it
/// speaks https or not. Later calls change nothing.
pub fn prepare_tls() {
    // An error says that somebody has chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

impl ChatClient {
    /// A client; nothing is asked yet.
    ///
    /// # Errors
    /// Where the address is none that can be asked, or the system gives no threads.
    pub fn new(options: ChatOptions) -> Result<Self, ChatError> {
        let endpoint = endpoint_of(&options.base_url)?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(ApiKey(key)) = options.key {
            headers.insert(AUTHORIZATION, key);
        }
        prepare_tls();
        let mut http = Client::builder()
            .default_headers(headers)
            .timeout(options.timeout)
            .connect_timeout(CONNECT_TIMEOUT);
        if is_this_computer(&endpoint) {
            http = http.no_proxy();
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("chat-client")
            .enable_all()
            .build()
            .map_err(|error| ChatError::SetUp(error.to_string()))?;
        Ok(Self {
            http: http
                .build()
                .map_err(|error| ChatError::SetUp(with_causes(&error)))?,
            endpoint,
            model: options.model,
            cache: options.cache.map(|folder| Cache { folder }),
            retries: options.retries,
            first_wait: options.first_wait,
            on_retry: options.on_retry,
            runtime,
        })
    }

    /// The model's name.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Asks at temperature 0 and waits for the text; an empty `system` is left out.
    ///
    /// # Errors
    /// Where there is no answer after all repetitions, or it cannot be kept.
    ///
    /// # Panics
    /// In asynchronous code, which asks by [`ChatClient::ask`].
    pub fn complete(&self, system: &str, user: &str, max_tokens: u32) -> Result<String, ChatError> {
        let answer = self.block_on(self.ask(system, user, max_tokens))?;
        Ok(answer.text)
    }

    /// Waits for what is built from [`ChatClient::ask`].
    ///
    /// # Panics
    /// In asynchronous code.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// As [`ChatClient::complete`], for asynchronous code that [`ChatClient::block_on`] runs.
    ///
    /// # Errors
    /// As [`ChatClient::complete`].
    pub async fn ask(
        &self,
        system: &str,
        user: &str,
        max_tokens: u32,
    ) -> Result<ChatAnswer, ChatError> {
        let request = self.request(system, user, max_tokens);
        let body = request.to_string();
        let hash = Sha256::digest(body.as_bytes());
        let address = format!("{hash:x}");
        if let Some(cache) = &self.cache
            && let Some(answer) = cache.get(&address, &request)?
        {
            return Ok(answer);
        }
        let answer = self.ask_patiently(&body, hash[0]).await?;
        if let Some(cache) = &self.cache {
            cache.put(&address, &request, &answer)?;
        }
        Ok(answer)
    }

    fn request(&self, system: &str, user: &str, max_tokens: u32) -> Value {
        let mut messages = vec![json!({"role": "user", "content": user})];
        if !system.is_empty() {
            messages.insert(0, json!({"role": "system", "content": system}));
        }
        json!({
            "model": self.model,
            "messages": messages,
            "temperature": 0,
            "top_p": 1,
            "max_tokens": max_tokens,
        })
    }

    /// Asks until there is an answer, or a reason why there will be none. `spread` keeps requests
    /// that failed together from coming back together.
    async fn ask_patiently(&self, body: &str, spread: u8) -> Result<ChatAnswer, ChatError> {
        let mut repetition: u32 = 0;
        loop {
            let failure = match self.ask_once(body).await {
                Ok(answer) => return Ok(answer),
                Err(failure) if failure.passes && repetition < self.retries => failure,
                Err(failure) => return Err(failure.error),
            };
            let wait = failure.wait.unwrap_or_else(|| {
                let doubled = self.first_wait.saturating_mul(1 << repetition.min(16));
                doubled
                    .min(LONGEST_WAIT)
                    .mul_f64(0.75 + f64::from(spread) / 512.0)
            });
            let wait = wait.min(LONGEST_WAIT);
            repetition += 1;
            (self.on_retry)(&Retry {
                error: &failure.error,
                number: repetition,
                of: self.retries,
                wait,
            });
            tokio::time::sleep(wait).await;
        }
    }

    async fn ask_once(&self, body: &str) -> Result<ChatAnswer, Failure> {
        let unreachable = |error: reqwest::Error| Failure {
            error: ChatError::Unreachable {
                url: self.endpoint.to_string(),
                reason: with_causes(&error.without_url()),
            },
            passes: true,
            wait: None,
        };
        let post = self.http.post(self.endpoint.clone());
        let sent = post.body(body.to_owned()).send().await;
        let mut response = sent.map_err(unreachable)?;
        let status = response.status();
        let wait = wanted_wait(response.headers());
        let mut reply = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if reply.len() + chunk.len() > MAX_REPLY_BYTES {
                return Err(self.unreadable("the reply does not end".to_owned()));
            }
            reply.extend_from_slice(&chunk);
        }
        if !status.is_success() {
            return Err(Failure {
                error: ChatError::Refused {
                    url: self.endpoint.to_string(),
                    status: status.as_u16(),
                    reason: reason_in(&reply),
                },
                passes: passes(status),
                wait,
            });
        }
        answer_in(&reply).map_err(|reason| self.unreadable(reason))
    }

    fn unreadable(&self, reason: String) -> Failure {
        Failure {
            error: ChatError::Unreadable {
                url: self.endpoint.to_string(),
                reason,
            },
            passes: false,
            wait: None,
        }
    }
}

/// A try that gave no answer.
struct Failure {
    error: ChatError,
    /// Whether the same request may be answered later.
    passes: bool,
    /// How long the endpoint wants to be left alone.
    wait: Option<Duration>,
}

fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use axum::{Json, response::IntoResponse};
    use http::StatusCode;

    use super::{
        endpoint::{Endpoint, completion, user_text},
        *,
    };

    fn options(base_url: &str) -> ChatOptions {
        ChatOptions {
            first_wait: Duration::from_millis(1),
            retries: 3,
            timeout: Duration::from_secs(20),
            ..ChatOptions::new(base_url, "judge")
        }
    }

    fn client(base_url: &str) -> ChatClient {
        ChatClient::new(options(base_url)).unwrap()
    }

    #[test]
    fn a_request_says_everything_that_the_answer_depends_on() {
        let endpoint = Endpoint::start(|_, headers, request| {
            assert_eq!(headers["authorization"], "Bearer sesame");
            assert_eq!(
                *request,
                json!({
                    "model": "judge",
                    "messages": [
                        {"role": "system", "content": "Be brief."},
                        {"role": "user", "content": "Yes or no?"},
                    ],
                    "temperature": 0,
                    "top_p": 1,
                    "max_tokens": 300,
                })
            );
            completion("Yes")
        });
        let client = ChatClient::new(ChatOptions {
            key: Some(ApiKey::new("sesame\n").unwrap()),
            ..options(&format!("{}/", endpoint.base_url))
        })
        .unwrap();
        assert_eq!(
            client.complete("Be brief.", "Yes or no?", 300).unwrap(),
            "Yes"
        );
        assert!(!format!("{client:?}").contains("sesame"));
    }

    #[test]
    fn without_a_key_and_a_system_text_neither_is_sent() {
        let endpoint = Endpoint::start(|_, headers, request| {
            assert!(!headers.contains_key("authorization"));
            assert_eq!(request["messages"].as_array().unwrap().len(), 1);
            completion("No")
        });
        let client = client(&endpoint.base_url);
        assert_eq!(client.complete("", "Yes or no?", 3).unwrap(), "No");
    }

    #[test]
    fn a_busy_endpoint_is_asked_again() {
        let endpoint = Endpoint::start(|before, _, _| match before {
            0 => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "0")]).into_response(),
            1 => StatusCode::BAD_GATEWAY.into_response(),
            _ => completion("at last"),
        });
        static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());
        let client = ChatClient::new(ChatOptions {
            on_retry: |retry| HEARD.lock().unwrap().push(retry.to_string()),
            ..options(&endpoint.base_url)
        })
        .unwrap();
        assert_eq!(client.complete("", "?", 3).unwrap(), "at last");
        assert_eq!(endpoint.asked(), 3);
        let heard = HEARD.lock().unwrap();
        let [busy, broken] = &heard[..] else {
            panic!("{heard:?}");
        };
        assert!(
            busy.contains("answers 429: ") && busy.contains("1 of 3"),
            "{busy}"
        );
        assert!(
            broken.contains("answers 502: ") && broken.contains("2 of 3"),
            "{broken}"
        );
    }

    #[test]
    fn patience_ends() {
        let endpoint = Endpoint::start(|_, _, _| StatusCode::SERVICE_UNAVAILABLE.into_response());
        let error = client(&endpoint.base_url).complete("", "?", 3).unwrap_err();
        assert!(
            matches!(error, ChatError::Refused { status: 503, .. }),
            "{error}"
        );
        assert!(!error.concerns_one_request());
        assert_eq!(endpoint.asked(), 4);

        let nobody = "http://127.0.0.1:9/v1";
        let error = client(nobody).complete("", "?", 3).unwrap_err();
        assert!(matches!(error, ChatError::Unreachable { .. }), "{error}");
    }

    #[test]
    fn a_refusal_is_repeated_once_and_not_asked_again() {
        let endpoint = Endpoint::start(|_, _, request| {
            let (status, message) = match user_text(request) {
                "long" => (StatusCode::BAD_REQUEST, "the context is 8192 tokens"),
                _ => (StatusCode::UNAUTHORIZED, "no such key"),
            };
            (status, Json(json!({"error": {"message": message}}))).into_response()
        });
        let client = client(&endpoint.base_url);
        let error = client.complete("", "long", 3).unwrap_err();
        assert!(error.concerns_one_request());
        let text = error.to_string();
        assert!(
            text.ends_with("answers 400: the context is 8192 tokens"),
            "{text}"
        );
        let error = client.complete("", "short", 3).unwrap_err();
        assert!(!error.concerns_one_request(), "{error}");
        assert_eq!(endpoint.asked(), 2);
    }

    #[test]
    fn an_answer_is_asked_for_once() {
        let folder = tempfile::tempdir().unwrap();
        let cached = |base_url: &str, model: &str| {
            let model = model.to_owned();
            let cache = Some(folder.path().to_owned());
            ChatClient::new(ChatOptions {
                model,
                cache,
                ..options(base_url)
            })
            .unwrap()
        };
        let endpoint = Endpoint::start(|before, _, _| completion(&format!("answer {before}")));
        let client = cached(&endpoint.base_url, "judge");
        assert_eq!(client.complete("s", "first", 9).unwrap(), "answer 0");
        assert_eq!(client.complete("s", "second", 9).unwrap(), "answer 1");
        assert_eq!(client.complete("s", "first", 9).unwrap(), "answer 0");
        assert_eq!(client.complete("s", "first", 8).unwrap(), "answer 2");
        assert_eq!(client.complete("t", "first", 9).unwrap(), "answer 3");
        let other = cached(&endpoint.base_url, "other");
        assert_eq!(other.complete("s", "first", 9).unwrap(), "answer 4");

        let nobody = cached("http://127.0.0.1:9/v1", "judge");
        assert_eq!(nobody.complete("s", "second", 9).unwrap(), "answer 1");
    }
}
