//! The decoder's masks at the size of the original image.

use burn::tensor::{Tensor, TensorData};

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
