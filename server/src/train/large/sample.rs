use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use image::RgbImage;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use fclm_core::fclm::{FclmConfig, FclmTokenizer, SelfReconstruction};
use fclm_core::mask::Mask;
use fclm_core::qwen::{self, GridThw, PreprocessError};
use fclm_core::region::{PreparedRegion, mask_shape, prepare_region};
use fclm_core::sam;

use super::counts::Counts;
use super::draw::{Part, Wanted, draw};
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
            let mut rng = self.rng(index, attempt);
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
        let asked = self.ask(stage, &record, &mut masks, rng);
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
        let (qwen_pixels, grid, merged) = match self.patches(&image) {
            Ok(patches) => patches,
            Err(error) => return broken(&error),
        };
        let packed = match self.pack(&asked.turns, merged) {
            Ok(Some(packed)) => packed,
            Ok(None) => return Ok(None),
            Err(error) => return broken(&error),
        };
        let wanted = Wanted {
            stage,
            described: &asked.described,
            grounds: &packed.grounds,
        };
        let mut drawn = Drawn::default();
        let mut take = |part: Part<'_>| self.keep(&mut drawn, &image, part);
        if draw(&self.recipe, wanted, &mut masks, rng, &mut take).is_none() {
            return Ok(None);
        }
        let config = &self.config.sam;
        let prepared = sam::preprocess(&image, config);
        let (low, side) = (config.low_res_size(), config.image_size);
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

    /// What attempt `attempt` at picture `index` of the run is drawn from.
    pub(super) fn rng(&self, index: u64, attempt: u64) -> ChaCha8Rng {
        let seed = mixed(self.recipe.seed ^ mixed(attempt));
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(index);
        rng
    }

    /// What the sizes of a sample come from.
    pub(super) fn config(&self) -> &FclmConfig {
        &self.config
    }

    /// What samples are drawn by.
    pub(super) fn recipe(&self) -> &LargeRecipe {
        &self.recipe
    }

    /// A picture as the vision tower takes it, with rows and columns of merged tokens.
    ///
    /// # Errors
    /// Where it cannot be brought to a size that the tower takes.
    pub(super) fn patches(
        &self,
        image: &RgbImage,
    ) -> Result<(Vec<f32>, GridThw, [usize; 2]), PreprocessError> {
        let FclmConfig {
            min_pixels,
            max_pixels,
            qwen,
            ..
        } = &*self.config;
        let (pixels, grid) = qwen::preprocess(image, &qwen.vision, *min_pixels, *max_pixels)?;
        let merge = qwen.vision.spatial_merge_size;
        Ok((pixels, grid, [grid.h / merge, grid.w / merge]))
    }

    /// What is asked of a picture in a stage.
    pub(super) fn ask(
        &self,
        stage: u8,
        record: &PictureRecord,
        masks: &mut RegionMasks<'_>,
        rng: &mut ChaCha8Rng,
    ) -> Asked {
        let limits = Limits {
            regions: self.recipe.max_regions,
            turns: self.recipe.max_turns,
        };
        let tasks = &self.recipe.stage(stage).tasks;
        ask(record, masks, &self.tokenizer, tasks, limits, rng)
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
    pub(super) fn pack(
        &self,
        turns: &[Turn],
        merged: [usize; 2],
    ) -> Result<Option<Packed>, TrainError> {
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

    /// Brings a part of what is drawn into the form that a device takes; none where that cannot be.
    fn keep(&self, drawn: &mut Drawn, image: &RgbImage, part: Part<'_>) -> Option<()> {
        let sam = &self.config.sam;
        match part {
            Part::Region { mask, mark, .. } => {
                let region = prepare_region(image, mark, sam, &self.config.region)?;
                drawn.regions.push(region);
                drawn.reconstructions.push(self.mask(mask));
            }
            Part::Ground { mask, .. } => drawn.grounds.push(self.mask(mask)),
            Part::Extra { mask, .. } => drawn.reconstructions.push(self.mask(mask)),
            Part::Prompt {
                mask,
                prompt,
                clicks,
                ..
            } => {
                let to_input = |place: [f32; 2]| self.to_input(image, place);
                if let Some(clicks) = clicks {
                    drawn.refinements.push(Refinement {
                        first: drawn.prompts.len(),
                        clicks: clicks.places.map(|(place, label)| (to_input(place), label)),
                        is_from_mask: clicks.is_from_mask,
                    });
                }
                let prompt = match prompt {
                    Prompt::Box([x0, y0, x1, y1]) => {
                        let [[x0, y0], [x1, y1]] = [[x0, y0], [x1, y1]].map(to_input);
                        Prompt::Box([x0, y0, x1, y1])
                    }
                    Prompt::Point(place) => Prompt::Point(to_input(place)),
                };
                let low = sam.low_res_size() as u32;
                drawn.prompts.push(PromptTarget {
                    scene: 0,
                    prompt,
                    coverage: padded(mask).area_average(low, low),
                });
            }
        }
        Some(())
    }

    /// From pixels of a picture to those of SAM's input.
    fn to_input(&self, image: &RgbImage, place: [f32; 2]) -> [f32; 2] {
        let original = [image.height() as usize, image.width() as usize];
        let moved = sam::to_input_coords(&[place], original, self.config.sam.image_size);
        moved.first().copied().unwrap_or(place)
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
#[derive(Default)]
struct Drawn {
    regions: Vec<PreparedRegion>,
    reconstructions: Vec<HostMask>,
    grounds: Vec<HostMask>,
    prompts: Vec<PromptTarget>,
    refinements: Vec<Refinement>,
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
