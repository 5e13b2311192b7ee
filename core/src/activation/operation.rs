//! What records GELU, SiLU and softmax in burn's graphs: operations of one input that keep one
//! array from the forward pass.
//!
//! burn dispatches no operation that its users make, so backends have to be named.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::{
    BalancedCheckpointing, CheckpointStrategy, NoCheckpointing,
};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, DispatchKindConversion, DispatchTensor, Flex};
#[cfg(feature = "cuda")]
use burn::backend::{Cube, DispatchTensorKind};
use burn::tensor::{Bytes, DType, Device, GradientCheckpointingStrategy, Tensor};

use super::kernel::{self, gelu_and_slope, silu_and_slope};

/// How an operation of one input is computed, on tensors that no graph records.
#[derive(Debug, Clone, Copy)]
struct Operation<const D: usize> {
    value: fn(Tensor<D>) -> Tensor<D>,
    /// The value, and what the gradient is computed from.
    value_and_kept: fn(Tensor<D>) -> (Tensor<D>, Tensor<D>),
    /// The input's gradient from what was kept and the output's gradient.
    gradient: fn(Tensor<D>, Tensor<D>) -> Tensor<D>,
}

impl<B, const D: usize> Backward<B, 1> for Operation<D>
where
    B: Backend,
    DispatchTensor: DispatchKindConversion<B>,
{
    type State = Tensor<D>;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let cotangent = Tensor::<D>::from_primitive::<B>(grads.consume::<B>(&ops.node));
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            let gradient = (self.gradient)(ops.state, cotangent);
            grads.register::<B>(parent.id, primitive::<B, D>(gradient));
        }
    }
}

/// Whether an elementwise function is computed here.
///
/// Not under gradient checkpointing, which is there to keep less: burn computes its own operation
/// again in the backward pass, where ours would have kept the derivative.
pub(super) fn takes<const D: usize>(x: &Tensor<D>) -> bool {
    let saves_memory =
        x.gradient_checkpointing_strategy() == Some(GradientCheckpointingStrategy::Balanced);
    is_flex_f32(x) && !(saves_memory && x.is_tracked())
}

pub(super) fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let operation = Operation {
        value: |x| elementwise(x, gelu_and_slope),
        value_and_kept: |x| elementwise_and_slope(x, gelu_and_slope),
        gradient: |slope, cotangent| cotangent * slope,
    };
    run::<Flex, D>(x, operation)
}

pub(super) fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let operation = Operation {
        value: |x| elementwise(x, silu_and_slope),
        value_and_kept: |x| elementwise_and_slope(x, silu_and_slope),
        gradient: |slope, cotangent| cotangent * slope,
    };
    run::<Flex, D>(x, operation)
}

/// On a backend that is not named here the softmax is recorded step by step.
pub(super) fn softmax_last<const D: usize>(scores: Tensor<D>) -> Tensor<D> {
    let operation = Operation {
        value: probabilities::<D>,
        value_and_kept: |scores| {
            let probabilities = probabilities(scores);
            (probabilities.clone(), probabilities)
        },
        gradient: softmax_gradient::<D>,
    };
    if scores.device() == Device::flex() {
        return run::<Flex, D>(scores, operation);
    }
    #[cfg(feature = "cuda")]
    if is_cube(&scores) {
        return run::<Cube, D>(scores, operation);
    }
    super::softmax_in_f32(scores)
}

/// Computes an operation on a tensor of backend `B`, and records it where autodiff is on.
fn run<B, const D: usize>(x: Tensor<D>, operation: Operation<D>) -> Tensor<D>
where
    B: Backend,
    DispatchTensor: DispatchKindConversion<B>
        + DispatchKindConversion<Autodiff<B, NoCheckpointing>>
        + DispatchKindConversion<Autodiff<B, BalancedCheckpointing>>,
{
    match x.gradient_checkpointing_strategy() {
        None => (operation.value)(x),
        Some(GradientCheckpointingStrategy::Disabled) => {
            record::<B, NoCheckpointing, D>(x, operation)
        }
        Some(GradientCheckpointingStrategy::Balanced) => {
            record::<B, BalancedCheckpointing, D>(x, operation)
        }
    }
}

