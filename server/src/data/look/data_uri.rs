//! Files inside a page, as RFC 2397 has them.

use base64::{Engine, engine::general_purpose::STANDARD};

/// A file as an address that holds all of it.
pub(super) fn data_uri(mime: &str, bytes: &[u8]) -> String {
    let mut uri = format!("data:{mime};base64,");
    STANDARD.encode_string(bytes, &mut uri);
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_follows_the_media_type() {
        assert_eq!(
            data_uri("text/plain", b"fooba"),
            "data:text/plain;base64,Zm9vYmE="
        );
        let all_bits = data_uri("image/png", &[0xFF, 0xEF, 0xBE]);
        assert_eq!(all_bits, "data:image/png;base64,/+++");
    }
}
