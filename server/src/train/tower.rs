//! The vision tower's own lessons before stage 1.
//!
//! The paper starts from a vision tower that has seen the world. Behind the LLM a tower from scratch
//! learns colours and little else, because the shape of an object that fills a few patches says
//! little about the next word. Here every token that shows an object must name its attributes and
//! draw it as it lies around the token, in the whole picture and in closer looks at one object.

use burn::tensor::{Device, Tensor, TensorData};
use image::{RgbImage, imageops};
use rand::Rng;
use rand::seq::IndexedRandom;

use fclm_core::mask::Mask;
use fclm_core::qwen::GridThw;

use super::attributes::{
    DeviceLabels, Labelled, Learner, OUTLINE_CELLS, OUTLINE_SIDE, Outlines, TowerLoss, label,
    window_cells,
};
use super::terms::{StepOutput, Term, Terms};
use crate::data::scenes::DrawnScene;

/// How many times the longer side of an object a closer look is wide.
const CLOSEST: f64 = 1.2;
const FARTHEST: f64 = 2.5;
/// What the surroundings of an object may be moved to, the mean pixel of the tower's normalisation.
const MEAN_PIXEL: [f32; 3] = [122.8, 116.7, 104.1];
/// The contrast that is left to them.
const SURROUNDINGS: f32 = 0.2;

/// What a view of a scene shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    /// The part of the picture, `x0, y0, x1, y1`.
    window: [u32; 4],
    /// The object whose surroundings are dimmed.
    alone: Option<usize>,
}

impl Look {
    /// The whole picture.
    pub(super) fn whole(drawn: &DrawnScene) -> Self {
        let (width, height) = drawn.image.dimensions();
        Self {
            window: [0, 0, width, height],
            alone: None,
        }
    }

    /// A closer look at each of at most `count` objects; half of them dim what is around.
    pub(super) fn closer(drawn: &DrawnScene, count: usize, rng: &mut impl Rng) -> Vec<Self> {
        let (width, height) = drawn.image.dimensions();
        let objects: Vec<usize> = drawn.askable.choose_multiple(rng, count).copied().collect();
        let look = |object: usize| {
            let [x0, y0, x1, y1] = drawn.masks[object].pixel_bounds()?;
            let longest = f64::from((x1 - x0).max(y1 - y0));
            let length = (longest * rng.random_range(CLOSEST..FARTHEST)) as u32;
            let length = length.min(width).min(height);
            let mut place = |low: u32, high: u32, whole: u32| {
                let share = rng.random_range(0.35..0.65);
                let first = f64::from(low.midpoint(high)) - share * f64::from(length);
                (first.max(0.0) as u32).min(whole - length)
            };
            let (x, y) = (place(x0, x1, width), place(y0, y1, height));
            Some(Self {
                window: [x, y, x + length, y + length],
                alone: rng.random_bool(0.5).then_some(object),
            })
        };
        objects.into_iter().filter_map(look).collect()
    }

    /// What is seen.
    pub(super) fn image(self, drawn: &DrawnScene) -> RgbImage {
        let [x0, y0, x1, y1] = self.window;
        let mut image = imageops::crop_imm(&drawn.image, x0, y0, x1 - x0, y1 - y0).to_image();
        if let Some(object) = self.alone {
            dim(&mut image, &drawn.masks[object], [x0, y0]);
        }
        image
    }
}

/// One look at a scene, with what it is to teach.
#[derive(Debug, Clone)]
pub(super) struct View {
    /// Patches for the tower.
    pixels: Vec<f32>,
    cells: Vec<Labelled>,
    /// One outline for each of `cells`.
    outlines: Vec<f32>,
}

