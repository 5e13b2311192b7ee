//! Texts about one object: category, brief and detailed description.

use rand::{Rng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::{
    super::{
        view::{Relation, Side, Truth, View},
        vocabulary::Pattern,
    },
    expression::{Clause, Filter, Reference},
    words::{
        Number, body, capitalised, category, definite, nameable, noun_phrase, outermost_word,
        part_words, relation_words, with_article,
    },
};

/// What can be said about one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// The object, by its index in the scene.
    pub object: usize,
    /// "red metal cylinder".
    pub category: String,
    /// "a small red metal cylinder with stripes".
    pub brief: String,
    /// One or two sentences that fit no other object of the scene.
    pub detailed: String,
    /// What the detailed description says, for evaluating it.
    pub reference: Reference,
}

/// Describes an object; `None` where nothing would single it out.
pub fn describe(view: &View, object: usize, rng: &mut ChaCha8Rng) -> Option<Description> {
    let attributes = view.objects[object].attributes;
    let reference = singling_out(view, object, rng)?;
    let mut named = Filter::full(attributes);
    if attributes.pattern == Pattern::Plain {
        named.pattern = None;
    }
    let brief = with_article(&noun_phrase(&named, Number::Singular, rng));
    let detailed = detailed_text(&reference, rng);
    Some(Description {
        object,
        category: category(attributes),
        brief,
        detailed,
        reference,
    })
}

/// All attributes, the place in the picture and a relation to a neighbour, with more where that
/// would still fit another object.
fn singling_out(view: &View, object: usize, rng: &mut ChaCha8Rng) -> Option<Reference> {
    let filter = Filter::full(view.objects[object].attributes);
    let place = nameable(view.part_of(object)).map(Clause::In);
    let mut beside = relations_of(view, object, rng);
    beside.shuffle(rng);

    let mut attempts: Vec<Vec<Clause>> = Vec::new();
    for relation in &beside {
        attempts.push(place.iter().chain([relation]).cloned().collect());
    }
    for pair in beside.windows(2) {
        attempts.push(place.iter().chain(pair).cloned().collect());
    }
    let mut sides = Side::ALL;
    sides.shuffle(rng);
    for side in sides {
        let outermost = Clause::Outermost(side);
        attempts.extend(
            beside
                .iter()
                .map(|relation| vec![relation.clone(), outermost.clone()]),
        );
        attempts.push(place.iter().chain([&outermost]).cloned().collect());
    }
    if beside.is_empty() {
        attempts.insert(0, place.iter().cloned().collect());
    }
    attempts.extend(sides.map(|side| vec![Clause::Outermost(side)]));
    attempts
        .into_iter()
        .map(|clauses| Reference { filter, clauses })
        .find(|reference| reference.single(view) == Some(object))
}

/// Every clear relation of an object to another one that attributes alone name.
pub(crate) fn relations_of(view: &View, object: usize, rng: &mut ChaCha8Rng) -> Vec<Clause> {
    let mut clauses = Vec::new();
    for anchor in 0..view.objects.len() {
        let holding: Vec<Relation> = Relation::ALL
            .into_iter()
            .filter(|&relation| view.relation(object, relation, anchor) == Truth::Yes)
            .collect();
        if holding.is_empty() {
            continue;
        }
        let Some(name) = name_of(view, anchor, rng) else {
            continue;
        };
        clauses.extend(
            holding
                .into_iter()
                .map(|relation| Clause::Beside(relation, Box::new(name.clone()))),
        );
    }
    clauses
}

/// The shortest combination of attributes that singles an object out, its shape included where
/// that is no longer.
pub(crate) fn name_of(view: &View, object: usize, rng: &mut ChaCha8Rng) -> Option<Reference> {
    let names = names_of(view, object);
    let fewest = names.iter().map(|bits| bits.count_ones()).min()?;
    let mut best: Vec<u32> = names
        .into_iter()
        .filter(|bits| bits.count_ones() <= fewest + 1)
        .collect();
    best.shuffle(rng);
    const SHAPE: u32 = 1 << 4;
    best.sort_by_key(|bits| bits.count_ones() + 2 * u32::from(bits & SHAPE == 0));
    let filter = Filter::subset(view.objects[object].attributes, best[0]);
    Some(Reference::by(filter))
}

/// All combinations of attributes, as bits of [`Filter::subset`], that fit only this object.
pub(crate) fn names_of(view: &View, object: usize) -> Vec<u32> {
    let attributes = view.objects[object].attributes;
    (1..1u32 << Filter::ATTRIBUTES)
        .filter(|&bits| {
            let filter = Filter::subset(attributes, bits);
            let fitting = view
                .objects
                .iter()
                .filter(|seen| filter.matches(&seen.attributes));
            fitting.count() == 1
        })
        .collect()
}

fn detailed_text(reference: &Reference, rng: &mut ChaCha8Rng) -> String {
    let mut first = with_article(&noun_phrase(&reference.filter, Number::Singular, rng));
    let mut rest: Vec<String> = Vec::new();
    let mut outermost = None;
    for clause in &reference.clauses {
        match clause {
            Clause::In(part) => {
                first.push(' ');
                first.push_str(part_words(*part));
            }
            Clause::Beside(relation, anchor) => {
                rest.push(format!(
                    "{} {}",
                    relation_words(*relation, rng),
                    definite(anchor, rng)
                ));
            }
            Clause::Outermost(side) => outermost = Some(outermost_word(*side, rng)),
            Clause::Ranked(..) => {}
        }
    }
    let mut text = capitalised(&first);
    let related = rest.join(" and ");
    match (related.is_empty(), outermost) {
        (true, None) => text.push('.'),
        (true, Some(word)) => text.push_str(&format!(". It is the {word} one.")),
        (false, None) if rng.random_bool(0.5) => text.push_str(&format!(", {related}.")),
        (false, None) => text.push_str(&format!(". It is {related}.")),
        (false, Some(word)) => text.push_str(&format!(". It is the {word} one {related}.")),
    }
    text
}

/// A detailed description turned into a reference: "the small red cylinder ... behind the cube".
pub(crate) fn as_reference(reference: &Reference, rng: &mut ChaCha8Rng) -> String {
    format!("the {}", body(reference, Number::Singular, rng))
}
