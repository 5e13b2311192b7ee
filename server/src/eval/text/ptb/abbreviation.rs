//! Abbreviations, which keep their full stop.

use super::{
    letters::{apostrophe, at, from, initials, is_space_or_line, literal, run, word},
    lexer::{Form, Token},
};

/// Words after which initials end a sentence, with a capital letter.
const SENTENCE_STARTS: &str = "\
    About According Additionally After An A As At But Did During Earlier He Her Here How \
    However If In It Last Many More Mr. Ms. Now Once One Other Our She Since So Some Such That \
    The Their Then There These They This We When While What Who Yet You";

/// Abbreviations that end a sentence where a capital letter follows. One with a capital letter
/// here must have it in the text too, since the word has a meaning of its own.
const USUAL: &str = "\
    jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thurs fri ala ariz Az \
    Ark calif colo conn ct dak Del fla ga Ill ind kan kans ky La Mass md mich minn Miss mo mont \
    neb nev okla Ore Pa penn tenn Tex va vt Wash wis wisc wyo inc co cos corp pty ptys ltd plc \
    bancorp bhd assn univ intl sys tel est ext sq jr bros ed.d ph.d esq etc al seq bldg";

/// Titles and what else is never the end of a sentence.
const TITLES: &str = "\
    mr mrs ms dr drs prof profs sen sens rep reps atty attys lt col gen messrs gov govs adm rev \
    maj sgt cpl pvt capt st ste ave pres lieut hon brig cmdr comdr pfc spc supt supts det mt ft \
    adj adv asst assoc ens insp mlle mme msgr sfc sr vs alex wm jos cie a.k.a cf treas ph blvd \
    dept rd invt elec natl mfg mtg";

/// What is an abbreviation only before a number.
const NUMBERED: &str = "\
    ca fig figs prop no nos sec secs sect sects art arts para paras pp op approx rs Pt";

pub(super) fn abbreviations(text: &[char], best: &mut Token) {
    let initials = initials(text);
    let has_stop = initials > 0 && at(text, initials) == Some('.');
    if has_stop {
        initials_before_sentence(text, initials, best);
    }
    for abbreviation in NUMBERED.split(' ') {
        let end = with_stop(text, abbreviation);
        let blank = usize::from(at(text, end).is_some_and(is_space_or_line));
        if at(text, end + blank).is_some_and(|digit| digit.is_ascii_digit()) {
            best.offer(end, blank + 1, Form::Text);
        }
    }
    for abbreviation in USUAL.split(' ') {
        let end = with_stop(text, abbreviation);
        best.offer(end, from(text, end).len().min(2), Form::Text);
    }
    for abbreviation in TITLES.split(' ') {
        best.offer(with_stop(text, abbreviation), 0, Form::Text);
    }
    if has_stop {
        best.offer(initials + 1, 0, Form::Text);
    }
    if at(text, initials).is_some_and(is_space_or_line) {
        best.offer(initials, 1, Form::Text);
    }
    let mark = apostrophe(text);
    let year = run(from(text, mark), |letter| letter.is_ascii_digit());
    if mark > 0 && year >= 2 && at(text, mark + 2).is_some_and(is_space_or_line) {
        best.offer(mark + 2, 1, Form::Text);
    }
    best.offer_before_mark(text, word(text), Form::Soft);
}

/// An abbreviation and its full stop.
fn with_stop(text: &[char], abbreviation: &str) -> usize {
    let is_capital = |letter: char| letter.is_ascii_uppercase();
    let has_case = !abbreviation.starts_with(is_capital) || at(text, 0).is_some_and(is_capital);
    match literal(text, abbreviation) {
        length if length > 0 && has_case && at(text, length) == Some('.') => length + 1,
        _ => 0,
    }
}

/// Initials with a full stop, and a word behind it with which a sentence begins.
fn initials_before_sentence(text: &[char], initials: usize, best: &mut Token) {
    let end = initials + 1;
    let blanks = run(from(text, end), is_space_or_line);
    let behind = from(text, end + blanks);
    let start = SENTENCE_STARTS.split(' ').find(|word| {
        let covers = behind.iter().zip(word.chars()).all(|(&a, b)| a == b);
        let next = at(behind, word.len());
        covers && next.is_some_and(|next| is_space_or_line(next) || matches!(next, '?' | '!'))
    });
    if let Some(start) = start.filter(|_| blanks > 0) {
        // One letter alone is no abbreviation here, and its full stop ends the sentence.
        let length = if initials == 1 { 1 } else { end };
        best.offer_part(end + blanks + start.len() + 1, length, Form::Text);
    }
}