impl View {
    /// What a look shows in a grid of merged tokens, rows and columns.
    pub(super) fn new(drawn: &DrawnScene, look: Look, grid: [usize; 2], pixels: Vec<f32>) -> Self {
        let alone = look.alone.map(|object| [object]);
        let objects = alone
            .as_ref()
            .map_or(drawn.askable.as_slice(), |alone| alone);
        let cells = window_cells(drawn, objects, look.window, grid);
        let outline = |&(cell, object): &(usize, usize)| {
            outline(&drawn.masks[object], look.window, grid, cell)
        };
        Self {
            pixels,
            outlines: cells.iter().flat_map(outline).collect(),
            cells: label(drawn, &cells),
        }
    }
}

fn dim(image: &mut RgbImage, mask: &Mask, [x0, y0]: [u32; 2]) {
    for (x, y, pixel) in image.enumerate_pixels_mut() {
        if !mask.get(x0 + x, y0 + y) {
            for (value, mean) in pixel.0.iter_mut().zip(MEAN_PIXEL) {
                *value = (mean + (f32::from(*value) - mean) * SURROUNDINGS).round() as u8;
            }
        }
    }
}

/// The mask around a cell: [`OUTLINE_SIDE`]² points over [`OUTLINE_CELLS`]² cells with the cell in
/// the middle, 1 where the mask is. Beyond the window there is none.
fn outline(mask: &Mask, window: [u32; 4], grid: [usize; 2], cell: usize) -> Vec<f32> {
    let [x0, y0, x1, y1] = window;
    let at = |place: usize, point: usize, count: usize, from: u32, to: u32| {
        let along = (point as f32 + 0.5) / OUTLINE_SIDE as f32 - 0.5;
        let cells = place as f32 + 0.5 + along * OUTLINE_CELLS as f32;
        let share = cells / count as f32;
        (0.0..1.0)
            .contains(&share)
            .then(|| from + (share * (to - from) as f32) as u32)
    };
    let (row, column) = (cell / grid[1], cell % grid[1]);
    let mut points = Vec::with_capacity(OUTLINE_SIDE * OUTLINE_SIDE);
    for down in 0..OUTLINE_SIDE {
        let y = at(row, down, grid[0], y0, y1);
        points.extend((0..OUTLINE_SIDE).map(|across| {
            let x = at(column, across, grid[1], x0, x1);
            let is_inside = x.zip(y).is_some_and(|(x, y)| mask.get(x, y));
            f32::from(u8::from(is_inside))
        }));
    }
    points
}

/// Views of one size.
#[derive(Debug, Clone)]
pub(super) struct Views {
    /// Their patches.
    pub(super) grid: GridThw,
    /// Rows and columns of their merged tokens.
    pub(super) merged: [usize; 2],
    pub(super) views: Vec<View>,
}

impl Views {
    /// None where no view shows an object.
    fn loss(&self, learner: &Learner, device: &Device) -> Option<TowerLoss> {
        let tokens = self.merged[0] * self.merged[1];
        let numbered = self.views.iter().enumerate();
        let cells = numbered.flat_map(|(view, seen)| {
            seen.cells.iter().map(move |labelled| Labelled {
                cell: view * tokens + labelled.cell,
                ..*labelled
            })
        });
        let labels = DeviceLabels::new(cells, device)?;
        let collect = |part: fn(&View) -> &[f32]| -> Vec<f32> {
            let parts = self.views.iter().flat_map(|view| part(view));
            parts.copied().collect()
        };
        let outlines = collect(|view| &view.outlines);
        let area = OUTLINE_SIDE * OUTLINE_SIDE;
        let labelled = outlines.len() / area;
        let outlines = Outlines {
            labels,
            drawings: Tensor::from_data(TensorData::new(outlines, [labelled, area]), device),
        };
        let pixels = collect(|view| &view.pixels);
        let (views, patches) = (self.views.len(), self.grid.patches());
        let shape = [views, patches, pixels.len() / (views * patches)];
        let pixels = Tensor::from_data(TensorData::new(pixels, shape), device);
        let vision = learner.model.qwen.encode_images(pixels, self.grid);
        Some(learner.heads.tower_loss(&outlines, vision))
    }
}

