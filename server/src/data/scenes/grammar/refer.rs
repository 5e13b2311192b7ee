//! Expressions that refer to one object, to several or to none.

use rand::{
    Rng,
    seq::{IndexedRandom, SliceRandom},
};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{
    super::{
        view::{Relation, Side, Truth, View},
        vocabulary::{Attributes, Colour, Material, Pattern, Shape, Size},
    },
    describe::{Description, as_reference, name_of, names_of, relations_of},
    expression::{Clause, Filter, Reference},
    words::{Number, body, count_word, definite, is_ordinal, nameable, one_of},
};

/// What an expression is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReferKind {
    /// A few words that single one object out.
    Short,
    /// A whole description that singles one object out.
    Detailed,
    /// Several objects.
    Several,
    /// Something plausible that is not there.
    None,
}

/// An expression with the objects that it means.
#[derive(Debug, Clone, PartialEq)]
pub struct Referring {
    /// What somebody would type.
    pub text: String,
    /// What it is like.
    pub kind: ReferKind,
    /// Indices of the objects, in order; empty for [`ReferKind::None`].
    pub targets: Vec<usize>,
    /// What the text says, for evaluating it.
    pub reference: Reference,
}

/// Share of the expressions by attributes alone that name more of them than are needed.
const AT_LENGTH: f64 = 0.5;

/// A way to single an object out.
type Way = fn(&View, usize, &mut ChaCha8Rng) -> Option<Reference>;

/// A short expression for one object.
///
/// Often it names a relation although attributes would do, so that relations are learnt.
pub fn refer_short(view: &View, object: usize, rng: &mut ChaCha8Rng) -> Option<Referring> {
    const WAYS: [Way; 5] = [by_attributes, by_relation, by_side, by_rank, by_part];
    let draw: f32 = rng.random();
    let first = match draw {
        _ if draw < 0.48 => 1,
        _ if draw < 0.57 => 2,
        _ if draw < 0.60 => 3,
        _ if draw < 0.66 => 4,
        _ => 0,
    };
    let reference = [first, 0, 1, 2, 3, 4]
        .into_iter()
        .find_map(|way| WAYS[way](view, object, rng))?;
    let text = definite(&reference, rng);
    Some(Referring {
        text,
        kind: ReferKind::Short,
        targets: vec![object],
        reference,
    })
}

/// A detailed expression: the description itself, or the same turned into a reference.
pub fn refer_detailed(description: &Description, rng: &mut ChaCha8Rng) -> Referring {
    let reference = description.reference.clone();
    let text = if rng.random_bool(0.5) {
        description.detailed.clone()
    } else {
        as_reference(&reference, rng)
    };
    Referring {
        text,
        kind: ReferKind::Detailed,
        targets: vec![description.object],
        reference,
    }
}

/// An expression that means two objects or more.
pub fn refer_several(view: &View, rng: &mut ChaCha8Rng) -> Option<Referring> {
    for _ in 0..24 {
        let seed = rng.random_range(0..view.objects.len());
        let bits = one_or_two_bits(rng);
        let filter = Filter::subset(view.objects[seed].attributes, bits);
        let mut reference = Reference::by(filter);
        if rng.random_bool(0.45) {
            if rng.random_bool(0.5) {
                reference.filter = Filter::default();
            }
            let relations = relations_of(view, seed, rng);
            reference.clauses.extend(relations.choose(rng).cloned());
        }
        let Some(targets) = reference.evaluate(view) else {
            continue;
        };
        let seen = targets.iter().all(|&target| view.objects[target].askable);
        if targets.len() < 2 || !seen {
            continue;
        }
        let text = plural_text(&reference, Some(targets.len()), rng);
        return Some(Referring {
            text,
            kind: ReferKind::Several,
            targets,
            reference,
        });
    }
    None
}

