use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use fclm_core::fclm::prompt::{
    BRIEF_QUESTIONS, CAPTION_QUESTION, CATEGORY_QUESTIONS, DEFAULT_QUESTIONS, NOT_FOUND,
    REGION_PLACE, SEG, find, grounded,
};

use super::layout::{Turn, TurnKind};
use super::recipe::MixRecipe;
use crate::data::scenes::grammar::{
    Caption, Description, Referring, caption, category, describe, questions, refer_detailed,
    refer_none, refer_several, refer_short,
};
use crate::data::scenes::{DrawnScene, Seeds};

/// Side of the pictures behind the tokenizer's texts, which nobody looks at.
const CORPUS_SIDE: u32 = 128;
/// Share of the searches that mean several objects.
const SEVERAL_SHARE: f64 = 0.25;
/// Share of the searches for what is not there.
const NONE_SHARE: f64 = 0.2;
/// Chance that a question takes its canonical wording.
const CANONICAL: f64 = 0.5;
/// Chance that a question names its region where it says "it" rather than in front.
const NAMED_INSIDE: f64 = 0.2;
/// Chance that a text is typed without capitals and marks.
const CARELESS: f64 = 0.15;

/// A scene's conversations about its described regions and its searches, every one a first
/// question behind the picture, as the model is asked when it serves.
pub(super) fn conversations(
    drawn: &DrawnScene,
    described: &[Description],
    mix: &MixRecipe,
    rng: &mut ChaCha8Rng,
) -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::new();
    for (region, description) in described.iter().enumerate() {
        turns.extend(ask(drawn, region, description, mix.questions, rng));
    }
    for _ in 0..mix.finds {
        turns.extend(search(drawn, mix, rng));
    }
    if rng.random_bool(mix.caption_chance) {
        turns.push(caption_turn(&caption(&drawn.view, drawn.table, rng)));
    }
    turns
}

/// Up to `count` questions about one region with their answers.
fn ask(
    drawn: &DrawnScene,
    region: usize,
    description: &Description,
    count: usize,
    rng: &mut ChaCha8Rng,
) -> Vec<Turn> {
    let number = some_number(rng);
    let mut texts: Vec<(String, String, bool)> = vec![
        (
            wording(&CATEGORY_QUESTIONS, rng),
            description.category.clone(),
            true,
        ),
        (
            wording(&DEFAULT_QUESTIONS, rng),
            description.detailed.clone(),
            false,
        ),
    ];
    if rng.random_bool(0.4) {
        texts.push((
            wording(&BRIEF_QUESTIONS, rng),
            description.brief.clone(),
            false,
        ));
    }
    let asked = questions(&drawn.view, description.object, 2, rng);
    texts.extend(
        asked
            .into_iter()
            .map(|asked| (asked.question, asked.answer, false)),
    );
    // What a person asks is mostly one of the two, so both come often.
    let first = match rng.random::<f64>() {
        draw if draw < 0.35 => 0,
        draw if draw < 0.75 => 1,
        _ => rng.random_range(0..texts.len()),
    };
    texts.swap(0, first);
    texts[1..].shuffle(rng);
    texts
        .into_iter()
        .take(count)
        .map(|(question, answer, is_category)| Turn {
            kind: TurnKind::Describe {
                region,
                is_category,
            },
            question: with_place(&question, number, rng),
            answer,
        })
        .collect()
}

/// The number by which a person may have come to know a region, mostly the first.
pub(super) fn some_number(rng: &mut ChaCha8Rng) -> usize {
    if rng.random_bool(0.7) {
        1
    } else {
        rng.random_range(2..=6)
    }
}

/// One way to ask; the first is the one that the product itself asks.
pub(super) fn wording(ways: &[&str], rng: &mut ChaCha8Rng) -> String {
    let way = if rng.random_bool(CANONICAL) {
        ways.first()
    } else {
        ways.choose(rng)
    };
    way.copied().unwrap_or_default().to_owned()
}

/// The question with its region's place, in front or where it says "it" or "this".
pub(super) fn with_place(question: &str, number: usize, rng: &mut ChaCha8Rng) -> String {
    let question = careless(question, rng);
    let place = format!("@{number} {REGION_PLACE}");
    let named = rng
        .random_bool(NAMED_INSIDE)
        .then(|| naming(&question, &place))
        .flatten();
    named.unwrap_or_else(|| format!("{place} {question}"))
}

