//! Growing, shrinking, filling and stretching masks.

use super::Mask;

impl Mask {
    /// The pixels that lie within `radius` pixels, centre to centre, of a set one: dilation with
    /// a disc.
    pub fn grown(&self, radius: u32) -> Self {
        let Some(bounds) = self.pixel_bounds() else {
            return self.clone();
        };
        let [x0, y0, x1, y1] = self.padded(bounds, radius);
        let part = self.crop(x0, y0, x1, y1).dilated(radius);
        let mut grown = Self::new(self.width(), self.height());
        grown.paste(&part, i64::from(x0), i64::from(y0));
        grown
    }

    /// The pixels that have no clear one within `radius` pixels: erosion with a disc. What lies
    /// beyond the picture's edges takes nothing away.
    pub fn shrunk(&self, radius: u32) -> Self {
        let Some(bounds) = self.pixel_bounds() else {
            return self.clone();
        };
        // One pixel around is enough: the way to any clear pixel further off leads past it.
        let [x0, y0, x1, y1] = self.padded(bounds, 1);
        let mut part = self.crop(x0, y0, x1, y1);
        part.invert();
        let mut part = part.dilated(radius);
        part.invert();
        let mut shrunk = Self::new(self.width(), self.height());
        shrunk.paste(&part, i64::from(x0), i64::from(y0));
        shrunk
    }

    /// The mask with its holes: clear pixels from which no path over clear neighbours (left,
    /// right, above, below) leads to the picture's edge are set.
    pub fn filled(&self) -> Self {
        let Some(bounds) = self.pixel_bounds() else {
            return self.clone();
        };
        let [x0, y0, x1, y1] = self.padded(bounds, 1);
        let part = self.crop(x0, y0, x1, y1);
        let (width, height) = (part.width(), part.height());
        let mut outside = Self::new(width, height);
        let mut waiting = Vec::new();
        let mut reach = |x: u32, y: u32, waiting: &mut Vec<(u32, u32)>| {
            if x < width && y < height && !part.get(x, y) && !outside.get(x, y) {
                outside.set(x, y, true);
                waiting.push((x, y));
            }
        };
        for x in 0..width {
            reach(x, 0, &mut waiting);
            reach(x, height - 1, &mut waiting);
        }
        for y in 0..height {
            reach(0, y, &mut waiting);
            reach(width - 1, y, &mut waiting);
        }
        while let Some((x, y)) = waiting.pop() {
            // What wraps around at zero lies outside as well.
            reach(x.wrapping_sub(1), y, &mut waiting);
            reach(x + 1, y, &mut waiting);
            reach(x, y.wrapping_sub(1), &mut waiting);
            reach(x, y + 1, &mut waiting);
        }
        outside.invert();
        let mut filled = Self::new(self.width(), self.height());
        filled.paste(&outside, i64::from(x0), i64::from(y0));
        filled
    }

    /// The mask with its tight box stretched to `to`, half-open and clipped to the picture, by the
    /// nearest pixels; unchanged where one of the two has no pixels.
    pub fn stretched(&self, [x0, y0, x1, y1]: [u32; 4]) -> Self {
        let Some([left, top, right, bottom]) = self.pixel_bounds() else {
            return self.clone();
        };
        if x0 >= x1.min(self.width()) || y0 >= y1.min(self.height()) {
            return self.clone();
        }
        let source = |at: u32, start: u32, end: u32, low: u32, high: u32| {
            let share = (f64::from(at - start) + 0.5) / f64::from(end - start);
            low + ((share * f64::from(high - low)) as u32).min(high - low - 1)
        };
        Self::from_fn(self.width(), self.height(), |x, y| {
            (x0..x1).contains(&x)
                && (y0..y1).contains(&y)
                && self.get(
                    source(x, x0, x1, left, right),
                    source(y, y0, y1, top, bottom),
                )
        })
    }

    fn padded(&self, [x0, y0, x1, y1]: [u32; 4], by: u32) -> [u32; 4] {
        [
            x0.saturating_sub(by),
            y0.saturating_sub(by),
            x1.saturating_add(by).min(self.width()),
            y1.saturating_add(by).min(self.height()),
        ]
    }

    /// Sets the pixels of a part that lies with its upper left corner at `(x, y)`.
    fn paste(&mut self, part: &Self, x: i64, y: i64) {
        for row in 0..part.height() {
            let to_y = i64::from(row) + y;
            for column in 0..part.width() {
                let to_x = i64::from(column) + x;
                let is_inside = (0..i64::from(self.width())).contains(&to_x)
                    && (0..i64::from(self.height())).contains(&to_y);
                if is_inside && part.get(column, row) {
                    self.set(to_x as u32, to_y as u32, true);
                }
            }
        }
    }

