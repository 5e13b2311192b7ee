//! What is learned for tokens that were added to a vocabulary whose tables are frozen.

use burn::module::{Module, Param};
use burn::nn::{Embedding, Linear};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

/// Vectors that are added to the rows of a few tokens in the embedding table and in the output
/// head.
///
/// A frozen table of 150,000 rows need not be trained for the sake of five of them, and small steps
/// would be lost in the rounding of its half precision. Made by [`Qwen::with_new_rows`] and folded
/// into the tables by [`Qwen::merge_new_rows`].
///
/// [`Qwen::with_new_rows`]: super::Qwen::with_new_rows
/// [`Qwen::merge_new_rows`]: super::Qwen::merge_new_rows
#[derive(Module, Debug)]
pub struct NewRows {
    /// Added to the tokens' embeddings, `[tokens, hidden]` in f32.
    pub embedding: Param<Tensor<2>>,
    /// Added to the tokens' rows of the head, likewise; none where the head is the embedding table.
    pub head: Option<Param<Tensor<2>>>,
    #[module(skip)]
    ids: Vec<u32>,
}

impl NewRows {
    /// Rows of zeros, which are trained.
    pub(super) fn new(ids: &[u32], width: usize, has_head: bool, device: &Device) -> Self {
        let zeros = || {
            let zeros: Tensor<2> = Tensor::zeros([ids.len(), width], (device, DType::F32));
            Param::from_tensor(zeros)
        };
        Self {
            embedding: zeros(),
            head: has_head.then(zeros),
            ids: ids.to_vec(),
        }
    }

    /// What is added to the embeddings of `ids`.
    ///
    /// # Shapes
    /// - `ids`: `[B, L]`
    /// - output: `[B, L, hidden]` in f32
    pub(super) fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let [batch, length] = ids.dims();
        let (places, count) = (batch * length, self.ids.len());
        let rows = self.embedding.val();
        let [_, width] = rows.dims();
        let own = self.own(&ids.device()).reshape([1, count]);
        let is_own = ids
            .reshape([places, 1])
            .expand([places, count])
            .equal(own.expand([places, count]));
        is_own
            .float()
            .cast(DType::F32)
            .matmul(rows)
            .reshape([batch, length, width])
    }

    /// What is added to the scores of every next token.
    ///
    /// # Shapes
    /// - `hidden`: `[B, L, hidden]`
    /// - output: `[B, L, vocab]` in f32
    pub(super) fn scores(&self, hidden: Tensor<3>, vocab: usize) -> Tensor<3> {
        let [batch, length, width] = hidden.dims();
        let count = self.ids.len();
        let device = hidden.device();
        let rows = self.head.as_ref().unwrap_or(&self.embedding).val();
        let scores = hidden
            .cast(DType::F32)
            .reshape([batch * length, width])
            .matmul(rows.transpose());
        // Where each of the scores belongs.
        let columns = Tensor::<1, Int>::arange(0..vocab as i64, &device)
            .reshape([1, vocab])
            .expand([count, vocab])
            .equal(self.own(&device).reshape([count, 1]).expand([count, vocab]));
        scores
            .matmul(columns.float().cast(DType::F32))
            .reshape([batch, length, vocab])
    }

    /// Adds the rows to the tables, which keep their type and whether they are trained.
    pub(super) fn merge(&self, table: &mut Embedding, head: Option<&mut Linear>) {
        let embedding = constant(&self.embedding);
        table.weight = table.weight.clone().map(|weight| {
            let [_, width] = weight.dims();
            added(weight, &self.ids, |place, row| {
                let added = embedding.clone().slice([place..place + 1, 0..width]);
                ([row..row + 1, 0..width], added)
            })
        });
        let (Some(rows), Some(head)) = (&self.head, head) else {
            return;
        };
        let rows = constant(rows);
        head.weight = head.weight.clone().map(|weight| {
            let [width, _] = weight.dims();
            added(weight, &self.ids, |place, column| {
                let added = rows.clone().slice([place..place + 1, 0..width]);
                ([0..width, column..column + 1], added.transpose())
            })
        });
    }

    fn own(&self, device: &Device) -> Tensor<1, Int> {
        let ids: Vec<i32> = self.ids.iter().map(|&id| id as i32).collect();
        let count = ids.len();
        Tensor::from_data(TensorData::new(ids, [count]), device)
    }
}

fn constant(rows: &Param<Tensor<2>>) -> Tensor<2> {
    rows.val().set_require_grad(false)
}

/// A table with something added for each id: `part` says where, and what.
fn added(
    table: Tensor<2>,
    ids: &[u32],
    part: impl Fn(usize, usize) -> ([std::ops::Range<usize>; 2], Tensor<2>),
) -> Tensor<2> {
    let (dtype, is_trained) = (table.dtype(), table.is_require_grad());
    let mut table = table.set_require_grad(false);
    for (place, &id) in ids.iter().enumerate() {
        let (range, added) = part(place, id as usize);
        let old = table.clone().slice(range.clone()).cast(DType::F32);
        table = table.slice_assign(range, (old + added).cast(dtype));
    }
    table.detach().set_require_grad(is_trained)
}

