use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use image::RgbImage;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use fclm_core::fclm::{FclmConfig, FclmTokenizer, SelfReconstruction};
use fclm_core::mask::Mask;
use fclm_core::qwen::{self, GridThw};
use fclm_core::region::{PreparedRegion, mask_shape, prepare_region};
use fclm_core::sam;

use super::counts::Counts;
use super::masks::{RegionMasks, padded};
use super::mixture::{Mixture, Place, mixed};
use super::questions::{Asked, Limits, ask};
use super::recipe::LargeRecipe;
use crate::data::folder::FolderError;
use crate::data::published::{Place as FilePlace, Position, Problems};
use crate::data::record::PictureRecord;
use crate::predict::read_picture;
use crate::train::batch::{Prompt, PromptTarget, Refinement};
use crate::train::error::TrainError;
use crate::train::layout::{Packed, Packer, Turn};
use crate::train::marks;

/// How many cells of a finer mask, on which points are sampled, one cell of the decoder's map has
/// along a side.
pub(super) const FINENESS: usize = 4;
/// Pictures that are tried in place of one that cannot be used.
const ATTEMPTS: u64 = 64;

/// A picture with its conversations, ready for a device.
#[derive(Debug, Clone)]
pub(super) struct HostPicture {
    /// Its number in the run.
    pub(super) index: u64,
    /// Which picture it is, for people.
    pub(super) name: String,
    /// Whether it stands in for one that is broken, or of which nothing can be asked.
    pub(super) is_replacement: bool,
    pub(super) qwen_pixels: Vec<f32>,
    pub(super) grid: GridThw,
    /// Rows and columns of merged tokens.
    pub(super) merged: [usize; 2],
    pub(super) sam_pixels: Vec<f32>,
    /// Rows and columns that the picture takes of the decoder's map.
    pub(super) window: [usize; 2],
    pub(super) packed: Packed,
    pub(super) regions: Vec<PreparedRegion>,
    /// What `<pos>` must draw: the described regions in their order, then further ones.
    pub(super) reconstructions: Vec<HostMask>,
    /// What each `[SEG]` must draw.
    pub(super) grounds: Vec<HostMask>,
    pub(super) prompts: Vec<PromptTarget>,
    pub(super) refinements: Vec<Refinement>,
    pub(super) counts: Counts,
}

/// A mask as the position branch and the mask loss take it.
#[derive(Debug, Clone)]
pub(super) struct HostMask {
    /// Input of the position branch.
    pub(super) shape: Vec<f32>,
    /// How much of each cell of the padded square is covered, 255 for all of it.
    pub(super) coverage: Vec<u8>,
}

/// Draws the pictures of a run: the same number always gives the same sample.
#[derive(Debug)]
pub(super) struct Sampler {
    recipe: Arc<LargeRecipe>,
    config: Arc<FclmConfig>,
    tokenizer: FclmTokenizer,
    packer: Packer,
    mixture: Mixture,
    broken: Mutex<Broken>,
}

/// What is broken, each of it told and counted once however often its turn comes.
#[derive(Debug, Default)]
struct Broken {
    known: BTreeSet<String>,
    problems: Problems,
}

impl Sampler {
    pub(super) fn new(
        recipe: Arc<LargeRecipe>,
        config: Arc<FclmConfig>,
        tokenizer: FclmTokenizer,
        template: &str,
        mixture: Mixture,
    ) -> Result<Self, TrainError> {
        Ok(Self {
            packer: Packer::new(template, &tokenizer)?,
            recipe,
            config,
            tokenizer,
            mixture,
            broken: Mutex::new(Broken::default()),
        })
    }

    /// How many pictures each data set has; none where no stage uses it.
    pub(super) fn lengths(&self) -> Vec<Option<u64>> {
        self.mixture.lengths()
    }

