use burn::tensor::Tensor;

use super::light::{LightConfig, LightFeatures};
use crate::mask::Mask;
use crate::sam::{Decoded, upscale_mask};
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
        let scored = Self::or_empty(mask, score);
        (!scored.mask.is_empty()).then_some(scored)
    }

    /// As [`ScoredMask::new`], also where no pixel is set; the box is all zero there.
    pub fn or_empty(mask: Mask, score: f32) -> Self {
        let box_px = mask.bounds().unwrap_or_default();
        let score = match score.is_finite() {
            true => score.clamp(0.0, 1.0),
            false => 0.0,
        };
        Self {
            mask,
            box_px,
            score,
        }
    }

    /// The scores of the masks that SAM's decoder gave for one prompt, on the device that computed
    /// them: the highest one, the first of equal ones, is that of the first of [`candidates`]. A
    /// mask without a pixel has -1.
    ///
    /// Whether there is one is told by the logits themselves, where they show the picture: one that
    /// is lost between the picture's pixels counts.
    ///
    /// # Shapes
    /// - output: `[masks]`
    pub fn scores(decoded: &Decoded, features: &LightFeatures, config: &LightConfig) -> Tensor<1> {
        let [_, masks, side, _] = decoded.low_res.dims();
        let shown = |length: usize| {
            let logits = (length * side).div_ceil(config.sam.image_size);
            logits.clamp(1, side)
        };
        let [height, width] = features.sam_input.map(shown);
        let logits = decoded.low_res.clone();
        let logits = logits.slice([0..1, 0..masks, 0..height, 0..width]);
        let highest = logits.max_dim(3).max_dim(2).reshape([masks]);
        let scores = decoded.iou.clone().reshape([masks]);
        let is_unknown = scores.clone().is_nan().bool_or(scores.clone().is_inf());
        scores
            .clamp(0.0, 1.0)
            .mask_fill(is_unknown, 0.0)
            .mask_fill(highest.greater_scalar(0.0).bool_not(), -1.0)
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
    fn the_device_finds_the_same_best_candidate() {
        let device = burn::tensor::Device::flex();
        let config = LightConfig::of(&crate::fclm::FclmConfig::tiny(8, 1));
        // Twice as wide as high: the upper half of the square input is the picture.
        let features = LightFeatures {
            width: 8,
            height: 4,
            sam: Tensor::zeros([1, 16, 4, 4], &device),
            sam_input: [32, 64],
        };
        let side = config.sam.low_res_size();
        assert_eq!(side, 16);
        let with_object = |row: usize| {
            let mut logits = vec![-1.0; side * side];
            logits[row * side + 3] = 9.0;
            logits
        };
        let low_res: Vec<f32> = [
            with_object(2),
            vec![-1.0; side * side],
            with_object(12),
            with_object(0),
            with_object(7),
            with_object(4),
            with_object(5),
        ]
        .concat();
        let scores = [0.25, 0.9, 0.8, f32::NAN, 1.5, -0.5, f32::INFINITY];
        let of = |values: &[f32]| burn::tensor::TensorData::new(values.to_vec(), [values.len()]);
        let decoded = Decoded {
            low_res: Tensor::<1>::from_data(of(&low_res), &device).reshape([1, 7, side, side]),
            iou: Tensor::<1>::from_data(of(&scores), &device).reshape([1, 7]),
        };
        let found = ScoredMask::scores(&decoded, &features, &config).into_data();
        let found: Vec<f32> = found.iter::<f32>().collect();
        assert_eq!(found, [0.25, -1.0, -1.0, 0.0, 1.0, 0.0, 0.0]);

        let masks = candidates(&low_res, &scores, &features, &config);
        let wanted: Vec<f32> = masks.iter().map(|mask| mask.score).collect();
        assert_eq!(wanted, [1.0, 0.25, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn scores_are_shares_and_empty_masks_are_none() {
        let mask = || Mask::rect(4, 4, [1.0, 1.0, 3.0, 2.0]);
        let scored = ScoredMask::new(mask(), 1.5).unwrap();
        assert_eq!((scored.score, scored.box_px), (1.0, [1.0, 1.0, 3.0, 2.0]));
        assert_eq!(ScoredMask::new(mask(), f32::NAN).unwrap().score, 0.0);
        assert!(ScoredMask::new(Mask::new(4, 4), 0.9).is_none());
        let empty = ScoredMask::or_empty(Mask::new(4, 4), 0.9);
        assert_eq!((empty.score, empty.box_px), (0.9, [0.0; 4]));
    }
}
