use std::sync::Arc;

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use fclm_core::fclm::prompt::{
    BRIEF_QUESTION, CAPTION_QUESTION, CATEGORY_QUESTION, DEFAULT_QUESTION, NOT_FOUND, REGION_PLACE,
    SEG, find, grounded,
};
use fclm_core::fclm::{FclmConfig, FclmTokenizer};
use fclm_core::image::geometry;
use fclm_core::mask::Mask;
use fclm_core::qwen::{self, GridThw};
use fclm_core::region::prepare_region;
use fclm_core::sam;

use super::batch::{HostScene, MaskTarget, Prompt, PromptTarget};
use super::error::TrainError;
use super::layout::{Packer, Turn, TurnKind};
use super::recipe::{BatchRecipe, Recipe};
use crate::data::scenes::grammar::{
    Caption, Description, Referring, caption, describe, questions, refer_detailed, refer_none,
    refer_several, refer_short,
};
use crate::data::scenes::{Scene, Seeds, View, render};

/// Side of a training picture in pixels.
const SIDE: u32 = 256;
/// Share of the searches that mean several objects.
const SEVERAL_SHARE: f64 = 0.15;
/// Share of the searches for what is not there.
const NONE_SHARE: f64 = 0.12;
/// Chance that a conversation about a region goes on with a search.
const FIND_AFTER_ASK: f64 = 0.15;
/// How far a box prompt's corners move, as a share of its sides.
const BOX_JITTER: f32 = 0.08;

/// Draws training scenes: the same index always gives the same sample.
#[derive(Debug, Clone)]
pub(super) struct Sampler {
    seeds: Seeds,
    batch: BatchRecipe,
    config: Arc<FclmConfig>,
    packer: Arc<Packer>,
    grid: GridThw,
}

/// A rendered scene with what its sampler needs to know.
struct Drawn {
    view: View,
    image: image::RgbImage,
    masks: Vec<Mask>,
    table: &'static str,
    /// Objects that may be asked about.
    askable: Vec<usize>,
}

impl Sampler {
    pub(super) fn new(
        recipe: &Recipe,
        tokenizer: &FclmTokenizer,
        template: &str,
    ) -> Result<Self, TrainError> {
        let config = recipe.model.clone();
        let blank = image::RgbImage::new(SIDE, SIDE);
        let (_, grid) = preprocess(&blank, &config)?;
        Ok(Self {
            seeds: Seeds::training(recipe.seed),
            batch: recipe.batch,
            config: Arc::new(config),
            packer: Arc::new(Packer::new(template, tokenizer)?),
            grid,
        })
    }

    /// Patches of a training picture.
    pub(super) fn grid(&self) -> GridThw {
        self.grid
    }

    /// Scene `index` of the stream, as scene `place` of a batch.
    pub(super) fn scene(
        &self,
        index: u64,
        place: usize,
        detailed_share: f64,
    ) -> Result<HostScene, TrainError> {
        let seed = self.seeds.scene(index);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let drawn = Drawn::new(seed);
        let described = self.choose_regions(&drawn, &mut rng);
        let mut conversations: Vec<Vec<Turn>> = described
            .iter()
            .enumerate()
            .map(|(region, description)| {
                self.ask(&drawn, region, description, detailed_share, &mut rng)
            })
            .collect();
        for _ in 0..self.batch.finds {
            conversations.extend(search(&drawn, detailed_share, &mut rng).map(|turn| vec![turn]));
        }
        if rng.random_bool(self.batch.caption_chance) {
            let caption = caption(&drawn.view, drawn.table, &mut rng);
            conversations.push(vec![caption_turn(&caption)]);
        }
        self.prepare(drawn, &described, &conversations, place, &mut rng)
    }

    /// The objects whose regions are described, each with its description.
    fn choose_regions(&self, drawn: &Drawn, rng: &mut ChaCha8Rng) -> Vec<Description> {
        let mut order = drawn.askable.clone();
        rand::seq::SliceRandom::shuffle(order.as_mut_slice(), rng);
        order
            .into_iter()
            .filter_map(|object| describe(&drawn.view, object, rng))
            .take(self.batch.regions)
            .collect()
    }

