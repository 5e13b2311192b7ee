use std::sync::Arc;

use fclm_core::mask::{Mask, Rle};
use fclm_core::wire::MaskSource;
use leptos::prelude::*;

use super::{Editor, OPACITY_KEY, new_id, toggle};
use crate::client;
use crate::editor::{
    Document, Instrument, MAX_PIXELS, Movement, Polygon, Press, RegionState, Reshaping, clean_name,
};
use crate::formats::Imported;

impl Editor {
    /// A polygon was closed: it is a region of its own.
    pub(crate) fn add_polygon(self, polygon: Polygon) {
        let Some(mask) = self.drawn(&polygon).filter(|mask| !mask.is_empty()) else {
            self.notices
                .info("No region", "The polygon holds no pixel of the picture.");
            return;
        };
        let wire = Arc::new(mask.to_wire());
        self.add(|document, id| {
            let (name, color) = (document.next_name(), document.next_color());
            RegionState {
                polygon: Some(Arc::new(polygon)),
                instrument: Some(Instrument::Polygon),
                ..RegionState::new(id, name, color, wire, MaskSource::Brush)
            }
        });
    }

    fn drawn(self, polygon: &Polygon) -> Option<Rle> {
        polygon.mask(self.size()?)
    }

    /// The corners of a region's polygon were changed, or by a key the one of an index was moved;
    /// false where it would hold no pixel any more.
    pub(crate) fn edit_polygon(
        self,
        id: &str,
        polygon: Polygon,
        moved: Option<(usize, Press)>,
    ) -> bool {
        let mask = self.drawn(&polygon);
        let step = moved.map(|(corner, press)| (Movement::Corner(id.to_owned(), corner), press));
        self.take(id, mask, Some(polygon), step)
    }

    // Gives a region another mask, and the polygon that it is, if it is one. One without pixels is
    // not taken, which is said, and false.
    fn take(
        self,
        id: &str,
        mask: Option<Rle>,
        polygon: Option<Polygon>,
        step: Option<(Movement, Press)>,
    ) -> bool {
        let Some(mask) = mask.filter(|mask| !mask.is_empty()) else {
            self.notices
                .info("Nothing would be left", "The region stays as it is.");
            return false;
        };
        let wire = Arc::new(mask.to_wire());
        let change = |document: &mut Document| {
            if let Some(region) = document.get_mut(id)
                && (*region.mask != *wire || polygon.is_some())
            {
                region.paint(wire);
                region.polygon = polygon.map(Arc::new);
            }
        };
        match step {
            Some((movement, press)) => self.change_on(movement, press, change),
            None => self.change(change),
        }
        true
    }

    /// A region's mask as a raster.
    pub(crate) fn mask(self, id: &str) -> Option<Mask> {
        Some(self.runs(id)?.to_mask())
    }

    /// A region's mask as runs.
    pub(crate) fn runs(self, id: &str) -> Option<Rle> {
        let wire = self
            .document
            .with_untracked(|document| document.get(id).map(|region| region.mask.clone()))?;
        Rle::from_wire(&wire, MAX_PIXELS).ok()
    }

    /// Makes another mask of a region's own and tells what was done; one without pixels is not
    /// taken.
    pub(crate) fn reshape(
        self,
        id: &str,
        change: impl FnOnce(&Mask) -> Mask,
        done: Reshaping,
        press: Press,
    ) {
        if self.refuses(id) {
            return;
        }
        if let Some(mask) = self.runs(id) {
            let mask = Rle::from_mask(&change(&mask.to_mask()));
            self.take_reshaped(id, Some(mask), None, done, press);
        }
    }

    fn take_reshaped(
        self,
        id: &str,
        mask: Option<Rle>,
        polygon: Option<Polygon>,
        done: Reshaping,
        press: Press,
    ) {
        let movement = Movement::Shape(id.to_owned(), done);
        if self.take(id, mask, polygon, Some((movement, press))) {
            self.tell(id, done);
        }
    }

    fn polygon(self, id: &str) -> Option<Arc<Polygon>> {
        self.document
            .with_untracked(|document| document.get(id)?.polygon.clone())
    }

    /// Moves a region by whole pixels, as far as some of it stays on the picture.
    pub(crate) fn nudge(self, id: &str, dx: i64, dy: i64, press: Press) {
        if self.refuses(id) {
            return;
        }
        if let Some(polygon) = self.polygon(id) {
            let moved = polygon.moved((dx as f64, dy as f64));
            let mask = self.drawn(&moved);
            self.take_reshaped(id, mask, Some(moved), Reshaping::Moved, press);
        } else if let Some(mask) = self.runs(id) {
            let mask = mask.shifted(dx, dy);
            self.take_reshaped(id, Some(mask), None, Reshaping::Moved, press);
        }
    }

