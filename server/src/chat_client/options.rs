//! Whom to ask, and how.

use std::{env, net::IpAddr, path::PathBuf, time::Duration};

use http::HeaderValue;
use reqwest::Url;

use super::{ChatError, Retry};

/// Where chat completions are asked for, below the base address.
const COMPLETIONS: &str = "/chat/completions";

/// Whom to ask, and how patiently.
#[derive(Debug, Clone)]
pub struct ChatOptions {
    /// The address, such as `http://127.0.0.1:8000/v1`; `/chat/completions` may stand behind it.
    pub base_url: String,
    /// The model's name, as the endpoint calls it.
    pub model: String,
    /// Proves who asks; none where the endpoint asks for none.
    pub key: Option<ApiKey>,
    /// The folder that answers are kept in; nothing is kept without one.
    pub cache: Option<PathBuf>,
    /// Longest time for one answer.
    pub timeout: Duration,
    /// How often a request is repeated where the endpoint is busy, broken or out of reach.
    pub retries: u32,
    /// Wait before the first repetition; it doubles with each.
    pub first_wait: Duration,
    /// Hears of each repetition before it is waited for.
    pub on_retry: fn(&Retry<'_>),
}

impl ChatOptions {
    /// Options with the usual patience: two minutes for an answer, six repetitions, the first
    /// after a second; no key, no cache, and nobody who hears of repetitions.
    pub fn new(base_url: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            model: model.into(),
            key: None,
            cache: None,
            timeout: Duration::from_secs(120),
            retries: 6,
            first_wait: Duration::from_secs(1),
            on_retry: |_| {},
        }
    }
}

/// A secret that proves who asks. It is never shown, kept or hashed.
#[derive(Debug, Clone)]
pub struct ApiKey(pub(super) HeaderValue);

impl ApiKey {
    /// Takes a key.
    ///
    /// # Errors
    /// Where it holds what no HTTP header may hold.
    pub fn new(key: &str) -> Result<Self, ChatError> {
        let bearer = format!("Bearer {}", key.trim());
        let mut header = HeaderValue::from_str(&bearer).map_err(|_| ChatError::Key)?;
        header.set_sensitive(true);
        Ok(Self(header))
    }

    /// The key in an environment variable; none where the variable is not set or empty.
    ///
    /// # Errors
    /// As [`ApiKey::new`].
    pub fn from_variable(name: &str) -> Result<Option<Self>, ChatError> {
        match env::var(name) {
            Ok(key) if !key.trim().is_empty() => Self::new(&key).map(Some),
            Ok(_) | Err(env::VarError::NotPresent) => Ok(None),
            Err(env::VarError::NotUnicode(_)) => Err(ChatError::Key),
        }
    }
}

/// Where the chat completions of a base address are.
pub(super) fn endpoint_of(base_url: &str) -> Result<Url, ChatError> {
    let wrong = |reason: &str| ChatError::Address {
        address: base_url.to_owned(),
        reason: reason.to_owned(),
    };
    let base = base_url.trim().trim_end_matches('/');
    let base = base.strip_suffix(COMPLETIONS).unwrap_or(base);
    let address = format!("{}{COMPLETIONS}", base.trim_end_matches('/'));
    let url = Url::parse(&address).map_err(|error| wrong(&error.to_string()))?;
    match url.scheme() {
        _ if !url.has_host() => Err(wrong("it names no host")),
        "http" | "https" => Ok(url),
        _ => Err(wrong("it begins neither with http:// nor with https://")),
    }
}

/// A proxy that the environment names is for others.
pub(super) fn is_this_computer(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_below_the_base_address() {
        for base in [
            "http://127.0.0.1:8000/v1",
            " http://127.0.0.1:8000/v1/ ",
            "http://127.0.0.1:8000/v1/chat/completions",
            "http://127.0.0.1:8000/v1//chat/completions/",
        ] {
            let endpoint = endpoint_of(base).unwrap();
            assert_eq!(
                endpoint.as_str(),
                "http://127.0.0.1:8000/v1/chat/completions"
            );
        }
    }

    #[test]
    fn addresses_that_cannot_be_asked_are_refused() {
        for wrong in [
            "",
            "localhost",
            "localhost:80/v1",
            "ftp://localhost/v1",
            "file:///v1",
        ] {
            let error = endpoint_of(wrong).unwrap_err();
            assert!(
                matches!(error, ChatError::Address { .. }),
                "{wrong}: {error}"
            );
        }
    }

    #[test]
    fn other_computers_are_asked_by_https() {
        let endpoint = endpoint_of("https://models.example/v1").unwrap();
        assert_eq!(endpoint.scheme(), "https");
        assert!(!is_this_computer(&endpoint));
    }

    #[test]
    fn this_computer_is_told_from_others() {
        let is_here = |base: &str| is_this_computer(&endpoint_of(base).unwrap());
        for here in [
            "http://localhost/v1",
            "http://127.0.0.1:8000",
            "http://[::1]:8000/v1",
        ] {
            assert!(is_here(here), "{here}");
        }
        assert!(!is_here("http://models.example/v1"));
        assert!(!is_here("http://192.168.0.2/v1"));
    }

    #[test]
    fn keys_are_checked_and_not_shown() {
        assert!(ApiKey::new("two\nlines").is_err());
        let key = ApiKey::new(" sesame\n").unwrap();
        assert_eq!(key.0, "Bearer sesame");
        assert!(!format!("{key:?}").contains("sesame"));
        assert!(ApiKey::from_variable("NO_SUCH_VARIABLE").unwrap().is_none());
    }
}
