use super::error::FclmError;
use super::tokenizer::FclmTokenizer;

/// What a newly generated token adds to the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerEvent {
    /// More of the text that a person reads.
    Text(String),
    /// `[SEG]`: a mask belongs here.
    Segment {
        /// The phrase in `<p>` and `</p>` right before; none for a bare `[SEG]`.
        phrase: Option<String>,
        /// First code point of the phrase in the text.
        start: u32,
        /// One past its last code point.
        end: u32,
    },
}

/// Reads the model's answer token by token: text without special tokens, phrases with their spans,
/// and the places of masks. Never gives out half a character.
#[derive(Debug, Clone, Default)]
pub struct AnswerReader {
    text: String,
    pending: Vec<u32>,
    phrase_start: Option<usize>,
    phrase: Option<(usize, usize)>,
}

impl AnswerReader {
    /// The text so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Takes the next token.
    ///
    /// # Errors
    /// Where the tokenizer cannot decode it.
    pub fn push(
        &mut self,
        id: u32,
        tokenizer: &FclmTokenizer,
    ) -> Result<Vec<AnswerEvent>, FclmError> {
        let special = tokenizer.special();
        let mut events = Vec::new();
        let is_mark = [special.seg, special.phrase_open, special.phrase_close].contains(&id);
        if !is_mark {
            self.pending.push(id);
            let piece = tokenizer.decode(&self.pending)?;
            // Bytes of a character that is not whole yet decode to U+FFFD.
            if !piece.ends_with('\u{FFFD}') {
                self.flush(piece, &mut events);
            }
            return Ok(events);
        }
        self.finish_into(tokenizer, &mut events)?;
        let here = self.text.chars().count();
        if id == special.phrase_open {
            self.phrase_start = Some(here);
            self.phrase = None;
        } else if id == special.phrase_close {
            self.phrase = self.phrase_start.take().map(|start| (start, here));
        } else {
            let event = match self.phrase.take() {
                Some((start, end)) => AnswerEvent::Segment {
                    phrase: Some(self.text.chars().skip(start).take(end - start).collect()),
                    start: start as u32,
                    end: end as u32,
                },
                None => AnswerEvent::Segment {
                    phrase: None,
                    start: here as u32,
                    end: here as u32,
                },
            };
            events.push(event);
        }
        Ok(events)
    }

    /// Gives out what is still held back at the end of the answer.
    ///
    /// # Errors
    /// Where the tokenizer cannot decode it.
    pub fn finish(&mut self, tokenizer: &FclmTokenizer) -> Result<Vec<AnswerEvent>, FclmError> {
        let mut events = Vec::new();
        self.finish_into(tokenizer, &mut events)?;
        Ok(events)
    }

    fn finish_into(
        &mut self,
        tokenizer: &FclmTokenizer,
        events: &mut Vec<AnswerEvent>,
    ) -> Result<(), FclmError> {
        if !self.pending.is_empty() {
            let piece = tokenizer.decode(&self.pending)?;
            self.flush(piece, events);
        }
        Ok(())
    }

    fn flush(&mut self, piece: String, events: &mut Vec<AnswerEvent>) {
        self.pending.clear();
        if !piece.is_empty() {
            self.text.push_str(&piece);
            events.push(AnswerEvent::Text(piece));
        }
    }
}
