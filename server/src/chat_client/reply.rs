//! What an endpoint sends back.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header::RETRY_AFTER};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How much of a refusal is repeated.
const REASON_CHARACTERS: usize = 240;

/// What the model answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatAnswer {
    /// The text.
    pub text: String,
    /// Whether the model came to its own end, instead of being cut off at the number of tokens
    /// that it was allowed.
    pub whole: bool,
}

/// Whether the same request may be answered later.
pub(super) fn passes(status: StatusCode) -> bool {
    status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
}

/// `Retry-After` in seconds; a date is left to the usual waiting.
pub(super) fn wanted_wait(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

/// What an endpoint says in a refusal.
pub(super) fn reason_in(reply: &[u8]) -> String {
    let value: Option<Value> = serde_json::from_slice(reply).ok();
    let message = value.as_ref().and_then(|value| {
        let places = ["/error/message", "/message", "/detail", "/error"];
        places
            .iter()
            .find_map(|place| value.pointer(place)?.as_str())
    });
    let text = String::from_utf8_lossy(reply);
    let reason = message.unwrap_or(&text).trim();
    match reason.char_indices().nth(REASON_CHARACTERS) {
        Some((end, _)) => format!("{}...", &reason[..end]),
        None if reason.is_empty() => "no reason is given".to_owned(),
        None => reason.to_owned(),
    }
}

/// The answer in a chat completion, or what is wrong with it.
pub(super) fn answer_in(reply: &[u8]) -> Result<ChatAnswer, String> {
    #[derive(Deserialize)]
    struct Completion {
        choices: Vec<Choice>,
    }
    #[derive(Deserialize)]
    struct Choice {
        message: Message,
        finish_reason: Option<String>,
    }
    #[derive(Deserialize)]
    struct Message {
        content: Option<String>,
    }
    let completion: Completion =
        serde_json::from_slice(reply).map_err(|error| error.to_string())?;
    let Some(choice) = completion.choices.into_iter().next() else {
        return Err("it has no choice".to_owned());
    };
    let Some(text) = choice.message.content else {
        return Err("the message has no content".to_owned());
    };
    Ok(ChatAnswer {
        text,
        whole: choice.finish_reason.as_deref() != Some("length"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_completion_is_named() {
        for (reply, expected) in [
            ("hello", "line 1 column 1"),
            (r#"{"choices": []}"#, "no choice"),
            (
                r#"{"choices": [{"message": {"content": null}}]}"#,
                "no content",
            ),
        ] {
            let reason = answer_in(reply.as_bytes()).unwrap_err();
            assert!(reason.contains(expected), "{reason}");
        }
    }

    #[test]
    fn an_answer_that_was_cut_off_is_marked() {
        let answer = |reason: &str| {
            let choice =
                format!(r#"{{"message": {{"content": "so"}}, "finish_reason": {reason}}}"#);
            answer_in(format!(r#"{{"choices": [{choice}]}}"#).as_bytes()).unwrap()
        };
        let text = "so".to_owned();
        assert_eq!(answer("\"length\""), ChatAnswer { text, whole: false });
        assert!(answer("\"stop\"").whole);
        assert!(answer("null").whole);
    }

    #[test]
    fn reasons_are_found_and_kept_short() {
        let reason = |reply: &str| reason_in(reply.as_bytes());
        assert_eq!(
            reason(r#"{"error": {"message": "no such key"}}"#),
            "no such key"
        );
        assert_eq!(
            reason(r#"{"object": "error", "message": "too long"}"#),
            "too long"
        );
        assert_eq!(reason(r#"{"error": "model not found"}"#), "model not found");
        assert_eq!(reason("Bad Gateway\n"), "Bad Gateway");
        assert_eq!(reason(""), "no reason is given");
        assert_eq!(reason(&"x".repeat(1000)).len(), REASON_CHARACTERS + 3);
    }

    #[test]
    fn waits_are_read_in_seconds() {
        let wait = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, http::HeaderValue::from_static(value));
            wanted_wait(&headers)
        };
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("Fri, 31 Dec 1999 23:59:59 GMT"), None);
        assert_eq!(wanted_wait(&HeaderMap::new()), None);
    }
}
