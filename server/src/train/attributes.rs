//! What stands in for pretrained encoders: linear heads, used in training only, that name the
//! attributes of the object under each cell of both encoders' maps and of each region.
//!
//! The paper starts from a SAM and a vision tower that know shapes and materials. From scratch, the
//! cross-entropy behind the LLM teaches colours within a few hundred steps and shapes not within
//! thousands; a loss at the cells themselves does.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};

use fclm_core::fclm::{Fclm, FclmConfig};
use fclm_core::image::geometry;
use fclm_core::region::RegionTokens;
use fclm_core::sam;
use fclm_core::wire::BoxPx;

use crate::data::scenes::{Attributes, Colour, DrawnScene, Material, Pattern, Shape, Size};

/// Attributes of an object.
const ATTRIBUTES: usize = 5;

/// Values of each attribute, in the order of [`classes`].
const VALUES: [usize; ATTRIBUTES] = [
    Colour::ALL.len(),
    Material::ALL.len(),
    Shape::ALL.len(),
    Pattern::ALL.len(),
    Size::ALL.len(),
];

/// Place of the shape among them.
const SHAPE: usize = 2;

/// A cell shows an object that covers at least one in this many of its pixels.
const CELL_SHARE: usize = 5;

/// How many cells across a token is to draw its object.
pub(super) const OUTLINE_CELLS: usize = 5;

/// Points across such an outline.
pub(super) const OUTLINE_SIDE: usize = 20;

/// Places across the picture that `[SEG]` is to tell apart.
pub(super) const PLACE_SIDE: usize = 16;

/// What each attribute counts in the loss; shapes take longest to learn, then materials.
const WEIGHTS: [f64; ATTRIBUTES] = [0.1, 0.3, 0.4, 0.1, 0.1];

/// The model with the heads that only training has.
#[derive(Module, Debug)]
pub(super) struct Learner {
    pub(super) model: Fclm,
    pub(super) heads: AttributeHeads,
}

impl Learner {
    /// A model beside new heads.
    pub(super) fn new(model: Fclm, config: &FclmConfig, device: &Device) -> Self {
        let count = VALUES.iter().sum();
        let linear = |width: usize| LinearConfig::new(width, count).init(device);
        Self {
            heads: AttributeHeads {
                sam: linear(config.region.sam_dim),
                vision: linear(config.region.vision_dim),
                region: linear(config.region.hidden_size),
                position: linear(config.region.hidden_size),
                outline: LinearConfig::new(config.region.vision_dim, OUTLINE_SIDE * OUTLINE_SIDE)
                    .init(device),
                place: LinearConfig::new(config.region.hidden_size, PLACE_SIDE * PLACE_SIDE)
                    .init(device),
            },
            model,
        }
    }
}

/// One head each for SAM's cells, the vision tower's merged tokens, `<mask>` and `<pos>`.
#[derive(Module, Debug)]
pub(super) struct AttributeHeads {
    sam: Linear,
    vision: Linear,
    region: Linear,
    position: Linear,
    /// Draws the object that a token of the vision tower shows, from that token alone.
    outline: Linear,
    /// Says where in the picture `[SEG]` is.
    place: Linear,
}

/// A cell of a map, and what the object under its centre is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Labelled {
    pub(super) cell: usize,
    pub(super) classes: [i32; ATTRIBUTES],
}

