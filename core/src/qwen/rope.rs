//! Rotary embeddings that rotate the first half of a head against the second.

use burn::tensor::{DType, Device, FloatDType, Int, Tensor, TensorData};

use super::{GridThw, LoraLinear, TextRope};
use crate::linear::over_rows;

/// Cosines and sines of every position, computed once and shared by all layers.
#[derive(Debug, Clone)]
pub(super) struct Rotation {
    cos: Tensor<4>,
    sin: Tensor<4>,
    half_turn: Tensor<2>,
}

impl Rotation {
    /// For text, `positions` is `[3, B, L]`.
    pub(super) fn text(
        positions: Tensor<3, Int>,
        rope: &TextRope,
        head_dim: usize,
        dtype: DType,
    ) -> Self {
        let [_, batch, len] = positions.dims();
        let device = positions.device();
        let half = head_dim / 2;
        // Each frequency follows one of the axes: zero elsewhere, so that a sum selects it.
        let mut table = vec![0f32; 3 * half];
        let axes = rope.mrope_section.iter().enumerate();
        let axes = axes.flat_map(|(axis, &count)| std::iter::repeat_n(axis, count));
        for ((channel, axis), frequency) in
            axes.enumerate().zip(frequencies(rope.rope_theta, head_dim))
        {
            table[axis * half + channel] = frequency;
        }
        let table = Tensor::<4>::from_data(
            TensorData::new(table, [3, 1, 1, half]),
            (&device, DType::F32),
        );
        let positions = positions.cast(FloatDType::F32).reshape([3, batch, len, 1]);
        let angles = (positions * table)
            .sum_dim(0)
            .reshape([batch, len, 1, half]);
        Self::new(Tensor::cat(vec![angles.clone(), angles], 3), dtype)
    }

    /// For patches of one frame, in the order of `tokens` (raster indices of merged tokens).
    pub(super) fn patches(
        grid: GridThw,
        merge: usize,
        tokens: &[usize],
        theta: f64,
        head_dim: usize,
        device: &Device,
        dtype: DType,
    ) -> Self {
        let frequencies: Vec<f32> = frequencies(theta, head_dim / 2).collect();
        let columns = grid.w / merge;
        let mut angles = Vec::with_capacity(grid.h * grid.w * head_dim);
        for &token in tokens {
            for inner in 0..merge * merge {
                let row = (token / columns * merge + inner / merge) as f32;
                let column = (token % columns * merge + inner % merge) as f32;
                for _ in 0..2 {
                    angles.extend(frequencies.iter().map(|frequency| row * frequency));
                    angles.extend(frequencies.iter().map(|frequency| column * frequency));
                }
            }
        }
        let shape = [1, grid.h * grid.w, 1, head_dim];
        Self::new(
            Tensor::from_data(TensorData::new(angles, shape), (device, DType::F32)),
            dtype,
        )
    }

    fn new(angles: Tensor<4>, dtype: DType) -> Self {
        let head_dim = angles.dims()[3];
        let half = head_dim / 2;
        let mut turn = vec![0f32; head_dim * head_dim];
        for channel in 0..half {
            turn[(channel + half) * head_dim + channel] = -1.0;
            turn[channel * head_dim + channel + half] = 1.0;
        }
        let device = angles.device();
        Self {
            cos: angles.clone().cos().cast(dtype),
            sin: angles.sin().cast(dtype),
            half_turn: Tensor::from_data(
                TensorData::new(turn, [head_dim, head_dim]),
                (&device, dtype),
            ),
        }
    }

    /// Rotates `[B, L, H, D]`.
    pub(super) fn apply(&self, x: Tensor<4>) -> Tensor<4> {
        let turned = self.half_turned(x.clone());
        x * self.cos.clone() + turned * self.sin.clone()
    }

    /// `(a, b) -> (-b, a)` for the halves of every head.
    ///
    /// In a recorded graph this is a product with a matrix of 0, 1 and -1, which is exact and
    /// much cheaper than two slices, whose gradients are padded with zeros.
    fn half_turned(&self, x: Tensor<4>) -> Tensor<4> {
        if x.is_autodiff() {
            return over_rows(x, |rows| rows.matmul(self.half_turn.clone()));
        }
        let half = x.dims()[3] / 2;
        let first = x.clone().narrow(3, 0, half);
        let second = x.narrow(3, half, half);
        Tensor::cat(vec![-second, first], 3)
    }

    /// Splits the projected last axis into `heads` and rotates: `[B, L, H * D]` to `[B, L, H, D]`.
    pub(super) fn project(&self, projection: &LoraLinear, x: Tensor<3>, heads: usize) -> Tensor<4> {
        let [batch, len, _] = x.dims();
        let head_dim = self.half_turn.dims()[0];
        let projected = over_rows(x, |rows| projection.forward(rows));
        self.apply(projected.reshape([batch, len, heads, head_dim]))
    }
}

/// `theta^(-2i / dim)` for the `dim / 2` pairs, in f32 as the reference computes them.
fn frequencies(theta: f64, dim: usize) -> impl Iterator<Item = f32> {
    (0..dim / 2).map(move |pair| 1.0 / (theta as f32).powf((2 * pair) as f32 / dim as f32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tolerance;

    #[test]
    fn rotates_halves_by_the_axis_of_each_frequency() {
        for device in [Device::flex(), Device::flex().autodiff()] {
            rotates_on(&device);
        }
    }

    fn rotates_on(device: &Device) {
        let rope = TextRope {
            rope_theta: 100.0,
            mrope_section: [1, 1, 0],
        };
        let positions = Tensor::<3, Int>::from_data([[[3]], [[5]], [[9]]], device);
        let x = Tensor::<4>::from_data([[[[1.0, 2.0, 3.0, 4.0]]]], device);
        let out = Rotation::text(positions, &rope, 4, DType::F32).apply(x);
        let (first, second) = (3f32, 5f32 / 10.0);
        let expected = [
            first.cos() - 3.0 * first.sin(),
            2.0 * second.cos() - 4.0 * second.sin(),
            3.0 * first.cos() + first.sin(),
            4.0 * second.cos() + 2.0 * second.sin(),
        ];
        out.reshape([4])
            .into_data()
            .assert_approx_eq::<f32>(&TensorData::from(expected), Tolerance::absolute(1e-6));
    }
}