    /// Picture `slot` of step `step`.
    ///
    /// A picture that is broken, or of which nothing can be asked, is replaced by another one; what is
    /// broken is told to people.
    ///
    /// # Errors
    /// Where a data set cannot be read, too much of it is broken, or nothing can be asked of any of
    /// the pictures that were tried.
    pub(super) fn picture(&self, step: u64, slot: usize) -> Result<HostPicture, TrainError> {
        let (stage, own_step) = self.recipe.stage_at(step);
        let per_step = self.recipe.pictures_per_step as u64;
        let index = step * per_step + slot as u64;
        let own_index = own_step * per_step + slot as u64;
        for attempt in 0..ATTEMPTS {
            let Some(place) = self.mixture.place(stage, own_index, attempt) else {
                break;
            };
            let seed = mixed(self.recipe.seed ^ mixed(attempt));
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(index);
            if let Some(picture) = self.prepare(stage, index, place, &mut rng)? {
                return Ok(HostPicture {
                    is_replacement: attempt > 0,
                    ..picture
                });
            }
        }
        Err(TrainError::NothingToAsk { stage, step })
    }

    /// A picture that can be used; none where it is broken or nothing can be asked of it.
    fn prepare(
        &self,
        stage: u8,
        index: u64,
        place: Place,
        rng: &mut ChaCha8Rng,
    ) -> Result<Option<HostPicture>, TrainError> {
        let (record, path) = match self.mixture.read(place) {
            Ok(read) => read,
            Err(FolderError::Line { position, source }) => {
                return self.leave_out(&position, &source);
            }
            Err(source) => {
                return Err(TrainError::Data {
                    name: self.mixture.name(place.set).to_owned(),
                    source: Box::new(source),
                });
            }
        };
        let mut masks = RegionMasks::new(&record, self.config.sam.low_res_size());
        let asked = ask(
            &record,
            &mut masks,
            &self.tokenizer,
            &self.recipe.stage(stage).tasks,
            Limits {
                regions: self.recipe.max_regions,
                turns: self.recipe.max_turns,
            },
            rng,
        );
        if asked.turns.is_empty() {
            return Ok(None);
        }
        let broken = |reason: &dyn fmt::Display| {
            let position = Position::new(&path, FilePlace::Whole);
            self.leave_out(&position, reason)
        };
        let image = match read_picture(&path) {
            Ok(image) => image,
            Err(error) => return broken(&error),
        };
        if image.dimensions() != (record.width, record.height) {
            let (width, height) = image.dimensions();
            return broken(&format_args!(
                "the picture is {width}x{height}, but picture {} is said to be {}x{}",
                record.id, record.width, record.height
            ));
        }
        let vision = &self.config.qwen.vision;
        let pixels = [self.config.min_pixels, self.config.max_pixels];
        let (qwen_pixels, grid) = match qwen::preprocess(&image, vision, pixels[0], pixels[1]) {
            Ok(prepared) => prepared,
            Err(error) => return broken(&error),
        };
        let merge = vision.spatial_merge_size;
        let merged = [grid.h / merge, grid.w / merge];
        let packed = match self.pack(&asked.turns, merged) {
            Ok(Some(packed)) => packed,
            Ok(None) => return Ok(None),
            Err(error) => return broken(&error),
        };
        let mut drawing = Drawing {
            sampler: self,
            record: &record,
            image: &image,
            masks,
        };
        let Some(drawn) = drawing.draw(stage, &packed, &asked, rng) else {
            return Ok(None);
        };
        let prepared = sam::preprocess(&image, &self.config.sam);
        let (low, side) = (self.config.sam.low_res_size(), self.config.sam.image_size);
        let window = [prepared.input_h, prepared.input_w];
        Ok(Some(HostPicture {
            index,
            name: format!("{} of {}", record.id, self.mixture.name(place.set)),
            is_replacement: false,
            qwen_pixels,
            grid,
            merged,
            sam_pixels: prepared.pixels,
            window: window.map(|pixels| (pixels * low).div_ceil(side).clamp(1, low)),
            counts: self.counts(stage, &packed, &drawn),
            packed,
            regions: drawn.regions,
            reconstructions: drawn.reconstructions,
            grounds: drawn.grounds,
            prompts: drawn.prompts,
            refinements: drawn.refinements,
        }))
    }

