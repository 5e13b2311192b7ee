//! Classes of letters, and parts of rules: each gives how many letters it covers from the start of
//! the text, 0 for none.

pub(super) fn is_space(letter: char) -> bool {
    matches!(
        letter,
        ' ' | '\t' | '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{3000}'
    )
}

pub(super) fn is_space_or_line(letter: char) -> bool {
    is_space(letter)
        || matches!(
            letter,
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
}

pub(super) fn is_letter(letter: char) -> bool {
    letter.is_alphabetic() || matches!(letter, '\u{ad}' | '\u{300}'..='\u{36f}')
}

pub(super) fn is_ascii_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric()
}

pub(super) fn is_in_sentence(letter: char) -> bool {
    matches!(letter, ',' | ';' | ':' | '\u{3001}')
}

pub(super) fn at(text: &[char], place: usize) -> Option<char> {
    text.get(place).copied()
}

pub(super) fn from(text: &[char], place: usize) -> &[char] {
    text.get(place..).unwrap_or_default()
}

pub(super) fn run(text: &[char], is_in: impl Fn(char) -> bool) -> usize {
    text.iter().take_while(|&&letter| is_in(letter)).count()
}

/// A piece of text, in upper or lower case.
pub(super) fn literal(text: &[char], piece: &str) -> usize {
    let length = piece.len();
    let covers = text.len() >= length
        && text
            .iter()
            .zip(piece.chars())
            .all(|(&letter, wanted)| letter.eq_ignore_ascii_case(&wanted));
    if covers { length } else { 0 }
}

/// The longest of some pieces.
pub(super) fn literals(text: &[char], pieces: &[&str]) -> usize {
    pieces
        .iter()
        .map(|piece| literal(text, piece))
        .max()
        .unwrap_or(0)
}

pub(super) fn apostrophe(text: &[char]) -> usize {
    match at(text, 0) {
        Some('\'' | '\u{92}' | '\u{2019}') => 1,
        Some('&') => literal(text, "&apos;"),
        _ => 0,
    }
}

/// An apostrophe within a word, rightly or wrongly written.
pub(super) fn inner_apostrophe(text: &[char]) -> usize {
    match at(text, 0) {
        Some('\u{91}' | '\u{2018}' | '\u{201b}') => 1,
        _ => apostrophe(text),
    }
}

/// A letter, or the entity of one with an accent.
pub(super) fn letter(text: &[char]) -> usize {
    match at(text, 0) {
        Some(first) if is_letter(first) => 1,
        Some('&') if matches!(at(text, 1), Some(vowel) if "aeiouAEIOU".contains(vowel)) => {
            match literals(from(text, 2), &["acute;", "grave;", "uml;"]) {
                0 => 0,
                name => 2 + name,
            }
        }
        _ => 0,
    }
}

/// Letters and digits that begin with a letter.
fn plain_word(text: &[char]) -> usize {
    let mut end = letter(text);
    while end > 0 {
        let more = match at(text, end) {
            Some(digit) if digit.is_ascii_digit() => 1,
            _ => letter(from(text, end)),
        };
        if more == 0 {
            break;
        }
        end += more;
    }
    end
}

/// A word, or several that marks join without a space.
pub(super) fn word(text: &[char]) -> usize {
    let mut end = plain_word(text);
    while end > 0 && matches!(at(text, end), Some('.' | '!' | '?')) {
        let more = plain_word(from(text, end + 1));
        if more == 0 {
            break;
        }
        end += 1 + more;
    }
    end
}

/// `'s`, `'m`, `'d`, `'re`, `'ve`, `'ll`
pub(super) fn reduced(text: &[char]) -> usize {
    let mark = apostrophe(text);
    let behind = from(text, mark);
    match (mark, literals(behind, &["s", "m", "d", "re", "ve", "ll"])) {
        (0, _) | (_, 0) => 0,
        (mark, ending) => mark + ending,
    }
}

/// `n't`
pub(super) fn reduced_not(text: &[char]) -> usize {
    let mark = match literal(text, "n") {
        0 => 0,
        _ => inner_apostrophe(from(text, 1)),
    };
    match mark {
        0 => 0,
        mark => match literal(from(text, 1 + mark), "t") {
            0 => 0,
            _ => 2 + mark,
        },
    }
}

/// A number without a sign, such as `5`, `.5`, `1,000.50` or `12:55`.
pub(super) fn unsigned(text: &[char]) -> usize {
    let digits = |place: usize| run(from(text, place), |letter| letter.is_ascii_digit());
    let mut end = digits(0);
    let first = end;
    loop {
        let joins = match at(text, end) {
            Some('.' | ',' | '\u{66b}' | '\u{66c}') => true,
            Some(':' | '\u{ad}') => first > 0,
            _ => false,
        };
        let more = if joins { digits(end + 1) } else { 0 };
        if more == 0 {
            return end;
        }
        end += 1 + more;
    }
}

/// Initials, such as `U.S` or the `c` of a list.
pub(super) fn initials(text: &[char]) -> usize {
    let mut end = 0;
    loop {
        let place = if end == 0 { 0 } else { end + 1 };
        let joins = end == 0 || at(text, end) == Some('.');
        if !joins || !at(text, place).is_some_and(|letter| letter.is_ascii_alphabetic()) {
            break;
        }
        end = place + 1;
    }
    let named = literals(
        text,
        &[
            "canada-u.s",
            "sino-u.s",
            "korean-u.s",
            "eu-u.s",
            "japan-u.s",
            "non-u.s",
            "u.s.-u.k",
            "u.s.-u.s.s.r",
        ],
    );
    end.max(named)
}