#[cfg(test)]
mod tests {
    use burn::module::ModuleMapper;

    use super::*;
    use crate::fclm::FclmConfig;
    use crate::qwen::Qwen;

    const NEW: [u32; 2] = [60, 7];

    fn model(is_tied: bool, device: &Device) -> Qwen {
        device.seed(3);
        let mut config = FclmConfig::tiny(64, 1).qwen;
        config.tie_word_embeddings = is_tied;
        let mut model = config.init(device);
        model.model = model.model.no_grad();
        model.lm_head = model.lm_head.map(Module::no_grad);
        model
    }

    /// Gives each table of rows other numbers, as training would; how many have got theirs. They
    /// are no draws: a row may not happen to be at right angles to what it is multiplied with.
    struct Learn(usize);

    impl ModuleMapper for Learn {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let shape = param.lazy_shape();
            let phase = self.0 as f32;
            self.0 += 1;
            let values: Vec<f32> = (0..shape.num_elements())
                .map(|place| 0.3 * (7.0 * place as f32 + phase).cos())
                .collect();
            param.map(|zeros| {
                let values =
                    Tensor::<D>::from_data(TensorData::new(values, shape), &zeros.device());
                values.set_require_grad(zeros.is_require_grad())
            })
        }
    }

    fn learned(mut model: Qwen) -> Qwen {
        model.new_rows = model.new_rows.map(|rows| rows.map(&mut Learn(0)));
        model
    }

    fn embeddings(model: &Qwen, device: &Device) -> Tensor<3> {
        model.embed(Tensor::from_data([[5, 60, 2, 7]], device))
    }

    fn scores(model: &Qwen, device: &Device) -> Tensor<3> {
        let hidden: Vec<f32> = (0..2 * 32).map(|place| (place as f32).sin()).collect();
        model.logits(Tensor::from_data(
            TensorData::new(hidden, [1, 2, 32]),
            device,
        ))
    }

    fn furthest(a: Tensor<3>, b: Tensor<3>) -> f32 {
        (a - b).abs().max().into_scalar::<f32>()
    }

    #[test]
    fn fresh_rows_change_nothing_and_learned_ones_their_tokens_alone() {
        let device = Device::flex();
        for is_tied in [true, false] {
            let base = model(is_tied, &device);
            let fresh = base.clone().with_new_rows(&NEW);
            let of = |model: &Qwen| (embeddings(model, &device), scores(model, &device));
            let (embeds, logits) = of(&base);
            let (same_embeds, same_logits) = of(&fresh);
            assert!(furthest(embeds.clone(), same_embeds) == 0.0);
            assert!(furthest(logits.clone(), same_logits) == 0.0);

            let (new_embeds, new_logits) = of(&learned(fresh));
            let change = (new_embeds - embeds).abs().max_dim(2).into_data();
            let change: Vec<f32> = change.iter::<f32>().collect();
            for (place, is_new) in [false, true, false, true].into_iter().enumerate() {
                assert_eq!(change[place] > 1e-2, is_new, "{change:?}");
            }
            let change = (new_logits - logits).abs().into_data();
            for (place, change) in change.iter::<f32>().enumerate() {
                let is_new = NEW.contains(&((place % 64) as u32));
                assert_eq!(change > 1e-4, is_new, "{place}: {change}");
            }
        }
    }

    #[test]
    fn merged_tables_say_the_same() {
        for device in [Device::flex(), Device::flex().autodiff()] {
            for is_tied in [true, false] {
                let apart = learned(model(is_tied, &device).with_new_rows(&NEW));
                let merged = apart.clone().merge_new_rows();
                assert!(merged.new_rows.is_none());
                let off = furthest(embeddings(&apart, &device), embeddings(&merged, &device));
                assert!(off < 1e-6, "{off}");
                let off = furthest(scores(&apart, &device), scores(&merged, &device));
                assert!(off < 1e-5, "{off}");
            }
        }
    }

    #[test]
    fn rows_learn_beside_frozen_tables() {
        let device = Device::flex().autodiff();
        let model = model(false, &device).with_new_rows(&NEW);
        let loss = embeddings(&model, &device).square().sum() + scores(&model, &device).sum();
        let gradients = loss.backward();
        let rows = model.new_rows.as_ref().expect("there are rows");
        for rows in [&rows.embedding, rows.head.as_ref().expect("a head apart")] {
            let gradient = rows.val().grad(&gradients).expect("it is trained");
            let smallest = gradient.abs().max_dim(1).min().into_scalar::<f32>();
            assert!(smallest > 0.0);
        }
        let table = model.model.embed_tokens.weight.val();
        assert!(table.grad(&gradients).is_none());
    }
}
