//! The texts that the model was trained on, in one place.
//!
//! The first mention of a region is `@k <mask><pos>`, later ones `@k`.

use serde::Serialize;

#[cfg(feature = "model")]
pub use super::render::{Piece, pieces, render};
use crate::wire::mention;

/// Question that stands where a person asks nothing about a region.
pub const DEFAULT_QUESTION: &str = "Describe this region in detail.";
/// Question for a region's category.
pub const CATEGORY_QUESTION: &str = "What is this?";
/// Question for a short description.
pub const BRIEF_QUESTION: &str = "Describe this region briefly.";
/// Ways to ask for a region's category; the product's own comes first.
pub const CATEGORY_QUESTIONS: [&str; 4] = [
    CATEGORY_QUESTION,
    "What is it?",
    "What object is this?",
    "Name it.",
];
/// Ways to ask for a short description; the product's own comes first.
pub const BRIEF_QUESTIONS: [&str; 3] = [
    BRIEF_QUESTION,
    "Describe it briefly.",
    "Describe this in a few words.",
];
/// Ways to ask for a detailed description; the product's own comes first.
pub const DEFAULT_QUESTIONS: [&str; 5] = [
    DEFAULT_QUESTION,
    "Describe it in detail.",
    "Describe this.",
    "Describe it.",
    "Tell me about it.",
];
/// Ways to ask for a caption of the whole picture without masks.
pub const PICTURE_QUESTIONS: [&str; 3] = [
    "Describe the picture.",
    "What does the picture show?",
    "Describe this picture briefly.",
];
/// Question for a grounded caption of the whole picture.
pub const CAPTION_QUESTION: &str = "Describe the picture with masks.";
/// Answer where nothing fits the description.
pub const NOT_FOUND: &str = "Not in this picture.";
/// What stands for a picture in a message's content.
pub const IMAGE_PLACE: &str = "<|vision_start|><|image_pad|><|vision_end|>";
/// What stands for a region's two tokens.
pub const REGION_PLACE: &str = "<mask><pos>";
/// The answer that is one mask.
pub const SEG: &str = "[SEG]";

/// The chat template of models that `fclm train` makes from scratch: Qwen's, without a system
/// message.
pub const CHAT_TEMPLATE: &str = "{% for message in messages %}<|im_start|>{{ message.role }}\n\
{{ message.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/// One message of a conversation, ready for the template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChatMessage {
    /// `user` or `assistant`.
    pub role: String,
    /// Text with the places of picture and regions.
    pub content: String,
}

impl ChatMessage {
    /// A message of the person.
    pub fn user(content: impl Into<String>) -> Self {
        Self {
            role: "user".to_owned(),
            content: content.into(),
        }
    }

    /// A message of the model.
    pub fn assistant(content: impl Into<String>) -> Self {
        Self {
            role: "assistant".to_owned(),
            content: content.into(),
        }
    }
}

/// The request to find what `text` describes.
pub fn find(text: &str) -> String {
    format!("Find: {}", text.trim().trim_end_matches('.'))
}

/// A phrase with its mask, as grounded answers write it.
pub fn grounded(phrase: &str) -> String {
    format!("<p>{phrase}</p>{SEG}")
}

/// Puts the regions' places into a question.
///
/// `mentioned` are the 1-based numbers of the regions that the question is about, in order;
/// `known` those that the conversation has introduced already. New ones get their place where the
/// text first says `@k`, or in front of it where it does not. Returns the text and the numbers of
/// the regions whose places it holds, in order.
pub fn with_regions(text: &str, mentioned: &[usize], known: &[usize]) -> (String, Vec<usize>) {
    let mut introduced = Vec::new();
    let mut body = String::with_capacity(text.len() + REGION_PLACE.len());
    for piece in mention::pieces(text) {
        let number = match piece {
            mention::Piece::Text(text) => {
                body.push_str(&text);
                continue;
            }
            mention::Piece::Mention(number) => number,
        };
        body.push_str(&format!("@{number}"));
        let is_new = !known.contains(&number) && !introduced.contains(&number);
        if is_new && mentioned.contains(&number) {
            body.push(' ');
            body.push_str(REGION_PLACE);
            introduced.push(number);
        }
    }

    let named = mention::mentions(text);
    let mut front = String::new();
    let mut numbers = Vec::new();
    for number in mentioned.iter().filter(|number| !named.contains(number)) {
        if known.contains(number) {
            front.push_str(&format!("@{number} "));
        } else {
            front.push_str(&format!("@{number} {REGION_PLACE} "));
            numbers.push(*number);
        }
    }
    numbers.extend(introduced);
    (front + &body, numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_introduced_once_where_it_is_first_named() {
        let (text, numbers) = with_regions("Is @2 left of @1, or is @2 right?", &[1, 2], &[]);
        assert_eq!(
            text,
            "Is @2 <mask><pos> left of @1 <mask><pos>, or is @2 right?"
        );
        assert_eq!(numbers, [2, 1]);
    }

    #[test]
    fn an_address_names_no_region() {
        let (text, numbers) = with_regions("Write to me@1.org about @1", &[1], &[]);
        assert_eq!(text, "Write to me@1.org about @1 <mask><pos>");
        assert_eq!(numbers, [1]);
    }

    #[test]
    fn an_unnamed_region_goes_in_front() {
        let (text, numbers) = with_regions("What is this?", &[3], &[]);
        assert_eq!(text, "@3 <mask><pos> What is this?");
        assert_eq!(numbers, [3]);
        let (text, numbers) = with_regions("What colour?", &[3], &[3]);
        assert_eq!(text, "@3 What colour?");
        assert!(numbers.is_empty());
    }
}
