//! Training losses: segmentation (dice and BCE), the latent consistency loss and the score loss.

mod latent;
#[cfg(test)]
mod parity;
mod score;
mod segmentation;

pub use latent::{LatentKind, latent_loss};
pub use score::score_loss;
pub use segmentation::{
    BCE_WEIGHT, DICE_WEIGHT, bce_loss, dice_loss, segmentation_by_mask, segmentation_loss,
};
