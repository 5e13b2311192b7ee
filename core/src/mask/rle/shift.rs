use super::Rle;
use super::runs::Runs;

impl Rle {
    /// The mask moved by whole pixels; what leaves the picture is lost.
    pub fn shifted(&self, dx: i64, dy: i64) -> Self {
        let (width, height) = (i64::from(self.width), i64::from(self.height));
        let mut runs = Runs::default();
        let mut written = 0;
        for (start, end) in self.foreground() {
            let (mut start, end) = (i64::from(start), i64::from(end));
            while start < end {
                let (x, y) = (start / height, start % height);
                let stop = end.min(start - y + height);
                let column = x.saturating_add(dx);
                let top = y.saturating_add(dy).max(0);
                let bottom = (y + stop - start).saturating_add(dy).min(height);
                if (0..width).contains(&column) && top < bottom {
                    let first = column * height;
                    runs.add(0, (first + top - written) as usize);
                    runs.add(1, (bottom - top) as usize);
                    written = first + bottom;
                }
                start = stop;
            }
        }
        runs.add(0, (width * height - written) as usize);
        Self {
            runs: runs.finish(),
            ..*self
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mask::Mask;

    #[test]
    fn far_away_nothing_is_left() {
        let mask = Rle::from_mask(&Mask::rect(5, 4, [1.0, 1.0, 4.0, 4.0]));
        for (dx, dy) in [
            (4, 0),
            (-4, 0),
            (0, 3),
            (0, -4),
            (i64::MAX, 0),
            (0, i64::MIN),
        ] {
            let gone = mask.shifted(dx, dy);
            assert_eq!(
                (gone.is_empty(), gone.runs()),
                (true, &[20][..]),
                "{dx} {dy}"
            );
        }
    }

    proptest! {
        #[test]
        fn each_pixel_goes_as_far(
            width in 1u32..12, height in 1u32..12, seed in any::<u64>(),
            dx in -14i64..14, dy in -14i64..14,
        ) {
            let mask = Mask::from_fn(width, height, |x, y| seed >> ((x * 7 + y * 3) % 64) & 1 == 1);
            let expected = Mask::from_fn(width, height, |x, y| {
                let (from_x, from_y) = (i64::from(x) - dx, i64::from(y) - dy);
                from_x >= 0 && from_y >= 0 && mask.get(from_x as u32, from_y as u32)
            });
            prop_assert_eq!(Rle::from_mask(&mask).shifted(dx, dy), Rle::from_mask(&expected));
        }
    }
}
