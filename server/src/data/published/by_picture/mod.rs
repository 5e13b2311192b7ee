//! Brings together what a data set says of one picture in many places.
//!
//! COCO's layout lists pictures and annotations apart, so what belongs to one picture can be
//! anywhere. Small files are gathered in memory. Large ones go into temporary files first, each
//! with all there is of some of the pictures, and these are gathered one after another; what is too
//! large to be gathered at once is divided again before. So memory does not grow with the data set,
//! only with what is said of one picture. The temporary files are where the environment's `TMPDIR`
//! says, take about as much room as the data set's own files, and are removed at the end.

mod buckets;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, de::DeserializeOwned};

use self::buckets::{Buckets, Spilled};
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

/// Groups that are in memory.
#[derive(Debug, Default)]
struct Gathered {
    places: HashMap<Id, usize>,
    groups: Vec<Gathering>,
}

/// A group that may still lack its picture.
#[derive(Debug)]
struct Gathering {
    id: Id,
    pictures: Vec<Entry>,
    annotations: Vec<Entry>,
    texts: Vec<Entry>,
}

impl Gathered {
    fn add(&mut self, part: Part, id: Id, entry: Entry) {
        let place = match self.places.get(&id) {
            Some(&place) => place,
            None => {
                self.groups.push(Gathering {
                    id: id.clone(),
                    pictures: Vec::new(),
                    annotations: Vec::new(),
                    texts: Vec::new(),
                });
                self.places.insert(id, self.groups.len() - 1);
                self.groups.len() - 1
            }
        };
        let group = &mut self.groups[place];
        match part {
            Part::Picture => group.pictures.push(entry),
            Part::Annotation => group.annotations.push(entry),
            Part::Text => group.texts.push(entry),
        }
    }

    fn read(path: &Path, sources: &[Arc<Source>]) -> Result<Self, ReadError> {
        let mut gathered = Self::default();
        for spilled in buckets::read(path)? {
            let spilled = spilled.map_err(buckets::reading(path))?;
            let source = usize::try_from(spilled.source).ok();
            let source = source.and_then(|source| sources.get(source));
            let source = source.ok_or_else(|| buckets::reading(path)(buckets::changed()))?;
            let entry = Entry {
                source: Arc::clone(source),
                index: spilled.index,
                byte: spilled.byte,
                key: spilled.key.into_owned(),
                json: spilled.json.into_owned(),
            };
            gathered.add(spilled.part, Id(spilled.id.into_owned()), entry);
        }
        Ok(gathered)
    }

    fn visit(mut self, problems: &mut Problems, visit: VisitGroup<'_>) -> Result<(), ReadError> {
        self.groups
            .sort_by_key(|group| group.pictures.first().map(|picture| picture.index));
        for group in self.groups {
            let id = group.id;
            let mut pictures = group.pictures.into_iter();
            let Some(picture) = pictures.next() else {
                let message = format!("its picture {id} is not in the list of pictures");
                for entry in group.annotations.iter().chain(&group.texts) {
                    problems.report(&entry.element().position(), &message)?;
                }
                continue;
            };
            for second in pictures {
                let message = format!("another picture has the id {id} already");
                problems.report(&second.element().position(), &message)?;
            }
            let group = Group {
                id,
                picture,
                annotations: group.annotations,
                texts: group.texts,
            };
            visit(group, problems)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element<'a>(name: &'a str, index: u64, json: &'a str) -> Element<'a> {
        Element {
            path: Path::new("file.json"),
            name,
            index: Some(index),
            byte: index.checked_sub(1),
            json: json.as_bytes(),
        }
    }

    fn add(by_picture: &mut ByPicture, part: Part, id: u64, element: &Element<'_>) {
        by_picture.add(part, Id(id.to_string()), element).unwrap();
    }

    /// Pictures 0 to 19, then two annotations of each but the first, and a text of picture 3.
    fn filled(mut by_picture: ByPicture) -> ByPicture {
        for id in 0..20 {
            let picture = element("images", 19 - id, "{}");
            add(&mut by_picture, Part::Picture, id, &picture);
        }
        for index in 0..38 {
            let json = index.to_string();
            let annotation = element("annotations", index, &json);
            add(
                &mut by_picture,
                Part::Annotation,
                1 + index % 19,
                &annotation,
            );
        }
        let text = element("refs", 0, "\"a cup\"");
        add(&mut by_picture, Part::Text, 3, &text);
        by_picture
    }

    /// Every group as a line.
    fn groups(by_picture: ByPicture) -> Vec<String> {
        let mut lines = Vec::new();
        let mut problems = Problems::new(0);
        let told = |entries: &[Entry]| -> Vec<String> {
            entries
                .iter()
                .map(|entry| {
                    let json = String::from_utf8(entry.json.clone()).unwrap();
                    format!("{}={json}", entry.element().position())
                })
                .collect()
        };
        by_picture
            .finish(&mut problems, &mut |group, _| {
                lines.push(format!(
                    "{} {:?} {:?} {:?}",
                    group.id,
                    told(&[group.picture]),
                    told(&group.annotations),
                    told(&group.texts)
                ));
                Ok(())
            })
            .unwrap();
        lines
    }

    #[test]
    fn small_files_keep_the_order_of_their_pictures() {
        let lines = groups(filled(ByPicture::new(1000).unwrap()));
        assert_eq!(lines.len(), 20);
        assert_eq!(
            lines[19],
            r#"0 ["file.json: images[19] at byte 18={}"] [] []"#
        );
        assert_eq!(
            lines[16],
            concat!(
                r#"3 ["file.json: images[16] at byte 15={}"] "#,
                r#"["file.json: annotations[2] at byte 1=2", "#,
                r#""file.json: annotations[21] at byte 20=21"] "#,
                r#"["file.json: refs[0]=\"a cup\""]"#
            )
        );
    }

    #[test]
    fn large_files_give_the_same_groups() {
        let expected = groups(filled(ByPicture::new(1000).unwrap()));
        let spilled = filled(ByPicture::in_buckets(1000, 200).unwrap());
        let Store::Disk(buckets) = &spilled.store else {
            panic!("1000 bytes are more than one bucket of 200");
        };
        let folder = buckets.folder().to_owned();
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 5);
        let mut lines = groups(spilled);
        assert!(!folder.exists());
        assert_ne!(lines, expected, "it goes bucket by bucket");
        let mut sorted = expected;
        sorted.sort();
        lines.sort();
        assert_eq!(lines, sorted);
    }

    #[test]
    fn what_is_larger_than_was_expected_gives_the_same_groups() {
        let mut expected = groups(filled(ByPicture::new(1000).unwrap()));
        expected.sort();
        // Two files of more than 1000 bytes, where at most 200 are gathered at once.
        let spilled = filled(ByPicture::in_buckets(120, 100).unwrap());
        let Store::Disk(buckets) = &spilled.store else {
            panic!("120 bytes are more than one bucket of 100");
        };
        let folder = buckets.folder().to_owned();
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2);
        let mut lines = groups(spilled);
        assert!(!folder.exists());
        lines.sort();
        assert_eq!(lines, expected);
    }

