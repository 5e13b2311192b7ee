//! The vision tower's own lessons before stage 1.
//!
//! The paper starts from a vision tower that has seen the world. Behind the LLM a tower from scratch
//! learns colours and little else, because the shape of an object that fills a few patches says
//! little about the next word. Here every token that shows an object must name its attributes and
//! draw it as it lies around the token, in the whole picture and in crops around one object, the
//! local crops of self-supervised training.

use burn::tensor::{Device, Tensor, TensorData};
use image::{RgbImage, imageops};
use rand::Rng;
use rand::seq::IndexedRandom;

use fclm_core::mask::Mask;
use fclm_core::qwen::{GridThw, PIXEL_MEAN};
use fclm_core::region::{dimmed, surroundings};

use super::attributes::{DeviceLabels, Labelled, label, window_cells};
use super::heads::{Learner, TowerLoss};
use super::terms::{StepOutput, Term, Terms, sum};
use crate::data::scenes::DrawnScene;

/// How many times the longer side of its object a crop is wide, at least and at most.
const CROP_SCALE: std::ops::Range<f64> = 1.2..2.5;
/// Where in a crop the object's centre lies, as a share of the crop's side. Beside an edge a little
/// of the object may be cut off.
const CROP_CENTRE: std::ops::Range<f64> = 0.35..0.65;
/// Chance that a crop dims what surrounds its object.
const DIM_CHANCE: f64 = 0.5;

/// Cells across the neighbourhood that a token is to draw, the token's own cell in the middle.
const LOCAL_MASK_CELLS: usize = 5;
/// Points across it.
pub(super) const LOCAL_MASK_SIDE: usize = 20;

/// The part of a picture that is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Crop {
    /// `x0, y0, x1, y1`.
    window: [u32; 4],
    /// The object whose surroundings are dimmed.
    focus: Option<usize>,
}

impl Crop {
    /// The whole picture.
    pub(super) fn whole(drawn: &DrawnScene) -> Self {
        let (width, height) = drawn.image.dimensions();
        Self {
            window: [0, 0, width, height],
            focus: None,
        }
    }

    /// Square crops around at most `count` objects, another one each.
    pub(super) fn around_objects(
        drawn: &DrawnScene,
        count: usize,
        rng: &mut impl Rng,
    ) -> Vec<Self> {
        let (width, height) = drawn.image.dimensions();
        let objects: Vec<usize> = drawn.askable.choose_multiple(rng, count).copied().collect();
        let crop = |object: usize| {
            let [x0, y0, x1, y1] = drawn.masks[object].pixel_bounds()?;
            let longest = f64::from((x1 - x0).max(y1 - y0));
            let length = (longest * rng.random_range(CROP_SCALE)) as u32;
            let length = length.min(width).min(height);
            let mut start = |low: u32, high: u32, whole: u32| {
                let share = rng.random_range(CROP_CENTRE);
                let first = f64::from(low.midpoint(high)) - share * f64::from(length);
                (first.max(0.0) as u32).min(whole - length)
            };
            let (x, y) = (start(x0, x1, width), start(y0, y1, height));
            Some(Self {
                window: [x, y, x + length, y + length],
                focus: rng.random_bool(DIM_CHANCE).then_some(object),
            })
        };
        objects.into_iter().filter_map(crop).collect()
    }

    /// What is seen.
    pub(super) fn image(self, drawn: &DrawnScene) -> RgbImage {
        let [x0, y0, x1, y1] = self.window;
        let mut image = imageops::crop_imm(&drawn.image, x0, y0, x1 - x0, y1 - y0).to_image();
        if let Some(object) = self.focus {
            dim(&mut image, &drawn.masks[object], self.window);
        }
        image
    }
}

/// Dims what a mask does not hold of a window, which the image shows.
fn dim(image: &mut RgbImage, mask: &Mask, window: [u32; 4]) {
    let seen = [image.height() as usize, image.width() as usize];
    for [row, column] in surroundings(mask, window, seen) {
        let pixel = image.get_pixel_mut(column as u32, row as u32);
        for (value, mean) in pixel.0.iter_mut().zip(PIXEL_MEAN) {
            *value = dimmed(f32::from(*value), mean * 255.0).round() as u8;
        }
    }
}

