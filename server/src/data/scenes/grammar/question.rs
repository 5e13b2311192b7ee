//! Questions about one object, with their answers.

use rand::{Rng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{
    super::{
        view::{Relation, Truth, View},
        vocabulary::{Attributes, Colour, Material, Pattern, Shape, Size},
    },
    words::{capitalised, category, count_word, one_of, with_article},
};

/// A question about a marked object, which it calls "it".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question<Id = usize> {
    /// The object, by its index in the scene.
    pub object: Id,
    /// What is asked.
    pub question: String,
    /// The true answer.
    pub answer: String,
}

#[derive(Debug, Clone, Copy)]
enum Topic {
    Colour,
    Material,
    Shape,
    Size,
    Pattern,
    Confirm,
    Beside(Relation),
    Count,
}

/// Up to `count` different questions about an object.
pub fn questions(view: &View, object: usize, count: usize, rng: &mut ChaCha8Rng) -> Vec<Question> {
    let mut topics = vec![
        Topic::Colour,
        Topic::Material,
        Topic::Shape,
        Topic::Size,
        Topic::Pattern,
        Topic::Confirm,
        Topic::Count,
    ];
    topics.extend(Relation::ALL.map(Topic::Beside));
    topics.shuffle(rng);
    topics
        .into_iter()
        .filter_map(|topic| ask(view, object, topic, rng))
        .map(|(question, answer)| Question {
            object,
            question,
            answer,
        })
        .take(count)
        .collect()
}

fn ask(view: &View, object: usize, topic: Topic, rng: &mut ChaCha8Rng) -> Option<(String, String)> {
    let attributes = view.objects[object].attributes;
    let Attributes {
        size,
        colour,
        material,
        shape,
        pattern,
    } = attributes;
    let (question, answer) = match topic {
        Topic::Colour => (
            one_of(
                rng,
                &[
                    "What color is it?",
                    "What colour is it?",
                    "Which color does it have?",
                ],
            )
            .to_owned(),
            format!("It is {}.", colour.word()),
        ),
        Topic::Material => (
            one_of(rng, &["What is it made of?", "Which material is it?"]).to_owned(),
            format!("It is made of {}.", material.word()),
        ),
        Topic::Shape => (
            one_of(rng, &["What shape is it?", "Which shape does it have?"]).to_owned(),
            format!("It is {}.", with_article(shape.word())),
        ),
        Topic::Size => (
            one_of(
                rng,
                &[
                    "How big is it?",
                    "What size is it?",
                    "Is it small or large?",
                ],
            )
            .to_owned(),
            format!("It is {}.", size.word()),
        ),
        Topic::Pattern => (
            one_of(
                rng,
                &["What pattern does it have?", "Does it have a pattern?"],
            )
            .to_owned(),
            match pattern.noun() {
                Some(noun) => format!("It has {noun}."),
                None => "It is plain.".to_owned(),
            },
        ),
        Topic::Confirm => confirm(attributes, rng),
        Topic::Beside(relation) => {
            let ways: &[&'static str] = match relation {
                Relation::LeftOf => &["What is left of it?", "What is to the left of it?"],
                Relation::RightOf => &["What is right of it?", "What is to the right of it?"],
                Relation::InFrontOf => &["What is in front of it?"],
                Relation::Behind => &["What is behind it?"],
            };
            (
                one_of(rng, ways).to_owned(),
                beside(view, object, relation)?,
            )
        }
        Topic::Count => count(view, object, rng),
    };
    Some((question, answer))
}

/// A question that yes or no answers, each about half of the time.
fn confirm(attributes: Attributes, rng: &mut ChaCha8Rng) -> (String, String) {
    let honest = rng.random_bool(0.4);
    let (asked, actual) = match rng.random_range(0..5) {
        0 => (
            pick(Colour::ALL, attributes.colour, honest, rng).word(),
            attributes.colour.word(),
        ),
        1 => (
            pick(Material::ALL, attributes.material, honest, rng).word(),
            attributes.material.word(),
        ),
        2 => (
            pick(Size::ALL, attributes.size, honest, rng).word(),
            attributes.size.word(),
        ),
        3 => (
            pick(Pattern::ALL, attributes.pattern, honest, rng).word(),
            attributes.pattern.word(),
        ),
        _ => {
            let asked = with_article(pick(Shape::ALL, attributes.shape, honest, rng).word());
            let actual = with_article(attributes.shape.word());
            return (format!("Is it {asked}?"), confirmation(&asked, &actual));
        }
    };
    (format!("Is it {asked}?"), confirmation(asked, actual))
}

fn confirmation(asked: &str, actual: &str) -> String {
    let word = if asked == actual { "Yes" } else { "No" };
    format!("{word}, it is {actual}.")
}

fn pick<T: Copy>(all: &[T], actual: T, honest: bool, rng: &mut ChaCha8Rng) -> T {
    if honest {
        actual
    } else {
        all[rng.random_range(0..all.len())]
    }
}

/// What lies so to the object; `None` where that is unclear or too much to list.
fn beside(view: &View, object: usize, relation: Relation) -> Option<String> {
    let mut found = Vec::new();
    for other in 0..view.objects.len() {
        match view.relation(other, relation, object) {
            Truth::Yes if view.objects[other].askable => found.push(other),
            Truth::No => {}
            Truth::Yes | Truth::Unclear => return None,
        }
    }
    found.sort_by(|&a, &b| view.objects[a].x.total_cmp(&view.objects[b].x));
    let name = |other: usize| with_article(&category(view.objects[other].attributes));
    match *found.as_slice() {
        [] => Some("Nothing.".to_owned()),
        [one] => Some(format!("{}.", capitalised(&name(one)))),
        [one, two] => Some(format!("{} and {}.", capitalised(&name(one)), name(two))),
        _ => None,
    }
}

fn count(view: &View, object: usize, rng: &mut ChaCha8Rng) -> (String, String) {
    let own = view.objects[object].attributes;
    let others = |alike: &dyn Fn(&Attributes) -> bool| {
        let fitting = view.objects.iter().filter(|seen| alike(&seen.attributes));
        fitting.count() - 1
    };
    let (question, number) = match rng.random_range(0..3) {
        0 => (
            format!("How many other {} are there?", own.shape.plural()),
            others(&|seen| seen.shape == own.shape),
        ),
        1 => (
            format!("How many other {} things are there?", own.colour.word()),
            others(&|seen| seen.colour == own.colour),
        ),
        _ => (
            format!("How many other {} things are there?", own.material.word()),
            others(&|seen| seen.material == own.material),
        ),
    };
    let answer = match number {
        0 => "none".to_owned(),
        number => count_word(number),
    };
    (question, format!("{}.", capitalised(&answer)))
}
