//! What comes after the last token of answers.

use std::{mem, slice};

use burn::tensor::Tensor;
use fclm_core::{
    fclm::{AnswerEvent, ImageFeatures, prompt},
    wire::{FoundRegion, Mode, RunEvent},
};

use super::super::{
    backend::BackendError,
    found::{drawn_masks, named_by},
    load::LoadedModel,
};
use super::{
    FclmBackend,
    answer::Draft,
    failed,
    masks::{PendingMask, masks_at_a_time},
};

impl FclmBackend {
    /// What comes after the last token of an answer; as [`Self::finish_all`].
    pub(super) fn finish(
        &self,
        draft: &mut Draft,
        features: &ImageFeatures,
        hear: &mut dyn FnMut(&[f32]),
    ) -> Result<Vec<RunEvent>, BackendError> {
        let mut hear = |_: usize, logits: &[f32]| hear(logits);
        let events = self.finish_all(slice::from_mut(draft), features, &mut hear)?;
        Ok(events.into_iter().flatten().collect())
    }

    /// What comes after the last token of each of several answers about one picture: text that was
    /// held back, what stands for the answer to a search that is no text, then all masks. `hear`
    /// gets the logits of each mask, row by row at the picture's size, and the place of its answer.
    pub(super) fn finish_all(
        &self,
        drafts: &mut [Draft],
        features: &ImageFeatures,
        hear: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<Vec<Vec<RunEvent>>, BackendError> {
        let mut all = Vec::with_capacity(drafts.len());
        for draft in drafts.iter_mut() {
            let mut events = Vec::new();
            for event in draft
                .reader
                .finish(&self.loaded.tokenizer)
                .map_err(failed)?
            {
                if let AnswerEvent::Text(delta) = event {
                    events.push(RunEvent::Text { delta });
                }
            }
            all.push(events);
        }
        let found = self.ground(drafts, features, hear)?;
        for ((events, draft), mut found) in all.iter_mut().zip(drafts.iter()).zip(found) {
            if draft.mode == Mode::Find {
                let text = draft.reader.text();
                let delta = match found.is_empty() && text.trim().is_empty() {
                    true => Some(prompt::NOT_FOUND.to_owned()),
                    // Whoever measures an answer needs to know where in it its masks stand.
                    false if draft.is_measured && !text.trim().is_empty() => None,
                    false => named_by(&draft.wanted, text, &mut found),
                };
                events.extend(delta.map(|delta| RunEvent::Text { delta }));
            }
            events.extend(found.into_iter().map(RunEvent::Region));
        }
        Ok(all)
    }

    /// Decodes the masks of answers, as many at a time as fit. Those of a bare `[SEG]` have an
    /// empty phrase; those without a pixel stay only where the answer is measured.
    fn ground(
        &self,
        drafts: &mut [Draft],
        features: &ImageFeatures,
        hear: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<Vec<Vec<FoundRegion>>, BackendError> {
        let LoadedModel { model, config, .. } = &self.loaded;
        let mut pending: Vec<(usize, PendingMask)> = Vec::new();
        for (place, draft) in drafts.iter_mut().enumerate() {
            let masks = mem::take(&mut draft.masks).into_iter();
            pending.extend(masks.map(|mask| (place, mask)));
        }
        let mut found = vec![Vec::new(); drafts.len()];
        for pending in pending.chunks(masks_at_a_time(features)) {
            let hidden = pending.iter().map(|(_, mask)| mask.hidden.clone());
            let decoded = model.ground(Tensor::cat(hidden.collect(), 0), features, config);
            let mut owners = pending.iter().map(|&(place, _)| place);
            let mut hear = |logits: &[f32]| {
                if let Some(place) = owners.next() {
                    hear(place, logits);
                }
            };
            let scored = drawn_masks(decoded, features, &mut hear)?;
            for (&(place, ref mask), scored) in pending.iter().zip(scored) {
                if scored.mask.is_empty() && !drafts[place].is_measured {
                    continue;
                }
                found[place].push(FoundRegion {
                    phrase: mask.phrase.clone().unwrap_or_default(),
                    start: mask.start,
                    end: mask.end,
                    score: scored.score,
                    box_px: scored.box_px,
                    mask: scored.mask.to_wire(),
                });
            }
        }
        Ok(found)
    }
}
