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

/// Values of each attribute, in the order of [`classes`].
const VALUES: [usize; 5] = [
    Colour::ALL.len(),
    Material::ALL.len(),
    Shape::ALL.len(),
    Pattern::ALL.len(),
    Size::ALL.len(),
];

/// Place of the shape among them.
const SHAPE: usize = 2;

/// What each attribute counts in the loss; shapes take longest to learn, then materials.
const WEIGHTS: [f64; 5] = [0.1, 0.3, 0.4, 0.1, 0.1];

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
pub(super) struct Named {
    pub(super) cell: usize,
    pub(super) classes: [i32; 5],
}

/// The numbers of an object's attributes.
pub(super) fn classes(attributes: &Attributes) -> [i32; 5] {
    fn place<T: PartialEq>(all: &[T], value: &T) -> i32 {
        all.iter().position(|other| other == value).unwrap_or(0) as i32
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
pub(super) fn sam_cells(drawn: &DrawnScene, config: &FclmConfig) -> Vec<Named> {
    let (width, height) = drawn.image.dimensions();
    sam_grid(drawn, &drawn.askable, [0, 0, width, height], config)
}

fn sam_grid(
    drawn: &DrawnScene,
    objects: &[usize],
    window: [u32; 4],
    config: &FclmConfig,
) -> Vec<Named> {
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
) -> Vec<Named> {
    let (width, height) = drawn.image.dimensions();
    let window = geometry::region_crop(bounds, width, height);
    sam_grid(drawn, &[object], window, config)
}

/// The same of the vision tower's merged tokens.
pub(super) fn vision_cells(drawn: &DrawnScene, grid: [usize; 2]) -> Vec<Named> {
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
) -> Vec<Named> {
    (0..height * width)
        .filter_map(|cell| {
            let (x, y) = pixel(cell / width, cell % width)?;
            let shows = |&&object: &&usize| drawn.masks[object].get(x, y);
            let &object = objects.iter().find(shows)?;
            Some(Named {
                cell,
                classes: classes(&drawn.view.objects[object].attributes),
            })
        })
        .collect()
}

/// Rows of a map, or of the regions, with their attributes, on the device.
#[derive(Debug, Clone)]
pub(super) struct DeviceNames {
    /// `[named]`
    rows: Tensor<1, Int>,
    /// `[named, 5]`
    classes: Tensor<2, Int>,
}

impl DeviceNames {
    /// Nothing where there is nothing to name.
    pub(super) fn new(names: impl Iterator<Item = Named>, device: &Device) -> Option<Self> {
        let (rows, classes): (Vec<i32>, Vec<[i32; 5]>) =
            names.map(|name| (name.cell as i32, name.classes)).unzip();
        let count = rows.len();
        (count > 0).then(|| Self {
            rows: Tensor::from_data(TensorData::new(rows, [count]), device),
            classes: Tensor::from_data(
                TensorData::new(
                    classes.into_iter().flatten().collect::<Vec<_>>(),
                    [count, 5],
                ),
                device,
            ),
        })
    }
}

/// What is to be named in a batch.
#[derive(Debug, Clone)]
pub(super) struct BatchNames {
    /// Rows of `[maps * cells]`: SAM's maps of the scenes, then of the crops.
    pub(super) sam: Option<DeviceNames>,
    /// Rows of `[scenes * tokens]`.
    pub(super) vision: Option<DeviceNames>,
    /// Rows of `[regions]`.
    pub(super) regions: Option<DeviceNames>,
}

/// How well attributes are named.
#[derive(Debug)]
pub(super) struct Naming {
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
    pub(super) fn name(
        &self,
        names: &BatchNames,
        maps: Tensor<4>,
        vision: Tensor<3>,
        regions: &RegionTokens,
    ) -> Naming {
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
            (&self.sam, maps, &names.sam),
            (&self.vision, vision, &names.vision),
            (&self.region, regions.mask.clone(), &names.regions),
            (&self.position, regions.pos.clone(), &names.regions),
        ]
        .map(|(head, features, names)| {
            let Some(names) = names else {
                return zero.clone();
            };
            let logits = head.forward(features.select(0, names.rows.clone()));
            let (of_head, shapes) = cross_entropy(&logits, &names.classes);
            loss = loss.clone() + of_head;
            shapes
        });
        Naming { loss, shapes }
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

    #[test]
    fn cells_are_named_after_what_their_centres_show() {
        let drawn = drawn();
        let config = FclmConfig::tiny(256, 1);
        let grid = config.sam.grid();
        let named = sam_cells(&drawn, &config);
        assert!(!named.is_empty());
        for name in named {
            let at = |place: usize| ((place as f32 + 0.5) * 256.0 / grid as f32) as u32;
            let (x, y) = (at(name.cell % grid), at(name.cell / grid));
            let object = drawn.askable.iter().find(|&&o| drawn.masks[o].get(x, y));
            let &object = object.expect("only objects are named");
            assert_eq!(
                name.classes,
                classes(&drawn.view.objects[object].attributes)
            );
        }
    }

    #[test]
    fn a_crop_shows_its_object_in_more_cells() {
        let drawn = drawn();
        let config = FclmConfig::tiny(256, 1);
        let object = drawn.askable[0];
        let bounds = drawn.masks[object].bounds().unwrap();
        let wanted = classes(&drawn.view.objects[object].attributes);
        let count = |named: Vec<Named>| named.iter().filter(|n| n.classes == wanted).count();
        let whole = count(sam_cells(&drawn, &config));
        let crop = count(crop_cells(&drawn, object, bounds, &config));
        assert!(crop > whole, "{crop} {whole}");
    }

    #[test]
    fn the_loss_is_the_weighted_mean_of_the_attributes() {
        let device = Device::flex();
        let count: usize = VALUES.iter().sum();
        let logits = Tensor::<2>::zeros([2, count], &device);
        let classes = Tensor::<2, Int>::zeros([2, 5], &device);
        let (loss, right) = cross_entropy(&logits, &classes);
        let of_attribute = |(&count, weight): (&usize, f64)| (count as f64).ln() * weight;
        let expected: f64 = VALUES.iter().zip(WEIGHTS).map(of_attribute).sum();
        let loss: f32 = loss.into_scalar();
        assert!((f64::from(loss) - expected).abs() < 1e-6);
        let right: f32 = right.into_scalar();
        assert!((right - 1.0).abs() < 1e-6, "ties go to the first value");
    }
}
