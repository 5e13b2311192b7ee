//! What a measurement reads: rendered scenes, pictures of our format, or DLC-Bench.

use std::{
    fmt::Display,
    path::{self, Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    dlc::{DlcRegion, is_dlc_bench, read_dlc_bench},
    error::EvalError,
    protocol::Task,
};
use crate::data::{
    folder::{FolderError, PictureFolder},
    published::{Place, Position, Problem},
    record::{PICTURES_FILE, PictureRecord},
    scenes::{DatasetError, LeftOut, SCENES_FILE, SceneLine, SceneRecord, scene_lines},
};

/// Where DLC-Bench keeps its pictures.
const BENCH_IMAGES: &str = "images";

/// What a folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum DataKind {
    Scenes,
    Pictures,
    DlcBench,
}

impl DataKind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Scenes => "rendered scenes",
            Self::Pictures => "pictures",
            Self::DlcBench => "DLC-Bench",
        }
    }
}

/// A folder whose pictures a model is asked about.
#[derive(Debug)]
pub(super) enum Source {
    Scenes {
        dir: PathBuf,
        /// Each with its line, and the broken ones with what is wrong.
        scenes: Vec<(u64, Result<SceneRecord, String>)>,
        left_out: LeftOut,
    },
    Pictures(PictureFolder),
    DlcBench {
        dir: PathBuf,
        /// The regions of each picture.
        pictures: Vec<Vec<DlcRegion>>,
    },
}

/// One picture with what is known of it.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) id: String,
    /// The file.
    pub(super) image: PathBuf,
    /// Width and height that the file should have.
    pub(super) size: (u32, u32),
    pub(super) content: Content<'a>,
}

/// What is known of a picture.
#[derive(Debug)]
pub(super) enum Content<'a> {
    Scene(&'a SceneRecord),
    Picture(PictureRecord),
    Bench(&'a [DlcRegion]),
}

impl Source {
    /// Opens a folder for a task.
    pub(super) fn open(dir: &Path, task: Task) -> Result<Self, EvalError> {
        let holds = |file: &str| dir.join(file).exists();
        let unsuited = |wanted: &'static str| EvalError::Unsuited {
            path: dir.to_owned(),
            task: task.name(),
            wanted,
        };
        if holds(SCENES_FILE) && !holds(PICTURES_FILE) {
            return Self::open_scenes(dir);
        }
        if task != Task::Dlc {
            if is_dlc_bench(dir) && !holds(PICTURES_FILE) {
                return Err(unsuited("rendered scenes or pictures of our format"));
            }
            return Ok(Self::Pictures(PictureFolder::open(dir)?));
        }
        FolderError::unless_folder(dir)?;
        if !is_dlc_bench(dir) {
            return Err(unsuited("rendered scenes or the regions of DLC-Bench"));
        }
        let mut pictures: Vec<Vec<DlcRegion>> = Vec::new();
        for region in read_dlc_bench(dir)? {
            let same = |others: &&mut Vec<DlcRegion>| {
                others
                    .first()
                    .is_some_and(|other| other.image_id == region.image_id)
            };
            match pictures.iter_mut().find(same) {
                Some(others) => others.push(region),
                None => pictures.push(vec![region]),
            }
        }
        Ok(Self::DlcBench {
            dir: dir.to_owned(),
            pictures,
        })
    }

    fn open_scenes(dir: &Path) -> Result<Self, EvalError> {
        let mut scenes = Vec::new();
        let mut left_out = LeftOut::default();
        for read in scene_lines(dir)? {
            let SceneLine { line, scene } = read?;
            let scene = match scene {
                Ok((scene, unknown)) => {
                    left_out += unknown;
                    Ok(scene)
                }
                Err(broken) => Err(broken.to_string()),
            };
            scenes.push((line as u64, scene));
        }
        if scenes.is_empty() {
            return Err(DatasetError::Empty(dir.join(SCENES_FILE)).into());
        }
        Ok(Self::Scenes {
            dir: dir.to_owned(),
            scenes,
            left_out,
        })
    }

    pub(super) fn kind(&self) -> DataKind {
        match self {
            Self::Scenes { .. } => DataKind::Scenes,
            Self::Pictures(_) => DataKind::Pictures,
            Self::DlcBench { .. } => DataKind::DlcBench,
        }
    }

    /// How many pictures there are.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Scenes { scenes, .. } => scenes.len(),
            Self::Pictures(folder) => folder.len(),
            Self::DlcBench { pictures, .. } => pictures.len(),
        }
    }

    /// What of the folder is not understood.
    pub(super) fn left_out(&self) -> LeftOut {
        match self {
            Self::Scenes { left_out, .. } => *left_out,
            Self::Pictures(_) | Self::DlcBench { .. } => LeftOut::default(),
        }
    }

    /// The picture at a place, from 0; [`EvalError::Broken`] where what is written of it is broken.
    ///
    /// # Panics
    /// If there is none.
    pub(super) fn entry(&self, place: usize) -> Result<Entry<'_>, EvalError> {
        match self {
            Self::Scenes { dir, scenes, .. } => {
                let scene = match &scenes[place].1 {
                    Ok(scene) => scene,
                    Err(reason) => return Err(self.broken(place, reason)),
                };
                Ok(Entry {
                    id: scene.id.to_string(),
                    image: absolute(dir.join(&scene.image)),
                    size: (scene.width, scene.height),
                    content: Content::Scene(scene),
                })
            }
            Self::Pictures(folder) => {
                let record = match folder.record(place) {
                    Ok(record) => record,
                    Err(FolderError::Line { position, source }) => {
                        return Err(broken_at(position, &source));
                    }
                    Err(error) => return Err(error.into()),
                };
                Ok(Entry {
                    id: record.id.clone(),
                    image: absolute(folder.image_path(&record)),
                    size: (record.width, record.height),
                    content: Content::Picture(record),
                })
            }
            Self::DlcBench { dir, pictures } => {
                let regions = &pictures[place];
                let first = &regions[0];
                let beside = dir.join(&first.file_name);
                let image = match beside.is_file() {
                    true => beside,
                    false => dir.join(BENCH_IMAGES).join(&first.file_name),
                };
                Ok(Entry {
                    id: first.image_id.to_string(),
                    image: absolute(image),
                    size: (first.mask.width(), first.mask.height()),
                    content: Content::Bench(regions),
                })
            }
        }
    }

    /// The error that the picture at a place, from 0, cannot be used.
    ///
    /// # Panics
    /// If there is none.
    pub(super) fn broken(&self, place: usize, reason: impl Display) -> EvalError {
        let position = match self {
            Self::Scenes { dir, scenes, .. } => {
                Position::new(&dir.join(SCENES_FILE), Place::Line(scenes[place].0))
            }
            Self::Pictures(folder) => match folder.position(place) {
                Ok(position) => position,
                Err(error) => return error.into(),
            },
            Self::DlcBench { dir, .. } => Position::new(dir, Place::Whole),
        };
        broken_at(position, &reason)
    }
}

