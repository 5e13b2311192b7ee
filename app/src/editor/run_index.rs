use fclm_core::mask::Mask;

/// Answers "is this pixel in the mask" from run ends alone, so that hovering over many masks
/// keeps no bitmap of any of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunIndex {
    width: u32,
    height: u32,
    // Column-major positions at which the mask changes, background first.
    ends: Vec<u32>,
}

impl RunIndex {
    /// The index of a mask.
    pub fn new(mask: &Mask) -> Self {
        let (width, height) = (mask.width(), mask.height());
        let data = mask.data();
        let mut ends = Vec::new();
        let mut inside = 0u8;
        for x in 0..width {
            for y in 0..height {
                let value = data[y as usize * width as usize + x as usize];
                if value != inside {
                    ends.push(x * height + y);
                    inside = value;
                }
            }
        }
        Self {
            width,
            height,
            ends,
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
    use super::*;

    #[test]
    fn it_agrees_with_the_bitmap() {
        let mask = Mask::from_fn(9, 7, |x, y| (x * 5 + y * 3) % 4 == 1 || (x > 5 && y < 3));
        let index = RunIndex::new(&mask);
        for y in 0..7 {
            for x in 0..9 {
                let inside = index.contains(f64::from(x) + 0.7, f64::from(y) + 0.2);
                assert_eq!(inside, mask.get(x, y), "{x} {y}");
            }
        }
    }

    #[test]
    fn nothing_is_inside_beyond_the_edges() {
        let index = RunIndex::new(&Mask::from_fn(3, 3, |_, _| true));
        assert!(index.contains(2.9, 2.9));
        for (x, y) in [(-0.1, 1.0), (3.0, 1.0), (1.0, 3.0), (f64::NAN, 1.0)] {
            assert!(!index.contains(x, y));
        }
    }
}