fn record<B, C, const D: usize>(x: Tensor<D>, operation: Operation<D>) -> Tensor<D>
where
    B: Backend,
    C: CheckpointStrategy,
    DispatchTensor: DispatchKindConversion<B> + DispatchKindConversion<Autodiff<B, C>>,
{
    let (x, node) = x
        .try_into_primitive::<Autodiff<B, C>>()
        .expect("the backend and the strategy are those that the input was matched by")
        .into_parts();
    let x = Tensor::<D>::from_primitive::<B>(x);
    let step = Backward::<B, 1>::prepare::<C>(operation, [node]);
    let output = match step.compute_bound().stateful() {
        OpsKind::Tracked(step) => {
            let (value, kept) = (operation.value_and_kept)(x);
            step.finish(kept, primitive::<B, D>(value))
        }
        OpsKind::UnTracked(step) => step.finish(primitive::<B, D>((operation.value)(x))),
    };
    Tensor::from_primitive::<Autodiff<B, C>>(output)
}

fn primitive<B, const D: usize>(x: Tensor<D>) -> FloatTensor<B>
where
    B: Backend,
    DispatchTensor: DispatchKindConversion<B>,
{
    x.try_into_primitive::<B>()
        .expect("an operation stays on the backend of its input")
}

/// Whether a tensor is one that the kernels take, with autodiff or without.
fn is_flex_f32<const D: usize>(x: &Tensor<D>) -> bool {
    x.dtype() == DType::F32 && x.device() == Device::flex()
}

#[cfg(feature = "cuda")]
fn is_cube<const D: usize>(x: &Tensor<D>) -> bool {
    match x.clone().into_dispatch().kind {
        DispatchTensorKind::Autodiff(kind) => matches!(*kind, DispatchTensorKind::Cube(_)),
        _ => false,
    }
}

/// `function(x)`'s values, in the storage of `x` where nothing else holds it.
fn elementwise<const D: usize>(x: Tensor<D>, function: impl Fn(f32) -> (f32, f32)) -> Tensor<D> {
    let mut x = dense(primitive::<Flex, D>(x));
    kernel::values(x.storage_mut::<f32>(), function);
    Tensor::from_primitive::<Flex>(x)
}

/// `function(x)`'s values, in the storage of `x` where nothing else holds it, and its slopes.
fn elementwise_and_slope<const D: usize>(
    x: Tensor<D>,
    function: impl Fn(f32) -> (f32, f32),
) -> (Tensor<D>, Tensor<D>) {
    let mut x = dense(primitive::<Flex, D>(x));
    let layout = x.layout().clone();
    let values = x.storage_mut::<f32>();
    let mut slopes = vec![0.0_f32; values.len()];
    kernel::values_and_slopes(values, &mut slopes, function);
    let slopes = FlexTensor::new(Bytes::from_elems(slopes), layout, DType::F32);
    (
        Tensor::from_primitive::<Flex>(x),
        Tensor::from_primitive::<Flex>(slopes),
    )
}

/// A tensor whose storage holds nothing but its elements, in whatever order.
fn dense(x: FlexTensor) -> FlexTensor {
    match x.storage::<f32>().len() == x.layout().num_elements() {
        true => x,
        false => x.to_contiguous(),
    }
}

/// A tensor whose storage holds its elements row by row, the same storage where it did before.
fn contiguous(x: FlexTensor) -> FlexTensor {
    let rows = x.to_contiguous();
    // Two holders of a storage would make the first who writes copy it.
    drop(x);
    rows
}

fn probabilities<const D: usize>(scores: Tensor<D>) -> Tensor<D> {
    if !is_flex_f32(&scores) {
        return super::softmax_in_f32(scores);
    }
    let width = scores.dims()[D - 1];
    let mut rows = contiguous(primitive::<Flex, D>(scores));
    if width > 0 {
        rows.storage_mut::<f32>()
            .chunks_exact_mut(width)
            .for_each(kernel::softmax);
    }
    Tensor::from_primitive::<Flex>(rows)
}

fn softmax_gradient<const D: usize>(probabilities: Tensor<D>, cotangent: Tensor<D>) -> Tensor<D> {
    if !is_flex_f32(&cotangent) {
        let dtype = cotangent.dtype();
        let probabilities = probabilities.cast(DType::F32);
        let cotangent = cotangent.cast(DType::F32);
        let mean = (cotangent.clone() * probabilities.clone()).sum_dim(D - 1);
        return ((cotangent - mean) * probabilities).cast(dtype);
    }
    let width = cotangent.dims()[D - 1];
    let probabilities = contiguous(primitive::<Flex, D>(probabilities));
    let mut gradient = contiguous(primitive::<Flex, D>(cotangent));
    if width > 0 {
        let rows = probabilities.storage::<f32>().chunks_exact(width);
        let cotangents = gradient.storage_mut::<f32>().chunks_exact_mut(width);
        for (row, cotangent) in rows.zip(cotangents) {
            kernel::softmax_gradient(row, cotangent);
        }
    }
    Tensor::from_primitive::<Flex>(gradient)
}