/// The numbers of an object's attributes.
pub(super) fn classes(attributes: &Attributes) -> [i32; ATTRIBUTES] {
    fn place<T: PartialEq>(all: &[T], value: &T) -> i32 {
        all.iter()
            .position(|other| other == value)
            .expect("ALL holds every value") as i32
    }
    [
        place(Colour::ALL, &attributes.colour),
        place(Material::ALL, &attributes.material),
        place(Shape::ALL, &attributes.shape),
        place(Pattern::ALL, &attributes.pattern),
        place(Size::ALL, &attributes.size),
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
    let window = geometry::region_crop(bounds, width, height);
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

/// The vision tower's merged tokens of a window of the picture, each with the one of `objects` that it
/// shows.
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
    let range = |place: usize, extent: f32, from: u32, to: u32| {
        let at = |place: usize| {
            let share = (place as f32 * extent).min(1.0);
            from + (share * (to - from) as f32).round() as u32
        };
        at(place)..at(place + 1)
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

/// Tokens of the vision tower, what they show, and what they are to draw.
#[derive(Debug, Clone)]
pub(super) struct Outlines {
    pub(super) labels: DeviceLabels,
    /// Each labelled token's object around the token, `[labelled, OUTLINE_SIDE^2]`.
    pub(super) drawings: Tensor<2>,
}

/// Rows of a map, or of the regions, with their attributes, on the device.
#[derive(Debug, Clone)]
pub(super) struct DeviceLabels {
    /// `[labelled]`
    rows: Tensor<1, Int>,
    /// `[labelled, 5]`
    classes: Tensor<2, Int>,
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

/// How well attributes are labelled.
#[derive(Debug)]
pub(super) struct AttributeLoss {
    /// Cross-entropy, the weighted mean of the attributes' and the sum of the heads'.
    pub(super) loss: Tensor<1>,
    /// Share of the right shapes of SAM's cells, of the tower's tokens, of `<mask>` and of `<pos>`.
    pub(super) shapes: [Tensor<1>; 4],
}

impl AttributeHeads {
    /// The loss of all heads.
    ///
    /// # Shapes
    /// - `maps`: `[maps, sam_dim, height, width]`
    /// - `vision`: `[scenes, tokens, vision_dim]`
    /// - `regions`: each token `[regions, hidden_size]`
    pub(super) fn loss(
        &self,
        labels: &BatchLabels,
        maps: Tensor<4>,
        vision: Tensor<3>,
        regions: &RegionTokens,
    ) -> AttributeLoss {
        let zero = Tensor::<1>::zeros([1], &maps.device());
        let [count, channels, height, width] = maps.dims();
        let maps = maps
            .reshape([count, channels, height * width])
            .swap_dims(1, 2)
            .reshape([count * height * width, channels]);
        let [scenes, tokens, dim] = vision.dims();
        let vision = vision.reshape([scenes * tokens, dim]);
        let mut loss = zero.clone();
        let shapes = [
            (&self.sam, maps, &labels.sam),
            (&self.vision, vision, &labels.vision),
            (&self.region, regions.mask.clone(), &labels.regions),
            (&self.position, regions.pos.clone(), &labels.regions),
        ]
        .map(|(head, features, labels)| {
            let Some(labels) = labels else {
                return zero.clone();
            };
            let logits = head.forward(features.select(0, labels.rows.clone()));
            let (of_head, shapes) = cross_entropy(&logits, &labels.classes);
            loss = loss.clone() + of_head;
            shapes
        });
        AttributeLoss { loss, shapes }
    }
}

impl AttributeHeads {
    /// Where the targets are, read from the hidden state of `[SEG]`.
    ///
    /// # Shapes
    /// - `seg`: `[grounds, hidden_size]`
    /// - `places`: `[grounds, PLACE_SIDE^2]`, each row adds up to one
    pub(super) fn place_loss(&self, seg: Tensor<2>, places: Tensor<2>) -> PlaceLoss {
        let logits = self.place.forward(seg);
        let likeliest = logits.clone().detach().argmax(1);
        let is_there = places.clone().gather(1, likeliest).greater_scalar(0.0);
        let cross = activation::log_softmax(logits, 1) * places;
        PlaceLoss {
            loss: cross.sum_dim(1).mean().neg(),
            accuracy: is_there.float().mean(),
        }
    }

    /// What the vision tower alone is taught: naming attributes, and drawing the object.
    ///
    /// # Shapes
    /// - `vision`: `[views, tokens, vision_dim]`
    pub(super) fn tower_loss(&self, outlines: &Outlines, vision: Tensor<3>) -> TowerLoss {
        let [views, tokens, dim] = vision.dims();
        let shown = vision
            .reshape([views * tokens, dim])
            .select(0, outlines.labels.rows.clone());
        let (attributes, shapes) = cross_entropy(
            &self.vision.forward(shown.clone()),
            &outlines.labels.classes,
        );
        TowerLoss {
            attributes,
            outline: binary_cross_entropy(self.outline.forward(shown), outlines.drawings.clone()),
            shapes,
        }
    }
}

/// How well `[SEG]` tells where its targets are.
#[derive(Debug)]
pub(super) struct PlaceLoss {
    /// Cross-entropy with the targets' share of each place.
    pub(super) loss: Tensor<1>,
    /// How often the likeliest place holds some of the targets.
    pub(super) accuracy: Tensor<1>,
}

/// How well the tokens of the vision tower tell what they show.
#[derive(Debug)]
pub(super) struct TowerLoss {
    /// Cross-entropy of the attributes.
    pub(super) attributes: Tensor<1>,
    /// Binary cross-entropy of the outlines.
    pub(super) outline: Tensor<1>,
    /// Share of the right shapes.
    pub(super) shapes: Tensor<1>,
}

/// The weighted mean over attributes of the mean over rows, and the share of the right shapes.
fn cross_entropy(logits: &Tensor<2>, classes: &Tensor<2, Int>) -> (Tensor<1>, Tensor<1>) {
    let [rows, _] = logits.dims();
    let mut loss = Tensor::<1>::zeros([1], &logits.device());
    let mut right = loss.clone();
    let mut first = 0;
    for (attribute, count) in VALUES.into_iter().enumerate() {
        let of_attribute = logits.clone().narrow(1, first, count);
        let wanted = classes.clone().narrow(1, attribute, 1);
        if attribute == SHAPE {
            let said = of_attribute.clone().detach().argmax(1);
            right = said.equal(wanted.clone()).float().reshape([rows]).mean();
        }
        let chosen = activation::log_softmax(of_attribute, 1).gather(1, wanted);
        let mean = chosen.reshape([rows]).mean();
        loss = loss - mean.mul_scalar(WEIGHTS[attribute]);
        first += count;
    }
    (loss, right)
}

/// The mean over all pixels; `log(1 - sigmoid(x)) = log(sigmoid(x)) - x`.
fn binary_cross_entropy(logits: Tensor<2>, wanted: Tensor<2>) -> Tensor<1> {
    let inside = activation::log_sigmoid(logits.clone());
    (inside - logits * (wanted.neg() + 1.0)).mean().neg()
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
        let config = FclmConfig::tiny(256, 1);
        let object = drawn.askable[0];
        let bounds = drawn.masks[object].bounds().unwrap();
        let wanted = classes(&drawn.view.objects[object].attributes);
        let count =
            |labelled: Vec<Labelled>| labelled.iter().filter(|n| n.classes == wanted).count();
        let whole = count(sam_cells(&drawn, &config));
        let crop = count(crop_cells(&drawn, object, bounds, &config));
        assert!(crop > whole, "{crop} {whole}");
    }

    #[test]
    fn a_wrong_shape_costs_its_share_and_nothing_else_does() {
        let device = Device::flex();
        let count: usize = VALUES.iter().sum();
        let classes = [2, 1, 3, 1, 1];
        let mut logits = vec![0.0_f32; 2 * count];
        for row in 0..2 {
            let mut first = 0;
            for (attribute, (&values, class)) in VALUES.iter().zip(classes).enumerate() {
                let is_wrong = row == 1 && attribute == SHAPE;
                let said = if is_wrong { 0 } else { class };
                logits[row * count + first + said] = 20.0;
                first += values;
            }
        }
        let logits = Tensor::<2>::from_data(TensorData::new(logits, [2, count]), &device);
        let wanted: Vec<i32> = [classes, classes]
            .as_flattened()
            .iter()
            .map(|&c| c as i32)
            .collect();
        let wanted = Tensor::from_data(TensorData::new(wanted, [2, ATTRIBUTES]), &device);
        let (loss, right) = cross_entropy(&logits, &wanted);
        let (loss, right): (f32, f32) = (loss.into_scalar(), right.into_scalar());
        assert!(
            (f64::from(loss) - WEIGHTS[SHAPE] * 20.0 / 2.0).abs() < 1e-4,
            "{loss}"
        );
        assert!((right - 0.5).abs() < 1e-6, "{right}");
    }
    #[test]
    fn a_pixel_costs_what_its_logit_says() {
        let device = Device::flex();
        let loss = binary_cross_entropy(
            Tensor::from_data([[0.0, 3.0], [3.0, -30.0]], &device),
            Tensor::from_data([[0.25, 1.0], [0.0, 0.0]], &device),
        );
        let softplus = |x: f64| x.exp().ln_1p();
        let expected = (softplus(0.0) + softplus(-3.0) + softplus(3.0) + softplus(-30.0)) / 4.0;
        let loss = f64::from(loss.into_scalar::<f32>());
        assert!((loss - expected).abs() < 1e-6, "{loss} {expected}");
    }
}
