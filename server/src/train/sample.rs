use std::ops::Range;
use std::sync::Arc;

use image::RgbImage;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use fclm_core::fclm::{FclmConfig, FclmTokenizer};
use fclm_core::image::resize_bicubic;
use fclm_core::mask::Mask;
use fclm_core::qwen::{self, GridThw};
use fclm_core::region::{mask_shape, prepare_region};
use fclm_core::sam;

use super::attributes::{self, Labelled};
use super::batch::{HostLabels, HostScene, MaskTarget, Prompt, PromptTarget, Refinement};
use super::conversations::conversations;
use super::error::TrainError;
use super::grounding::GroundingTarget;
use super::layout::{Packer, Turn};
use super::marks;
use super::recipe::{BatchRecipe, MixRecipe, Recipe};
use super::tower::{Crop, TowerBatch, TowerSample};
use crate::data::scenes::grammar::{Description, describe};
use crate::data::scenes::{DrawnScene, SceneSeed, Seeds, World};

/// Side of most training pictures in pixels.
const SIDE: u32 = 256;
/// Side of the larger ones, whose crops show more.
const LARGE_SIDE: u32 = 512;

/// Draws training scenes: the same index always gives the same sample.
#[derive(Debug, Clone)]
pub(super) struct Sampler {
    seeds: Seeds,
    batch: BatchRecipe,
    config: Arc<FclmConfig>,
    packer: Arc<Packer>,
    grid: GridThw,
}

/// What a scene is asked.
struct Content {
    /// The objects whose regions are described, in the order of their regions.
    described: Vec<Description>,
    /// The other objects that may be asked about.
    others: Vec<usize>,
    turns: Vec<Turn>,
}

