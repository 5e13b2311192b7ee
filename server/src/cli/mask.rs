use std::{io::Cursor, path::Path};

use anyhow::Context;
use fclm_core::mask::Mask;
use fclm_server::disk;
use image::{GrayImage, ImageFormat};

/// Writes a mask as an 8-bit PNG of 0 and 255.
pub(super) fn write_mask(mask: &Mask, out: &Path) -> anyhow::Result<()> {
    let grey = mask.data().iter().map(|&inside| inside * u8::MAX).collect();
    let mut bytes = Vec::new();
    GrayImage::from_raw(mask.width(), mask.height(), grey)
        .context("a mask has one value for each pixel")?
        .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)?;
    disk::write_to(out, &bytes).with_context(|| format!("cannot write {}", out.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_written_in_black_and_white_whatever_the_name() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("mask");
        let mask = Mask::rect(5, 4, [1.0, 1.0, 3.0, 4.0]);
        write_mask(&mask, &out).unwrap();
        let bytes = std::fs::read(&out).unwrap();
        let image::DynamicImage::ImageLuma8(read) = image::load_from_memory(&bytes).unwrap() else {
            panic!("not an 8-bit grey picture");
        };
        assert_eq!(read.dimensions(), (5, 4));
        assert_eq!(read.iter().filter(|&&value| value == 255).count(), 6);
        assert_eq!(read.iter().filter(|&&value| value == 0).count(), 14);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_mask_that_finds_no_room_is_an_error() {
        let mask = Mask::rect(5, 4, [1.0, 1.0, 3.0, 4.0]);
        let error = write_mask(&mask, Path::new("/dev/full")).unwrap_err();
        assert!(error.to_string().contains("/dev/full"), "{error}");
    }
}
