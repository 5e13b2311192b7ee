use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use super::{Layout, PromptPart, Session, StepOutput, common, embed};
use crate::fclm::Fclm;
use crate::qwen::{KvCache, positions_tensor};

/// Buffers grow by this many tokens.
const GROWTH: usize = 128;

/// Several prompts that begin alike, whose answers are written together: a row for each.
///
/// What all prompts begin with is computed once. Behind it shorter prompts are padded on the left,
/// so that the newest token of every row is in the last place. Padding is hidden from all other
/// tokens and takes no position, so a row computes what a [`Session`] of its own would, up to the
/// rounding of sums that are added up in another order.
#[derive(Debug, Clone)]
pub struct SessionBatch {
    cache: KvCache,
    /// Places that the rows have in common.
    shared: usize,
    /// How many places behind those are padding, in each row.
    padding: Vec<usize>,
    /// The position of each row's next token.
    next_positions: Vec<i32>,
    device: Device,
}

impl SessionBatch {
    /// Computes prompts. `session` is left with what they have in common, so that further prompts
    /// with that beginning need not compute it again.
    ///
    /// # Panics
    /// Panics where there is no prompt, one of them holds no token, or `session` has no room for
    /// what they have in common.
    pub fn prefill(
        session: &mut Session,
        model: &Fclm,
        prompts: &[Vec<PromptPart>],
    ) -> (Self, StepOutput) {
        let layouts: Vec<Layout> = prompts.iter().map(|parts| Layout::of(parts)).collect();
        let lengths = || layouts.iter().map(|layout| layout.slots.len());
        let (shortest, longest) = (lengths().min(), lengths().max());
        let (shortest, longest) = (shortest.unwrap_or(0), longest.unwrap_or(0));
        assert!(
            shortest > 0,
            "a batch holds at least one prompt, and a prompt at least one token"
        );
        // The last token of each prompt is computed by its own row: its state is what is asked for.
        let shared = layouts
            .iter()
            .map(|layout| common(&layout.slots, &layouts[0].slots))
            .fold(shortest - 1, usize::min);
        session.hold(model, &prompts[0], &layouts[0], shared);

        let width = longest - shared;
        let mut batch = Self {
            cache: session
                .cache
                .spread(prompts.len(), (longest + 1).next_multiple_of(GROWTH)),
            shared,
            padding: lengths().map(|length| longest - length).collect(),
            next_positions: layouts.iter().map(|layout| layout.next_position).collect(),
            device: session.device.clone(),
        };
        let rows = prompts.iter().zip(&batch.padding).map(|(parts, &padding)| {
            let own = embed(model, parts, &batch.device).narrow(1, shared, width - padding);
            padded(own, padding)
        });
        let embeds = Tensor::cat(rows.collect(), 0);
        let positions: Vec<Vec<[i32; 3]>> = layouts
            .iter()
            .zip(&batch.padding)
            .map(|(layout, &padding)| {
                let mut row = vec![[0; 3]; padding];
                row.extend_from_slice(&layout.positions[shared..]);
                row
            })
            .collect();
        let output = batch.advance(model, embeds, &positions);
        (batch, output)
    }

    /// How many prompts there are.
    pub fn rows(&self) -> usize {
        self.padding.len()
    }

    /// Feeds one token to each row.
    ///
    /// # Panics
    /// Panics where there is not one token for each row.
    pub fn step(&mut self, model: &Fclm, ids: &[u32]) -> StepOutput {
        assert_eq!(ids.len(), self.rows(), "a token for each row");
        let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
        let ids = TensorData::new(ids, [self.rows(), 1]);
        let ids = Tensor::<2, Int>::from_data(ids, &self.device);
        let positions = self.next_positions.iter().map(|&next| vec![[next; 3]]);
        let positions: Vec<Vec<[i32; 3]>> = positions.collect();
        let output = self.advance(model, model.qwen.embed(ids), &positions);
        self.next_positions.iter_mut().for_each(|next| *next += 1);
        output
    }

    /// Lets go of all rows but these, which go on in this order.
    pub fn keep(&mut self, rows: &[usize]) {
        self.cache.keep_rows(rows);
        self.padding = rows.iter().map(|&row| self.padding[row]).collect();
        self.next_positions = rows.iter().map(|&row| self.next_positions[row]).collect();
    }

    fn advance(
        &mut self,
        model: &Fclm,
        embeds: Tensor<3>,
        positions: &[Vec<[i32; 3]>],
    ) -> StepOutput {
        let [_, length, _] = embeds.dims();
        let needed = self.cache.len() + length;
        self.cache.reserve(needed.next_multiple_of(GROWTH));
        let positions: Vec<&[[i32; 3]]> = positions.iter().map(Vec::as_slice).collect();
        let positions = positions_tensor(&positions, &self.device);
        let hidden = self.hidden(length);
        let qwen = &model.qwen;
        let states = qwen.forward(embeds, positions, hidden, Some(&mut self.cache));
        StepOutput::of_last(model, states)
    }

    /// What is hidden from `queries` further tokens of each row: what comes later, and padding. A
    /// place of padding sees itself, because a query that sees nothing has no result that is sure
    /// to be a number. None where there is no padding, so that causality is all that is needed.
    ///
    /// # Shapes
    /// - output: `[rows, 1, queries, held + queries]`
    fn hidden(&self, queries: usize) -> Option<Tensor<4, Bool>> {
        if self.padding.iter().all(|&padding| padding == 0) {
            return None;
        }
        let held = self.cache.len();
        let keys = held + queries;
        let mut hidden = Vec::with_capacity(self.rows() * queries * keys);
        for &padding in &self.padding {
            let padded = self.shared..self.shared + padding;
            for query in held..keys {
                let is_hidden = |key: usize| key > query || (padded.contains(&key) && key != query);
                hidden.extend((0..keys).map(is_hidden));
            }
        }
        let hidden = Tensor::<1, Bool>::from_data(hidden.as_slice(), &self.device);
        Some(hidden.reshape([self.rows(), 1, queries, keys]))
    }
}