/// The question with `place` for its first "it", "this region" or "this".
fn naming(question: &str, place: &str) -> Option<String> {
    ["this region", "this", "it"].into_iter().find_map(|word| {
        let start = question.find(&format!(" {word}"))? + 1;
        let rest = &question[start + word.len()..];
        let is_word = !rest.starts_with(|next: char| next.is_alphanumeric());
        is_word.then(|| format!("{}{place}{rest}", &question[..start]))
    })
}

/// The text as somebody in a hurry types it, now and then.
pub(super) fn careless(text: &str, rng: &mut ChaCha8Rng) -> String {
    if !rng.random_bool(CARELESS) {
        return text.to_owned();
    }
    let text = text.to_lowercase();
    text.trim_end_matches(['?', '.']).to_owned()
}

/// One search: for one object, several, or something that is not there.
fn search(drawn: &DrawnScene, mix: &MixRecipe, rng: &mut ChaCha8Rng) -> Option<Turn> {
    let object = *drawn.askable.choose(rng)?;
    if rng.random_bool(mix.reversed_share) {
        let refer = refer_detailed(&describe(&drawn.view, object, rng)?, rng);
        return Some(single(object, &refer, rng));
    }
    let draw: f64 = rng.random();
    if draw < NONE_SHARE {
        if let Some(refer) = absent(drawn, rng) {
            return Some(Turn {
                kind: TurnKind::Find {
                    targets: Vec::new(),
                },
                question: find(&typed(&refer, rng)),
                answer: NOT_FOUND.to_owned(),
            });
        }
    } else if draw < NONE_SHARE + SEVERAL_SHARE
        && let Some(refer) = refer_several(&drawn.view, rng)
    {
        return Some(several(drawn, &refer, rng));
    }
    let refer = if rng.random_bool(mix.detailed_share) {
        refer_detailed(&describe(&drawn.view, object, rng)?, rng)
    } else {
        refer_short(&drawn.view, object, rng)?
    };
    Some(single(object, &refer, rng))
}

/// An expression for what is not there. Combinations that are held out of training are never shown,
/// so an expression that names one would teach that it does not exist.
fn absent(drawn: &DrawnScene, rng: &mut ChaCha8Rng) -> Option<Referring> {
    const TRIES: usize = 8;
    (0..TRIES)
        .filter_map(|_| refer_none(&drawn.view, rng))
        .find(|refer| !refer.reference.names_held_out())
}

fn single(object: usize, refer: &Referring, rng: &mut ChaCha8Rng) -> Turn {
    Turn {
        kind: TurnKind::Find {
            targets: vec![vec![object]],
        },
        question: find(&typed(refer, rng)),
        answer: SEG.to_owned(),
    }
}

/// An expression as people type it: now and then without its article or its capitals.
fn typed(refer: &Referring, rng: &mut ChaCha8Rng) -> String {
    let text = careless(&refer.text, rng);
    match text.strip_prefix("the ") {
        Some(bare) if rng.random_bool(CARELESS) => bare.to_owned(),
        _ => text,
    }
}

/// Several targets, from left to right, each with its category as the phrase.
fn several(drawn: &DrawnScene, refer: &Referring, rng: &mut ChaCha8Rng) -> Turn {
    let mut targets = refer.targets.clone();
    let left = |object: usize| drawn.masks[object].centroid().map_or(0.0, |(x, _)| x);
    targets.sort_by(|&a, &b| left(a).total_cmp(&left(b)));
    let phrases: Vec<String> = targets
        .iter()
        .map(|&object| grounded(&category(drawn.view.objects[object].attributes)))
        .collect();
    Turn {
        kind: TurnKind::Find {
            targets: targets.iter().map(|&object| vec![object]).collect(),
        },
        question: find(&typed(refer, rng)),
        answer: phrases.join(", "),
    }
}

/// A caption whose phrases are marked, each with its mask.
fn caption_turn(caption: &Caption) -> Turn {
    let mut answer = String::new();
    let mut targets = Vec::new();
    let mut at = 0;
    let characters: Vec<char> = caption.text.chars().collect();
    for phrase in &caption.phrases {
        answer.extend(&characters[at..phrase.start]);
        let text: String = characters[phrase.start..phrase.end].iter().collect();
        answer.push_str(&grounded(&text));
        targets.push(phrase.targets.clone());
        at = phrase.end;
    }
    answer.extend(&characters[at..]);
    Turn {
        kind: TurnKind::Find { targets },
        question: CAPTION_QUESTION.to_owned(),
        answer,
    }
}

