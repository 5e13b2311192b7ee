use std::{
    io::Cursor,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use image::{
    DynamicImage, ImageDecoder, ImageEncoder, ImageError, ImageFormat, ImageReader, Limits,
    RgbImage,
    codecs::{
        jpeg::JpegEncoder,
        png::{CompressionType, FilterType, PngEncoder},
    },
};
use tokio::{sync::Semaphore, time::timeout};

use super::AppError;
use crate::store::{EncodedImage, StoredFormat};

/// Uploads that are taken at a time, each with its whole file in memory.
const UPLOADS: usize = 8;
/// Pictures that are decoded at a time.
const AT_A_TIME: usize = 2;
/// Memory for what a PNG carries beside its pixels, in bytes. A colour profile is compressed, so
/// a small file may hold a huge one; one that does not fit is left out, and nothing else is lost.
const BESIDE_PIXELS: u64 = 64 << 20;
/// How long a picture waits for its turn.
const PATIENCE: Duration = Duration::from_secs(20);
/// Quality of what is stored of a JPEG; high, because it is the second loss.
const JPEG_QUALITY: u8 = 95;
/// Longest side over shortest: beyond it the model cannot see the picture.
const MAX_ASPECT: u32 = 100;

/// What a picture may be at most.
#[derive(Debug, Clone, Copy)]
pub struct ImageLimits {
    /// Bytes of the file.
    pub bytes: usize,
    /// Pixels along a side.
    pub side: u32,
    /// Pixels in all.
    pub pixels: u64,
    /// Memory of the decoder, in bytes.
    pub memory: u64,
    /// Time of the decoder.
    pub time: Duration,
}

impl Default for ImageLimits {
    fn default() -> Self {
        Self {
            bytes: 32 << 20,
            side: 16_384,
            pixels: 50_000_000,
            memory: 512 << 20,
            time: Duration::from_secs(20),
        }
    }
}

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

fn broken(why: &str) -> AppError {
    AppError::BadImage(format!("The picture cannot be opened: {why}."))
}

/// Tells the format by the first bytes; names and headers may lie.
fn sniff(bytes: &[u8]) -> Result<ImageFormat, AppError> {
    match bytes {
        [] => Err(AppError::BadImage(
            "The file is empty; send a JPEG, PNG or WebP.".to_owned(),
        )),
        [0xFF, 0xD8, 0xFF, ..] => Ok(ImageFormat::Jpeg),
        [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, ..] => Ok(ImageFormat::Png),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => Ok(ImageFormat::WebP),
        _ => Err(AppError::UnsupportedImage),
    }
}

/// Decodes a JPEG, PNG or WebP into an upright picture without transparency.
///
/// # Errors
/// Where the bytes are none of the three, are broken, or are over a limit.
pub fn decode_picture(bytes: &[u8], limits: &ImageLimits) -> Result<RgbImage, AppError> {
    decode_as(bytes, sniff(bytes)?, limits)
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

fn decode_as(
    bytes: &[u8],
    format: ImageFormat,
    limits: &ImageLimits,
) -> Result<RgbImage, AppError> {
    // Looked at first, because what decoders say of a header that is cut helps nobody.
    if !is_whole(bytes, format) {
        return Err(broken("the file ends too early"));
    }
    let mut decoder = open(bytes, format, limits)?;
    let orientation = decoder.orientation().map_err(failed)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(failed)?;
    picture.apply_orientation(orientation);
    Ok(opaque(picture))
}

/// Reads what stands before the pixels and checks that they may be read.
fn open(
    bytes: &[u8],
    format: ImageFormat,
    limits: &ImageLimits,
) -> Result<impl ImageDecoder, AppError> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    // The PNG decoder takes its limit when it is made and never another one, so this must hold
    // for what it reads at once, which the pixels are not.
    let mut allowed = Limits::no_limits();
    allowed.max_alloc = Some(limits.memory.min(BESIDE_PIXELS));
    reader.limits(allowed);
    let mut decoder = reader.into_decoder().map_err(failed)?;
    check_size(decoder.dimensions(), limits)?;
    if decoder.total_bytes() > limits.memory {
        return Err(too_much_memory());
    }
    let mut allowed = Limits::no_limits();
    allowed.max_alloc = Some(limits.memory);
    decoder.set_limits(allowed).map_err(failed)?;
    Ok(decoder)
}

fn failed(error: ImageError) -> AppError {
    match error {
        ImageError::Limits(_) => too_much_memory(),
        other => broken(&other.to_string()),
    }
}

fn too_much_memory() -> AppError {
    AppError::TooLarge {
        message: "Opening the picture takes more memory than is allowed.".to_owned(),
        param: None,
    }
}

fn check_size((width, height): (u32, u32), limits: &ImageLimits) -> Result<(), AppError> {
    let pixels = u64::from(width) * u64::from(height);
    if width > limits.side || height > limits.side || pixels > limits.pixels {
        return Err(AppError::TooLarge {
            message: format!(
                "The picture has {width} x {height} pixels; up to {} per side and {} million in \
                 all can be opened.",
                limits.side,
                limits.pixels / 1_000_000,
            ),
            param: None,
        });
    }
    let (short, long) = (width.min(height), width.max(height));
    match short.checked_mul(MAX_ASPECT) {
        Some(most) if short == 0 || long > most => {
            Err(broken("one side is more than a hundred times the other"))
        }
        _ => Ok(()),
    }
}

/// Lays what is transparent over white, as a page would show it.
fn opaque(picture: DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.into_rgb8();
    }
    let picture = picture.into_rgba8();
    let (width, height) = picture.dimensions();
    let pixels = picture.pixels().flat_map(|pixel| {
        let [red, green, blue, alpha] = pixel.0.map(u32::from);
        [red, green, blue]
            .map(|channel| ((channel * alpha + 255 * (255 - alpha) + 127) / 255) as u8)
    });
    RgbImage::from_raw(width, height, pixels.collect())
        .expect("three channels for each pixel of the picture")
}

