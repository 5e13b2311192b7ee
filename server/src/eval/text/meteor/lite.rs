//! Alignment by equal words and equal stems, for where there is no jar.

use std::cmp::Reverse;

use super::{EXACT, MeteorCounts, STEM, Side};
use crate::eval::text::{Captioned, stem::stem};

/// Alignments that are followed up at once, as in the jar.
const BEAM: usize = 40;

/// Words that carry grammar rather than content. The jar has a list of its own, made from how
/// frequent words are.
const FUNCTION_WORDS: [&str; 88] = [
    "a", "about", "after", "all", "also", "an", "and", "any", "are", "as", "at", "be", "because",
    "been", "before", "being", "between", "both", "but", "by", "can", "could", "did", "do", "does",
    "down", "during", "each", "for", "from", "had", "has", "have", "he", "her", "him", "his", "if",
    "in", "into", "is", "it", "its", "may", "more", "most", "no", "not", "of", "off", "on", "one",
    "or", "other", "our", "out", "over", "she", "so", "some", "such", "than", "that", "the",
    "their", "them", "then", "there", "these", "they", "this", "those", "through", "to", "under",
    "up", "was", "we", "were", "what", "when", "which", "while", "who", "will", "with", "would",
    "you",
];

/// Aligns a caption with each reference by equal words and equal stems; the best one counts.
pub fn meteor_lite(captioned: &Captioned) -> MeteorCounts {
    let caption = words_of(&captioned.candidate);
    let mut best: Option<MeteorCounts> = None;
    for reference in &captioned.references {
        let counts = align(&caption, &words_of(reference));
        if best.is_none_or(|best| counts.score() > best.score()) {
            best = Some(counts);
        }
    }
    best.unwrap_or_default()
}

#[derive(Debug)]
struct Word {
    text: String,
    stem: String,
    is_function: bool,
}

fn words_of(text: &str) -> Vec<Word> {
    text.split_whitespace()
        .map(|word| {
            let text = word.to_lowercase();
            Word {
                stem: stem(&text),
                is_function: FUNCTION_WORDS.binary_search(&text.as_str()).is_ok(),
                text,
            }
        })
        .collect()
}

/// What may match a word of the reference: a place in the caption, and by which module.
#[derive(Debug, Clone, Copy)]
struct Match {
    place: usize,
    module: usize,
}

/// An alignment of the first words of a reference.
#[derive(Debug, Clone)]
struct Partial {
    matches: Vec<Option<Match>>,
    is_used: Vec<bool>,
    /// Twice the equal words and the equal stems.
    matched: usize,
    chunks: usize,
    distance: usize,
    /// Behind the caption's word that the last word of the reference is matched with.
    open: Option<usize>,
}

impl Partial {
    fn with(&self, found: Match) -> Self {
        let mut next = self.clone();
        let place = self.matches.len();
        next.matches.push(Some(found));
        next.is_used[found.place] = true;
        next.matched += if found.module == EXACT { 2 } else { 1 };
        next.chunks += usize::from(self.open.is_some_and(|open| open != found.place));
        next.distance += place.abs_diff(found.place);
        next.open = Some(found.place + 1);
        next
    }

    fn without(mut self) -> Self {
        self.matches.push(None);
        self.chunks += usize::from(self.open.is_some());
        self.open = None;
        self
    }

    /// Most matches first, then the fewest chunks, then the least distance.
    fn rank(&self) -> (Reverse<usize>, usize, usize) {
        (Reverse(self.matched), self.chunks, self.distance)
    }
}

