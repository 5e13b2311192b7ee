//! Which predicted masks belong to which true ones, and the figures that follow from it.
//!
//! * [`hungarian`] finds the cheapest one-to-one assignment.
//! * [`muse`] matches the masks of MUSE's answers by it, as PixelLM does.
//! * [`greedy`] pairs masks of grounded captions, as GLaMM does.
//! * [`average_precision`] is the COCO API's, for detections that all have one score.

pub mod average_precision;
pub mod greedy;
pub mod hungarian;
pub mod muse;
