//! The value `segmentation` of COCO's layout, and of all that took it over.

use std::fmt;

use fclm_core::{
    mask::{MaskError, Rle},
    wire::MaskRle,
};
use serde::{
    Deserialize, Deserializer,
    de::{self, value::MapAccessDeserializer, value::SeqAccessDeserializer},
};

use super::super::record::MAX_MASK_PIXELS;

/// A mask as a data set writes it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Segmentation {
    /// Parts that are united, each `x0, y0, x1, y1, ..` in pixels.
    Polygons(Vec<Vec<f64>>),
    /// Run lengths, compressed or not.
    Rle(MaskRle),
}

/// A segmentation that cannot become a mask of its picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SegmentationError {
    /// What the mask itself refuses.
    #[error("the mask is broken: {0}")]
    Mask(#[from] MaskError),
    /// A mask of another size than the picture.
    #[error("the mask is {}x{}, the picture {width}x{height}", found[1], found[0])]
    Size {
        /// Height and width of the mask.
        found: [u32; 2],
        /// Width of the picture.
        width: u32,
        /// Height of the picture.
        height: u32,
    },
    /// A first part of so few numbers that it is neither box nor polygon.
    #[error("the first polygon has only {0} numbers")]
    Short(usize),
}

impl Segmentation {
    /// The pixels of it in a picture of this size.
    ///
    /// Polygons are drawn as `annToRLE` of the
    /// [COCO API](https://github.com/cocodataset/cocoapi/blob/master/PythonAPI/pycocotools/_mask.pyx)
    /// has them drawn, its rule for boxes included: where the first part is four numbers long, each
    /// part is a box `x, y, width, height`.
    ///
    /// # Errors
    /// Where it is no mask, or one of another size.
    pub(super) fn to_rle(&self, width: u32, height: u32) -> Result<Rle, SegmentationError> {
        match self {
            Self::Polygons(parts) => match parts.first().map(Vec::len) {
                Some(4) => {
                    let corners: Vec<Vec<f64>> = parts.iter().map(|part| corners(part)).collect();
                    Ok(Rle::from_polygons(width, height, &corners)?)
                }
                Some(few) if few < 4 => Err(SegmentationError::Short(few)),
                _ => Ok(Rle::from_polygons(width, height, parts)?),
            },
            Self::Rle(mask) => {
                if mask.size != [height, width] {
                    return Err(SegmentationError::Size {
                        found: mask.size,
                        width,
                        height,
                    });
                }
                Ok(Rle::from_wire(mask, MAX_MASK_PIXELS)?)
            }
        }
    }
}

/// The corners of a box in the order of the COCO mask API's `rleFrBbox`; what is no box stays as it
/// is and is refused as a polygon.
fn corners(part: &[f64]) -> Vec<f64> {
    match *part {
        [x, y, width, height] => {
            let (right, bottom) = (x + width, y + height);
            vec![x, y, x, bottom, right, bottom, right, y]
        }
        _ => part.to_vec(),
    }
}

impl<'de> Deserialize<'de> for Segmentation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SegmentationVisitor)
    }
}

/// By hand, because what is derived for an untagged enum says only that no variant matches.
struct SegmentationVisitor;

impl<'de> de::Visitor<'de> for SegmentationVisitor {
    type Value = Segmentation;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mask: a list of polygons, or run lengths with size and counts")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, parts: A) -> Result<Segmentation, A::Error> {
        Deserialize::deserialize(SeqAccessDeserializer::new(parts)).map(Segmentation::Polygons)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, fields: A) -> Result<Segmentation, A::Error> {
        Deserialize::deserialize(MapAccessDeserializer::new(fields)).map(Segmentation::Rle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rle(json: &str, width: u32, height: u32) -> Result<Rle, String> {
        let segmentation: Segmentation = serde_json::from_str(json).map_err(|e| e.to_string())?;
        segmentation
            .to_rle(width, height)
            .map_err(|e| e.to_string())
    }

    // Runs of the COCO mask API's boundary walk, checked by counting the pixels of the boxes.
    #[test]
    fn parts_of_polygons_are_united() {
        let one = rle("[[1, 1, 1, 3, 4, 3, 4, 1]]", 6, 4).unwrap();
        assert_eq!(one.runs(), [5, 2, 2, 2, 2, 2, 9]);
        let two = rle(
            "[[1, 1, 1, 3, 4, 3, 4, 1], [3.0, 0, 3, 2, 6, 2, 6, 0]]",
            6,
            4,
        )
        .unwrap();
        assert_eq!(two.runs(), [5, 2, 2, 2, 1, 3, 1, 2, 2, 2, 2]);
    }

    #[test]
    fn four_numbers_are_a_box() {
        let box_px = rle("[[1, 1, 3, 2]]", 6, 4).unwrap();
        assert_eq!(box_px.runs(), [5, 2, 2, 2, 2, 2, 9]);
    }

    #[test]
    fn run_lengths_are_read_in_both_forms() {
        let runs = rle(r#"{"size": [3, 4], "counts": [2, 3, 7]}"#, 4, 3).unwrap();
        assert_eq!(runs.runs(), [2, 3, 7]);
        let string = rle(r#"{"counts": "237", "size": [3, 4]}"#, 4, 3).unwrap();
        assert_eq!(string, runs);
    }

    #[test]
    fn what_is_no_mask_of_the_picture_is_told() {
        let refused = |json: &str, what: &str| {
            let error = rle(json, 4, 3).unwrap_err();
            assert!(error.contains(what), "{json}: {error}");
        };
        refused(
            r#"{"size": [4, 3], "counts": [2, 3, 7]}"#,
            "the mask is 3x4, the picture 4x3",
        );
        refused(r#"{"size": [3, 4], "counts": [2, 3]}"#, "cover 5 pixels");
        refused(r#"{"counts": "237"}"#, "missing field `size`");
        refused("[]", "no mask was given");
        refused("[[1, 2]]", "only 2 numbers");
        refused(
            "[[1, 1, 1, 3, 4, 3], []]",
            "polygon 1 is no list of x, y pairs",
        );
        refused("[[1, 1, 1, 3, 4]]", "polygon 0 is no list of x, y pairs");
        refused("[7]", "invalid type: integer `7`");
        refused("\"7\"", "expected a mask: a list of polygons");
    }
}
