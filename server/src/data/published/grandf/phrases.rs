//! Phrases laid over a caption.

use super::super::{super::record::PhraseRecord, Problems};

/// A phrase as a data set has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    /// First code point, and one past the last; it may be anything at all.
    pub(super) range: [i64; 2],
    /// The region that the phrase means.
    pub(super) region: usize,
}

/// The phrases in the order of the caption, without overlaps.
///
/// Phrases at one place become one that means all of their regions. Where one reaches into the
/// next, it ends before that one, and where nothing of it is left, it is left out.
pub(super) fn phrases_in(
    caption: &str,
    mut spans: Vec<Span>,
    problems: &mut Problems,
) -> Vec<PhraseRecord> {
    let letters: Vec<char> = caption.chars().collect();
    spans.sort_unstable();
    let mut phrases: Vec<PhraseRecord> = Vec::new();
    for span in spans {
        let [start, end] = span.range;
        let (Ok(start), Ok(end)) = (usize::try_from(start), usize::try_from(end)) else {
            problems.leave_out("phrases outside of their captions");
            continue;
        };
        let end = end.min(letters.len());
        if start >= end {
            problems.leave_out("phrases outside of their captions");
            continue;
        }
        if let Some(last) = phrases.last_mut() {
            if (last.start, last.end) == (start, end) {
                last.targets.push(span.region);
                continue;
            }
            last.end = last.end.min(start);
            while last.end > last.start && letters[last.end - 1].is_whitespace() {
                last.end -= 1;
            }
            if last.start >= last.end {
                problems.leave_out("phrases that another one covers");
                phrases.pop();
            }
        }
        phrases.push(PhraseRecord {
            start,
            end,
            targets: vec![span.region],
        });
    }
    phrases
}

/// Where a text is in a caption, as code points: at or after a place if it is there, otherwise
/// anywhere.
pub(super) fn find(caption: &str, text: &str, from: usize) -> Option<[i64; 2]> {
    let from = caption
        .char_indices()
        .nth(from)
        .map_or(caption.len(), |(byte, _)| byte);
    let byte = caption[from..]
        .find(text)
        .map(|byte| from + byte)
        .or_else(|| caption.find(text))?;
    let start = caption[..byte].chars().count();
    let end = start + text.chars().count();
    Some([i64::try_from(start).ok()?, i64::try_from(end).ok()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn laid(caption: &str, ranges: &[[i64; 2]], problems: &mut Problems) -> Vec<PhraseRecord> {
        let span = |(region, &range): (usize, &[i64; 2])| Span { range, region };
        phrases_in(
            caption,
            ranges.iter().enumerate().map(span).collect(),
            problems,
        )
    }

    fn phrase(start: usize, end: usize, targets: &[usize]) -> PhraseRecord {
        PhraseRecord {
            start,
            end,
            targets: targets.to_vec(),
        }
    }

    #[test]
    fn phrases_come_in_order_and_end_before_the_next() {
        let mut problems = Problems::new(0);
        // "a man in a hat" over "a hat", then "a dog" twice.
        let ranges = [[19, 24], [0, 14], [9, 14], [19, 24]];
        let phrases = laid("a man in a hat and a dog", &ranges, &mut problems);
        let expected = [
            phrase(0, 8, &[1]),
            phrase(9, 14, &[2]),
            phrase(19, 24, &[0, 3]),
        ];
        assert_eq!(phrases, expected);
        assert!(problems.left_out().is_empty());
    }

    #[test]
    fn the_longest_of_those_that_start_together_is_kept() {
        let mut problems = Problems::new(0);
        let phrases = laid("a red cup", &[[0, 9], [0, 5]], &mut problems);
        assert_eq!(phrases, [phrase(0, 9, &[0])]);
        assert_eq!(problems.left_out()["phrases that another one covers"], 1);
    }

    #[test]
    fn what_reaches_out_of_the_caption_is_cut_or_left_out() {
        let mut problems = Problems::new(0);
        let ranges = [[3, 99], [9, 12], [-1, -1], [2, 2]];
        let phrases = laid("a cup", &ranges, &mut problems);
        assert_eq!(phrases, [phrase(3, 5, &[0])]);
        assert_eq!(problems.left_out()["phrases outside of their captions"], 3);
    }

    #[test]
    fn texts_are_found_in_code_points() {
        let caption = "caf\u{e9} with a cup, a cup";
        assert_eq!(find(caption, "a cup", 0), Some([10, 15]));
        assert_eq!(find(caption, "a cup", 15), Some([17, 22]));
        assert_eq!(find(caption, "caf\u{e9}", 15), Some([0, 4]));
        assert_eq!(find(caption, "a cup", 99), Some([10, 15]));
        assert_eq!(find(caption, "a dog", 0), None);
    }
}
