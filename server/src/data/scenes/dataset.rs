//! Folders of scenes: `images/%06d.png` and `scenes.jsonl`, one scene per line.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, BufWriter, Cursor, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use image::{ImageFormat, RgbImage};
use rayon::prelude::*;

use super::{
    left_out::LeftOut, line::LineError, record::SceneRecord, sample::sample_sized, seeds::Seeds,
    world::World,
};
use crate::disk::{StagingFolder, is_vacant};

/// Name of the file that describes the scenes of a folder.
pub const SCENES_FILE: &str = "scenes.jsonl";
/// Pictures smaller than this show too little, larger ones take too long.
const SIDES: std::ops::RangeInclusive<u32> = 64..=4096;
/// Scenes that are rendered before their lines are written.
const BATCH: u64 = 64;

/// Which scenes are rendered, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatasetOptions {
    /// The public seed.
    pub seed: u64,
    /// How many of its scenes, from the first.
    pub count: u64,
    /// Width and height of the pictures.
    pub size: (u32, u32),
    /// How crowded they are.
    pub world: World,
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

/// A data set that has been read.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// The folder.
    pub dir: PathBuf,
    /// Its scenes, in the order of the file.
    pub scenes: Vec<SceneRecord>,
    /// What is not understood of it, and is in none of the scenes.
    pub left_out: LeftOut,
}

impl Dataset {
    /// Where the picture of a scene is.
    pub fn image_path(&self, scene: &SceneRecord) -> PathBuf {
        self.dir.join(&scene.image)
    }
}

/// Renders the first `count` scenes of a public seed, of the plain world, into a new folder, on all
/// cores.
///
/// The folder appears only when it is complete.
///
/// # Errors
/// As [`write_dataset_with_progress`].
pub fn write_dataset(
    seed: u64,
    count: u64,
    out_dir: &Path,
    size: (u32, u32),
) -> Result<(), DatasetError> {
    let options = DatasetOptions {
        seed,
        count,
        size,
        world: World::Plain,
    };
    write_dataset_with_progress(&options, out_dir, &|_| {})
}

