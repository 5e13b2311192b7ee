//! Brings together what a data set says of one picture in many places.
//!
//! COCO's layout lists pictures and annotations apart, so what belongs to one picture can be
//! anywhere. Small files are gathered in memory. Large ones go into temporary files first, each
//! with all there is of some of the pictures, and these are gathered one after another; what is too
//! large to be gathered at once is divided again before. So memory does not grow with the data set,
//! only with what is said of one picture. The temporary files are where the environment's `TMPDIR`
//! says, take about as much room as the data set's own files, and are removed at the end.

mod buckets;
mod gathered;
#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, de::DeserializeOwned};

use self::{
    buckets::{Buckets, Spilled},
    gathered::Gathered,
};
use super::{
    ReadError,
    id::Id,
    json_stream::{Element, size_of},
    problems::Problems,
};

/// What is gathered at once, in bytes of the data set's files, as far as pictures are alike.
const BUCKET_BYTES: u64 = 1 << 26;
/// Most temporary files that are open at once.
const MOST_BUCKETS: u64 = 256;
/// How often what is in a temporary file is divided at most, which is more than what any disk can
/// hold needs.
const MOST_LEVELS: u32 = 16;

/// What something is to its picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The picture itself.
    Picture,
    /// Something marked in it.
    Annotation,
    /// Something said of it.
    Text,
}

/// All that is known of one picture.
#[derive(Debug, Clone)]
pub(super) struct Group {
    /// The picture's id.
    pub(super) id: Id,
    /// The picture itself.
    pub(super) picture: Entry,
    /// What is marked in it, in the order in which it was added.
    pub(super) annotations: Vec<Entry>,
    /// What is said of it, in the order in which it was added.
    pub(super) texts: Vec<Entry>,
}

/// An element that was kept.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    source: Arc<Source>,
    index: Option<u64>,
    byte: Option<u64>,
    /// The key that it is under; empty for an element of a list.
    key: String,
    json: Vec<u8>,
}

/// What is done with each group.
pub(super) type VisitGroup<'a> = &'a mut dyn FnMut(Group, &mut Problems) -> Result<(), ReadError>;

/// Where elements come from: as many as there are files and lists, and not one for each entry of an
/// object.
#[derive(Debug, PartialEq, Eq)]
struct Source {
    path: PathBuf,
    /// The list's name; empty for entries of an object.
    list: String,
}

impl Entry {
    /// The element that was kept.
    pub(super) fn element(&self) -> Element<'_> {
        Element {
            path: &self.source.path,
            name: match self.index {
                Some(_) => &self.source.list,
                None => &self.key,
            },
            index: self.index,
            byte: self.byte,
            json: &self.json,
        }
    }

    /// As [`Element::read`].
    ///
    /// # Errors
    /// Where too much is broken.
    pub(super) fn read<T: DeserializeOwned>(
        &self,
        problems: &mut Problems,
    ) -> Result<Option<T>, ReadError> {
        self.element().read(problems)
    }
}

/// Gathers elements by picture.
#[derive(Debug)]
pub(super) struct ByPicture {
    sources: Vec<Arc<Source>>,
    store: Store,
    bucket_bytes: u64,
}

#[derive(Debug)]
enum Store {
    Memory(Gathered),
    Disk(Buckets),
}

impl ByPicture {
    /// Gets ready for files that have so many bytes together.
    ///
    /// # Errors
    /// Where temporary files cannot be made.
    pub(super) fn new(expected_bytes: u64) -> Result<Self, ReadError> {
        Self::in_buckets(expected_bytes, BUCKET_BYTES)
    }

    fn in_buckets(expected_bytes: u64, bucket_bytes: u64) -> Result<Self, ReadError> {
        let store = if expected_bytes <= bucket_bytes {
            Store::Memory(Gathered::default())
        } else {
            let count = expected_bytes.div_ceil(bucket_bytes).min(MOST_BUCKETS);
            Store::Disk(Buckets::new(count)?)
        };
        Ok(Self {
            sources: Vec::new(),
            store,
            bucket_bytes,
        })
    }

