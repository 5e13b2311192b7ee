//! The size of a picture whose data set does not say it.

use std::{
    io::{BufRead, Cursor, Seek},
    path::{Path, PathBuf},
};

use image::{
    ImageDecoder, ImageError, ImageReader,
    error::{LimitError, LimitErrorKind},
    metadata::Orientation,
};

use super::super::record::MAX_MASK_PIXELS;

/// A picture that shows no size.
#[derive(Debug, thiserror::Error)]
#[error("the picture {} cannot be read: {source}", path.display())]
pub(super) struct PictureSizeError {
    path: PathBuf,
    source: ImageError,
}

/// Width and height of a picture's file, upright: turned as its metadata says.
///
/// # Errors
/// Where the file cannot be read, is no picture of a kind that is known, or is one too large for
/// masks.
pub(super) fn size_of_picture(path: &Path) -> Result<(u32, u32), PictureSizeError> {
    let size = || upright_size(ImageReader::open(path)?);
    size().map_err(|source| PictureSizeError {
        path: path.to_owned(),
        source,
    })
}

/// As [`size_of_picture`], of the file's bytes.
///
/// # Errors
/// Where they are no picture of a kind that is known, or of one too large for masks.
pub(super) fn size_in_bytes(bytes: &[u8]) -> Result<(u32, u32), ImageError> {
    upright_size(ImageReader::new(Cursor::new(bytes)))
}

/// Told from the file's header; the name says nothing that can be relied on.
fn upright_size<R: BufRead + Seek>(reader: ImageReader<R>) -> Result<(u32, u32), ImageError> {
    let mut decoder = reader.with_guessed_format()?.into_decoder()?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_MASK_PIXELS {
        let limit = LimitError::from_kind(LimitErrorKind::DimensionError);
        return Err(ImageError::Limits(limit));
    }
    Ok(match decoder.orientation()? {
        Orientation::Rotate90
        | Orientation::Rotate270
        | Orientation::Rotate90FlipH
        | Orientation::Rotate270FlipH => (height, width),
        _ => (width, height),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use image::{ImageEncoder, RgbImage, codecs::jpeg::JpegEncoder};

    use super::*;

    /// A picture of 6x4 with EXIF that holds nothing but the orientation.
    fn turned(orientation: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
        exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
        let mut encoder = JpegEncoder::new(&mut bytes);
        encoder.set_exif_metadata(exif).unwrap();
        let pixels = RgbImage::new(6, 4);
        encoder
            .write_image(pixels.as_raw(), 6, 4, image::ExtendedColorType::Rgb8)
            .unwrap();
        bytes
    }

    #[test]
    fn a_picture_that_lies_on_its_side_is_stood_up() {
        assert_eq!(size_in_bytes(&turned(1)).unwrap(), (6, 4));
        assert_eq!(size_in_bytes(&turned(3)).unwrap(), (6, 4));
        assert_eq!(size_in_bytes(&turned(6)).unwrap(), (4, 6));
    }

    #[test]
    fn the_name_may_be_wrong_and_what_is_no_picture_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("7.png");
        fs::write(&path, turned(1)).unwrap();
        assert_eq!(size_of_picture(&path).unwrap(), (6, 4));
        fs::write(&path, "no picture").unwrap();
        let error = size_of_picture(&path).unwrap_err().to_string();
        assert!(error.contains("7.png"), "{error}");
        assert!(size_of_picture(&folder.path().join("8.png")).is_err());
    }
}
