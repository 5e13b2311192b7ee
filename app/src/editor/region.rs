use std::sync::Arc;

use fclm_core::mask::Mask;
use fclm_core::wire::{BoxPx, MAX_REGION_NAME, MaskRle, MaskSource, Region, RegionMask};

use super::Polygon;

/// What a mask was drawn with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instrument {
    /// Strokes of the brush.
    Brush,
    /// A line around it.
    Lasso,
    /// Corners.
    Polygon,
}

/// A region as the page holds it. Masks are shared, so that a step of the history costs no copy.
#[derive(Debug, Clone, PartialEq)]
pub struct RegionState {
    /// Unique in its chat.
    pub id: String,
    /// What the user calls it.
    pub name: String,
    /// CSS colour `#rrggbb`.
    pub color: String,
    /// The mask at the image's size.
    pub mask: Arc<MaskRle>,
    /// The box that the user drew, where there was one.
    pub box_px: Option<BoxPx>,
    /// How the mask came to be.
    pub source: MaskSource,
    /// Estimated IoU of the mask.
    pub score: Option<f32>,
    /// The model's mask for the box, kept while the plain rectangle is shown.
    pub refined: Option<(Arc<MaskRle>, f32)>,
    /// The polygon that the mask was drawn as, while it is nothing else.
    pub polygon: Option<Arc<Polygon>>,
    /// What the mask was drawn with, where that is known and one thing alone; brush and lasso are
    /// of this visit only.
    pub instrument: Option<Instrument>,
}

impl RegionState {
    /// A region with a mask that came to be so, and of which nothing else is known.
    pub fn new(
        id: String,
        name: String,
        color: String,
        mask: Arc<MaskRle>,
        source: MaskSource,
    ) -> Self {
        Self {
            id,
            name,
            color,
            mask,
            box_px: None,
            source,
            score: None,
            refined: None,
            polygon: None,
            instrument: None,
        }
    }

    /// A region with the plain rectangle of a box.
    pub fn rectangle(id: String, name: String, color: String, size: (u32, u32), px: BoxPx) -> Self {
        let mask = Arc::new(Mask::rect(size.0, size.1, px).to_wire());
        Self {
            box_px: Some(px),
            ..Self::new(id, name, color, mask, MaskSource::Rectangle)
        }
    }

    /// Takes the mask that the model made of the box.
    pub fn refine(&mut self, found: &RegionMask) {
        self.instrument = None;
        let mask = Arc::new(found.mask.clone());
        self.refined = Some((mask.clone(), found.score));
        self.mask = mask;
        self.score = Some(found.score);
        self.source = MaskSource::Box;
        self.polygon = None;
    }

    /// Shows the plain rectangle of the box instead of the model's mask.
    pub fn use_rectangle(&mut self, size: (u32, u32)) {
        let Some(px) = self.box_px else { return };
        if let (MaskSource::Box, Some(score)) = (self.source, self.score) {
            self.refined = Some((self.mask.clone(), score));
        }
        self.mask = Arc::new(Mask::rect(size.0, size.1, px).to_wire());
        self.source = MaskSource::Rectangle;
        self.score = None;
    }

    /// Shows the model's mask again; false when it has to be asked for first.
    pub fn use_refined(&mut self) -> bool {
        let Some((mask, score)) = self.refined.clone() else {
            return false;
        };
        self.mask = mask;
        self.score = Some(score);
        self.source = MaskSource::Box;
        true
    }

    /// What a person calls the origin of the mask; none where that is not known or is the model.
    pub fn origin(&self) -> Option<&'static str> {
        match (self.source, self.instrument) {
            (MaskSource::Rectangle, _) => Some("box"),
            (MaskSource::Import, _) => Some("imported"),
            (MaskSource::Brush, Some(Instrument::Brush)) => Some("brush"),
            (MaskSource::Brush, Some(Instrument::Lasso)) => Some("lasso"),
            (MaskSource::Brush, Some(Instrument::Polygon)) => Some("polygon"),
            (MaskSource::Brush, None) | (MaskSource::Box | MaskSource::Model, _) => None,
        }
    }

    /// Takes the mask that a stroke left. What it was drawn with is known only while all of it was
    /// drawn with the same.
    pub fn stroke(&mut self, mask: Arc<MaskRle>, instrument: Instrument) {
        self.paint(mask);
        self.instrument = self.instrument.filter(|known| *known == instrument);
    }

    /// Takes a mask that was made by hand.
    pub fn paint(&mut self, mask: Arc<MaskRle>) {
        self.mask = mask;
        self.source = MaskSource::Brush;
        self.score = None;
        self.box_px = None;
        self.refined = None;
        self.polygon = None;
    }

    /// As it travels.
    pub fn to_wire(&self) -> Region {
        Region {
            id: self.id.clone(),
            name: self.name.clone(),
            color: self.color.clone(),
            mask: (*self.mask).clone(),
            box_px: self.box_px,
            source: self.source,
            score: self.score,
        }
    }
}

