//! Texts with `@k` and answers with phrases that carry masks, taken apart for display.

/// A piece of a text in which regions are named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Plain text.
    Text(String),
    /// `@k`, with its k.
    Mention(usize),
}

/// Splits a text at its `@k`. An `@` within a word, or before no number, is plain text.
pub fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('@') {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let in_word = before
            .chars()
            .next_back()
            .or(plain.chars().next_back())
            .is_some_and(char::is_alphanumeric);
        let runs_on = after[digits..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
        plain.push_str(before);
        match after[..digits].parse::<usize>() {
            Ok(number) if number > 0 && !in_word && !runs_on => {
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(Piece::Mention(number));
                rest = &after[digits..];
            }
            _ => {
                plain.push('@');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
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

/// The text after region `removed` is gone: its own mentions go, later ones move up by one.
pub fn without_region(text: &str, removed: usize) -> String {
    let mut out = String::new();
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => {
                // A mention that went leaves two spaces behind; one is enough.
                let double = out.ends_with(' ') && text.starts_with(' ');
                out.push_str(if double { &text[1..] } else { &text });
            }
            Piece::Mention(number) if number == removed => {}
            Piece::Mention(number) => {
                let number = if number > removed { number - 1 } else { number };
                out.push_str(&format!("@{number}"));
            }
        }
    }
    out
}

/// The text with `@k` put in at a byte position, with spaces around it where they are needed, and
/// the position after it.
pub fn with_mention(text: &str, position: usize, number: usize) -> (String, usize) {
    let position = (0..=position.min(text.len()))
        .rev()
        .find(|&p| text.is_char_boundary(p));
    let (before, after) = text.split_at(position.unwrap_or(0));
    let lead = if before.is_empty() || before.ends_with(char::is_whitespace) {
        ""
    } else {
        " "
    };
    let tail = if after.starts_with(|c: char| !c.is_alphanumeric()) {
        ""
    } else {
        " "
    };
    let head = format!("{before}{lead}@{number}{tail}");
    (format!("{head}{after}"), head.len())
}

/// A piece of an answer, and which of its masks the piece belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The text.
    pub text: String,
    /// Index of the mask, for a phrase.
    pub found: Option<usize>,
}

/// Splits an answer at the spans of its phrases, given in code points. Spans that are empty, lie
/// outside the text or overlap an earlier one are left plain.
pub fn segments(text: &str, spans: &[(u32, u32)]) -> Vec<Segment> {
    let mut order: Vec<usize> = (0..spans.len()).collect();
    order.sort_by_key(|&index| spans[index].0);
    let bytes: Vec<usize> = text
        .char_indices()
        .map(|(at, _)| at)
        .chain([text.len()])
        .collect();
    let mut out = Vec::new();
    let mut done = 0;
    for index in order {
        let (start, end) = (spans[index].0 as usize, spans[index].1 as usize);
        let (Some(&from), Some(&to)) = (bytes.get(start), bytes.get(end)) else {
            continue;
        };
        if from >= to || from < done {
            continue;
        }
        if from > done {
            out.push(Segment {
                text: text[done..from].to_owned(),
                found: None,
            });
        }
        out.push(Segment {
            text: text[from..to].to_owned(),
            found: Some(index),
        });
        done = to;
    }
    if done < text.len() {
        out.push(Segment {
            text: text[done..].to_owned(),
            found: None,
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Piece {
        Piece::Text(text.to_owned())
    }

    #[test]
    fn mentions_are_found_and_addresses_are_not() {
        assert_eq!(
            pieces("is @1 left of @12?"),
            [
                text("is "),
                Piece::Mention(1),
                text(" left of "),
                Piece::Mention(12),
                text("?")
            ]
        );
        for plain in [
            "me@1.org",
            "@",
            "@x",
            "@0",
            "@1a",
            "@99999999999999999999999",
        ] {
            assert_eq!(pieces(plain), [text(plain)], "{plain}");
        }
        assert_eq!(pieces("@@2"), [text("@"), Piece::Mention(2)]);
        assert_eq!(mentions("@2 and @1 and @2"), [2, 1]);
    }

    #[test]
    fn removing_a_region_renumbers_the_rest() {
        assert_eq!(
            without_region("compare @1 with @2 and @3", 2),
            "compare @1 with and @2"
        );
        assert_eq!(without_region("@1", 1), "");
    }

    #[test]
    fn a_mention_is_put_in_with_spaces() {
        assert_eq!(with_mention("", 0, 1), ("@1 ".to_owned(), 3));
        assert_eq!(
            with_mention("what is", 7, 2),
            ("what is @2 ".to_owned(), 11)
        );
        assert_eq!(
            with_mention("what is ?", 8, 2),
            ("what is @2?".to_owned(), 10)
        );
        assert_eq!(with_mention("é", 1, 1), ("@1 é".to_owned(), 3));
    }

    #[test]
    fn spans_count_code_points() {
        let parts = segments("ein grüner Würfel da", &[(4, 17)]);
        let expected = [("ein ", None), ("grüner Würfel", Some(0)), (" da", None)];
        for (part, (text, found)) in parts.iter().zip(expected) {
            assert_eq!((part.text.as_str(), part.found), (text, found));
        }
    }

    #[test]
    fn bad_spans_stay_plain() {
        let parts = segments("abcdef", &[(2, 4), (3, 5), (4, 4), (5, 99), (9, 3)]);
        assert_eq!(parts.iter().filter(|part| part.found.is_some()).count(), 1);
        let joined: String = parts.into_iter().map(|part| part.text).collect();
        assert_eq!(joined, "abcdef");
        assert_eq!(segments("", &[(0, 1)]), []);
    }
}