/// As [`write_dataset`], of any world; `progress` hears the number of finished scenes.
///
/// # Errors
/// Where the size is out of range, something is in the folder already, or the file system refuses.
pub fn write_dataset_with_progress(
    options: &DatasetOptions,
    out_dir: &Path,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<(), DatasetError> {
    let (width, height) = options.size;
    if !SIDES.contains(&width) || !SIDES.contains(&height) {
        return Err(DatasetError::Size { width, height });
    }
    if !is_vacant(out_dir).map_err(failed("read", out_dir))? {
        return Err(DatasetError::NotEmpty(out_dir.to_owned()));
    }
    let staging = StagingFolder::new(out_dir).map_err(failed("create", out_dir))?;
    fill(staging.path(), options, progress)?;
    fs::rename(staging.path(), out_dir).map_err(failed("create", out_dir))
}

fn fill(
    dir: &Path,
    options: &DatasetOptions,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<(), DatasetError> {
    let DatasetOptions {
        seed,
        count,
        size: (width, height),
        world,
    } = *options;
    let images = dir.join("images");
    fs::create_dir_all(&images).map_err(failed("create", &images))?;
    let path = dir.join(SCENES_FILE);
    let mut file = BufWriter::new(File::create(&path).map_err(failed("create", &path))?);
    let seeds = Seeds::public(seed).in_world(world);
    let finished = AtomicU64::new(0);

    for start in (0..count).step_by(BATCH as usize) {
        let lines: Vec<String> = (start..count.min(start + BATCH))
            .into_par_iter()
            .map(|index| {
                let scene = sample_sized(seeds, index, width, height);
                let record = SceneRecord::new(index, &scene);
                write_picture(&scene.drawn.image, &dir.join(&record.image))?;
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

fn write_picture(picture: &RgbImage, path: &Path) -> Result<(), DatasetError> {
    let mut bytes = Vec::new();
    picture
        .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
        .map_err(|source| DatasetError::Picture {
            path: path.to_owned(),
            source,
        })?;
    // The image crate's own way of saving loses an error of the last write.
    fs::write(path, bytes).map_err(failed("write", path))
}

/// Reads and checks a folder of scenes; pictures are left to be opened one by one.
///
/// # Errors
/// Where the file cannot be read or holds no scene, or at the first line that is none.
pub fn read_dataset(dir: &Path) -> Result<Dataset, DatasetError> {
    let path = dir.join(SCENES_FILE);
    let mut scenes = Vec::new();
    let mut left_out = LeftOut::default();
    for read in scene_lines(dir)? {
        let SceneLine { line, scene } = read?;
        let (scene, unknown) = scene.map_err(|source| DatasetError::Line {
            path: path.clone(),
            line,
            source,
        })?;
        scenes.push(scene);
        left_out += unknown;
    }
    if scenes.is_empty() {
        return Err(DatasetError::Empty(path));
    }
    Ok(Dataset {
        dir: dir.to_owned(),
        scenes,
        left_out,
    })
}

/// A line of a folder of scenes.
#[derive(Debug)]
pub struct SceneLine {
    /// Counted from 1.
    pub line: usize,
    /// Its scene with what is not understood of it, or why it is none.
    pub scene: Result<(SceneRecord, LeftOut), LineError>,
}

/// Reads and checks the lines of a folder of scenes that are not blank, each by itself, so that a
/// broken one spoils no other.
///
/// # Errors
/// Where the file cannot be opened; each line, where it cannot be read any further.
pub fn scene_lines(
    dir: &Path,
) -> Result<impl Iterator<Item = Result<SceneLine, DatasetError>> + use<>, DatasetError> {
    let path = dir.join(SCENES_FILE);
    let file = File::open(&path).map_err(failed("open", &path))?;
    let lines = (1..).zip(BufReader::new(file).split(b'\n'));
    Ok(lines.filter_map(move |(line, bytes)| {
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(error) => return Some(Err(failed("read", &path)(error))),
        };
        if bytes.trim_ascii().is_empty() {
            return None;
        }
        let scene = scene_of(&bytes);
        Some(Ok(SceneLine { line, scene }))
    }))
}

fn scene_of(line: &[u8]) -> Result<(SceneRecord, LeftOut), LineError> {
    SceneRecord::from_line(std::str::from_utf8(line)?)
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
    fn scenes_come_from_the_world_that_was_asked_for() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("scenes");
        let options = DatasetOptions {
            seed: 9,
            count: 2,
            size: (64, 64),
            world: World::Hard,
        };
        write_dataset_with_progress(&options, &dir, &|_| {}).unwrap();
        let dataset = read_dataset(&dir).unwrap();
        for (index, record) in (0..).zip(&dataset.scenes) {
            let hard = sample_sized(Seeds::public(9).in_world(World::Hard), index, 64, 64);
            let plain = sample_sized(Seeds::public(9), index, 64, 64);
            assert_eq!(*record, SceneRecord::new(index, &hard));
            assert_ne!(*record, SceneRecord::new(index, &plain));
        }
    }

    #[test]
    fn lines_are_written_as_they_have_always_been() {
        let scene = sample_sized(Seeds::public(9), 0, 256, 192);
        let line = serde_json::to_string(&SceneRecord::new(0, &scene)).unwrap();
        let opening = r#"{"id":0,"image":"images/000000.png","width":256,"height":192,"objects":[{"id":0,"mask":{"size":[192,256],"counts":""#;
        assert!(line.starts_with(opening), "{line}");
        let names: Vec<usize> = ["relations", "regions", "refs", "captions", "questions"]
            .iter()
            .map(|name| line.find(&format!(r#"],"{name}":["#)).expect(name))
            .collect();
        assert!(names.is_sorted(), "{line}");
    }

    #[test]
    fn what_killed_writers_left_is_removed_and_what_others_write_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("scenes");
        let left = crate::disk::beside(&dir, "partial").unwrap();
        fs::create_dir_all(left.join("images")).unwrap();
        fs::write(left.join("images/000777.png"), "old").unwrap();
        let of_another = StagingFolder::new(&parent.path().join("more")).unwrap();
        write_dataset(9, 1, &dir, (64, 64)).unwrap();
        let pictures = fs::read_dir(dir.join("images")).unwrap();
        let names: Vec<String> = pictures
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(names, ["000000.png"]);
        assert!(!left.exists(), "nobody writes there any more");
        assert!(of_another.path().exists(), "somebody writes there");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_picture_that_finds_no_room_is_an_error() {
        let picture = RgbImage::new(64, 64);
        let full = write_picture(&picture, Path::new("/dev/full")).unwrap_err();
        assert!(full.to_string().contains("/dev/full"), "{full}");
    }

    #[test]
    fn what_is_not_understood_is_counted_over_all_scenes() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("scenes");
        write_dataset(2, 2, &dir, (256, 256)).unwrap();
        assert!(read_dataset(&dir).unwrap().left_out.is_empty());
        let path = dir.join(SCENES_FILE);
        let text = fs::read_to_string(&path).unwrap();
        let known = r#""kind":"none""#;
        let expressions = text.matches(known).count();
        assert!(expressions > 0);
        fs::write(&path, text.replace(known, r#""kind":"riddle""#)).unwrap();
        let expected = LeftOut {
            expressions,
            ..LeftOut::default()
        };
        assert_eq!(read_dataset(&dir).unwrap().left_out, expected);
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
        let (mut record, _) = SceneRecord::from_line(first).unwrap();
        record.refs[0].targets = vec![40];
        let message = broken(&serde_json::to_string(&record).unwrap());
        assert!(message.contains("object 40 is named"), "{message}");
        let (mut record, _) = SceneRecord::from_line(first).unwrap();
        record.objects[0].mask.size = [64, 65];
        let message = broken(&serde_json::to_string(&record).unwrap());
        assert!(message.contains("object 0: the mask is 65x64"), "{message}");
        fs::write(&path, format!("{first}\n\n{{\n{first}\n")).unwrap();
        let read: Vec<(usize, bool)> = scene_lines(&dir)
            .unwrap()
            .map(|line| line.map(|line| (line.line, line.scene.is_ok())).unwrap())
            .collect();
        assert_eq!(read, [(1, true), (3, false), (4, true)]);
        fs::write(&path, b"\xFF\n").unwrap();
        let message = read_dataset(&dir).unwrap_err().to_string();
        assert!(
            message.contains("scenes.jsonl:1: it is not UTF-8"),
            "{message}"
        );
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
