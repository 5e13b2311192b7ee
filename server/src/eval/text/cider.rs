//! CIDEr of captions, as pycocoevalcap's `CiderScorer` has it, which is CIDEr-D without stemming.
//!
//! An n-gram's weight is its count times `ln(N) - ln(max(1, df))`: `N` captioned pictures, `df` of
//! which have it in a reference. For n from 1 to 4, a caption `h` and a reference `r` agree by
//! `sum(min(h, r) r) / (|h| |r|) exp(-(len_h - len_r)^2 / (2 6^2))`, where the length is the number
//! of pairs of words; the mean over n and over the references, times ten, is the caption's score.

use std::collections::BTreeMap;

use super::{
    Captioned,
    ngrams::{Counts, Gram, ORDERS, Vocabulary, order},
};

/// Standard deviation of the penalty on lengths, in pairs of words.
const SIGMA: f64 = 6.0;
const SCALE: f64 = 10.0;

/// CIDEr of each caption, 0 to 10 and about 1 for what people write. The figure of a set is the
/// mean; papers tell it as a hundred times this.
///
/// How rare an n-gram is comes from the references of all captions, so that a caption's score
/// depends on which others are scored with it. A caption without references has 0.
pub fn cider(captions: &[Captioned]) -> Vec<f64> {
    let mut vocabulary = Vocabulary::default();
    let counted: Vec<(Counts, Vec<Counts>)> = captions
        .iter()
        .map(|captioned| {
            let references = captioned.references.iter();
            (
                vocabulary.count(&captioned.candidate),
                references.map(|text| vocabulary.count(text)).collect(),
            )
        })
        .collect();
    let mut pictures: BTreeMap<Gram, u32> = BTreeMap::new();
    for (_, references) in &counted {
        let mut seen: Vec<&Gram> = references
            .iter()
            .flat_map(|reference| reference.grams.keys())
            .collect();
        seen.sort_unstable();
        seen.dedup();
        for gram in seen {
            *pictures.entry(*gram).or_insert(0) += 1;
        }
    }
    let rarity = Rarity {
        log_pictures: (captions.len() as f64).ln(),
        pictures,
    };
    counted
        .iter()
        .map(|(candidate, references)| {
            if references.is_empty() {
                return 0.0;
            }
            let candidate = rarity.weigh(candidate);
            let sum: f64 = references
                .iter()
                .map(|reference| candidate.similarity(&rarity.weigh(reference)))
                .sum();
            SCALE * sum / references.len() as f64
        })
        .collect()
}

/// In how many pictures' references each n-gram is.
struct Rarity {
    log_pictures: f64,
    pictures: BTreeMap<Gram, u32>,
}

/// A text's weighted n-grams.
struct Weighted {
    grams: [BTreeMap<Gram, f64>; ORDERS],
    norms: [f64; ORDERS],
    pairs: f64,
}

impl Rarity {
    fn weigh(&self, counts: &Counts) -> Weighted {
        let mut weighted = Weighted {
            grams: std::array::from_fn(|_| BTreeMap::new()),
            norms: [0.0; ORDERS],
            pairs: 0.0,
        };
        for (gram, &count) in &counts.grams {
            let n = order(gram) - 1;
            let pictures = self.pictures.get(gram).copied().unwrap_or(0).max(1);
            let weight = f64::from(count) * (self.log_pictures - f64::from(pictures).ln());
            weighted.norms[n] += weight * weight;
            weighted.grams[n].insert(*gram, weight);
            if n == 1 {
                weighted.pairs += f64::from(count);
            }
        }
        weighted.norms = weighted.norms.map(f64::sqrt);
        weighted
    }
}

impl Weighted {
    /// Mean over the lengths of n-grams, 0 to 1.
    fn similarity(&self, reference: &Self) -> f64 {
        let distance = self.pairs - reference.pairs;
        let penalty = (-(distance * distance) / (2.0 * SIGMA * SIGMA)).exp();
        let sum: f64 = (0..ORDERS)
            .map(|n| {
                let shared: f64 = self.grams[n]
                    .iter()
                    .filter_map(|(gram, &weight)| {
                        let other = *reference.grams[n].get(gram)?;
                        Some(weight.min(other) * other)
                    })
                    .sum();
                let scale = self.norms[n] * reference.norms[n];
                let cosine = if scale > 0.0 { shared / scale } else { shared };
                cosine * penalty
            })
            .sum();
        sum / ORDERS as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::text::fixtures::CaptionFixture;

    fn captioned(candidate: &str, references: &[&str]) -> Captioned {
        Captioned {
            candidate: candidate.to_owned(),
            references: references.iter().map(|&text| text.to_owned()).collect(),
        }
    }

    #[test]
    fn fixture_scores_are_those_of_pycocoevalcap() {
        let fixture = CaptionFixture::read();
        let scores = cider(&fixture.captions());
        for (item, score) in fixture.items.iter().zip(&scores) {
            let expected = fixture.cider_per_image[&item.image_id.to_string()];
            assert!(
                (score - expected).abs() < 1e-6,
                "{}: {score}",
                item.image_id
            );
        }
        let mean = scores.iter().sum::<f64>() / scores.len() as f64;
        assert!((mean - fixture.cider).abs() < 1e-6, "{mean}");
    }

    #[test]
    fn scores_by_hand() {
        // Two pictures. Whatever one picture's reference has alone weighs ln 2; what both have
        // weighs nothing. A caption equal to its reference agrees wholly at every length of
        // n-grams that it has: "red mug" has words and pairs, so half of the four.
        let scores = cider(&[
            captioned("red mug", &["red mug"]),
            captioned("blue bowl", &["a green pot"]),
        ]);
        assert!((scores[0] - 5.0).abs() < 1e-12, "{scores:?}");
        assert_eq!(scores[1], 0.0);
    }

    #[test]
    fn a_difference_in_length_costs() {
        // "red mug" against "red mug here": weights are ln 2 each. Words: 2 / sqrt(2 3); pairs:
        // 1 / sqrt(1 2); longer ones: none. One pair more costs exp(-1/72).
        let scores = cider(&[
            captioned("red mug", &["red mug here"]),
            captioned("x", &["a green pot"]),
        ]);
        let expected =
            10.0 / 4.0 * (2.0 / 6.0f64.sqrt() + 1.0 / 2.0f64.sqrt()) * (-1.0f64 / 72.0).exp();
        assert!((scores[0] - expected).abs() < 1e-12, "{scores:?}");
    }

    #[test]
    fn what_every_picture_has_weighs_nothing() {
        let scores = cider(&[captioned("a mug", &["a mug"])]);
        assert_eq!(scores, [0.0]);
        assert_eq!(
            cider(&[captioned("a", &[]), captioned("b", &["b"])])[0],
            0.0
        );
        assert!(cider(&[]).is_empty());
    }
}