/// An expression for something that could be there and is not.
pub fn refer_none(view: &View, rng: &mut ChaCha8Rng) -> Option<Referring> {
    for _ in 0..32 {
        let near = view.objects.choose(rng)?.attributes;
        let mut reference = Reference::by(Filter::subset(near, bits_with_shape(rng)));
        if rng.random_bool(0.5) {
            // The thing is there, but not where the expression says.
            let anchor = rng.random_range(0..view.objects.len());
            let Some(name) = name_of(view, anchor, rng) else {
                continue;
            };
            // "The cube left of the cube" would give itself away.
            if reference.filter.matches(&view.objects[anchor].attributes) {
                continue;
            }
            let relation = *Relation::ALL.choose(rng)?;
            reference
                .clauses
                .push(Clause::Beside(relation, Box::new(name)));
        } else {
            alter(&mut reference.filter, rng);
        }
        if !reference
            .evaluate(view)
            .is_some_and(|targets| targets.is_empty())
        {
            continue;
        }
        let text = if rng.random_bool(0.8) {
            definite(&reference, rng)
        } else {
            plural_text(&reference, None, rng)
        };
        return Some(Referring {
            text,
            kind: ReferKind::None,
            targets: Vec::new(),
            reference,
        });
    }
    None
}

fn plural_text(reference: &Reference, count: Option<usize>, rng: &mut ChaCha8Rng) -> String {
    let plain = one_of(rng, &["all", "all the", "the"]);
    let determiner = match count {
        Some(2) if rng.random_bool(0.25) => "both".to_owned(),
        Some(count) if rng.random_bool(0.35) => format!("the {}", count_word(count)),
        _ if rng.random_bool(0.25) => {
            return format!("every {}", body(reference, Number::Singular, rng));
        }
        _ => plain.to_owned(),
    };
    format!("{determiner} {}", body(reference, Number::Plural, rng))
}

fn one_or_two_bits(rng: &mut ChaCha8Rng) -> u32 {
    // Colour, material and shape are what people sort things by first.
    const USUAL: [u32; 8] = [1, 1, 3, 4, 4, 4, 2, 0];
    let mut bits = 1 << USUAL.choose(rng).expect("a fixed list");
    if rng.random_bool(0.5) {
        bits |= 1 << USUAL.choose(rng).expect("a fixed list");
    }
    bits
}

fn bits_with_shape(rng: &mut ChaCha8Rng) -> u32 {
    let mut bits = if rng.random_bool(0.85) { 1 << 4 } else { 0 };
    for (bit, chance) in [(0, 0.3), (1, 0.75), (2, 0.2), (3, 0.4)] {
        bits |= u32::from(rng.random_bool(chance)) << bit;
    }
    if bits & !(1 << 4) == 0 {
        bits | 1 << 1
    } else {
        bits
    }
}

/// Changes one attribute that the filter names.
fn alter(filter: &mut Filter, rng: &mut ChaCha8Rng) {
    let named: Vec<usize> = [
        filter.size.is_some(),
        filter.colour.is_some(),
        filter.pattern.is_some(),
        filter.material.is_some(),
        filter.shape.is_some(),
    ]
    .iter()
    .enumerate()
    .filter_map(|(bit, &named)| named.then_some(bit))
    .collect();
    match named.choose(rng) {
        Some(0) => filter.size = Size::ALL.choose(rng).copied(),
        Some(1) => filter.colour = Colour::ALL.choose(rng).copied(),
        Some(2) => filter.pattern = Pattern::ALL.choose(rng).copied(),
        Some(3) => filter.material = Material::ALL.choose(rng).copied(),
        _ => filter.shape = Shape::ALL.choose(rng).copied(),
    }
}

/// A shortest combination of attributes, sometimes with one more than needed, often with as many as
/// [`refer_none`] names. People say more than is needed, and if only what is not there were called
/// "the small red cylinder", the length of a text would tell whether it is.
fn by_attributes(view: &View, object: usize, rng: &mut ChaCha8Rng) -> Option<Reference> {
    let names = names_of(view, object);
    let fewest = names.iter().map(|bits| bits.count_ones()).min()?;
    if rng.random_bool(AT_LENGTH) {
        let shortest = names.iter().filter(|bits| bits.count_ones() == fewest);
        let needed = *shortest.collect::<Vec<_>>().choose(rng)?;
        let bits = needed | bits_with_shape(rng);
        let filter = Filter::subset(view.objects[object].attributes, bits);
        return Some(Reference::by(filter));
    }
    let length = fewest + u32::from(rng.random_bool(0.35));
    let fitting = |length: u32| -> Vec<u32> {
        names
            .iter()
            .copied()
            .filter(|bits| bits.count_ones() == length)
            .collect()
    };
    let mut choices = fitting(length);
    if choices.is_empty() {
        choices = fitting(fewest);
    }
    let with_shape: Vec<u32> = choices
        .iter()
        .copied()
        .filter(|bits| bits & (1 << 4) != 0)
        .collect();
    if !with_shape.is_empty() && rng.random_bool(0.7) {
        choices = with_shape;
    }
    let bits = *choices.choose(rng)?;
    Some(Reference::by(Filter::subset(
        view.objects[object].attributes,
        bits,
    )))
}

