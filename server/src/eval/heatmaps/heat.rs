//! Attention over a picture, as figures and as colours.

use fclm_core::mask::Mask;
use image::{Rgb, RgbImage};

use crate::data::look::overlay::is_edge;

/// Dark to bright, evenly to the eye: five colours of Matplotlib's inferno.
const COLOURS: [[f32; 3]; 5] = [
    [0.0, 0.0, 4.0],
    [87.0, 16.0, 110.0],
    [188.0, 55.0, 84.0],
    [249.0, 142.0, 9.0],
    [252.0, 255.0, 164.0],
];
/// What is left of the picture's own brightness below the colours.
const PICTURE: f32 = 0.45;
/// How much of the brightest colour covers the picture.
const COVER: f32 = 0.85;

/// Attention over a picture, in rows from the top left; it adds up to one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Heat {
    width: u32,
    values: Vec<f32>,
}

impl Heat {
    /// Attention of any sum.
    ///
    /// # Panics
    /// Where there are not as many values as pixels.
    pub(super) fn new((width, height): (u32, u32), mut values: Vec<f32>) -> Self {
        assert_eq!(
            values.len(),
            width as usize * height as usize,
            "one value a pixel"
        );
        let sum: f64 = values.iter().map(|&value| f64::from(value)).sum();
        if sum > 0.0 {
            let scale = (1.0 / sum) as f32;
            values.iter_mut().for_each(|value| *value *= scale);
        }
        Self { width, values }
    }

    /// The share of it that lies in a mask of its size.
    pub(super) fn inside(&self, mask: &Mask) -> f64 {
        let pixels = self.values.iter().zip(mask.data());
        let inside = pixels.filter(|&(_, &inside)| inside != 0);
        inside.map(|(&value, _)| f64::from(value)).sum()
    }

    /// The share that it has in common with another of its size: 1 where both look alike, 0 where
    /// they look at different places.
    pub(super) fn common(&self, other: &Self) -> f64 {
        let pixels = self.values.iter().zip(&other.values);
        pixels.map(|(a, b)| f64::from(a.min(*b))).sum()
    }

    /// The attention in colours over a grey picture of its size, with the outline of a mask. The
    /// brightest colour is that of the pixel that is looked at most.
    pub(super) fn over(&self, picture: &RgbImage, mask: &Mask) -> RgbImage {
        let most = self
            .values
            .iter()
            .copied()
            .fold(f32::MIN_POSITIVE, f32::max);
        RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
            if mask.get(x, y) && is_edge(mask, x, y) {
                return Rgb([255; 3]);
            }
            let [red, green, blue] = picture.get_pixel(x, y).0.map(f32::from);
            let grey = PICTURE * (0.299 * red + 0.587 * green + 0.114 * blue);
            // The root shows what is looked at a little.
            let share = (self.values[(y * self.width + x) as usize] / most).sqrt();
            let cover = COVER * share;
            Rgb(colour(share).map(|channel| {
                (grey * (1.0 - cover) + channel * cover)
                    .round()
                    .clamp(0.0, 255.0) as u8
            }))
        })
    }
}

/// The colour of a share from 0 to 1.
fn colour(share: f32) -> [f32; 3] {
    let place = share.clamp(0.0, 1.0) * (COLOURS.len() - 1) as f32;
    let below = (place as usize).min(COLOURS.len() - 2);
    let part = place - below as f32;
    let [from, to] = [COLOURS[below], COLOURS[below + 1]];
    [0, 1, 2].map(|channel| from[channel] * (1.0 - part) + to[channel] * part)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four pixels by two, all of it in the first row.
    fn heat(first_row: [f32; 4]) -> Heat {
        Heat::new((4, 2), [first_row, [0.0; 4]].concat())
    }

    #[test]
    fn shares_by_hand() {
        let (left, right) = (heat([6.0, 2.0, 0.0, 0.0]), heat([0.0, 1.0, 3.0, 0.0]));
        let first_column = Mask::rect(4, 2, [0.0, 0.0, 1.0, 2.0]);
        assert_eq!(left.inside(&first_column), 0.75);
        assert_eq!(right.inside(&first_column), 0.0);
        assert_eq!(left.common(&right), 0.25);
        assert_eq!(left.common(&left), 1.0);
        let nowhere = heat([0.0; 4]);
        assert_eq!(nowhere.inside(&first_column), 0.0);
    }

    #[test]
    fn what_is_looked_at_is_bright_and_the_rest_a_darker_grey() {
        let picture = RgbImage::from_pixel(4, 2, Rgb([200, 200, 200]));
        let drawn = heat([4.0, 0.0, 1.0, 0.0]).over(&picture, &Mask::new(4, 2));
        let pixel = |x: u32| drawn.get_pixel(x, 0).0.map(f32::from);
        // 0.45 of 200 is 90; the brightest colour covers it by 0.85.
        let expected = [252.0, 255.0, 164.0].map(|channel: f32| (13.5 + 0.85 * channel).round());
        assert_eq!(pixel(0), expected);
        assert_eq!(pixel(1), [90.0; 3]);
        assert_eq!(drawn.get_pixel(0, 1).0, [90; 3]);
        // A quarter of the attention has the colour in the middle, by half as much.
        let middle = [188.0, 55.0, 84.0].map(|channel: f32| 90.0 * 0.575 + channel * 0.425);
        for (found, expected) in pixel(2).into_iter().zip(middle) {
            assert!((found - expected).abs() <= 1.0, "{found} {expected}");
        }
    }

    #[test]
    fn the_region_has_a_white_outline() {
        let picture = RgbImage::from_pixel(6, 6, Rgb([0, 0, 0]));
        let heat = Heat::new((6, 6), vec![0.0; 36]);
        let drawn = heat.over(&picture, &Mask::rect(6, 6, [1.0, 1.0, 5.0, 5.0]));
        assert_eq!(drawn.get_pixel(1, 3).0, [255; 3]);
        assert_eq!(drawn.get_pixel(2, 2).0, [0; 3]);
        assert_eq!(drawn.get_pixel(0, 0).0, [0; 3]);
    }

    #[test]
    fn colours_run_from_the_first_to_the_last() {
        assert_eq!(colour(0.0), COLOURS[0]);
        assert_eq!(colour(0.25), COLOURS[1]);
        assert_eq!(colour(1.0), COLOURS[4]);
    }
}
