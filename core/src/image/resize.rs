use std::borrow::Cow;

use image::RgbImage;

/// Bits behind the point of a weight, as Pillow has them for 8-bit channels.
const PRECISION: u32 = 32 - 8 - 2;
const HALF: i32 = 1 << (PRECISION - 1);
const CHANNELS: usize = 3;

/// Resizes with a triangle filter, widened when shrinking: bit for bit Pillow's
/// `resize((width, height), Resampling.BILINEAR)`.
///
/// # Panics
/// If a side of the input or of the output is zero.
pub fn resize_bilinear(image: &RgbImage, width: u32, height: u32) -> RgbImage {
    resize(image, width, height, &BILINEAR)
}

/// Resizes with a cubic filter (`a = -0.5`), widened when shrinking: bit for bit Pillow's
/// `resize((width, height), Resampling.BICUBIC)`.
///
/// # Panics
/// If a side of the input or of the output is zero.
pub fn resize_bicubic(image: &RgbImage, width: u32, height: u32) -> RgbImage {
    resize(image, width, height, &BICUBIC)
}

struct Filter {
    support: f64,
    weight: fn(f64) -> f64,
}

const BILINEAR: Filter = Filter {
    support: 1.0,
    weight: |x| (1.0 - x.abs()).max(0.0),
};

const BICUBIC: Filter = Filter {
    support: 2.0,
    weight: |x| {
        const A: f64 = -0.5;
        let x = x.abs();
        if x < 1.0 {
            ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
        } else if x < 2.0 {
            (((x - 5.0) * x + 8.0) * x - 4.0) * A
        } else {
            0.0
        }
    },
};

/// The input cells that make up one output cell.
struct Window {
    first: usize,
    weights: Vec<i32>,
}

/// Two passes with 8 bits between them, as
/// [`Resample.c`](https://github.com/python-pillow/Pillow/blob/main/src/libImaging/Resample.c).
/// Since Pillow 13 the height comes first where it loses more than twice as many pixels as the
/// width; because of the rounding in between, and of the clipping of a cubic's overshoot, the
/// order shows.
fn resize(image: &RgbImage, width: u32, height: u32, filter: &Filter) -> RgbImage {
    let (in_width, in_height) = image.dimensions();
    assert!(width > 0 && height > 0, "the output must have pixels");
    assert!(in_width > 0 && in_height > 0, "the input must have pixels");
    let lost_columns = i64::from(in_width) - i64::from(width);
    let lost_rows = i64::from(in_height) - i64::from(height);
    let down_first = lost_rows > 0 && lost_rows > 2 * lost_columns;

    let mut pixels = Cow::from(image.as_raw().as_slice());
    let down_now = |pixels: &mut Cow<'_, [u8]>, row_width: u32| {
        let windows = windows(in_height, height, filter);
        *pixels = down(pixels, row_width as usize, &windows).into();
    };
    if down_first {
        down_now(&mut pixels, in_width);
    }
    if width != in_width {
        let windows = windows(in_width, width, filter);
        pixels = across(&pixels, in_width as usize, &windows).into();
    }
    if height != in_height && !down_first {
        down_now(&mut pixels, width);
    }
    let pixels = pixels.into_owned();
    RgbImage::from_raw(width, height, pixels).expect("both passes write every pixel")
}

fn windows(input: u32, output: u32, filter: &Filter) -> Vec<Window> {
    let scale = f64::from(input) / f64::from(output);
    let filter_scale = scale.max(1.0);
    let support = filter.support * filter_scale;
    (0..output)
        .map(|cell| {
            let center = (f64::from(cell) + 0.5) * scale;
            let first = (center - support + 0.5).max(0.0) as usize;
            let end = ((center + support + 0.5) as usize).min(input as usize);
            let weights: Vec<f64> = (first..end)
                .map(|i| (filter.weight)((i as f64 - center + 0.5) * (1.0 / filter_scale)))
                .collect();
            let sum: f64 = weights.iter().sum();
            let weights = weights
                .iter()
                .map(|weight| fixed_point(weight / sum))
                .collect();
            Window { first, weights }
        })
        .collect()
}

fn fixed_point(weight: f64) -> i32 {
    let scaled = weight * f64::from(1u32 << PRECISION);
    (if scaled < 0.0 {
        scaled - 0.5
    } else {
        scaled + 0.5
    }) as i32
}