/// A crop with what it is to teach.
#[derive(Debug, Clone)]
pub(super) struct TowerSample {
    /// Patches for the tower.
    pixels: Vec<f32>,
    cells: Vec<Labelled>,
    /// One local mask for each of `cells`.
    local_masks: Vec<f32>,
}

impl TowerSample {
    /// What a crop shows in a grid of merged tokens, rows and columns.
    pub(super) fn new(drawn: &DrawnScene, crop: Crop, grid: [usize; 2], pixels: Vec<f32>) -> Self {
        let focus = crop.focus.map(|object| [object]);
        let objects = focus
            .as_ref()
            .map_or(drawn.askable.as_slice(), |focus| focus);
        let cells = window_cells(drawn, objects, crop.window, grid);
        let around = |&(cell, object): &(usize, usize)| {
            local_mask(&drawn.masks[object], crop.window, grid, cell)
        };
        Self {
            pixels,
            local_masks: cells.iter().flat_map(around).collect(),
            cells: label(drawn, &cells),
        }
    }
}

/// The mask around a cell: [`LOCAL_MASK_SIDE`]² points over [`LOCAL_MASK_CELLS`]² cells, 1 where the
/// mask is. Beyond the window there is none.
fn local_mask(mask: &Mask, window: [u32; 4], grid: [usize; 2], cell: usize) -> Vec<f32> {
    let [x0, y0, x1, y1] = window;
    let at = |index: usize, point: usize, count: usize, from: u32, to: u32| {
        let along = (point as f32 + 0.5) / LOCAL_MASK_SIDE as f32 - 0.5;
        let cells = index as f32 + 0.5 + along * LOCAL_MASK_CELLS as f32;
        let share = cells / count as f32;
        (0.0..1.0)
            .contains(&share)
            .then(|| from + (share * (to - from) as f32) as u32)
    };
    let (row, column) = (cell / grid[1], cell % grid[1]);
    let mut points = Vec::with_capacity(LOCAL_MASK_SIDE.pow(2));
    for down in 0..LOCAL_MASK_SIDE {
        let y = at(row, down, grid[0], y0, y1);
        points.extend((0..LOCAL_MASK_SIDE).map(|across| {
            let x = at(column, across, grid[1], x0, x1);
            let is_inside = x.zip(y).is_some_and(|(x, y)| mask.get(x, y));
            f32::from(u8::from(is_inside))
        }));
    }
    points
}

/// Samples of one size.
#[derive(Debug, Clone)]
pub(super) struct TowerBatch {
    /// Their patches.
    pub(super) grid: GridThw,
    /// Rows and columns of their merged tokens.
    pub(super) merged: [usize; 2],
    pub(super) samples: Vec<TowerSample>,
}

impl TowerBatch {
    /// None where no sample shows an object.
    fn loss(&self, learner: &Learner, device: &Device) -> Option<TowerLoss> {
        let labels = DeviceLabels::new(self.cells().into_iter(), device)?;
        let collect = |part: fn(&TowerSample) -> &[f32]| -> Vec<f32> {
            let parts = self.samples.iter().flat_map(part);
            parts.copied().collect()
        };
        let local_masks = collect(|sample| &sample.local_masks);
        let labelled = local_masks.len() / LOCAL_MASK_SIDE.pow(2);
        let shape = [labelled, LOCAL_MASK_SIDE, LOCAL_MASK_SIDE];
        let local_masks = Tensor::from_data(TensorData::new(local_masks, shape), device);
        let pixels = collect(|sample| &sample.pixels);
        let (samples, patches) = (self.samples.len(), self.grid.patches());
        let shape = [samples, patches, pixels.len() / (samples * patches)];
        let pixels = Tensor::from_data(TensorData::new(pixels, shape), device);
        let vision = learner.model.qwen.encode_images(pixels, self.grid);
        Some(learner.heads.tower_loss(&labels, local_masks, vision))
    }

