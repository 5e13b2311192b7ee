//! Decoding of foreign pictures behind limits of bytes, pixels, memory and proportions.

use std::{io::Cursor, time::Duration};

use fclm_core::wire::{MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS, MAX_IMAGE_SIDE};
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};

use super::{
    AppError,
    sniff::{is_whole, sniff},
};

/// Memory for what a PNG carries beside its pixels, in bytes. A colour profile is compressed, so
/// a small file may hold a huge one; one that does not fit is left out, and nothing else is lost.
const BESIDE_PIXELS: u64 = 64 << 20;
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
            bytes: MAX_IMAGE_BYTES,
            side: MAX_IMAGE_SIDE,
            pixels: MAX_IMAGE_PIXELS,
            memory: 512 << 20,
            time: Duration::from_secs(20),
        }
    }
}

/// Decodes a JPEG, PNG or WebP into an upright picture without transparency.
///
/// # Errors
/// Where the bytes are none of the three, are broken, or are over a limit.
pub fn decode_picture(bytes: &[u8], limits: &ImageLimits) -> Result<RgbImage, AppError> {
    decode_as(bytes, sniff(bytes)?, limits)
}

pub(super) fn decode_as(
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

pub(super) fn broken(why: &str) -> AppError {
    AppError::BadImage(format!("The picture cannot be opened: {why}."))
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
    if short == 0 {
        return Err(broken("it has no pixels"));
    }
    if long > short.saturating_mul(MAX_ASPECT) {
        return Err(AppError::TooNarrow {
            width,
            height,
            most: MAX_ASPECT,
        });
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::super::picture_decoder::encode_png;
    use super::*;

    fn picture() -> RgbImage {
        RgbImage::from_fn(40, 20, |x, y| image::Rgb([x as u8 * 6, y as u8 * 12, 90]))
    }

    fn decode(bytes: &[u8]) -> Result<RgbImage, AppError> {
        decode_picture(bytes, &ImageLimits::default())
    }

    #[test]
    fn files_that_end_too_early_are_refused_before_they_are_decoded() {
        let png = encode_png(&picture()).expect("encodes");
        assert_eq!(decode(&png).expect("decodes"), picture());
        for length in [40, png.len() / 2, png.len() - 1] {
            let Err(AppError::BadImage(sentence)) = decode(&png[..length]) else {
                panic!("{length} of {} bytes are taken", png.len());
            };
            assert_eq!(
                sentence,
                "The picture cannot be opened: the file ends too early."
            );
        }
        assert!(matches!(
            decode(b"\xFF\xD8\xFF"),
            Err(AppError::BadImage(_))
        ));
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
    fn a_picture_may_be_narrow_up_to_a_limit() {
        let strip = |width, height| {
            let strip = RgbImage::new(width, height);
            decode(&encode_png(&strip).expect("encodes"))
        };
        for (width, height) in [(2, 200), (200, 2), (1, 100)] {
            assert!(strip(width, height).is_ok(), "{width} x {height}");
        }
        for (width, height) in [(2, 201), (300, 2), (1, 101)] {
            let Err(error @ AppError::TooNarrow { .. }) = strip(width, height) else {
                panic!("{width} x {height} is not too narrow");
            };
            let sentence = format!("The picture has {width} x {height} pixels; its longer side");
            assert!(error.to_string().starts_with(&sentence), "{error}");
        }
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
        assert_eq!(
            decode(&bomb).expect("the picture itself is fine"),
            picture()
        );
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
}
