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
use super::batch::Batch;
use super::encoded::{Read, middle_layer};
use super::heads::Learner;
use super::terms::sum;

/// Locations across the picture that the LLM is to tell apart.
pub(super) const LOCATION_SIDE: usize = 16;

/// Score of looking at nothing, beside the scores of the picture's tokens: what is looked at must
/// stand out from the text as well, which is not compared.
const NOTHING: f64 = 3.0;

/// Where the targets of a `[SEG]` are.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct GroundingTarget {
    /// The share of the targets at each location, `LOCATION_SIDE * LOCATION_SIDE`, one in all.
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

/// The same of a batch, on its device.
#[derive(Debug, Clone)]
pub(super) struct DeviceGrounding {
    /// Row of each `[SEG]` in the sequence, `[grounds]`.
    pub(super) rows: Tensor<1, Int>,
    /// `[grounds, LOCATION_SIDE^2]`
    locations: Tensor<2>,
    /// `[grounds, tokens]`
    tokens: Tensor<2>,
    /// Rows of the pictures' tokens in the sequence, `[scenes * tokens]`.
    image_rows: Tensor<1, Int>,
    /// `[scenes * tokens, LOCATION_SIDE^2]`
    image_locations: Tensor<2>,
    /// What single targets are, by their rows in the sequence.
    classes: Option<DeviceLabels>,
}

impl DeviceGrounding {
    /// Moves targets to the device, each with the row of its `[SEG]`.
    pub(super) fn new(
        targets: &[(i32, &GroundingTarget)],
        image_rows: Vec<i32>,
        merged: [usize; 2],
        device: &Device,
    ) -> Self {
        let count = targets.len();
        let indices = |values: Vec<i32>| {
            let count = values.len();
            Tensor::from_data(TensorData::new(values, [count]), device)
        };
        let table = |part: fn(&GroundingTarget) -> &[f32]| {
            let values: Vec<f32> = targets
                .iter()
                .flat_map(|&(_, target)| part(target).iter().copied())
                .collect();
            let width = values.len() / count.max(1);
            Tensor::from_data(TensorData::new(values, [count, width]), device)
        };
        let cells = merged[0] * merged[1];
        let mut image_locations = vec![0.0_f32; image_rows.len() * LOCATION_SIDE.pow(2)];
        for (row, one) in image_locations.chunks_mut(LOCATION_SIDE.pow(2)).enumerate() {
            one[location_of(row % cells, merged)] = 1.0;
        }
        Self {
            rows: indices(targets.iter().map(|&(row, _)| row).collect()),
            locations: table(|target| &target.locations),
            tokens: table(|target| &target.tokens),
            image_locations: Tensor::from_data(
                TensorData::new(image_locations, [image_rows.len(), LOCATION_SIDE.pow(2)]),
                device,
            ),
            image_rows: indices(image_rows),
            classes: DeviceLabels::new(
                targets.iter().filter_map(|&(row, target)| {
                    Some(Labelled {
                        cell: row as usize,
                        classes: target.classes?,
                    })
                }),
                device,
            ),
        }
    }
}

/// The location that a token's centre lies in.
fn location_of(cell: usize, [rows, columns]: [usize; 2]) -> usize {
    let at = |index: usize, count: usize| (2 * index + 1) * LOCATION_SIDE / (2 * count);
    at(cell / columns, rows) * LOCATION_SIDE + at(cell % columns, columns)
}

/// How well the LLM grounds.
#[derive(Debug)]
pub(super) struct GroundingLoss {
    /// Cross-entropy of locations, of `[SEG]` and of the picture's tokens.
    pub(super) location: Tensor<1>,
    /// How often the likeliest location of a `[SEG]` holds some of its targets.
    pub(super) accuracy: Tensor<1>,
    /// How little `[SEG]` looks at its targets.
    pub(super) search: Tensor<1>,
    /// Cross-entropy of attributes, of what is read at `[SEG]` and at the picture's tokens; none
    /// where neither shows a single object.
    pub(super) read: Option<Tensor<1>>,
    /// Share of the right colours at `[SEG]`; none where none means a single object.
    pub(super) colours: Option<Tensor<1>>,
}

