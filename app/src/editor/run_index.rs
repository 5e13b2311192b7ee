use fclm_core::mask::Rle;

/// Answers "is this pixel in the mask" from run ends alone, so that hovering over many masks
/// keeps no bitmap of any of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunIndex {
    width: u32,
    height: u32,
    // Column-major positions at which the runs end, background first.
    ends: Vec<u32>,
}

impl RunIndex {
    /// The index of a mask.
    pub fn new(rle: &Rle) -> Self {
        let mut position = 0;
        let ends = rle.runs().iter().map(|run| {
            position += run;
            position
        });
        Self {
            ends: ends.collect(),
            width: rle.width(),
            height: rle.height(),
        }
    }

    /// Whether the pixel is in the mask; pixels off the image are not.
    pub fn contains(&self, x: f64, y: f64) -> bool {
        if !(x >= 0.0 && y >= 0.0 && x < f64::from(self.width) && y < f64::from(self.height)) {
            return false;
        }
        let position = x as u32 * self.height + y as u32;
        self.ends.partition_point(|&end| end <= position) % 2 == 1
    }
}

#[cfg(test)]
mod tests {
    use fclm_core::mask::Mask;

    use super::*;

    #[test]
    fn it_agrees_with_the_bitmap() {
        let mask = Mask::from_fn(9, 7, |x, y| (x * 5 + y * 3) % 4 == 1 || (x > 5 && y < 3));
        let index = RunIndex::new(&Rle::from_mask(&mask));
        for y in 0..7 {
            for x in 0..9 {
                let inside = index.contains(f64::from(x) + 0.7, f64::from(y) + 0.2);
                assert_eq!(inside, mask.get(x, y), "{x} {y}");
            }
        }
    }

    #[test]
    fn runs_of_length_zero_change_nothing() {
        let rle = Rle::new(2, 3, vec![0, 1, 0, 1, 4]).expect("they cover the mask");
        let index = RunIndex::new(&rle);
        let column: Vec<bool> = (0..3).map(|y| index.contains(0.5, f64::from(y))).collect();
        assert_eq!(column, [true, true, false]);
        assert!(!index.contains(1.5, 0.5));
    }

    #[test]
    fn nothing_is_inside_beyond_the_edges() {
        let index = RunIndex::new(&Rle::from_mask(&Mask::from_fn(3, 3, |_, _| true)));
        assert!(index.contains(2.9, 2.9));
        for (x, y) in [(-0.1, 1.0), (3.0, 1.0), (1.0, 3.0), (f64::NAN, 1.0)] {
            assert!(!index.contains(x, y));
        }
    }
}
