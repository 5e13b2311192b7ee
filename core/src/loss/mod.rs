//! Training losses: segmentation (dice and BCE) on whole masks or on sampled points, the latent
//! consistency loss and the score loss.

mod latent;
#[cfg(test)]
mod parity;
mod points;
mod score;
mod segmentation;

pub use latent::{LatentKind, latent_loss};
pub use points::{PointSampling, segmentation_at_points, segmentation_at_points_by_mask};
pub use score::score_loss;
pub use segmentation::{
    BCE_WEIGHT, DICE_WEIGHT, bce_loss, dice_loss, segmentation_by_mask, segmentation_loss,
};