    /// Tells people of something broken.
    fn leave_out(
        &self,
        position: &Position,
        reason: &dyn fmt::Display,
    ) -> Result<Option<HostPicture>, TrainError> {
        let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        if broken.known.insert(position.to_string()) {
            eprintln!("left out {position}: {reason}");
            broken.problems.report(position, reason)?;
        }
        Ok(None)
    }

    /// Packs as many conversations as fit; none where not even one does.
    fn pack(&self, turns: &[Turn], merged: [usize; 2]) -> Result<Option<Packed>, TrainError> {
        for count in (1..=turns.len()).rev() {
            let packed = self.packer.pack(&turns[..count], merged)?;
            if packed.slots.len() <= self.recipe.max_length {
                return Ok(Some(packed));
            }
        }
        Ok(None)
    }

    fn counts(&self, stage: u8, packed: &Packed, drawn: &Drawn) -> Counts {
        let (regions, masks) = (drawn.regions.len(), drawn.reconstructions.len());
        let redrawn = match self.recipe.consistency.self_reconstruction {
            _ if stage != 1 => 0,
            SelfReconstruction::None => 0,
            SelfReconstruction::Pos => masks,
            SelfReconstruction::Mask => regions,
            SelfReconstruction::Both => regions + masks,
        };
        let categories = packed.targets.iter().filter(|target| target.is_category);
        Counts {
            weight: packed.targets.iter().map(|target| target.weight).sum(),
            targets: packed.targets.len() as f32,
            categories: categories.count() as f32,
            grounds: drawn.grounds.len() as f32,
            redrawn: redrawn as f32,
            prompts: drawn.prompts.len() as f32,
        }
    }

    /// What a mask looks like to the position branch and to the mask loss.
    fn mask(&self, mask: &Mask) -> HostMask {
        let low = self.config.sam.low_res_size();
        let side = match self.recipe.mask_points {
            Some(_) => FINENESS * low,
            None => low,
        };
        let coverage = padded(mask).area_average(side as u32, side as u32);
        HostMask {
            shape: mask_shape(mask, &self.config.region),
            coverage: coverage
                .into_iter()
                .map(|covered| (covered * 255.0).round() as u8)
                .collect(),
        }
    }
}

/// What is drawn of a picture beside its texts.
struct Drawn {
    regions: Vec<PreparedRegion>,
    reconstructions: Vec<HostMask>,
    grounds: Vec<HostMask>,
    prompts: Vec<PromptTarget>,
    refinements: Vec<Refinement>,
}

struct Drawing<'a> {
    sampler: &'a Sampler,
    record: &'a PictureRecord,
    image: &'a RgbImage,
    masks: RegionMasks<'a>,
}