impl Sampler {
    pub(super) fn new(
        recipe: &Recipe,
        tokenizer: &FclmTokenizer,
        template: &str,
    ) -> Result<Self, TrainError> {
        let config = recipe.model.clone();
        let grid_of = |side: u32| -> Result<GridThw, TrainError> {
            Ok(preprocess(&RgbImage::new(side, side), &config)?.1)
        };
        let (grid, large) = (grid_of(SIDE)?, grid_of(LARGE_SIDE)?);
        if large != grid && recipe.batch.large_chance > 0.0 {
            return Err(TrainError::Recipe(format!(
                "model.min_pixels = {} and model.max_pixels = {} make pictures of {SIDE} and of \
                 {LARGE_SIDE} pixels {} and {} patches wide; batches need one size, so bring them \
                 together or set batch.large_chance to 0",
                config.min_pixels, config.max_pixels, grid.w, large.w
            )));
        }
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

    /// Rows and columns of merged tokens of a training picture.
    fn merged(&self) -> [usize; 2] {
        let merge = self.config.qwen.vision.spatial_merge_size;
        [self.grid.h / merge, self.grid.w / merge]
    }

    /// Some scenes of the stream as the vision tower is to look at them: the first `whole` of them
    /// whole, and in each at most `crops` objects from near, each in one window of the tower's
    /// attention. Drawn on all threads of the pool that the caller is in.
    pub(super) fn tower_batches(
        &self,
        scenes: Range<u64>,
        whole: usize,
        crops: usize,
    ) -> Result<[TowerBatch; 2], TrainError> {
        let vision = &self.config.qwen.vision;
        let tokens = (vision.window_size / vision.token_side()).max(1);
        let side = tokens * vision.token_side();
        let patches = tokens * vision.spatial_merge_size;
        let batch = |grid: GridThw, merged: [usize; 2]| TowerBatch {
            grid,
            merged,
            samples: Vec::new(),
        };
        let mut of_pictures = batch(self.grid, self.merged());
        let mut of_objects = batch(
            GridThw {
                t: 1,
                h: patches,
                w: patches,
            },
            [tokens, tokens],
        );
        let (merged, near) = (of_pictures.merged, of_objects.merged);
        let seen = |index: u64| -> Result<[Vec<TowerSample>; 2], TrainError> {
            let seed = self.seed(index);
            let mut rng = ChaCha8Rng::seed_from_u64(seed.value());
            let drawn = self.draw(seed, &mut rng);
            let mut pictures = Vec::new();
            if index - scenes.start < whole as u64 {
                let crop = Crop::whole(&drawn);
                let (pixels, _) = preprocess(&crop.image(&drawn), &self.config)?;
                pictures.push(TowerSample::new(&drawn, crop, merged, pixels));
            }
            let objects = Crop::around_objects(&drawn, crops, &mut rng)
                .into_iter()
                .map(|crop| {
                    let image = resize_bicubic(&crop.image(&drawn), side as u32, side as u32);
                    let pixels = patches_of(&image, &self.config, [side * side; 2])?.0;
                    Ok(TowerSample::new(&drawn, crop, near, pixels))
                })
                .collect::<Result<_, TrainError>>()?;
            Ok([pictures, objects])
        };
        let all: Vec<_> = scenes
            .clone()
            .into_par_iter()
            .map(seen)
            .collect::<Result<_, _>>()?;
        for [pictures, objects] in all {
            of_pictures.samples.extend(pictures);
            of_objects.samples.extend(objects);
        }
        Ok([of_pictures, of_objects])
    }

    /// What scene `index` of the stream is drawn from; the recipe's share of them is crowded.
    fn seed(&self, index: u64) -> SceneSeed {
        let seed = self.seeds.scene(index);
        // The low bits of a seed are as good as random.
        let place = f64::from(seed.value() as u32) / f64::from(u32::MAX);
        match place < self.batch.hard_share {
            true => self.seeds.in_world(World::Hard).scene(index),
            false => seed,
        }
    }

    fn draw(&self, seed: SceneSeed, rng: &mut ChaCha8Rng) -> DrawnScene {
        let side = if rng.random_bool(self.batch.large_chance) {
            LARGE_SIDE
        } else {
            SIDE
        };
        DrawnScene::new(seed, side, side)
    }

    /// Scene `index` of the stream, as scene `place` of a batch.
    pub(super) fn scene(
        &self,
        index: u64,
        place: usize,
        mix: &MixRecipe,
    ) -> Result<HostScene, TrainError> {
        let seed = self.seed(index);
        let mut rng = ChaCha8Rng::seed_from_u64(seed.value());
        let drawn = self.draw(seed, &mut rng);
        let (described, others) = choose_regions(&drawn, mix.regions, &mut rng);
        let content = Content {
            turns: conversations(&drawn, &described, mix, &mut rng),
            described,
            others,
        };
        self.prepare(&drawn, &content, mix, place, &mut rng)
    }

    /// The picture of scene `index` of the stream.
    pub(super) fn seen(&self, index: u64) -> RgbImage {
        let seed = self.seed(index);
        let mut rng = ChaCha8Rng::seed_from_u64(seed.value());
        self.draw(seed, &mut rng).image
    }

    /// The picture of a scene of the usual size.
    #[cfg(test)]
    pub(super) fn picture(&self, index: u64) -> RgbImage {
        DrawnScene::new(self.seed(index), SIDE, SIDE).image
    }

    fn prepare(
        &self,
        drawn: &DrawnScene,
        content: &Content,
        mix: &MixRecipe,
        place: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<HostScene, TrainError> {
        let config = &*self.config;
        let packed = self.packer.pack(&content.turns, self.merged())?;
        let target = |mask: &Mask| self.target(mask, place);
        let mut regions = Vec::new();
        let mut labels = HostLabels {
            sam: attributes::sam_cells(drawn, config),
            vision: attributes::vision_cells(drawn, self.merged()),
            crops: Vec::new(),
            regions: Vec::new(),
        };
        for description in &content.described {
            let object = description.object;
            let mark = self.mark(&drawn.masks[object], rng);
            let bounds = mark.bounds().expect("what is described can be seen");
            let region = prepare_region(&drawn.image, &mark, &config.sam, &config.region)
                .expect("a mark has the picture's size");
            labels
                .crops
                .push(attributes::crop_cells(drawn, object, bounds, config));
            labels.regions.push(Labelled {
                cell: regions.len(),
                classes: attributes::classes(&drawn.view.objects[object].attributes),
            });
            regions.push(region);
        }
        let extra: Vec<MaskTarget> = content
            .others
            .iter()
            .take(mix.extra_reconstructions)
            .map(|&object| target(&drawn.masks[object]))
            .collect();
        let mut prompts = Vec::new();
        let mut refinements = Vec::new();
        for number in 0..mix.prompts {
            let Some(&object) = drawn.askable.choose(rng) else {
                continue;
            };
            let Some(prompt) = self.prompt(drawn, object, number, place, rng) else {
                continue;
            };
            if number < mix.refinements {
                refinements.extend(self.refinement(drawn, object, prompts.len(), rng));
            }
            prompts.push(prompt);
        }
        let (qwen_pixels, _) = preprocess(&drawn.image, config)?;
        Ok(HostScene {
            sam_pixels: sam::preprocess(&drawn.image, &config.sam).pixels,
            qwen_pixels,
            regions,
            described: content
                .described
                .iter()
                .map(|description| target(&drawn.masks[description.object]))
                .collect(),
            extra,
            grounds: packed
                .grounds
                .iter()
                .map(|(_, objects)| {
                    let mask = drawn.union(objects);
                    (target(&mask), self.grounding(drawn, objects, &mask))
                })
                .collect(),
            leads: packed
                .leads
                .iter()
                .map(|(_, objects)| self.grounding(drawn, objects, &drawn.union(objects)))
                .collect(),
            prompts,
            refinements,
            labels,
            packed,
        })
    }

    /// An object as somebody marks it, mostly exactly.
    fn mark(&self, mask: &Mask, rng: &mut ChaCha8Rng) -> Mask {
        match mask.bounds() {
            Some(bounds) if rng.random_bool(self.batch.careless_chance) => {
                marks::careless_mark(mask, bounds, rng)
            }
            _ => mask.clone(),
        }
    }

    /// What a mask looks like to the position branch and to the mask loss.
    fn target(&self, mask: &Mask, scene: usize) -> MaskTarget {
        MaskTarget {
            scene,
            shape: mask_shape(mask, &self.config.region),
            coverage: self.coverage(mask),
        }
    }

    /// What the LLM is to know of objects whose union is `mask`.
    fn grounding(&self, drawn: &DrawnScene, objects: &[usize], mask: &Mask) -> GroundingTarget {
        let classes = match objects {
            [object] => Some(attributes::classes(&drawn.view.objects[*object].attributes)),
            _ => None,
        };
        GroundingTarget::new(mask, self.merged(), classes)
    }

    fn coverage(&self, mask: &Mask) -> Vec<f32> {
        let side = self.config.sam.low_res_size() as u32;
        mask.area_average(side, side)
    }

    /// A box with moved corners, or a point on the object, by turns.
    fn prompt(
        &self,
        drawn: &DrawnScene,
        object: usize,
        number: usize,
        scene: usize,
        rng: &mut ChaCha8Rng,
    ) -> Option<PromptTarget> {
        let mask = &drawn.masks[object];
        let bounds = mask.bounds()?;
        let scale = self.scale(drawn);
        let prompt = if number.is_multiple_of(2) {
            Prompt::Box(marks::moved_box(mask, bounds, rng).map(|value| value * scale))
        } else {
            let [x, y] = marks::place_in(mask, bounds, rng)?;
            Prompt::Point([x * scale, y * scale])
        };
        Some(PromptTarget {
            scene,
            prompt,
            coverage: self.coverage(mask),
        })
    }

    /// Clicks that go on from the prompt at `first` of the scene.
    fn refinement(
        &self,
        drawn: &DrawnScene,
        object: usize,
        first: usize,
        rng: &mut ChaCha8Rng,
    ) -> Option<Refinement> {
        let mask = &drawn.masks[object];
        let scale = self.scale(drawn);
        let clicks = marks::clicks(mask, mask.bounds()?, rng)?;
        Some(Refinement {
            first,
            clicks: clicks.map(|([x, y], label)| ([x * scale, y * scale], label)),
            is_from_mask: rng.random_bool(marks::PREVIOUS_MASK),
        })
    }

    /// From pixels of the picture to those of SAM's input.
    fn scale(&self, drawn: &DrawnScene) -> f32 {
        self.config.sam.image_size as f32 / drawn.image.width() as f32
    }
}

/// The objects whose regions are described, each with its description, and the other objects that
/// may be asked about.
fn choose_regions(
    drawn: &DrawnScene,
    count: usize,
    rng: &mut ChaCha8Rng,
) -> (Vec<Description>, Vec<usize>) {
    let mut order = drawn.askable.clone();
    order.shuffle(rng);
    let mut described: Vec<Description> = Vec::new();
    let mut others = Vec::new();
    for object in order {
        let description = (described.len() < count)
            .then(|| describe(&drawn.view, object, rng))
            .flatten();
        match description {
            Some(description) => described.push(description),
            None => others.push(object),
        }
    }
    (described, others)
}

fn preprocess(image: &RgbImage, config: &FclmConfig) -> Result<(Vec<f32>, GridThw), TrainError> {
    patches_of(image, config, [config.min_pixels, config.max_pixels])
}

fn patches_of(
    image: &RgbImage,
    config: &FclmConfig,
    [least, most]: [usize; 2],
) -> Result<(Vec<f32>, GridThw), TrainError> {
    qwen::preprocess(image, &config.qwen.vision, least, most)
        .map_err(|error| TrainError::Model(error.into()))
}
