//! The one place that computes attention, so that a change of kernel touches one file.
//!
//! Wherever gradients are recorded, and for small problems on Flex, attention is matmul, softmax,
//! matmul; elsewhere burn's attention is called, which picks a fused or tiled kernel.

use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, DType, Device, Int, Tensor};

use crate::activation::softmax_last;

/// The most scores that Flex holds at once where it could tile them instead: 16 MB.
const MOST_SCORES: usize = 1 << 22;

/// How scores are scaled and which keys a query may see without an explicit mask.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Attend {
    /// Factor on the scores; `1 / sqrt(head width)` where `None`.
    pub scale: Option<f64>,
    /// Hides later keys from earlier queries, aligned at the bottom right: the last query sees
    /// every key, as a key/value cache needs it.
    pub causal: bool,
}

/// Scaled dot-product attention, differentiable in everything but the mask.
///
/// Where `q` has more heads than `k` and `v`, every run of `H / Hkv` query heads shares one
/// key/value head. A query for which every key is hidden gets some finite mixture of values.
///
/// # Shapes
///
/// - `q`: `[B, H, Lq, D]`
/// - `k`, `v`: `[B, Hkv, Lk, D]`, `Hkv` divides `H`
/// - `mask` (`true` = hidden) and `bias` (added to the scaled scores): broadcastable to
///   `[B, H, Lq, Lk]`
/// - output: `[B, H, Lq, D]`
///
/// # Panics
///
/// Panics if the shapes disagree or `Hkv` does not divide `H`.
pub fn attend(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    mask: Option<Tensor<4, Bool>>,
    bias: Option<Tensor<4>>,
    options: Attend,
) -> Tensor<4> {
    let [batch, heads, queries, _] = q.dims();
    let [_, kv_heads, keys, _] = k.dims();
    assert_eq!(
        heads % kv_heads,
        0,
        "{kv_heads} key/value heads do not divide {heads} heads"
    );

    let device = q.device();
    let scores = batch * heads * queries * keys;
    if device.is_autodiff() || (composes(&device) && scores <= MOST_SCORES) {
        return composed(q, k, v, mask, bias, options);
    }
    let groups = heads / kv_heads;
    attention(
        q,
        repeat_heads(k, groups),
        repeat_heads(v, groups),
        mask,
        bias,
        AttentionModuleOptions {
            scale: options.scale,
            softcap: None,
            is_causal: options.causal,
        },
    )
}

/// The weights with which [`attend`] mixes values where no key is hidden: how much each query looks
/// at each key. For pictures of attention; nothing that a model answers is computed from them.
///
/// # Shapes
///
/// - `q`: `[B, H, Lq, D]`
/// - `k`: `[B, H, Lk, D]`
/// - output: `[B, H, Lq, Lk]` in f32, every row adds up to one
pub fn attention_weights(q: Tensor<4>, k: Tensor<4>) -> Tensor<4> {
    let [_, _, _, dim] = q.dims();
    let scores = q
        .mul_scalar(1.0 / (dim as f64).sqrt())
        .matmul(k.swap_dims(2, 3));
    softmax_last(scores.cast(DType::F32))
}

/// Rows of conversations behind one shared beginning.
///
/// The beginning is causal in itself. What comes behind it is cut into rows of one width; a row
/// sees the beginning and itself, as far as `hidden` lets it, and no other row.
#[derive(Debug, Clone)]
pub struct Branches {
    /// Places of the beginning.
    pub prefix: usize,
    /// `[B, rows, width, prefix + width]`, `true` = hidden.
    pub hidden: Tensor<4, Bool>,
}

/// What hides keys in a stack of layers, prepared once and used by each of them.
#[derive(Debug, Clone)]
pub struct SharedMask {
    bias: Option<Tensor<4>>,
    causal: bool,
    branches: Option<Rows>,
}

/// The rows of [`Branches`], ready to be added to scores.
#[derive(Debug, Clone)]
struct Rows {
    prefix: usize,
    count: usize,
    width: usize,
    /// `[B * rows, 1, width, prefix + width]`
    bias: Tensor<4>,
}

