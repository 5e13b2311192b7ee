//! Addresses of pages and of people, and names as short messages mark them.

use super::{
    letters::{at, from, is_ascii_word, is_letter, literal, literals, run},
    lexer::{Form, Token},
};

pub(super) fn addresses(text: &[char], best: &mut Token) {
    let scheme = literals(text, &["http://", "https://", "ftp://"]);
    if scheme > 0 {
        let path = address_end(from(text, scheme));
        if path > 1 {
            best.offer(scheme + path, 0, Form::Text);
        }
    }
    let host = host(text);
    if host > 0 {
        let path = match at(text, host) {
            Some('/') => address_end(from(text, host + 1)),
            _ => 0,
        };
        best.offer(host + if path > 1 { 1 + path } else { 0 }, 0, Form::Text);
    }
    best.offer(mail_address(text), 0, Form::Text);
    let name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    if at(text, 0) == Some('@') && !at(text, 1).is_some_and(|digit| digit.is_ascii_digit()) {
        match run(from(text, 1), name) {
            0 => {}
            length => best.offer(1 + length, 0, Form::Text),
        }
    }
    if at(text, 0) == Some('#') {
        match run(from(text, 1), is_letter) {
            0 => {}
            length => best.offer(1 + length, 0, Form::Text),
        }
    }
}

fn breaks_address(letter: char) -> bool {
    matches!(
        letter,
        ' ' | '\t' | '\n' | '\u{c}' | '\r' | '"' | '<' | '>' | '|' | '(' | ')'
    )
}

/// The rest of an address, which does not end with a mark of the sentence.
fn address_end(text: &[char]) -> usize {
    let mut end = run(text, |letter| !breaks_address(letter));
    while end > 0 && matches!(text[end - 1], '.' | '!' | '?' | '{' | '}' | ',' | '-') {
        end -= 1;
    }
    end
}

/// A host that begins with `www.`, or ends with a top-level domain of the United States.
fn host(text: &[char]) -> usize {
    let www = literal(text, "www.");
    let mut longest = 0;
    let mut end = www;
    if www > 0 {
        let is_part = |letter: char| {
            !breaks_address(letter) && !matches!(letter, '.' | '!' | '?' | '{' | '}' | ',')
        };
        loop {
            let part = run(from(text, end), is_part);
            if part == 0 || at(text, end + part) != Some('.') {
                break;
            }
            end += part + 1;
            let domain = run(from(text, end), |letter| letter.is_ascii_alphabetic()).min(4);
            if domain >= 2 {
                longest = end + domain;
            }
        }
    }
    // The class that the grammar takes for parts of hosts spans everything from comma to
    // underscore.
    let is_part = |letter: char| {
        !breaks_address(letter) && !matches!(letter, '`' | '\'' | '!' | '{' | '}' | '$' | ','..='_')
    };
    let mut end = 0;
    loop {
        let part = run(from(text, end), is_part);
        if part == 0 || at(text, end + part) != Some('.') {
            return longest;
        }
        end += part + 1;
        let domain = literals(from(text, end), &["com", "net", "org", "edu"]);
        if domain > 0 {
            longest = longest.max(end + domain);
        }
    }
}

fn mail_address(text: &[char]) -> usize {
    if !at(text, 0).is_some_and(is_ascii_word) {
        return 0;
    }
    let is_part = |letter: char| !breaks_address(letter) && letter != '\u{a0}';
    let whole = &text[..run(text, is_part)];
    let Some(sign) = whole.iter().rposition(|&letter| letter == '@') else {
        return 0;
    };
    let mut end = sign + 1;
    loop {
        let part = run(from(whole, end), |letter| letter != '.');
        if part == 0 {
            // A full stop behind the last part ends a sentence.
            return if end > sign + 1 { end - 1 } else { 0 };
        }
        end += part;
        if at(whole, end) != Some('.') {
            return end;
        }
        end += 1;
    }
}
