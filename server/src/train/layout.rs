use std::ops::Range;

use fclm_core::fclm::prompt::{self, Piece};
use fclm_core::fclm::{FclmError, FclmTokenizer};

/// What a turn trains.
#[derive(Debug, Clone, PartialEq)]
pub enum TurnKind {
    /// Text about a described region, by its number among the scene's described regions.
    Describe {
        /// Which of the scene's described regions.
        region: usize,
        /// Whether the answer is the region's category and nothing else.
        is_category: bool,
    },
    /// Text about several described regions or about none, by their numbers among the scene's
    /// described regions, in the order of the question's places.
    Ask {
        /// One for each place of the question.
        regions: Vec<usize>,
    },
    /// Masks for an expression; one mask per `[SEG]` of the answer, by object index.
    Find {
        /// Objects to segment, in the order of the answer's `[SEG]`; several objects share one
        /// mask where the answer has one `[SEG]` for all.
        targets: Vec<Vec<usize>>,
    },
}

/// One question and answer behind a scene's shared picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// What it trains.
    pub kind: TurnKind,
    /// What the person says, with region places.
    pub question: String,
    /// What the model must answer.
    pub answer: String,
}

/// One token of a packed sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// A token of text.
    Token(u32),
    /// Cell of the picture.
    Image(usize),
    /// `<mask>` of a described region.
    Mask(usize),
    /// `<pos>` of a described region.
    Pos(usize),
}

/// A token to be predicted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Target {
    /// The place that predicts it.
    pub(super) slot: usize,
    /// The token.
    pub(super) id: u32,
    /// What it counts in the mean. An answer counts by the root of its length, so that one
    /// `[SEG]` or the few words of a category are not drowned by long descriptions; the first token
    /// of any answer counts one, because that of a search decides between a mask, several and none.
    pub(super) weight: f32,
    /// Whether it is a word of a region's category, asked for as such.
    pub(super) is_category: bool,
}

/// A scene's conversations behind one picture, packed into one sequence: every conversation sees
/// the picture and itself, no other conversation.
#[derive(Debug, Clone)]
pub(super) struct Packed {
    pub(super) slots: Vec<Slot>,
    /// M-RoPE positions.
    pub(super) positions: Vec<[i32; 3]>,
    /// 0 for the shared beginning, then the conversation's number from 1.
    pub(super) segments: Vec<u16>,
    /// Places whose next token is learned.
    pub(super) targets: Vec<Target>,
    /// Places that predict `[SEG]`, with the objects whose union they must segment.
    pub(super) grounds: Vec<(usize, Vec<usize>)>,
    /// Places that must know what they are about before a mask is asked for, with those objects: where
    /// a phrase begins, and where it shows that several things are meant, or that nothing is.
    pub(super) leads: Vec<(usize, Vec<usize>)>,
}

/// Texts that surround the turns, tokenised once.
#[derive(Debug, Clone)]
pub(super) struct Packer {
    before_image: Vec<u32>,
    after_image: Vec<u32>,
    before_answer: Vec<u32>,
    after_answer: Vec<u32>,
    tokenizer: FclmTokenizer,
}

const QUESTION: &str = "\u{1}";
const ANSWER: &str = "\u{2}";
const NEXT: &str = "\u{3}";

