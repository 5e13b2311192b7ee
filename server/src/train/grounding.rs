//! What stands in for a pretrained LLM, which can ground what it reads.
//!
//! The paper's LLM has learned to tell where things are. From scratch, behind the mask loss alone,
//! `[SEG]` follows the words for places ("at the top left") and no others: "the sphere" and "the metal
//! cube" draw the same mask. So the LLM is told where its targets and the picture's tokens are, and
//! one group of heads is shown where to look.

use burn::tensor::{Device, Int, Tensor, TensorData, activation};

use fclm_core::fclm::Fclm;
use fclm_core::mask::Mask;

use super::attributes::{ATTRIBUTES, DeviceLabels, Labelled};
use super::batch::{Batch, indices};
use super::encoded::{Read, middle_layer};
use super::heads::{Learner, LocationLoss};

/// Locations across the picture that the LLM is to tell apart.
pub(super) const LOCATION_SIDE: usize = 16;

/// Score of looking at nothing, beside the scores of the picture's tokens: what is looked at must
/// stand out from the text as well, which is not compared.
const NOTHING: f64 = 3.0;

/// Where the targets of a `[SEG]` are.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct GroundingTarget {
    /// The share of the targets at each location, `LOCATION_SIDE * LOCATION_SIDE`, one in all, or all
    /// zero where nothing is meant.
    locations: Vec<f32>,
    /// How much each of the picture's tokens shows of them, 1 for the one that shows most.
    tokens: Vec<f32>,
    /// What the target is, where there is one only.
    classes: Option<[i32; ATTRIBUTES]>,
}

impl GroundingTarget {
    /// What a mask is in a grid of tokens, rows and columns.
    pub(super) fn new(
        mask: &Mask,
        [rows, columns]: [usize; 2],
        classes: Option<[i32; ATTRIBUTES]>,
    ) -> Self {
        let side = LOCATION_SIDE as u32;
        let mut locations = mask.area_average(side, side);
        let sum: f32 = locations.iter().sum();
        locations
            .iter_mut()
            .for_each(|share| *share /= sum.max(1e-6));
        let mut tokens = mask.area_average(columns as u32, rows as u32);
        let most = tokens.iter().copied().fold(1e-6, f32::max);
        tokens.iter_mut().for_each(|share| *share /= most);
        Self {
            locations,
            tokens,
            classes,
        }
    }
}

/// Targets on the device, each with the row of the sequence that is to know of it.
#[derive(Debug, Clone)]
struct DeviceTargets {
    /// `[targets]`
    rows: Tensor<1, Int>,
    /// Which scene of the batch each is in, `[targets]`.
    scene: Tensor<1, Int>,
    /// `[targets, LOCATION_SIDE^2]`
    locations: Tensor<2>,
    /// `[targets, tokens + 1]`; the last is 1 where there is nothing to be looked at.
    tokens: Tensor<2>,
    /// What single targets are, by their rows in the sequence.
    classes: Option<DeviceLabels>,
}

impl DeviceTargets {
    /// None where there are none. Each comes with its row and its scene.
    fn new(targets: &[(i32, usize, &GroundingTarget)], device: &Device) -> Option<Self> {
        let count = targets.len();
        if count == 0 {
            return None;
        }
        let table = |values: Vec<f32>| {
            let width = values.len() / count;
            Tensor::from_data(TensorData::new(values, [count, width]), device)
        };
        let locations = targets.iter().flat_map(|(_, _, target)| &target.locations);
        let locations = locations.copied().collect();
        let tokens = targets.iter().flat_map(|(_, _, target)| {
            let is_nothing = target.tokens.iter().all(|&share| share == 0.0);
            let nothing = f32::from(u8::from(is_nothing));
            target.tokens.iter().copied().chain([nothing])
        });
        let tokens = tokens.collect();
        Some(Self {
            rows: indices(targets.iter().map(|&(row, _, _)| row).collect(), device),
            scene: indices(
                targets.iter().map(|&(_, scene, _)| scene as i32).collect(),
                device,
            ),
            locations: table(locations),
            tokens: table(tokens),
            classes: DeviceLabels::new(
                targets.iter().filter_map(|&(row, _, target)| {
                    Some(Labelled {
                        cell: row as usize,
                        classes: target.classes?,
                    })
                }),
                device,
            ),
        })
    }
}

/// What the LLM is to know of a batch.
#[derive(Debug, Clone)]
pub(super) struct DeviceGrounding {
    segs: DeviceTargets,
    /// Of the places that lead up to `[SEG]`; none where there are none.
    leads: Option<DeviceTargets>,
    /// Rows of the pictures' tokens in the sequence, `[scenes * tokens]`.
    image_rows: Tensor<1, Int>,
    /// `[scenes * tokens, LOCATION_SIDE^2]`
    image_locations: Tensor<2>,
}

