mod batch;

use burn::tensor::{Device, Int, Tensor, TensorData};

pub use self::batch::SessionBatch;
use super::error::FclmError;
use super::model::Fclm;
use crate::qwen::{KvCache, TextConfig, positions_tensor};

/// A part of a prompt, in order.
#[derive(Debug, Clone)]
#[allow(
    clippy::large_enum_variant,
    reason = "a prompt has a handful of parts; and where pointers are short, it is not that large"
)]
pub enum PromptPart {
    /// Ids of text.
    Text(Vec<u32>),
    /// A picture's merged tokens.
    Image {
        /// Says which picture it is, so that a session knows what it has computed already.
        key: u64,
        /// `[tokens, hidden_size]`
        tokens: Tensor<2>,
        /// Height and width of the tokens' raster.
        grid: [usize; 2],
    },
    /// A region's `<mask>` and `<pos>`, each `[1, hidden_size]`.
    Region {
        /// Says which region of which picture it is.
        key: u64,
        /// `<mask>`
        mask: Tensor<2>,
        /// `<pos>`
        pos: Tensor<2>,
    },
}

/// What one place of the sequence holds; equal slots at equal places have equal keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Token(u32),
    Image(u64, usize),
    Mask(u64),
    Pos(u64),
}

/// The state after the newest token of one conversation, or of each of a [`SessionBatch`].
#[derive(Debug, Clone)]
pub struct StepOutput {
    /// `[rows, vocab]`
    pub logits: Tensor<2>,
    /// `[rows, hidden_size]`, after the final norm: what `[SEG]` is decoded from if the next token
    /// is `[SEG]`.
    pub hidden: Tensor<2>,
}

/// One conversation's keys and values, kept between its questions.
#[derive(Debug, Clone)]
pub struct Session {
    cache: KvCache,
    slots: Vec<Slot>,
    next_position: i32,
    device: Device,
}

impl Session {
    /// An empty session that holds up to `capacity` tokens.
    pub fn new(config: &TextConfig, capacity: usize, device: &Device) -> Self {
        Self {
            cache: KvCache::new(config, 1, capacity, device),
            slots: Vec::new(),
            next_position: 0,
            device: device.clone(),
        }
    }

    /// Tokens held.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Tokens that fit.
    pub fn capacity(&self) -> usize {
        self.cache.capacity()
    }

    /// Computes a prompt, starting after the longest beginning that the session holds already.
    /// Returns the state after it and how many tokens were not computed again.
    ///
    /// # Errors
    /// Where the prompt does not fit.
    ///
    /// # Panics
    /// Panics where `parts` holds no token.
    pub fn prefill(
        &mut self,
        model: &Fclm,
        parts: &[PromptPart],
    ) -> Result<(StepOutput, usize), FclmError> {
        let layout = Layout::of(parts);
        assert!(
            !layout.slots.is_empty(),
            "a prompt holds at least one token"
        );
        if layout.slots.len() > self.capacity() {
            return Err(FclmError::TooLong {
                needed: layout.slots.len(),
                capacity: self.capacity(),
            });
        }
        // The last token is always computed: its state is what is asked for.
        let keep = common(&self.slots, &layout.slots).min(layout.slots.len() - 1);
        self.truncate(keep);

        let embeds = embed(model, parts, &self.device);
        let length = layout.slots.len() - keep;
        let embeds = embeds.narrow(1, keep, length);
        let output = self.advance(model, embeds, &layout.positions[keep..]);
        self.slots = layout.slots;
        self.next_position = layout.next_position;
        Ok((output, keep))
    }

    /// Feeds one token.
    ///
    /// # Errors
    /// Where the session is full.
    pub fn step(&mut self, model: &Fclm, id: u32) -> Result<StepOutput, FclmError> {
        if self.slots.len() == self.capacity() {
            return Err(FclmError::TooLong {
                needed: self.slots.len() + 1,
                capacity: self.capacity(),
            });
        }
        let ids =
            Tensor::<2, Int>::from_data(TensorData::new(vec![id as i32], [1, 1]), &self.device);
        let position = self.next_position;
        let output = self.advance(model, model.qwen.embed(ids), &[[position; 3]]);
        self.slots.push(Slot::Token(id));
        self.next_position += 1;
        Ok(output)
    }