    /// Dilation within the mask's own size: how far each pixel is from a set one in its row, and
    /// then, row by row of the disc, whether that is near enough.
    fn dilated(&self, radius: u32) -> Self {
        let (width, height) = (self.width() as usize, self.height() as usize);
        let far = self.width().saturating_add(radius).saturating_add(1);
        let mut distances = vec![far; width * height];
        for (row, near) in self
            .data()
            .chunks_exact(width)
            .zip(distances.chunks_exact_mut(width))
        {
            let mut last = far;
            for (&value, distance) in row.iter().zip(near.iter_mut()) {
                last = if value != 0 {
                    0
                } else {
                    last.saturating_add(1)
                };
                *distance = last.min(far);
            }
            let mut next = far;
            for (&value, distance) in row.iter().zip(near.iter_mut()).rev() {
                next = if value != 0 {
                    0
                } else {
                    next.saturating_add(1)
                };
                *distance = next.min(*distance);
            }
        }
        let mut data = vec![0u8; width * height];
        let radius = i64::from(radius);
        for dy in -radius..=radius {
            let reach = ((radius * radius - dy * dy) as f64).sqrt() as u32;
            for y in 0..height as i64 {
                let from = y + dy;
                if !(0..height as i64).contains(&from) {
                    continue;
                }
                let near = &distances[from as usize * width..][..width];
                let out = &mut data[y as usize * width..][..width];
                for (value, &distance) in out.iter_mut().zip(near) {
                    *value |= u8::from(distance <= reach);
                }
            }
        }
        Self::from_data(self.width(), self.height(), data)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(mask: &Mask) -> Vec<String> {
        let row = |y| {
            (0..mask.width())
                .map(|x| if mask.get(x, y) { '#' } else { '.' })
                .collect()
        };
        (0..mask.height()).map(row).collect()
    }

    fn noise(width: u32, height: u32, seed: u64, one_in: u64) -> Mask {
        Mask::from_fn(width, height, |x, y| {
            let mixed = ((u64::from(x) << 32) | u64::from(y)) ^ seed;
            mixed
                .wrapping_mul(0x9E37_79B9_7F4A_7C15)
                .rotate_left(23)
                .is_multiple_of(one_in)
        })
    }

    #[test]
    fn a_pixel_grows_to_a_disc_and_shrinks_back() {
        let dot = Mask::from_fn(5, 5, |x, y| (x, y) == (2, 2));
        let disc = dot.grown(1);
        assert_eq!(rows(&disc), [".....", "..#..", ".###.", "..#..", "....."]);
        assert_eq!(disc.shrunk(1), dot);
        assert!(dot.shrunk(1).is_empty());
    }

    #[test]
    fn the_edge_of_the_picture_takes_nothing_away() {
        let whole = Mask::from_fn(4, 3, |_, _| true);
        assert_eq!(whole.shrunk(2), whole);
        let half = Mask::from_fn(4, 1, |x, _| x < 2);
        assert_eq!(rows(&half.shrunk(1)), ["#..."]);
    }

    #[test]
    fn holes_are_filled_and_bays_are_not() {
        let ring = Mask::from_fn(5, 4, |x, y| {
            (1..4).contains(&x) && y < 3 && (x, y) != (2, 1)
        });
        assert_eq!(rows(&ring.filled()), [".###.", ".###.", ".###.", "....."]);
        let bay = Mask::from_fn(5, 3, |x, y| {
            (1..4).contains(&x) && (x, y) != (2, 1) && (x, y) != (2, 0)
        });
        assert_eq!(bay.filled(), bay);
    }

    #[test]
    fn boxes_are_stretched() {
        let mask = Mask::rect(8, 6, [1.0, 1.0, 3.0, 3.0]);
        assert_eq!(
            mask.stretched([1, 1, 5, 4]),
            Mask::rect(8, 6, [1.0, 1.0, 5.0, 4.0])
        );
        assert_eq!(mask.stretched([3, 3, 3, 3]), mask);
    }

    proptest! {
        #[test]
        fn growing_agrees_with_brute_force(
            width in 1u32..20, height in 1u32..20, seed in any::<u64>(), radius in 0u32..6,
        ) {
            let mask = noise(width, height, seed, 11);
            let near = |x: u32, y: u32| (0..height).any(|v| (0..width).any(|u| {
                mask.get(u, v)
                    && x.abs_diff(u).pow(2) + y.abs_diff(v).pow(2) <= radius.pow(2)
            }));
            prop_assert_eq!(mask.grown(radius), Mask::from_fn(width, height, near));
        }

        #[test]
        fn shrinking_is_growing_of_the_rest(
            width in 1u32..20, height in 1u32..20, seed in any::<u64>(), radius in 0u32..4,
        ) {
            let mut mask = noise(width, height, seed, 3);
            let shrunk = mask.shrunk(radius);
            mask.invert();
            let mut grown = mask.grown(radius);
            grown.invert();
            prop_assert_eq!(shrunk, grown);
        }

        #[test]
        fn filling_keeps_what_is_set_and_is_done_once(
            width in 1u32..16, height in 1u32..16, seed in any::<u64>(),
        ) {
            let mask = noise(width, height, seed, 2);
            let filled = mask.filled();
            prop_assert_eq!(mask.intersection_and_union(&filled).0, mask.area());
            prop_assert_eq!(filled.filled(), filled);
        }
    }
}