impl DeviceGrounding {
    /// Moves targets to the device, of `[SEG]`s and of what leads up to them, each with its row and
    /// its scene; none where there is no `[SEG]`.
    pub(super) fn new(
        segs: &[(i32, usize, &GroundingTarget)],
        leads: &[(i32, usize, &GroundingTarget)],
        image_rows: Vec<i32>,
        merged: [usize; 2],
        device: &Device,
    ) -> Option<Self> {
        let segs = DeviceTargets::new(segs, device)?;
        let cells = merged[0] * merged[1];
        let mut image_locations = vec![0.0_f32; image_rows.len() * LOCATION_SIDE.pow(2)];
        for (row, one) in image_locations.chunks_mut(LOCATION_SIDE.pow(2)).enumerate() {
            one[location_of(row % cells, merged)] = 1.0;
        }
        Some(Self {
            segs,
            leads: DeviceTargets::new(leads, device),
            image_locations: Tensor::from_data(
                TensorData::new(image_locations, [image_rows.len(), LOCATION_SIDE.pow(2)]),
                device,
            ),
            image_rows: indices(image_rows, device),
        })
    }

    /// Row of each `[SEG]` in the sequence, `[grounds]`.
    pub(super) fn rows(&self) -> Tensor<1, Int> {
        self.segs.rows.clone()
    }
}

/// The location that a token's centre lies in.
fn location_of(cell: usize, [rows, columns]: [usize; 2]) -> usize {
    let at = |index: usize, count: usize| (2 * index + 1) * LOCATION_SIDE / (2 * count);
    at(cell / columns, rows) * LOCATION_SIDE + at(cell % columns, columns)
}

/// How well the LLM knows of one kind of targets.
#[derive(Debug)]
pub(super) struct Known {
    /// Cross-entropy of their locations.
    pub(super) location: Tensor<1>,
    /// How often the likeliest location holds some of the targets.
    pub(super) accuracy: Tensor<1>,
    /// How little they are looked at.
    pub(super) search: Tensor<1>,
    /// Cross-entropy of the attributes that are read, and the share of the right colours; none where
    /// no target is a single object.
    pub(super) read: Option<[Tensor<1>; 2]>,
}

/// How well the LLM grounds.
#[derive(Debug)]
pub(super) struct GroundingLoss {
    /// What `[SEG]` knows.
    pub(super) segs: Known,
    /// What is known where the text leads up to it; none where it does not.
    pub(super) leads: Option<Known>,
    /// Cross-entropy of the locations of the picture's tokens.
    pub(super) image: Tensor<1>,
    /// Cross-entropy of the attributes of what they show; none where they show nothing.
    pub(super) seen: Option<Tensor<1>>,
}

impl GroundingLoss {
    /// Everything together.
    pub(super) fn total(&self) -> Tensor<1> {
        [Some(&self.segs), self.leads.as_ref()]
            .into_iter()
            .flatten()
            .flat_map(|known| {
                let read = known.read.as_ref().map(|[loss, _]| loss);
                [Some(&known.location), Some(&known.search), read]
            })
            .chain([self.seen.as_ref()])
            .flatten()
            .fold(self.image.clone(), |sum, part| sum + part.clone())
    }
}

/// The loss of the LLM's lessons in grounding, on what it read of `batch`.
pub(super) fn grounding_loss(
    learner: &Learner,
    read: &Read,
    batch: &Batch,
    grounding: &DeviceGrounding,
) -> GroundingLoss {
    let heads = &learner.heads;
    let of = |rows: &Tensor<1, Int>| read.hidden.clone().select(0, rows.clone());
    let middle = |rows: Tensor<1, Int>| read.middle.clone().flatten::<2>(0, 1).select(0, rows);
    let look = Look::new(&learner.model, read, batch, grounding);
    let known = |targets: &DeviceTargets| {
        let LocationLoss { loss, accuracy } =
            heads.location_loss(of(&targets.rows), targets.locations.clone());
        Known {
            location: loss,
            accuracy,
            search: look.missed(targets),
            read: targets
                .classes
                .as_ref()
                .map(|labels| heads.read_loss(middle(labels.rows.clone()), &labels.classes)),
        }
    };
    let image = heads.location_loss(of(&grounding.image_rows), grounding.image_locations.clone());
    let seen = batch.labels.vision.as_ref().map(|labels| {
        let rows = grounding.image_rows.clone().select(0, labels.rows.clone());
        let [loss, _] = heads.read_loss(middle(rows), &labels.classes);
        loss
    });
    GroundingLoss {
        segs: known(&grounding.segs),
        leads: grounding.leads.as_ref().map(known),
        image: image.loss,
        seen,
    }
}

/// What the query heads that share the first key head look at.
struct Look {
    /// `[scenes * length, heads, dim]`
    queries: Tensor<3>,
    /// Of the pictures' tokens, `[scenes, tokens, dim]`.
    keys: Tensor<3>,
}

