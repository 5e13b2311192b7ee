use fclm_core::mask::Mask;

use super::PointXy;

/// A rectangle of pixels, half-open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelRect {
    /// First column.
    pub x0: u32,
    /// First row.
    pub y0: u32,
    /// One past the last column.
    pub x1: u32,
    /// One past the last row.
    pub y1: u32,
}

impl PixelRect {
    /// How many pixels it holds.
    pub fn area(self) -> u64 {
        u64::from(self.x1 - self.x0) * u64::from(self.y1 - self.y0)
    }

    /// The smallest rectangle around both.
    pub fn union(self, other: Self) -> Self {
        Self {
            x0: self.x0.min(other.x0),
            y0: self.y0.min(other.y0),
            x1: self.x1.max(other.x1),
            y1: self.y1.max(other.y1),
        }
    }
}

/// What a stroke does to pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// They are in the mask.
    Set,
    /// They are not.
    Clear,
}

/// The bitmap under a running stroke. Each step says which pixels it may have changed, so that
/// only those are painted again; the RLE is made once, when the stroke ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raster {
    mask: Mask,
}

impl Raster {
    /// An empty bitmap.
    pub fn new(width: u32, height: u32) -> Self {
        Self::from_mask(Mask::new(width, height))
    }

    /// A mask's pixels.
    pub fn from_mask(mask: Mask) -> Self {
        Self { mask }
    }

    /// The pixels as a mask.
    pub fn into_mask(self) -> Mask {
        self.mask
    }

    /// The tight rectangle around the set pixels; none where no pixel is set.
    pub fn bounds(&self) -> Option<PixelRect> {
        let [x0, y0, x1, y1] = self.mask.pixel_bounds()?;
        Some(PixelRect { x0, y0, x1, y1 })
    }

    /// The pixels under `columns` by `rows` points, row by row, that begin at `first` and are
    /// `step` apart; points off the image are not set.
    pub fn sampled(&self, first: PointXy, step: f64, columns: u32, rows: u32) -> Vec<u8> {
        let places = |first: f64, count: u32, end: u32| -> Vec<Option<usize>> {
            let place = |index: u32| first + f64::from(index) * step;
            (0..count)
                .map(place)
                .map(|at| (0.0..f64::from(end)).contains(&at).then_some(at as usize))
                .collect()
        };
        let across = places(first.0, columns, self.mask.width());
        let down = places(first.1, rows, self.mask.height());
        let width = self.mask.width() as usize;
        let mut samples = Vec::with_capacity(across.len() * down.len());
        for y in down {
            let row = y.map(|y| &self.mask.data()[y * width..][..width]);
            let values = across.iter().map(|x| match (row, x) {
                (Some(row), Some(x)) => row[*x],
                _ => 0,
            });
            samples.extend(values);
        }
        samples
    }

    /// Sets or clears all pixels whose centre is within `radius` of the line
    /// from `from` to `to`; the answer is the rectangle that this touches, if any. A stroke too
    /// thin to meet a pixel centre still takes the pixel under its end.
    pub fn stroke(
        &mut self,
        from: PointXy,
        to: PointXy,
        radius: f64,
        ink: Ink,
    ) -> Option<PixelRect> {
        let rect = self.touched(from, to, radius)?;
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length_squared = dx * dx + dy * dy;
        for y in rect.y0..rect.y1 {
            let cy = f64::from(y) + 0.5 - from.1;
            for x in rect.x0..rect.x1 {
                let cx = f64::from(x) + 0.5 - from.0;
                let along = if length_squared > 0.0 {
                    ((cx * dx + cy * dy) / length_squared).clamp(0.0, 1.0)
                } else {
                    0.0
                };
                let (ex, ey) = (cx - along * dx, cy - along * dy);
                if ex * ex + ey * ey <= radius * radius {
                    self.mask.set(x, y, ink == Ink::Set);
                }
            }
        }
        if to.0 >= 0.0 && to.1 >= 0.0 {
            let (x, y) = (to.0 as u32, to.1 as u32);
            if x < self.mask.width() && y < self.mask.height() {
                self.mask.set(x, y, ink == Ink::Set);
            }
        }
        Some(rect)
    }