/// The loss of the LLM's lessons in grounding, on what it read of `batch`. `scene` is that of each
/// `[SEG]`.
pub(super) fn grounding_loss(
    learner: &Learner,
    read: &Read,
    batch: &Batch,
    grounding: &DeviceGrounding,
    scene: Tensor<1, Int>,
) -> GroundingLoss {
    let of = |rows: &Tensor<1, Int>| read.hidden.clone().select(0, rows.clone());
    let heads = &learner.heads;
    let seg = heads.location_loss(of(&grounding.rows), grounding.locations.clone());
    let image = heads.location_loss(of(&grounding.image_rows), grounding.image_locations.clone());
    let middle = |rows: Tensor<1, Int>| read.middle.clone().flatten::<2>(0, 1).select(0, rows);
    let of_segs = grounding.classes.as_ref().map(|labels| {
        let [loss, colours] = heads.read_loss(middle(labels.rows.clone()), &labels.classes);
        (loss, colours)
    });
    let (expression, colours) = of_segs.unzip();
    let seen = batch.labels.vision.as_ref().map(|labels| {
        let rows = grounding.image_rows.clone().select(0, labels.rows.clone());
        let [loss, _] = heads.read_loss(middle(rows), &labels.classes);
        loss
    });
    GroundingLoss {
        read: sum([expression, seen]),
        colours,
        location: seg.loss + image.loss,
        accuracy: seg.accuracy,
        search: search_loss(&learner.model, read, batch, grounding, scene),
    }
}

/// The mean over `[SEG]`s and over the query heads that share the first key head of `-log` of the
/// attention that tokens with targets get, each by how much it shows of them.
fn search_loss(
    model: &Fclm,
    read: &Read,
    batch: &Batch,
    grounding: &DeviceGrounding,
    scene: Tensor<1, Int>,
) -> Tensor<1> {
    let [queries, keys] = model.qwen.model.queries_and_keys(
        middle_layer(model),
        read.middle.clone(),
        batch.positions.clone(),
    );
    let [_, _, heads, dim] = queries.dims();
    let [_, _, kv_heads, _] = keys.dims();
    let [_, cells] = grounding.tokens.dims();
    let [image] = grounding.image_rows.dims();
    let queries = queries
        .flatten::<3>(0, 1)
        .select(0, grounding.rows.clone())
        .narrow(1, 0, heads / kv_heads);
    let keys = keys
        .flatten::<3>(0, 1)
        .select(0, grounding.image_rows.clone())
        .narrow(1, 0, 1)
        .reshape([image / cells, cells, dim])
        .select(0, scene);
    let scores = queries
        .matmul(keys.swap_dims(1, 2))
        .div_scalar((dim as f64).sqrt());
    missed(scores, grounding.tokens.clone())
}

/// - `scores`: `[grounds, heads, tokens]`
/// - `shown`: `[grounds, tokens]`
fn missed(scores: Tensor<3>, shown: Tensor<2>) -> Tensor<1> {
    let [grounds, heads, cells] = scores.dims();
    let nothing = Tensor::full([grounds, heads, 1], NOTHING, &scores.device());
    let attention = activation::softmax(Tensor::cat(vec![scores, nothing], 2), 2);
    let seen = attention.narrow(2, 0, cells) * shown.unsqueeze_dim::<3>(1);
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
        let shown = Tensor::<2>::from_data([[1.0, 0.0]], &device);
        let loss = |scores| missed(scores, shown.clone()).into_scalar::<f32>();
        let nothing = 3.0_f32.exp();
        let expected = -(5.0_f32.exp() / (5.0_f32.exp() + 1.0 + nothing)).ln();
        assert!((loss(scores(5.0, 0.0)) - expected).abs() < 1e-4);
        assert!(loss(scores(0.0, 5.0)) > loss(scores(5.0, 0.0)) + 4.0);
    }
}