/// Texts like those of training, for the tokenizer.
pub(super) fn corpus(
    seed: u64,
    scenes: u64,
    mix: MixRecipe,
) -> impl Iterator<Item = String> + Send {
    let seeds = Seeds::training(seed);
    (0..scenes).flat_map(move |index| {
        let seed = seeds.scene(index);
        let mut rng = ChaCha8Rng::seed_from_u64(seed.value());
        let drawn = DrawnScene::new(seed, CORPUS_SIDE, CORPUS_SIDE);
        let described: Vec<Description> = drawn
            .askable
            .iter()
            .filter_map(|&object| describe(&drawn.view, object, &mut rng))
            .collect();
        let turns = conversations(&drawn, &described, &mix, &mut rng);
        let mut texts = vec!["user\nassistant\n".to_owned()];
        texts.extend(
            turns
                .into_iter()
                .flat_map(|turn| [turn.question, turn.answer]),
        );
        texts
    })
}

#[cfg(test)]
mod tests {
    use fclm_core::fclm::prompt::{CATEGORY_QUESTION, DEFAULT_QUESTION, with_regions};

    use super::*;

    const MIX: MixRecipe = MixRecipe {
        regions: 2,
        questions: 3,
        finds: 12,
        reversed_share: 0.0,
        detailed_share: 0.3,
        caption_chance: 1.0,
        extra_reconstructions: 1,
        prompts: 2,
        refinements: 1,
    };

    fn turns(index: u64, mix: &MixRecipe) -> (DrawnScene, Vec<Turn>) {
        let seed = Seeds::training(3).scene(index);
        let mut rng = ChaCha8Rng::seed_from_u64(seed.value());
        let drawn = DrawnScene::new(seed, 256, 256);
        let described: Vec<Description> = drawn
            .askable
            .iter()
            .filter_map(|&object| describe(&drawn.view, object, &mut rng))
            .take(mix.regions)
            .collect();
        let turns = conversations(&drawn, &described, mix, &mut rng);
        (drawn, turns)
    }

    #[test]
    fn questions_name_their_region_once_as_the_product_writes_it() {
        let place = format!("@3 {REGION_PLACE}");
        for question in [CATEGORY_QUESTION, DEFAULT_QUESTION, "What color is it?"] {
            let named = naming(question, &place).unwrap();
            let asked = named.replace(&place, "@3");
            assert_eq!(with_regions(&asked, &[3], &[]), (named, vec![3]));
            let in_front = format!("{place} {question}");
            assert_eq!(with_regions(question, &[3], &[]), (in_front, vec![3]));
        }
        assert_eq!(naming("Is its item cubic?", &place), None);
        for index in 0..8 {
            for turn in turns(index, &MIX).1 {
                let places = turn.question.matches(REGION_PLACE).count();
                let wanted = usize::from(matches!(turn.kind, TurnKind::Describe { .. }));
                assert_eq!(places, wanted, "{}", turn.question);
            }
        }
    }

    #[test]
    fn every_mask_of_an_answer_has_its_objects() {
        let mut kinds = [0; 3];
        for index in 0..8 {
            let (drawn, turns) = turns(index, &MIX);
            for turn in turns {
                let TurnKind::Find { targets } = &turn.kind else {
                    continue;
                };
                assert_eq!(turn.answer.matches(SEG).count(), targets.len());
                assert_eq!(turn.answer == NOT_FOUND, targets.is_empty());
                assert!(
                    targets
                        .iter()
                        .flatten()
                        .all(|&o| !drawn.masks[o].is_empty())
                );
                kinds[targets.len().min(2)] += 1;
            }
        }
        assert!(kinds.iter().all(|&count| count > 0), "{kinds:?}");
    }

    #[test]
    fn reversed_descriptions_single_one_object_out() {
        let mix = MixRecipe {
            regions: 0,
            reversed_share: 1.0,
            caption_chance: 0.0,
            ..MIX
        };
        let (_, turns) = turns(1, &mix);
        assert_eq!(turns.len(), mix.finds);
        assert!(turns.iter().all(|turn| turn.answer == SEG));
    }
}
