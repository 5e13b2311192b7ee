//! Takes uploads in: each is decoded on a thread of its own and stored in one of two formats.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use image::{
    ImageEncoder, ImageError, ImageFormat, RgbImage,
    codecs::{
        jpeg::JpegEncoder,
        png::{CompressionType, FilterType, PngEncoder},
    },
};
use tokio::{sync::Semaphore, time::timeout};

use super::{
    AppError,
    decode::{ImageLimits, broken, decode_as},
    sniff::sniff,
};
use crate::store::{EncodedImage, StoredFormat};

/// Uploads that are taken at a time, each with its whole file in memory.
const UPLOADS: usize = 8;
/// Pictures that are decoded at a time.
const AT_A_TIME: usize = 2;
/// How long a picture waits for its turn.
const PATIENCE: Duration = Duration::from_secs(20);
/// Quality of what is stored of a JPEG; high, because it is the second loss.
const JPEG_QUALITY: u8 = 95;

/// Turns foreign bytes into upright pictures without metadata.
///
/// Decoders may panic on what was made to break them, so each picture is decoded on a thread
/// where that ends nothing else, and only a few at a time.
#[derive(Debug, Clone)]
pub(super) struct PictureDecoder {
    pub(super) limits: ImageLimits,
    /// Places for uploads, from the first byte of the body to the stored picture.
    pub(super) uploads: Arc<Semaphore>,
    permits: Arc<Semaphore>,
}

impl PictureDecoder {
    pub(super) fn new(limits: ImageLimits) -> Self {
        Self {
            limits,
            uploads: Arc::new(Semaphore::new(UPLOADS)),
            permits: Arc::new(Semaphore::new(AT_A_TIME)),
        }
    }

    pub(super) async fn decode(&self, bytes: Bytes) -> Result<EncodedImage, AppError> {
        let format = sniff(&bytes)?;
        let busy = || AppError::Busy {
            retry_after: PATIENCE,
        };
        let waiting = Arc::clone(&self.permits).acquire_owned();
        let permit = timeout(PATIENCE, waiting)
            .await
            .map_err(|_| busy())?
            .map_err(|_| busy())?;
        let limits = self.limits;
        let work = tokio::task::spawn_blocking(move || {
            let decoded = catch_unwind(AssertUnwindSafe(|| reencode(&bytes, format, &limits)));
            drop(permit);
            decoded.unwrap_or_else(|_| Err(broken("its data make no sense")))
        });
        match timeout(limits.time, work).await {
            Ok(done) => done.map_err(|failed| AppError::Internal(Box::new(failed)))?,
            Err(_) => Err(broken("decoding it takes too long")),
        }
    }
}

fn reencode(
    bytes: &[u8],
    format: ImageFormat,
    limits: &ImageLimits,
) -> Result<EncodedImage, AppError> {
    let pixels = decode_as(bytes, format, limits)?;
    let (width, height) = pixels.dimensions();
    let (bytes, format) = match format {
        ImageFormat::Jpeg => (encode_jpeg(&pixels), StoredFormat::Jpeg),
        _ => (encode_png(&pixels), StoredFormat::Png),
    };
    let bytes = bytes.map_err(|error| AppError::Internal(Box::new(error)))?;
    Ok(EncodedImage {
        bytes,
        format,
        width,
        height,
    })
}

pub(super) fn encode_png(pixels: &RgbImage) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive)
        .write_image(
            pixels,
            pixels.width(),
            pixels.height(),
            image::ExtendedColorType::Rgb8,
        )?;
    Ok(bytes)
}

fn encode_jpeg(pixels: &RgbImage) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY).encode_image(pixels)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::codecs::webp::WebPEncoder;

    use super::*;

    fn picture() -> RgbImage {
        RgbImage::from_fn(40, 20, |x, y| image::Rgb([x as u8 * 6, y as u8 * 12, 90]))
    }

    fn decode(bytes: &[u8]) -> Result<EncodedImage, AppError> {
        reencode(bytes, sniff(bytes)?, &ImageLimits::default())
    }

    /// The picture with EXIF that holds nothing but the orientation.
    fn with_orientation(mut encoder: impl ImageEncoder, orientation: u8) {
        let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
        exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
        encoder.set_exif_metadata(exif).expect("it takes EXIF");
        encoder
            .write_image(&picture(), 40, 20, image::ExtendedColorType::Rgb8)
            .expect("encodes");
    }

    fn oriented(format: ImageFormat, orientation: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        match format {
            ImageFormat::Jpeg => {
                let encoder = JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY);
                with_orientation(encoder, orientation);
            }
            ImageFormat::Png => with_orientation(PngEncoder::new(&mut bytes), orientation),
            _ => with_orientation(WebPEncoder::new_lossless(&mut bytes), orientation),
        }
        bytes
    }

    fn webp() -> Vec<u8> {
        let mut bytes = Vec::new();
        picture()
            .write_to(&mut Cursor::new(&mut bytes), ImageFormat::WebP)
            .expect("encodes");
        bytes
    }

    fn pixels(stored: &EncodedImage) -> RgbImage {
        image::load_from_memory(&stored.bytes)
            .expect("decodes")
            .into_rgb8()
    }

    #[test]
    fn webps_are_stored_as_pngs() {
        let stored = decode(&webp()).expect("decodes");
        assert_eq!(stored.format, StoredFormat::Png);
        assert_eq!(pixels(&stored), picture());
    }

    #[test]
    fn pngs_keep_their_pixels() {
        let png = encode_png(&picture()).expect("encodes");
        let stored = decode(&png).expect("decodes");
        assert_eq!(
            (stored.width, stored.height, stored.format),
            (40, 20, StoredFormat::Png)
        );
        assert_eq!(pixels(&stored), picture());
    }

    #[test]
    fn the_eight_orientations_are_applied_and_the_metadata_dropped() {
        // Which corner of the file each upright corner is: upper left, upper right, lower left
        // and lower right are 0 to 3.
        let turned: [[usize; 4]; 8] = [
            [0, 1, 2, 3],
            [1, 0, 3, 2],
            [3, 2, 1, 0],
            [2, 3, 0, 1],
            [0, 2, 1, 3],
            [2, 0, 3, 1],
            [3, 1, 2, 0],
            [1, 3, 0, 2],
        ];
        let filed = corners(&picture());
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
            for (orientation, turned) in (1..).zip(turned) {
                let stored = decode(&oriented(format, orientation)).expect("decodes");
                let size = if orientation < 5 { (40, 20) } else { (20, 40) };
                let upright = pixels(&stored);
                assert_eq!((stored.width, stored.height), size);
                assert_eq!(upright.dimensions(), size);
                let expected = turned.map(|corner| filed[corner]);
                let found = corners(&upright);
                // JPEG loses a little twice; the corners are more than 200 apart.
                let is_near = expected
                    .iter()
                    .flatten()
                    .zip(found.iter().flatten())
                    .all(|(a, b)| a.abs_diff(*b) < 30);
                assert!(
                    is_near,
                    "{format:?}, orientation {orientation}: {found:?} instead of {expected:?}"
                );
                let names_exif = |bytes: &[u8]| bytes.eq_ignore_ascii_case(b"exif");
                assert!(!stored.bytes.windows(4).any(names_exif), "{format:?}");
            }
        }
    }

    /// Upper left, upper right, lower left, lower right.
    fn corners(picture: &RgbImage) -> [[u8; 3]; 4] {
        let (right, bottom) = (picture.width() - 1, picture.height() - 1);
        [(0, 0), (right, 0), (0, bottom), (right, bottom)].map(|(x, y)| picture.get_pixel(x, y).0)
    }
}
