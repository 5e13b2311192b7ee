use super::light::{LightConfig, LightFeatures};
use crate::mask::Mask;
use crate::sam::upscale_mask;
use crate::wire::{BoxPx, RegionMask};

/// A decoded mask with at least one pixel.
#[derive(Debug, Clone)]
pub struct ScoredMask {
    /// The mask.
    pub mask: Mask,
    /// The tight box around it.
    pub box_px: BoxPx,
    /// Estimated IoU, 0 to 1.
    pub score: f32,
}

impl ScoredMask {
    /// A mask with the decoder's estimate; none where no pixel is set. An estimate that is no
    /// number says nothing for the mask.
    pub fn new(mask: Mask, score: f32) -> Option<Self> {
        let box_px = mask.bounds()?;
        let score = match score.is_finite() {
            true => score.clamp(0.0, 1.0),
            false => 0.0,
        };
        Some(Self {
            mask,
            box_px,
            score,
        })
    }

    /// As it travels.
    pub fn to_wire(&self) -> RegionMask {
        RegionMask {
            mask: self.mask.to_wire(),
            box_px: self.box_px,
            score: self.score,
        }
    }
}

/// The masks that SAM's decoder gave for one prompt, best first, those without a pixel left out.
///
/// # Shapes
/// - `low_res`: `[masks, side, side]`, logits at the decoder's resolution
/// - `scores`: `[masks]`
pub fn candidates(
    low_res: &[f32],
    scores: &[f32],
    features: &LightFeatures,
    config: &LightConfig,
) -> Vec<RegionMask> {
    let side = config.sam.low_res_size();
    let original = [features.height as usize, features.width as usize];
    let mut masks: Vec<RegionMask> = low_res
        .chunks_exact(side * side)
        .zip(scores)
        .filter_map(|(logits, &score)| {
            let (input, size) = (features.sam_input, config.sam.image_size);
            ScoredMask::new(upscale_mask(logits, side, input, size, original), score)
        })
        .map(|scored| scored.to_wire())
        .collect();
    masks.sort_by(|a, b| b.score.total_cmp(&a.score));
    masks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_candidate_comes_first() {
        let device = burn::tensor::Device::flex();
        let config = LightConfig::of(&crate::fclm::FclmConfig::tiny(8, 1));
        let features = LightFeatures {
            width: 8,
            height: 8,
            sam: burn::tensor::Tensor::zeros([1, 16, 4, 4], &device),
            sam_input: [64, 64],
        };
        let plane = config.sam.low_res_size().pow(2);
        let low_res = [vec![1.0; plane], vec![-1.0; plane], vec![2.0; plane]].concat();
        let masks = candidates(&low_res, &[0.25, 0.9, 0.5], &features, &config);
        let scores: Vec<f32> = masks.iter().map(|mask| mask.score).collect();
        assert_eq!(scores, [0.5, 0.25]);
        assert_eq!(masks[0].box_px, [0.0, 0.0, 8.0, 8.0]);
    }

    #[test]
    fn scores_are_shares_and_empty_masks_are_none() {
        let mask = || Mask::rect(4, 4, [1.0, 1.0, 3.0, 2.0]);
        let scored = ScoredMask::new(mask(), 1.5).unwrap();
        assert_eq!((scored.score, scored.box_px), (1.0, [1.0, 1.0, 3.0, 2.0]));
        assert_eq!(ScoredMask::new(mask(), f32::NAN).unwrap().score, 0.0);
        assert!(ScoredMask::new(Mask::new(4, 4), 0.9).is_none());
    }
}
