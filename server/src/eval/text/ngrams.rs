//! Runs of one to four words and how often a text has them.

use std::collections::{BTreeMap, HashMap};

/// Longest run that is counted.
pub(super) const ORDERS: usize = 4;

/// Stands behind the last word of a run that is shorter than [`ORDERS`].
const NO_WORD: u32 = u32::MAX;

/// A run of words by their numbers.
pub(super) type Gram = [u32; ORDERS];

/// Numbers of the words of a set of texts.
#[derive(Debug, Default)]
pub(super) struct Vocabulary<'a> {
    numbers: HashMap<&'a str, u32>,
}

/// The runs of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counts {
    /// How many words the text has.
    pub(super) words: usize,
    /// How often each run occurs. The order is fixed, so that sums over it are.
    pub(super) grams: BTreeMap<Gram, u32>,
}

impl<'a> Vocabulary<'a> {
    /// Counts the runs of a text whose words white space parts.
    pub(super) fn count(&mut self, text: &'a str) -> Counts {
        let words: Vec<u32> = text
            .split_whitespace()
            .map(|word| {
                let next = self.numbers.len() as u32;
                *self.numbers.entry(word).or_insert(next)
            })
            .collect();
        let mut grams = BTreeMap::new();
        for order in 1..=ORDERS {
            for run in words.windows(order) {
                let mut gram = [NO_WORD; ORDERS];
                gram[..order].copy_from_slice(run);
                *grams.entry(gram).or_insert(0) += 1;
            }
        }
        Counts {
            words: words.len(),
            grams,
        }
    }
}

/// Number of words of a run, 1 to 4.
pub(super) fn order(gram: &Gram) -> usize {
    gram.iter()
        .position(|&word| word == NO_WORD)
        .unwrap_or(ORDERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_a_text() {
        let mut vocabulary = Vocabulary::default();
        let counts = vocabulary.count("a man and a  man");
        assert_eq!(counts.words, 5);
        let of_order = |wanted: usize| -> Vec<u32> {
            let runs = counts.grams.iter();
            runs.filter(|(gram, _)| order(gram) == wanted)
                .map(|(_, &count)| count)
                .collect()
        };
        assert_eq!(of_order(1).iter().sum::<u32>(), 5);
        assert_eq!(of_order(1).len(), 3);
        let mut pairs = of_order(2);
        pairs.sort_unstable();
        assert_eq!(pairs, [1, 1, 2]);
        assert_eq!(of_order(3).len(), 3);
        assert_eq!(of_order(4).len(), 2);
        assert_eq!(
            vocabulary.count("man").grams.keys().next(),
            Some(&[1, NO_WORD, NO_WORD, NO_WORD])
        );
        assert_eq!(vocabulary.count("").words, 0);
    }
}