/// Looks for the alignment with the most matches in the fewest chunks.
fn align(caption: &[Word], reference: &[Word]) -> MeteorCounts {
    let possible: Vec<Vec<Match>> = reference
        .iter()
        .map(|word| {
            let matching = |(place, other): (usize, &Word)| {
                let module = if other.text == word.text {
                    EXACT
                } else if other.stem == word.stem {
                    STEM
                } else {
                    return None;
                };
                Some(Match { place, module })
            };
            caption.iter().enumerate().filter_map(matching).collect()
        })
        .collect();
    let mut claims = vec![0usize; caption.len()];
    for found in possible.iter().flatten() {
        claims[found.place] += 1;
    }

    let mut beam = vec![Partial {
        matches: Vec::with_capacity(reference.len()),
        is_used: vec![false; caption.len()],
        matched: 0,
        chunks: 0,
        distance: 0,
        open: None,
    }];
    for found in &possible {
        let mut next = Vec::new();
        for partial in beam {
            for &one in found {
                if !partial.is_used[one.place] {
                    next.push(partial.with(one));
                }
            }
            // Two words that nothing else claims belong together.
            let is_settled = matches!(found.as_slice(), [only] if claims[only.place] == 1);
            if !is_settled {
                next.push(partial.without());
            }
        }
        next.sort_by_key(Partial::rank);
        next.truncate(BEAM);
        beam = next;
    }
    let best = beam
        .into_iter()
        .map(Partial::without)
        .min_by_key(Partial::rank);
    best.map(|best| count(caption, reference, &best))
        .unwrap_or_default()
}

fn count(caption: &[Word], reference: &[Word], alignment: &Partial) -> MeteorCounts {
    let side = |words: &[Word]| Side {
        words: words.len() as f64,
        function_words: words.iter().filter(|word| word.is_function).count() as f64,
        ..Side::default()
    };
    let mut counts = MeteorCounts {
        caption: side(caption),
        reference: side(reference),
        chunks: alignment.chunks as f64,
    };
    for (word, found) in reference.iter().zip(&alignment.matches) {
        let Some(found) = found else {
            continue;
        };
        counts.reference.count(word.is_function, found.module);
        let matched = &caption[found.place];
        counts.caption.count(matched.is_function, found.module);
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captioned(candidate: &str, references: &[&str]) -> Captioned {
        Captioned {
            candidate: candidate.to_owned(),
            references: references.iter().map(|&text| text.to_owned()).collect(),
        }
    }

    fn lite(candidate: &str, references: &[&str]) -> f64 {
        meteor_lite(&captioned(candidate, references)).score()
    }

    fn close(got: f64, expected: f64) {
        assert!((got - expected).abs() < 1e-9, "{got} is not {expected}");
    }

    #[test]
    fn function_words_are_sorted() {
        assert!(FUNCTION_WORDS.is_sorted());
    }

    #[test]
    fn scores_by_hand() {
        // Every word equal and in order.
        close(lite("a red mug", &["a red mug"]), 1.0);
        // Nothing equal.
        close(lite("mug", &["bowl"]), 0.0);
        close(lite("", &["bowl"]), 0.0);
        close(lite("mug", &[]), 0.0);
        // "dogs" matches "dog" by its stem: P = R = 0.6 0.75 / 0.75, and nothing is cut up.
        close(lite("dogs", &["dog"]), 0.6);
        // One of two content words: P = 1, R = 1/2, one chunk of one match.
        let mean = 1.0 / (0.15 / 1.0 + 0.85 / 0.5);
        close(lite("mug", &["red mug"]), mean * (1.0 - 0.6));
        // Both words, the wrong way round: two chunks of two matches.
        close(lite("mug red", &["red mug"]), 1.0 - 0.6);
    }

    #[test]
    fn function_words_weigh_less() {
        // P = 1; R = 0.25 / (0.75 + 0.25) from the article alone.
        let mean = 1.0 / (0.15 + 0.85 / 0.25);
        close(lite("the", &["the mug"]), mean * 0.4);
    }

    #[test]
    fn the_best_reference_counts() {
        let both = lite("red mug", &["bowl", "red mug"]);
        close(both, 1.0);
    }

    #[test]
    fn of_equal_words_those_that_make_fewer_chunks_are_taken() {
        // The second "a" of the caption belongs to "a mug".
        let counts = meteor_lite(&captioned("a bowl a mug", &["a mug"]));
        assert_eq!(counts.chunks, 1.0);
        assert_eq!(counts.caption.matched(), 2.0);
    }
}
