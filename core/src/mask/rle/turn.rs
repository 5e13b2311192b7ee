use super::Rle;
use super::runs::Runs;
use crate::mask::Mask;

/// Columns that are turned around at once, so that neither side of the turn misses the cache at
/// every pixel.
const COLUMNS_AT_ONCE: usize = 32;

/// Between rows and columns: a raster is read and written row by row, runs go column by column.
impl Rle {
    /// The runs of a raster.
    ///
    /// # Panics
    /// If the raster has more than `u32::MAX` pixels.
    pub fn from_mask(mask: &Mask) -> Self {
        let (width, height) = (mask.width() as usize, mask.height() as usize);
        assert!(
            u32::try_from(mask.data().len()).is_ok(),
            "run lengths are 32 bits wide"
        );
        let mut runs = Runs::default();
        // Most masks are small beside their pictures.
        let bounds = mask.pixel_bounds().unwrap_or_default();
        let [x0, y0, x1, y1] = bounds.map(|edge| edge as usize);
        runs.add(0, x0 * height);
        let tall = y1 - y0;
        let mut columns = vec![0u8; COLUMNS_AT_ONCE * tall];
        for first in (x0..x1).step_by(COLUMNS_AT_ONCE) {
            let count = COLUMNS_AT_ONCE.min(x1 - first);
            for y in 0..tall {
                let row = &mask.data()[(y0 + y) * width + first..][..count];
                for (x, &value) in row.iter().enumerate() {
                    columns[x * tall + y] = value;
                }
            }
            for column in columns[..count * tall].chunks_exact(tall) {
                runs.add(0, y0);
                for chunk in column.chunk_by(|a, b| a == b) {
                    runs.add(chunk[0], chunk.len());
                }
                runs.add(0, height - y1);
            }
        }
        runs.add(0, (width - x1) * height);
        Self {
            width: mask.width(),
            height: mask.height(),
            runs: runs.finish(),
        }
    }

    /// The raster of the runs.
    pub fn to_mask(&self) -> Mask {
        let (width, height) = (self.width as usize, self.height as usize);
        let mut data = vec![0u8; width * height];
        let mut columns = vec![0u8; COLUMNS_AT_ONCE * height];
        let mut intervals = self.foreground().peekable();
        for first in (0..width).step_by(COLUMNS_AT_ONCE) {
            let count = COLUMNS_AT_ONCE.min(width - first);
            let (start, end) = (first * height, (first + count) * height);
            if intervals
                .peek()
                .is_none_or(|&(from, _)| from as usize >= end)
            {
                continue;
            }
            columns.fill(0);
            while let Some(&(from, to)) = intervals.peek()
                && (from as usize) < end
            {
                let (from, to) = (from as usize, to as usize);
                columns[from.max(start) - start..to.min(end) - start].fill(1);
                if to > end {
                    break;
                }
                intervals.next();
            }
            for y in 0..height {
                let row = &mut data[y * width + first..][..count];
                for (x, value) in row.iter_mut().enumerate() {
                    *value = columns[x * height + y];
                }
            }
        }
        Mask::from_rows(self.width, self.height, data)
    }

    /// The raster of a part of the mask, `x0, y0, x1, y1`, half-open. It costs no more than the
    /// part and the runs are large, however large the mask is.
    ///
    /// # Panics
    /// If the part has no pixels or reaches beyond the mask.
    pub fn part(&self, [x0, y0, x1, y1]: [u32; 4]) -> Mask {
        assert!(
            x0 < x1 && y0 < y1 && x1 <= self.width && y1 <= self.height,
            "a part has pixels and lies within its mask"
        );
        let (width, height) = (x1 - x0, y1 - y0);
        let mut data = vec![0u8; width as usize * height as usize];
        for (start, end) in self.foreground() {
            let mut position = start;
            while position < end {
                let (x, y) = (position / self.height, position % self.height);
                let stop = end.min((x + 1) * self.height);
                if (x0..x1).contains(&x) {
                    for row in y.max(y0)..(y + stop - position).min(y1) {
                        let at = (row - y0) as usize * width as usize + (x - x0) as usize;
                        data[at] = 1;
                    }
                }
                position = stop;
            }
        }
        Mask::from_rows(width, height, data)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mask::rle::tests::sized_rles;

    proptest! {
        #[test]
        fn runs_become_their_raster_and_come_back(rles in sized_rles()) {
            let rle = &rles[0];
            let mask = rle.to_mask();
            let mut position = 0;
            for (index, &run) in rle.runs().iter().enumerate() {
                for offset in position..position + run {
                    let (x, y) = (offset / rle.height(), offset % rle.height());
                    prop_assert_eq!(mask.get(x, y), index % 2 == 1);
                }
                position += run;
            }
            prop_assert_eq!(Rle::from_mask(&mask).to_mask(), mask);
        }

        #[test]
        fn parts_are_those_of_the_raster(
            rles in sized_rles(), corner in any::<(u32, u32)>(), size in any::<(u32, u32)>(),
        ) {
            for rle in rles {
                let (x0, y0) = (corner.0 % rle.width(), corner.1 % rle.height());
                let x1 = x0 + 1 + size.0 % (rle.width() - x0);
                let y1 = y0 + 1 + size.1 % (rle.height() - y0);
                let expected = rle.to_mask().crop(x0, y0, x1, y1);
                prop_assert_eq!(rle.part([x0, y0, x1, y1]), expected);
            }
        }
    }
}
