//! The masks of an answer with their scores and phrases.

use fclm_core::{
    fclm::{ImageFeatures, ScoredLogits, ScoredMask},
    mask::Mask,
    wire::FoundRegion,
};

use super::backend::BackendError;

/// Each decoded mask in order; none where no pixel is set.
pub(crate) fn scored_masks(
    decoded: ScoredLogits,
    features: &ImageFeatures,
) -> Result<Vec<Option<ScoredMask>>, BackendError> {
    let masks = drawn_masks(decoded, features, &mut |_| {})?;
    let unless_empty = |scored: ScoredMask| (!scored.mask.is_empty()).then_some(scored);
    Ok(masks.into_iter().map(unless_empty).collect())
}

/// Each decoded mask in order, also where no pixel is set, with a box that is all zero there. `hear`
/// gets the logits of each, row by row at the picture's size.
pub(super) fn drawn_masks(
    decoded: ScoredLogits,
    features: &ImageFeatures,
    hear: &mut dyn FnMut(&[f32]),
) -> Result<Vec<ScoredMask>, BackendError> {
    let read = |tensor: Result<Vec<f32>, burn::tensor::TensorReadError>| {
        tensor.map_err(|error| BackendError::Failed(error.to_string().into()))
    };
    let logits = read(decoded.logits.try_into_vec_as::<f32>())?;
    let scores = read(decoded.scores.try_into_vec_as::<f32>())?;
    let pixels = features.width as usize * features.height as usize;
    let masks = logits
        .chunks_exact(pixels)
        .zip(scores)
        .map(|(logits, score)| {
            hear(logits);
            let mask = Mask::from_logits(logits, features.width, features.height);
            ScoredMask::or_empty(mask, score)
        });
    Ok(masks.collect())
}

/// Names the masks that have no phrase, those of a bare `[SEG]`, by what was searched for, and
/// returns what has to be written behind the answer's `text` so that it holds that phrase.
pub(super) fn named_by(wanted: &str, text: &str, found: &mut [FoundRegion]) -> Option<String> {
    let has_phrase = |region: &FoundRegion| !region.phrase.is_empty();
    if wanted.is_empty() || found.iter().all(has_phrase) {
        return None;
    }
    let gap = match text.chars().next_back() {
        Some(last) if !last.is_whitespace() => " ",
        _ => "",
    };
    let start = (text.chars().count() + gap.len()) as u32;
    let end = start + wanted.chars().count() as u32;
    for region in found.iter_mut().filter(|region| !has_phrase(region)) {
        wanted.clone_into(&mut region.phrase);
        (region.start, region.end) = (start, end);
    }
    Some(format!("{gap}{wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(phrase: &str, start: u32, end: u32) -> FoundRegion {
        FoundRegion {
            phrase: phrase.to_owned(),
            start,
            end,
            score: 0.5,
            box_px: [0.0, 0.0, 1.0, 1.0],
            mask: Mask::rect(2, 2, [0.0, 0.0, 1.0, 1.0]).to_wire(),
        }
    }

    /// The answer with the regions' spans cut out of it.
    fn named(wanted: &str, text: &str, mut found: Vec<FoundRegion>) -> (String, Vec<String>) {
        let delta = named_by(wanted, text, &mut found).unwrap_or_default();
        let whole = format!("{text}{delta}");
        let characters: Vec<char> = whole.chars().collect();
        let spanned = |region: &FoundRegion| -> String {
            let span = region.start as usize..region.end as usize;
            let cut: String = characters[span].iter().collect();
            assert_eq!(cut, region.phrase);
            cut
        };
        let phrases = found.iter().map(spanned).collect();
        (whole, phrases)
    }

    #[test]
    fn the_phrase_of_a_bare_mask_is_in_the_answer() {
        for wanted in ["the blue cone", "der größte Würfel", "the [SEG] cone"] {
            let (whole, phrases) = named(wanted, "", vec![region("", 0, 0), region("", 0, 0)]);
            assert_eq!(whole, wanted);
            assert_eq!(phrases, [wanted, wanted]);
        }
    }

    #[test]
    fn what_the_model_has_written_stays_in_front() {
        let (whole, phrases) = named("cones", "Schön:", vec![region("", 6, 6)]);
        assert_eq!(whole, "Schön: cones");
        assert_eq!(phrases, ["cones"]);
        let (whole, phrases) = named("cones", "é, ", vec![region("é", 0, 1), region("", 3, 3)]);
        assert_eq!(whole, "é, cones");
        assert_eq!(phrases, ["é", "cones"]);
    }

    #[test]
    fn nothing_is_written_for_phrases_that_are_there() {
        let (whole, phrases) = named("cones", "a cone", vec![region("a cone", 0, 6)]);
        assert_eq!(whole, "a cone");
        assert_eq!(phrases, ["a cone"]);
        assert_eq!(named_by("cones", "Not in this picture.", &mut []), None);
        assert_eq!(named_by("", "", &mut [region("", 0, 0)]), None);
    }
}
