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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Writes the bytes of `é` and `ö` as tokens of their own, `é` as one token too.
    fn tokenizer() -> FclmTokenizer {
        let learned = ["\u{c3}", "\u{a9}", "\u{b6}", "\u{c3}\u{a9}", "a"];
        let special = [
            "<mask>",
            "<pos>",
            "[SEG]",
            "<p>",
            "</p>",
            "<|image_pad|>",
            "<|im_start|>",
            "<|im_end|>",
        ];
        let vocabulary: serde_json::Map<String, serde_json::Value> = learned
            .iter()
            .enumerate()
            .map(|(id, &token)| (token.to_owned(), json!(id)))
            .collect();
        let added: Vec<serde_json::Value> = special
            .iter()
            .enumerate()
            .map(|(index, token)| {
                json!({
                    "id": learned.len() + index,
                    "content": token,
                    "single_word": false,
                    "lstrip": false,
                    "rstrip": false,
                    "normalized": false,
                    "special": true,
                })
            })
            .collect();
        let byte_level = json!({
            "type": "ByteLevel",
            "add_prefix_space": false,
            "trim_offsets": false,
            "use_regex": false,
        });
        let json = json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": added,
            "normalizer": null,
            "pre_tokenizer": byte_level,
            "post_processor": null,
            "decoder": byte_level,
            "model": { "type": "BPE", "vocab": vocabulary, "merges": [] },
        });
        FclmTokenizer::from_json(json.to_string().as_bytes()).unwrap()
    }

    fn read(ids: &[u32]) -> (Vec<AnswerEvent>, String) {
        let tokenizer = tokenizer();
        let mut reader = AnswerReader::default();
        let mut events = Vec::new();
        for &id in ids {
            events.extend(reader.push(id, &tokenizer).unwrap());
        }
        events.extend(reader.finish(&tokenizer).unwrap());
        (events, reader.text().to_owned())
    }

    fn text(text: &str) -> AnswerEvent {
        AnswerEvent::Text(text.to_owned())
    }

    #[test]
    fn spans_count_code_points_not_bytes() {
        let ids = tokenizer().encode("é<p>ö</p>[SEG]a[SEG]").unwrap();
        let (events, whole) = read(&ids);
        let phrase = AnswerEvent::Segment {
            phrase: Some("ö".to_owned()),
            start: 1,
            end: 2,
        };
        let bare = AnswerEvent::Segment {
            phrase: None,
            start: 3,
            end: 3,
        };
        assert_eq!(events, [text("é"), text("ö"), phrase, text("a"), bare]);
        assert_eq!(whole, "éöa");
    }

    #[test]
    fn a_character_is_given_out_when_its_last_token_has_come() {
        let tokenizer = tokenizer();
        let ids = tokenizer.encode("é").unwrap();
        let [first, second] = ids[..] else {
            panic!("the bytes of é are two tokens");
        };
        let mut reader = AnswerReader::default();
        assert!(reader.push(first, &tokenizer).unwrap().is_empty());
        assert_eq!(reader.text(), "");
        assert_eq!(reader.push(second, &tokenizer).unwrap(), [text("é")]);

        // The phrase around it has one code point, however many tokens wrote it.
        let special = tokenizer.special();
        let marks = [special.phrase_open, special.phrase_close, special.seg];
        let one_token = 3;
        for inside in [&[first, second][..], &[one_token]] {
            let ids = [&marks[..1], inside, &marks[1..]].concat();
            let (events, _) = read(&ids);
            let phrase = AnswerEvent::Segment {
                phrase: Some("é".to_owned()),
                start: 0,
                end: 1,
            };
            assert_eq!(events, [text("é"), phrase]);
        }
    }

    #[test]
    fn half_a_character_at_the_end_is_one_code_point() {
        let tokenizer = tokenizer();
        let half = tokenizer.encode("é").unwrap()[0];
        let special = tokenizer.special();
        let (events, whole) = read(&[special.phrase_open, half, special.phrase_close, special.seg]);
        let phrase = AnswerEvent::Segment {
            phrase: Some("\u{FFFD}".to_owned()),
            start: 0,
            end: 1,
        };
        assert_eq!(events, [text("\u{FFFD}"), phrase]);
        assert_eq!(whole, "\u{FFFD}");
    }
}
