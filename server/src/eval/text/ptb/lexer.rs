//! The rules of the scanner, in their order, and those for marks and quotation marks.

use super::{
    abbreviation::abbreviations,
    address::addresses,
    letters::{
        apostrophe, at, from, is_in_sentence, is_space, is_space_or_line, literal, literals,
        reduced, reduced_not, run,
    },
    number::numbers,
    word::{clitics, compounds, things, words},
};

/// How a token is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Not at all.
    Nothing,
    /// As it stands.
    Text,
    /// Without soft hyphens.
    Soft,
    /// With spaces that do not break.
    Unbroken,
    /// With `&` for its entity.
    Ampersand,
    /// With LaTeX's quotation marks.
    Quotes,
    /// With names for round brackets.
    Smiley,
    /// As this.
    Fixed(&'static str),
}

/// What the scanner takes at one place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    /// Letters that are taken.
    pub(super) length: usize,
    pub(super) form: Form,
    /// Letters that the rule covers, those that it only looks at included.
    covered: usize,
}

impl Token {
    /// Takes a rule's token if the rule covers more than those before it.
    pub(super) fn offer(&mut self, length: usize, ahead: usize, form: Form) {
        if length > 0 && length + ahead > self.covered {
            *self = Self {
                length,
                form,
                covered: length + ahead,
            };
        }
    }

    /// Takes a token with the full stop behind it, where a comma, semicolon or colon comes next.
    pub(super) fn offer_before_mark(&mut self, text: &[char], length: usize, form: Form) {
        let has_stop = length > 0 && at(text, length) == Some('.');
        if has_stop && at(text, length + 1).is_some_and(is_in_sentence) {
            self.offer(length + 1, 1, form);
        }
    }

    /// Takes part of what a rule covers, if it covers anything.
    pub(super) fn offer_part(&mut self, covered: usize, length: usize, form: Form) {
        if let Some(ahead) = covered.checked_sub(length) {
            self.offer(length, ahead, form);
        }
    }
}

/// What comes first in a text that is not empty.
pub(super) fn next_token(text: &[char]) -> Token {
    let mut best = Token {
        length: 1,
        form: Form::Nothing,
        covered: 0,
    };
    assimilations(text, &mut best);
    mark_up(text, &mut best);
    words(text, &mut best);
    addresses(text, &mut best);
    clitics(text, &mut best);
    numbers(text, &mut best);
    compounds(text, &mut best);
    abbreviations(text, &mut best);
    marks(text, &mut best);
    things(text, &mut best);
    quotation_marks(text, &mut best);
    symbols(text, &mut best);
    best
}

fn assimilations(text: &[char], best: &mut Token) {
    best.offer_part(literal(text, "cannot"), 3, Form::Text);
    best.offer_part(literal(text, "'twas"), 2, Form::Text);
    for whole in ["gonna", "gotta", "lemme", "gimme", "wanna"] {
        if literal(text, whole) > 0 {
            best.offer_part(whole.len(), 3, Form::Text);
        }
    }
    let mark = apostrophe(text);
    if mark > 0 && literal(from(text, mark), "tis") > 0 {
        best.offer_part(mark + 3, mark + 1, Form::Text);
    }
}

fn mark_up(text: &[char], best: &mut Token) {
    if at(text, 0) == Some('<') {
        let slash = usize::from(at(text, 1) == Some('/'));
        let opens = at(text, 1 + slash)
            .is_some_and(|letter| letter.is_ascii_alphabetic() || matches!(letter, '!' | '?'));
        let inside = run(text, |letter| !matches!(letter, '>' | '\n' | '\r'));
        if opens && at(text, inside) == Some('>') {
            best.offer(inside + 1, 0, Form::Unbroken);
        }
    }
    let dash = match at(text, 0) {
        Some('\u{96}' | '\u{97}' | '\u{2013}'..='\u{2015}') => 1,
        _ => literals(text, &["&md;", "&mdash;", "&ndash;"]),
    };
    best.offer(dash, 0, Form::Fixed("--"));
    best.offer(literal(text, "&amp;"), 0, Form::Fixed("&"));
    best.offer(
        literals(
            text,
            &[
                "&ht;", "&tl;", "&ur;", "&lr;", "&qc;", "&ql;", "&qr;", "&odq;", "&cdq;",
            ],
        ),
        0,
        Form::Text,
    );
    if literal(text, "&#") > 0 {
        let digits = run(from(text, 2), |letter| letter.is_ascii_digit());
        if digits > 0 && at(text, 2 + digits) == Some(';') {
            best.offer(3 + digits, 0, Form::Text);
        }
    }
}

