//! Words as pycocoevalcap's `PTBTokenizer` cuts them: Stanford's `PTBTokenizer` of CoreNLP 3.4.1
//! with `-preserveLines -lowerCase`, less a list of punctuation.
//!
//! Stanford's rules are a grammar for a scanner that takes, at each place, what the longest rule
//! covers, the text that a rule only looks at included; of two equally long ones, the first. The
//! rules are kept in that order, after
//! [`PTBLexer.flex`](https://github.com/stanfordnlp/CoreNLP/blob/main/src/edu/stanford/nlp/process/PTBLexer.flex).
//! Left out are those for telephone numbers, file names and words with asterisks, and each caption
//! is read as if it stood alone. Brackets survive, because they are written in lower case by the
//! time that the list is looked at; that too is as in the original.

mod abbreviation;
mod address;
mod letters;
mod lexer;
mod number;
mod word;

use lexer::{Form, next_token};

/// What is dropped after cutting.
const PUNCTUATION: [&str; 17] = [
    "''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", ".", "?", "!", ",", ":", "-", "--",
    "...", ";",
];

/// The words of a text in lower case, single spaces between them.
pub fn tokenize(text: &str) -> String {
    // A caption ends with its line.
    let text: Vec<char> = text
        .chars()
        .map(|letter| if letter == '\n' { ' ' } else { letter })
        .chain(['\n'])
        .collect();
    let mut words = Vec::new();
    let mut rest = text.as_slice();
    while !rest.is_empty() {
        let token = next_token(rest);
        let (covered, behind) = rest.split_at(token.length.clamp(1, rest.len()));
        if let Some(word) = written(covered, token.form) {
            let word = word.to_lowercase();
            if !PUNCTUATION.contains(&word.as_str()) {
                words.push(word);
            }
        }
        rest = behind;
    }
    words.join(" ")
}

/// A token as it is printed; none for what is no token.
fn written(covered: &[char], form: Form) -> Option<String> {
    let text: String = covered.iter().collect();
    Some(match form {
        Form::Nothing => return None,
        Form::Text => text,
        Form::Soft => match text.replace('\u{ad}', "") {
            empty if empty.is_empty() => "-".to_owned(),
            text => text,
        },
        Form::Unbroken => text.replace(' ', "\u{a0}"),
        Form::Ampersand => text.replace("&amp;", "&").replace("&AMP;", "&"),
        Form::Quotes => quotes(&text.replace("&apos;", "'")),
        Form::Smiley => text.replace('(', "-LRB-").replace(')', "-RRB-"),
        Form::Fixed(text) => text.to_owned(),
    })
}