impl Packer {
    /// Cuts the chat template at the picture, the question and the answer.
    pub(super) fn new(template: &str, tokenizer: &FclmTokenizer) -> Result<Self, FclmError> {
        let messages = [
            prompt::ChatMessage::user(format!("{}{QUESTION}", prompt::IMAGE_PLACE)),
            prompt::ChatMessage::assistant(ANSWER),
            prompt::ChatMessage::user(NEXT),
        ];
        let text = prompt::render(template, &messages)?;
        let broken = || FclmError::Template("picture, question or answer got lost".to_owned());
        let (head, rest) = text.split_once(QUESTION).ok_or_else(broken)?;
        let (middle, rest) = rest.split_once(ANSWER).ok_or_else(broken)?;
        let (between, _) = rest.split_once(NEXT).ok_or_else(broken)?;
        let mut before_image = None;
        let mut after_image = Vec::new();
        for piece in prompt::pieces(head, tokenizer)? {
            match piece {
                Piece::Text(ids) if before_image.is_none() => before_image = Some(ids),
                Piece::Text(ids) => after_image = ids,
                Piece::Image | Piece::Region => {}
            }
        }
        let between = tokenizer.encode(between)?;
        let stop = between
            .iter()
            .position(|&id| id == tokenizer.special().im_end)
            .ok_or_else(broken)?;
        Ok(Self {
            before_image: before_image.ok_or_else(broken)?,
            after_image,
            before_answer: tokenizer.encode(middle)?,
            after_answer: between[..=stop].to_vec(),
            tokenizer: tokenizer.clone(),
        })
    }

    /// Packs a scene's conversations of one turn each; `grid` is the raster of the picture's merged
    /// tokens.
    pub(super) fn pack(
        &self,
        turns: &[Turn],
        [height, width]: [usize; 2],
    ) -> Result<Packed, FclmError> {
        let mut packed = Packed {
            slots: Vec::new(),
            positions: Vec::new(),
            segments: Vec::new(),
            targets: Vec::new(),
            grounds: Vec::new(),
            leads: Vec::new(),
        };
        let mut position = 0;
        for &id in &self.before_image {
            packed.push(Slot::Token(id), [position; 3], 0);
            position += 1;
        }
        for cell in 0..height * width {
            let (row, column) = ((cell / width) as i32, (cell % width) as i32);
            packed.push(
                Slot::Image(cell),
                [position, position + row, position + column],
                0,
            );
        }
        position += height.max(width) as i32;
        for &id in &self.after_image {
            packed.push(Slot::Token(id), [position; 3], 0);
            position += 1;
        }
        for (number, turn) in turns.iter().enumerate() {
            self.pack_turn(&mut packed, turn, number as u16 + 1, position)?;
        }
        Ok(packed)
    }

    fn pack_turn(
        &self,
        packed: &mut Packed,
        turn: &Turn,
        segment: u16,
        mut position: i32,
    ) -> Result<(), FclmError> {
        let mut push = |packed: &mut Packed, slot| {
            packed.push(slot, [position; 3], segment);
            position += 1;
        };
        let mut asked = match &turn.kind {
            TurnKind::Ask { regions } => regions.iter(),
            TurnKind::Describe { .. } | TurnKind::Find { .. } => [].iter(),
        };
        for piece in prompt::pieces(&turn.question, &self.tokenizer)? {
            match piece {
                Piece::Text(ids) => ids.iter().for_each(|&id| push(packed, Slot::Token(id))),
                Piece::Region => {
                    let region = match &turn.kind {
                        TurnKind::Describe { region, .. } => Some(region),
                        TurnKind::Ask { .. } | TurnKind::Find { .. } => asked.next(),
                    };
                    if let Some(&region) = region {
                        push(packed, Slot::Mask(region));
                        push(packed, Slot::Pos(region));
                    }
                }
                Piece::Image => {}
            }
        }
        self.before_answer
            .iter()
            .for_each(|&id| push(packed, Slot::Token(id)));

        let special = self.tokenizer.special();
        let found: &[Vec<usize>] = match &turn.kind {
            TurnKind::Find { targets } => targets,
            TurnKind::Describe { .. } | TurnKind::Ask { .. } => &[],
        };
        let mut masks = found.iter();
        let answer = self.tokenizer.encode(&turn.answer)?;
        if matches!(turn.kind, TurnKind::Find { .. }) {
            let is_list = answer.first() == Some(&special.phrase_open);
            if is_list || found.is_empty() {
                packed.leads.push((packed.slots.len() - 1, found.concat()));
            }
        }
        let of_category = match turn.kind {
            TurnKind::Describe { is_category, .. } if is_category => answer.len(),
            _ => 0,
        };
        let length = answer.len() + self.after_answer.len();
        let weight = 1.0 / (length as f32).sqrt();
        for (index, &id) in answer.iter().chain(&self.after_answer).enumerate() {
            let predicting = packed.slots.len() - 1;
            packed.targets.push(Target {
                slot: predicting,
                id,
                weight: if index == 0 { 1.0 } else { weight },
                is_category: index < of_category,
            });
            if id == special.seg {
                let objects = masks.next().cloned().unwrap_or_default();
                packed.grounds.push((predicting, objects));
            }
            push(packed, Slot::Token(id));
            if id == special.phrase_open
                && let Some(objects) = masks.as_slice().first()
            {
                packed.leads.push((packed.slots.len() - 1, objects.clone()));
            }
        }
        Ok(())
    }
}

