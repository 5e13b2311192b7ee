//! Folders of pictures in our own format: read one picture at a time, and written whole.
//!
//! A folder holds `pictures.jsonl`, or the `scenes.jsonl` of rendered scenes, whose lines are read
//! as pictures. Nothing but the places of the lines is kept in memory, 8 bytes for each, so a folder
//! may be as large as the disk.
//!
//! ```
//! use fclm_server::data::{
//!     folder::{PictureFolder, PictureWriter},
//!     record::PictureRecord,
//! };
//!
//! # let parent = tempfile::tempdir()?;
//! let dir = parent.path().join("cups");
//! let mut writer = PictureWriter::create(&dir)?;
//! writer.write(&PictureRecord {
//!     id: "7".to_owned(),
//!     image: "/photos/7.jpg".to_owned(),
//!     width: 640,
//!     height: 480,
//!     ..PictureRecord::default()
//! })?;
//! writer.finish()?;
//!
//! let folder = PictureFolder::open(&dir)?;
//! assert_eq!((folder.len(), folder.record(0)?.id.as_str()), (1, "7"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod read;
mod scene;
mod write;

pub use error::{FolderError, FolderLineError};
pub use read::PictureFolder;
pub use write::{IMAGES_DIR, PictureWriter};
