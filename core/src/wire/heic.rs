use serde::{Deserialize, Serialize};

/// Why the worker that makes JPEG of HEIC photos has none to give.
///
/// The page sends it the bytes of a file, an `ArrayBuffer`. It answers once: with a `Blob`, the
/// photo as JPEG, upright and in sRGB, or with this as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "failure", rename_all = "snake_case")]
pub enum HeicFailure {
    /// The file contradicts itself, or ends too early.
    Damaged,
    /// The file holds something else than a still HEVC picture, or its colours cannot be made those
    /// of sRGB.
    Unsupported,
    /// The picture has more pixels than the server takes.
    TooLarge {
        /// Its width in pixels, before it is turned.
        width: u32,
        /// Its height in pixels, before it is turned.
        height: u32,
    },
    /// The worker did not load, ran out of memory, could not encode, or broke down.
    Worker,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workers_script_can_say_it_without_the_module() {
        let said: HeicFailure =
            serde_json::from_str(r#"{"failure":"worker"}"#).expect("it is read");
        assert_eq!(said, HeicFailure::Worker);
        let large = HeicFailure::TooLarge {
            width: 20_000,
            height: 30,
        };
        let text = serde_json::to_string(&large).expect("it is written");
        assert_eq!(text, r#"{"failure":"too_large","width":20000,"height":30}"#);
        assert_eq!(serde_json::from_str::<HeicFailure>(&text).ok(), Some(large));
    }
}
