//! A rendered scene with everything that is known and said about it.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{
    drawn::DrawnScene,
    generate::stream,
    grammar::{
        Caption, Description, Question, Referring, caption, describe, questions, refer_detailed,
        refer_none, refer_several, refer_short,
    },
    seeds::{SceneSeed, Seeds},
    view::{Relation, Truth, View},
};

/// Side of the pictures that [`sample`] makes.
pub const DEFAULT_SIDE: u32 = 256;

/// The stream of a scene's seed that its texts are drawn from.
const TEXT_STREAM: u64 = 1;
const QUESTIONS_PER_OBJECT: usize = 4;
const SHORT_PER_OBJECT: usize = 2;
const SEVERAL_PER_SCENE: usize = 2;
const NONE_PER_SCENE: usize = 2;

/// A rendered scene with all texts about it.
#[derive(Debug, Clone)]
pub struct AnnotatedScene {
    /// The picture and its objects.
    pub drawn: DrawnScene,
    /// Everything that is said about them.
    pub annotations: Annotations,
}

/// Texts about one scene. Only objects that can be seen well enough are asked about.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotations {
    /// Every clear relation between two objects: subject, relation, object.
    pub relations: Vec<(usize, Relation, usize)>,
    /// Category, brief and detailed description, per object.
    pub descriptions: Vec<Description>,
    /// Expressions of every kind.
    pub refs: Vec<Referring>,
    /// Grounded captions of the picture.
    pub captions: Vec<Caption>,
    /// Questions about single objects.
    pub questions: Vec<Question>,
}

/// Scene `index` of a series, rendered and annotated; the same arguments give the same scene.
pub fn sample(seeds: Seeds, index: u64) -> AnnotatedScene {
    sample_sized(seeds, index, DEFAULT_SIDE, DEFAULT_SIDE)
}

/// As [`sample`], with pictures of another size.
///
/// # Panics
/// When a side is zero.
pub fn sample_sized(seeds: Seeds, index: u64, width: u32, height: u32) -> AnnotatedScene {
    let seed = seeds.scene(index);
    let drawn = DrawnScene::new(seed, width, height);
    AnnotatedScene {
        annotations: annotate(&drawn, seed),
        drawn,
    }
}

fn annotate(drawn: &DrawnScene, seed: SceneSeed) -> Annotations {
    let rng = &mut stream(seed.value(), TEXT_STREAM);
    let view = &drawn.view;
    let asked = &drawn.askable;
    let descriptions: Vec<Description> = asked
        .iter()
        .filter_map(|&object| describe(view, object, rng))
        .collect();
    let mut refs = Vec::new();
    for &object in asked {
        add_new(&mut refs, SHORT_PER_OBJECT, || {
            refer_short(view, object, rng)
        });
    }
    refs.extend(
        descriptions
            .iter()
            .map(|description| refer_detailed(description, rng)),
    );
    add_new(&mut refs, SEVERAL_PER_SCENE, || refer_several(view, rng));
    add_new(&mut refs, NONE_PER_SCENE, || refer_none(view, rng));
    Annotations {
        relations: relations(view),
        descriptions,
        refs,
        captions: vec![caption(view, drawn.table, rng)],
        questions: all_questions(view, asked, rng),
    }
}

/// Adds up to `count` expressions whose texts are not there yet.
fn add_new(refs: &mut Vec<Referring>, count: usize, mut draw: impl FnMut() -> Option<Referring>) {
    for _ in 0..count {
        if let Some(new) = draw()
            && refs.iter().all(|old| old.text != new.text)
        {
            refs.push(new);
        }
    }
}

fn all_questions(view: &View, asked: &[usize], rng: &mut ChaCha8Rng) -> Vec<Question> {
    let mut all: Vec<Question> = asked
        .iter()
        .flat_map(|&object| questions(view, object, QUESTIONS_PER_OBJECT, rng))
        .collect();
    all.shuffle(rng);
    all
}

fn relations(view: &View) -> Vec<(usize, Relation, usize)> {
    let mut clear = Vec::new();
    for subject in 0..view.objects.len() {
        for object in 0..view.objects.len() {
            clear.extend(
                Relation::ALL
                    .into_iter()
                    .filter(|&relation| view.relation(subject, relation, object) == Truth::Yes)
                    .map(|relation| (subject, relation, object)),
            );
        }
    }
    clear
}

#[cfg(test)]
mod tests {
    use fclm_core::mask::Mask;
    use image::RgbImage;

    use super::{
        super::{
            coverage::Coverage,
            grammar::{ReferKind, Reference},
            render::Rendered,
            scene::Scene,
        },
        *,
    };

    /// Scenes without their pictures, which the texts do not need.
    fn scenes() -> impl Iterator<Item = AnnotatedScene> {
        (0..120).map(|index| {
            let seed = Seeds::public(5).scene(index);
            let scene = Scene::generate(seed);
            let rendered = Rendered {
                image: RgbImage::new(256, 256),
                coverage: Coverage::of(&scene, 256, 256),
            };
            let drawn = DrawnScene::of(&scene, rendered);
            AnnotatedScene {
                annotations: annotate(&drawn, seed),
                drawn,
            }
        })
    }

