//! Answers that are written side by side.

use std::sync::Arc;

use fclm_core::{
    fclm::{ImageFeatures, PromptPart, Session, SessionBatch},
    region::RegionTokens,
    wire::RunEvent,
};

use super::super::backend::{BackendError, Prompt};
use super::{FclmBackend, MAX_NEW_TOKENS, answer::Draft};

/// Most tokens whose keys and values are held side by side: some 2 GB for a model of 7B in bf16.
const MOST_TOKENS: usize = 1 << 15;

/// Answers that were written together.
#[derive(Debug)]
pub(crate) struct WrittenTogether {
    /// What each answer consists of, or why its prompt was refused.
    pub(crate) answers: Vec<Result<Vec<RunEvent>, BackendError>>,
    /// What is worth keeping for further questions about the picture.
    pub(crate) session: Option<Session>,
}

impl FclmBackend {
    /// Answers prompts of one mode about one picture in one pass a token, to be measured: each as
    /// it would be answered alone, up to rounding. Those that do not fit side by side are answered
    /// in turns. `hear` gets the logits of each mask, row by row at the picture's size, and the
    /// place of its prompt.
    ///
    /// # Errors
    /// Where the device fails.
    pub(crate) fn write_together(
        &self,
        prompts: &[Prompt<'_, ImageFeatures, Arc<RegionTokens>>],
        session: Option<Session>,
        hear: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<WrittenTogether, BackendError> {
        let mut answers = Vec::with_capacity(prompts.len());
        let (mut places, mut parts, mut drafts) = (Vec::new(), Vec::new(), Vec::new());
        for (place, prompt) in prompts.iter().enumerate() {
            answers.push(match self.prepare(prompt) {
                Ok((prepared, mut draft)) => {
                    draft.is_measured = true;
                    places.push(place);
                    parts.push(prepared);
                    drafts.push(draft);
                    Ok(Vec::new())
                }
                Err(error) => Err(error),
            });
        }
        let longest = drafts.iter().map(|draft| draft.prompt).max();
        let (Some(first), Some(longest)) = (prompts.first(), longest) else {
            return Ok(WrittenTogether { answers, session });
        };

        let mut session = self.session_for(session, longest);
        let at_a_time = rows_at_a_time(longest);
        let groups = parts.chunks(at_a_time).zip(drafts.chunks_mut(at_a_time));
        for ((parts, drafts), places) in groups.zip(places.chunks(at_a_time)) {
            let written = self.write_rows(&mut session, parts, drafts)?;
            let mut hear = |row: usize, logits: &[f32]| hear(places[row], logits);
            let rest = self.finish_all(drafts, first.features, &mut hear)?;
            for ((&place, mut events), rest) in places.iter().zip(written).zip(rest) {
                events.extend(rest);
                answers[place] = Ok(events);
            }
        }
        Ok(WrittenTogether {
            answers,
            session: Some(session),
        })
    }

    /// Writes answers to their last tokens.
    fn write_rows(
        &self,
        session: &mut Session,
        parts: &[Vec<PromptPart>],
        drafts: &mut [Draft],
    ) -> Result<Vec<Vec<RunEvent>>, BackendError> {
        let model = &self.loaded.model;
        let mut events = vec![Vec::new(); drafts.len()];
        let mut is_written = vec![false; drafts.len()];
        // Whose answer each row is.
        let mut rows: Vec<usize> = (0..drafts.len()).collect();
        let Some(mode) = drafts.first().map(|draft| draft.mode) else {
            return Ok(events);
        };
        let (mut batch, mut state) = SessionBatch::prefill(session, model, parts);
        loop {
            let mut ids = self.next_ids(state.logits.clone(), mode)?;
            for (row, (&answer, &id)) in rows.iter().zip(&ids).enumerate() {
                if is_written[answer] {
                    continue;
                }
                let hidden = || state.hidden.clone().narrow(0, row, 1);
                let step = self.take(&mut drafts[answer], id, hidden)?;
                events[answer].extend(step.events);
                is_written[answer] = step.finish.is_some();
            }
            let is_going_on = |&row: &usize| !is_written[rows[row]];
            let going_on: Vec<usize> = (0..rows.len()).filter(is_going_on).collect();
            if going_on.is_empty() {
                return Ok(events);
            }
            // A row whose answer is written goes on with what nobody reads, because to be let go of
            // costs a copy of the others.
            if 2 * going_on.len() <= rows.len() {
                batch.keep(&going_on);
                ids = going_on.iter().map(|&row| ids[row]).collect();
                rows = going_on.iter().map(|&row| rows[row]).collect();
            }
            state = batch.step(model, &ids);
        }
    }
}

/// How many answers to prompts of up to `longest` tokens may be written side by side.
fn rows_at_a_time(longest: usize) -> usize {
    (MOST_TOKENS / (longest + MAX_NEW_TOKENS)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_do_not_fit_side_by_side_take_turns() {
        assert_eq!(rows_at_a_time(1536), 16);
        assert_eq!(rows_at_a_time(1 << 20), 1);
    }
}
