//! What is told of a request that is repeated.

use std::{fmt, time::Duration};

use super::ChatError;

/// A request that failed and will be sent again.
#[derive(Debug, Clone, Copy)]
pub struct Retry<'a> {
    /// Why it failed.
    pub error: &'a ChatError,
    /// The number of the repetition, from 1.
    pub number: u32,
    /// How many repetitions there may be.
    pub of: u32,
    /// How long is waited before.
    pub wait: Duration,
}

impl fmt::Display for Retry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            error,
            number,
            of,
            wait,
        } = self;
        let seconds = wait.as_secs_f64();
        write!(
            f,
            "{error}; repetition {number} of {of} follows in {seconds:.1} s"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repetition_is_told_with_its_reason_and_its_time() {
        let error = ChatError::Refused {
            url: "http://127.0.0.1:8000/v1/chat/completions".to_owned(),
            status: 503,
            reason: "still loading".to_owned(),
        };
        let retry = Retry {
            error: &error,
            number: 2,
            of: 6,
            wait: Duration::from_millis(1900),
        };
        assert_eq!(
            retry.to_string(),
            "http://127.0.0.1:8000/v1/chat/completions answers 503: still loading; repetition 2 of \
             6 follows in 1.9 s"
        );
    }
}
