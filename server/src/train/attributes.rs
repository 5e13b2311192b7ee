//! Labels of training scenes: which cell of an encoder's map shows which object, and what that is.

use burn::tensor::{Device, Int, Tensor, TensorData};

use fclm_core::fclm::FclmConfig;
use fclm_core::image::geometry;
use fclm_core::sam;
use fclm_core::wire::BoxPx;

use crate::data::scenes::{Attributes, Colour, DrawnScene, Material, Pattern, Shape, Size};

/// Attributes of an object.
pub(super) const ATTRIBUTES: usize = 5;

/// Values of each attribute, in the order of [`classes`].
pub(super) const VALUES: [usize; ATTRIBUTES] = [
    Colour::ALL.len(),
    Material::ALL.len(),
    Shape::ALL.len(),
    Pattern::ALL.len(),
    Size::ALL.len(),
];

/// A cell shows an object that covers at least one in this many of its pixels. With the cell's
/// centre instead, small objects that lie between centres would never be labelled.
const CELL_SHARE: usize = 5;

/// A cell of a map, and what the object that covers most of it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Labelled {
    pub(super) cell: usize,
    pub(super) classes: [i32; ATTRIBUTES],
}

/// The numbers of an object's attributes.
pub(super) fn classes(attributes: &Attributes) -> [i32; ATTRIBUTES] {
    fn index<T: PartialEq>(all: &[T], value: &T) -> i32 {
        all.iter()
            .position(|other| other == value)
            .expect("ALL holds every value") as i32
    }
    [
        index(Colour::ALL, &attributes.colour),
        index(Material::ALL, &attributes.material),
        index(Shape::ALL, &attributes.shape),
        index(Pattern::ALL, &attributes.pattern),
        index(Size::ALL, &attributes.size),
    ]
}

/// The cells of SAM's map of the picture that show an object that may be asked about.
pub(super) fn sam_cells(drawn: &DrawnScene, config: &FclmConfig) -> Vec<Labelled> {
    let (width, height) = drawn.image.dimensions();
    sam_grid(drawn, &drawn.askable, [0, 0, width, height], config)
}

/// The cells that show `object` in SAM's map of the crop of a region with these bounds.
pub(super) fn crop_cells(
    drawn: &DrawnScene,
    object: usize,
    bounds: BoxPx,
    config: &FclmConfig,
) -> Vec<Labelled> {
    let (width, height) = drawn.image.dimensions();
    let window = geometry::region_crop(bounds, width, height, config.region.crop);
    sam_grid(drawn, &[object], window, config)
}

fn sam_grid(
    drawn: &DrawnScene,
    objects: &[usize],
    window: [u32; 4],
    config: &FclmConfig,
) -> Vec<Labelled> {
    let [x0, y0, x1, y1] = window;
    let side = config.sam.image_size;
    let [input_h, input_w] = sam::input_size((y1 - y0) as usize, (x1 - x0) as usize, side);
    let grid = config.sam.grid();
    // SAM's input is padded to a square, so that its map may end beyond the window.
    let extent = [(input_w, grid), (input_h, grid)].map(|(input, grid)| {
        let step = side as f32 / grid as f32;
        step / input as f32
    });
    label(drawn, &shown(drawn, objects, window, [grid, grid], extent))
}

/// The same of the vision tower's merged tokens.
pub(super) fn vision_cells(drawn: &DrawnScene, grid: [usize; 2]) -> Vec<Labelled> {
    let (width, height) = drawn.image.dimensions();
    label(
        drawn,
        &window_cells(drawn, &drawn.askable, [0, 0, width, height], grid),
    )
}

/// The vision tower's merged tokens of a window of the picture, each with the one of `objects` that
/// it shows.
pub(super) fn window_cells(
    drawn: &DrawnScene,
    objects: &[usize],
    window: [u32; 4],
    grid: [usize; 2],
) -> Vec<(usize, usize)> {
    let extent = [1.0 / grid[1] as f32, 1.0 / grid[0] as f32];
    shown(drawn, objects, window, grid, extent)
}

/// Attributes of the object in each cell.
pub(super) fn label(drawn: &DrawnScene, cells: &[(usize, usize)]) -> Vec<Labelled> {
    let objects = &drawn.view.objects;
    cells
        .iter()
        .map(|&(cell, object)| Labelled {
            cell,
            classes: classes(&objects[object].attributes),
        })
        .collect()
}

/// The cells of a grid over a window, each with the object that covers most of it, where one covers
/// enough. `extent` is a cell's width and height as shares of the window's.
fn shown(
    drawn: &DrawnScene,
    objects: &[usize],
    [x0, y0, x1, y1]: [u32; 4],
    [rows, columns]: [usize; 2],
    extent: [f32; 2],
) -> Vec<(usize, usize)> {
    let range = |index: usize, extent: f32, from: u32, to: u32| {
        let at = |index: usize| {
            let share = (index as f32 * extent).min(1.0);
            from + (share * (to - from) as f32).round() as u32
        };
        at(index)..at(index + 1)
    };
    (0..rows * columns)
        .filter_map(|cell| {
            let across = range(cell % columns, extent[0], x0, x1);
            let down = range(cell / columns, extent[1], y0, y1);
            let size = across.len() * down.len();
            let covered = |object: usize| {
                let mask = &drawn.masks[object];
                let row = |y| across.clone().filter(|&x| mask.get(x, y)).count();
                down.clone().map(row).sum::<usize>()
            };
            let (most, object) = objects
                .iter()
                .map(|&object| (covered(object), object))
                .max_by_key(|&(pixels, _)| pixels)?;
            (most > 0 && most * CELL_SHARE >= size).then_some((cell, object))
        })
        .collect()
}