    #[test]
    fn no_bucket_holds_everything() {
        let spilled = filled(ByPicture::in_buckets(1000, 200).unwrap());
        let Store::Disk(buckets) = spilled.store else {
            panic!("1000 bytes are more than one bucket of 200");
        };
        let (_folder, paths) = buckets.close().unwrap();
        for path in paths {
            let gathered = Gathered::read(&path, &spilled.sources).unwrap();
            assert!(gathered.groups.len() < 12, "{}", gathered.groups.len());
        }
    }

    #[test]
    fn entries_of_an_object_keep_their_keys_and_share_a_source() {
        for bucket_bytes in [1000, 10] {
            let mut by_picture = ByPicture::in_buckets(100, bucket_bytes).unwrap();
            add(
                &mut by_picture,
                Part::Picture,
                7,
                &element("images", 0, "{}"),
            );
            for key in ["a", "b"] {
                let entry = Element {
                    index: None,
                    byte: Some(3),
                    ..element(key, 0, "[]")
                };
                add(&mut by_picture, Part::Text, 7, &entry);
            }
            assert_eq!(by_picture.sources.len(), 2);
            assert_eq!(
                groups(by_picture),
                [concat!(
                    r#"7 ["file.json: images[0]={}"] [] "#,
                    r#"["file.json: \"a\" at byte 3=[]", "file.json: \"b\" at byte 3=[]"]"#
                )]
            );
        }
    }

    #[test]
    fn ids_are_where_coco_has_them() {
        let mut by_picture = ByPicture::new(10).unwrap();
        let mut problems = Problems::default();
        let picture = r#"{"id": 7, "width": 3}"#;
        let annotation = r#"{"id": 9, "image_id": 7}"#;
        for (part, name, json) in [
            (Part::Picture, "images", picture),
            (Part::Annotation, "annotations", annotation),
            (Part::Annotation, "annotations", picture),
        ] {
            by_picture
                .add_coco(part, &element(name, 0, json), &mut problems)
                .unwrap();
        }
        assert_eq!(problems.broken(), 1);
        assert!(problems.kept()[0].message.contains("image_id"));
        assert_eq!(
            groups(by_picture),
            [format!(
                "7 {:?} {:?} []",
                [format!("file.json: images[0]={picture}")],
                [format!("file.json: annotations[0]={annotation}")]
            )]
        );
    }

    #[test]
    fn what_has_no_picture_is_told() {
        let mut by_picture = ByPicture::new(10).unwrap();
        let text = element("refs", 3, "1");
        add(&mut by_picture, Part::Text, 9, &text);
        for index in [4, 5] {
            let annotation = element("annotations", index, "1");
            add(&mut by_picture, Part::Annotation, 9, &annotation);
        }
        for index in [0, 1] {
            let picture = element("images", index, "{}");
            add(&mut by_picture, Part::Picture, 7, &picture);
        }
        let mut problems = Problems::default();
        let mut count = 0;
        by_picture
            .finish(&mut problems, &mut |group, _| {
                assert_eq!(group.id.0, "7");
                count += 1;
                Ok(())
            })
            .unwrap();
        assert_eq!(count, 1);
        let told: Vec<String> = problems.kept().iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "file.json: annotations[4] at byte 3: its picture 9 is not in the list of pictures",
                "file.json: annotations[5] at byte 4: its picture 9 is not in the list of pictures",
                "file.json: refs[3] at byte 2: its picture 9 is not in the list of pictures",
                "file.json: images[1] at byte 0: another picture has the id 7 already",
            ]
        );
    }
}