/// Quotation marks as LaTeX writes them.
fn quotes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\u{91}' | '\u{2018}' | '\u{201b}' | '\u{2039}' => out.push('`'),
            '\u{92}' | '\u{2019}' | '\u{203a}' => out.push('\''),
            '\u{93}' | '\u{201c}' | '\u{ab}' => out.push_str("``"),
            '\u{94}' | '\u{201d}' | '\u{bb}' => out.push_str("''"),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions_of_the_published_sample() {
        // From the sample that the COCO caption code was published with.
        let samples = [
            (
                "Two ducks floating in a green, grassy pond.",
                "two ducks floating in a green grassy pond",
            ),
            (
                "Several people seated in chairs in a waiting room with a Snapple vending machine \
                 in the far corner of the room.",
                "several people seated in chairs in a waiting room with a snapple vending machine \
                 in the far corner of the room",
            ),
        ];
        for (text, expected) in samples {
            assert_eq!(tokenize(text), expected);
        }
    }

    #[test]
    fn apostrophes() {
        let cases = [
            ("the dog's bone", "the dog 's bone"),
            ("the dogs' bones", "the dogs bones"),
            ("it's", "it 's"),
            ("they'll don't can't won't", "they 'll do n't ca n't wo n't"),
            ("isn\u{2019}t John\u{2019}s", "is n't john 's"),
            ("o'clock y'all 'em", "o'clock y' all 'em"),
            ("rock 'n' roll in the '90s", "rock 'n' roll in the '90s"),
            ("the teacher's, and", "the teacher 's and"),
            ("a 'stop' sign", "a stop sign"),
            ("she'd've", "she 'd 've"),
        ];
        for (text, expected) in cases {
            assert_eq!(tokenize(text), expected, "{text}");
        }
    }

    #[test]
    fn words_that_come_apart() {
        assert_eq!(tokenize("You cannot"), "you can not");
        assert_eq!(tokenize("gonna wanna cannots"), "gon na wan na cannots");
        assert_eq!(tokenize("'Twas 'tis"), "'t was 't is");
    }

    #[test]
    fn hyphens_and_dashes() {
        let cases = [
            ("a black-and-white T-shirt.", "a black-and-white t-shirt"),
            ("a man - and a dog", "a man and a dog"),
            ("a man -- a dog --- a cat", "a man a dog a cat"),
            ("a man\u{2014}a dog", "a man a dog"),
            ("a 2-year-old", "a 2-year-old"),
            ("black/white and/or", "black/white and/or"),
            ("bus_stop", "bus_stop"),
        ];
        for (text, expected) in cases {
            assert_eq!(tokenize(text), expected, "{text}");
        }
    }

    #[test]
    fn numbers_and_signs() {
        let cases = [
            ("1,000.50 at 12:55", "1,000.50 at 12:55"),
            ("#1 for $5 & 5%", "# 1 for $ 5 & 5 %"),
            ("7 1/2 or \u{bd}", "7\u{a0}1/2 or 1/2"),
            ("5\u{20ac} 3\u{a3}", "5 $ 3 #"),
            ("10/12/2014", "10/12/2014"),
            ("-5 + 3 = -2", "-5 + 3 = -2"),
        ];
        for (text, expected) in cases {
            assert_eq!(tokenize(text), expected, "{text}");
        }
    }

    #[test]
    fn abbreviations_keep_their_full_stop() {
        let cases = [
            ("Mr. Smith of St. Louis", "mr. smith of st. louis"),
            ("in the U.S. today", "in the u.s. today"),
            ("a man vs. a dog etc.", "a man vs. a dog etc."),
            ("vitamin C. The man", "vitamin c the man"),
            ("at 5 p.m. on Jan. 3", "at 5 p.m. on jan. 3"),
            ("no. 5 is no. good", "no. 5 is no good"),
        ];
        for (text, expected) in cases {
            assert_eq!(tokenize(text), expected, "{text}");
        }
    }

    #[test]
    fn brackets_survive_and_quotation_marks_do_not() {
        assert_eq!(
            tokenize("a \"red\" mug (or [blue] {green})"),
            "a red mug -lrb- or -lsb- blue -rsb- -lcb- green -rcb- -rrb-"
        );
        assert_eq!(tokenize("\u{201c}a mug\u{201d} `b' ``c''"), "a mug b c");
        assert_eq!(tokenize("what?! no! yes?"), "what ?! no yes");
        assert_eq!(tokenize("well... yes\u{2026} . . . no"), "well yes no");
        assert_eq!(tokenize("fun :) here"), "fun :-rrb- here");
    }

    #[test]
    fn addresses_and_mark_up() {
        assert_eq!(
            tokenize("see www.example.com/ab or http://example.org/b."),
            "see www.example.com/ab or http://example.org/b"
        );
        assert_eq!(
            tokenize("a.b@example.com #mug @mug"),
            "a.b@example.com #mug @mug"
        );
        assert_eq!(tokenize("AT&amp;T &amp; <b c>x"), "at&t & <b\u{a0}c> x");
        assert_eq!(tokenize("3 < 4 &gt; 2"), "3 < 4 > 2");
    }

    #[test]
    fn what_is_no_word_is_dropped() {
        assert_eq!(tokenize(""), "");
        assert_eq!(tokenize(" \n\t "), "");
        assert_eq!(tokenize("a \u{1f600} mug\u{200b}"), "a mug");
        assert_eq!(
            tokenize("caf\u{e9} na\u{ef}ve so\u{ad}ft"),
            "caf\u{e9} na\u{ef}ve soft"
        );
    }
}
