//! Words, with what apostrophes, hyphens and slashes make of them.

use super::{
    letters::{
        apostrophe, at, from, initials, inner_apostrophe, is_ascii_word, is_letter, letter,
        literal, literals, reduced, reduced_not, run, word,
    },
    lexer::{Form, Token},
};

pub(super) fn words(text: &[char], best: &mut Token) {
    let length = word(text);
    if length > 0 {
        let reduced = reduced(from(text, length));
        if reduced > 0 {
            best.offer(length, reduced, Form::Soft);
        }
    }
    let letters = run(text, |letter| {
        letter.is_ascii_alphabetic() || letter == '\u{ad}'
    });
    if let Some(before) = letters.checked_sub(1) {
        let not = reduced_not(from(text, before));
        let stem = text[..before]
            .iter()
            .rev()
            .find(|&&letter| letter != '\u{ad}');
        if not > 0 && stem.is_some_and(|last| !matches!(*last, 'n' | 'N')) {
            best.offer(before, not, Form::Soft);
        }
    }
    best.offer(length, 0, Form::Soft);
    best.offer(word_with_apostrophe(text), 0, Form::Text);
    let your = literal(text, "y");
    let mark = apostrophe(from(text, your));
    if your > 0 && mark > 0 && letter(from(text, your + mark)) > 0 {
        best.offer(your + mark, 1, Form::Text);
    }
}

/// Words that an apostrophe belongs to.
fn word_with_apostrophe(text: &[char]) -> usize {
    let mut longest = literals(
        text,
        &[
            "cont'd",
            "cont'd.",
            "nor'easter",
            "c'mon",
            "e'er",
            "s'mores",
            "ev'ry",
            "li'l",
            "nat'l",
        ],
    );
    let mark = apostrophe(text);
    if mark > 0 {
        let behind = from(text, mark);
        let ending = literals(behind, &["n", "em", "til", "till", "cause"]);
        if ending > 0 {
            longest = longest.max(mark + ending);
        }
        if literal(behind, "n") > 0 {
            longest = longest.max(mark + 1 + apostrophe(from(behind, 1)));
        }
        let is_decade =
            matches!(at(behind, 0), Some('2'..='9')) && literal(from(behind, 1), "0s") > 0;
        if is_decade {
            longest = longest.max(mark + 3);
        }
    }
    for stem in ["l", "d", "j", "dunkin", "somethin", "ol"] {
        let mark = apostrophe(from(text, stem.len()));
        if mark > 0 && literal(text, stem) > 0 {
            longest = longest.max(stem.len() + mark);
        }
    }
    // Names such as O'Neill; the class of the first letter has no lower case.
    if matches!(at(text, 0), Some('A'..='H' | 'J'..='X' | 'Z' | 'n')) {
        let mark = inner_apostrophe(from(text, 1));
        let letters = run(from(text, 1 + mark), is_letter);
        if mark > 0 && letters >= 2 {
            longest = longest.max(1 + mark + letters);
        }
    }
    let letters = run(text, is_letter);
    if letters >= 2 && "aeiouyAEIOUY".contains(text[letters - 1]) {
        let mark = inner_apostrophe(from(text, letters));
        let behind = from(text, letters + mark);
        if mark > 0 && matches!(at(behind, 0), Some('a' | 'e' | 'i' | 'o' | 'u' | 'A'..='Z')) {
            longest = longest.max(letters + mark + run(behind, is_letter));
        }
    }
    longest
}

pub(super) fn clitics(text: &[char], best: &mut Token) {
    for length in [reduced(text), reduced_not(text)] {
        let ends = at(text, length).is_some_and(|next| !next.is_ascii_alphabetic());
        if length > 0 && ends {
            best.offer(length, 1, Form::Quotes);
        }
    }
}

