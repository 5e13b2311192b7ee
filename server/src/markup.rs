//! Text inside HTML and SVG.

use std::fmt::Display;

/// A text as it stands, whatever characters are in it: neither a tag nor the end of an attribute.
///
/// XML has no place for most control characters, not even escaped, so they become U+FFFD.
pub(crate) fn escaped(text: impl Display) -> String {
    let text = text.to_string();
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\t' | '\n' | '\r' => escaped.push(character),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_tags_nor_quotes_nor_control_characters_come_through() {
        assert_eq!(
            escaped("<a href=\"x\">Tom's & \u{0}\u{1b}\n</a>"),
            "&lt;a href=&quot;x&quot;&gt;Tom&#39;s &amp; \u{fffd}\u{fffd}\n&lt;/a&gt;"
        );
        assert_eq!(escaped(1.5), "1.5");
    }
}