impl Drawing<'_> {
    /// Regions, masks and prompts; none where a mask cannot be read after all.
    fn draw(
        &mut self,
        stage: u8,
        packed: &Packed,
        asked: &Asked,
        rng: &mut ChaCha8Rng,
    ) -> Option<Drawn> {
        let sampler = self.sampler;
        let (recipe, config) = (&*sampler.recipe, &*sampler.config);
        let mut drawn = Drawn {
            regions: Vec::new(),
            reconstructions: Vec::new(),
            grounds: Vec::new(),
            prompts: Vec::new(),
            refinements: Vec::new(),
        };
        for &place in &asked.described {
            let mask = self.masks.union(&[place]).ok()?;
            let mark = match mask.bounds() {
                Some(bounds) if rng.random_bool(recipe.careless_chance) => {
                    marks::careless_mark(&mask, bounds, rng)
                }
                _ => mask.clone(),
            };
            let region = prepare_region(self.image, &mark, &config.sam, &config.region)?;
            drawn.regions.push(region);
            drawn.reconstructions.push(sampler.mask(&mask));
        }
        for (_, targets) in &packed.grounds {
            let mask = self.masks.union(targets).ok()?;
            drawn.grounds.push(sampler.mask(&mask));
        }
        if stage == 1 {
            let mut others: Vec<usize> = (0..self.record.regions.len()).collect();
            others.shuffle(rng);
            self.draw_more(&mut drawn, &others, asked, rng);
        }
        Some(drawn)
    }

    /// Further regions for `<pos>`, and prompts of SAM's own task.
    fn draw_more(
        &mut self,
        drawn: &mut Drawn,
        order: &[usize],
        asked: &Asked,
        rng: &mut ChaCha8Rng,
    ) {
        let sampler = self.sampler;
        let recipe = &*sampler.recipe;
        let mut extra = 0;
        for &place in order {
            if extra < recipe.extra_reconstructions
                && !asked.described.contains(&place)
                && self.masks.can_be_drawn(&[place])
                && let Ok(mask) = self.masks.union(&[place])
            {
                drawn.reconstructions.push(sampler.mask(&mask));
                extra += 1;
            }
            if drawn.prompts.len() < recipe.prompts
                && self.masks.can_be_drawn(&[place])
                && let Ok(mask) = self.masks.union(&[place])
            {
                self.prompt(drawn, &mask, rng);
            }
            if extra >= recipe.extra_reconstructions && drawn.prompts.len() >= recipe.prompts {
                break;
            }
        }
    }

    /// A box with moved corners or a point on the mask, by turns, and clicks that go on from it.
    fn prompt(&self, drawn: &mut Drawn, mask: &Mask, rng: &mut ChaCha8Rng) {
        let Some(bounds) = mask.bounds() else {
            return;
        };
        let number = drawn.prompts.len();
        let prompt = if number.is_multiple_of(2) {
            let [x0, y0, x1, y1] = marks::moved_box(mask, bounds, rng);
            let [[x0, y0], [x1, y1]] = [[x0, y0], [x1, y1]].map(|place| self.to_input(place));
            Prompt::Box([x0, y0, x1, y1])
        } else {
            match marks::place_in(mask, bounds, rng) {
                Some(place) => Prompt::Point(self.to_input(place)),
                None => return,
            }
        };
        let refinements = drawn.refinements.len();
        if refinements < self.sampler.recipe.refinements
            && let Some(clicks) = marks::clicks(mask, bounds, rng)
        {
            drawn.refinements.push(Refinement {
                first: number,
                clicks: clicks.map(|(place, label)| (self.to_input(place), label)),
                is_from_mask: rng.random_bool(marks::PREVIOUS_MASK),
            });
        }
        let low = self.sampler.config.sam.low_res_size() as u32;
        drawn.prompts.push(PromptTarget {
            scene: 0,
            prompt,
            coverage: padded(mask).area_average(low, low),
        });
    }

    /// From pixels of the picture to those of SAM's input.
    fn to_input(&self, place: [f32; 2]) -> [f32; 2] {
        let original = [self.record.height as usize, self.record.width as usize];
        let moved = sam::to_input_coords(&[place], original, self.sampler.config.sam.image_size);
        moved.first().copied().unwrap_or(place)
    }
}