fn to_u8(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

fn across(pixels: &[u8], in_width: usize, windows: &[Window]) -> Vec<u8> {
    let rows = pixels.chunks_exact(in_width * CHANNELS);
    let mut out = Vec::with_capacity(rows.len() * windows.len() * CHANNELS);
    for row in rows {
        for window in windows {
            let mut sums = [HALF; CHANNELS];
            let cells = row[window.first * CHANNELS..].chunks_exact(CHANNELS);
            for (cell, &weight) in cells.zip(&window.weights) {
                for (sum, &value) in sums.iter_mut().zip(cell) {
                    *sum += i32::from(value) * weight;
                }
            }
            out.extend(sums.map(to_u8));
        }
    }
    out
}

fn down(pixels: &[u8], width: usize, windows: &[Window]) -> Vec<u8> {
    let stride = width * CHANNELS;
    let mut out = Vec::with_capacity(windows.len() * stride);
    let mut sums = vec![0i32; stride];
    for window in windows {
        sums.fill(HALF);
        let rows = pixels[window.first * stride..].chunks_exact(stride);
        for (row, &weight) in rows.zip(&window.weights) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += i32::from(value) * weight;
            }
        }
        out.extend(sums.iter().map(|&sum| to_u8(sum)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern() -> RgbImage {
        RgbImage::from_fn(4, 3, |x, y| {
            image::Rgb([0, 1, 2].map(|c| ((x * 37 + y * 59 + c * 101) % 256) as u8))
        })
    }

    // The literals below come from Pillow 13.0.0.
    #[test]
    fn bilinear_equals_pillow() {
        assert_eq!(
            resize_bilinear(&pattern(), 2, 2).as_raw().as_slice(),
            [48, 149, 132, 107, 167, 76, 122, 132, 68, 181, 81, 127]
        );
        assert_eq!(
            resize_bilinear(&pattern(), 5, 4).as_raw().as_slice(),
            [
                0, 101, 202, 26, 127, 228, 56, 157, 130, 85, 186, 31, 111, 212, 57, 37, 138, 79,
                63, 164, 105, 93, 194, 87, 122, 175, 68, 148, 89, 94, 81, 182, 27, 107, 141, 53,
                137, 142, 83, 166, 123, 112, 192, 37, 138, 118, 219, 64, 144, 66, 90, 174, 19, 120,
                203, 48, 149, 229, 74, 175
            ]
        );
    }

    #[test]
    fn bicubic_equals_pillow() {
        assert_eq!(
            resize_bicubic(&pattern(), 2, 2).as_raw().as_slice(),
            [40, 150, 139, 107, 173, 67, 122, 136, 58, 189, 72, 134]
        );
        assert_eq!(
            resize_bicubic(&pattern(), 5, 4).as_raw().as_slice(),
            [
                0, 96, 210, 21, 122, 255, 53, 153, 134, 84, 189, 11, 110, 225, 56, 32, 131, 72, 57,
                171, 105, 89, 220, 83, 120, 189, 59, 146, 79, 92, 83, 188, 11, 109, 141, 36, 141,
                152, 78, 172, 127, 119, 198, 18, 144, 119, 232, 65, 145, 52, 91, 177, 0, 123, 208,
                43, 154, 234, 80, 180
            ]
        );
    }

    #[test]
    fn the_same_size_is_the_same_picture() {
        assert_eq!(resize_bicubic(&pattern(), 4, 3), pattern());
    }

    #[test]
    fn the_height_comes_first_where_pillow_has_it_first() {
        let image = RgbImage::from_fn(3, 7, |x, y| {
            image::Rgb([0, 1, 2].map(|c| ((x * 37 + y * 59 + c * 101) % 256) as u8))
        });
        assert_eq!(
            resize_bilinear(&image, 2, 3).as_raw().as_slice(),
            [
                65, 145, 102, 111, 157, 91, 153, 88, 131, 162, 97, 131, 95, 162, 131, 107, 151, 74
            ]
        );
        assert_eq!(
            resize_bicubic(&image, 2, 3).as_raw().as_slice(),
            [
                58, 145, 101, 115, 158, 92, 160, 83, 133, 163, 91, 133, 93, 166, 134, 106, 155, 69
            ]
        );
    }
}
