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

/// The cells of SAM's map of the picture whose centres show an object that may be asked about.
pub(super) fn sam_cells(drawn: &DrawnScene, config: &FclmConfig) -> Vec<Labelled> {
    let (width, height) = drawn.image.dimensions();
    sam_grid(drawn, &drawn.askable, [0, 0, width, height], config)
}

fn sam_grid(
    drawn: &DrawnScene,
    objects: &[usize],
    window: [u32; 4],
    config: &FclmConfig,
) -> Vec<Labelled> {
    let [x0, y0, x1, y1] = window;
    let (width, height) = (x1 - x0, y1 - y0);
    let side = config.sam.image_size;
    let [input_h, input_w] = sam::input_size(height as usize, width as usize, side);
    let grid = config.sam.grid();
    let step = side as f32 / grid as f32;
    cells(drawn, objects, [grid, grid], |row, column| {
        let x = (column as f32 + 0.5) * step / input_w as f32;
        let y = (row as f32 + 0.5) * step / input_h as f32;
        (x < 1.0 && y < 1.0).then(|| {
            (
                x0 + (x * width as f32) as u32,
                y0 + (y * height as f32) as u32,
            )
        })
    })
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

/// The same of the vision tower's merged tokens.
pub(super) fn vision_cells(drawn: &DrawnScene, grid: [usize; 2]) -> Vec<Labelled> {
    let (width, height) = drawn.image.dimensions();
    cells(drawn, &drawn.askable, grid, |row, column| {
        let at = |place: usize, count: usize, length: u32| {
            ((place as f32 + 0.5) / count as f32 * length as f32) as u32
        };
        Some((at(column, grid[1], width), at(row, grid[0], height)))
    })
}

fn cells(
    drawn: &DrawnScene,
    objects: &[usize],
    [height, width]: [usize; 2],
    pixel: impl Fn(usize, usize) -> Option<(u32, u32)>,
) -> Vec<Labelled> {
    (0..height * width)
        .filter_map(|cell| {
            let (x, y) = pixel(cell / width, cell % width)?;
            let shows = |&&object: &&usize| drawn.masks[object].get(x, y);
            let &object = objects.iter().find(shows)?;
            Some(Labelled {
                cell,
                classes: classes(&drawn.view.objects[object].attributes),
            })
        })
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::scenes::Seeds;

    fn drawn() -> DrawnScene {
        DrawnScene::new(Seeds::training(3).scene(4), 256, 256)
    }

    /// Every cell is labelled after what its centre shows, and no other is labelled.
    fn assert_centres(drawn: &DrawnScene, grid: usize, labelled: &[Labelled]) {
        assert!(!labelled.is_empty());
        for cell in 0..grid * grid {
            let at = |place: usize| ((place as f32 + 0.5) * 256.0 / grid as f32) as u32;
            let (x, y) = (at(cell % grid), at(cell / grid));
            let shown = drawn.askable.iter().find(|&&o| drawn.masks[o].get(x, y));
            let expected = shown.map(|&object| classes(&drawn.view.objects[object].attributes));
            let found = labelled.iter().find(|label| label.cell == cell);
            assert_eq!(found.map(|label| label.classes), expected, "cell {cell}");
        }
    }

    #[test]
    fn cells_are_labelled_after_what_their_centres_show() {
        let drawn = drawn();
        let config = FclmConfig::tiny(256, 1);
        assert_centres(&drawn, config.sam.grid(), &sam_cells(&drawn, &config));
        assert_centres(&drawn, 8, &vision_cells(&drawn, [8, 8]));
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
}
