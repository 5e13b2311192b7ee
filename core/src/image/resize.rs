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

/// Two passes with 8 bits between them, across first, as
/// [`Resample.c`](https://github.com/python-pillow/Pillow/blob/main/src/libImaging/Resample.c).
fn resize(image: &RgbImage, width: u32, height: u32, filter: &Filter) -> RgbImage {
    let (in_width, in_height) = image.dimensions();
    assert!(width > 0 && height > 0, "the output must have pixels");
    assert!(in_width > 0 && in_height > 0, "the input must have pixels");
    let mut pixels = image.as_raw().clone();
    if width != in_width {
        pixels = across(
            &pixels,
            in_width as usize,
            &windows(in_width, width, filter),
        );
    }
    if height != in_height {
        pixels = down(&pixels, width as usize, &windows(in_height, height, filter));
    }
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
