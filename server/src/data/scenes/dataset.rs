//! Folders of scenes: `images/%06d.png` and `scenes.jsonl`, one scene per line.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, BufWriter, Cursor, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use image::{ImageFormat, RgbImage};
use rayon::prelude::*;

use super::{line::LineError, record::SceneRecord, sample::sample_sized, seeds::Seeds};
use crate::disk;

/// Name of the file that describes the scenes of a folder.
pub const SCENES_FILE: &str = "scenes.jsonl";
/// Pictures smaller than this show too little, larger ones take too long.
const SIDES: std::ops::RangeInclusive<u32> = 64..=4096;
/// Scenes that are rendered before their lines are written.
const BATCH: u64 = 64;
/// What a folder that is being written is called after.
const PARTIAL: &str = "partial";

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

    let partial = disk::beside(out_dir, PARTIAL)
        .ok_or_else(|| failed("create", out_dir)(io::ErrorKind::InvalidInput.into()))?;
    disk::remove_left_beside(out_dir, PARTIAL).map_err(failed("clear", &partial))?;
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
pub fn read_dataset(dir: &Path) -> Result<Dataset, DatasetError> {
    let path = dir.join(SCENES_FILE);
    let file = File::open(&path).map_err(failed("open", &path))?;
    let mut scenes = Vec::new();
    for (index, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(failed("read", &path))?;
        if line.trim().is_empty() {
            continue;
        }
        let scene = SceneRecord::from_line(&line).map_err(|source| DatasetError::Line {
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
    fn what_killed_writers_left_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        let leave = |process: u32| {
            let left = parent.path().join(format!(".scenes.partial-{process}"));
            fs::create_dir_all(left.join("images")).unwrap();
            fs::write(left.join("images/000777.png"), "old").unwrap();
            left
        };
        leave(std::process::id());
        let of_nobody = leave(u32::MAX);
        let of_somebody = leave(1);
        let dir = parent.path().join("scenes");
        write_dataset(9, 1, &dir, (64, 64)).unwrap();
        let pictures = fs::read_dir(dir.join("images")).unwrap();
        let names: Vec<String> = pictures
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(names, ["000000.png"]);
        if cfg!(target_os = "linux") {
            assert!(!of_nobody.exists(), "nobody writes there any more");
        }
        assert!(of_somebody.exists(), "somebody may still write there");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_picture_that_finds_no_room_is_an_error() {
        let picture = RgbImage::new(64, 64);
        let full = write_picture(&picture, Path::new("/dev/full")).unwrap_err();
        assert!(full.to_string().contains("/dev/full"), "{full}");
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
        let mut record = SceneRecord::from_line(first).unwrap();
        record.refs[0].targets = vec![40];
        let message = broken(&serde_json::to_string(&record).unwrap());
        assert!(message.contains("object 40 is named"), "{message}");
        let mut record = SceneRecord::from_line(first).unwrap();
        record.objects[0].mask.size = [64, 65];
        let message = broken(&serde_json::to_string(&record).unwrap());
        assert!(message.contains("object 0: the mask is 65x64"), "{message}");
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