    /// A conversation about one region.
    fn ask(
        &self,
        drawn: &Drawn,
        region: usize,
        description: &Description,
        detailed_share: f64,
        rng: &mut ChaCha8Rng,
    ) -> Vec<Turn> {
        let number = if rng.random_bool(0.7) {
            1
        } else {
            rng.random_range(2..=6)
        };
        let mut texts: Vec<(String, String)> = vec![
            (CATEGORY_QUESTION.to_owned(), description.category.clone()),
            (DEFAULT_QUESTION.to_owned(), description.detailed.clone()),
        ];
        if rng.random_bool(0.4) {
            texts.push((BRIEF_QUESTION.to_owned(), description.brief.clone()));
        }
        let asked = questions(&drawn.view, description.object, 2, rng);
        texts.extend(
            asked
                .into_iter()
                .map(|asked| (asked.question, asked.answer)),
        );
        // What a person asks first is mostly one of the two, so both come first often.
        let first = match rng.random::<f64>() {
            draw if draw < 0.4 => 0,
            draw if draw < 0.75 => 1,
            _ => rng.random_range(0..texts.len()),
        };
        let mut turns = Vec::new();
        let mut next = Some(first);
        while let Some(index) = next {
            let (question, answer) = texts.swap_remove(index);
            let place = if turns.is_empty() {
                format!(" {REGION_PLACE}")
            } else {
                String::new()
            };
            turns.push(Turn {
                kind: TurnKind::Describe { region },
                question: format!("@{number}{place} {question}"),
                answer,
            });
            let more = turns.len() < self.batch.turns_per_region && !texts.is_empty();
            next = more.then(|| rng.random_range(0..texts.len()));
        }
        if rng.random_bool(FIND_AFTER_ASK) {
            turns.extend(search(drawn, detailed_share, rng));
        }
        turns
    }