/// The loss of the tower's lessons, of whole pictures and of closer looks alike.
///
/// # Panics
/// Where neither shows an object, though every scene has one that may be asked about.
pub(super) fn tower_step(
    learner: &Learner,
    whole: &Views,
    closer: &Views,
    device: &Device,
) -> StepOutput {
    let mut terms = Terms::new(device);
    let losses = [whole, closer].map(|views| views.loss(learner, device));
    let [whole, closer] = &losses;
    for (term, of) in [(Term::VisionShapes, whole), (Term::CloserShapes, closer)] {
        if let Some(loss) = of {
            terms.set(term, loss.shapes.clone());
        }
    }
    let sum = |part: fn(&TowerLoss) -> &Tensor<1>| {
        losses
            .iter()
            .flatten()
            .map(|loss| part(loss).clone())
            .reduce(|a, b| a + b)
            .expect("a scene shows an object")
    };
    let attributes = sum(|loss| &loss.attributes);
    let outline = sum(|loss| &loss.outline);
    terms.set(Term::Attributes, attributes.clone());
    terms.set(Term::Outline, outline.clone());
    terms.output(attributes + outline)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::data::scenes::Seeds;

    fn drawn() -> DrawnScene {
        DrawnScene::new(Seeds::training(3).scene(4), 256, 256)
    }

    #[test]
    fn a_scene_is_seen_whole_and_then_closer() {
        let drawn = drawn();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let whole = Look::whole(&drawn);
        assert_eq!(whole.window, [0, 0, 256, 256]);
        for _ in 0..20 {
            let closer = Look::closer(&drawn, 2, &mut rng);
            assert_eq!(closer.len(), 2);
            for look in [&closer[..], &[whole]].concat() {
                let [x0, y0, x1, y1] = look.window;
                assert!(x0 < x1 && x1 <= 256 && y1 <= 256 && x1 - x0 == y1 - y0);
                let view = View::new(&drawn, look, [4, 4], Vec::new());
                assert!(!view.cells.is_empty());
                let area = OUTLINE_SIDE * OUTLINE_SIDE;
                assert_eq!(view.outlines.len(), view.cells.len() * area);
            }
        }
    }

    #[test]
    fn what_is_around_an_object_is_dimmed() {
        let drawn = drawn();
        let object = drawn.askable[0];
        let look = Look {
            window: [0, 0, 256, 256],
            alone: Some(object),
        };
        for (x, y, pixel) in look.image(&drawn).enumerate_pixels() {
            let before = drawn.image.get_pixel(x, y);
            if drawn.masks[object].get(x, y) {
                assert_eq!(pixel, before);
            } else {
                let expected = 122.8 + (f32::from(before[0]) - 122.8) * 0.2;
                assert!((f32::from(pixel[0]) - expected).abs() <= 0.5);
            }
        }
    }

    #[test]
    fn an_outline_lies_around_its_cell() {
        // Four cells of 10 px; the mask is the cell at row 1, column 2 of them.
        let mask = Mask::from_fn(40, 40, |x, y| {
            (20..30).contains(&x) && (10..20).contains(&y)
        });
        let inside = |cell: usize| -> Vec<[usize; 2]> {
            let points = outline(&mask, [0, 0, 40, 40], [4, 4], cell);
            (0..points.len())
                .filter(|&point| points[point] > 0.5)
                .map(|point| [point / OUTLINE_SIDE, point % OUTLINE_SIDE])
                .collect()
        };
        let square = |rows: std::ops::Range<usize>, columns: std::ops::Range<usize>| {
            let points = rows.flat_map(|row| columns.clone().map(move |column| [row, column]));
            points.collect::<Vec<_>>()
        };
        assert_eq!(inside(6), square(8..12, 8..12));
        assert_eq!(inside(5), square(8..12, 12..16));
        assert_eq!(inside(2), square(12..16, 8..12));
        assert_eq!(inside(12), []);
    }
}
