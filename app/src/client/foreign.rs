use fclm_core::wire::{PHOTO_JPEG, PHOTO_QUALITY};
use leptos::prelude::window;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, ImageBitmap, ImageBitmapOptions, ImageOrientation};

use super::files::{decoded, encoded};
use super::{Failure, heic};
use crate::bitmap::Bitmap;

/// Bytes at the start of a file that say what it is.
pub(super) const START: i32 = 64;
/// Brands of HEIF files (ISO/IEC 23008-12), most of which hold HEVC.
const HEIC: [&[u8]; 8] = [
    b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1",
];
const AVIF: [&[u8]; 2] = [b"avif", b"avis"];

/// A kind of picture that the server does not take and some browsers read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// As phones take photos.
    Heic,
    /// As some pages show pictures.
    Avif,
}

impl Foreign {
    /// By the first bytes; names and media types may lie.
    pub(super) fn of(start: &[u8]) -> Option<Self> {
        let head = start.get(..16)?;
        if &head[4..8] != b"ftyp" {
            return None;
        }
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let end = length.min(start.len());
        // The major brand, its version, and the brands that fit as well.
        let (major, others) = (&head[8..12], start.get(16..end).unwrap_or_default());
        let is_any = |brands: &[&[u8]]| {
            brands.contains(&major) || others.chunks_exact(4).any(|brand| brands.contains(&brand))
        };
        if is_any(&AVIF) {
            return Some(Self::Avif);
        }
        is_any(&HEIC).then_some(Self::Heic)
    }

    /// What to do where neither the browser nor a worker of the page can read it.
    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::Heic => {
                "This browser cannot read HEIC photos. Open this page in Safari, or save the photo as JPEG first; an iPhone takes JPEG with Settings, Camera, Formats, Most Compatible."
            }
            Self::Avif => {
                "This browser cannot read AVIF pictures. Save the picture as JPEG or PNG first."
            }
        }
    }
}

/// The pixels of a picture, upright as its EXIF orientation says.
pub(super) async fn bitmap(file: &Blob) -> Result<ImageBitmap, JsValue> {
    let options = ImageBitmapOptions::new();
    options.set_image_orientation(ImageOrientation::FromImage);
    let asked = window().create_image_bitmap_with_blob_and_image_bitmap_options(file, &options)?;
    let bitmap = match JsFuture::from(asked).await {
        Ok(bitmap) => bitmap,
        // Older browsers do not know the option and do what it says.
        Err(_) => JsFuture::from(window().create_image_bitmap_with_blob(file)?).await?,
    };
    bitmap.dyn_into()
}

/// A foreign picture as JPEG, in its own pixels. What the browser does not read goes to a worker
/// if it is HEIC and there is a script for one.
pub(super) async fn as_jpeg(
    file: &Blob,
    kind: Foreign,
    script: Option<&str>,
) -> Result<Blob, Failure> {
    match (jpeg(decoded(file).await).await, kind, script) {
        (Ok(jpeg), ..) => Ok(jpeg),
        (Err(_), Foreign::Heic, Some(script)) => heic::as_jpeg(file, script).await,
        (Err(_), ..) => Err(Failure::Foreign(kind)),
    }
}

/// What is on a bitmap. JPEG knows no transparency: white is laid under it, as the server does.
async fn jpeg(bitmap: Result<Bitmap, JsValue>) -> Result<Blob, JsValue> {
    let (canvas, context) = bitmap?;
    context.set_global_composite_operation("destination-over")?;
    context.set_fill_style_str("#ffffff");
    context.fill_rect(
        0.0,
        0.0,
        f64::from(canvas.width()),
        f64::from(canvas.height()),
    );
    encoded(&canvas, PHOTO_JPEG, PHOTO_QUALITY).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(major: &[u8], others: &[u8]) -> Vec<u8> {
        let length = (16 + others.len() as u32).to_be_bytes();
        [&length[..], b"ftyp", major, b"\0\0\0\0", others, b"more"].concat()
    }

    #[test]
    fn files_are_told_apart_by_their_brands() {
        assert_eq!(
            Foreign::of(&file(b"heic", b"mif1heic")),
            Some(Foreign::Heic)
        );
        assert_eq!(Foreign::of(&file(b"mif1", b"heic")), Some(Foreign::Heic));
        assert_eq!(
            Foreign::of(&file(b"mif1", b"miafavif")),
            Some(Foreign::Avif)
        );
        assert_eq!(Foreign::of(&file(b"avif", b"")), Some(Foreign::Avif));
        assert_eq!(Foreign::of(&file(b"mp42", b"isom")), None);
        // What stands behind the box is no brand.
        assert_eq!(
            Foreign::of(&[&file(b"mp42", b"")[..16], b"heic"].concat()),
            None
        );
        assert_eq!(Foreign::of(b"\x89PNG\r\n\x1a\n0123456789"), None);
        assert_eq!(Foreign::of(b""), None);
    }

    #[test]
    fn the_sentence_says_what_to_do() {
        assert!(Foreign::Heic.sentence().contains("save the photo as JPEG"));
        assert!(Failure::Foreign(Foreign::Avif).to_string().contains("AVIF"));
    }
}
