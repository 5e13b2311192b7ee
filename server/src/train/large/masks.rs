use fclm_core::mask::Mask;

use crate::data::record::{PictureRecord, RecordError};

/// Share of a cell of the decoder's map that a mask must cover somewhere to be drawn at all.
const LEAST_COVERAGE: f32 = 0.5;

/// The masks of a picture's regions, decoded when they are asked for.
#[derive(Debug)]
pub(super) struct RegionMasks<'a> {
    record: &'a PictureRecord,
    /// Cells of the decoder's map along a side.
    side: u32,
    masks: Vec<Option<Mask>>,
}

impl<'a> RegionMasks<'a> {
    /// The masks of a record, for a decoder whose map has `side` cells along a side.
    pub(super) fn new(record: &'a PictureRecord, side: usize) -> Self {
        Self {
            record,
            side: side as u32,
            masks: vec![None; record.regions.len()],
        }
    }

    /// How many regions there are.
    pub(super) fn count(&self) -> usize {
        self.masks.len()
    }

    /// The pixels that belong to any of some regions.
    ///
    /// # Errors
    /// Where a mask is broken, or there is no such region.
    pub(super) fn union(&mut self, places: &[usize]) -> Result<Mask, RecordError> {
        let mut union = Mask::new(self.record.width, self.record.height);
        for &place in places {
            union.union_with(self.mask(place)?);
        }
        Ok(union)
    }

    fn mask(&mut self, place: usize) -> Result<&Mask, RecordError> {
        let count = self.masks.len();
        let kept = self
            .masks
            .get_mut(place)
            .ok_or(RecordError::NoRegion(place, count))?;
        let mask = match kept.take() {
            Some(mask) => mask,
            None => self.record.mask(place)?,
        };
        let mask: &Mask = kept.insert(mask);
        Ok(mask)
    }

    /// Whether the decoder's map is fine enough to draw the union of some regions.
    pub(super) fn can_be_drawn(&mut self, places: &[usize]) -> bool {
        let side = self.side;
        self.union(places).is_ok_and(|union| {
            !union.is_empty()
                && padded(&union)
                    .area_average(side, side)
                    .iter()
                    .any(|&covered| covered >= LEAST_COVERAGE)
        })
    }

    /// How far to the right the middle of a region lies.
    pub(super) fn left(&mut self, place: usize) -> f32 {
        let mask = self.mask(place).ok();
        mask.and_then(Mask::centroid).map_or(0.0, |(x, _)| x)
    }
}

/// The mask in the square that SAM sees of its picture, which is padded to the right or below.
pub(super) fn padded(mask: &Mask) -> Mask {
    let (width, height) = (mask.width() as usize, mask.height() as usize);
    let side = width.max(height);
    let mut data = vec![0; side * side];
    if width > 0 {
        let rows = mask.data().chunks_exact(width);
        for (row, source) in data.chunks_exact_mut(side).zip(rows) {
            row[..width].copy_from_slice(source);
        }
    }
    Mask::from_data(side as u32, side as u32, data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::record::RegionRecord;

    fn record(masks: &[Mask]) -> PictureRecord {
        let region = |mask: &Mask| RegionRecord {
            id: String::new(),
            mask: mask.to_wire(),
            ignore: None,
            category: None,
            descriptions: Vec::new(),
        };
        PictureRecord {
            width: 8,
            height: 4,
            regions: masks.iter().map(region).collect(),
            ..PictureRecord::default()
        }
    }

    #[test]
    fn unions_hold_what_belongs_to_any() {
        let left = Mask::rect(8, 4, [0.0, 0.0, 2.0, 4.0]);
        let right = Mask::rect(8, 4, [6.0, 0.0, 8.0, 2.0]);
        let record = record(&[left.clone(), right, Mask::new(8, 4)]);
        let mut masks = RegionMasks::new(&record, 4);
        assert_eq!(masks.union(&[0]).unwrap(), left);
        assert_eq!(masks.union(&[1, 0, 2]).unwrap().area(), 12);
        assert_eq!(masks.union(&[]).unwrap().area(), 0);
        assert!(masks.union(&[3]).is_err());
        assert!(masks.left(0) < masks.left(1));
    }

    #[test]
    fn what_is_finer_than_the_map_is_not_drawn() {
        let dot = Mask::rect(8, 4, [3.0, 2.0, 4.0, 3.0]);
        let dots = [dot, Mask::rect(8, 4, [2.0, 2.0, 3.0, 3.0])];
        let record = record(&[dots[0].clone(), dots[1].clone(), Mask::new(8, 4)]);
        // A cell is two pixels wide; a dot covers a quarter of it, two of them a half.
        let mut masks = RegionMasks::new(&record, 4);
        assert!(!masks.can_be_drawn(&[0]));
        assert!(masks.can_be_drawn(&[0, 1]));
        assert!(!masks.can_be_drawn(&[2]) && !masks.can_be_drawn(&[]));
        assert!(RegionMasks::new(&record, 8).can_be_drawn(&[0]));
    }

    #[test]
    fn pictures_are_padded_to_the_right_and_below() {
        let wide = padded(&Mask::rect(8, 4, [6.0, 2.0, 8.0, 4.0]));
        assert_eq!(wide, Mask::rect(8, 8, [6.0, 2.0, 8.0, 4.0]));
        let high = padded(&Mask::rect(2, 6, [0.0, 5.0, 2.0, 6.0]));
        assert_eq!(high, Mask::rect(6, 6, [0.0, 5.0, 2.0, 6.0]));
    }
}