    #[test]
    fn every_expression_means_its_targets() {
        for AnnotatedScene { drawn, annotations } in scenes() {
            for expression in &annotations.refs {
                let meant = expression.reference.evaluate(&drawn.view);
                assert_eq!(
                    meant.as_ref(),
                    Some(&expression.targets),
                    "{}",
                    expression.text
                );
                let count = expression.targets.len();
                match expression.kind {
                    ReferKind::Short | ReferKind::Detailed => assert_eq!(count, 1),
                    ReferKind::Several => assert!(count >= 2),
                    ReferKind::None => assert_eq!(count, 0),
                }
            }
            let objects = drawn.view.objects.len();
            assert_eq!(annotations.descriptions.len(), objects);
            for description in &annotations.descriptions {
                assert_eq!(
                    description.reference.single(&drawn.view),
                    Some(description.object)
                );
            }
        }
    }

    #[test]
    fn relations_and_distractors_keep_their_shares() {
        let (mut single, mut needed, mut distracted, mut all) = (0, 0, 0, 0);
        for AnnotatedScene { drawn, annotations } in scenes() {
            all += 1;
            let objects = &drawn.view.objects;
            let repeated = objects.iter().enumerate().any(|(index, a)| {
                objects[..index]
                    .iter()
                    .any(|b| a.attributes.colour == b.attributes.colour)
            });
            distracted += usize::from(repeated);
            for expression in &annotations.refs {
                if expression.targets.len() == 1 {
                    single += 1;
                    needed += usize::from(expression.reference.needs_relation(&drawn.view));
                }
            }
        }
        assert!(needed * 4 >= single, "{needed} of {single}");
        assert!(distracted * 10 >= all * 3, "{distracted} of {all}");
    }

    /// "the small red cylinder" is there at least as often as not.
    #[test]
    fn length_does_not_tell_what_is_not_there() {
        let (mut there, mut absent) = (0, 0);
        for AnnotatedScene { annotations, .. } in scenes() {
            for expression in &annotations.refs {
                let is_plain = expression.reference.clauses.is_empty();
                if !is_plain || expression.text.split(' ').count() < 4 {
                    continue;
                }
                match expression.kind {
                    ReferKind::Short => there += 1,
                    ReferKind::None => absent += 1,
                    ReferKind::Detailed | ReferKind::Several => {}
                }
            }
        }
        assert!(absent > 0 && there >= absent, "{there} and {absent}");
    }

    #[test]
    fn whatever_is_asked_about_can_be_seen() {
        for AnnotatedScene { drawn, annotations } in scenes() {
            let expressions = annotations.refs.iter();
            let meant = expressions.flat_map(|expression| expression.targets.iter().copied());
            let described = annotations.descriptions.iter().map(|text| text.object);
            let questioned = annotations.questions.iter().map(|question| question.object);
            assert!(!annotations.descriptions.is_empty() && !annotations.questions.is_empty());
            for object in meant.chain(described).chain(questioned) {
                assert!(drawn.masks[object].area() >= 150);
                assert!(drawn.visible[object] >= 0.3);
            }
        }
    }

    #[test]
    fn masks_do_not_overlap() {
        for AnnotatedScene { drawn, .. } in scenes().take(20) {
            let sum: u64 = drawn.masks.iter().map(Mask::area).sum();
            let everything: Vec<usize> = (0..drawn.masks.len()).collect();
            assert_eq!(drawn.union(&everything).area(), sum);
        }
    }

    #[test]
    fn captions_point_at_their_phrases() {
        for AnnotatedScene { drawn, annotations } in scenes() {
            for caption in &annotations.captions {
                let mut named = Vec::new();
                let characters: Vec<char> = caption.text.chars().collect();
                for phrase in &caption.phrases {
                    let text: String = characters[phrase.start..phrase.end].iter().collect();
                    let said = super::super::grammar::parse_phrase(&text);
                    for &target in &phrase.targets {
                        assert!(
                            said.matches(&drawn.view.objects[target].attributes),
                            "{text}"
                        );
                        named.push(target);
                    }
                }
                named.sort_unstable();
                assert!(
                    named.iter().copied().eq(0..drawn.view.objects.len()),
                    "{}",
                    caption.text
                );
            }
        }
    }

    #[test]
    fn the_language_stays_small() {
        let mut words = std::collections::BTreeSet::new();
        for AnnotatedScene { annotations, .. } in scenes() {
            let texts =
                annotations
                    .refs
                    .iter()
                    .map(|expression| expression.text.as_str())
                    .chain(
                        annotations
                            .descriptions
                            .iter()
                            .map(|text| text.detailed.as_str()),
                    )
                    .chain(
                        annotations
                            .captions
                            .iter()
                            .map(|caption| caption.text.as_str()),
                    )
                    .chain(annotations.questions.iter().flat_map(|question| {
                        [question.question.as_str(), question.answer.as_str()]
                    }));
            for text in texts {
                words.extend(
                    text.to_lowercase()
                        .split(|c: char| !c.is_alphanumeric())
                        .map(str::to_owned),
                );
            }
        }
        assert!((60..250).contains(&words.len()), "{}", words.len());
    }

    #[test]
    fn an_expression_without_clauses_needs_no_relation() {
        let AnnotatedScene { drawn, .. } = scenes().next().unwrap();
        let plain = Reference::default();
        assert!(!plain.needs_relation(&drawn.view));
        assert_eq!(
            plain.evaluate(&drawn.view).unwrap().len(),
            drawn.view.objects.len()
        );
    }
}
