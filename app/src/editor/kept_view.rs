use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Document, Polygon};

/// What of a chat the browser alone knows and keeps over a reload: which region is chosen, which
/// are hidden or locked, and the corners of those that are polygons.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KeptView {
    /// The chosen region.
    pub selected: Option<String>,
    /// Regions that are not drawn.
    pub hidden: BTreeSet<String>,
    /// Regions that are not changed.
    #[serde(default)]
    pub locked: BTreeSet<String>,
    /// The polygons of regions, by their ids.
    #[serde(default)]
    pub corners: BTreeMap<String, Polygon>,
}

impl KeptView {
    /// The view of a chat that was never seen here: the last region is chosen, none is hidden.
    pub fn first(document: &Document) -> Self {
        Self {
            selected: document.regions.last().map(|region| region.id.clone()),
            ..Self::default()
        }
    }

    /// The same with the corners that another tab has kept of regions that are not known here.
    pub fn beside(mut self, kept: Self, is_known: impl Fn(&str) -> bool) -> Self {
        let of_others = kept.corners.into_iter().filter(|(id, _)| !is_known(id));
        self.corners.extend(of_others);
        self
    }

    /// The chosen region, if a document has it.
    pub fn selected_in(&self, document: &Document) -> Option<String> {
        let is_there = |id: &&String| document.get(id).is_some();
        self.selected.as_ref().filter(is_there).cloned()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::editor::RegionState;

    fn document(ids: &[&str]) -> Document {
        let region = |id: &&str| {
            let px = [0.0, 0.0, 2.0, 2.0];
            let id = (*id).to_owned();
            RegionState::rectangle(id.clone(), id, "#112233".to_owned(), (4, 4), px)
        };
        Document {
            regions: ids.iter().map(region).collect(),
            ..Document::default()
        }
    }

    #[test]
    fn the_last_region_is_chosen_first() {
        let view = KeptView::first(&document(&["a", "b"]));
        assert_eq!(view.selected.as_deref(), Some("b"));
        assert_eq!(KeptView::first(&document(&[])), KeptView::default());
    }

    #[test]
    fn a_region_that_is_gone_is_not_chosen() {
        let view = KeptView {
            selected: Some("a".to_owned()),
            ..KeptView::default()
        };
        let chosen = |ids: &[&str]| view.selected_in(&document(ids));
        assert_eq!(chosen(&["a", "b"]).as_deref(), Some("a"));
        assert_eq!(chosen(&["b"]), None);
    }

    #[test]
    fn corners_of_another_tab_stay_while_its_region_is_not_known_here() {
        let corner = |x: f64| Polygon {
            points: vec![(x, 1.0)],
        };
        let view = |corners: &[(&str, f64)]| {
            let corners = corners.iter().map(|&(id, x)| (id.to_owned(), corner(x)));
            KeptView {
                corners: corners.collect(),
                ..KeptView::default()
            }
        };
        // Of those that are known here one has moved and one is gone.
        let (own, kept) = (
            view(&[("a", 1.0)]),
            view(&[("a", 2.0), ("b", 3.0), ("c", 4.0)]),
        );
        let both = own.beside(kept, |id| id != "c");
        assert_eq!(both, view(&[("a", 1.0), ("c", 4.0)]));
    }

    #[test]
    fn corners_that_were_kept_are_still_those_of_their_mask() {
        // Ties of the rounding to fifths of a pixel, and numbers that no decimal fraction is.
        let polygons = [
            vec![(0.1, 1.0 / 3.0), (90.25, 7.0), (12.000_000_000_000_1, 55.5)],
            vec![(0.3, 0.7), (45.1, 200.0 / 7.0), (33.3, 90.9), (2.5, 61.7)],
        ];
        for points in polygons {
            let polygon = Polygon { points };
            let mut region = document(&["a"]).regions.remove(0);
            region.mask = Arc::new(polygon.mask((100, 100)).expect("corners").to_wire());
            let before = Document {
                regions: vec![region],
                ..Document::default()
            };
            let view = KeptView {
                corners: BTreeMap::from([("a".to_owned(), polygon.clone())]),
                ..KeptView::default()
            };
            let text = serde_json::to_string(&view).unwrap_or_default();
            let again: KeptView = serde_json::from_str(&text).unwrap_or_default();
            let after = before.with_corners(&again.corners).corners();
            let read = after.get("a").map(|polygon| polygon.points.as_slice());
            let same = |(kept, read): (&(f64, f64), &(f64, f64))| {
                (kept.0 - read.0).abs().max((kept.1 - read.1).abs()) < 1e-9
            };
            assert!(
                read.is_some_and(|read| polygon.points.iter().zip(read).all(same)),
                "{text}"
            );
        }
    }

    #[test]
    fn a_view_without_locks_and_corners_is_read() {
        let old = r#"{"selected":"a","hidden":["b"]}"#;
        let view: KeptView = serde_json::from_str(old).unwrap_or_default();
        assert_eq!(view.selected.as_deref(), Some("a"));
        assert!(view.hidden.contains("b") && view.corners.is_empty());
    }
}
