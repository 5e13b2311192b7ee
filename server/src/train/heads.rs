//! Linear heads that only training has. They stand in for what the paper's parts know before they
//! are joined: SAM and the vision tower what objects look like, the LLM where in the picture they
//! are.
//!
//! From scratch, the cross-entropy behind the LLM teaches colours within a few hundred steps and
//! shapes not within thousands; a loss at the cells themselves does.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor, activation};

use fclm_core::fclm::{Fclm, FclmConfig};
use fclm_core::loss;
use fclm_core::region::RegionTokens;

use super::attributes::{ATTRIBUTES, BatchLabels, DeviceLabels, VALUES};
use super::grounding::LOCATION_SIDE;
use super::terms::sum;
use super::tower::LOCAL_MASK_SIDE;

/// What each attribute counts in the loss. Materials and patterns count most: descriptions were wrong
/// in them where colours, shapes and sizes had long been right.
const WEIGHTS: [f64; ATTRIBUTES] = [0.15, 0.25, 0.2, 0.3, 0.1];

/// The model with the heads that only training has.
#[derive(Module, Debug)]
pub(super) struct Learner {
    pub(super) model: Fclm,
    pub(super) heads: TrainingHeads,
}

impl Learner {
    /// A model beside new heads.
    pub(super) fn new(model: Fclm, config: &FclmConfig, device: &Device) -> Self {
        let region = &config.region;
        let linear = |from: usize, to: usize| LinearConfig::new(from, to).init(device);
        let attributes = |from: usize| linear(from, VALUES.iter().sum());
        Self {
            heads: TrainingHeads {
                sam: attributes(region.sam_dim),
                vision: attributes(region.vision_dim),
                region: attributes(region.hidden_size),
                position: attributes(region.hidden_size),
                local_mask: linear(region.vision_dim, LOCAL_MASK_SIDE.pow(2)),
                location: linear(region.hidden_size, LOCATION_SIDE.pow(2)),
                read: attributes(region.hidden_size),
            },
            model,
        }
    }
}

/// What is read from which features.
#[derive(Module, Debug)]
pub(super) struct TrainingHeads {
    /// Attributes, from SAM's cells.
    sam: Linear,
    /// Attributes, from the vision tower's merged tokens.
    vision: Linear,
    /// Attributes, from `<mask>`.
    region: Linear,
    /// Attributes, from `<pos>`.
    position: Linear,
    /// The object around a merged token of the vision tower, from that token.
    local_mask: Linear,
    /// Where the targets of `[SEG]` are, and where a picture's token is, from the LLM's hidden state.
    location: Linear,
    /// Attributes, from what the LLM's middle layer reads at `[SEG]` and at a picture's tokens.
    read: Linear,
}

/// How well attributes are labelled.
#[derive(Debug)]
pub(super) struct AttributeLoss {
    /// Cross-entropy, the weighted mean of the attributes' and the sum of the heads'; none where
    /// nothing is labelled.
    pub(super) loss: Option<Tensor<1>>,
    /// Share of what is right of each attribute, of SAM's cells, of the tower's tokens, of `<mask>` and
    /// of `<pos>`, each none where none of them is labelled.
    pub(super) right: [Option<[Tensor<1>; ATTRIBUTES]>; 4],
}

impl TrainingHeads {
    /// The loss of naming attributes.
    ///
    /// # Shapes
    /// - `maps`: `[maps, sam_dim, height, width]`
    /// - `vision`: `[scenes, tokens, vision_dim]`
    /// - `regions`: each token `[regions, hidden_size]`
    pub(super) fn attribute_loss(
        &self,
        labels: &BatchLabels,
        maps: Tensor<4>,
        vision: Tensor<3>,
        regions: &RegionTokens,
    ) -> AttributeLoss {
        let [count, channels, height, width] = maps.dims();
        let maps = maps
            .reshape([count, channels, height * width])
            .swap_dims(1, 2)
            .reshape([count * height * width, channels]);
        let [scenes, tokens, dim] = vision.dims();
        let vision = vision.reshape([scenes * tokens, dim]);
        let named = [
            (&self.sam, maps, &labels.sam),
            (&self.vision, vision, &labels.vision),
            (&self.region, regions.mask.clone(), &labels.regions),
            (&self.position, regions.pos.clone(), &labels.regions),
        ]
        .map(|(head, features, labels)| {
            let labels = labels.as_ref()?;
            let logits = head.forward(features.select(0, labels.rows.clone()));
            Some(cross_entropy(&logits, &labels.classes, WEIGHTS))
        });
        let losses = named.iter().map(|named| {
            let (loss, _) = named.as_ref()?;
            Some(loss.clone())
        });
        AttributeLoss {
            loss: sum(losses),
            right: named.map(|named| named.map(|(_, right)| right)),
        }
    }

    /// Where something is, read from the LLM's hidden states.
    ///
    /// # Shapes
    /// - `hidden`: `[rows, hidden_size]`
    /// - `locations`: `[rows, LOCATION_SIDE^2]`, each row adds up to one, or is zero where nothing is
    ///   meant
    pub(super) fn location_loss(&self, hidden: Tensor<2>, locations: Tensor<2>) -> LocationLoss {
        let logits = self.location.forward(hidden);
        LocationLoss {
            accuracy: hits(&logits, &locations),
            loss: soft_cross_entropy(logits, locations),
        }
    }

