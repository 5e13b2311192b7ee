use std::ops::Range;

use super::layout::Packed;

/// What the layers cost for one more place, in units of one attention score (measured: a place
/// costs about as much as 430 scores of all heads).
const PLACE_COST: usize = 430;
/// Widths are multiples of it: kernels for GPUs are compiled anew for sizes that divide otherwise.
const WIDTH_STEP: usize = 8;

/// How the conversations of a batch's scenes lie in rows of one width behind the pictures.
///
/// A place sees the picture's beginning and its own row only, so that the scores of a long
/// sequence are not computed just to be hidden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RowPlan {
    /// Places of the beginning, which every scene of a batch has alike.
    pub(super) prefix: usize,
    /// Rows of each scene.
    pub(super) rows: usize,
    /// Places of each row.
    pub(super) width: usize,
    /// For each scene the place of each of its slots.
    pub(super) places: Vec<Vec<usize>>,
}

impl RowPlan {
    /// Finds the width that costs least, and puts every conversation into a row.
    pub(super) fn new(scenes: &[&Packed]) -> Self {
        let prefix = scenes.first().map_or(0, |scene| scene.prefix());
        let conversations: Vec<Vec<Range<usize>>> =
            scenes.iter().map(|scene| scene.conversations()).collect();
        let longest = conversations
            .iter()
            .flatten()
            .map(ExactSizeIterator::len)
            .max()
            .unwrap_or(0)
            .max(1);
        let plan = |width: usize| {
            let rows: Vec<Vec<Vec<Range<usize>>>> = conversations
                .iter()
                .map(|conversations| fill(conversations, width))
                .collect();
            let count = rows.iter().map(Vec::len).max().unwrap_or(0).max(1);
            (count, rows)
        };
        let cost = |width: usize| plan(width).0 * width * (PLACE_COST + prefix + width);
        let least = longest.next_multiple_of(WIDTH_STEP);
        let width = (least..=2 * least)
            .step_by(WIDTH_STEP)
            .min_by_key(|&width| cost(width))
            .unwrap_or(least);
        let (rows, filled) = plan(width);
        let places = scenes
            .iter()
            .zip(filled)
            .map(|(scene, rows)| {
                let mut places: Vec<usize> = (0..scene.slots.len()).collect();
                for (row, conversations) in rows.into_iter().enumerate() {
                    let slots = conversations.into_iter().flatten();
                    for (column, slot) in slots.enumerate() {
                        places[slot] = prefix + row * width + column;
                    }
                }
                places
            })
            .collect();
        Self {
            prefix,
            rows,
            width,
            places,
        }
    }

    /// Places of one scene, padding included.
    pub(super) fn length(&self) -> usize {
        self.prefix + self.rows * self.width
    }
}

/// Longest first, each into the first row that has room.
fn fill(conversations: &[Range<usize>], width: usize) -> Vec<Vec<Range<usize>>> {
    let mut order: Vec<&Range<usize>> = conversations.iter().collect();
    order.sort_by_key(|conversation| (std::cmp::Reverse(conversation.len()), conversation.start));
    let mut rows: Vec<(usize, Vec<Range<usize>>)> = Vec::new();
    for conversation in order {
        let room = rows
            .iter_mut()
            .find(|(used, _)| used + conversation.len() <= width);
        match room {
            Some((used, row)) => {
                *used += conversation.len();
                row.push(conversation.clone());
            }
            None => rows.push((conversation.len(), vec![conversation.clone()])),
        }
    }
    rows.into_iter().map(|(_, row)| row).collect()
}

#[cfg(test)]
mod tests {
    use super::super::layout::Slot;
    use super::*;

    fn packed(lengths: &[usize]) -> Packed {
        let mut segments = vec![0; 3];
        for (number, &length) in lengths.iter().enumerate() {
            segments.extend(std::iter::repeat_n(number as u16 + 1, length));
        }
        Packed {
            slots: vec![Slot::Token(0); segments.len()],
            positions: vec![[0; 3]; segments.len()],
            segments,
            targets: Vec::new(),
            grounds: Vec::new(),
            leads: Vec::new(),
        }
    }

    #[test]
    fn conversations_stay_whole_and_never_overlap() {
        let scenes = [packed(&[5, 9, 2, 4]), packed(&[10, 1])];
        let plan = RowPlan::new(&scenes.iter().collect::<Vec<_>>());
        assert_eq!(plan.prefix, 3);
        for (scene, places) in scenes.iter().zip(&plan.places) {
            assert_eq!(places[..3], [0, 1, 2]);
            let mut seen = places.clone();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), scene.slots.len());
            assert!(seen.iter().all(|&place| place < plan.length()));
            for conversation in scene.conversations() {
                let row = |slot: usize| (places[slot] - plan.prefix) / plan.width;
                let first = conversation.start;
                for slot in conversation {
                    assert_eq!(row(slot), row(first));
                    assert_eq!(places[slot] - places[first], slot - first);
                }
            }
        }
    }

    #[test]
    fn rows_are_shared_where_that_saves_places() {
        let plan = RowPlan::new(&[&packed(&[10, 6, 4, 5, 5])]);
        assert_eq!((plan.rows, plan.width), (2, 16));
    }
}