fn encode_png(pixels: &RgbImage) -> Result<Vec<u8>, ImageError> {
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

/// Whether a file goes on to its end. Decoders may fill what is missing with grey, which is kind
/// to viewers but would store half a picture for good.
fn is_whole(bytes: &[u8], format: ImageFormat) -> bool {
    match format {
        ImageFormat::Jpeg => jpeg_ends(bytes),
        ImageFormat::Png => png_ends(bytes),
        _ => {
            let declared = bytes.get(4..8).and_then(|size| size.first_chunk());
            declared.is_some_and(|&size| bytes.len() - 8 >= u32::from_le_bytes(size) as usize)
        }
    }
}

/// Whether a PNG reaches its last chunk.
fn png_ends(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(8..).unwrap_or_default();
    while let Some((head, _)) = rest.split_at_checked(12) {
        if &head[4..8] == b"IEND" {
            return true;
        }
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        rest = rest.get(length.saturating_add(12)..).unwrap_or_default();
    }
    false
}

/// Whether a JPEG reaches its end marker.
fn jpeg_ends(bytes: &[u8]) -> bool {
    const END: u8 = 0xD9;
    let mut rest = bytes.get(2..).unwrap_or_default();
    loop {
        // Between segments, and behind entropy-coded data, the next marker is the next 0xFF that
        // is followed by neither a stuffed zero, nor a restart marker, nor a fill byte.
        let Some(at) = rest
            .windows(2)
            .position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0 | 0xD0..=0xD7 | 0xFF))
        else {
            return false;
        };
        if rest[at + 1] == END {
            return true;
        }
        let Some(&[high, low]) = rest.get(at + 2..at + 4).and_then(|b| b.first_chunk::<2>()) else {
            return false;
        };
        let length = usize::from(u16::from_be_bytes([high, low])).max(2);
        let Some(after) = rest.get(at + 2 + length..) else {
            return false;
        };
        rest = after;
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn truncated_files_are_refused() {
        let png = encode_png(&picture()).expect("encodes");
        for whole in [png, oriented(ImageFormat::Jpeg, 1), webp()] {
            assert!(decode(&whole).is_ok());
            for length in [
                16,
                40,
                whole.len() / 2,
                whole.len() * 9 / 10,
                whole.len() - 1,
            ] {
                let Err(AppError::BadImage(sentence)) = decode(&whole[..length]) else {
                    panic!("{length} of {} bytes are taken", whole.len());
                };
                assert_eq!(
                    sentence,
                    "The picture cannot be opened: the file ends too early."
                );
            }
        }
    }

    #[test]
    fn a_huge_header_is_refused_before_anything_is_allocated() {
        let mut png = encode_png(&picture()).expect("encodes");
        png[16..20].copy_from_slice(&60_000_u32.to_be_bytes());
        png[20..24].copy_from_slice(&60_000_u32.to_be_bytes());
        let crc = crc32(&png[12..29]);
        png[29..33].copy_from_slice(&crc.to_be_bytes());
        assert!(matches!(decode(&png), Err(AppError::TooLarge { .. })));
    }

    #[test]
    fn a_profile_that_unfolds_to_too_much_is_left_out() {
        let png = encode_png(&picture()).expect("encodes");
        let limits = ImageLimits::default();
        let profile_bytes = |png: &[u8]| {
            let mut decoder = open(png, ImageFormat::Png, &limits).expect("it opens");
            let profile = decoder.icc_profile().expect("it can be read");
            profile.map(|profile| profile.len())
        };
        let small = with_profile(&png, &zeros(10));
        assert_eq!(profile_bytes(&small), Some(2581));
        let bomb = with_profile(&png, &zeros(300_000));
        assert!(bomb.len() < 1 << 19);
        assert_eq!(profile_bytes(&bomb), None);
        let stored = decode(&bomb).expect("the picture itself is fine");
        assert_eq!(pixels(&stored), picture());
    }

    /// A PNG with a colour profile right behind its header.
    fn with_profile(png: &[u8], compressed: &[u8]) -> Vec<u8> {
        let chunk = [&b"iCCPx\0\0"[..], compressed].concat();
        let length = (chunk.len() as u32 - 4).to_be_bytes();
        let crc = crc32(&chunk).to_be_bytes();
        [&png[..33], &length, &chunk, &crc, &png[33..]].concat()
    }

    /// A zlib stream of one zero and `repeats` times 258 more, each at 13 bits.
    fn zeros(repeats: u32) -> Vec<u8> {
        let mut bytes = vec![0x78, 0x01];
        let (mut held, mut count) = (0_u8, 0);
        // Huffman codes go in with their highest bit first.
        let mut put = |code: u8, length: u32| {
            for bit in (0..length).rev() {
                held |= ((code >> bit) & 1) << count;
                count += 1;
                if count == 8 {
                    bytes.push(held);
                    (held, count) = (0, 0);
                }
            }
        };
        // The last block, with the fixed codes: a literal zero, then length 258 at distance 1.
        put(0b110, 3);
        put(0x30, 8);
        for _ in 0..repeats {
            put(0b1100_0101, 8);
            put(0, 5);
        }
        put(0, 7);
        put(0, (8 - (3 + 8 + 13 * repeats + 7) % 8) % 8);
        let checksum = (((1 + 258 * repeats) % 65_521) << 16) | 1;
        bytes.extend(checksum.to_be_bytes());
        bytes
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0_u32, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| {
                (crc >> 1) ^ (0xEDB8_8320 & 0_u32.wrapping_sub(crc & 1))
            })
        })
    }

    #[test]
    fn what_is_transparent_becomes_white() {
        let clear = DynamicImage::from(image::RgbaImage::from_pixel(
            2,
            2,
            image::Rgba([9, 9, 9, 0]),
        ));
        assert_eq!(opaque(clear).get_pixel(0, 0).0, [255; 3]);
    }

    #[test]
    fn other_files_are_no_pictures() {
        assert!(matches!(decode(b"hello"), Err(AppError::UnsupportedImage)));
        assert!(matches!(
            decode(b"<svg></svg>"),
            Err(AppError::UnsupportedImage)
        ));
        assert!(matches!(decode(b""), Err(AppError::BadImage(_))));
        assert!(matches!(
            decode(b"\xFF\xD8\xFF"),
            Err(AppError::BadImage(_))
        ));
    }
}
