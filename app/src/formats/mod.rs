//! What regions and conversations are read from and written as, free of any browser type and
//! tested on the host.
//!
//! The bitmap is the truth: PNG and COCO RLE give back the same pixels, polygons and SVG do where
//! the tolerance is 0.

mod conversation;
mod pixels;
mod read;
mod table;
mod write;

pub use conversation::{Turn, conversation_json, conversation_markdown};
pub use pixels::{are_masks, masks_of_pixels};
pub use read::read_regions;
pub use table::{Asked, Table, csv, table};
pub use write::{Named, coco_json, indexed_png, overlap, polygon_json, svg};

use fclm_core::mask::Rle;

/// A region that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// What it was called there.
    pub name: Option<String>,
    /// Its colour there, `#rrggbb`.
    pub color: Option<String>,
    /// Its pixels, at the picture's size.
    pub mask: Rle,
}

/// Red, green and blue of `#rrggbb`; anything else is a middle grey.
pub fn rgb(color: &str) -> [u8; 3] {
    let part = |range: std::ops::Range<usize>| {
        color
            .get(range)
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
    };
    match (part(1..3), part(3..5), part(5..7)) {
        (Some(red), Some(green), Some(blue)) => [red, green, blue],
        _ => [128, 128, 128],
    }
}

/// A colour as `#rrggbb`.
pub fn hex([red, green, blue]: [u8; 3]) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_read() {
        assert_eq!(rgb("#ff8001"), [255, 128, 1]);
        assert_eq!(rgb("red"), [128; 3]);
        assert_eq!(rgb("#äöü"), [128; 3]);
        assert_eq!(hex([255, 128, 1]), "#ff8001");
    }
}