    fn touched(&self, from: PointXy, to: PointXy, radius: f64) -> Option<PixelRect> {
        // `max` and `min` would drop a NaN and leave the image's edge in its place.
        if [from.0, from.1, to.0, to.1]
            .iter()
            .any(|value| value.is_nan())
        {
            return None;
        }
        let low = |a: f64, b: f64| (a.min(b) - radius).floor().max(0.0);
        let high = |a: f64, b: f64, end: u32| (a.max(b) + radius).ceil().min(f64::from(end));
        let (x0, y0) = (low(from.0, to.0), low(from.1, to.1));
        let (x1, y1) = (
            high(from.0, to.0, self.mask.width()),
            high(from.1, to.1, self.mask.height()),
        );
        (x0 < x1 && y0 < y1).then_some(PixelRect {
            x0: x0 as u32,
            y0: y0 as u32,
            x1: x1 as u32,
            y1: y1 as u32,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(raster: &Raster) -> Vec<String> {
        raster
            .mask
            .data()
            .chunks(raster.mask.width() as usize)
            .map(|row| {
                row.iter()
                    .map(|&v| if v == 1 { '#' } else { '.' })
                    .collect()
            })
            .collect()
    }

    #[test]
    fn a_dot_is_a_disc() {
        let mut raster = Raster::new(5, 5);
        let rect = raster.stroke((2.5, 2.5), (2.5, 2.5), 1.5, Ink::Set);
        assert_eq!(
            rect,
            Some(PixelRect {
                x0: 1,
                y0: 1,
                x1: 4,
                y1: 4
            })
        );
        assert_eq!(rows(&raster), [".....", ".###.", ".###.", ".###.", "....."]);
    }

    #[test]
    fn a_line_has_no_gaps_and_the_eraser_takes_it_back() {
        let mut raster = Raster::new(8, 3);
        raster.stroke((0.5, 1.5), (7.5, 1.5), 0.6, Ink::Set);
        assert_eq!(rows(&raster), ["........", "########", "........"]);
        raster.stroke((3.5, 1.5), (4.5, 1.5), 0.6, Ink::Clear);
        assert_eq!(rows(&raster)[1], "###..###");
    }

    #[test]
    fn a_hair_still_marks_its_pixel() {
        let mut raster = Raster::new(3, 3);
        raster.stroke((1.1, 1.1), (1.1, 1.1), 0.1, Ink::Set);
        assert_eq!(rows(&raster), ["...", ".#.", "..."]);
    }

    #[test]
    fn samples_are_the_pixels_under_points() {
        let mut raster = Raster::new(3, 2);
        raster.stroke((1.5, 0.5), (1.5, 0.5), 0.1, Ink::Set);
        // Half a pixel apart, from half a pixel off the left edge on.
        let samples = raster.sampled((-0.25, 0.25), 0.5, 6, 3);
        let expected = [
            [0, 0, 0, 1, 1, 0], //
            [0, 0, 0, 1, 1, 0],
            [0, 0, 0, 0, 0, 0],
        ];
        assert_eq!(samples, expected.concat());
        assert_eq!(raster.sampled((0.5, 1.5), 1.0, 2, 2), [0, 0, 0, 0]);
    }

    #[test]
    fn bounds_are_tight() {
        let mut raster = Raster::new(7, 5);
        assert_eq!(raster.bounds(), None);
        raster.stroke((2.5, 1.5), (2.5, 1.5), 0.1, Ink::Set);
        raster.stroke((5.5, 3.5), (5.5, 3.5), 0.1, Ink::Set);
        let expected = PixelRect {
            x0: 2,
            y0: 1,
            x1: 6,
            y1: 4,
        };
        assert_eq!(raster.bounds(), Some(expected));
        let one = PixelRect {
            x0: 0,
            y0: 2,
            x1: 3,
            y1: 3,
        };
        let both = PixelRect {
            x0: 0,
            y0: 1,
            x1: 6,
            y1: 4,
        };
        assert_eq!(expected.union(one), both);
    }

    #[test]
    fn outside_the_image_nothing_is_touched() {
        let mut raster = Raster::new(4, 4);
        assert_eq!(
            raster.stroke((-9.0, -9.0), (-5.0, -5.0), 2.0, Ink::Set),
            None
        );
        assert_eq!(
            raster.stroke((f64::NAN, 0.0), (f64::NAN, 0.0), 2.0, Ink::Set),
            None
        );
        assert!(raster.mask.data().iter().all(|&v| v == 0));
    }

    #[test]
    fn a_mask_survives_the_round_trip() {
        let mut raster = Raster::new(7, 5);
        raster.stroke((1.0, 1.0), (5.0, 3.0), 1.2, Ink::Set);
        assert_eq!(Raster::from_mask(raster.clone().into_mask()), raster);
    }
}