/// Rows of a map, or of the regions, with their attributes, on the device.
#[derive(Debug, Clone)]
pub(super) struct DeviceLabels {
    /// `[labelled]`
    pub(super) rows: Tensor<1, Int>,
    /// `[labelled, 5]`
    pub(super) classes: Tensor<2, Int>,
}

impl DeviceLabels {
    /// Nothing where there is nothing to name.
    pub(super) fn new(labels: impl Iterator<Item = Labelled>, device: &Device) -> Option<Self> {
        let (rows, classes): (Vec<i32>, Vec<[i32; ATTRIBUTES]>) =
            labels.map(|name| (name.cell as i32, name.classes)).unzip();
        let count = rows.len();
        (count > 0).then(|| Self {
            rows: Tensor::from_data(TensorData::new(rows, [count]), device),
            classes: Tensor::from_data(
                TensorData::new(
                    classes.into_iter().flatten().collect::<Vec<_>>(),
                    [count, ATTRIBUTES],
                ),
                device,
            ),
        })
    }
}

/// What is to be labelled in a batch.
#[derive(Debug, Clone)]
pub(super) struct BatchLabels {
    /// Rows of `[maps * cells]`: SAM's maps of the scenes, then of the crops.
    pub(super) sam: Option<DeviceLabels>,
    /// Rows of `[scenes * tokens]`.
    pub(super) vision: Option<DeviceLabels>,
    /// Rows of `[regions]`.
    pub(super) regions: Option<DeviceLabels>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::scenes::Seeds;

    fn drawn() -> DrawnScene {
        DrawnScene::new(Seeds::training(3).scene(4), 256, 256)
    }

    /// A labelled cell shows its object, and no cell that an object fills is left out.
    fn assert_shown(drawn: &DrawnScene, grid: usize, labelled: &[Labelled]) {
        assert!(!labelled.is_empty());
        let side = 256 / grid as u32;
        for cell in 0..grid * grid {
            let (x0, y0) = ((cell % grid) as u32 * side, (cell / grid) as u32 * side);
            let covered = |object: usize| {
                let cropped = drawn.masks[object].crop(x0, y0, x0 + side, y0 + side);
                f64::from(cropped.area() as u32) / f64::from(side * side)
            };
            let most = drawn.askable.iter().map(|&object| covered(object));
            let most = most.fold(0.0, f64::max);
            let found = labelled.iter().find(|label| label.cell == cell);
            assert_eq!(found.is_some(), most >= 0.2, "cell {cell}: {most}");
            if let Some(label) = found {
                let right = drawn.askable.iter().any(|&object| {
                    let named = classes(&drawn.view.objects[object].attributes);
                    named == label.classes && (covered(object) - most).abs() < 1e-9
                });
                assert!(right, "cell {cell}: {:?}", label.classes);
            }
        }
    }

    #[test]
    fn cells_are_labelled_after_the_object_that_they_show() {
        let drawn = drawn();
        let config = FclmConfig::tiny(256, 1);
        assert_shown(&drawn, config.sam.grid(), &sam_cells(&drawn, &config));
        assert_shown(&drawn, 8, &vision_cells(&drawn, [8, 8]));
    }

    #[test]
    fn a_window_is_labelled_as_it_would_be_in_the_picture() {
        let drawn = drawn();
        let whole = window_cells(&drawn, &drawn.askable, [0, 0, 256, 256], [8, 8]);
        let window = window_cells(&drawn, &drawn.askable, [64, 128, 192, 256], [4, 4]);
        let inside = whole.into_iter().filter_map(|(cell, object)| {
            let (row, column) = (cell / 8, cell % 8);
            (row >= 4 && (2..6).contains(&column)).then(|| ((row - 4) * 4 + (column - 2), object))
        });
        assert_eq!(inside.collect::<Vec<_>>(), window);
    }

    #[test]
    fn a_crop_shows_its_object_in_more_cells() {
        let drawn = drawn();
        // A grid of 16 x 16, in which one cell is not half of an object.
        let mut config = FclmConfig::tiny(256, 1);
        config.sam.image_size = 256;
        let object = drawn.askable[0];
        let bounds = drawn.masks[object].bounds().unwrap();
        let wanted = classes(&drawn.view.objects[object].attributes);
        let count =
            |labelled: Vec<Labelled>| labelled.iter().filter(|n| n.classes == wanted).count();
        let whole = count(sam_cells(&drawn, &config));
        let crop = count(crop_cells(&drawn, object, bounds, &config));
        assert!(crop > whole, "{crop} {whole}");
    }
}
