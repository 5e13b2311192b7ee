//! BLEU-1 to BLEU-4 of a set of captions, as pycocoevalcap's `BleuScorer` has them with the option
//! `closest`: clipped n-gram precision over all captions, and a brevity penalty against the
//! reference that is nearest in length.

use super::{
    Captioned,
    ngrams::{ORDERS, Vocabulary, order},
};
use crate::eval::metrics::{Draws, Estimate};

/// Keeps a precision without n-grams finite.
const SMALL: f64 = 1e-9;
/// Keeps a product with a precision of zero from being zero.
const TINY: f64 = 1e-15;

/// What one caption adds to the BLEU of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BleuCounts {
    /// Words of the caption.
    words: u64,
    /// Words of the reference that is nearest in length, the shorter one of two.
    reference_words: u64,
    /// n-grams of the caption, by n.
    guessed: [u64; ORDERS],
    /// n-grams that a reference has too, each as often as the reference that has it most.
    correct: [u64; ORDERS],
}

impl BleuCounts {
    /// Counts one caption's n-grams.
    pub fn of(captioned: &Captioned) -> Self {
        let mut vocabulary = Vocabulary::default();
        let candidate = vocabulary.count(&captioned.candidate);
        let references: Vec<_> = captioned
            .references
            .iter()
            .map(|reference| vocabulary.count(reference))
            .collect();
        let nearest = references
            .iter()
            .map(|reference| reference.words)
            .min_by_key(|&words| (words.abs_diff(candidate.words), words));
        let mut counts = Self {
            words: candidate.words as u64,
            reference_words: nearest.unwrap_or(0) as u64,
            ..Self::default()
        };
        for (n, guessed) in (1..).zip(&mut counts.guessed) {
            *guessed = (candidate.words + 1).saturating_sub(n) as u64;
        }
        for (gram, &count) in &candidate.grams {
            let most = references
                .iter()
                .filter_map(|reference| reference.grams.get(gram))
                .max();
            counts.correct[order(gram) - 1] += u64::from(count.min(most.copied().unwrap_or(0)));
        }
        counts
    }

    fn add(&mut self, other: &Self) {
        self.words += other.words;
        self.reference_words += other.reference_words;
        for (own, more) in self.guessed.iter_mut().zip(other.guessed) {
            *own += more;
        }
        for (own, more) in self.correct.iter_mut().zip(other.correct) {
            *own += more;
        }
    }

    /// BLEU-1 to BLEU-4 of what was counted.
    pub fn scores(&self) -> [f64; ORDERS] {
        let ratio = (self.words as f64 + TINY) / (self.reference_words as f64 + SMALL);
        let penalty = if ratio < 1.0 {
            (1.0 - 1.0 / ratio).exp()
        } else {
            1.0
        };
        let mut product = 1.0;
        let mut scores = [0.0; ORDERS];
        for (n, score) in scores.iter_mut().enumerate() {
            product *= (self.correct[n] as f64 + TINY) / (self.guessed[n] as f64 + SMALL);
            *score = product.powf(1.0 / (n + 1) as f64) * penalty;
        }
        scores
    }
}

/// BLEU-1 to BLEU-4 of a set of captions; none without captions.
pub fn bleu(counts: &[BleuCounts], draws: &Draws) -> [Option<Estimate>; ORDERS] {
    [0, 1, 2, 3].map(|n| {
        draws.estimate(|indices| {
            let mut sum = BleuCounts::default();
            for &index in indices {
                sum.add(&counts[index]);
            }
            Some(sum.scores()[n])
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::text::fixtures::CaptionFixture;

    fn counts(candidate: &str, references: &[&str]) -> BleuCounts {
        BleuCounts::of(&Captioned {
            candidate: candidate.to_owned(),
            references: references.iter().map(|&text| text.to_owned()).collect(),
        })
    }

    #[test]
    fn fixture_scores_are_those_of_pycocoevalcap() {
        let fixture = CaptionFixture::read();
        let counts: Vec<BleuCounts> = fixture.captions().iter().map(BleuCounts::of).collect();
        let scores = bleu(&counts, &Draws::each(counts.len(), 1));
        for (score, expected) in scores.into_iter().zip(fixture.bleu) {
            let score = score.unwrap();
            assert!(
                (score.value - expected).abs() < 1e-6,
                "{score:?} {expected}"
            );
            assert!(score.low < score.value && score.value < score.high);
        }
    }

    #[test]
    fn a_word_counts_as_often_as_a_reference_has_it() {
        let counts = counts("the the the the", &["the cat", "the dog and the bird"]);
        assert_eq!(counts.correct, [2, 0, 0, 0]);
        assert_eq!(counts.guessed, [4, 3, 2, 1]);
        // Five words are nearer to four than two are.
        assert_eq!(counts.reference_words, 5);
        let [bleu_1, bleu_2, ..] = counts.scores();
        assert!((bleu_1 - 0.5 * (1.0f64 - 5.0 / 4.0).exp()).abs() < 1e-6);
        assert!(bleu_2 < 1e-6);
    }

    #[test]
    fn of_two_lengths_equally_near_the_shorter_one_counts() {
        assert_eq!(counts("a b c", &["a b c d", "a b"]).reference_words, 2);
        let [bleu_1, ..] = counts("a b c", &["a b c d", "a b"]).scores();
        assert!((bleu_1 - 1.0).abs() < 1e-6);
    }

    #[test]
    fn nothing_gives_nothing() {
        assert_eq!(bleu(&[], &Draws::each(0, 0)), [None; 4]);
        assert_eq!(counts("", &["a b"]).guessed, [0; 4]);
        assert!(counts("", &["a b"]).scores()[0].is_finite());
        assert!(counts("a", &[]).scores()[0] < 1e-6);
    }
}
