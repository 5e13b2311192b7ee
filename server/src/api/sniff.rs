//! What the bytes of a picture's file say before anything is decoded.

use image::ImageFormat;

use super::AppError;

/// Tells the format by the first bytes; names and headers may lie.
pub(super) fn sniff(bytes: &[u8]) -> Result<ImageFormat, AppError> {
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

/// Whether a file goes on to its end. Decoders may fill what is missing with grey, which is kind
/// to viewers but would store half a picture for good.
pub(super) fn is_whole(bytes: &[u8], format: ImageFormat) -> bool {
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
    use std::io::Cursor;

    use image::RgbImage;

    use super::*;

    fn file(format: ImageFormat) -> Vec<u8> {
        let mut bytes = Vec::new();
        RgbImage::from_fn(40, 20, |x, y| image::Rgb([x as u8 * 6, y as u8 * 12, 90]))
            .write_to(&mut Cursor::new(&mut bytes), format)
            .expect("encodes");
        bytes
    }

    #[test]
    fn a_file_that_is_cut_off_is_not_whole() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
            let file = file(format);
            assert_eq!(sniff(&file).expect("a picture"), format);
            assert!(is_whole(&file, format), "{format:?}");
            for length in [16, 40, file.len() / 2, file.len() * 9 / 10, file.len() - 1] {
                assert!(!is_whole(&file[..length], format), "{length} of {format:?}");
            }
        }
    }

    #[test]
    fn other_files_are_no_pictures() {
        for other in [&b"hello"[..], b"<svg></svg>", b"RIFF\0\0\0\0WAVE"] {
            assert!(matches!(sniff(other), Err(AppError::UnsupportedImage)));
        }
        assert!(matches!(sniff(b""), Err(AppError::BadImage(_))));
    }
}
