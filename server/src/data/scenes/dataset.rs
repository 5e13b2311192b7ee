//! Folders of scenes: `images/%06d.png` and `scenes.jsonl`, one scene per line.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use fclm_core::{
    mask::{Mask, MaskError},
    wire::{BoxPx, MaskRle},
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    grammar::{Caption, Question, ReferKind},
    sample::{AnnotatedScene, sample_sized},
    seeds::Seeds,
    view::Relation,
    vocabulary::Attributes,
};
use crate::disk;

/// Name of the file that describes the scenes of a folder.
pub const SCENES_FILE: &str = "scenes.jsonl";
/// Pictures smaller than this show too little, larger ones take too long.
const SIDES: std::ops::RangeInclusive<u32> = 64..=4096;
/// Largest picture whose masks are read.
const MAX_MASK_PIXELS: u64 = 1 << 26;
/// Scenes that are rendered before their lines are written.
const BATCH: u64 = 64;

/// One line of `scenes.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SceneRecord {
    /// Place in the data set, from 0.
    pub id: u64,
    /// The picture, relative to the folder.
    pub image: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The objects; their ids are their places in this list.
    pub objects: Vec<ObjectRecord>,
    /// Every clear relation between two objects.
    pub relations: Vec<RelationRecord>,
    /// Texts about single objects.
    pub regions: Vec<RegionRecord>,
    /// Expressions with the objects they mean.
    pub refs: Vec<RefRecord>,
    /// Grounded captions of the picture.
    #[serde(default)]
    pub captions: Vec<Caption>,
    /// Questions about single objects.
    #[serde(default)]
    pub questions: Vec<Question>,
}

/// An object of a scene.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObjectRecord {
    /// Its place in the list of objects.
    pub id: usize,
    /// Its visible pixels.
    pub mask: MaskRle,
    /// Tight box around them.
    #[serde(rename = "box")]
    pub box_px: BoxPx,
    /// What it is.
    #[serde(flatten)]
    pub attributes: Attributes,
    /// Share of it that is not hidden behind another object.
    pub visible: f32,
}

/// How one object lies to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelationRecord {
    /// The object that lies so.
    pub subject: usize,
    /// How it lies.
    pub relation: Relation,
    /// The object it lies so to.
    pub object: usize,
}

/// Texts about one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionRecord {
    /// The object.
    pub object: usize,
    /// Colour, material and shape.
    pub category: String,
    /// A noun phrase.
    pub brief: String,
    /// One or two sentences that fit no other object.
    pub detailed: String,
}

/// An expression with the objects it means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefRecord {
    /// What somebody would type.
    pub text: String,
    /// What it is like.
    pub kind: ReferKind,
    /// The objects, in order.
    pub targets: Vec<usize>,
}

/// A data set that could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// The folder already holds something.
    #[error("{} is not empty; choose a new folder for the data set", .0.display())]
    NotEmpty(PathBuf),
    /// The size of the pictures is out of range.
    #[error("pictures of {width}x{height} are not possible; each side can be {} to {}", SIDES.start(), SIDES.end())]
    Size {
        /// Width asked for.
        width: u32,
        /// Height asked for.
        height: u32,
    },
    /// A file or folder could not be read or written.
    #[error("could not {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A picture could not be written.
    #[error("could not write the picture {}", path.display())]
    Picture {
        /// The file.
        path: PathBuf,
        /// Why.
        source: image::ImageError,
    },
    /// A line is not a scene.
    #[error("{}:{line}: {source}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with the line.
        source: LineError,
    },
    /// There is no scene.
    #[error("{} holds no scene", .0.display())]
    Empty(PathBuf),
}

/// What is wrong with a line of `scenes.jsonl`.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Not JSON of the right layout.
    #[error("not a scene: {0}")]
    Json(#[from] serde_json::Error),
    /// A mask that cannot be decoded.
    #[error("the mask of object {object} is broken: {source}")]
    Mask {
        /// The object.
        object: usize,
        /// Why.
        source: MaskError,
    },
    /// A mask of another size than the picture.
    #[error("the mask of object {object} is {}x{}, the picture {width}x{height}", found[1], found[0])]
    MaskSize {
        /// The object.
        object: usize,
        /// Height and width of the mask.
        found: [u32; 2],
        /// Width of the picture.
        width: u32,
        /// Height of the picture.
        height: u32,
    },
    /// An object whose id is not its place.
    #[error("object {place} has the id {id}; ids count from 0 in the order of the list")]
    Id {
        /// Its place in the list.
        place: usize,
        /// Its id.
        id: usize,
    },
    /// A text about an object that is not there.
    #[error("object {object} is named, but there are only {count}")]
    NoObject {
        /// The id that is named.
        object: usize,
        /// Number of objects.
        count: usize,
    },
    /// A picture outside the folder.
    #[error("the picture's path {0:?} leads out of the data set")]
    ImagePath(String),
}

