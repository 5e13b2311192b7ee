//! The masks of an answer.

use burn::tensor::Tensor;
use fclm_core::{fclm::ImageFeatures, wire::FoundRegion};

use super::super::{backend::BackendError, found::drawn_masks, load::LoadedModel};
use super::{FclmAnswer, FclmBackend};

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

impl FclmBackend {
    /// Decodes the answer's masks, as many at a time as fit. Those of a bare `[SEG]` have an empty
    /// phrase; those without a pixel stay only where the answer is measured.
    pub(super) fn ground(
        &self,
        answer: &mut FclmAnswer,
        hear: &mut dyn FnMut(&[f32]),
    ) -> Result<Vec<FoundRegion>, BackendError> {
        let LoadedModel { model, config, .. } = &self.loaded;
        let features = &answer.features;
        let at_a_time = masks_at_a_time(features);
        let mut found = Vec::new();
        for pending in answer.masks.chunks(at_a_time) {
            let hidden = pending.iter().map(|mask| mask.hidden.clone()).collect();
            let decoded = model.ground(Tensor::cat(hidden, 0), features, config);
            for (pending, scored) in pending.iter().zip(drawn_masks(decoded, features, hear)?) {
                if scored.mask.is_empty() && !answer.is_measured {
                    continue;
                }
                found.push(FoundRegion {
                    phrase: pending.phrase.clone().unwrap_or_default(),
                    start: pending.start,
                    end: pending.end,
                    score: scored.score,
                    box_px: scored.box_px,
                    mask: scored.mask.to_wire(),
                });
            }
        }
        answer.masks.clear();
        Ok(found)
    }
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
        super::{backend::Backend, found::scored_masks},
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