fn marks(text: &[char], best: &mut Token) {
    let double = match at(text, 0) {
        Some('"') => 1,
        _ => literal(text, "&quot;"),
    };
    best.offer(double, 0, Form::Fixed("''"));
    let sign = |entity: &str, sign: char| match at(text, 0) {
        Some(first) if first == sign => 1,
        _ => literal(text, entity),
    };
    best.offer(sign("&lt;", '<'), 0, Form::Fixed("<"));
    best.offer(sign("&gt;", '>'), 0, Form::Fixed(">"));
    smiley(text, best);
    let bracket = match at(text, 0) {
        Some('{') => "-LCB-",
        Some('}') => "-RCB-",
        Some('[') => "-LSB-",
        Some(']') => "-RSB-",
        Some('(') => "-LRB-",
        Some(')') => "-RRB-",
        _ => "",
    };
    if !bracket.is_empty() {
        best.offer(1, 0, Form::Fixed(bracket));
    }
    match run(text, |letter| letter == '-') {
        hyphens @ 3..=4 => best.offer(hyphens, 0, Form::Fixed("--")),
        hyphens => best.offer(hyphens, 0, Form::Text),
    }
    let dots = match at(text, 0) {
        Some('\u{85}' | '\u{2026}') => 1,
        _ => match run(text, |letter| letter == '.') {
            0..=2 => 0,
            many => many.min(5),
        },
    };
    best.offer(dots, 0, Form::Fixed("..."));
    for mark in ['@', '#', '_', '*'] {
        best.offer(run(text, |letter| letter == mark), 0, Form::Text);
    }
    if at(text, 0).is_some_and(is_in_sentence) {
        best.offer(1, 0, Form::Text);
    }
    best.offer(
        run(text, |letter| matches!(letter, '?' | '!')),
        0,
        Form::Text,
    );
    if matches!(
        at(text, 0),
        Some(
            '.' | '='
                | '/'
                | '\u{a1}'
                | '\u{bf}'
                | '\u{37e}'
                | '\u{589}'
                | '\u{61f}'
                | '\u{6d4}'
                | '\u{700}'..='\u{702}' | '\u{7fa}' | '\u{3002}'
        )
    ) {
        best.offer(1, 0, Form::Text);
    }
}

fn smiley(text: &[char], best: &mut Token) {
    let hat = usize::from(matches!(at(text, 0), Some('<' | '>')));
    let eyes = matches!(at(text, hat), Some(':' | ';' | '='));
    let nose = usize::from(matches!(at(text, hat + 1), Some('-' | 'o' | '*' | '\'')));
    for end in [hat + 1 + nose, hat + 1] {
        let mouth = matches!(
            at(text, end),
            Some('(' | ')' | 'D' | 'P' | 'd' | 'p' | 'O' | '\\' | '{' | '@' | '|' | '[' | ']')
        );
        let ends = at(text, end + 1).is_some_and(|next| !next.is_ascii_alphanumeric());
        if eyes && mouth && ends {
            best.offer(end + 1, 1, Form::Smiley);
        }
    }
}

fn quotation_marks(text: &[char], best: &mut Token) {
    let opens = at(text, 0) == Some('\'')
        && at(text, 1).is_some_and(|letter| letter.is_ascii_alphabetic())
        && at(text, 2).is_some_and(|letter| !is_space_or_line(letter));
    if opens {
        best.offer(1, 2, Form::Fixed("`"));
    }
    best.offer(reduced(text), 0, Form::Quotes);
    best.offer(reduced_not(text), 0, Form::Quotes);
    best.offer(apostrophe(text), 0, Form::Quotes);
    best.offer(literal(text, "''"), 0, Form::Quotes);
    let is_quote = |letter: char| {
        matches!(letter, '`' | '\u{2018}'..='\u{201f}' | '\u{91}'..='\u{94}' | '\u{2039}'
            | '\u{203a}' | '\u{ab}' | '\u{bb}')
    };
    best.offer(run(text, is_quote).min(2), 0, Form::Quotes);
}

fn symbols(text: &[char], best: &mut Token) {
    best.offer(literals(text, &["<<", ">>"]), 0, Form::Text);
    let is_symbol = |letter: char| {
        matches!(letter, '+' | '%' | '&' | '~' | '^' | '|' | '\\' | '\u{a6}'..='\u{a9}' | '\u{ac}'
            | '\u{ae}'..='\u{b8}' | '\u{ba}' | '\u{d7}' | '\u{f7}' | '\u{2016}' | '\u{2017}'
            | '\u{2020}'..='\u{2024}' | '\u{2030}'..='\u{2038}' | '\u{203b}' | '\u{203c}'
            | '\u{203e}'..='\u{2044}' | '\u{207a}'..='\u{207f}' | '\u{208a}'..='\u{208e}'
            | '\u{2100}'..='\u{214f}' | '\u{2190}'..='\u{2bff}' | '\u{3012}' | '\u{30fb}'
            | '\u{ff01}'..='\u{ff0f}' | '\u{ff1a}'..='\u{ff20}' | '\u{ff3b}'..='\u{ff40}'
            | '\u{ff5b}'..='\u{ff65}')
    };
    if at(text, 0).is_some_and(is_symbol) {
        best.offer(1, 0, Form::Text);
    }
    best.offer(run(text, is_space), 0, Form::Nothing);
    best.offer(literal(text, "&nbsp;"), 0, Form::Nothing);
}