impl SharedMask {
    /// Prepares `mask` (`true` = hidden), or bottom-right aligned causality where there is none,
    /// for queries of `dtype` on `device`.
    ///
    /// # Shapes
    ///
    /// - `mask`: broadcastable to `[B, H, queries, keys]`
    pub fn new(
        mask: Option<Tensor<4, Bool>>,
        queries: usize,
        keys: usize,
        dtype: DType,
        device: &Device,
    ) -> Self {
        let is_composed = composes(device);
        let causal = !is_composed && mask.is_none();
        let hidden = match is_composed {
            // A lone query is the last one, so that causality hides nothing from it.
            true => mask.or_else(|| (queries > 1).then(|| causal_mask(queries, keys, device))),
            false => mask,
        };
        // Kernels know causality by themselves. Every other mask is a bias, with which burn takes
        // none of the fused kernels: what they do with a mask that heads share is their own.
        Self {
            bias: hidden.map(|mask| additive(mask, dtype)),
            causal,
            branches: None,
        }
    }

    /// Prepares conversations behind one beginning.
    pub fn branching(branches: Branches, dtype: DType, device: &Device) -> Self {
        let Branches { prefix, hidden } = branches;
        let [batch, count, width, keys] = hidden.dims();
        Self {
            branches: Some(Rows {
                prefix,
                count,
                width,
                bias: additive(hidden.reshape([batch * count, 1, width, keys]), dtype),
            }),
            ..Self::new(None, prefix, prefix, dtype, device)
        }
    }

    /// [`attend`] under this mask.
    ///
    /// # Shapes
    ///
    /// As in [`attend`].
    pub fn attend(
        &self,
        q: Tensor<4>,
        k: Tensor<4>,
        v: Tensor<4>,
        scale: Option<f64>,
    ) -> Tensor<4> {
        let whole = |q, k, v| {
            let options = Attend {
                scale,
                causal: self.causal,
            };
            attend(q, k, v, None, self.bias.clone(), options)
        };
        let Some(rows) = &self.branches else {
            return whole(q, k, v);
        };
        let beginning = |x: &Tensor<4>| x.clone().narrow(2, 0, rows.prefix);
        let behind = rows.attend(q.clone(), k.clone(), v.clone(), scale);
        let before = whole(beginning(&q), beginning(&k), beginning(&v));
        Tensor::cat(vec![before, behind], 2)
    }
}

impl Rows {
    /// What the rows behind the beginning attend to, `[B, H, rows * width, D]`.
    fn attend(&self, q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, scale: Option<f64>) -> Tensor<4> {
        let [batch, heads, _, _] = q.dims();
        let value_dim = v.dims()[3];
        let options = Attend {
            scale,
            causal: false,
        };
        let mixed = attend(
            merged(self.own(q)),
            self.with_beginning(k),
            self.with_beginning(v),
            None,
            Some(self.bias.clone()),
            options,
        );
        mixed
            .reshape([batch, self.count, heads, self.width, value_dim])
            .swap_dims(1, 2)
            .reshape([batch, heads, self.count * self.width, value_dim])
    }

    /// `[B, H, prefix + rows * width, D]` to the rows alone, `[B, rows, H, width, D]`.
    fn own(&self, x: Tensor<4>) -> Tensor<5> {
        let [batch, heads, _, dim] = x.dims();
        x.narrow(2, self.prefix, self.count * self.width)
            .reshape([batch, heads, self.count, self.width, dim])
            .swap_dims(1, 2)
    }

    /// Each row's keys or values behind those of the beginning,
    /// `[B * rows, H, prefix + width, D]`.
    fn with_beginning(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, heads, _, dim] = x.dims();
        let beginning = x
            .clone()
            .narrow(2, 0, self.prefix)
            .unsqueeze_dim::<5>(1)
            .expand([batch, self.count, heads, self.prefix, dim]);
        merged(Tensor::cat(vec![beginning, self.own(x)], 3))
    }
}

/// `[B, rows, ..]` to `[B * rows, ..]`.
fn merged(x: Tensor<5>) -> Tensor<4> {
    let [batch, rows, heads, len, dim] = x.dims();
    x.reshape([batch * rows, heads, len, dim])
}

/// The mask that hides later keys, aligned at the bottom right.
///
/// # Shapes
///
/// - output: `[1, 1, queries, keys]`, `true` = hidden
pub fn causal_mask(queries: usize, keys: usize, device: &Device) -> Tensor<4, Bool> {
    let offset = keys as i64 - queries as i64;
    let rows = Tensor::<1, Int>::arange(offset..keys as i64, device).reshape([1, 1, queries, 1]);
    let columns = Tensor::<1, Int>::arange(0..keys as i64, device).reshape([1, 1, 1, keys]);
    columns.greater(rows)
}

/// Whether attention on `device` is put together from single operations: fused kernels have no
/// gradient, and Flex's need the heads of keys and values repeated.
fn composes(device: &Device) -> bool {
    device.is_autodiff() || *device == Device::flex()
}

