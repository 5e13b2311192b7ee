//! A rendered scene with everything that is known and said about it.

use fclm_core::mask::Mask;
use image::RgbImage;
use rand::{Rng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::{
    coverage::Coverage,
    generate::stream,
    grammar::{
        Caption, Description, Question, ReferKind, Referring, caption, describe, questions,
        refer_detailed, refer_none, refer_several, refer_short,
    },
    render::render,
    scene::Scene,
    seeds::Seeds,
    view::{Relation, Truth, View},
    vocabulary::Attributes,
};

/// Side of the pictures that [`sample`] makes.
pub const DEFAULT_SIDE: u32 = 256;

/// The stream of a scene's seed that its texts are drawn from.
const TEXT_STREAM: u64 = 1;
const QUESTIONS_PER_OBJECT: usize = 4;
const SHORT_PER_OBJECT: usize = 2;
const SEVERAL_PER_SCENE: usize = 2;
const NONE_PER_SCENE: usize = 2;

/// A picture with the masks of its objects and all texts about them.
///
/// Objects are named by their index throughout. The masks are those of the ray through every
/// pixel's centre, so they never overlap.
#[derive(Debug, Clone)]
pub struct TrainingScene {
    /// The picture.
    pub image: RgbImage,
    /// The visible pixels of each object.
    pub masks: Vec<Mask>,
    /// What each object is.
    pub attributes: Vec<Attributes>,
    /// Share of each object that is not hidden behind another.
    pub visible: Vec<f32>,
    /// The scene as its expressions are evaluated on it.
    pub view: View,
    /// Everything that is said about it.
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
pub fn sample(seeds: Seeds, index: u64) -> TrainingScene {
    sample_sized(seeds, index, DEFAULT_SIDE, DEFAULT_SIDE)
}

/// As [`sample`], with pictures of another size.
///
/// # Panics
/// When a side is zero.
pub fn sample_sized(seeds: Seeds, index: u64, width: u32, height: u32) -> TrainingScene {
    let scene = Scene::generate(seeds.scene(index));
    let rendered = render(&scene, width, height);
    let view = View::new(&scene, &rendered.coverage);
    let annotations = annotate(&scene, &view);
    let objects = 0..scene.objects.len();
    TrainingScene {
        image: rendered.image,
        masks: masks(&rendered.coverage),
        attributes: scene
            .objects
            .iter()
            .map(|object| object.attributes)
            .collect(),
        visible: objects
            .map(|object| rendered.coverage.visible_share(object))
            .collect(),
        view,
        annotations,
    }
}

fn masks(coverage: &Coverage) -> Vec<Mask> {
    (0..coverage.visible.len())
        .map(|object| {
            let data = coverage
                .ids
                .iter()
                .map(|&id| u8::from(id as usize == object))
                .collect();
            Mask::from_data(coverage.width, coverage.height, data)
        })
        .collect()
}

fn annotate(scene: &Scene, view: &View) -> Annotations {
    let rng = &mut stream(scene.seed(), TEXT_STREAM);
    let asked: Vec<usize> = (0..view.objects.len())
        .filter(|&object| view.objects[object].askable)
        .collect();
    let descriptions: Vec<Description> = asked
        .iter()
        .filter_map(|&object| describe(view, object, rng))
        .collect();
    let mut refs = Vec::new();
    for &object in &asked {
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
        captions: vec![caption(view, scene.table_name(), rng)],
        questions: all_questions(view, &asked, rng),
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

impl TrainingScene {
    /// A random expression of a kind, where the scene has one.
    pub fn draw_ref(&self, kind: ReferKind, rng: &mut impl Rng) -> Option<&Referring> {
        let of_kind: Vec<&Referring> = self
            .annotations
            .refs
            .iter()
            .filter(|expression| expression.kind == kind)
            .collect();
        (!of_kind.is_empty()).then(|| of_kind[rng.random_range(0..of_kind.len())])
    }

    /// The union of the masks of some objects.
    pub fn union(&self, objects: &[usize]) -> Mask {
        let mut union = Mask::new(self.image.width(), self.image.height());
        for &object in objects {
            union.union_with(&self.masks[object]);
        }
        union
    }
}

#[cfg(test)]
mod tests {
    use super::{super::grammar::Reference, *};

    fn scenes() -> impl Iterator<Item = (TrainingScene, View)> {
        (0..120).map(|index| {
            let seeds = Seeds::public(5);
            let scene = Scene::generate(seeds.scene(index));
            let coverage = Coverage::of(&scene, 256, 256);
            let view = View::new(&scene, &coverage);
            let annotations = annotate(&scene, &view);
            let sample = TrainingScene {
                image: RgbImage::new(256, 256),
                masks: masks(&coverage),
                attributes: scene
                    .objects
                    .iter()
                    .map(|object| object.attributes)
                    .collect(),
                visible: (0..scene.objects.len())
                    .map(|o| coverage.visible_share(o))
                    .collect(),
                view: view.clone(),
                annotations,
            };
            (sample, view)
        })
    }

    #[test]
    fn every_expression_means_its_targets() {
        for (sample, view) in scenes() {
            for expression in &sample.annotations.refs {
                let meant = expression.reference.evaluate(&view);
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
            let objects = sample.attributes.len();
            assert_eq!(sample.annotations.descriptions.len(), objects);
            for description in &sample.annotations.descriptions {
                assert_eq!(
                    description.reference.single(&view),
                    Some(description.object)
                );
            }
        }
    }

    #[test]
    fn relations_distractors_and_visibility_keep_their_shares() {
        let (mut single, mut needed, mut distracted, mut all) = (0, 0, 0, 0);
        for (sample, view) in scenes() {
            all += 1;
            let repeated = sample.attributes.iter().enumerate().any(|(index, a)| {
                sample.attributes[..index]
                    .iter()
                    .any(|b| a.colour == b.colour)
            });
            distracted += usize::from(repeated);
            for expression in &sample.annotations.refs {
                if expression.targets.len() == 1 {
                    single += 1;
                    needed += usize::from(expression.reference.needs_relation(&view));
                }
                for &target in &expression.targets {
                    assert!(sample.masks[target].area() >= 150);
                    assert!(sample.visible[target] >= 0.3);
                }
            }
        }
        assert!(needed * 4 >= single, "{needed} of {single}");
        assert!(distracted * 10 >= all * 3, "{distracted} of {all}");
    }

    #[test]
    fn masks_do_not_overlap() {
        for (sample, _) in scenes().take(20) {
            let sum: u64 = sample.masks.iter().map(Mask::area).sum();
            let everything: Vec<usize> = (0..sample.masks.len()).collect();
            assert_eq!(sample.union(&everything).area(), sum);
        }
    }

    #[test]
    fn captions_point_at_their_phrases() {
        for (sample, _) in scenes() {
            for caption in &sample.annotations.captions {
                let mut named = Vec::new();
                let characters: Vec<char> = caption.text.chars().collect();
                for phrase in &caption.phrases {
                    let text: String = characters[phrase.start..phrase.end].iter().collect();
                    let said = super::super::grammar::parse_phrase(&text);
                    for &target in &phrase.targets {
                        assert!(said.matches(&sample.attributes[target]), "{text}");
                        named.push(target);
                    }
                }
                named.sort_unstable();
                assert!(
                    named.iter().copied().eq(0..sample.attributes.len()),
                    "{}",
                    caption.text
                );
            }
        }
    }

    #[test]
    fn the_language_stays_small() {
        let mut words = std::collections::BTreeSet::new();
        for (sample, _) in scenes() {
            let annotations = &sample.annotations;
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
        let (sample, view) = scenes().next().unwrap();
        let plain = Reference::default();
        assert!(!plain.needs_relation(&view));
        assert_eq!(
            plain.evaluate(&view).unwrap().len(),
            sample.attributes.len()
        );
    }
}
