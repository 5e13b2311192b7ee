//! Prompts on their way to the model: through the chat template, and cut into pieces of ids.

use minijinja::{Environment, Value, context};

use super::error::FclmError;
use super::prompt::ChatMessage;
use super::tokenizer::FclmTokenizer;

/// Renders a conversation by the model's chat template, up to where the model goes on.
///
/// # Errors
/// Where the template is not valid.
pub fn render(template: &str, messages: &[ChatMessage]) -> Result<String, FclmError> {
    let messages: Vec<Value> = messages
        .iter()
        .map(|message| context! { role => message.role.as_str(), content => message.content.as_str() })
        .collect();
    Environment::new()
        .render_str(
            template,
            context! {
                messages => Value::from(messages),
                add_generation_prompt => true,
            },
        )
        .map_err(|error| FclmError::Template(error.to_string()))
}

/// A piece of a tokenised prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Ids of text.
    Text(Vec<u32>),
    /// The place of the picture's tokens.
    Image,
    /// The place of a region's two tokens.
    Region,
}

/// Cuts a rendered prompt's ids at the places of picture and regions.
///
/// # Errors
/// Where the tokenizer cannot take the text.
pub fn pieces(text: &str, tokenizer: &FclmTokenizer) -> Result<Vec<Piece>, FclmError> {
    let special = tokenizer.special();
    let mut pieces = Vec::new();
    let mut run = Vec::new();
    for id in tokenizer.encode(text)? {
        let place = if id == special.image {
            Some(Piece::Image)
        } else if id == special.mask {
            Some(Piece::Region)
        } else {
            None
        };
        match place {
            Some(place) => {
                if !run.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut run)));
                }
                pieces.push(place);
            }
            // `<pos>` always follows `<mask>` and belongs to the same place.
            None if id == special.pos => {}
            None => run.push(id),
        }
    }
    if !run.is_empty() {
        pieces.push(Piece::Text(run));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::super::prompt::CHAT_TEMPLATE;
    use super::*;

    #[test]
    fn the_template_opens_the_answer() {
        let text = render(CHAT_TEMPLATE, &[ChatMessage::user("hi")]).expect("valid template");
        assert_eq!(
            text,
            "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
        );
    }
}
