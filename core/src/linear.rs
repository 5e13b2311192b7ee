//! Linear maps over rows.

use burn::tensor::{DType, Tensor};

/// Applies a map of rows to the last axis.
///
/// The product of an array of higher rank with a shared weight is recorded as one product per
/// leading index, whose gradient is one copy of the weight for each of them.
///
/// # Shapes
/// - x: `[.., in]`; `map`: `[rows, in]` to `[rows, out]`
/// - output: `[.., out]`
pub(crate) fn over_rows<const D: usize>(
    x: Tensor<D>,
    map: impl FnOnce(Tensor<2>) -> Tensor<2>,
) -> Tensor<D> {
    let mut dims = x.dims();
    let width = dims[D - 1];
    let rows = dims[..D - 1].iter().product::<usize>();
    let out = map(x.reshape([rows, width]));
    let [_, width] = out.dims();
    dims[D - 1] = width;
    out.reshape(dims)
}

/// `x` in the float type of a weight that it meets; a quantised weight meets any.
///
/// # Shapes
/// - x and output: the same
pub(crate) fn in_type_of<const D: usize>(x: Tensor<D>, weight: DType) -> Tensor<D> {
    match weight {
        DType::QFloat(_) => x,
        dtype => x.cast(dtype),
    }
}