impl Packed {
    fn push(&mut self, slot: Slot, position: [i32; 3], segment: u16) {
        self.slots.push(slot);
        self.positions.push(position);
        self.segments.push(segment);
    }

    /// Places of the beginning that all conversations share.
    pub(super) fn prefix(&self) -> usize {
        self.segments.partition_point(|&segment| segment == 0)
    }

    /// The slots of each conversation.
    pub(super) fn conversations(&self) -> Vec<Range<usize>> {
        let mut start = self.prefix();
        self.segments[start..]
            .chunk_by(|a, b| a == b)
            .map(|conversation| {
                let slots = start..start + conversation.len();
                start = slots.end;
                slots
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use fclm_core::fclm::prompt::{CHAT_TEMPLATE, NOT_FOUND, SEG, grounded};

    use super::super::conversations::corpus;
    use super::super::recipe::Recipe;
    use super::super::tokenizer::train_tokenizer;
    use super::*;

    #[test]
    fn what_leads_up_to_masks_knows_their_objects() {
        let mix = Recipe::named("nano").unwrap().stage_1.mix;
        let json = train_tokenizer(corpus(1, 20, mix), 1024).unwrap();
        let tokenizer = FclmTokenizer::from_json(json.as_bytes()).unwrap();
        let packer = Packer::new(CHAT_TEMPLATE, &tokenizer).unwrap();
        let find = |targets: &[&[usize]], answer: String| Turn {
            kind: TurnKind::Find {
                targets: targets.iter().map(|objects| objects.to_vec()).collect(),
            },
            question: "the cubes".to_owned(),
            answer,
        };
        let phrases = format!("{}, {}", grounded("red cube"), grounded("blue cube"));
        let turns = [
            find(&[&[3]], SEG.to_owned()),
            find(&[], NOT_FOUND.to_owned()),
            find(&[&[0], &[2]], phrases.clone()),
            find(&[&[0], &[1, 2]], format!("On the table I see {phrases}.")),
        ];
        let packed = packer.pack(&turns, [2, 2]).unwrap();
        let special = tokenizer.special();
        let led: Vec<(u16, bool, &[usize])> = packed
            .leads
            .iter()
            .map(|(slot, objects)| {
                let is_phrase = packed.slots[*slot] == Slot::Token(special.phrase_open);
                (packed.segments[*slot], is_phrase, objects.as_slice())
            })
            .collect();
        let expected: [(u16, bool, &[usize]); 6] = [
            (2, false, &[]),
            (3, false, &[0, 2]),
            (3, true, &[0]),
            (3, true, &[2]),
            (4, true, &[0]),
            (4, true, &[1, 2]),
        ];
        assert_eq!(led, expected);
        // The place where an answer begins predicts its first token, which counts the same in all.
        for (slot, _) in packed
            .leads
            .iter()
            .filter(|(slot, _)| packed.slots[*slot] != Slot::Token(special.phrase_open))
        {
            let target = packed.targets.iter().find(|target| target.slot == *slot);
            assert_eq!(target.unwrap().weight, 1.0);
        }
        assert_eq!(packed.grounds.len(), 5);
    }
}