    /// Holds the first `length` places of a prompt and nothing else; those that are held already
    /// are not computed again.
    fn hold(&mut self, model: &Fclm, parts: &[PromptPart], layout: &Layout, length: usize) {
        let keep = common(&self.slots, &layout.slots).min(length);
        self.truncate(keep);
        if keep < length {
            let embeds = embed(model, parts, &self.device).narrow(1, keep, length - keep);
            self.read(model, embeds, &layout.positions[keep..length]);
            self.slots.extend_from_slice(&layout.slots[keep..length]);
        }
        let next = layout.positions.get(length);
        self.next_position = next.map_or(layout.next_position, |position| position[0]);
    }

    fn truncate(&mut self, length: usize) {
        self.cache.truncate(length);
        self.slots.truncate(length);
    }

    /// Computes tokens behind those held. Returns their states, `[1, tokens, hidden_size]`.
    fn read(&mut self, model: &Fclm, embeds: Tensor<3>, positions: &[[i32; 3]]) -> Tensor<3> {
        let positions = positions_tensor(&[positions], &self.device);
        let qwen = &model.qwen;
        qwen.forward(embeds, positions, None, Some(&mut self.cache))
    }

    fn advance(&mut self, model: &Fclm, embeds: Tensor<3>, positions: &[[i32; 3]]) -> StepOutput {
        let hidden = self.read(model, embeds, positions);
        StepOutput::of_last(model, hidden)
    }
}

impl StepOutput {
    /// The state after the last token of each row.
    ///
    /// # Shapes
    /// - `hidden`: `[rows, tokens, hidden_size]`
    fn of_last(model: &Fclm, hidden: Tensor<3>) -> Self {
        let [rows, length, hidden_size] = hidden.dims();
        let last = hidden.narrow(1, length - 1, 1);
        // As tokens of one sequence, whose product with the head is one.
        let last = last.reshape([1, rows, hidden_size]);
        let logits = model.qwen.logits(last.clone());
        let [_, _, vocab] = logits.dims();
        Self {
            logits: logits.reshape([rows, vocab]),
            hidden: last.reshape([rows, hidden_size]),
        }
    }
}

/// How many places two sequences begin with alike.
fn common(a: &[Slot], b: &[Slot]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Slots and M-RoPE positions of a prompt.
struct Layout {
    slots: Vec<Slot>,
    positions: Vec<[i32; 3]>,
    next_position: i32,
}

impl Layout {
    /// Text counts on along all three axes; a picture's tokens share one time, and the text after
    /// it goes on behind the larger side of its raster (Qwen2.5-VL's `get_rope_index`).
    fn of(parts: &[PromptPart]) -> Self {
        let mut layout = Self {
            slots: Vec::new(),
            positions: Vec::new(),
            next_position: 0,
        };
        for part in parts {
            match part {
                PromptPart::Text(ids) => {
                    ids.iter().for_each(|&id| layout.push(Slot::Token(id)));
                }
                PromptPart::Image {
                    key,
                    grid: [height, width],
                    ..
                } => {
                    let start = layout.next_position;
                    for cell in 0..height * width {
                        layout.slots.push(Slot::Image(*key, cell));
                        layout.positions.push([
                            start,
                            start + (cell / width) as i32,
                            start + (cell % width) as i32,
                        ]);
                    }
                    layout.next_position = start + *height.max(width) as i32;
                }
                PromptPart::Region { key, .. } => {
                    layout.push(Slot::Mask(*key));
                    layout.push(Slot::Pos(*key));
                }
            }
        }
        layout
    }

    fn push(&mut self, slot: Slot) {
        self.slots.push(slot);
        self.positions.push([self.next_position; 3]);
        self.next_position += 1;
    }
}

/// Embeddings of a prompt, `[1, tokens, hidden_size]`, in the type in which the language model
/// computes: pictures and regions may come from parts that compute in another.
fn embed(model: &Fclm, parts: &[PromptPart], device: &Device) -> Tensor<3> {
    let rows: Vec<Tensor<3>> = parts
        .iter()
        .flat_map(|part| match part {
            PromptPart::Text(ids) if ids.is_empty() => Vec::new(),
            PromptPart::Text(ids) => {
                let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
                let count = ids.len();
                let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [1, count]), device);
                vec![model.qwen.embed(ids)]
            }
            PromptPart::Image { tokens, .. } => vec![tokens.clone().unsqueeze::<3>()],
            PromptPart::Region { mask, pos, .. } => {
                vec![mask.clone().unsqueeze::<3>(), pos.clone().unsqueeze::<3>()]
            }
        })
        .collect();
    let dtype = model.qwen.model.dtype();
    Tensor::cat(rows.into_iter().map(|row| row.cast(dtype)).collect(), 1)
}
