//! Lines over steps, as small charts beside each other in one SVG file.
//!
//! The file needs nothing else and is light or dark as the reader's system is.
//!
//! ```
//! use fclm_server::plot::{Chart, Figure, Series};
//!
//! let loss = Series::new("loss", vec![[0.0, 4.0], [10.0, 1.5]]);
//! let svg = Figure::new("A run", "step")
//!     .with(Chart::new("Loss", vec![loss]))
//!     .to_svg();
//! assert!(svg.starts_with("<svg "));
//! ```

mod axis;
mod chart;
mod figure;
#[cfg(test)]
mod well_formed;

pub use chart::{Chart, Series};
pub use figure::Figure;
#[cfg(test)]
pub(crate) use well_formed::assert_well_formed;
