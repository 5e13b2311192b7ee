//! Trees to English.

use rand::{Rng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use super::{
    super::{
        view::{Part, Relation, Side, Third},
        vocabulary::{Attributes, Pattern},
    },
    expression::{Clause, Filter, Reference},
};

/// "cube" or "cubes".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    Singular,
    Plural,
}

const COUNTS: [&str; 11] = [
    "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
];

/// A number in words, in digits above ten.
pub(crate) fn count_word(count: usize) -> String {
    match COUNTS.get(count) {
        Some(&word) => word.to_owned(),
        None => count.to_string(),
    }
}

/// One of several ways to say the same.
pub(crate) fn one_of(rng: &mut ChaCha8Rng, ways: &[&'static str]) -> &'static str {
    ways.choose(rng).copied().expect("at least one way")
}

/// The phrase that names what something is: "red metal cylinder".
pub fn category(attributes: Attributes) -> String {
    let Attributes {
        colour,
        material,
        shape,
        ..
    } = attributes;
    format!("{} {} {}", colour.word(), material.word(), shape.word())
}

/// A noun phrase without its article: "small red metal cylinder with stripes".
pub(crate) fn noun_phrase(filter: &Filter, number: Number, rng: &mut ChaCha8Rng) -> String {
    let pattern_after = filter.shape.is_some() && rng.random_bool(0.5);
    let mut words: Vec<&str> = Vec::with_capacity(7);
    words.extend(filter.size.map(|size| size.word()));
    match filter.pattern {
        Some(pattern) if !pattern_after || pattern == Pattern::Plain => words.push(pattern.word()),
        _ => {}
    }
    words.extend(filter.colour.map(|colour| colour.word()));
    words.extend(filter.material.map(|material| material.word()));
    words.push(match (filter.shape, number) {
        (Some(shape), Number::Singular) => shape.word(),
        (Some(shape), Number::Plural) => shape.plural(),
        (None, Number::Singular) => one_of(rng, &["thing", "object"]),
        (None, Number::Plural) => one_of(rng, &["things", "objects"]),
    });
    if pattern_after && let Some(noun) = filter.pattern.and_then(Pattern::noun) {
        words.extend(["with", noun]);
    }
    words.join(" ")
}

/// With "a" or "an".
pub(crate) fn with_article(noun_phrase: &str) -> String {
    let article = if noun_phrase.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {noun_phrase}")
}

/// With the first letter in upper case.
pub(crate) fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}

/// "on the left side", for a part that [`nameable`] returned.
pub(crate) fn part_words(part: Part) -> &'static str {
    match (part.column, part.row) {
        (Some(Third::First), Some(Third::First)) => "at the top left",
        (Some(Third::First), Some(Third::Last)) => "at the bottom left",
        (Some(Third::First), _) => "on the left side",
        (Some(Third::Last), Some(Third::First)) => "at the top right",
        (Some(Third::Last), Some(Third::Last)) => "at the bottom right",
        (Some(Third::Last), _) => "on the right side",
        (_, Some(Third::First)) => "at the top",
        (_, Some(Third::Last)) => "at the bottom",
        _ => "in the middle",
    }
}

/// The named part that says most of what is clear about a place.
pub(crate) fn nameable(clear: Part) -> Option<Part> {
    let edge = |third: Option<Third>| third.filter(|&third| third != Third::Middle);
    let part = Part {
        column: edge(clear.column),
        row: edge(clear.row),
    };
    if part.column.is_some() || part.row.is_some() {
        return Some(part);
    }
    let middle = Some(Third::Middle);
    (clear.column == middle && clear.row == middle).then_some(clear)
}

pub(crate) fn relation_words(relation: Relation, rng: &mut ChaCha8Rng) -> &'static str {
    match relation {
        Relation::LeftOf => one_of(rng, &["left of", "to the left of"]),
        Relation::RightOf => one_of(rng, &["right of", "to the right of"]),
        Relation::InFrontOf | Relation::Behind => relation.words(),
    }
}

pub(crate) fn outermost_word(side: Side, rng: &mut ChaCha8Rng) -> &'static str {
    match side {
        Side::Left => "leftmost",
        Side::Right => "rightmost",
        Side::Front => one_of(rng, &["nearest", "closest"]),
        Side::Back => "farthest",
    }
}

const ORDINALS: [&str; 10] = [
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
];

/// Whether there is a word for a place, counted from 0.
pub(crate) const fn is_ordinal(rank: usize) -> bool {
    rank < ORDINALS.len()
}

fn side_words(side: Side) -> &'static str {
    match side {
        Side::Left => "from the left",
        Side::Right => "from the right",
        Side::Front => "from the front",
        Side::Back => "from the back",
    }
}

/// The reference after its determiner: "leftmost red cube behind the sphere".
pub(crate) fn body(reference: &Reference, number: Number, rng: &mut ChaCha8Rng) -> String {
    let mut before = String::new();
    let mut after = String::new();
    let mut related = false;
    for clause in &reference.clauses {
        match clause {
            Clause::Outermost(side) => {
                before.push_str(outermost_word(*side, rng));
                before.push(' ');
            }
            Clause::Ranked(rank, side) => {
                before.push_str(ORDINALS[*rank]);
                before.push(' ');
                after.push(' ');
                after.push_str(side_words(*side));
            }
            Clause::In(part) => {
                after.push(' ');
                after.push_str(part_words(*part));
            }
            Clause::Beside(relation, anchor) => {
                after.push_str(if related { " and " } else { " " });
                if !related && number == Number::Singular && rng.random_bool(0.2) {
                    after.push_str("that is ");
                }
                related = true;
                after.push_str(relation_words(*relation, rng));
                after.push(' ');
                after.push_str(&definite(anchor, rng));
            }
        }
    }
    format!(
        "{before}{}{after}",
        noun_phrase(&reference.filter, number, rng)
    )
}

/// "the leftmost red cube".
pub(crate) fn definite(reference: &Reference, rng: &mut ChaCha8Rng) -> String {
    format!("the {}", body(reference, Number::Singular, rng))
}
