//! ROUGE-L of a caption, as pycocoevalcap's `Rouge` has it: an F-measure of the longest common
//! subsequence, of which precision and recall are each the best over all references.

use super::Captioned;

/// Weight of recall against precision.
const BETA: f64 = 1.2;

/// ROUGE-L of one caption, 0 to 1; 0 without references. The figure of a set is the mean.
pub fn rouge_l(captioned: &Captioned) -> f64 {
    let candidate: Vec<&str> = captioned.candidate.split(' ').collect();
    let (mut precision, mut recall) = (0.0f64, 0.0f64);
    for reference in &captioned.references {
        let reference: Vec<&str> = reference.split(' ').collect();
        let common = longest_common_subsequence(&candidate, &reference) as f64;
        precision = precision.max(common / candidate.len() as f64);
        recall = recall.max(common / reference.len() as f64);
    }
    if precision == 0.0 || recall == 0.0 {
        return 0.0;
    }
    let beta = BETA * BETA;
    (1.0 + beta) * precision * recall / (recall + beta * precision)
}

fn longest_common_subsequence(left: &[&str], right: &[&str]) -> usize {
    let mut lengths = vec![0; right.len() + 1];
    for word in left {
        let mut diagonal = 0;
        for (place, other) in right.iter().enumerate() {
            let above = lengths[place + 1];
            lengths[place + 1] = if word == other {
                diagonal + 1
            } else {
                above.max(lengths[place])
            };
            diagonal = above;
        }
    }
    lengths[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::text::fixtures::CaptionFixture;

    fn rouge(candidate: &str, references: &[&str]) -> f64 {
        rouge_l(&Captioned {
            candidate: candidate.to_owned(),
            references: references.iter().map(|&text| text.to_owned()).collect(),
        })
    }

    #[test]
    fn fixture_score_is_that_of_pycocoevalcap() {
        let fixture = CaptionFixture::read();
        let captions = fixture.captions();
        let mean = captions.iter().map(rouge_l).sum::<f64>() / captions.len() as f64;
        assert!((mean - fixture.rouge).abs() < 1e-6, "{mean}");
    }

    #[test]
    fn the_best_precision_and_the_best_recall_may_be_of_two_references() {
        // Precision 2/3 from the first, recall 2/2 from the second: "a c" is common to both.
        let score = rouge("a b c", &["a c x x x", "a c"]);
        let expected = 2.44 * (2.0 / 3.0) / (1.0 + 1.44 * 2.0 / 3.0);
        assert!((score - expected).abs() < 1e-12, "{score}");
    }

    #[test]
    fn subsequences_keep_the_order() {
        assert_eq!(
            longest_common_subsequence(&["a", "b", "c", "d"], &["d", "a", "c"]),
            2
        );
        // One of two words is common in both directions.
        assert!((rouge("b a", &["a b"]) - 0.5).abs() < 1e-12);
        assert_eq!(rouge("a", &["b"]), 0.0);
        assert_eq!(rouge("a", &[]), 0.0);
        assert_eq!(rouge("", &["b"]), 0.0);
    }
}
