//! The two convolutions that bring an encoder's map to the decoder's width.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::conv::same_3x3;
use super::{Conv, LayerNorm2d};

/// A 1x1 and a 3x3 convolution, each with a norm over channels.
#[derive(Module, Debug)]
pub struct Neck {
    /// The 1x1 convolution.
    pub conv1: Conv,
    /// Its norm.
    pub norm1: LayerNorm2d,
    /// The 3x3 convolution.
    pub conv2: Conv,
    /// Its norm.
    pub norm2: LayerNorm2d,
}

impl Neck {
    pub(super) fn new(channels_in: usize, channels_out: usize, device: &Device) -> Self {
        Self {
            conv1: Conv::new([channels_out, channels_in, 1, 1], false, device),
            norm1: LayerNorm2d::new(channels_out, device),
            conv2: Conv::new([channels_out, channels_out, 3, 3], false, device),
            norm2: LayerNorm2d::new(channels_out, device),
        }
    }

    /// # Shapes
    /// - tokens: `[batch, side * side, channels_in]`
    /// - output: `[batch, channels_out, side, side]`
    pub(super) fn forward(&self, tokens: Tensor<3>, side: usize) -> Tensor<4> {
        let [batch, cells, _] = tokens.dims();
        let tokens = self.norm1.forward(self.conv1.rows(tokens));
        let [_, _, channels] = tokens.dims();
        let map = tokens
            .swap_dims(1, 2)
            .reshape([batch, channels, side, side]);
        let map = self.conv2.convolve(map, same_3x3(1, 1));
        // The norm reads each element several times, so the copy that makes it channel-last pays.
        let tokens = map
            .reshape([batch, channels, cells])
            .swap_dims(1, 2)
            .reshape([batch * cells, channels]);
        self.norm2
            .forward(tokens)
            .reshape([batch, cells, channels])
            .swap_dims(1, 2)
            .reshape([batch, channels, side, side])
    }
}