/// Puts places in front of a row.
///
/// # Shapes
/// - `row`: `[1, tokens, hidden_size]`
/// - output: `[1, padding + tokens, hidden_size]`
fn padded(row: Tensor<3>, padding: usize) -> Tensor<3> {
    if padding == 0 {
        return row;
    }
    let [_, _, hidden_size] = row.dims();
    let places = Tensor::zeros([1, padding, hidden_size], (&row.device(), row.dtype()));
    Tensor::cat(vec![places, row], 1)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;

    use super::*;
    use crate::fclm::FclmConfig;
    use crate::fixtures::{assert_close, test_device};

    const ROUNDING: f64 = 1e-4;

    /// Two prompts about a picture, one about a region of it, and one that is a part of another.
    fn prompts(device: &Device) -> Vec<Vec<PromptPart>> {
        let random =
            |rows: usize| Tensor::<2>::random([rows, 32], Distribution::Normal(0.0, 1.0), device);
        let picture = PromptPart::Image {
            key: 1,
            tokens: random(6),
            grid: [2, 3],
        };
        let region = PromptPart::Region {
            key: 1,
            mask: random(1),
            pos: random(1),
        };
        let about = |question: Vec<PromptPart>| {
            let mut parts = vec![PromptPart::Text(vec![3, 4]), picture.clone()];
            parts.extend(question);
            parts
        };
        vec![
            about(vec![PromptPart::Text(vec![5, 6, 7, 8, 9, 10, 11])]),
            about(vec![PromptPart::Text(vec![5, 12])]),
            about(vec![
                PromptPart::Text(vec![5]),
                region,
                PromptPart::Text(vec![13, 14]),
            ]),
            about(vec![PromptPart::Text(vec![5, 6, 7])]),
        ]
    }

    fn likeliest(state: &StepOutput) -> Vec<u32> {
        let ids = state.logits.clone().argmax(1);
        let ids = ids.try_into_vec_as::<i64>().unwrap();
        ids.into_iter().map(|id| id as u32).collect()
    }

    fn assert_alike(batch: &StepOutput, alone: &[StepOutput]) {
        let cat = |of: fn(&StepOutput) -> Tensor<2>| Tensor::cat(alone.iter().map(of).collect(), 0);
        let hidden = cat(|state| state.hidden.clone());
        assert_close("hidden state", batch.hidden.clone(), hidden, ROUNDING);
        let logits = cat(|state| state.logits.clone());
        assert_close("logits", batch.logits.clone(), logits, ROUNDING);
    }

    #[test]
    fn rows_compute_what_sessions_of_their_own_would() {
        let device = test_device();
        device.seed(4);
        let config = FclmConfig::tiny(64, 1);
        let model = config.init(&device);
        let prompts = prompts(&device);
        let alone = |parts: &Vec<PromptPart>| {
            let mut session = Session::new(&config.qwen.text, 256, &device);
            let (state, _) = session.prefill(&model, parts).unwrap();
            (session, state)
        };
        let (mut sessions, mut states): (Vec<_>, Vec<_>) = prompts.iter().map(alone).unzip();

        let mut shared = Session::new(&config.qwen.text, 256, &device);
        let (mut batch, mut state) = SessionBatch::prefill(&mut shared, &model, &prompts);
        assert_eq!(batch.padding, [0, 5, 2, 4]);
        assert_eq!(shared.len(), 2 + 6 + 1);
        assert_alike(&state, &states);
        // Past where buffers grow.
        for step in 0..GROWTH {
            if step == 3 {
                batch.keep(&[2, 1]);
                sessions = vec![sessions[2].clone(), sessions[1].clone()];
                states = vec![states[2].clone(), states[1].clone()];
                let rows = [2, 1].map(|row| state.logits.clone().narrow(0, row, 1));
                state.logits = Tensor::cat(Vec::from(rows), 0);
            }
            let ids = likeliest(&state);
            // On a GPU two that are all but equally likely may change places.
            if device == Device::flex() {
                let of_sessions: Vec<u32> = states.iter().flat_map(likeliest).collect();
                assert_eq!(ids, of_sessions, "step {step}");
            }
            for ((session, state), &id) in sessions.iter_mut().zip(&mut states).zip(&ids) {
                *state = session.step(&model, id).unwrap();
            }
            state = batch.step(&model, &ids);
            assert_alike(&state, &states);
        }
    }

    #[test]
    fn a_session_is_left_with_the_beginning() {
        let device = test_device();
        device.seed(4);
        let config = FclmConfig::tiny(64, 1);
        let model = config.init(&device);
        let prompts = prompts(&device);
        let mut session = Session::new(&config.qwen.text, 64, &device);
        let (fresh, _) = session.prefill(&model, &prompts[1]).unwrap();
        let (batch, _) = SessionBatch::prefill(&mut session, &model, &prompts);
        assert_eq!(batch.rows(), 4);
        let (again, held) = session.prefill(&model, &prompts[1]).unwrap();
        assert_eq!(held, 2 + 6 + 1);
        assert_alike(&again, &[fresh]);
        // Equal prompts have a last token of their own, too.
        let twice = [prompts[1].clone(), prompts[1].clone()];
        let (batch, state) = SessionBatch::prefill(&mut session, &model, &twice);
        assert_eq!(batch.padding, [0, 0]);
        assert_alike(&state, &[again.clone(), again]);
    }
}