impl SceneRecord {
    /// What is known about a scene, as a line of `scenes.jsonl`.
    pub fn new(id: u64, scene: &AnnotatedScene) -> Self {
        let AnnotatedScene { drawn, annotations } = scene;
        let objects = drawn
            .masks
            .iter()
            .enumerate()
            .map(|(object, mask)| ObjectRecord {
                id: object,
                mask: mask.to_wire(),
                box_px: mask.bounds().unwrap_or_default(),
                attributes: drawn.view.objects[object].attributes,
                visible: (drawn.visible[object] * 1e4).round() / 1e4,
            })
            .collect();
        Self {
            id,
            image: format!("images/{id:06}.png"),
            width: drawn.image.width(),
            height: drawn.image.height(),
            objects,
            relations: annotations
                .relations
                .iter()
                .map(|&(subject, relation, object)| RelationRecord {
                    subject,
                    relation,
                    object,
                })
                .collect(),
            regions: annotations
                .descriptions
                .iter()
                .map(|text| RegionRecord {
                    object: text.object,
                    category: text.category.clone(),
                    brief: text.brief.clone(),
                    detailed: text.detailed.clone(),
                })
                .collect(),
            refs: annotations
                .refs
                .iter()
                .map(|expression| RefRecord {
                    text: expression.text.clone(),
                    kind: expression.kind,
                    targets: expression.targets.clone(),
                })
                .collect(),
            captions: annotations.captions.clone(),
            questions: annotations.questions.clone(),
        }
    }

    /// The mask of every object.
    pub fn masks(&self) -> Result<Vec<Mask>, LineError> {
        self.objects
            .iter()
            .map(|object| {
                let [height, width] = object.mask.size;
                if (width, height) != (self.width, self.height) {
                    return Err(LineError::MaskSize {
                        object: object.id,
                        found: object.mask.size,
                        width: self.width,
                        height: self.height,
                    });
                }
                Mask::from_wire(&object.mask, MAX_MASK_PIXELS).map_err(|source| LineError::Mask {
                    object: object.id,
                    source,
                })
            })
            .collect()
    }

    /// Checks what the types leave open.
    fn check(&self) -> Result<(), LineError> {
        let plain =
            |part: std::path::Component<'_>| matches!(part, std::path::Component::Normal(_));
        if self.image.is_empty() || !Path::new(&self.image).components().all(plain) {
            return Err(LineError::ImagePath(self.image.clone()));
        }
        if let Some((place, object)) = self
            .objects
            .iter()
            .enumerate()
            .find(|(place, object)| object.id != *place)
        {
            return Err(LineError::Id {
                place,
                id: object.id,
            });
        }
        let count = self.objects.len();
        let named = self
            .relations
            .iter()
            .flat_map(|relation| [relation.subject, relation.object])
            .chain(self.regions.iter().map(|region| region.object))
            .chain(
                self.refs
                    .iter()
                    .flat_map(|expression| expression.targets.iter().copied()),
            )
            .chain(self.questions.iter().map(|question| question.object))
            .chain(
                self.captions
                    .iter()
                    .flat_map(|caption| &caption.phrases)
                    .flat_map(|phrase| phrase.targets.iter().copied()),
            );
        match named.into_iter().find(|&object| object >= count) {
            Some(object) => Err(LineError::NoObject { object, count }),
            None => self.masks().map(drop),
        }
    }
}

/// A data set that has been read.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// The folder.
    pub dir: PathBuf,
    /// Its scenes, in the order of the file.
    pub scenes: Vec<SceneRecord>,
}

impl Dataset {
    /// Where the picture of a scene is.
    pub fn image_path(&self, scene: &SceneRecord) -> PathBuf {
        self.dir.join(&scene.image)
    }
}

/// Renders the first `count` scenes of a public seed into a new folder, on all cores.
///
/// The folder appears only when it is complete.
pub fn write_dataset(
    seed: u64,
    count: u64,
    out_dir: &Path,
    size: (u32, u32),
) -> Result<(), DatasetError> {
    write_dataset_with_progress(seed, count, out_dir, size, &|_| {})
}

/// As [`write_dataset`]; `progress` hears the number of finished scenes.
pub fn write_dataset_with_progress(
    seed: u64,
    count: u64,
    out_dir: &Path,
    (width, height): (u32, u32),
    progress: &(dyn Fn(u64) + Sync),
) -> Result<(), DatasetError> {
    if !SIDES.contains(&width) || !SIDES.contains(&height) {
        return Err(DatasetError::Size { width, height });
    }
    match fs::read_dir(out_dir).map(|mut entries| entries.next().is_some()) {
        Ok(true) => return Err(DatasetError::NotEmpty(out_dir.to_owned())),
        Ok(false) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed("read", out_dir)(error)),
    }

    let partial = disk::beside(out_dir, "partial")
        .ok_or_else(|| failed("create", out_dir)(io::ErrorKind::InvalidInput.into()))?;
    let result = fill(&partial, seed, count, (width, height), progress)
        .and_then(|()| fs::rename(&partial, out_dir).map_err(failed("create", out_dir)));
    if result.is_err() {
        // The first error says what went wrong; a rest that cannot be removed adds nothing.
        let _ = fs::remove_dir_all(&partial);
    }
    result
}

