//! METEOR 1.5 of captions.
//!
//! Where Java and `meteor-1.5.jar` are at hand, [`MeteorJar`] lets the jar align captions with
//! their references, as pycocoevalcap does (`-l en -norm`). Elsewhere [`meteor_lite`] aligns them
//! by equal words and equal stems only, without synonyms and paraphrases; such a figure is lower
//! and has to be called `meteor-lite`.
//!
//! Both give [`MeteorCounts`], and one formula makes figures of them. Its parameters are those for
//! English and for ranking, which the jar takes by itself: precision and recall, each over matches
//! that weigh 1 (equal), 0.6 (stem), 0.8 (synonym) or 0.6 (paraphrase) and over words that weigh
//! `delta` = 0.75 (content) or 0.25 (function); `F = 1 / ((1 - alpha) / P + alpha / R)` with `alpha`
//! = 0.85; less a share `gamma (chunks / matches)^beta` of it, with `gamma` = 0.6 and `beta` = 0.2.

mod jar;
mod lite;

use crate::eval::metrics::{Draws, Estimate};

pub use jar::{JAVA, JarScores, MeteorError, MeteorJar};
pub use lite::meteor_lite;

const ALPHA: f64 = 0.85;
const BETA: f64 = 0.2;
const GAMMA: f64 = 0.6;
const DELTA: f64 = 0.75;
/// Weights of equal words, equal stems, synonyms and paraphrases.
const WEIGHTS: [f64; MODULES] = [1.0, 0.6, 0.8, 0.6];
const MODULES: usize = 4;
const EXACT: usize = 0;
const STEM: usize = 1;

/// Numbers in a line of the jar's statistics.
const NUMBERS: usize = 4 + 4 * MODULES + 3;

/// What one caption, against its best reference, adds to the METEOR of a set.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct MeteorCounts {
    caption: Side,
    reference: Side,
    /// Runs of matches that follow each other on both sides.
    chunks: f64,
}

/// The words of a caption or of its reference.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Side {
    words: f64,
    function_words: f64,
    /// Matched words that are no function words, by what matched them.
    content: [f64; MODULES],
    /// Matched function words.
    function: [f64; MODULES],
}

impl Side {
    fn matched(&self) -> f64 {
        self.content.iter().chain(&self.function).sum()
    }

    /// Precision of a caption, recall of a reference.
    fn share(&self) -> f64 {
        let weighed = |matches: &[f64; MODULES]| -> f64 {
            matches
                .iter()
                .zip(WEIGHTS)
                .map(|(count, weight)| count * weight)
                .sum()
        };
        let matched = DELTA * weighed(&self.content) + (1.0 - DELTA) * weighed(&self.function);
        let content_words = self.words - self.function_words;
        matched / (DELTA * content_words + (1.0 - DELTA) * self.function_words)
    }

    /// Counts a match.
    fn count(&mut self, is_function: bool, module: usize) {
        let matches = if is_function {
            &mut self.function
        } else {
            &mut self.content
        };
        matches[module] += 1.0;
    }

    fn add(&mut self, other: &Self) {
        self.words += other.words;
        self.function_words += other.function_words;
        for (own, more) in self.content.iter_mut().zip(other.content) {
            *own += more;
        }
        for (own, more) in self.function.iter_mut().zip(other.function) {
            *own += more;
        }
    }
}

impl MeteorCounts {
    /// The score of what was counted, 0 to 1.
    pub fn score(&self) -> f64 {
        let (precision, recall) = (self.caption.share(), self.reference.share());
        let mean = 1.0 / ((1.0 - ALPHA) / precision + ALPHA / recall);
        let fragmentation = if self.is_perfect() {
            0.0
        } else {
            self.chunks / ((self.caption.matched() + self.reference.matched()) / 2.0)
        };
        let score = mean * (1.0 - GAMMA * fragmentation.powf(BETA));
        if score.is_nan() { 0.0 } else { score.max(0.0) }
    }

    /// Whether every word is matched, and in order.
    fn is_perfect(&self) -> bool {
        self.caption.matched() == self.caption.words
            && self.reference.matched() == self.reference.words
            && self.chunks == 1.0
    }

    fn add(&mut self, other: &Self) {
        self.caption.add(&other.caption);
        self.reference.add(&other.reference);
        // A caption that equals its reference is not cut up.
        if !other.is_perfect() {
            self.chunks += other.chunks;
        }
    }

    /// Reads what the jar prints for one caption.
    fn parse(line: &str) -> Option<Self> {
        let numbers: Vec<f64> = line
            .split_whitespace()
            .map(|number| number.parse().ok())
            .collect::<Option<_>>()?;
        let numbers: [f64; NUMBERS] = numbers.try_into().ok()?;
        let mut counts = Self::default();
        (counts.caption.words, counts.reference.words) = (numbers[0], numbers[1]);
        counts.caption.function_words = numbers[2];
        counts.reference.function_words = numbers[3];
        let stages = numbers[4..4 + 4 * MODULES].chunks_exact(4);
        for (module, stage) in stages.enumerate() {
            counts.caption.content[module] = stage[0];
            counts.reference.content[module] = stage[1];
            counts.caption.function[module] = stage[2];
            counts.reference.function[module] = stage[3];
        }
        counts.chunks = numbers[NUMBERS - 3];
        Some(counts)
    }
}

/// METEOR of a set of captions, of what all of them add up to; none without captions.
pub fn meteor(counts: &[MeteorCounts], draws: &Draws) -> Option<Estimate> {
    draws.estimate(|indices| {
        let mut sum = MeteorCounts::default();
        for &index in indices {
            sum.add(&counts[index]);
        }
        Some(sum.score())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::text::Captioned;

    fn lite(candidate: &str, reference: &str) -> MeteorCounts {
        meteor_lite(&Captioned {
            candidate: candidate.to_owned(),
            references: vec![reference.to_owned()],
        })
    }

    #[test]
    fn a_set_is_scored_as_one_text() {
        let perfect = lite("red mug", "red mug");
        let half = lite("mug", "red mug");
        let draws = Draws::each(2, 1);
        let score = meteor(&[perfect, half], &draws).unwrap().value;
        // P = 3/3, R = 3/4; three matches, one chunk: that of the perfect one is left out.
        let mean = 1.0 / (0.15 + 0.85 / 0.75);
        let expected = mean * (1.0 - 0.6 * (1.0f64 / 3.0).powf(0.2));
        assert!((score - expected).abs() < 1e-9, "{score}");
        assert_eq!(meteor(&[], &Draws::each(0, 1)), None);
    }
}