    /// The patches of each sample.
    #[cfg(test)]
    pub(super) fn pictures(&self) -> impl Iterator<Item = &[f32]> {
        self.samples.iter().map(|sample| sample.pixels.as_slice())
    }

    /// The labelled tokens, counted over all samples.
    fn cells(&self) -> Vec<Labelled> {
        let tokens = self.merged[0] * self.merged[1];
        let numbered = self.samples.iter().enumerate();
        numbered
            .flat_map(|(sample, seen)| {
                seen.cells.iter().map(move |labelled| Labelled {
                    cell: sample * tokens + labelled.cell,
                    ..*labelled
                })
            })
            .collect()
    }
}

/// The loss of the tower's lessons, of whole pictures and of crops alike; zero where none of them
/// shows an object in enough of a token.
pub(super) fn tower_step(
    learner: &Learner,
    whole: &TowerBatch,
    crops: &TowerBatch,
    device: &Device,
) -> StepOutput {
    let mut terms = Terms::new(device);
    let losses = [
        (Term::VisionShapeAccuracy, whole),
        (Term::CropShapeAccuracy, crops),
    ]
    .map(|(term, batch)| {
        let loss = batch.loss(learner, device);
        if let Some(loss) = &loss {
            terms.set(term, loss.shapes.clone());
        }
        loss
    });
    let of_both = |part: fn(&TowerLoss) -> &Tensor<1>| {
        sum(losses
            .each_ref()
            .map(|loss| loss.as_ref().map(|loss| part(loss).clone())))
    };
    let attributes = of_both(|loss| &loss.attributes);
    let local_mask = of_both(|loss| &loss.local_mask);
    terms.set(Term::Attributes, attributes.clone());
    terms.set(Term::LocalMask, local_mask.clone());
    // A leaf of its own, so that there is something to differentiate in any case.
    let leaf = Tensor::<1>::zeros([1], device).require_grad();
    let parts = [attributes, local_mask].into_iter().flatten();
    terms.output(parts.fold(leaf, |loss, part| loss + part))
}

#[cfg(test)]
mod tests {
    use fclm_core::fclm::FclmTokenizer;
    use fclm_core::fclm::prompt::CHAT_TEMPLATE;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::super::conversations::corpus;
    use super::super::parameters::ParameterTable;
    use super::super::recipe::Recipe;
    use super::super::run::set_ids;
    use super::super::sample::Sampler;
    use super::super::tokenizer::train_tokenizer;
    use super::*;
    use crate::data::scenes::Seeds;

    fn drawn() -> DrawnScene {
        DrawnScene::new(Seeds::training(3).scene(4), 256, 256)
    }

    #[test]
    fn a_crop_holds_its_object_and_not_much_more() {
        let drawn = drawn();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut dimmed = 0;
        for _ in 0..40 {
            let crops = Crop::around_objects(&drawn, 2, &mut rng);
            assert_eq!(crops.len(), 2);
            for crop in crops {
                let [x0, y0, x1, y1] = crop.window;
                assert!(x1 <= 256 && y1 <= 256 && x1 - x0 == y1 - y0);
                let is_shown = drawn.askable.iter().any(|&object| {
                    let [a, b, c, d] = drawn.masks[object].pixel_bounds().unwrap();
                    let (x, y) = (a.midpoint(c), b.midpoint(d));
                    let longest = (c - a).max(d - b);
                    (x0..x1).contains(&x)
                        && (y0..y1).contains(&y)
                        && f64::from(x1 - x0) <= 2.5 * f64::from(longest)
                        && crop.focus.is_none_or(|focus| focus == object)
                });
                assert!(is_shown, "{crop:?}");
                dimmed += usize::from(crop.focus.is_some());
            }
        }
        assert!((20..60).contains(&dimmed), "{dimmed} of 80 are dimmed");
    }

