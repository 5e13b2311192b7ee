//! An image as the encoder wants it, and coordinates in that image.
//!
//! Source: `segment_anything/utils/transforms.py` and `Sam.preprocess`.

use image::{Rgb, RgbImage};

use super::SamConfig;
use crate::image::resize_bilinear;

const PIXEL_MEAN: [f32; 3] = [123.675, 116.28, 103.53];
pub(super) const PIXEL_STD: [f32; 3] = [58.395, 57.12, 57.375];

/// An image scaled to the encoder's input, normalised and zero-padded right and below.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// Values `[3, size, size]`.
    pub pixels: Vec<f32>,
    /// Rows that hold the image; those below are padding.
    pub input_h: usize,
    /// Columns that hold the image; those to the right are padding.
    pub input_w: usize,
}

/// Height and width of an image once its longest side fills the input.
pub fn input_size(height: usize, width: usize, image_size: usize) -> [usize; 2] {
    let scale = image_size as f64 / height.max(width) as f64;
    [height, width].map(|side| ((side as f64 * scale + 0.5) as usize).max(1))
}

/// Scales, normalises and pads an image.
pub fn preprocess(image: &RgbImage, config: &SamConfig) -> Prepared {
    let size = config.image_size;
    let (width, height) = image.dimensions();
    let [input_h, input_w] = input_size(height as usize, width as usize, size);
    let resized = resize_bilinear(image, input_w as u32, input_h as u32);

    let plane = size * size;
    let mut pixels = vec![0.0; 3 * plane];
    for (x, y, pixel) in resized.enumerate_pixels() {
        let index = y as usize * size + x as usize;
        for channel in 0..3 {
            pixels[channel * plane + index] =
                (f32::from(pixel[channel]) - PIXEL_MEAN[channel]) / PIXEL_STD[channel];
        }
    }
    Prepared {
        pixels,
        input_h,
        input_w,
    }
}

/// The image behind the `[3, size, size]` values that [`preprocess`] has made, as the encoder sees
/// it, without the padding: the given rows and columns.
pub fn denormalize(pixels: &[f32], size: usize, [rows, columns]: [usize; 2]) -> RgbImage {
    RgbImage::from_fn(columns as u32, rows as u32, |x, y| {
        let index = y as usize * size + x as usize;
        Rgb([0, 1, 2].map(|channel| {
            let value = pixels.get(channel * size * size + index);
            let value = value.copied().unwrap_or_default();
            (value * PIXEL_STD[channel] + PIXEL_MEAN[channel]).round() as u8
        }))
    })
}

/// Moves points (x, y) from pixels of the original image, given as height and width, to pixels of
/// the encoder's input.
pub fn to_input_coords(
    points: &[[f32; 2]],
    original: [usize; 2],
    image_size: usize,
) -> Vec<[f32; 2]> {
    let [height, width] = original;
    let [input_h, input_w] = input_size(height, width, image_size);
    let scale_x = input_w as f64 / width as f64;
    let scale_y = input_h as f64 / height as f64;
    points
        .iter()
        .map(|&[x, y]| {
            [
                (f64::from(x) * scale_x) as f32,
                (f64::from(y) * scale_y) as f32,
            ]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longest_side_fills_the_input() {
        assert_eq!(input_size(200, 310, 224), [145, 224]);
        assert_eq!(input_size(260, 121, 224), [224, 104]);
        assert_eq!(input_size(1, 5000, 1024), [1, 1024]);
    }

    /// Literals from Pillow 13.0.0, which resizes a picture of 2:3 across before down; one of 1:3
    /// would be the other way round.
    #[test]
    fn upright_pictures_are_shrunk_as_by_pillow() {
        let image = RgbImage::from_fn(4, 6, |x, y| {
            image::Rgb([0, 1, 2].map(|c| ((x * 37 + y * 59 + c * 101) % 256) as u8))
        });
        let config = SamConfig {
            image_size: 3,
            patch_size: 1,
            ..SamConfig::vit_b()
        };
        let prepared = preprocess(&image, &config);
        assert_eq!((prepared.input_h, prepared.input_w), (3, 2));
        let expected = [
            [[68u8, 148, 108], [127, 144, 89]],
            [[155, 92, 115], [159, 96, 151]],
            [[107, 124, 147], [103, 183, 80]],
        ];
        for (y, row) in expected.iter().enumerate() {
            for (x, pixel) in row.iter().enumerate() {
                for (channel, &value) in pixel.iter().enumerate() {
                    let value = (f32::from(value) - PIXEL_MEAN[channel]) / PIXEL_STD[channel];
                    assert_eq!(prepared.pixels[channel * 9 + y * 3 + x], value);
                }
                // What is to the right of the picture is padding.
                assert_eq!(prepared.pixels[y * 3 + 2], 0.0);
            }
        }
        let image = denormalize(&prepared.pixels, 3, [prepared.input_h, prepared.input_w]);
        assert_eq!(image.dimensions(), (2, 3));
        assert_eq!(image.into_raw(), expected.as_flattened().as_flattened());
    }

    #[test]
    fn corners_go_to_corners() {
        let moved = to_input_coords(&[[0.0, 0.0], [310.0, 200.0]], [200, 310], 224);
        assert_eq!(moved, [[0.0, 0.0], [224.0, 145.0]]);
    }
}