/// A relation that is needed: without it the expression would fit another object too.
fn by_relation(view: &View, object: usize, rng: &mut ChaCha8Rng) -> Option<Reference> {
    let mut relations = relations_of(view, object, rng);
    relations.shuffle(rng);
    let heads = ambiguous_heads(view, object, rng);
    relations.into_iter().find_map(|relation| {
        heads.iter().find_map(|&filter| {
            let reference = Reference {
                filter,
                clauses: vec![relation.clone()],
            };
            (reference.single(view) == Some(object)).then_some(reference)
        })
    })
}

fn by_side(view: &View, object: usize, rng: &mut ChaCha8Rng) -> Option<Reference> {
    let mut sides = Side::ALL;
    sides.shuffle(rng);
    ambiguous_heads(view, object, rng)
        .into_iter()
        .find_map(|filter| {
            sides.into_iter().find_map(|side| {
                let reference = Reference {
                    filter,
                    clauses: vec![Clause::Outermost(side)],
                };
                (reference.single(view) == Some(object)).then_some(reference)
            })
        })
}

/// "the second cube from the left", among three or more.
fn by_rank(view: &View, object: usize, rng: &mut ChaCha8Rng) -> Option<Reference> {
    let side = if rng.random_bool(0.5) {
        Side::Left
    } else {
        Side::Right
    };
    ambiguous_heads(view, object, rng)
        .into_iter()
        .find_map(|filter| {
            let among = Reference::by(filter).evaluate(view)?;
            if among.len() < 3 {
                return None;
            }
            let rank = view
                .ranked(&among, side)?
                .iter()
                .position(|&other| other == object)
                .filter(|&rank| is_ordinal(rank))?;
            let reference = Reference {
                filter,
                clauses: vec![Clause::Ranked(rank, side)],
            };
            (reference.single(view) == Some(object)).then_some(reference)
        })
}

fn by_part(view: &View, object: usize, rng: &mut ChaCha8Rng) -> Option<Reference> {
    let part =
        nameable(view.part_of(object)).filter(|part| view.part(object, *part) == Truth::Yes)?;
    ambiguous_heads(view, object, rng)
        .into_iter()
        .find_map(|filter| {
            let reference = Reference {
                filter,
                clauses: vec![Clause::In(part)],
            };
            (reference.single(view) == Some(object)).then_some(reference)
        })
}

/// Short combinations of attributes that fit the object and others too, in random order but
/// those with a shape first.
fn ambiguous_heads(view: &View, object: usize, rng: &mut ChaCha8Rng) -> Vec<Filter> {
    let attributes: Attributes = view.objects[object].attributes;
    let mut heads: Vec<(u32, u32)> = (1..1u32 << Filter::ATTRIBUTES)
        .filter(|&bits| {
            let filter = Filter::subset(attributes, bits);
            view.objects
                .iter()
                .filter(|seen| filter.matches(&seen.attributes))
                .count()
                > 1
        })
        .map(|bits| {
            let shapeless = 2 * u32::from(bits & (1 << 4) == 0);
            (bits.count_ones() + shapeless + rng.random_range(0..3), bits)
        })
        .collect();
    heads.sort_unstable();
    let mut filters: Vec<Filter> = heads
        .into_iter()
        .map(|(_, bits)| Filter::subset(attributes, bits))
        .collect();
    // "the thing behind the cube" fits where nothing is shared.
    filters.push(Filter::default());
    filters
}