    fn prepare(
        &self,
        drawn: Drawn,
        described: &[Description],
        conversations: &[Vec<Turn>],
        place: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<HostScene, TrainError> {
        let config = &*self.config;
        let merge = config.qwen.vision.spatial_merge_size;
        let packed = self
            .packer
            .pack(conversations, [self.grid.h / merge, self.grid.w / merge])?;
        let target = |objects: &[usize]| self.target(&drawn, objects, place);
        let regions = described
            .iter()
            .filter_map(|description| {
                prepare_region(
                    &drawn.image,
                    &drawn.masks[description.object],
                    &config.sam,
                    &config.region,
                )
            })
            .collect();
        let extra: Vec<usize> = drawn
            .askable
            .choose_multiple(rng, self.batch.extra_reconstructions)
            .copied()
            .collect();
        let prompts = (0..self.batch.prompts)
            .filter_map(|number| self.prompt(&drawn, number, place, rng))
            .collect();
        let (qwen_pixels, _) = preprocess(&drawn.image, config)?;
        Ok(HostScene {
            sam_pixels: sam::preprocess(&drawn.image, &config.sam).pixels,
            qwen_pixels,
            regions,
            described: described
                .iter()
                .map(|description| target(&[description.object]))
                .collect(),
            extra: extra.iter().map(|&object| target(&[object])).collect(),
            grounds: packed
                .grounds
                .iter()
                .map(|(_, objects)| target(objects))
                .collect(),
            prompts,
            packed,
        })
    }

    /// What the union of some objects looks like to the position branch and to the mask loss.
    fn target(&self, drawn: &Drawn, objects: &[usize], scene: usize) -> MaskTarget {
        let mut mask = Mask::new(SIDE, SIDE);
        objects
            .iter()
            .for_each(|&object| mask.union_with(&drawn.masks[object]));
        let side = self.config.region.mask_side as u32;
        let mut shape = mask.area_average(side, side);
        let bounds = mask
            .bounds()
            .unwrap_or([0.0, 0.0, SIDE as f32, SIDE as f32]);
        shape.extend(geometry::box_center_size_normalised(bounds, SIDE, SIDE));
        MaskTarget {
            scene,
            shape,
            coverage: self.coverage(&mask),
        }
    }

    fn coverage(&self, mask: &Mask) -> Vec<f32> {
        let side = self.config.sam.low_res_size() as u32;
        mask.area_average(side, side)
    }

    /// A box with moved corners, or a point on the object, by turns.
    fn prompt(
        &self,
        drawn: &Drawn,
        number: usize,
        scene: usize,
        rng: &mut ChaCha8Rng,
    ) -> Option<PromptTarget> {
        let mask = &drawn.masks[*drawn.askable.choose(rng)?];
        let bounds = mask.bounds()?;
        let scale = self.config.sam.image_size as f32 / SIDE as f32;
        let prompt = if number.is_multiple_of(2) {
            let [x0, y0, x1, y1] = bounds;
            let (width, height) = (x1 - x0, y1 - y0);
            let mut moved = |value: f32, side: f32| {
                let moved = value + rng.random_range(-BOX_JITTER..=BOX_JITTER) * side;
                moved.clamp(0.0, SIDE as f32) * scale
            };
            Prompt::Box([
                moved(x0, width),
                moved(y0, height),
                moved(x1, width),
                moved(y1, height),
            ])
        } else {
            let [x, y] = point_on(mask, bounds, rng)?;
            Prompt::Point([x * scale, y * scale])
        };
        Some(PromptTarget {
            scene,
            prompt,
            coverage: self.coverage(mask),
        })
    }
}

impl Drawn {
    fn new(seed: u64) -> Self {
        let scene = Scene::generate(seed);
        let rendered = render(&scene, SIDE, SIDE);
        let view = View::new(&scene, &rendered.coverage);
        let masks = (0..scene.objects.len())
            .map(|object| {
                Mask::from_fn(SIDE, SIDE, |x, y| {
                    rendered.coverage.ids[(y * SIDE + x) as usize] as usize == object
                })
            })
            .collect();
        let askable = (0..view.objects.len())
            .filter(|&index| view.objects[index].askable)
            .collect();
        Self {
            table: scene.table_name(),
            view,
            image: rendered.image,
            masks,
            askable,
        }
    }
}

/// Texts like those of training, for the tokenizer.
pub(super) fn corpus(seed: u64, scenes: u64) -> impl Iterator<Item = String> + Send {
    let seeds = Seeds::training(seed);
    (0..scenes).flat_map(move |index| {
        let seed = seeds.scene(index);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let drawn = Drawn::new(seed);
        let mut texts = vec![
            CATEGORY_QUESTION.to_owned(),
            BRIEF_QUESTION.to_owned(),
            DEFAULT_QUESTION.to_owned(),
            CAPTION_QUESTION.to_owned(),
            NOT_FOUND.to_owned(),
            "user\nassistant\n".to_owned(),
            format!("@{} ", rng.random_range(1..=6)),
        ];
        for &object in &drawn.askable {
            texts.extend(
                describe(&drawn.view, object, &mut rng)
                    .into_iter()
                    .flat_map(|text| [text.category.clone(), text.brief.clone(), text.detailed]),
            );
            let asked = questions(&drawn.view, object, 4, &mut rng);
            texts.extend(
                asked
                    .into_iter()
                    .flat_map(|asked| [asked.question, asked.answer]),
            );
        }
        for _ in 0..4 {
            texts.extend(search(&drawn, 0.3, &mut rng).map(|turn| turn.question));
        }
        let caption = caption(&drawn.view, drawn.table, &mut rng);
        texts.push(caption.text);
        texts
    })
}

/// One search: for one object, several, or something that is not there.
fn search(drawn: &Drawn, detailed_share: f64, rng: &mut ChaCha8Rng) -> Option<Turn> {
    let draw: f64 = rng.random();
    if draw < NONE_SHARE {
        if let Some(refer) = refer_none(&drawn.view, rng) {
            return Some(Turn {
                kind: TurnKind::Find {
                    targets: Vec::new(),
                },
                question: find(&refer.text),
                answer: NOT_FOUND.to_owned(),
            });
        }
    } else if draw < NONE_SHARE + SEVERAL_SHARE
        && let Some(refer) = refer_several(&drawn.view, rng)
    {
        return Some(several(drawn, &refer));
    }
    let object = *drawn.askable.choose(rng)?;
    let refer = if rng.random_bool(detailed_share) {
        refer_detailed(&describe(&drawn.view, object, rng)?, rng)
    } else {
        refer_short(&drawn.view, object, rng)?
    };
    Some(Turn {
        kind: TurnKind::Find {
            targets: vec![vec![object]],
        },
        question: find(&refer.text),
        answer: SEG.to_owned(),
    })
}

/// Several targets, from left to right, each with its category as the phrase.
fn several(drawn: &Drawn, refer: &Referring) -> Turn {
    let mut targets = refer.targets.clone();
    let left = |object: usize| drawn.masks[object].centroid().map_or(0.0, |(x, _)| x);
    targets.sort_by(|&a, &b| left(a).total_cmp(&left(b)));
    let phrases: Vec<String> = targets
        .iter()
        .map(|&object| {
            let attributes = drawn.view.objects[object].attributes;
            grounded(&crate::data::scenes::grammar::category(attributes))
        })
        .collect();
    Turn {
        kind: TurnKind::Find {
            targets: targets.iter().map(|&object| vec![object]).collect(),
        },
        question: find(&refer.text),
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

fn point_on(mask: &Mask, [x0, y0, x1, y1]: [f32; 4], rng: &mut ChaCha8Rng) -> Option<[f32; 2]> {
    for _ in 0..200 {
        let x = rng.random_range(x0 as u32..x1 as u32);
        let y = rng.random_range(y0 as u32..y1 as u32);
        if mask.get(x, y) {
            return Some([x as f32 + 0.5, y as f32 + 0.5]);
        }
    }
    None
}

fn preprocess(
    image: &image::RgbImage,
    config: &FclmConfig,
) -> Result<(Vec<f32>, GridThw), TrainError> {
    qwen::preprocess(
        image,
        &config.qwen.vision,
        config.min_pixels,
        config.max_pixels,
    )
    .map_err(|error| TrainError::Model(error.into()))
}
