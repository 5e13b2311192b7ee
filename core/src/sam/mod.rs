//! SAM: an image is encoded once, then each prompt becomes masks in a few milliseconds.
//!
//! [`ImageEncoder`] is the plain vision transformer of the published SAM or the TinyViT of
//! MobileSAM; [`PromptEncoder`] turns points, boxes and masks into tokens and [`MaskDecoder`] turns
//! tokens and the image embedding into mask logits with a predicted quality. All sizes come from
//! [`SamConfig`]; the parameters carry the names of the original checkpoints, but for the
//! fragments that [`names`] lists.
//!
//! Sources: <https://github.com/facebookresearch/segment-anything>,
//! <https://github.com/ChaoningZhang/MobileSAM>.

mod config;
mod conv;
mod image_encoder;
mod mask_decoder;
mod model;
mod neck;
mod norm;
#[cfg(test)]
mod parity;
mod place;
mod postprocess;
mod preprocess;
mod prompt_encoder;
mod segment;
mod tiny_vit;
mod transformer;
mod validate;
mod vit;

pub use config::{DecoderConfig, EncoderConfig, PromptConfig, SamConfig, TinyVitConfig, VitConfig};
pub use conv::Conv;
pub use image_encoder::ImageEncoder;
pub use mask_decoder::{Decoded, MaskDecoder, MlpHead, OutputUpscaling};
pub use model::{Sam, ignored_names, names};
pub use neck::Neck;
pub use norm::LayerNorm2d;
pub use place::LogitPlace;
pub use postprocess::{upscale_logits, upscale_mask};
pub use preprocess::{Prepared, denormalize, input_size, preprocess, to_input_coords};
pub use prompt_encoder::{MaskDownscaling, PositionEncoding, PromptEncoder};
pub use segment::PicturePrompt;
pub use tiny_vit::{ConvNorm, RunningNorm, TinyVit};
pub use transformer::TwoWayTransformer;
pub use vit::Vit;