fn broken_at(position: Position, reason: &dyn Display) -> EvalError {
    EvalError::Broken(Box::new(Problem {
        position,
        message: reason.to_string(),
    }))
}

/// The path from the root, so that a report that is made elsewhere finds it.
pub(super) fn absolute(path: PathBuf) -> PathBuf {
    path::absolute(&path).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{data::scenes::write_dataset, eval::dlc::write_bench};

    #[test]
    fn folders_are_told_apart() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("scenes");
        write_dataset(3, 2, &dir, (64, 64)).unwrap();
        let scenes = Source::open(&dir, Task::Res).unwrap();
        assert_eq!((scenes.kind(), scenes.count()), (DataKind::Scenes, 2));
        let entry = scenes.entry(1).unwrap();
        assert_eq!((entry.id.as_str(), entry.size), ("1", (64, 64)));
        assert!(entry.image.is_file() && entry.image.is_absolute());

        let line = r#"{"id": "cup", "image": "cup.jpg", "width": 4, "height": 3}"#;
        fs::write(parent.path().join(PICTURES_FILE), line).unwrap();
        let pictures = Source::open(parent.path(), Task::Res).unwrap();
        assert_eq!((pictures.kind(), pictures.count()), (DataKind::Pictures, 1));
        assert_eq!(pictures.entry(0).unwrap().id, "cup");
        let outside = pictures.broken(0, "it is green").to_string();
        assert!(
            outside.ends_with("pictures.jsonl:1: it is green"),
            "{outside}"
        );
        let unsuited = Source::open(parent.path(), Task::Dlc).unwrap_err();
        assert!(unsuited.to_string().contains("DLC-Bench"), "{unsuited}");
        for task in [Task::Res, Task::Dlc] {
            let nothing = Source::open(&parent.path().join("none"), task).unwrap_err();
            assert!(
                matches!(nothing, EvalError::Folder(FolderError::Missing(_))),
                "{nothing}"
            );
        }
    }

    #[test]
    fn a_broken_line_spoils_no_other() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("scenes");
        write_dataset(3, 2, &dir, (64, 64)).unwrap();
        let path = dir.join(SCENES_FILE);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("\n{{\n{text}")).unwrap();
        let scenes = Source::open(&dir, Task::Res).unwrap();
        assert_eq!(scenes.count(), 3);
        let broken = scenes.entry(0).unwrap_err();
        assert!(matches!(&broken, EvalError::Broken(problem)
            if problem.position == Position::new(&path, Place::Line(2))));
        assert!(broken.to_string().contains("not a scene"), "{broken}");
        assert_eq!(scenes.entry(2).unwrap().id, "1");

        let record = r#"{"id": "cup", "image": "cup.jpg", "width": 4, "height": 3}"#;
        fs::write(dir.join(PICTURES_FILE), format!("{record}\n[]\n")).unwrap();
        let pictures = Source::open(&dir, Task::Res).unwrap();
        assert_eq!(pictures.entry(0).unwrap().id, "cup");
        let broken = pictures.entry(1).unwrap_err();
        assert!(matches!(&broken, EvalError::Broken(_)), "{broken}");
        assert!(broken.to_string().contains("pictures.jsonl:2"), "{broken}");
    }

    #[test]
    fn the_benchmark_s_regions_are_brought_together_by_picture() {
        let folder = tempfile::tempdir().unwrap();
        write_bench(folder.path());
        let bench = Source::open(folder.path(), Task::Dlc).unwrap();
        assert_eq!((bench.kind(), bench.count()), (DataKind::DlcBench, 1));
        let entry = bench.entry(0).unwrap();
        assert_eq!((entry.id.as_str(), entry.size), ("1", (4, 4)));
        assert!(entry.image.ends_with("images/a.jpg"));
        assert!(matches!(entry.content, Content::Bench([region]) if region.id == "7"));
        let unsuited = Source::open(folder.path(), Task::Res).unwrap_err();
        assert!(unsuited.is_nothing_to_ask(), "{unsuited}");
    }
}