impl HostPicture {
    /// How many turns about regions and masks it has.
    pub(super) fn turns(&self) -> u64 {
        (self.regions.len() + self.grounds.len()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::super::tiny;
    use super::*;

    #[test]
    fn the_same_number_gives_the_same_sample() {
        let folder = tempfile::tempdir().unwrap();
        let setting = tiny::Setting::new(folder.path());
        let [first, again] = [(); 2].map(|()| setting.sampler().picture(1, 1).unwrap());
        assert_eq!(first.index, 3);
        assert_eq!(first.name, again.name);
        assert!(first.name.ends_with(" of scenes"), "{}", first.name);
        assert_eq!(first.packed.slots, again.packed.slots);
        assert_eq!(first.sam_pixels, again.sam_pixels);
        let masks = |picture: &HostPicture| -> Vec<Vec<u8>> {
            let all = picture.grounds.iter().chain(&picture.reconstructions);
            all.map(|mask| mask.coverage.clone()).collect()
        };
        assert_eq!(masks(&first), masks(&again));
        let other = setting.sampler().picture(1, 0).unwrap();
        assert_ne!(first.packed.slots, other.packed.slots);
    }

    #[test]
    fn every_mask_has_what_it_must_draw() {
        let folder = tempfile::tempdir().unwrap();
        let setting = tiny::Setting::new(folder.path());
        let sampler = setting.sampler();
        let low = setting.config.sam.low_res_size();
        let (mut grounds, mut regions) = (0, 0);
        for slot in 0..8 {
            let picture = sampler.picture(0, slot).unwrap();
            assert_eq!(picture.packed.grounds.len(), picture.grounds.len());
            assert_eq!(picture.window, [low, low]);
            let sides = FINENESS * low * FINENESS * low;
            let all = picture.grounds.iter().chain(&picture.reconstructions);
            for mask in all {
                assert_eq!(mask.coverage.len(), sides);
                assert!(mask.coverage.iter().any(|&covered| covered > 127));
            }
            assert!(picture.reconstructions.len() >= picture.regions.len());
            let counts = picture.counts;
            assert_eq!(counts.grounds as usize, picture.grounds.len());
            assert_eq!(counts.redrawn as usize, picture.reconstructions.len());
            assert_eq!(counts.prompts as usize, picture.prompts.len());
            grounds += picture.grounds.len();
            regions += picture.regions.len();
        }
        assert!(grounds > 0 && regions > 0, "{grounds}, {regions}");
        // Stage 2 draws nothing back and has no prompts.
        let last = setting.recipe.total_steps() - 1;
        let picture = sampler.picture(last, 0).unwrap();
        assert_eq!((picture.counts.redrawn, picture.counts.prompts), (0.0, 0.0));
    }

    #[test]
    fn broken_pictures_are_replaced_by_the_same_others() {
        let folder = tempfile::tempdir().unwrap();
        let setting = tiny::Setting::new(folder.path());
        let whole: Vec<String> = names(&setting.sampler());
        let images = folder.path().join("scenes/images");
        let broken = std::fs::read_dir(&images).unwrap().next().unwrap().unwrap();
        std::fs::write(broken.path(), "no picture").unwrap();
        let sampler = setting.sampler();
        let replaced = names(&sampler);
        assert_eq!(replaced, names(&setting.sampler()));
        let differ = whole.iter().zip(&replaced).filter(|(a, b)| a != b).count();
        assert!(
            (1..whole.len()).contains(&differ),
            "{whole:?}, {replaced:?}"
        );
        let slots = 0..whole.len();
        let replacements = slots.filter(|&slot| sampler.picture(0, slot).unwrap().is_replacement);
        assert!((differ..whole.len()).contains(&replacements.count()));
        // Its turn came more than once.
        let told = sampler.broken.lock().unwrap();
        assert_eq!(told.problems.broken(), 1);
        let path = told.problems.kept()[0].position.path.clone();
        assert_eq!(path.file_name(), Some(broken.file_name().as_os_str()));
    }

    fn names(sampler: &Sampler) -> Vec<String> {
        let slots = 0..12_usize;
        slots
            .map(|slot| sampler.picture(0, slot).unwrap().name)
            .collect()
    }

    #[test]
    fn pictures_that_are_too_long_lose_conversations() {
        let folder = tempfile::tempdir().unwrap();
        let mut setting = tiny::Setting::new(folder.path());
        let long = setting.sampler().picture(0, 0).unwrap().packed;
        let conversations = long.conversations();
        assert!(conversations.len() > 1);
        setting.recipe.max_length = long.slots.len() - 1;
        let short = setting.sampler().picture(0, 0).unwrap().packed;
        assert_eq!(
            short.conversations(),
            conversations[..conversations.len() - 1]
        );
        setting.recipe.max_length = 3;
        let error = setting.sampler().picture(0, 0).unwrap_err().to_string();
        assert!(error.contains("stage 1"), "{error}");
    }

    #[test]
    fn tasks_that_no_picture_has_texts_for_end_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let mut setting = tiny::Setting::new(folder.path());
        setting.recipe.stage_1.tasks = super::super::recipe::TaskShares {
            // Scenes have grounded captions only.
            caption: 1.0,
            ..Default::default()
        };
        let error = setting.sampler().picture(0, 0).unwrap_err().to_string();
        assert!(error.contains("nothing can be asked"), "{error}");
    }
}
