//! The image encoder that the configuration names.

use burn::module::Module;
use burn::tensor::Tensor;

use super::{TinyVit, Vit};

/// Turns a preprocessed image into its embedding.
#[derive(Module, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "a model has one encoder, and a box is no module"
)]
pub enum ImageEncoder {
    /// The plain vision transformer.
    Vit(Vit),
    /// The hierarchical encoder of MobileSAM.
    TinyVit(TinyVit),
}

impl ImageEncoder {
    /// The same with blocks whose insides are computed again in the backward pass, or kept; TinyViT
    /// is so small that it always keeps them.
    pub fn recomputing(self, recomputes: bool) -> Self {
        match self {
            Self::Vit(encoder) => Self::Vit(encoder.recomputing(recomputes)),
            tiny @ Self::TinyVit(_) => tiny,
        }
    }

    /// Encodes a batch of images as [`preprocess`](super::preprocess) makes them.
    ///
    /// # Shapes
    /// - images: `[batch, 3, size, size]`
    /// - output: `[batch, channels, grid, grid]`
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Vit(encoder) => encoder.forward(images),
            Self::TinyVit(encoder) => encoder.forward(images),
        }
    }
}
