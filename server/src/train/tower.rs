//! The vision tower's own lessons before stage 1.
//!
//! The paper starts from a vision tower that has seen the world. Behind the LLM a tower from scratch
//! learns colours and little else, because the shape of an object that fills a few patches says
//! little about the next word. Here every token that shows an object must name its attributes and
//! draw it, in the whole picture and in enlarged windows of it.

use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;

use fclm_core::qwen::GridThw;

use super::attributes::{
    DeviceLabels, Labelled, Learner, OUTLINE_SIDE, Outlines, label, window_cells,
};
use super::terms::{StepOutput, Term, Terms};
use crate::data::scenes::DrawnScene;

/// Side of the smallest window as a share of the picture's; the largest is the picture.
const SMALLEST_WINDOW: f64 = 0.35;

/// One look at a scene.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) pixels: Vec<f32>,
    cells: Vec<Labelled>,
    /// One close-up for each of `cells`.
    close_ups: Vec<f32>,
}

impl View {
    /// What a window of a scene shows in a grid of merged tokens.
    pub(super) fn new(
        drawn: &DrawnScene,
        window: [u32; 4],
        grid: [usize; 2],
        pixels: Vec<f32>,
    ) -> Self {
        let [x0, y0, x1, y1] = window;
        let cells = window_cells(drawn, window, grid);
        let side = OUTLINE_SIDE as u32;
        let drawings: Vec<Vec<f32>> = drawn
            .masks
            .iter()
            .map(|mask| {
                let seen = mask.crop(x0, y0, x1, y1);
                let [left, top, right, bottom] = seen.pixel_bounds().unwrap_or([0, 0, 1, 1]);
                seen.crop(left, top, right, bottom).area_average(side, side)
            })
            .collect();
        Self {
            pixels,
            close_ups: cells
                .iter()
                .flat_map(|&(_, object)| drawings[object].iter().copied())
                .collect(),
            cells: label(drawn, &cells),
        }
    }
}

/// The picture's own window, then `zooms` square ones at random places.
pub(super) fn windows(side: u32, zooms: usize, rng: &mut impl Rng) -> Vec<[u32; 4]> {
    let mut windows = vec![[0, 0, side, side]];
    windows.extend((0..zooms).map(|_| {
        let share = rng.random_range(SMALLEST_WINDOW..1.0);
        let length = (share * f64::from(side)) as u32;
        let x = rng.random_range(0..=side - length);
        let y = rng.random_range(0..=side - length);
        [x, y, x + length, y + length]
    }));
    windows
}

/// The loss of the tower's lessons; none where no view shows an object.
pub(super) fn tower_step(
    learner: &Learner,
    views: &[View],
    grid: GridThw,
    merged: [usize; 2],
    device: &Device,
) -> StepOutput {
    let pixels: Vec<f32> = views
        .iter()
        .flat_map(|view| view.pixels.iter().copied())
        .collect();
    let patches = grid.patches();
    let patch_dim = pixels.len() / (views.len() * patches);
    let pixels = Tensor::from_data(
        TensorData::new(pixels, [views.len(), patches, patch_dim]),
        device,
    );
    let vision = learner.model.qwen.encode_images(pixels, grid);

    let cells = views.iter().enumerate().flat_map(|(view, seen)| {
        seen.cells.iter().map(move |labelled| Labelled {
            cell: view * merged[0] * merged[1] + labelled.cell,
            ..*labelled
        })
    });
    let close_ups: Vec<f32> = views
        .iter()
        .flat_map(|view| view.close_ups.iter().copied())
        .collect();
    let mut terms = Terms::new(device);
    let Some(labels) = DeviceLabels::new(cells, device) else {
        return terms.output(vision.sum().mul_scalar(0.0).reshape([1]));
    };
    let area = OUTLINE_SIDE * OUTLINE_SIDE;
    let outlines = Outlines {
        labels,
        close_ups: Tensor::from_data(
            TensorData::new(close_ups.clone(), [close_ups.len() / area, area]),
            device,
        ),
    };
    let loss = learner.heads.tower_loss(&outlines, vision);
    terms.set(Term::Attributes, loss.attributes.clone());
    terms.set(Term::Outline, loss.outline.clone());
    terms.set(Term::VisionShapes, loss.shapes);
    terms.output(loss.attributes + loss.outline)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::data::scenes::Seeds;

    #[test]
    fn windows_are_the_picture_and_squares_of_it() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let windows = windows(256, 50, &mut rng);
        assert_eq!(windows[0], [0, 0, 256, 256]);
        assert_eq!(windows.len(), 51);
        for [x0, y0, x1, y1] in windows {
            assert!(x0 < x1 && x1 <= 256 && y1 <= 256);
            assert_eq!(x1 - x0, y1 - y0);
            assert!(x1 - x0 >= 89, "{}", x1 - x0);
        }
    }

    #[test]
    fn a_token_is_to_draw_what_the_window_shows_of_its_object() {
        let drawn = DrawnScene::new(Seeds::training(3).scene(4), 256, 256);
        let object = drawn.askable[0];
        let [x0, y0, x1, y1] = drawn.masks[object].pixel_bounds().unwrap();
        // The left half of the object's box.
        let window = [x0, y0, x0.midpoint(x1), y1];
        let view = View::new(&drawn, window, [2, 2], Vec::new());
        assert_eq!(view.close_ups.len(), view.cells.len() * 196);
        let [left, top, right, bottom] = window;
        let half = drawn.masks[object].crop(left, top, right, bottom);
        let [a, b, c, d] = half.pixel_bounds().unwrap();
        let expected = half.crop(a, b, c, d).area_average(14, 14);
        let drawings: Vec<&[f32]> = view.close_ups.chunks(196).collect();
        assert!(drawings.contains(&expected.as_slice()));
    }
}