    /// Attributes of what the LLM's middle layer reads, all of one weight, and the share of the right
    /// colours. `[SEG]` knows those that its expression names; that the picture's tokens are read by
    /// the same head makes both comparable.
    ///
    /// # Shapes
    /// - `read`: `[labelled, hidden_size]`
    /// - `classes`: `[labelled, 5]`
    pub(super) fn read_loss(&self, read: Tensor<2>, classes: &Tensor<2, Int>) -> [Tensor<1>; 2] {
        let even = [1.0 / ATTRIBUTES as f64; ATTRIBUTES];
        let (loss, [colours, ..]) = cross_entropy(&self.read.forward(read), classes, even);
        [loss, colours]
    }

    /// What the vision tower alone is taught: naming attributes, and drawing the object around a
    /// token.
    ///
    /// # Shapes
    /// - `vision`: `[views, tokens, vision_dim]`
    /// - `local_masks`: `[labelled, LOCAL_MASK_SIDE, LOCAL_MASK_SIDE]`
    pub(super) fn tower_loss(
        &self,
        labels: &DeviceLabels,
        local_masks: Tensor<3>,
        vision: Tensor<3>,
    ) -> TowerLoss {
        let [views, tokens, dim] = vision.dims();
        let shown = vision
            .reshape([views * tokens, dim])
            .select(0, labels.rows.clone());
        let (attributes, right) = cross_entropy(
            &self.vision.forward(shown.clone()),
            &labels.classes,
            WEIGHTS,
        );
        let [.., shapes, _, _] = right;
        let drawn = self.local_mask.forward(shown).reshape(local_masks.dims());
        TowerLoss {
            attributes,
            local_mask: loss::bce_loss(drawn, local_masks),
            shapes,
        }
    }
}

/// How well the LLM tells where something is.
#[derive(Debug)]
pub(super) struct LocationLoss {
    /// Cross-entropy with the share of each place.
    pub(super) loss: Tensor<1>,
    /// How often the likeliest place holds some of it, where it is somewhere.
    pub(super) accuracy: Tensor<1>,
}

/// How well the tokens of the vision tower tell what they show.
#[derive(Debug)]
pub(super) struct TowerLoss {
    /// Cross-entropy of the attributes.
    pub(super) attributes: Tensor<1>,
    /// Binary cross-entropy of the local masks.
    pub(super) local_mask: Tensor<1>,
    /// Share of the right shapes.
    pub(super) shapes: Tensor<1>,
}

/// The weighted mean over attributes of the mean over rows, and the share of rows where each is right.
fn cross_entropy(
    logits: &Tensor<2>,
    classes: &Tensor<2, Int>,
    weights: [f64; ATTRIBUTES],
) -> (Tensor<1>, [Tensor<1>; ATTRIBUTES]) {
    let [rows, _] = logits.dims();
    let mut first = 0;
    let of_each: [_; ATTRIBUTES] = std::array::from_fn(|attribute| {
        let of_attribute = logits.clone().narrow(1, first, VALUES[attribute]);
        first += VALUES[attribute];
        let wanted = classes.clone().narrow(1, attribute, 1);
        let said = of_attribute.clone().detach().argmax(1);
        let right = said.equal(wanted.clone()).float().reshape([rows]).mean();
        let chosen = activation::log_softmax(of_attribute, 1).gather(1, wanted);
        let loss = chosen
            .reshape([rows])
            .mean()
            .mul_scalar(-weights[attribute]);
        (loss, right)
    });
    let [loss, ..] = &of_each;
    let loss = of_each[1..]
        .iter()
        .fold(loss.0.clone(), |sum, (loss, _)| sum + loss.clone());
    (loss, of_each.map(|(_, right)| right))
}

/// How often the likeliest location is one of a row's, among the rows that have any; no number where
/// none has.
fn hits(logits: &Tensor<2>, locations: &Tensor<2>) -> Tensor<1> {
    let likeliest = logits.clone().detach().argmax(1);
    let is_hit = locations.clone().gather(1, likeliest).greater_scalar(0.0);
    let has_any = locations.clone().sum_dim(1).greater_scalar(0.0);
    is_hit.float().sum() / has_any.float().sum()
}

/// The mean over rows of the cross-entropy with a distribution.
fn soft_cross_entropy(logits: Tensor<2>, wanted: Tensor<2>) -> Tensor<1> {
    let cross = activation::log_softmax(logits, 1) * wanted;
    cross.sum_dim(1).mean().neg()
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;

    const SHAPE: usize = 2;

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
        let (loss, right) = cross_entropy(&logits, &wanted, WEIGHTS);
        let loss: f32 = loss.into_scalar();
        let right = right.map(|share| share.into_scalar::<f32>());
        assert!(
            (f64::from(loss) - WEIGHTS[SHAPE] * 20.0 / 2.0).abs() < 1e-4,
            "{loss}"
        );
        assert_eq!(right, [1.0, 1.0, 0.5, 1.0, 1.0]);
    }

    #[test]
    fn what_is_nowhere_is_neither_found_nor_missed() {
        let device = Device::flex();
        let logits = Tensor::from_data([[9.0, 0.0], [9.0, 0.0], [9.0, 0.0]], &device);
        let locations = Tensor::from_data([[0.5, 0.5], [0.0, 0.0], [0.0, 1.0]], &device);
        let share: f32 = hits(&logits, &locations).into_scalar();
        assert_eq!(share, 0.5);
    }

    #[test]
    fn a_location_costs_what_its_share_says() {
        let device = Device::flex();
        let logits = Tensor::from_data([[0.0, 0.0, 0.0, 0.0], [9.0, 0.0, 0.0, 0.0]], &device);
        let wanted = Tensor::from_data([[0.5, 0.5, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]], &device);
        let expected = (4.0_f32.ln() + (9.0_f32.exp() + 3.0).ln()) / 2.0;
        let loss: f32 = soft_cross_entropy(logits, wanted).into_scalar();
        assert!((loss - expected).abs() < 1e-5, "{loss} {expected}");
    }
}
