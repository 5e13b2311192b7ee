//! Texts with `@k` and answers with phrases that carry masks, taken apart for display.

pub use fclm_core::wire::mention::{Piece, mentions, pieces};

use fclm_core::wire::mention::is_word;

/// A text after the regions, whose ids were `before` in the order of their numbers, have become
/// `after`: each mention means the same region as it did, and those of regions that are gone go.
pub fn renumbered(text: &str, before: &[String], after: &[String]) -> String {
    with_numbers(text, |number| match before.get(number - 1) {
        Some(id) => number_of(id, after),
        None => Some(number),
    })
}

/// An earlier question with the numbers that its regions have `today`; `asked` are the ids that it
/// was about. None where one of them is gone.
pub fn readdressed(text: &str, asked: &[String], today: &[String]) -> Option<String> {
    let all_there = asked.iter().all(|id| today.contains(id));
    all_there.then(|| {
        let named = mentions(text);
        with_numbers(text, |number| match named_region(&named, asked, number) {
            Some(id) => number_of(id, today),
            None => Some(number),
        })
    })
}

/// The id of the region that a question named by `number`. The n-th of the numbers that it names,
/// `named`, was the n-th region that it was about, whatever numbers the regions have now.
pub fn named_region<'a>(named: &[usize], asked: &'a [String], number: usize) -> Option<&'a str> {
    let place = named.iter().position(|&other| other == number)?;
    asked.get(place).map(String::as_str)
}

fn number_of(id: &str, ids: &[String]) -> Option<usize> {
    let index = ids.iter().position(|other| other == id)?;
    Some(index + 1)
}

/// The text with another number in each mention; a mention without one goes.
fn with_numbers(text: &str, new: impl Fn(usize) -> Option<usize>) -> String {
    let mut out = String::new();
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => {
                // A mention that went leaves two spaces behind; one is enough.
                let double = out.ends_with(' ') && text.starts_with(' ');
                out.push_str(if double { &text[1..] } else { &text });
            }
            Piece::Mention(number) => {
                if let Some(number) = new(number) {
                    out.push_str(&format!("@{number}"));
                }
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
    let tail = if after.is_empty() || after.starts_with(is_word) {
        " "
    } else {
        ""
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

    fn ids(names: &str) -> Vec<String> {
        names.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn removing_a_region_renumbers_the_rest() {
        assert_eq!(
            renumbered("compare @1 with @2 and @3", &ids("a b c"), &ids("a c")),
            "compare @1 with and @2"
        );
        assert_eq!(renumbered("@1", &ids("a"), &[]), "");
    }

    #[test]
    fn a_region_that_comes_back_keeps_the_others_apart() {
        assert_eq!(
            renumbered("is @1 red?", &ids("b"), &ids("a b")),
            "is @2 red?"
        );
        assert_eq!(renumbered("@1 or @4", &ids("a b"), &ids("b a")), "@2 or @4");
        assert_eq!(renumbered("no region", &[], &ids("a")), "no region");
    }

    #[test]
    fn an_earlier_question_means_the_regions_of_then() {
        let asked = ids("c a");
        let text = "is @3 left of @1, or @1 of @3?";
        assert_eq!(
            readdressed(text, &asked, &ids("a c")).as_deref(),
            Some("is @2 left of @1, or @1 of @2?")
        );
        assert_eq!(readdressed(text, &asked, &ids("a b")), None);
        assert_eq!(
            readdressed("what is it?", &ids("a"), &ids("b a")).as_deref(),
            Some("what is it?")
        );
        let named = mentions(text);
        assert_eq!(named_region(&named, &asked, 1), Some("a"));
        assert_eq!(named_region(&named, &asked, 2), None);
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
