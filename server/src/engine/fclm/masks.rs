//! Masks of an answer that are still to be decoded.

use burn::tensor::Tensor;
use fclm_core::fclm::ImageFeatures;

/// Mask pixels that are brought to the picture's size at a time.
const GROUNDED_PIXELS: usize = 1 << 25;

/// A mask that is decoded when the answer ends.
#[derive(Debug)]
pub(super) struct PendingMask {
    pub(super) hidden: Tensor<2>,
    pub(super) phrase: Option<String>,
    pub(super) start: u32,
    pub(super) end: u32,
}

/// How many masks may be brought to the picture's size together.
pub(super) fn masks_at_a_time(features: &ImageFeatures) -> usize {
    let pixels = features.width as usize * features.height as usize;
    (GROUNDED_PIXELS / pixels.max(1)).max(1)
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;
    use fclm_core::fclm::ScoredLogits;
    use image::RgbImage;

    use super::super::{
        super::{
            backend::Backend,
            found::{drawn_masks, scored_masks},
        },
        fixtures::backend,
    };
    use super::*;

    #[test]
    fn masks_without_a_pixel_are_told_from_the_others() {
        let backend = backend();
        let features = backend.encode_image(&RgbImage::new(32, 32)).unwrap();
        let mut logits = vec![-1.0f32; 2 * 32 * 32];
        logits[32 * 32 + 40] = 3.0;
        let decoded = || ScoredLogits {
            logits: Tensor::from_data(
                TensorData::new(logits.clone(), [2, 1, 32, 32]),
                &backend.loaded.device,
            ),
            scores: Tensor::from_data(
                TensorData::new(vec![0.75f32, 1.5], [2, 1]),
                &backend.loaded.device,
            ),
        };
        let mut heard = Vec::new();
        let all = drawn_masks(decoded(), &features, &mut |logits| {
            heard.extend_from_slice(logits);
        })
        .unwrap();
        assert_eq!(heard, logits);
        let told: Vec<(u64, f32)> = all
            .iter()
            .map(|scored| (scored.mask.area(), scored.score))
            .collect();
        assert_eq!(told, [(0, 0.75), (1, 1.0)]);
        let shown = scored_masks(decoded(), &features).unwrap();
        let areas: Vec<Option<u64>> = shown
            .iter()
            .map(|scored| scored.as_ref().map(|scored| scored.mask.area()))
            .collect();
        assert_eq!(areas, [None, Some(1)]);
    }
}
