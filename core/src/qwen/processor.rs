//! The image processor: from a picture to flattened patches, exactly as the published one.

use image::RgbImage;

use super::VisionConfig;
use crate::image::resize_bicubic;

/// Mean of CLIP's training pictures per channel, in `[0, 1]`.
pub const PIXEL_MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
/// Their standard deviation.
const DEVIATION: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

/// Pictures more elongated than this are refused, as by the published processor.
const MAX_ASPECT: usize = 200;

/// How many patches a picture has along time, height and width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GridThw {
    /// Frames, counted in temporal patches; 1 for a still picture.
    pub t: usize,
    /// Rows of patches.
    pub h: usize,
    /// Columns of patches.
    pub w: usize,
}

impl GridThw {
    /// Number of patches.
    pub fn patches(&self) -> usize {
        self.t * self.h * self.w
    }

    /// Number of tokens after merging squares of `merge` x `merge` patches.
    pub fn tokens(&self, merge: usize) -> usize {
        self.patches() / (merge * merge)
    }
}

/// Why a picture cannot be cut into patches.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PreprocessError {
    /// A side is zero.
    #[error("the picture is {width}x{height} px and so has no pixels")]
    Empty {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
    },
    /// One side is more than 200 times the other.
    #[error("the picture is {width}x{height} px; one side may be at most 200 times the other")]
    TooElongated {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
    },
}

/// The size nearest to `height` x `width` whose sides are multiples of `factor`, whose area lies
/// in `min_pixels..=max_pixels` and whose aspect is about kept. Returns height and width.
///
/// # Errors
///
/// Fails if a side is zero or one is more than 200 times the other.
pub fn smart_resize(
    height: usize,
    width: usize,
    factor: usize,
    min_pixels: usize,
    max_pixels: usize,
) -> Result<(usize, usize), PreprocessError> {
    if height == 0 || width == 0 {
        return Err(PreprocessError::Empty { width, height });
    }
    if height.max(width) > MAX_ASPECT * height.min(width) {
        return Err(PreprocessError::TooElongated { width, height });
    }
    let (h, w, unit) = (height as f64, width as f64, factor as f64);
    let multiple = |units: f64| units as usize * factor;
    // The reference rounds halves to even.
    let rounded = (
        multiple((h / unit).round_ties_even()),
        multiple((w / unit).round_ties_even()),
    );
    let area = rounded.0 * rounded.1;
    Ok(if area > max_pixels {
        let shrink = (h * w / max_pixels as f64).sqrt();
        (
            multiple((h / shrink / unit).floor()).max(factor),
            multiple((w / shrink / unit).floor()).max(factor),
        )
    } else if area < min_pixels {
        let grow = (min_pixels as f64 / (h * w)).sqrt();
        (
            multiple((h * grow / unit).ceil()),
            multiple((w * grow / unit).ceil()),
        )
    } else {
        rounded
    })
}

/// Resizes, normalises and cuts `image` into flattened patches.
///
/// Patches are ordered by merged token (raster), then raster inside a token; a patch is flattened
/// as channel, frame, row, column. Returns `[patches, patch_dim]`, row-major, and the grid.
///
/// # Errors
///
/// Fails where [`smart_resize`] does.
pub fn preprocess(
    image: &RgbImage,
    config: &VisionConfig,
    min_pixels: usize,
    max_pixels: usize,
) -> Result<(Vec<f32>, GridThw), PreprocessError> {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let (height, width) = smart_resize(height, width, config.token_side(), min_pixels, max_pixels)?;
    let resized = resize_bicubic(image, width as u32, height as u32);
    let grid = GridThw {
        t: 1,
        h: height / config.patch_size,
        w: width / config.patch_size,
    };
    Ok((patchify(&resized, config, grid), grid))
}

fn patchify(image: &RgbImage, config: &VisionConfig, grid: GridThw) -> Vec<f32> {
    let (side, merge) = (config.patch_size, config.spatial_merge_size);
    let stride = image.width() as usize * 3;
    let normalised: [[f32; 256]; 3] = std::array::from_fn(|channel| {
        std::array::from_fn(|value| {
            (value as f32 / 255.0 - PIXEL_MEAN[channel]) / DEVIATION[channel]
        })
    });
    let pixels = image.as_raw();
    let mut out = Vec::with_capacity(grid.patches() * config.patch_dim());
    for (token_y, token_x) in raster(grid.h / merge, grid.w / merge) {
        for (y, x) in raster(merge, merge) {
            let top = (token_y * merge + y) * side;
            let left = (token_x * merge + x) * side;
            for (channel, table) in normalised.iter().enumerate() {
                let begin = out.len();
                for row in top..top + side {
                    let from = row * stride + left * 3;
                    let row = &pixels[from..from + side * 3];
                    out.extend(
                        row.iter()
                            .skip(channel)
                            .step_by(3)
                            .map(|&v| table[v as usize]),
                    );
                }
                let end = out.len();
                for _ in 1..config.temporal_patch_size {
                    out.extend_from_within(begin..end);
                }
            }
        }
    }
    out
}

fn raster(rows: usize, columns: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rows).flat_map(move |row| (0..columns).map(move |column| (row, column)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smart_resize_rounds_clamps_and_refuses() {
        assert_eq!(smart_resize(100, 200, 28, 3136, 50_176), Ok((112, 196)));
        // 42 / 28 = 1.5 rounds to even.
        assert_eq!(smart_resize(42, 70, 28, 1, 1_000_000), Ok((56, 56)));
        let (h, w) = smart_resize(3000, 4000, 28, 3136, 50_176).expect("an ordinary picture");
        assert!(h * w <= 50_176 && h % 28 == 0 && w % 28 == 0);
        let (h, w) = smart_resize(10, 12, 28, 3136, 50_176).expect("a small picture");
        assert!(h * w >= 3136 && h % 28 == 0 && w % 28 == 0);
        assert_eq!(
            smart_resize(1, 201, 28, 3136, 50_176),
            Err(PreprocessError::TooElongated {
                width: 201,
                height: 1
            })
        );
        assert_eq!(
            smart_resize(0, 5, 28, 3136, 50_176),
            Err(PreprocessError::Empty {
                width: 5,
                height: 0
            })
        );
    }

    #[test]
    fn patches_are_grouped_by_token() {
        let config = VisionConfig {
            patch_size: 1,
            temporal_patch_size: 2,
            ..crate::qwen::QwenConfig::qwen2_5_vl_3b().vision
        };
        let image = RgbImage::from_fn(4, 2, |x, y| image::Rgb([(y * 4 + x) as u8, 0, 0]));
        let patches = patchify(&image, &config, GridThw { t: 1, h: 2, w: 4 });
        let red: Vec<f32> = patches
            .chunks(6)
            .map(|patch| ((patch[0] * DEVIATION[0] + PIXEL_MEAN[0]) * 255.0).round())
            .collect();
        assert_eq!(red, [0.0, 1.0, 4.0, 5.0, 2.0, 3.0, 6.0, 7.0]);
        assert!(patches.chunks(2).all(|frames| frames[0] == frames[1]));
    }
}
