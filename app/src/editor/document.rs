use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fclm_core::mask::Rle;
use fclm_core::wire::{MAX_REGIONS, Region};

use super::{Instrument, MAX_PIXELS, PALETTE, Polygon, RegionState};

/// The regions of a chat, in the order of their `@k`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document {
    /// The regions.
    pub regions: Vec<RegionState>,
    /// Regions that are not drawn, by their ids.
    pub hidden: BTreeSet<String>,
    /// Regions that are not changed, by their ids.
    pub locked: BTreeSet<String>,
}

impl Document {
    /// The region with an id.
    pub fn get(&self, id: &str) -> Option<&RegionState> {
        self.regions.iter().find(|region| region.id == id)
    }

    /// The region with an id, to change it.
    pub fn get_mut(&mut self, id: &str) -> Option<&mut RegionState> {
        self.regions.iter_mut().find(|region| region.id == id)
    }

    /// The `k` of a region's `@k`.
    pub fn number(&self, id: &str) -> Option<usize> {
        self.regions
            .iter()
            .position(|region| region.id == id)
            .map(|index| index + 1)
    }

    /// The ids in the order of their `@k`.
    pub fn ids(&self) -> Vec<String> {
        let ids = self.regions.iter().map(|region| region.id.clone());
        ids.collect()
    }

    /// Whether the chat holds as many regions as the server takes.
    pub fn is_full(&self) -> bool {
        self.regions.len() >= MAX_REGIONS
    }

    /// Takes a region out.
    pub fn remove(&mut self, id: &str) {
        self.regions.retain(|region| region.id != id);
        self.hidden.remove(id);
        self.locked.remove(id);
    }

    /// Which region of a later document stands where one of this was: the next one that is there
    /// still, or else the last one.
    pub fn neighbour(&self, id: &str, later: &Self) -> Option<String> {
        let rest = self.regions.iter().skip_while(|region| region.id != id);
        let mut next = rest.filter(|region| later.get(&region.id).is_some());
        let found = next.next().or_else(|| later.regions.last());
        found.map(|region| region.id.clone())
    }

    /// The region that another document lacks; none where there are several.
    pub fn only_new(&self, other: &Self) -> Option<&RegionState> {
        let mut new = self
            .regions
            .iter()
            .filter(|region| other.get(&region.id).is_none());
        new.next().filter(|_| new.next().is_none())
    }

    /// Moves a region by places in the order of `@k`, as far as there are any.
    pub fn reorder(&mut self, id: &str, by: isize) {
        let Some(index) = self.regions.iter().position(|region| region.id == id) else {
            return;
        };
        let to = index
            .saturating_add_signed(by)
            .min(self.regions.len().saturating_sub(1));
        let region = self.regions.remove(index);
        self.regions.insert(to, region);
    }

    /// The colour that is used least, in the palette's order.
    pub fn next_color(&self) -> String {
        let uses = |color: &str| self.regions.iter().filter(|r| r.color == color).count();
        PALETTE
            .iter()
            .copied()
            .min_by_key(|color| uses(color))
            .unwrap_or(PALETTE[0])
            .to_owned()
    }

    /// A name that no region has yet.
    pub fn next_name(&self) -> String {
        (self.regions.len() + 1..)
            .map(|number| format!("Region {number}"))
            .find(|name| self.regions.iter().all(|region| &region.name != name))
            .unwrap_or_default()
    }

    /// As it travels.
    pub fn to_wire(&self) -> Vec<Region> {
        self.regions.iter().map(RegionState::to_wire).collect()
    }

    /// From what has travelled, which tells nothing of what is hidden or locked.
    pub fn from_wire(regions: Vec<Region>) -> Self {
        Self {
            regions: regions.into_iter().map(RegionState::from).collect(),
            ..Self::default()
        }
    }

    /// The same with those of its regions hidden and locked that are in these sets.
    pub fn seen_as(mut self, mut hidden: BTreeSet<String>, mut locked: BTreeSet<String>) -> Self {
        hidden.retain(|id| self.get(id).is_some());
        locked.retain(|id| self.get(id).is_some());
        (self.hidden, self.locked) = (hidden, locked);
        self
    }