/// A score that hides its key: finite, because a difference of infinities is no number.
fn hidden_score(dtype: DType) -> f32 {
    if dtype == DType::F16 { -6e4 } else { -1e9 }
}

fn additive(mask: Tensor<4, Bool>, dtype: DType) -> Tensor<4> {
    mask.float().cast(dtype).mul_scalar(hidden_score(dtype))
}

fn repeat_heads(x: Tensor<4>, groups: usize) -> Tensor<4> {
    if groups == 1 {
        return x;
    }
    let [batch, heads, len, dim] = x.dims();
    x.unsqueeze_dim::<5>(2)
        .expand([batch, heads, groups, len, dim])
        .reshape([batch, heads * groups, len, dim])
}

fn composed(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    mask: Option<Tensor<4, Bool>>,
    bias: Option<Tensor<4>>,
    options: Attend,
) -> Tensor<4> {
    let [batch, heads, queries, dim] = q.dims();
    let [_, kv_heads, keys, value_dim] = v.dims();
    let groups = heads / kv_heads;
    let dtype = q.dtype();
    let device = q.device();

    // The query heads that share keys become rows of one matmul; keys are never repeated.
    let q = q.mul_scalar(options.scale.unwrap_or(1.0 / (dim as f64).sqrt()));
    let q = match groups {
        1 => q,
        _ => q.reshape([batch, kv_heads, groups * queries, dim]),
    };
    let mut scores = q
        .matmul(k.swap_dims(2, 3))
        .reshape([batch, heads, queries, keys]);
    if let Some(bias) = bias {
        scores = scores + bias;
    }
    if let Some(mask) = mask {
        scores = scores + additive(mask, dtype);
    }
    if options.causal && queries > 1 {
        scores = scores + additive(causal_mask(queries, keys, &device), dtype);
    }

    softmax_last(scores)
        .reshape([batch, kv_heads, groups * queries, keys])
        .matmul(v)
        .reshape([batch, heads, queries, value_dim])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Distribution, Tolerance};

    fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
        Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
    }

    /// The textbook: heads repeated, softmax written out.
    fn textbook(
        q: Tensor<4>,
        k: Tensor<4>,
        v: Tensor<4>,
        hidden: Option<Tensor<4, Bool>>,
        bias: Option<Tensor<4>>,
    ) -> Tensor<4> {
        let [_, heads, _, dim] = q.dims();
        let groups = heads / k.dims()[1];
        let k = repeat_heads(k, groups);
        let v = repeat_heads(v, groups);
        let mut scores = q.matmul(k.transpose()) / (dim as f64).sqrt();
        if let Some(bias) = bias {
            scores = scores + bias;
        }
        if let Some(hidden) = hidden {
            scores = scores.mask_fill(hidden, f32::NEG_INFINITY);
        }
        let exp = scores.exp();
        (exp.clone() / exp.sum_dim(3)).matmul(v)
    }

    fn close(a: Tensor<4>, b: Tensor<4>) {
        a.into_data()
            .assert_approx_eq::<f32>(&b.into_data(), Tolerance::absolute(2e-5));
    }

    #[test]
    fn follows_the_textbook_with_grouped_heads_mask_and_bias() {
        let device = Device::flex();
        let q = random([2, 6, 5, 4], &device);
        let k = random([2, 3, 7, 4], &device);
        let v = random([2, 3, 7, 4], &device);
        let bias = random([1, 6, 5, 7], &device);
        let mask = causal_mask(5, 7, &device);
        close(
            attend(
                q.clone(),
                k.clone(),
                v.clone(),
                Some(mask.clone()),
                Some(bias.clone()),
                Attend::default(),
            ),
            textbook(
                q.clone(),
                k.clone(),
                v.clone(),
                Some(mask.clone()),
                Some(bias),
            ),
        );
        close(
            attend(
                q.clone(),
                k.clone(),
                v.clone(),
                None,
                None,
                Attend {
                    scale: None,
                    causal: true,
                },
            ),
            textbook(q, k, v, Some(mask), None),
        );
    }

    #[test]
    fn gradients_are_those_of_the_textbook() {
        let device = Device::flex().autodiff();
        let q = random([2, 4, 5, 3], &device).require_grad();
        let k = random([2, 2, 6, 3], &device).require_grad();
        let v = random([2, 2, 6, 3], &device).require_grad();
        let bias = random([2, 4, 5, 6], &device).require_grad();
        let mask = causal_mask(5, 6, &device);
        let probe = random([2, 4, 5, 3], &device);

        let ours = attend(
            q.clone(),
            k.clone(),
            v.clone(),
            Some(mask.clone()),
            Some(bias.clone()),
            Attend::default(),
        );
        let theirs = textbook(
            q.clone(),
            k.clone(),
            v.clone(),
            Some(mask),
            Some(bias.clone()),
        );
        close(ours.clone(), theirs.clone());
        let ours = (ours * probe.clone()).sum().backward();
        let theirs = (theirs * probe).sum().backward();
        for input in [q, k, v, bias] {
            let a = input.grad(&ours).expect("the input has a gradient");
            let b = input.grad(&theirs).expect("the input has a gradient");
            close(a, b);
        }
    }

    #[test]
    fn the_weights_are_those_that_values_are_mixed_with() {
        let device = Device::flex();
        let q = random([2, 3, 5, 4], &device);
        let k = random([2, 3, 7, 4], &device);
        let v = random([2, 3, 7, 6], &device);
        let weights = attention_weights(q.clone(), k.clone());
        close(
            weights.clone().sum_dim(3),
            Tensor::ones([2, 3, 5, 1], &device),
        );
        close(
            weights.matmul(v.clone()),
            attend(q, k, v, None, None, Attend::default()),
        );
    }

    #[test]
    fn many_scores_follow_the_textbook_too() {
        let device = Device::flex();
        let q = random([1, 4, 1100, 8], &device);
        let k = random([1, 2, 1200, 8], &device);
        let v = random([1, 2, 1200, 8], &device);
        let shared = SharedMask::new(None, 1100, 1200, DType::F32, &device);
        let expected = textbook(
            q.clone(),
            k.clone(),
            v.clone(),
            Some(causal_mask(1100, 1200, &device)),
            None,
        );
        close(shared.attend(q, k, v, None), expected);
    }

    #[test]
    fn a_query_that_sees_nothing_stays_finite() {
        let device = Device::flex().autodiff();
        let q = random([1, 2, 3, 4], &device).require_grad();
        let mask = Tensor::<4, Bool>::full([1, 1, 3, 3], true, &device);
        let out = attend(
            q.clone(),
            q.clone(),
            q.clone(),
            Some(mask),
            None,
            Attend::default(),
        );
        let grads = out.clone().sum().backward();
        assert!(out.is_finite().all().into_scalar::<bool>());
        let grad = q.grad(&grads).expect("the input has a gradient");
        assert!(grad.is_finite().all().into_scalar::<bool>());
    }

    #[test]
    fn branches_see_the_beginning_and_themselves() {
        let device = Device::flex().autodiff();
        let (prefix, rows, width) = (3, 2, 4);
        let length = prefix + rows * width;
        let q = random([2, 4, length, 3], &device).require_grad();
        let k = random([2, 2, length, 3], &device).require_grad();
        let v = random([2, 2, length, 3], &device).require_grad();
        let probe = random([2, 4, length, 3], &device);
        let own = causal_mask(width, prefix + width, &device);
        let shared = SharedMask::branching(
            Branches {
                prefix,
                hidden: own.expand([2, rows, width, prefix + width]),
            },
            DType::F32,
            &device,
        );
        let row = |place: usize| place.checked_sub(prefix).map(|behind| behind / width);
        let hidden: Vec<bool> = (0..length * length)
            .map(|index| (index / length, index % length))
            .map(|(query, key)| key > query || (row(key).is_some() && row(key) != row(query)))
            .collect();
        let hidden = Tensor::<1, Bool>::from_data(hidden.as_slice(), &device)
            .reshape([1, 1, length, length]);

        let ours = shared.attend(q.clone(), k.clone(), v.clone(), None);
        let theirs = textbook(q.clone(), k.clone(), v.clone(), Some(hidden), None);
        close(ours.clone(), theirs.clone());
        let ours = (ours * probe.clone()).sum().backward();
        let theirs = (theirs * probe).sum().backward();
        for input in [q, k, v] {
            let a = input.grad(&ours).expect("the input has a gradient");
            let b = input.grad(&theirs).expect("the input has a gradient");
            close(a, b);
        }
    }

    #[test]
    fn causal_mask_is_aligned_at_the_bottom_right() {
        let mask = causal_mask(2, 3, &Device::flex()).into_data();
        mask.assert_eq(
            &Tensor::<4, Bool>::from_data(
                [[[[false, false, true], [false, false, false]]]],
                &Device::flex(),
            )
            .into_data(),
            true,
        );
    }
}