impl Look {
    fn new(model: &Fclm, read: &Read, batch: &Batch, grounding: &DeviceGrounding) -> Self {
        let [queries, keys] = model.qwen.model.queries_and_keys(
            middle_layer(model),
            read.middle.clone(),
            batch.positions.clone(),
        );
        let [scenes, _, heads, dim] = queries.dims();
        let [_, _, kv_heads, _] = keys.dims();
        let [image] = grounding.image_rows.dims();
        Self {
            queries: queries.flatten::<3>(0, 1).narrow(1, 0, heads / kv_heads),
            keys: keys
                .flatten::<3>(0, 1)
                .select(0, grounding.image_rows.clone())
                .narrow(1, 0, 1)
                .reshape([scenes, image / scenes, dim]),
        }
    }

    /// The mean over targets and heads of `-log` of the attention that tokens with the target get,
    /// each by how much it shows of it.
    fn missed(&self, targets: &DeviceTargets) -> Tensor<1> {
        let [_, _, dim] = self.keys.dims();
        let queries = self.queries.clone().select(0, targets.rows.clone());
        let keys = self.keys.clone().select(0, targets.scene.clone());
        let scores = queries
            .matmul(keys.swap_dims(1, 2))
            .div_scalar((dim as f64).sqrt());
        missed(scores, targets.tokens.clone())
    }
}

/// - `scores`: `[targets, heads, tokens]`
/// - `shown`: `[targets, tokens + 1]`, the last of what is no token
fn missed(scores: Tensor<3>, shown: Tensor<2>) -> Tensor<1> {
    let [targets, heads, _] = scores.dims();
    let nothing = Tensor::full([targets, heads, 1], NOTHING, &scores.device());
    let attention = activation::softmax(Tensor::cat(vec![scores, nothing], 2), 2);
    let seen = attention * shown.unsqueeze_dim::<3>(1);
    seen.sum_dim(2).add_scalar(1e-6).log().mean().neg()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_spread_over_locations_and_tokens() {
        // The left half of the picture, and a quarter of the right one's upper token.
        let mask = Mask::from_fn(32, 32, |x, y| x < 16 || (x < 24 && y < 8));
        let target = GroundingTarget::new(&mask, [2, 2], None);
        assert_eq!(target.tokens, [1.0, 0.25, 1.0, 0.0]);
        let sum: f32 = target.locations.iter().sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
        let each = 1.0 / (16.0 * 8.0 + 4.0 * 4.0);
        assert!((target.locations[0] - each).abs() < 1e-6);
        assert_eq!(target.locations[15], 0.0);
    }

    #[test]
    fn nothing_is_looked_for_where_no_token_shows_anything() {
        let device = Device::flex();
        let nothing = GroundingTarget::new(&Mask::new(32, 32), [2, 2], None);
        let half = Mask::from_fn(32, 32, |x, _| x < 16);
        let something = GroundingTarget::new(&half, [2, 2], None);
        let targets = [(4, 0, &nothing), (7, 1, &something)];
        let targets = DeviceTargets::new(&targets, &device).unwrap();
        let tokens: Vec<f32> = targets.tokens.into_data().iter().collect();
        assert_eq!(tokens, [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
        let scenes: Vec<i64> = targets.scene.into_data().iter().collect();
        assert_eq!(scenes, [0, 1]);
        assert!(targets.classes.is_none());
    }

    #[test]
    fn a_token_lies_where_its_centre_does() {
        assert_eq!(location_of(0, [16, 16]), 0);
        assert_eq!(location_of(255, [16, 16]), 255);
        // Centres of a 2 x 4 grid: rows at 4 and 12, columns at 2, 6, 10 and 14.
        assert_eq!(location_of(0, [2, 4]), 4 * 16 + 2);
        assert_eq!(location_of(7, [2, 4]), 12 * 16 + 14);
    }

    #[test]
    fn looking_elsewhere_costs() {
        let device = Device::flex();
        let scores = |a: f32, b: f32| Tensor::<3>::from_data([[[a, b]]], &device);
        let loss = |scores, shown: [f32; 3]| {
            missed(scores, Tensor::<2>::from_data([shown], &device)).into_scalar::<f32>()
        };
        let nothing = 3.0_f32.exp();
        let expected = -(5.0_f32.exp() / (5.0_f32.exp() + 1.0 + nothing)).ln();
        let first = [1.0, 0.0, 0.0];
        assert!((loss(scores(5.0, 0.0), first) - expected).abs() < 1e-4);
        assert!(loss(scores(0.0, 5.0), first) > loss(scores(5.0, 0.0), first) + 4.0);
        // Where nothing is meant, whatever is looked at costs.
        let none = [0.0, 0.0, 1.0];
        let expected = -(nothing / (5.0_f32.exp() + 1.0 + nothing)).ln();
        assert!((loss(scores(5.0, 0.0), none) - expected).abs() < 1e-4);
    }
}
