//! Masks: the raster a program works on, the COCO run lengths that travel and are stored, and the
//! conversions between them.
//!
//! A [`Mask`] is row by row, one byte a pixel. An [`Rle`] is column by column as the
//! [COCO mask API](https://github.com/cocodataset/cocoapi/blob/master/common/maskApi.c) has it;
//! its strings, areas, boxes and overlaps equal that library's. What comes from outside goes
//! through [`Mask::from_wire`] or [`Rle::from_wire`], which check everything before they allocate.
//!
//! ```
//! use fclm_core::mask::Mask;
//!
//! let mask = Mask::rect(6, 4, [1.0, 1.0, 4.0, 3.0]);
//! let wire = mask.to_wire();
//! assert_eq!(Mask::from_wire(&wire, 1_000)?, mask);
//! assert_eq!(mask.bounds(), Some([1.0, 1.0, 4.0, 3.0]));
//! # Ok::<(), fclm_core::mask::MaskError>(())
//! ```

mod area_average;
mod coco_string;
pub mod contour;
mod error;
mod morphology;
#[cfg(test)]
mod parity;
pub mod png;
mod polygon;
mod raster;
pub mod rle;
pub mod svg;

pub use error::MaskError;
pub use raster::Mask;
pub use rle::Rle;
