use std::sync::Arc;

use fclm_core::mask::{Mask, Rle};
use fclm_core::wire::MaskSource;
use leptos::prelude::*;

use super::{Editor, OPACITY_KEY, new_id, toggle};
use crate::client;
use crate::editor::{
    Document, Hand, MAX_PIXELS, Movement, Polygon, Press, RegionState, clean_name,
};
use crate::formats::Imported;

impl Editor {
    /// A polygon was closed: it is a region of its own.
    pub(crate) fn add_polygon(self, polygon: Polygon) {
        let mask = self.size().and_then(|size| polygon.mask(size));
        let Some(mask) = mask.filter(|mask| !mask.is_empty()) else {
            self.notices
                .info("No region", "The polygon holds no pixel of the picture.");
            return;
        };
        let wire = Arc::new(mask.to_wire());
        self.add(|document, id| {
            let (name, color) = (document.next_name(), document.next_color());
            let mut region = RegionState::rectangle(id, name, color, (1, 1), [0.0; 4]);
            region.paint(wire);
            region.polygon = Some(Arc::new(polygon));
            region.hand = Some(Hand::Polygon);
            region
        });
    }

    /// The corners of a region's polygon were changed, or by a key the one of an index was moved;
    /// false where it would hold no pixel any more.
    pub(crate) fn edit_polygon(
        self,
        id: &str,
        polygon: Polygon,
        moved: Option<(usize, Press)>,
    ) -> bool {
        let mask = self.size().and_then(|size| polygon.mask(size));
        let Some(mask) = mask.filter(|mask| !mask.is_empty()) else {
            self.say_nothing_is_left();
            return false;
        };
        let wire = Arc::new(mask.to_wire());
        let change = |document: &mut Document| {
            if let Some(region) = document.get_mut(id) {
                region.paint(wire);
                region.polygon = Some(Arc::new(polygon));
            }
        };
        match moved {
            Some((corner, press)) => {
                self.change_on(Movement::Corner(id.to_owned(), corner), press, change);
            }
            None => self.change(change),
        }
        true
    }

    fn say_nothing_is_left(self) {
        self.notices
            .info("Nothing would be left", "The region stays as it is.");
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
        done: &'static str,
        press: Press,
    ) {
        if self.refuses(id) {
            return;
        }
        if let Some(mask) = self.runs(id) {
            let mask = Rle::from_mask(&change(&mask.to_mask()));
            self.repaint(id, &mask, None, done, press);
        }
    }

    fn repaint(
        self,
        id: &str,
        mask: &Rle,
        polygon: Option<Polygon>,
        done: &'static str,
        press: Press,
    ) {
        if mask.is_empty() {
            self.say_nothing_is_left();
            return;
        }
        let wire = Arc::new(mask.to_wire());
        self.change_on(Movement::Shape(id.to_owned(), done), press, |document| {
            if let Some(region) = document.get_mut(id)
                && (*region.mask != *wire || polygon.is_some())
            {
                region.paint(wire);
                region.polygon = polygon.map(Arc::new);
            }
        });
        self.tell(id, done);
    }

    // The same for a region that is a polygon, which it stays.
    fn redraw(self, id: &str, polygon: Option<Polygon>, done: &'static str, press: Press) {
        let mask = polygon
            .as_ref()
            .and_then(|polygon| polygon.mask(self.size()?));
        match mask {
            Some(mask) => self.repaint(id, &mask, polygon, done, press),
            None => self.say_nothing_is_left(),
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
            self.redraw(id, Some(moved), "moved", press);
        } else if let Some(mask) = self.runs(id) {
            self.repaint(id, &mask.shifted(dx, dy), None, "moved", press);
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
            self.redraw(id, stretched, "resized", press);
        } else {
            let edge = |low: u32, length: u32, by: i64| (i64::from(low + length) + by) as u32;
            let bounds = [x, y, edge(x, width, dx), edge(y, height, dy)];
            let stretched = mask.to_mask().stretched(bounds);
            self.repaint(id, &Rle::from_mask(&stretched), None, "resized", press);
        }
    }

    // Says where a region is now.
    fn tell(self, id: &str, done: &str) {
        let name = self
            .document
            .with_untracked(|document| document.get(id).map(|region| region.name.clone()));
        let bounds = self.runs(id).map(|mask| mask.bbox());
        if let (Some(name), Some([x0, y0, width, height])) = (name, bounds) {
            self.spoken.set(format!(
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
            self.spoken.set(place);
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
                document.regions.push(RegionState {
                    id: id.clone(),
                    name: name.unwrap_or_else(|| document.next_name()),
                    color: one.color.unwrap_or_else(|| document.next_color()),
                    mask: Arc::new(one.mask.to_wire()),
                    box_px: None,
                    source: MaskSource::Import,
                    score: None,
                    refined: None,
                    polygon: None,
                    hand: None,
                });
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