pub(super) fn compounds(text: &[char], best: &mut Token) {
    let special = [
        "-rrb-",
        "-lrb-",
        "-rcb-",
        "-lcb-",
        "-rsb-",
        "-lsb-",
        "c.d.s",
        "pro-",
        "anti-",
        "s&p-500",
        "s&ls",
        "e!",
        "yahoo!",
        "jeopardy!",
    ];
    best.offer(literals(text, &special), 0, Form::Text);
    for (before, behind) in [("cap", "n"), ("c", "est")] {
        let mark = apostrophe(from(text, before.len()));
        let end = before.len() + mark;
        if mark > 0 && literal(text, before) > 0 && literal(from(text, end), behind) > 0 {
            best.offer(end + behind.len(), 0, Form::Text);
        }
    }
    // Words with slashes between them.
    let part = |start: usize| {
        let mut end = start + run(from(text, start), is_ascii_word);
        for _ in 0..2 {
            let more = match at(text, end) {
                Some('-') if end > start => {
                    run(from(text, end + 1), |letter| letter.is_ascii_alphabetic())
                }
                _ => 0,
            };
            if more == 0 {
                break;
            }
            end += 1 + more;
        }
        end
    };
    let mut end = part(0);
    for _ in 0..2 {
        let slash = match (at(text, end), at(text, end + 1)) {
            (Some('\\'), Some('/')) => 2,
            (Some('/'), _) => 1,
            _ => 0,
        };
        let next = part(end + slash);
        if end == 0 || slash == 0 || next == end + slash {
            break;
        }
        end = next;
        best.offer(end, 0, Form::Text);
    }
    let capitals = run(text, |letter| letter.is_ascii_uppercase());
    if at(text, capitals) == Some('$') {
        best.offer(capitals + 1, 0, Form::Text);
    }
    match at(text, 0) {
        Some('#') => best.offer(1, 0, Form::Text),
        Some('\u{a2}') => best.offer(1, 0, Form::Fixed("cents")),
        Some('\u{a3}') => best.offer(1, 0, Form::Fixed("#")),
        Some('\u{80}' | '\u{a4}' | '\u{20a0}' | '\u{20ac}') => best.offer(1, 0, Form::Fixed("$")),
        Some(
            '\u{a5}' | '\u{20aa}' | '\u{20b9}' | '\u{60b}' | '\u{e3f}' | '\u{20a4}' | '\u{ffe0}'
            | '\u{ffe1}' | '\u{ffe5}' | '\u{ffe6}',
        ) => best.offer(1, 0, Form::Text),
        _ => {}
    }
}

pub(super) fn things(text: &[char], best: &mut Token) {
    let hyphenated = hyphenated(text);
    best.offer_before_mark(text, hyphenated, Form::Soft);
    best.offer(hyphenated, 0, Form::Soft);
    let thing = thing(text);
    best.offer_before_mark(text, thing, Form::Text);
    best.offer(thing, 0, Form::Text);
    let joined = joined_capitals(text);
    best.offer_before_mark(text, joined, Form::Ampersand);
    best.offer(joined, 0, Form::Ampersand);
}

/// Letters, digits, full stops and commas with a hyphen behind them, and what the hyphen joins.
fn hyphenated(text: &[char]) -> usize {
    if !at(text, 0).is_some_and(is_ascii_word) {
        return 0;
    }
    let is_soft = |letter: char| is_ascii_word(letter) || letter == '\u{ad}';
    let mut end = run(text, |letter| {
        is_soft(letter) || matches!(letter, '.' | ',')
    });
    let first = end;
    while at(text, end) == Some('-') {
        let behind = from(text, end + 1);
        let plain = run(behind, is_soft);
        let initials = initials(behind);
        let more = if initials > 1 && initials + 1 > plain && at(behind, initials) == Some('.') {
            initials + 1
        } else {
            plain
        };
        if more == 0 {
            break;
        }
        end += 1 + more;
    }
    if end > first { end } else { 0 }
}

/// Letters and digits, joined by hyphens and underscores, with what French puts before them.
fn thing(text: &[char]) -> usize {
    let is_part = |letter: char| letter.is_alphabetic() || letter.is_ascii_digit();
    let part = |start: usize| {
        let particle = matches!(at(text, start), Some('d' | 'D' | 'o' | 'O' | 'l' | 'L'));
        let mark = inner_apostrophe(from(text, start + 1));
        let plain = run(from(text, start), is_part);
        // One more letter or digit belongs to the particle.
        let behind = run(from(text, start + 1 + mark), is_part);
        if particle && plain == 1 && mark > 0 && behind >= 2 {
            1 + mark + behind
        } else {
            plain
        }
    };
    let mut end = part(0);
    while end > 0
        && matches!(
            at(text, end),
            Some('-' | '_' | '\u{58a}' | '\u{2010}' | '\u{2011}')
        )
    {
        let more = part(end + 1);
        if more == 0 {
            break;
        }
        end += 1 + more;
    }
    end
}

/// Capital letters with `&` or `+` between them.
fn joined_capitals(text: &[char]) -> usize {
    let capitals = |place: usize| run(from(text, place), |letter| letter.is_ascii_uppercase());
    let first = capitals(0);
    let mut end = first;
    while end > 0 {
        let sign = match at(text, end) {
            Some('+') => 1,
            Some('&') => literal(from(text, end), "&amp;").max(1),
            _ => 0,
        };
        let more = capitals(end + sign);
        if sign == 0 || more == 0 {
            break;
        }
        end += sign + more;
    }
    if end > first { end } else { 0 }
}