fn fill(
    dir: &Path,
    seed: u64,
    count: u64,
    (width, height): (u32, u32),
    progress: &(dyn Fn(u64) + Sync),
) -> Result<(), DatasetError> {
    let images = dir.join("images");
    fs::create_dir_all(&images).map_err(failed("create", &images))?;
    let path = dir.join(SCENES_FILE);
    let mut file = BufWriter::new(File::create(&path).map_err(failed("create", &path))?);
    let seeds = Seeds::public(seed);
    let finished = AtomicU64::new(0);

    for start in (0..count).step_by(BATCH as usize) {
        let lines: Vec<String> = (start..count.min(start + BATCH))
            .into_par_iter()
            .map(|index| {
                let scene = sample_sized(seeds, index, width, height);
                let record = SceneRecord::new(index, &scene);
                let path = dir.join(&record.image);
                scene
                    .drawn
                    .image
                    .save(&path)
                    .map_err(|source| DatasetError::Picture { path, source })?;
                progress(finished.fetch_add(1, Ordering::Relaxed) + 1);
                Ok(serde_json::to_string(&record).expect("a record has only plain fields"))
            })
            .collect::<Result<_, DatasetError>>()?;
        for line in lines {
            writeln!(file, "{line}").map_err(failed("write", &path))?;
        }
    }
    let file = file
        .into_inner()
        .map_err(|error| failed("write", &path)(error.into_error()))?;
    file.sync_all().map_err(failed("write", &path))
}

/// Reads and checks a folder of scenes; pictures are left to be opened one by one.
pub fn read_dataset(dir: &Path) -> Result<Dataset, DatasetError> {
    let path = dir.join(SCENES_FILE);
    let file = File::open(&path).map_err(failed("open", &path))?;
    let mut scenes = Vec::new();
    for (index, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(failed("read", &path))?;
        if line.trim().is_empty() {
            continue;
        }
        let scene = serde_json::from_str::<SceneRecord>(&line)
            .map_err(LineError::from)
            .and_then(|scene| scene.check().map(|()| scene))
            .map_err(|source| DatasetError::Line {
                path: path.clone(),
                line: index + 1,
                source,
            })?;
        scenes.push(scene);
    }
    if scenes.is_empty() {
        return Err(DatasetError::Empty(path));
    }
    Ok(Dataset {
        dir: dir.to_owned(),
        scenes,
    })
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DatasetError {
    let path = path.to_owned();
    move |source| DatasetError::Io {
        action,
        path,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("scenes");
        write_dataset(9, 3, &dir, (256, 192)).unwrap();
        let entries = fs::read_dir(parent.path()).unwrap().count();
        assert_eq!(entries, 1, "nothing partial is left");

        let dataset = read_dataset(&dir).unwrap();
        assert_eq!(dataset.scenes.len(), 3);
        for (index, record) in dataset.scenes.iter().enumerate() {
            let scene = sample_sized(Seeds::public(9), index as u64, 256, 192);
            assert_eq!(*record, SceneRecord::new(index as u64, &scene));
            assert_eq!(record.masks().unwrap(), scene.drawn.masks);
            let image = image::open(dataset.image_path(record)).unwrap().to_rgb8();
            assert_eq!(image, scene.drawn.image);
        }
        let again = write_dataset(9, 3, &dir, (256, 192));
        assert!(matches!(again, Err(DatasetError::NotEmpty(_))));
    }

    #[test]
    fn broken_lines_are_named() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("scenes");
        write_dataset(2, 2, &dir, (64, 64)).unwrap();
        let path = dir.join(SCENES_FILE);
        let text = fs::read_to_string(&path).unwrap();
        let (first, _) = text.split_once('\n').unwrap();

        let broken = |line: &str| {
            fs::write(&path, format!("{first}\n{line}\n")).unwrap();
            read_dataset(&dir).unwrap_err().to_string()
        };
        assert!(broken("{").contains("scenes.jsonl:2: not a scene"));
        let mut record: SceneRecord = serde_json::from_str(first).unwrap();
        record.refs[0].targets = vec![40];
        let message = broken(&serde_json::to_string(&record).unwrap());
        assert!(message.contains("object 40 is named"), "{message}");
        let mut record: SceneRecord = serde_json::from_str(first).unwrap();
        record.objects[0].mask.size = [64, 65];
        let message = broken(&serde_json::to_string(&record).unwrap());
        assert!(message.contains("mask of object 0 is 65x64"), "{message}");
        let outside = first.replacen("images/", "../images/", 1);
        assert!(broken(&outside).contains("leads out"));
        fs::write(&path, "\n").unwrap();
        assert!(matches!(read_dataset(&dir), Err(DatasetError::Empty(_))));
        assert!(matches!(
            read_dataset(&parent.path().join("no")),
            Err(DatasetError::Io { .. })
        ));
    }
}