    /// The polygons of its regions, by their ids.
    pub fn corners(&self) -> BTreeMap<String, Polygon> {
        let polygon = |region: &RegionState| {
            let polygon = region.polygon.as_deref()?.clone();
            Some((region.id.clone(), polygon))
        };
        self.regions.iter().filter_map(polygon).collect()
    }

    /// The same with these polygons, as far as they are still what the masks of its regions are.
    /// Regions that are known to be polygons stay as they are.
    pub fn with_corners(mut self, corners: &BTreeMap<String, Polygon>) -> Self {
        let unknown = self.regions.iter_mut().filter(|r| r.polygon.is_none());
        for region in unknown {
            let [height, width] = region.mask.size;
            if let Some(polygon) = corners.get(&region.id)
                && let Some(drawn) = polygon.mask((width, height))
                && Rle::from_wire(&region.mask, MAX_PIXELS).is_ok_and(|mask| mask == drawn)
            {
                region.polygon = Some(Arc::new(polygon.clone()));
                region.instrument = Some(Instrument::Polygon);
            }
        }
        self
    }

    /// The same with what does not travel of those regions whose masks are as they were before.
    pub fn knowing(mut self, before: &Self) -> Self {
        for region in &mut self.regions {
            let known = before.get(&region.id);
            if let Some(known) = known.filter(|known| known.mask == region.mask) {
                region.mask = known.mask.clone();
                region.refined = known.refined.clone();
                region.polygon = known.polygon.clone();
                region.instrument = known.instrument;
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use fclm_core::mask::Mask;

    use super::*;
    use crate::editor::Handle;
    use crate::editor::region::tests::region;

    #[test]
    fn numbers_follow_the_order() {
        let mut document = Document {
            regions: vec![region("a", "#1"), region("b", "#2")],
            ..Document::default()
        };
        assert_eq!(document.ids(), ["a", "b"]);
        assert_eq!(document.number("b"), Some(2));
        document.remove("a");
        assert_eq!(document.number("b"), Some(1));
        assert_eq!(document.number("a"), None);
    }

    #[test]
    fn the_next_region_follows_one_that_is_gone() {
        let before = Document {
            regions: vec![region("a", "#1"), region("b", "#2"), region("c", "#3")],
            ..Document::default()
        };
        let without = |ids: &[&str]| {
            let mut later = before.clone();
            ids.iter().for_each(|id| later.remove(id));
            before.neighbour(ids[0], &later)
        };
        assert_eq!(without(&["a"]).as_deref(), Some("b"));
        assert_eq!(without(&["a", "b"]).as_deref(), Some("c"));
        assert_eq!(without(&["c"]).as_deref(), Some("b"));
        assert_eq!(without(&["a", "b", "c"]), None);
    }

    #[test]
    fn the_region_that_came_is_known_unless_there_are_several() {
        let all = Document {
            regions: vec![region("a", "#1"), region("b", "#2"), region("c", "#3")],
            ..Document::default()
        };
        let mut fewer = all.clone();
        assert_eq!(all.only_new(&fewer), None);
        fewer.remove("b");
        assert_eq!(all.only_new(&fewer), all.get("b"));
        assert_eq!(fewer.only_new(&all), None);
        fewer.remove("a");
        assert_eq!(all.only_new(&fewer), None);
    }

    #[test]
    fn regions_change_places() {
        let mut document = Document {
            regions: vec![region("a", "#1"), region("b", "#2"), region("c", "#3")],
            ..Document::default()
        };
        document.reorder("c", -1);
        assert_eq!(document.ids(), ["a", "c", "b"]);
        document.reorder("a", -1);
        document.reorder("b", 9);
        document.reorder("d", 1);
        assert_eq!(document.ids(), ["a", "c", "b"]);
        document.reorder("a", 2);
        assert_eq!(document.ids(), ["c", "b", "a"]);
    }

    #[test]
    fn a_chat_holds_so_many_and_no_more() {
        let mut document = Document::default();
        for number in 0..MAX_REGIONS {
            assert!(!document.is_full(), "{number}");
            document.regions.push(region(&number.to_string(), "#1"));
        }
        assert!(document.is_full());
    }

    #[test]
    fn colours_and_names_are_not_repeated() {
        let mut document = Document::default();
        for color in PALETTE {
            assert_eq!(document.next_color(), color);
            let mut next = region(color, color);
            next.name = document.next_name();
            document.regions.push(next);
        }
        document.remove(PALETTE[3]);
        assert_eq!(document.next_color(), PALETTE[3]);
        assert_eq!(document.next_name(), "Region 11");
    }

    #[test]
    fn what_is_hidden_and_locked_goes_with_its_region() {
        let set = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        let document = Document {
            regions: vec![region("a", "#1"), region("b", "#2")],
            ..Document::default()
        };
        let mut seen = document.seen_as(set(&["a", "gone"]), set(&["a", "b", "gone"]));
        assert_eq!(
            (&seen.hidden, &seen.locked),
            (&set(&["a"]), &set(&["a", "b"]))
        );
        seen.remove("a");
        assert_eq!((seen.hidden, seen.locked), (set(&[]), set(&["b"])));
    }

    #[test]
    fn corners_come_back_where_the_mask_is_still_theirs() {
        let square = Polygon {
            points: vec![(1.0, 1.0), (3.0, 1.0), (3.0, 3.0), (1.0, 3.0)],
        };
        let mut document = Document {
            regions: vec![region("a", "#1"), region("b", "#2"), region("c", "#3")],
            ..Document::default()
        };
        for id in ["a", "b"] {
            if let Some(region) = document.get_mut(id) {
                region.polygon = Some(Arc::new(square.clone()));
                region.instrument = Some(Instrument::Polygon);
            }
        }
        let corners = document.corners();
        assert_eq!(corners.keys().collect::<Vec<_>>(), ["a", "b"]);
        let again = Document::from_wire(document.to_wire()).with_corners(&corners);
        assert_eq!(again, document);
        // What is known already is not drawn once more.
        let mut finer = square;
        finer.take(Handle::Edge(0), (2.0, 1.0));
        let others = BTreeMap::from([("a".to_owned(), finer)]);
        assert_eq!(again.with_corners(&others), document);

        let mut regions = document.to_wire();
        regions[1].mask = Mask::rect(4, 4, [1.0, 1.0, 3.0, 4.0]).to_wire();
        let changed = Document::from_wire(regions).with_corners(&corners);
        assert_eq!(changed.corners().into_keys().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn what_does_not_travel_stays_known_where_the_mask_is_the_same() {
        let refined = Some((Arc::new(Mask::new(4, 4).to_wire()), 0.5));
        let triangle = Polygon {
            points: vec![(0.0, 0.0), (3.0, 0.0), (0.0, 3.0)],
        };
        let mut before = Document {
            regions: vec![region("a", "#1"), region("b", "#2")],
            ..Document::default()
        };
        for known in &mut before.regions {
            known.refined = refined.clone();
            known.polygon = Some(Arc::new(triangle.clone()));
            known.instrument = Some(Instrument::Lasso);
        }
        let mut regions = before.to_wire();
        regions[0].name = "mug".to_owned();
        regions[1].mask = Mask::new(4, 4).to_wire();
        regions.push(region("c", "#3").to_wire());
        let after = Document::from_wire(regions.clone()).knowing(&before);
        let [a, b, c] = &after.regions[..] else {
            panic!("three regions have become {}", after.regions.len());
        };
        let mut named = before.regions[0].clone();
        named.name = "mug".to_owned();
        assert_eq!(*a, named);
        assert!(Arc::ptr_eq(&a.mask, &named.mask), "the mask is copied");
        assert_eq!([b.to_wire(), c.to_wire()], regions[1..]);
        let is_bare =
            |r: &RegionState| r.refined.is_none() && r.polygon.is_none() && r.instrument.is_none();
        assert!(is_bare(b) && is_bare(c));
    }

    #[test]
    fn the_wire_round_trip_keeps_everything_it_can() {
        let document = Document {
            regions: vec![region("a", "#1"), region("b", "#2")],
            ..Document::default()
        };
        assert_eq!(Document::from_wire(document.to_wire()), document);
    }
}
