use std::{
    fs::{self, File},
    io::Read,
    path::Path,
};

use fclm_core::{
    mask::Mask,
    wire::{BoxPx, MAX_TEXT},
};
use image::RgbImage;

use super::error::PredictError;
use crate::api::{AppError, ImageLimits, decode_picture};

/// Opens a picture, upright and without transparency, within the limits of an upload.
///
/// # Errors
/// Where the file cannot be read, or is no picture that the server would take.
pub fn read_picture(path: &Path) -> Result<RgbImage, PredictError> {
    let failed = |source| PredictError::Io {
        path: path.to_owned(),
        source,
    };
    let wrong = |source| PredictError::Picture {
        path: path.to_owned(),
        source,
    };
    let limits = ImageLimits::default();
    if fs::metadata(path).map_err(failed)?.is_dir() {
        let reason = AppError::BadImage("This is a folder, not a picture.".to_owned());
        return Err(wrong(reason));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    // One byte more than is allowed tells a file that is too large, whatever its length is said
    // to be.
    file.take(limits.bytes as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() > limits.bytes {
        let message = format!(
            "The file is too large; up to {} MiB can be opened.",
            limits.bytes >> 20
        );
        return Err(wrong(AppError::TooLarge {
            message,
            param: None,
        }));
    }
    decode_picture(&bytes, &limits).map_err(wrong)
}

/// Opens a mask of a picture of `width` by `height` pixels: what is at least half as bright as
/// the brightest pixel is inside, so that masks of 0 and 255 and of 0 and 1 both work.
///
/// # Errors
/// Where the file is no picture of that size, or nothing in it is bright.
pub fn read_mask(path: &Path, width: u32, height: u32) -> Result<Mask, PredictError> {
    let picture = read_picture(path)?;
    let refuse = |reason| PredictError::Mask {
        path: path.to_owned(),
        reason,
    };
    if picture.dimensions() != (width, height) {
        let (found_width, found_height) = picture.dimensions();
        return Err(refuse(format!(
            "the mask has {found_width} x {found_height} pixels but the picture has {width} x \
             {height}"
        )));
    }
    let bright: Vec<u8> = picture
        .pixels()
        .map(|pixel| pixel.0.into_iter().max().unwrap_or_default())
        .collect();
    let brightest = bright.iter().copied().max().unwrap_or_default();
    if brightest == 0 {
        return Err(refuse("the mask is black, so it marks nothing".to_owned()));
    }
    let inside = bright
        .iter()
        .map(|&value| u8::from(2 * u16::from(value) >= u16::from(brightest)))
        .collect();
    Ok(Mask::from_data(width, height, inside))
}

/// The part of a box that lies inside a picture of `width` by `height` pixels.
///
/// # Errors
/// Where the box is empty, holds what is no number, or lies outside the picture.
pub fn box_inside([x0, y0, x1, y1]: BoxPx, width: u32, height: u32) -> Result<BoxPx, PredictError> {
    if [x0, y0, x1, y1].iter().any(|value| !value.is_finite()) {
        return Err(PredictError::Box("its numbers must be finite".to_owned()));
    }
    if x0 >= x1 || y0 >= y1 {
        return Err(PredictError::Box(
            "it is empty; x0 must be less than x1 and y0 less than y1".to_owned(),
        ));
    }
    let (right, bottom) = (width as f32, height as f32);
    let inside = [x0.max(0.0), y0.max(0.0), x1.min(right), y1.min(bottom)];
    if inside[0] >= inside[2] || inside[1] >= inside[3] {
        return Err(PredictError::Box(format!(
            "it lies outside the picture of {width} x {height} pixels"
        )));
    }
    Ok(inside)
}

/// Checks that a text is not longer than the server takes.
///
/// # Errors
/// Where it is.
pub fn check_text(text: &str) -> Result<(), PredictError> {
    match text.chars().nth(MAX_TEXT) {
        Some(_) => Err(PredictError::Text(format!(
            "the text is too long; up to {MAX_TEXT} characters are taken"
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use image::{GrayImage, Luma};

    use super::*;

    fn grey(folder: &tempfile::TempDir, values: [u8; 4]) -> PathBuf {
        let path = folder.path().join("mask.png");
        GrayImage::from_fn(4, 1, |x, _| Luma([values[x as usize]]))
            .save(&path)
            .unwrap();
        path
    }

    #[test]
    fn masks_are_read_whatever_their_white_is() {
        let folder = tempfile::tempdir().unwrap();
        for values in [[0, 255, 255, 0], [0, 1, 1, 0], [100, 200, 255, 3]] {
            let path = grey(&folder, values);
            let mask = read_mask(&path, 4, 1).unwrap();
            assert_eq!(mask.data(), [0, 1, 1, 0], "{values:?}");
        }
        let path = grey(&folder, [0; 4]);
        let black = read_mask(&path, 4, 1).unwrap_err().to_string();
        assert!(black.contains("marks nothing"), "{black}");
        let size = read_mask(&path, 5, 1).unwrap_err().to_string();
        assert!(size.contains("4 x 1"), "{size}");
    }

    #[test]
    fn boxes_are_cut_at_the_edge_and_refused_outside() {
        let cut = box_inside([-5.0, 2.0, 30.0, 40.0], 20, 30).unwrap();
        assert_eq!(cut, [0.0, 2.0, 20.0, 30.0]);
        for wrong in [
            [5.0, 5.0, 5.0, 9.0],
            [9.0, 0.0, 1.0, 9.0],
            [f32::NAN, 0.0, 9.0, 9.0],
            [0.0, 0.0, f32::INFINITY, 9.0],
            [20.0, 0.0, 30.0, 9.0],
            [-9.0, -9.0, -1.0, -1.0],
        ] {
            assert!(box_inside(wrong, 20, 30).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn long_texts_are_refused() {
        assert!(check_text(&"é".repeat(MAX_TEXT)).is_ok());
        assert!(check_text(&"é".repeat(MAX_TEXT + 1)).is_err());
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read_picture(folder.path()).is_err());
        assert!(read_picture(&folder.path().join("missing.png")).is_err());
        let words = folder.path().join("words.png");
        fs::write(&words, "no picture").unwrap();
        assert!(matches!(
            read_picture(&words),
            Err(PredictError::Picture { .. })
        ));
    }
}
