//! How a text names regions: `@k`, the 1-based place of a region in its chat's list.
//!
//! The server decides by this parser what a question is about, and the page shows by it what it
//! is about, so that the two never differ.
//!
//! ```
//! use fclm_core::wire::mention::{Piece, mentions, pieces};
//!
//! assert_eq!(mentions("Is @2 left of @1? Write to me@5.org."), [2, 1]);
//! assert_eq!(
//!     pieces("What is @1?"),
//!     [
//!         Piece::Text("What is ".to_owned()),
//!         Piece::Mention(1),
//!         Piece::Text("?".to_owned()),
//!     ],
//! );
//! ```

/// A piece of a text in which regions are named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Plain text.
    Text(String),
    /// `@k`, with its k.
    Mention(usize),
}

/// Splits a text at its `@k`. An `@` within a word, before no number, or before a number that a
/// word goes on from is plain text: an address names no region.
pub fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut done = 0;
    for (at, _) in text.match_indices('@') {
        let (before, after) = (&text[done..at], &text[at + 1..]);
        let Some((number, digits)) = mention(before, after) else {
            continue;
        };
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_owned()));
        }
        pieces.push(Piece::Mention(number));
        done = at + 1 + digits;
    }
    if done < text.len() {
        pieces.push(Piece::Text(text[done..].to_owned()));
    }
    pieces
}

/// The numbers that a text names, each once, in order of appearance.
pub fn mentions(text: &str) -> Vec<usize> {
    let mut numbers = Vec::new();
    for piece in pieces(text) {
        if let Piece::Mention(number) = piece
            && !numbers.contains(&number)
        {
            numbers.push(number);
        }
    }
    numbers
}

/// Whether a character next to `@k` makes it a part of a word.
pub fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The number of the `@` between two texts and the count of its digits, if it names a region.
/// `before` goes back to the last mention, behind which another may follow at once.
fn mention(before: &str, after: &str) -> Option<(usize, usize)> {
    let digits = after.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = after.split_at(digits);
    if before.ends_with(is_word) || rest.starts_with(is_word) {
        return None;
    }
    // The same range on every machine, so that browser and server agree on long numbers too.
    match number.parse::<u32>() {
        Ok(0) | Err(_) => None,
        Ok(number) => Some((number as usize, digits)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Piece {
        Piece::Text(text.to_owned())
    }

    #[test]
    fn mentions_are_cut_out() {
        assert_eq!(
            pieces("is @1 left of @12?"),
            [
                text("is "),
                Piece::Mention(1),
                text(" left of "),
                Piece::Mention(12),
                text("?"),
            ]
        );
        assert_eq!(pieces("@@2"), [text("@"), Piece::Mention(2)]);
        assert_eq!(pieces("@1@2"), [Piece::Mention(1), Piece::Mention(2)]);
        assert_eq!(pieces("(@3)."), [text("("), Piece::Mention(3), text(").")]);
        assert_eq!(
            pieces("é @1’s"),
            [text("é "), Piece::Mention(1), text("’s")]
        );
        assert!(pieces("").is_empty());
    }

    #[test]
    fn addresses_and_other_signs_are_plain_text() {
        for plain in [
            "me@1.org",
            "me_@1",
            "é@1",
            "@",
            "@x",
            "@0",
            "@1a",
            "@1_",
            "@ 1",
            "@99999999999999999999999",
        ] {
            assert_eq!(pieces(plain), [text(plain)], "{plain}");
        }
        assert_eq!(
            pieces("me@1.org or @1"),
            [text("me@1.org or "), Piece::Mention(1)]
        );
    }

    #[test]
    fn each_number_counts_once() {
        assert_eq!(mentions("@2 and @1 and @2"), [2, 1]);
        assert!(mentions("none").is_empty());
    }
}