    /// Moves the right and lower edge of a region's box by whole pixels, and stretches the region
    /// with it.
    pub(crate) fn stretch(self, id: &str, dx: i64, dy: i64, press: Press) {
        if self.refuses(id) {
            return;
        }
        let Some(mask) = self.runs(id).filter(|mask| !mask.is_empty()) else {
            return;
        };
        let [x, y, width, height] = mask.bbox();
        // As far as a pixel is left and the picture reaches.
        let allowed = |by: i64, low: u32, length: u32, end: u32| {
            by.clamp(1 - i64::from(length), i64::from(end - low - length))
        };
        let dx = allowed(dx, x, width, mask.width());
        let dy = allowed(dy, y, height, mask.height());
        if let Some(polygon) = self.polygon(id) {
            let stretched = polygon.stretched((dx as f64, dy as f64));
            let mask = stretched.as_ref().and_then(|polygon| self.drawn(polygon));
            self.take_reshaped(id, mask, stretched, Reshaping::Resized, press);
        } else {
            let edge = |low: u32, length: u32, by: i64| (i64::from(low + length) + by) as u32;
            let bounds = [x, y, edge(x, width, dx), edge(y, height, dy)];
            let mask = Rle::from_mask(&mask.to_mask().stretched(bounds));
            self.take_reshaped(id, Some(mask), None, Reshaping::Resized, press);
        }
    }

    // Says where a region is now.
    fn tell(self, id: &str, done: Reshaping) {
        let name = self
            .document
            .with_untracked(|document| document.get(id).map(|region| region.name.clone()));
        let bounds = self.runs(id).map(|mask| mask.bbox());
        if let (Some(name), Some([x0, y0, width, height])) = (name, bounds) {
            let done = done.word();
            self.say(format!(
                "{name} {done}: {width} by {height} pixels at {x0}, {y0}"
            ));
        }
    }

    /// Puts a copy of a region behind the others.
    pub(crate) fn duplicate(self, id: &str) {
        let Some(original) = self.document.with_untracked(|d| d.get(id).cloned()) else {
            return;
        };
        self.add(|document, id| {
            let name = clean_name(&format!("{} copy", original.name));
            RegionState {
                id,
                name: name.unwrap_or_else(|| document.next_name()),
                color: document.next_color(),
                ..original
            }
        });
    }

    /// Moves a region in the order of `@k`, by places.
    pub(crate) fn reorder(self, id: &str, by: isize, press: Press) {
        self.change_on(Movement::Order(id.to_owned()), press, |document| {
            document.reorder(id, by);
        });
        let place = self.document.with_untracked(|document| {
            let name = document.get(id)?.name.clone();
            Some(format!("{name} is @{} now", document.number(id)?))
        });
        if let Some(place) = place {
            self.say(place);
        }
    }

    /// Locks a region or opens it again.
    pub(crate) fn toggle_locked(self, id: &str) {
        self.change(|document| toggle(&mut document.locked, id));
    }

    /// Whether a region is locked; says so where it is.
    pub(crate) fn refuses(self, id: &str) -> bool {
        let locked = self.locked.with_untracked(|locked| locked.contains(id));
        if locked {
            self.notices
                .info("This region is locked", "Open its lock to change it.");
        }
        locked
    }

    /// Fills masks so strongly, and keeps that for the next visit.
    pub(crate) fn fill_with(self, opacity: f64) {
        let opacity = opacity.clamp(0.0, 1.0);
        self.opacity.set(opacity);
        client::remember(OPACITY_KEY, &opacity);
    }

    /// Makes regions of what was read from a file or the clipboard, in one step. Gives how many
    /// there was room for.
    pub(crate) fn import(self, imported: Vec<Imported>) -> usize {
        let mut count = 0;
        let mut last = None;
        self.change(|document| {
            for one in imported {
                if document.is_full() {
                    break;
                }
                let id = new_id();
                let name = one.name.as_deref().and_then(clean_name);
                let name = name.unwrap_or_else(|| document.next_name());
                let color = one.color.unwrap_or_else(|| document.next_color());
                let mask = Arc::new(one.mask.to_wire());
                let region = RegionState::new(id.clone(), name, color, mask, MaskSource::Import);
                document.regions.push(region);
                last = Some(id);
                count += 1;
            }
        });
        if last.is_some() {
            self.selected.set(last);
        }
        count
    }
}
