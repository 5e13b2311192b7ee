//! GELU, SiLU and softmax as one operation each, of one pass over the data.
//!
//! Training on the CPU is what they are for. burn's CPU backend calls a scalar error function and a
//! scalar exponential for every element, in the forward pass and again in the backward pass, and
//! records a softmax as five operations. Here the forward pass computes the derivative beside the
//! value, in arithmetic that a compiler can vectorise for any processor, and the backward pass is
//! one product. Elsewhere burn's own operations are called: on other devices, for other types of
//! numbers, and in the browser, whose build of this crate is made small and not fast.

#[cfg(not(target_family = "wasm"))]
mod kernel;
#[cfg(not(target_family = "wasm"))]
mod operation;

use burn::tensor::{DType, Tensor, activation};

/// The exact GELU, `x * P(X <= x)` of a standard normal `X`.
///
/// On the CPU in f32 it is off by `1.5e-7 * max(1, |x|)` at most, and by `1e-5` of itself where `x`
/// is above -12.
///
/// # Shapes
/// - x and output: the same
pub(crate) fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    #[cfg(not(target_family = "wasm"))]
    if operation::takes(&x) {
        return operation::gelu(x);
    }
    activation::gelu(x)
}

/// `x * sigmoid(x)`.
///
/// # Shapes
/// - x and output: the same
pub(crate) fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    #[cfg(not(target_family = "wasm"))]
    if operation::takes(&x) {
        return operation::silu(x);
    }
    activation::silu(x)
}

/// Softmax along the last axis, in f32 inside.
///
/// Where autodiff is on it is one operation, which keeps nothing but what it returns and whose
/// gradient is `y * (g - sum(g * y))`. On the CPU its rows are then computed on one core, since
/// training has a worker for each. burn's own softmax, which shares rows out over all cores, is
/// called where autodiff is off.
///
/// # Shapes
/// - scores and output: the same, of one type
pub(crate) fn softmax_last<const D: usize>(scores: Tensor<D>) -> Tensor<D> {
    #[cfg(not(target_family = "wasm"))]
    if scores.is_autodiff() {
        return operation::softmax_last(scores);
    }
    softmax_in_f32(scores)
}

