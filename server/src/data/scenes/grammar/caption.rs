//! Captions of the whole picture whose phrases are grounded in objects.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{
    super::{view::View, vocabulary::Attributes},
    expression::Filter,
    words::{Number, count_word, noun_phrase, one_of, with_article},
};

/// A caption with the phrases that name objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caption<Id = usize> {
    /// The whole text.
    pub text: String,
    /// The phrases, in the order of the text.
    pub phrases: Vec<Phrase<Id>>,
}

/// A part of a caption that names objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phrase<Id = usize> {
    /// First code point.
    pub start: usize,
    /// One past the last code point.
    pub end: usize,
    /// Indices of the objects, in order.
    pub targets: Vec<Id>,
}

/// Names every object once, from left to right, like ones together.
pub fn caption(view: &View, table: &str, rng: &mut ChaCha8Rng) -> Caption {
    let mut order: Vec<usize> = (0..view.objects.len()).collect();
    order.sort_by(|&a, &b| view.objects[a].x.total_cmp(&view.objects[b].x));
    let kind = |object: usize| {
        let Attributes {
            colour,
            material,
            shape,
            ..
        } = view.objects[object].attributes;
        (colour, material, shape)
    };
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for object in order {
        match groups
            .iter_mut()
            .find(|group| kind(group[0]) == kind(object))
        {
            Some(group) => group.push(object),
            None => groups.push(vec![object]),
        }
    }

    let one_thing = groups.len() == 1 && groups[0].len() == 1;
    let (opening, closing) = match one_of(rng, &["there", "stand", "on"]) {
        "there" if one_thing => ("There is ".to_owned(), format!(" on {table}.")),
        "there" => ("There are ".to_owned(), format!(" on {table}.")),
        "stand" => (format!("On {table} I see "), ".".to_owned()),
        _ => ("The picture shows ".to_owned(), format!(" on {table}.")),
    };
    let mut text = opening;
    let mut phrases = Vec::with_capacity(groups.len());
    let last = groups.len() - 1;
    let with_sizes = rng.random_bool(0.5);
    for (place, mut targets) in groups.into_iter().enumerate() {
        if place > 0 {
            text.push_str(if place == last { " and " } else { ", " });
        }
        let attributes = view.objects[targets[0]].attributes;
        let same_size = targets
            .iter()
            .all(|&target| view.objects[target].attributes.size == attributes.size);
        let filter = Filter {
            size: (with_sizes && same_size).then_some(attributes.size),
            colour: Some(attributes.colour),
            material: Some(attributes.material),
            shape: Some(attributes.shape),
            pattern: None,
        };
        let phrase = if targets.len() == 1 {
            with_article(&noun_phrase(&filter, Number::Singular, rng))
        } else {
            format!(
                "{} {}",
                count_word(targets.len()),
                noun_phrase(&filter, Number::Plural, rng)
            )
        };
        let start = text.chars().count();
        text.push_str(&phrase);
        targets.sort_unstable();
        phrases.push(Phrase {
            start,
            end: start + phrase.chars().count(),
            targets,
        });
    }
    text.push_str(&closing);
    Caption { text, phrases }
}