impl From<Region> for RegionState {
    fn from(region: Region) -> Self {
        let mask = Arc::new(region.mask);
        Self {
            box_px: region.box_px,
            score: region.score,
            ..Self::new(region.id, region.name, region.color, mask, region.source)
        }
    }
}

/// A name as the server takes it, one line and not too long; none where nothing is left of it.
pub fn clean_name(text: &str) -> Option<String> {
    let plain = text.trim().chars().filter(|c| !c.is_control());
    let name: String = plain.take(MAX_REGION_NAME).collect();
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// A region id from two random numbers.
pub fn region_id_from(high: u64, low: u64) -> String {
    format!("r{high:016x}{low:016x}")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A square in a picture of four by four pixels.
    pub(in crate::editor) fn region(id: &str, color: &str) -> RegionState {
        let px = [1.0, 1.0, 3.0, 3.0];
        RegionState::rectangle(id.to_owned(), id.to_owned(), color.to_owned(), (4, 4), px)
    }

    #[test]
    fn names_become_what_the_server_takes() {
        assert_eq!(clean_name("  red mug\n").as_deref(), Some("red mug"));
        assert_eq!(clean_name("a\tb\u{7}c").as_deref(), Some("abc"));
        assert_eq!(clean_name(" \u{1} \n"), None);
        let long = clean_name(&"é".repeat(MAX_REGION_NAME + 9)).unwrap_or_default();
        assert_eq!(long.chars().count(), MAX_REGION_NAME);
    }

    #[test]
    fn a_mask_tells_what_it_was_drawn_with_while_that_is_one_thing() {
        let mask = || Arc::new(Mask::new(4, 4).to_wire());
        let drawn = |instrument: Option<Instrument>| {
            let mut region = region("a", "#1");
            region.paint(mask());
            region.instrument = instrument;
            region
        };
        assert_eq!(region("a", "#1").origin(), Some("box"));
        let instruments = [Instrument::Brush, Instrument::Lasso, Instrument::Polygon];
        let regions = instruments.map(|instrument| drawn(Some(instrument)));
        let names = regions.each_ref().map(RegionState::origin);
        assert_eq!(names, [Some("brush"), Some("lasso"), Some("polygon")]);

        let [_, mut lasso, _] = regions;
        lasso.stroke(mask(), Instrument::Lasso);
        lasso.paint(mask());
        assert_eq!(lasso.origin(), Some("lasso"), "moved");
        lasso.stroke(mask(), Instrument::Brush);
        assert_eq!(lasso.origin(), None);
        // A model's mask that was painted on came from neither alone.
        let mut painted = region("a", "#1");
        painted.stroke(mask(), Instrument::Brush);
        assert_eq!(painted.origin(), None);
        assert_eq!(drawn(None).origin(), None);
    }

    #[test]
    fn rectangle_and_mask_can_be_switched() {
        let mut region = region("a", "#1");
        let rectangle = region.mask.clone();
        assert!(!region.use_refined());
        let refined = RegionMask {
            mask: Mask::from_fn(4, 4, |x, y| x == 2 && y == 2).to_wire(),
            box_px: [2.0, 2.0, 3.0, 3.0],
            score: 0.75,
        };
        region.refine(&refined);
        assert_eq!((region.source, region.score), (MaskSource::Box, Some(0.75)));
        region.use_rectangle((4, 4));
        assert_eq!((region.source, region.score), (MaskSource::Rectangle, None));
        assert_eq!(region.mask, rectangle);
        assert!(region.use_refined());
        assert_eq!(*region.mask, refined.mask);
    }

    #[test]
    fn ids_are_what_the_server_takes() {
        let id = region_id_from(u64::MAX, 7);
        assert!(id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
}
