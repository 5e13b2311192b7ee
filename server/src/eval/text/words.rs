//! Answers as the published scripts clean them up, and texts compared as sets of words.

use std::collections::BTreeSet;

/// Where GLaMM's conversation template lets the answer begin.
const ASSISTANT: &str = "ASSISTANT: ";
const SEG: &str = "[SEG]";

/// The category in an answer to Osprey's question about LVIS and PACO: what stands between the
/// first colon and the next, where there is one; full stops, colons and commas are blanks.
///
/// See [`lvis_paco_eval.py`](https://github.com/CircleRadon/Osprey/blob/main/osprey/eval/lvis_paco_eval.py).
pub fn category_of_answer(answer: &str) -> String {
    let answer = answer.trim();
    let named = answer.split(':').nth(1).unwrap_or(answer);
    named.replace(['.', ':', ','], " ")
}

/// A category of LVIS or PACO in words: `obj:part` and `some_thing` become `obj part` and
/// `some thing`.
pub fn category_in_words(category: &str) -> String {
    category.replace(['_', ':'], " ")
}

/// Semantic IoU of two texts: shared words over all words, each as a set and in lower case, 0 to
/// 1; 0 where neither has a word.
pub fn semantic_iou(answer: &str, category: &str) -> f64 {
    let (answer, category) = (answer.to_lowercase(), category.to_lowercase());
    let answer: BTreeSet<&str> = answer.split_whitespace().collect();
    let category: BTreeSet<&str> = category.split_whitespace().collect();
    let shared = answer.intersection(&category).count();
    match answer.union(&category).count() {
        0 => 0.0,
        all => shared as f64 / all as f64,
    }
}

/// A grounded caption in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroundedCaption {
    /// The text without tags and places of masks, single spaces between words.
    pub caption: String,
    /// What stood between `<p>` and `</p>`, in order: the n-th mask belongs to the n-th of them.
    pub phrases: Vec<String>,
}

/// Takes a grounded caption apart as GLaMM's
/// [`infer.py`](https://github.com/mbzuai-oryx/groundingLMM/blob/main/eval/gcg/infer.py) does.
pub fn grounded_caption(answer: &str) -> GroundedCaption {
    let answer = answer.replace('\n', "").replace("  ", " ");
    let answer = answer.rsplit(ASSISTANT).next().unwrap_or_default();
    let caption = without_tags(answer).replace(SEG, "");
    let caption = caption.split_whitespace().collect::<Vec<_>>().join(" ");
    let caption = caption.trim_matches('\'').trim().to_owned();

    let mut phrases = Vec::new();
    let mut rest = answer;
    while let Some((_, behind)) = rest.split_once("<p>") {
        let Some((phrase, behind)) = behind.split_once("</p>") else {
            break;
        };
        phrases.push(phrase.trim().to_owned());
        rest = behind;
    }
    GroundedCaption { caption, phrases }
}

/// Without everything from each `<` to the next `>`.
fn without_tags(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('<') {
        let Some((_, behind)) = behind.split_once('>') else {
            break;
        };
        kept.push_str(before);
        rest = behind;
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_of_answers() {
        assert_eq!(category_of_answer(" A red mug. "), "A red mug ");
        assert_eq!(category_of_answer("Category: mug: red"), " mug");
        assert_eq!(category_of_answer("Answer:"), "");
        assert_eq!(category_of_answer("mug, handle"), "mug  handle");
        assert_eq!(category_in_words("mug:handle"), "mug handle");
        assert_eq!(
            category_in_words("bath_towel_(cloth)"),
            "bath towel (cloth)"
        );
    }

    #[test]
    fn words_are_sets() {
        assert_eq!(semantic_iou("Red mug  mug", "red cup"), 1.0 / 3.0);
        assert_eq!(semantic_iou("MUG", "mug"), 1.0);
        assert_eq!(semantic_iou("", "mug"), 0.0);
        assert_eq!(semantic_iou("", " "), 0.0);
    }

    #[test]
    fn grounded_captions_come_apart() {
        let answer = "USER: what? ASSISTANT: <p> A man </p> [SEG] rides\n <p>a  horse</p>[SEG] .";
        assert_eq!(
            grounded_caption(answer),
            GroundedCaption {
                caption: "A man rides a horse .".to_owned(),
                phrases: vec!["A man".to_owned(), "a horse".to_owned()],
            }
        );
    }

    #[test]
    fn what_is_not_closed_stays() {
        let parts = grounded_caption("'<p>a mug</p> [SEG] and <p>a bowl, 2 < 3'");
        assert_eq!(parts.caption, "a mug and a bowl, 2 < 3");
        assert_eq!(parts.phrases, ["a mug"]);
        assert_eq!(grounded_caption("").caption, "");
    }
}
