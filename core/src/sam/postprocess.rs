//! The decoder's masks at the size of the original image.

use burn::tensor::{Tensor, TensorData};

use crate::mask::Mask;

/// Scales mask logits to the original image as SAM's `postprocess_masks` does: bilinearly to the
/// encoder's input, cut to the part that holds the image, and bilinearly to the original size.
///
/// Each of these steps is linear along either axis, so they are folded into one matrix per axis;
/// the arrays of the input's size are never made, and the gradient is two matrix products.
///
/// # Shapes
/// - low_res: `[prompts, n, height, width]`
/// - input: height and width of the image within the encoder's square input of `image_size`
/// - original: height and width of the output
/// - output: `[prompts, n, original height, original width]`
pub fn upscale_logits(
    low_res: Tensor<4>,
    input: [usize; 2],
    image_size: usize,
    original: [usize; 2],
) -> Tensor<4> {
    let [_, _, height, width] = low_res.dims();
    let device = low_res.device();
    let dtype = low_res.dtype();
    let matrix = |from: usize, input: usize, to: usize| {
        let values = scaling_matrix(from, image_size, input, to);
        Tensor::<2>::from_data(TensorData::new(values, [to, from]), &device).cast(dtype)
    };
    let down = matrix(height, input[0], original[0]);
    let across = matrix(width, input[1], original[1]).transpose();
    down.unsqueeze::<4>()
        .matmul(low_res)
        .matmul(across.unsqueeze::<4>())
}

/// The mask of one array of logits at the size of the original image, as [`upscale_logits`] would
/// give it, on the host: no more than a row of the larger image is held as numbers.
///
/// # Shapes
/// - low_res: `[side, side]`, row-major
/// - input, image_size, original: as in [`upscale_logits`]
///
/// # Panics
/// Panics where there are not `side * side` logits.
pub fn upscale_mask(
    low_res: &[f32],
    side: usize,
    input: [usize; 2],
    image_size: usize,
    original: [usize; 2],
) -> Mask {
    assert_eq!(low_res.len(), side * side, "one logit a pixel");
    let [height, width] = original;
    let rows = sparse_scaling(side, image_size, input[0], height);
    let columns = sparse_scaling(side, image_size, input[1], width);
    let wide: Vec<f32> = low_res
        .chunks_exact(side)
        .flat_map(|row| {
            let mix = |taps: &[(usize, f32); 4]| -> f32 {
                taps.iter()
                    .map(|&(column, weight)| row[column] * weight)
                    .sum()
            };
            columns.iter().map(mix).collect::<Vec<f32>>()
        })
        .collect();
    let mut data = Vec::with_capacity(height * width);
    for taps in &rows {
        let row = |tap: usize| {
            let (index, weight) = taps[tap];
            (&wide[index * width..][..width], weight)
        };
        let [(a, u), (b, v), (c, w), (d, x)] = [row(0), row(1), row(2), row(3)];
        data.extend(
            (0..width).map(|at| u8::from(a[at] * u + b[at] * v + c[at] * w + d[at] * x > 0.0)),
        );
    }
    Mask::from_data(width as u32, height as u32, data)
}

/// The rows of [`scaling_matrix`] as their four samples and weights.
fn sparse_scaling(
    from: usize,
    image_size: usize,
    input: usize,
    to: usize,
) -> Vec<[(usize, f32); 4]> {
    (0..to)
        .map(|row| {
            let [(low, u), (high, v)] = bilinear_taps(row, input, to);
            let [a, b] = bilinear_taps(low, from, image_size);
            let [c, d] = bilinear_taps(high, from, image_size);
            let weighted =
                |(index, weight): (usize, f64), outer: f64| (index, (weight * outer) as f32);
            [
                weighted(a, u),
                weighted(b, u),
                weighted(c, v),
                weighted(d, v),
            ]
        })
        .collect()
}

/// Row-major `[to, from]`: `from` samples to `image_size`, cut to `input`, to `to`.
fn scaling_matrix(from: usize, image_size: usize, input: usize, to: usize) -> Vec<f32> {
    let mut matrix = vec![0.0; to * from];
    for (row, values) in matrix.chunks_exact_mut(from).enumerate() {
        for (middle, outer) in bilinear_taps(row, input, to) {
            for (column, inner) in bilinear_taps(middle, from, image_size) {
                values[column] += (outer * inner) as f32;
            }
        }
    }
    matrix
}

/// The two samples that make up output `index`, and their weights, without antialiasing and with
/// corners not aligned.
fn bilinear_taps(index: usize, from: usize, to: usize) -> [(usize, f64); 2] {
    let position = ((index as f64 + 0.5) * from as f64 / to as f64 - 0.5).max(0.0);
    let low = (position as usize).min(from - 1);
    let high = (low + 1).min(from - 1);
    let weight = position - low as f64;
    [(low, 1.0 - weight), (high, weight)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{assert_close, tensors, test_device};

    #[test]
    fn masks_on_the_host_are_those_of_the_logits() {
        let values: Vec<f32> = (0..64)
            .map(|index| ((index * 37 % 23) as f32) - 11.3)
            .collect();
        let device = test_device();
        for original in [[13, 29], [4, 3], [32, 32]] {
            let input = super::super::input_size(original[0], original[1], 32);
            let low_res = Tensor::from_data(TensorData::new(values.clone(), [1, 1, 8, 8]), &device);
            let logits = upscale_logits(low_res, input, 32, original).into_data();
            let logits: Vec<f32> = logits.iter::<f32>().collect();
            let mask = upscale_mask(&values, 8, input, 32, original);
            let [height, width] = original;
            assert_eq!((mask.width(), mask.height()), (width as u32, height as u32));
            for (at, logit) in logits.iter().enumerate() {
                let is_set = mask.get((at % width) as u32, (at / width) as u32);
                assert!(
                    logit.abs() < 1e-3 || is_set == (*logit > 0.0),
                    "{original:?} {at}"
                );
            }
            assert!(!mask.is_empty());
        }
    }

    #[test]
    fn equal_sizes_change_nothing() {
        assert_eq!(
            scaling_matrix(3, 3, 3, 3),
            [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
        );
    }

    /// The reference weighs four neighbours at once, here it is one axis after the other: f32
    /// rounds differently.
    #[test]
    fn fixture_bilinear_resizes() {
        let device = test_device();
        let file = tensors("ops", "ops.safetensors");
        let read = |name: &str| file.tensor::<4>(name, &device).expect(name);
        let input = read("resize.input");
        let [_, _, height, width] = input.dims();
        for name in ["resize.up", "resize.down"] {
            let expected = read(name);
            let [_, _, to_height, to_width] = expected.dims();
            let matrix = |from: usize, to: usize| {
                let values = scaling_matrix(from, from, from, to);
                Tensor::<4>::from_data(TensorData::new(values, [1, 1, to, from]), &device)
            };
            let resized = matrix(height, to_height)
                .matmul(input.clone())
                .matmul(matrix(width, to_width).transpose());
            assert_close(name, resized, expected, 1e-5);
        }
    }

    #[test]
    fn each_output_is_an_average() {
        for row in scaling_matrix(7, 28, 19, 50).chunks_exact(7) {
            let sum: f32 = row.iter().sum();
            assert!((sum - 1.0).abs() < 1e-6, "{sum}");
        }
    }
}
