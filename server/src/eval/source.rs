//! What a measurement reads: rendered scenes, pictures of our format, or DLC-Bench.

use std::path::{self, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{
    dlc::{DlcRegion, is_dlc_bench, read_dlc_bench},
    error::EvalError,
    protocol::Task,
};
use crate::data::{
    folder::{FolderError, PictureFolder},
    record::{PICTURES_FILE, PictureRecord},
    scenes::{Dataset, LeftOut, SCENES_FILE, SceneRecord, read_dataset},
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
    Scenes(Dataset),
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
        if holds(SCENES_FILE) && !holds(PICTURES_FILE) {
            return Ok(Self::Scenes(read_dataset(dir)?));
        }
        if task != Task::Dlc {
            return Ok(Self::Pictures(PictureFolder::open(dir)?));
        }
        FolderError::unless_folder(dir)?;
        if !is_dlc_bench(dir) {
            return Err(EvalError::Unsuited {
                path: dir.to_owned(),
                task: task.name(),
                wanted: "rendered scenes or the regions of DLC-Bench",
            });
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

    pub(super) fn kind(&self) -> DataKind {
        match self {
            Self::Scenes(_) => DataKind::Scenes,
            Self::Pictures(_) => DataKind::Pictures,
            Self::DlcBench { .. } => DataKind::DlcBench,
        }
    }

    /// How many pictures there are.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Scenes(dataset) => dataset.scenes.len(),
            Self::Pictures(folder) => folder.len(),
            Self::DlcBench { pictures, .. } => pictures.len(),
        }
    }

    /// What of the folder is not understood.
    pub(super) fn left_out(&self) -> LeftOut {
        match self {
            Self::Scenes(dataset) => dataset.left_out,
            Self::Pictures(_) | Self::DlcBench { .. } => LeftOut::default(),
        }
    }

    /// The picture at a place, from 0.
    ///
    /// # Panics
    /// If there is none.
    pub(super) fn entry(&self, place: usize) -> Result<Entry<'_>, EvalError> {
        match self {
            Self::Scenes(dataset) => {
                let scene = &dataset.scenes[place];
                Ok(Entry {
                    id: scene.id.to_string(),
                    image: absolute(dataset.image_path(scene)),
                    size: (scene.width, scene.height),
                    content: Content::Scene(scene),
                })
            }
            Self::Pictures(folder) => {
                let record = folder.record(place)?;
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
    fn the_benchmark_s_regions_are_brought_together_by_picture() {
        let folder = tempfile::tempdir().unwrap();
        write_bench(folder.path());
        let bench = Source::open(folder.path(), Task::Dlc).unwrap();
        assert_eq!((bench.kind(), bench.count()), (DataKind::DlcBench, 1));
        let entry = bench.entry(0).unwrap();
        assert_eq!((entry.id.as_str(), entry.size), ("1", (4, 4)));
        assert!(entry.image.ends_with("images/a.jpg"));
        assert!(matches!(entry.content, Content::Bench([region]) if region.id == "7"));
    }
}
