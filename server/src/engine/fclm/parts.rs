//! The prompt of a question, part by part.

use std::sync::Arc;

use fclm_core::{
    fclm::{
        FclmError, ImageFeatures, PromptPart,
        prompt::{self, ChatMessage, Piece},
    },
    region::RegionTokens,
    wire::{ErrorCode, Mode},
};

use super::super::{
    backend::{BackendError, Prompt},
    load::LoadedModel,
};
use super::{FclmBackend, answer::Draft, refused};

impl FclmBackend {
    /// The parts of a prompt that fits the model, and an answer of which nothing is written yet.
    pub(super) fn prepare(
        &self,
        prompt: &Prompt<'_, ImageFeatures, Arc<RegionTokens>>,
    ) -> Result<(Vec<PromptPart>, Draft), BackendError> {
        let parts = self.parts(prompt)?;
        let length: usize = parts
            .iter()
            .map(|part| match part {
                PromptPart::Text(ids) => ids.len(),
                PromptPart::Image {
                    grid: [height, width],
                    ..
                } => height * width,
                PromptPart::Region { .. } => 2,
            })
            .sum();
        let text = &self.loaded.config.qwen.text;
        // One place is left for the answer.
        let capacity = text.max_position_embeddings.saturating_sub(1);
        if length > capacity {
            return Err(refused(FclmError::TooLong {
                needed: length,
                capacity,
            }));
        }
        let wanted = prompt.text.trim().to_owned();
        Ok((parts, Draft::new(prompt.mode, wanted, length)))
    }

    /// The parts of a prompt: template, picture, regions, question.
    fn parts(
        &self,
        prompt: &Prompt<'_, ImageFeatures, Arc<RegionTokens>>,
    ) -> Result<Vec<PromptPart>, BackendError> {
        let LoadedModel {
            tokenizer,
            chat_template,
            ..
        } = &self.loaded;
        let typed = tokenizer.sanitize(prompt.text);
        let is_empty = typed.trim().is_empty();
        let text = match prompt.mode {
            Mode::Ask if is_empty && prompt.regions.is_empty() => return Err(nothing_asked()),
            Mode::Ask if is_empty => prompt::DEFAULT_QUESTION.to_owned(),
            Mode::Ask => typed,
            Mode::Find if is_empty => return Err(nothing_wanted()),
            Mode::Find => prompt::find(&typed),
            Mode::Caption => prompt::CAPTION_QUESTION.to_owned(),
        };
        let mentioned: Vec<usize> = prompt.regions.iter().map(|region| region.number).collect();
        let (text, order) = prompt::with_regions(&text, &mentioned, &[]);
        let message = ChatMessage::user(format!("{}{text}", prompt::IMAGE_PLACE));
        let rendered = prompt::render(chat_template, &[message]).map_err(refused)?;
        let mut order = order.into_iter();
        let mut parts = Vec::new();
        for piece in prompt::pieces(&rendered, tokenizer).map_err(refused)? {
            parts.push(match piece {
                Piece::Text(ids) => PromptPart::Text(ids),
                Piece::Image => PromptPart::Image {
                    key: prompt.image_key,
                    tokens: prompt.features.vision.clone(),
                    grid: prompt.features.grid,
                },
                Piece::Region => {
                    let region = order
                        .next()
                        .and_then(|k| prompt.regions.iter().find(|region| region.number == k))
                        .ok_or_else(|| refused(FclmError::Region))?;
                    PromptPart::Region {
                        key: region.key,
                        mask: region.tokens.mask.clone(),
                        pos: region.tokens.pos.clone(),
                    }
                }
            });
        }
        Ok(parts)
    }
}

/// Of a question without a region, nothing but special tokens was typed.
fn nothing_asked() -> BackendError {
    no_text("Nothing of the question is left to read; mark a region, or ask in other words.")
}

/// Of a description, nothing but special tokens was typed.
fn nothing_wanted() -> BackendError {
    no_text("Nothing of the text is left to read; describe in other words what is to be found.")
}

fn no_text(message: &str) -> BackendError {
    BackendError::Refused {
        code: ErrorCode::BadText,
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::super::{super::backend::Backend, fixtures::backend};
    use super::*;

    #[test]
    fn a_text_of_special_tokens_alone_is_refused() {
        let backend = backend();
        let picture = RgbImage::new(32, 32);
        let features = backend.encode_image(&picture).unwrap();
        for (mode, text) in [
            (Mode::Ask, "[SEG]"),
            (Mode::Ask, "  "),
            (Mode::Find, "<mask> <pos>"),
        ] {
            let prompt = Prompt {
                image_key: 1,
                features: &features,
                mode,
                text,
                regions: Vec::new(),
            };
            let refused = matches!(
                backend.begin(prompt, None),
                Err(BackendError::Refused {
                    code: ErrorCode::BadText,
                    ..
                })
            );
            assert!(refused, "{mode:?} {text:?}");
        }
    }
}
