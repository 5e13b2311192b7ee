use burn::tensor::{DType, Int, Tensor};

/// Multi-scale deformable attention on one level (Deformable DETR, `ms_deform_attn_core_pytorch`).
///
/// Each head samples its values bilinearly at `points` locations, with zeros outside the map and
/// pixel centres at half-integers (`align_corners = false`), and sums them by `weights`.
///
/// # Shapes
/// - `value`: `[batch, heads, head_dim, height, width]`
/// - `locations`: `[batch, queries, heads, points, 2]`, x then y in `[0, 1]` over the map
/// - `weights`: `[batch, queries, heads, points]`
/// - output: `[batch, queries, heads * head_dim]`
pub fn deformable_attention(
    value: Tensor<5>,
    locations: Tensor<5>,
    weights: Tensor<4>,
) -> Tensor<3> {
    let [batch, heads, head_dim, height, width] = value.dims();
    let [_, queries, _, points, _] = locations.dims();
    let rows = batch * heads;
    let samples = queries * points;

    let value = value
        .reshape([rows, head_dim, height * width])
        .swap_dims(1, 2);
    let locations = locations
        .permute([0, 2, 1, 3, 4])
        .reshape([rows, samples, 2]);
    let weights = weights.permute([0, 2, 1, 3]).reshape([rows, samples, 1]);
    let sampled = sample_bilinear(&value, [height, width], locations);
    (sampled * weights)
        .reshape([rows, queries, points, head_dim])
        .sum_dim(2)
        .reshape([batch, heads, queries, head_dim])
        .swap_dims(1, 2)
        .reshape([batch, queries, heads * head_dim])
}

/// Samples maps bilinearly, with zeros outside and pixel centres at half-integers, as PyTorch's
/// `grid_sample` does with `align_corners = false`; differentiable in `value` and `locations`.
///
/// Whatever the type of `value`, places are computed in f32: half precision cannot count the cells
/// of a map.
///
/// # Shapes
/// - `value`: `[rows, height * width, dim]`, so that one gather along the cells fetches whole
///   vectors
/// - `locations`: `[rows, samples, 2]`, x then y in `[0, 1]` over the map
/// - output: `[rows, samples, dim]`
pub(crate) fn sample_bilinear(
    value: &Tensor<3>,
    [height, width]: [usize; 2],
    locations: Tensor<3>,
) -> Tensor<3> {
    let [rows, _, dim] = value.dims();
    let [_, samples, _] = locations.dims();
    let dtype = value.dtype();
    let locations = locations.cast(DType::F32);
    let x = locations
        .clone()
        .narrow(2, 0, 1)
        .mul_scalar(width as f64)
        .sub_scalar(0.5);
    let y = locations
        .narrow(2, 1, 1)
        .mul_scalar(height as f64)
        .sub_scalar(0.5);
    let (x0, y0) = (x.clone().detach().floor(), y.clone().detach().floor());
    let (fx, fy) = (x - x0.clone(), y - y0.clone());

    let mut sampled: Option<Tensor<3>> = None;
    for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
        let cx = x0.clone().add_scalar(dx);
        let cy = y0.clone().add_scalar(dy);
        let wx = if dx == 1 {
            fx.clone()
        } else {
            fx.clone().neg().add_scalar(1.0)
        };
        let wy = if dy == 1 {
            fy.clone()
        } else {
            fy.clone().neg().add_scalar(1.0)
        };
        let inside = |c: &Tensor<3>, size: usize| {
            c.clone()
                .greater_equal_scalar(0.0)
                .bool_and(c.clone().lower_scalar(size as f64))
        };
        let inside = inside(&cx, width)
            .bool_and(inside(&cy, height))
            .float()
            .cast(DType::F32);
        let index: Tensor<3, Int> = (cy.clamp(0.0, (height - 1) as f64).mul_scalar(width as f64)
            + cx.clamp(0.0, (width - 1) as f64))
        .int();
        let corner = value.clone().gather(1, index.expand([rows, samples, dim]));
        let corner = corner * (wx * wy * inside).cast(dtype);
        sampled = Some(match sampled {
            Some(sum) => sum + corner,
            None => corner,
        });
    }
    sampled.unwrap_or_else(|| unreachable!("four corners were sampled"))
}
