//! Readers of published data sets, each of which gives [`PictureRecord`]s.
//!
//! A reader is a module with a struct `Options` and a function
//! `read(&Options, Sink, &mut Problems) -> Result<(), ReadError>`. It pushes one picture after
//! another into the [`Sink`]. What it holds in memory does not grow with the data set: files are read
//! element by element, and what has to be brought together by picture goes through temporary files
//! where it is large. Only a pickle, of at most 256 MiB, is held as a whole, because any part of it may
//! mean any other. What is broken in a data set is told to [`Problems`] with file and position and
//! skipped, until there is too much of it.
//!
//! ```no_run
//! use std::path::PathBuf;
//!
//! use fclm_server::data::published::{Pictures, Problems, coco};
//!
//! let options = coco::Options {
//!     annotations: PathBuf::from("annotations/instances_val2017.json"),
//!     pictures: Pictures::new(&[PathBuf::from("val2017")])?,
//! };
//! let mut problems = Problems::default();
//! let mut count = 0;
//! coco::read(
//!     &options,
//!     &mut |picture, _| {
//!         count += picture.regions.len();
//!         Ok(())
//!     },
//!     &mut problems,
//! )?;
//! # Ok::<(), fclm_server::data::published::ReadError>(())
//! ```
//!
//! [`PictureRecord`]: super::record::PictureRecord

mod by_picture;
pub mod captions;
pub mod coco;
pub mod describe_anything;
mod error;
pub mod grandf;
mod id;
mod json_stream;
pub mod lvis;
pub mod muse;
mod opencv_polygon;
pub mod osprey;
pub mod paco;
mod pickle;
mod picture_size;
mod pictures;
mod problems;
pub mod reasonseg;
pub mod refer;
pub mod roc;
mod segmentation;

use super::record::PictureRecord;

pub use error::ReadError;
pub use pickle::PickleError;
pub use pictures::{PictureNameError, Pictures};
pub use problems::{DEFAULT_LIMIT, Place, Position, Problem, Problems};

/// Why whoever takes the pictures of a data set will have no more of them.
pub type SinkError = Box<dyn std::error::Error + Send + Sync>;

/// Takes the pictures of a data set, one after another, and notes those that it cannot use with all
/// else that is broken; its error ends the reading.
pub type Sink<'a> = &'a mut dyn FnMut(PictureRecord, &mut Problems) -> Result<(), SinkError>;