    #[test]
    fn what_is_around_an_object_is_dimmed() {
        let drawn = drawn();
        let object = drawn.askable[0];
        let [x0, y0, x1, y1] = drawn.masks[object].pixel_bounds().unwrap();
        let crop = Crop {
            window: [x0, y0, x1, y1],
            focus: Some(object),
        };
        for (x, y, pixel) in crop.image(&drawn).enumerate_pixels() {
            let before = drawn.image.get_pixel(x0 + x, y0 + y);
            if drawn.masks[object].get(x0 + x, y0 + y) {
                assert_eq!(pixel, before);
                continue;
            }
            for (channel, mean) in [122.77, 116.75, 104.09].into_iter().enumerate() {
                let expected = mean + (f32::from(before[channel]) - mean) * 0.2;
                assert!((f32::from(pixel[channel]) - expected).abs() <= 0.51);
            }
        }
    }

    #[test]
    fn a_local_mask_lies_around_its_cell() {
        // Four cells of 10 px; the mask is the cell at row 1, column 2 of them.
        let mask = Mask::from_fn(40, 40, |x, y| {
            (20..30).contains(&x) && (10..20).contains(&y)
        });
        let inside = |cell: usize| -> Vec<[usize; 2]> {
            let points = local_mask(&mask, [0, 0, 40, 40], [4, 4], cell);
            (0..points.len())
                .filter(|&point| points[point] > 0.5)
                .map(|point| [point / LOCAL_MASK_SIDE, point % LOCAL_MASK_SIDE])
                .collect()
        };
        let square = |rows: std::ops::Range<usize>, columns: std::ops::Range<usize>| {
            let points = rows.flat_map(|row| columns.clone().map(move |column| [row, column]));
            points.collect::<Vec<_>>()
        };
        assert_eq!(inside(6), square(8..12, 8..12));
        assert_eq!(inside(5), square(8..12, 12..16));
        assert_eq!(inside(2), square(12..16, 8..12));
        assert_eq!(inside(12), square(0..4, 16..20));
    }

    #[test]
    fn tokens_are_counted_over_all_samples() {
        let drawn = drawn();
        let sample = TowerSample::new(&drawn, Crop::whole(&drawn), [8, 8], Vec::new());
        let batch = TowerBatch {
            grid: GridThw { t: 1, h: 16, w: 16 },
            merged: [8, 8],
            samples: vec![sample.clone(), sample.clone()],
        };
        let counted: Vec<usize> = batch.cells().iter().map(|labelled| labelled.cell).collect();
        let own: Vec<usize> = sample.cells.iter().map(|labelled| labelled.cell).collect();
        let again: Vec<usize> = own.iter().map(|cell| cell + 64).collect();
        assert_eq!(counted, [own, again].concat());
    }

    #[test]
    fn the_tower_learns_from_pictures_and_crops_and_nothing_else_does() {
        let mut recipe = Recipe::named("nano").unwrap();
        let json = train_tokenizer(corpus(1, 20, recipe.stage_1.mix), recipe.vocabulary).unwrap();
        let tokenizer = FclmTokenizer::from_json(json.as_bytes()).unwrap();
        set_ids(&mut recipe.model, &tokenizer).unwrap();
        let device = Device::flex().autodiff();
        device.seed(4);
        let model = recipe.model.init(&device);
        let learner = Learner::new(model, &recipe.model, &device);
        let sampler = Sampler::new(&recipe, &tokenizer, CHAT_TEMPLATE).unwrap();

        let [whole, crops] = sampler.tower_batches(3..6, 1, 2).unwrap();
        assert_eq!((whole.samples.len(), crops.samples.len()), (1, 6));
        assert_eq!((whole.merged, crops.merged), ([12, 12], [4, 4]));
        let table = ParameterTable::of(&learner);
        let output = tower_step(&learner, &whole, &crops, &device);
        let gradients = table.gradients(&learner, &output.loss.backward());
        let is_moved = |part: &str| {
            let parameters = table.parameters.iter();
            parameters
                .filter(|parameter| parameter.path.starts_with(part))
                .flat_map(|parameter| &gradients[parameter.offset..][..parameter.len()])
                .any(|&value| value != 0.0)
        };
        let moved = [
            "model.qwen.visual.",
            "heads.vision.",
            "heads.local_mask.",
            "model.qwen.model.",
            "model.sam.",
            "model.region.",
        ]
        .map(is_moved);
        assert_eq!(moved, [true, true, true, false, false, false]);
    }
}
