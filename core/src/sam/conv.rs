//! Convolution weights in the checkpoint's layout, applied as matrix products where that is the same.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::module::{conv2d, linear};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor};

use crate::linear::over_rows;

/// Kernel and bias of a convolution, `[out, in / groups, height, width]` as published.
#[derive(Module, Debug)]
pub struct Conv {
    /// The kernel.
    pub weight: Param<Tensor<4>>,
    /// One value per output channel.
    pub bias: Option<Param<Tensor<1>>>,
}

impl Conv {
    /// A kernel of that shape with PyTorch's default initialisation.
    pub(super) fn new(shape: [usize; 4], bias: bool, device: &Device) -> Self {
        let [channels_out, channels_in, height, width] = shape;
        Self::with_bias(
            shape,
            channels_in * height * width,
            bias.then_some(channels_out),
            device,
        )
    }

    /// The kernel `[in, out, 2, 2]` of a transposed convolution.
    pub(super) fn new_transposed(channels_in: usize, channels_out: usize, device: &Device) -> Self {
        let shape = [channels_in, channels_out, 2, 2];
        Self::with_bias(shape, channels_out * 4, Some(channels_out), device)
    }

    fn with_bias(shape: [usize; 4], fan_in: usize, bias: Option<usize>, device: &Device) -> Self {
        let bound = 1.0 / (fan_in as f64).sqrt();
        let initializer = Initializer::Uniform {
            min: -bound,
            max: bound,
        };
        Self {
            weight: initializer.init(shape, device),
            bias: bias.map(|channels| initializer.init([channels], device)),
        }
    }

    /// Multiplies rows that hold one receptive field each, channel-major like the kernel.
    ///
    /// # Shapes
    /// - rows: `[.., in * height * width]`
    /// - output: `[.., out]`
    pub(super) fn rows<const D: usize>(&self, rows: Tensor<D>) -> Tensor<D> {
        let [channels_out, channels_in, height, width] = self.weight.dims();
        let weight = self
            .weight
            .val()
            .reshape([channels_out, channels_in * height * width])
            .transpose();
        let bias = self.bias.as_ref().map(Param::val);
        over_rows(rows, |rows| linear(rows, weight, bias))
    }

    /// Multiplies rows that hold one receptive field each, position-major and channel-last.
    ///
    /// # Shapes
    /// - rows: `[.., height * width * in]`
    /// - output: `[.., out]`
    pub(super) fn rows_channel_last<const D: usize>(&self, rows: Tensor<D>) -> Tensor<D> {
        let [channels_out, channels_in, height, width] = self.weight.dims();
        let weight = self
            .weight
            .val()
            .permute([2, 3, 1, 0])
            .reshape([height * width * channels_in, channels_out]);
        let bias = self.bias.as_ref().map(Param::val);
        over_rows(rows, |rows| linear(rows, weight, bias))
    }

    /// The transposed convolution with a stride equal to its 2x2 kernel, without its bias.
    ///
    /// Each cell becomes a 2x2 block that stays behind the cell, so that no wide tensor is ever
    /// permuted; the bias is left to the caller because it repeats over the block.
    ///
    /// # Shapes
    /// - rows: `[rows, in]`
    /// - output: `[rows * 4, out]`, the four in raster order
    pub(super) fn spread(&self, rows: Tensor<2>) -> Tensor<2> {
        let [channels_in, channels_out, height, width] = self.weight.dims();
        let [n_rows, _] = rows.dims();
        let weight = self
            .weight
            .val()
            .permute([0, 2, 3, 1])
            .reshape([channels_in, height * width * channels_out]);
        let bias = self
            .bias
            .as_ref()
            .map(|bias| bias.val().repeat(&[height * width]));
        linear(rows, weight, bias).reshape([n_rows * height * width, channels_out])
    }

    /// The convolution over a channel-first map.
    ///
    /// # Shapes
    /// - map: `[batch, in, height, width]`
    /// - output: `[batch, out, height', width']`
    pub(super) fn convolve(&self, map: Tensor<4>, options: ConvOptions<2>) -> Tensor<4> {
        conv2d(
            map,
            self.weight.val(),
            self.bias.as_ref().map(Param::val),
            options,
        )
    }
}

/// A convolution of stride `stride` whose padding of one keeps the map's size at stride one.
pub(super) fn same_3x3(stride: usize, groups: usize) -> ConvOptions<2> {
    ConvOptions::new([stride, stride], [1, 1], [1, 1], groups)
}