    /// Keeps an element of the picture.
    ///
    /// # Errors
    /// Where a temporary file cannot be written.
    pub(super) fn add(
        &mut self,
        part: Part,
        id: Id,
        element: &Element<'_>,
    ) -> Result<(), ReadError> {
        let (list, key) = match element.index {
            Some(_) => (element.name, ""),
            None => ("", element.name),
        };
        let source = self.source(element.path, list);
        match &mut self.store {
            Store::Memory(gathered) => {
                let entry = Entry {
                    source: Arc::clone(&self.sources[source]),
                    index: element.index,
                    byte: element.byte,
                    key: key.to_owned(),
                    json: element.json.to_vec(),
                };
                gathered.add(part, id, entry);
                Ok(())
            }
            Store::Disk(buckets) => buckets.write(&Spilled {
                part,
                source: source as u64,
                index: element.index,
                byte: element.byte,
                key: key.into(),
                id: id.0.as_str().into(),
                json: element.json.into(),
            }),
        }
    }

    /// As [`ByPicture::add`], with the picture's id as COCO's layout has it in the element: `id` in a
    /// picture, `image_id` elsewhere. An element without it is reported.
    ///
    /// # Errors
    /// Where a temporary file cannot be written or too much is broken.
    pub(super) fn add_coco(
        &mut self,
        part: Part,
        element: &Element<'_>,
        problems: &mut Problems,
    ) -> Result<(), ReadError> {
        let id = if part == Part::Picture {
            element.read::<OwnId>(problems)?.map(|own| own.id)
        } else {
            element
                .read::<PictureId>(problems)?
                .map(|named| named.image_id)
        };
        id.map_or(Ok(()), |id| self.add(part, id, element))
    }

    /// Visits the pictures: of small files in the order of their list, of large ones in an order
    /// that is the same every time. What belongs to no picture is reported, and so is a second
    /// picture with an id.
    ///
    /// # Errors
    /// Where a temporary file cannot be read or too much is broken, or what `visit` returns.
    pub(super) fn finish(
        self,
        problems: &mut Problems,
        visit: VisitGroup<'_>,
    ) -> Result<(), ReadError> {
        match self.store {
            Store::Memory(gathered) => gathered.visit(problems, visit),
            Store::Disk(buckets) => {
                let sources = &self.sources;
                visit_buckets(buckets, sources, self.bucket_bytes, problems, visit)
            }
        }
    }

    /// The place of a file and list among the sources, of which the last ones are the likeliest.
    fn source(&mut self, path: &Path, list: &str) -> usize {
        let known = self
            .sources
            .iter()
            .rposition(|source| source.path == path && source.list == list);
        known.unwrap_or_else(|| {
            self.sources.push(Arc::new(Source {
                path: path.to_owned(),
                list: list.to_owned(),
            }));
            self.sources.len() - 1
        })
    }
}

/// Visits the pictures of one temporary file after another. One that is too large to be gathered at
/// once is divided first.
fn visit_buckets(
    buckets: Buckets,
    sources: &[Arc<Source>],
    bucket_bytes: u64,
    problems: &mut Problems,
    visit: VisitGroup<'_>,
) -> Result<(), ReadError> {
    let level = buckets.level();
    let (folder, paths) = buckets.close()?;
    for path in &paths {
        let size = size_of(path)?;
        // Sizes scatter about the one that was meant; what is a little larger is not worth a copy.
        let is_too_large = size > 2 * bucket_bytes && level < MOST_LEVELS;
        let divided = if is_too_large {
            let count = size.div_ceil(bucket_bytes).min(MOST_BUCKETS);
            Buckets::divide(path, level + 1, count)?
        } else {
            None
        };
        match divided {
            Some(divided) => visit_buckets(divided, sources, bucket_bytes, problems, visit)?,
            None => Gathered::read(path, sources)?.visit(problems, visit)?,
        }
    }
    let path = folder.path().to_owned();
    folder
        .close()
        .map_err(ReadError::io("remove the temporary folder", &path))
}

/// What has an id of its own.
#[derive(Deserialize)]
struct OwnId {
    id: Id,
}

/// What names its picture.
#[derive(Deserialize)]
struct PictureId {
    image_id: Id,
}
