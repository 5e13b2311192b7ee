//! Dates, numbers and fractions.

use super::{
    letters::{at, from, run, unsigned},
    lexer::{Form, Token},
};

pub(super) fn numbers(text: &[char], best: &mut Token) {
    let digits = |place: usize, most: usize| {
        run(from(text, place), |letter| letter.is_ascii_digit()).min(most)
    };
    let is_divider = |place: usize| matches!(at(text, place), Some('-' | '/'));
    let (day, month) = (digits(0, 2), digits(digits(0, 2) + 1, 2));
    if day > 0 && month > 0 && is_divider(day) && is_divider(day + 1 + month) {
        let year = digits(day + month + 2, 4);
        if year >= 2 {
            best.offer(day + month + 2 + year, 0, Form::Text);
        }
    }
    let sign = usize::from(matches!(at(text, 0), Some('-' | '+')));
    let number = unsigned(from(text, sign));
    if number > 0 {
        best.offer(sign + number, 0, Form::Soft);
    }
    let is_small = |letter: char| {
        matches!(letter, '\u{2070}' | '\u{b9}' | '\u{b2}' | '\u{b3}' | '\u{2074}'..='\u{2079}'
            | '\u{2080}'..='\u{2089}')
    };
    best.offer(run(text, is_small), 0, Form::Text);
    let fraction = |start: usize| {
        let over = digits(start, 4);
        let slash = match (at(text, start + over), at(text, start + over + 1)) {
            (Some('\\'), Some('/')) => 2,
            (Some('/' | '\u{2044}'), _) => 1,
            _ => 0,
        };
        match digits(start + over + slash, 4) {
            under if over > 0 && slash > 0 && under > 0 => start + over + slash + under,
            _ => 0,
        }
    };
    best.offer(fraction(0), 0, Form::Unbroken);
    let whole = digits(0, 4);
    if whole > 0 && matches!(at(text, whole), Some('-' | ' ' | '\u{a0}')) {
        best.offer(fraction(whole + 1), 0, Form::Unbroken);
    }
    match at(text, 0) {
        Some('\u{bc}') => best.offer(1, 0, Form::Fixed("1/4")),
        Some('\u{bd}') => best.offer(1, 0, Form::Fixed("1/2")),
        Some('\u{be}') => best.offer(1, 0, Form::Fixed("3/4")),
        Some('\u{2153}') => best.offer(1, 0, Form::Fixed("1/3")),
        Some('\u{2154}') => best.offer(1, 0, Form::Fixed("2/3")),
        Some('\u{2155}'..='\u{215e}') => best.offer(1, 0, Form::Text),
        _ => {}
    }
}
