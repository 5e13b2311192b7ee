//! Masks as one transparent picture that is laid over the photograph.

use fclm_core::mask::Mask;
use image::{Pixel, Rgba, RgbaImage};

/// Opacity of what a mask covers, of 255; its outline is opaque.
const FILL: u8 = 90;
/// Steps on the circle of hues that keep any number of them apart: the golden angle, in degrees.
const HUE_STEP: f32 = 137.508;

/// A colour of red, green and blue.
pub(super) type Colour = [u8; 3];

/// The colour of pixels that are not counted.
pub(super) const IGNORED: Colour = [128, 128, 128];

/// The colour of the region at a place of the list.
pub(super) fn colour(place: usize) -> Colour {
    let hue = (place as f32 * HUE_STEP) % 360.0;
    let value = [1.0, 0.72][place % 2];
    hsv(hue, 0.85, value)
}

/// Black or white, whichever can be read on a colour.
pub(super) fn ink([red, green, blue]: Colour) -> &'static str {
    let luma = 299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue);
    match luma > 120_000 {
        true => "#000",
        false => "#fff",
    }
}

/// A colour as style sheets write it.
pub(super) fn css([red, green, blue]: Colour) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// The size of a picture whose longer side is brought down to at most `longest` pixels.
pub(crate) fn fitted(width: u32, height: u32, longest: u32) -> (u32, u32) {
    let long = width.max(height);
    if long <= longest {
        return (width, height);
    }
    let scaled = |side: u32| {
        let side = u64::from(side) * u64::from(longest) / u64::from(long);
        (side as u32).max(1)
    };
    (scaled(width), scaled(height))
}

/// A mask at a smaller size. A pixel is set where any of those that it stands for is, so that
/// nothing vanishes.
pub(crate) fn shrunk(mask: &Mask, width: u32, height: u32) -> Mask {
    let scaled =
        |at: u32, from: u32, to: u32| (u64::from(at) * u64::from(to) / u64::from(from)) as u32;
    let mut small = Mask::new(width, height);
    for y in 0..mask.height() {
        for x in 0..mask.width() {
            if mask.get(x, y) {
                let x = scaled(x, mask.width(), width);
                small.set(x, scaled(y, mask.height(), height), true);
            }
        }
    }
    small
}

/// Lays a mask over what is there: half transparent, with an outline.
pub(super) fn paint(overlay: &mut RgbaImage, mask: &Mask, [red, green, blue]: Colour) {
    for (x, y, pixel) in overlay.enumerate_pixels_mut() {
        if mask.get(x, y) {
            let alpha = if is_edge(mask, x, y) { u8::MAX } else { FILL };
            pixel.blend(&Rgba([red, green, blue, alpha]));
        }
    }
}

/// Where a label stands: the pixel of the mask that is nearest to its centroid, in per cent of
/// width and height.
pub(super) fn label_place(mask: &Mask) -> Option<[f32; 2]> {
    let (centre_x, centre_y) = mask.centroid()?;
    let mut nearest: Option<(f32, [f32; 2])> = None;
    for y in 0..mask.height() {
        for x in (0..mask.width()).filter(|&x| mask.get(x, y)) {
            let (at_x, at_y) = (x as f32 + 0.5, y as f32 + 0.5);
            let distance = (at_x - centre_x).powi(2) + (at_y - centre_y).powi(2);
            if nearest.is_none_or(|(least, _)| distance < least) {
                nearest = Some((distance, [at_x, at_y]));
            }
        }
    }
    nearest.map(|(_, [x, y])| {
        [
            100.0 * x / mask.width() as f32,
            100.0 * y / mask.height() as f32,
        ]
    })
}

/// Whether a pixel of a mask has a neighbour that is none.
pub(crate) fn is_edge(mask: &Mask, x: u32, y: u32) -> bool {
    let beside = [
        (x.wrapping_sub(1), y),
        (x + 1, y),
        (x, y.wrapping_sub(1)),
        (x, y + 1),
    ];
    beside.into_iter().any(|(x, y)| !mask.get(x, y))
}

/// Hue in degrees from 0 to 360, saturation and value from 0 to 1.
fn hsv(hue: f32, saturation: f32, value: f32) -> Colour {
    [5.0, 3.0, 1.0].map(|offset: f32| {
        let k = (offset + hue / 60.0) % 6.0;
        let channel = value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0);
        (channel * 255.0).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_told_apart() {
        assert_eq!(hsv(0.0, 1.0, 1.0), [255, 0, 0]);
        assert_eq!(hsv(120.0, 1.0, 0.4), [0, 102, 0]);
        assert_eq!(hsv(240.0, 0.0, 1.0), [255, 255, 255]);
        let colours: Vec<Colour> = (0..24).map(colour).collect();
        for (place, a) in colours.iter().enumerate() {
            for b in &colours[..place] {
                let apart: u32 = a
                    .iter()
                    .zip(b)
                    .map(|(a, b)| u32::from(a.abs_diff(*b)))
                    .sum();
                assert!(apart > 20, "{a:?} and {b:?}");
            }
        }
        assert_eq!((ink([255, 255, 0]), ink([0, 0, 200])), ("#000", "#fff"));
        assert_eq!(css([0, 10, 255]), "#000aff");
    }

    #[test]
    fn only_large_pictures_shrink() {
        assert_eq!(fitted(640, 480, 640), (640, 480));
        assert_eq!(fitted(1280, 960, 640), (640, 480));
        assert_eq!(fitted(300, 6000, 640), (32, 640));
        assert_eq!(fitted(1, 6000, 640), (1, 640));
    }

    #[test]
    fn a_single_pixel_stays() {
        let mask = Mask::rect(1000, 10, [999.0, 7.0, 1000.0, 8.0]);
        let small = shrunk(&mask, 100, 1);
        assert_eq!(small.pixel_bounds(), Some([99, 0, 100, 1]));
        assert_eq!(shrunk(&mask, 1000, 10), mask);
    }

    #[test]
    fn fills_are_transparent_and_outlines_are_not() {
        let mut overlay = RgbaImage::new(5, 5);
        paint(
            &mut overlay,
            &Mask::rect(5, 5, [0.0, 0.0, 4.0, 5.0]),
            [200, 0, 0],
        );
        assert_eq!(overlay.get_pixel(0, 2).0, [200, 0, 0, 255]);
        assert_eq!(overlay.get_pixel(3, 2).0, [200, 0, 0, 255]);
        assert_eq!(overlay.get_pixel(4, 2).0, [0, 0, 0, 0]);
        let [red, green, _, alpha] = overlay.get_pixel(1, 1).0;
        assert!(red.abs_diff(200) <= 1 && green == 0, "{red} {green}");
        assert!(alpha.abs_diff(FILL) <= 1, "{alpha}");
    }

    #[test]
    fn labels_stand_inside() {
        let ring = Mask::from_fn(9, 9, |x, y| x == 0 || y == 0 || x == 8 || y == 8);
        let [left, top] = label_place(&ring).unwrap();
        let (x, y) = ((left * 0.09) as u32, (top * 0.09) as u32);
        assert!(ring.get(x, y), "{left} {top}");
        let whole = Mask::rect(4, 2, [0.0, 0.0, 1.0, 1.0]);
        assert_eq!(label_place(&whole), Some([12.5, 25.0]));
        assert_eq!(label_place(&Mask::new(4, 4)), None);
    }
}