/// burn's softmax along the last axis.
fn softmax_in_f32<const D: usize>(scores: Tensor<D>) -> Tensor<D> {
    let dtype = scores.dtype();
    activation::softmax(scores.cast(DType::F32), D - 1).cast(dtype)
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::fixtures::{self, tolerance_on};

    type Function<const D: usize> = fn(Tensor<D>) -> Tensor<D>;

    /// Ours, each with burn's.
    fn functions() -> [(Function<2>, Function<2>); 3] {
        [
            (gelu, activation::gelu),
            (silu, activation::silu),
            (softmax_last, |x| activation::softmax(x, 1)),
        ]
    }

    /// With and without gradient checkpointing.
    fn recording() -> [Device; 2] {
        let device = Device::flex().autodiff();
        [device.clone(), device.gradient_checkpointing()]
    }

    fn tensor<const D: usize>(values: &[f32], dims: [usize; D], device: &Device) -> Tensor<D> {
        Tensor::from_data(TensorData::new(values.to_vec(), dims), (device, DType::F32))
    }

    fn floats<const D: usize>(x: Tensor<D>) -> Vec<f32> {
        x.into_data().iter::<f32>().collect()
    }

    /// Numbers between -8 and 8 in no order.
    fn scattered(count: usize) -> Vec<f32> {
        (0..count)
            .map(|index| (index * 37 % 101) as f32 * 0.16 - 8.0)
            .collect()
    }

    /// The values of `function(x)`, and the gradient of their sum weighted by `weights`.
    fn pass<const D: usize>(
        function: impl Fn(Tensor<D>) -> Tensor<D>,
        x: Tensor<D>,
        weights: Tensor<D>,
    ) -> (Vec<f32>, Vec<f32>) {
        let x = x.require_grad();
        let y = function(x.clone());
        let gradients = (y.clone() * weights).sum().backward();
        let gradient = x.grad(&gradients).expect("the input has a gradient");
        (floats(y), floats(gradient))
    }

    #[track_caller]
    fn assert_near(ours: &[f32], theirs: &[f32], bound: impl Fn(usize) -> f32) {
        assert_eq!(ours.len(), theirs.len());
        for (place, (a, b)) in ours.iter().zip(theirs).enumerate() {
            assert!((a - b).abs() <= bound(place), "at {place}: {a}, {b}");
        }
    }

    #[test]
    fn a_sweep_gives_what_burn_gives() {
        let xs: Vec<f32> = (-5120..5120).map(|step| step as f32 / 128.0).collect();
        let weights = scattered(xs.len());
        // Both know the factor of `x` to some units in the last place of one. The weights are up to
        // eight, and burn's derivative of SiLU multiplies what it has rounded by `x`.
        let of_value = |place: usize| 4e-7 * xs[place].abs().max(1.0);
        let of_gradient = |place: usize| 8e-6 * xs[place].abs().max(1.0);
        let dims = [40, xs.len() / 40];
        for device in recording() {
            for (ours, theirs) in functions().into_iter().take(2) {
                let x = || tensor(&xs, dims, &device);
                let weights = || tensor(&weights, dims, &device);
                let ours = pass(ours, x(), weights());
                let theirs = pass(theirs, x(), weights());
                assert_near(&ours.0, &theirs.0, of_value);
                assert_near(&ours.1, &theirs.1, of_gradient);
            }
        }
        for (ours, theirs) in functions().into_iter().take(2) {
            let x = || tensor(&xs, dims, &Device::flex());
            assert_near(&floats(ours(x())), &floats(theirs(x())), of_value);
        }
    }

    #[test]
    fn a_softmax_gives_what_burn_gives() {
        // Rows of no multiple of the width of any vector unit.
        let dims = [2, 5, 37];
        let count = dims.iter().product();
        let scores = scattered(count);
        let weights: Vec<f32> = scores.iter().rev().map(|x| x / 8.0).collect();
        for device in recording().into_iter().chain([fixtures::device()]) {
            let bound = tolerance_on(&device, 1e-6) as f32;
            let scores = || tensor(&scores, dims, &device);
            let weights = || tensor(&weights, dims, &device);
            let ours = pass(softmax_last, scores(), weights());
            let theirs = pass(|x| activation::softmax(x, 2), scores(), weights());
            assert_near(&ours.0, &theirs.0, |_| bound);
            assert_near(&ours.1, &theirs.1, |_| bound);
        }
        let plain = || tensor(&scores, dims, &Device::flex());
        let theirs = floats(activation::softmax(plain(), 2));
        assert_eq!(floats(softmax_last(plain())), theirs);
    }

    #[test]
    fn huge_arguments_saturate_and_what_is_no_number_stays_none() {
        let xs = [-1e30, -1e9, -0.0, 0.0, 1e9, 1e30, f32::INFINITY, f32::NAN];
        let device = Device::flex().autodiff();
        let functions: [Function<1>; 2] = [gelu, silu];
        for function in functions {
            let ones = tensor(&[1.0; 8], [8], &device);
            let (values, gradient) = pass(function, tensor(&xs, [8], &device), ones);
            let saturated = [0.0, 0.0, 0.0, 0.0, 1e9, 1e30, f32::INFINITY];
            assert_eq!(values[..7], saturated);
            assert_near(&gradient[..6], &[0.0, 0.0, 0.5, 0.5, 1.0, 1.0], |_| 1e-7);
            assert!(values[7].is_nan() && gradient[7].is_nan());
        }
    }

    #[test]
    fn hidden_scores_get_nothing() {
        const HIDDEN: f32 = -1e9;
        const NONE: f32 = f32::NEG_INFINITY;
        let scores = [
            [0.5, HIDDEN, 0.5, HIDDEN],
            [HIDDEN, HIDDEN, HIDDEN, HIDDEN],
            [NONE, 3.0, NONE, NONE],
            [f32::NAN, 1.0, 2.0, 3.0],
        ];
        let device = Device::flex().autodiff();
        let x = tensor(scores.as_flattened(), [4, 4], &device);
        let weights = [[1.0, 2.0, 3.0, 4.0]; 4];
        let weights = tensor(weights.as_flattened(), [4, 4], &device);
        let (values, gradient) = pass(softmax_last, x, weights);
        assert_eq!(values[..4], [0.5, 0.0, 0.5, 0.0]);
        assert_eq!(gradient[..4], [-0.5, 0.0, 0.5, 0.0]);
        assert_eq!(values[4..8], [0.25; 4]);
        assert_eq!(gradient[4..8], [-0.375, -0.125, 0.125, 0.375]);
        assert_eq!(values[8..12], [0.0, 1.0, 0.0, 0.0]);
        assert_eq!(gradient[8..12], [0.0; 4]);
        assert!(values[12..].iter().all(|value| value.is_nan()));
    }

    /// Transposed, cut out and repeated.
    fn views(x: &Tensor<2>) -> [Tensor<2>; 3] {
        [
            x.clone().swap_dims(0, 1),
            x.clone().narrow(1, 1, 3),
            x.clone().narrow(0, 1, 1).expand([4, 5]),
        ]
    }

    #[test]
    fn views_keep_shape_and_values_and_leave_the_original_alone() {
        let original = scattered(15);
        for device in [Device::flex(), Device::flex().autodiff()] {
            let x = tensor(&original, [3, 5], &device);
            for (ours, theirs) in functions() {
                for view in views(&x) {
                    let out = ours(view.clone());
                    assert_eq!(out.dims(), view.dims());
                    assert_near(&floats(out), &floats(theirs(view)), |_| 4e-6);
                }
                assert_eq!(floats(x.clone()), original);
            }
        }
    }

    #[test]
    fn gradients_reach_what_views_were_taken_of() {
        let device = Device::flex().autodiff();
        let gradient = |function: Function<2>, place: usize| {
            let x = tensor(&scattered(15), [3, 5], &device).require_grad();
            let view = views(&x)[place].clone();
            let dims = view.dims();
            let weights = tensor(&scattered(dims[0] * dims[1]), dims, &device);
            let gradients = (function(view) * weights).sum().backward();
            floats(x.grad(&gradients).expect("the input has a gradient"))
        };
        for place in 0..3 {
            for (ours, theirs) in functions() {
                assert_near(&gradient(ours, place), &gradient(theirs, place), |_| 5e-5);
            }
        }
    }

    #[test]
    fn what_is_not_tracked_stays_so_and_meets_what_is() {
        for device in recording() {
            for (function, _) in functions() {
                let y = function(tensor(&scattered(6), [2, 3], &device));
                assert!(y.is_autodiff() && !y.is_tracked());
                let values = floats(y.clone());
                let leaf = tensor(&scattered(6), [2, 3], &device).require_grad();
                let gradients = (leaf.clone() * y).sum().backward();
                let gradient = leaf.grad(&gradients).expect("the leaf has a gradient");
                assert_eq!(floats(gradient), values);
            }
        }
    }

    fn address(x: &Tensor<2>) -> *const u8 {
        let x = x.clone().without_autodiff();
        let x = x.try_into_primitive::<Flex>().expect("a tensor on the CPU");
        x.bytes().as_ptr()
    }

    #[test]
    fn what_nobody_else_holds_is_overwritten() {
        let plain = tensor(&scattered(6), [2, 3], &Device::flex());
        let before = address(&plain);
        assert_eq!(address(&gelu(plain)), before);

        for (function, _) in functions() {
            let leaf = tensor(&scattered(6), [2, 3], &Device::flex().autodiff()).require_grad();
            let x = leaf.add_scalar(1.0);
            let before = address(&x);
            let y = function(x);
            assert!(y.is_tracked());
            assert_eq!(address(&y), before);
        }
    }

    #[test]
    fn nothing_gives_nothing() {
        let device = Device::flex().autodiff();
        for (function, _) in functions() {
            for dims in [[0, 5], [3, 0]] {
                let empty = || Tensor::<2>::zeros(dims, &device);
                assert_eq!(function(empty()).dims(), dims);
                let recorded = function(empty().require_grad());
                assert!(recorded.is_tracked());
                assert_eq!(recorded.dims(), dims);
            }
        }
    }

    #[test]
    fn half_precision_is_computed_by_burn() {
        let device = Device::flex().autodiff();
        let plain = || tensor(&scattered(74), [2, 37], &Device::flex());
        let half = || plain().cast(DType::BF16).autodiff();
        for (ours, theirs) in functions().into_iter().take(2) {
            assert_eq!(floats(ours(half().require_grad())), floats(theirs(half())));
        }

        let out = softmax_last(half().require_grad());
        assert_eq!(out.dtype(), DType::BF16);
        assert_eq!(floats(out), floats(softmax_in_f32(half().inner())));

        let weights: Vec<f32> = scattered(74).iter().rev().map(|x| x / 8.0).collect();
        let weights = || tensor(&weights, [2, 37], &device);
        let rounded = |x: Tensor<2>| softmax_last(x.cast(DType::BF16)).cast(DType::F32);
        let (_, ours) = pass(rounded, plain().autodiff(), weights());
        let same = plain().cast(DType::BF16).cast(DType::F32);
        let (_, exact) = pass(softmax_last, same.autodiff(), weights());
        // A bf16 has eight bits.
        assert_near(&ours, &exact, |_| 5e-3);
    }
}
