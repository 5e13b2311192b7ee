//! Published data sets into our own format.
//!
//! Pictures stay where they are unless they are to be copied; those that are packed in archives
//! are unpacked into the new folder. Memory does not grow with the data set.

mod error;
mod input;
mod source;
mod taker;

use std::{cell::RefCell, path::PathBuf};

use self::{input::inputs, taker::Taker};
use super::{
    folder::PictureWriter,
    published::{Pictures, Problem, Problems, SinkError},
    record::PictureRecord,
};

pub use error::ConvertError;
pub use source::{Source, UnknownSource};

/// What is converted, and into what.
#[derive(Debug, Clone)]
pub struct ConvertOptions {
    /// Which data set it is.
    pub source: Source,
    /// Its files, or its folders. Where there are several, an id starts with the name of the file.
    pub files: Vec<PathBuf>,
    /// The folders of its pictures, in the order in which they are searched.
    pub images: Vec<PathBuf>,
    /// The split, where a file or a folder holds several.
    pub split: Option<String>,
    /// How many broken records are skipped, those whose pictures are missing included.
    pub limit_broken: u64,
    /// Hears of each of them as soon as it is found.
    pub on_skip: fn(&Problem),
    /// Whether pictures are copied into the new folder.
    pub copy: bool,
    /// The folder to write; must be new or empty.
    pub out: PathBuf,
}

/// What came of it.
#[derive(Debug)]
pub struct Converted {
    /// How many pictures were written.
    pub pictures: u64,
    /// What could not be read or written, such as pictures whose files are missing, and what is not
    /// used.
    pub problems: Problems,
}

/// Converts a data set; `progress` hears how many pictures have been written.
///
/// # Errors
/// Where something that is needed is not given or cannot be read, where too much is broken, where
/// nothing is left, or where the new folder cannot be written. The folder does not appear then.
pub fn convert(
    options: &ConvertOptions,
    progress: &mut dyn FnMut(u64),
) -> Result<Converted, ConvertError> {
    let inputs = inputs(options)?;
    if let Some(missing) = options.images.iter().find(|folder| !folder.is_dir()) {
        return Err(ConvertError::NoImagesFolder(missing.clone()));
    }
    let pictures = Pictures::new(&options.images)?;
    let writer = PictureWriter::create(&options.out)?;
    // Readers hold what saves pictures and what takes records at once, and call one at a time.
    let taker = RefCell::new(Taker::new(writer, options)?);
    let mut problems = Problems::told_to(options.limit_broken, options.on_skip);
    for input in &inputs {
        let mut save = |name: &str, bytes: &[u8]| -> Result<String, SinkError> {
            let saved = taker.borrow().save(name, bytes, input);
            saved.map_err(SinkError::from)
        };
        let mut sink = |record: PictureRecord, problems: &mut Problems| -> Result<(), SinkError> {
            let mut taker = taker.borrow_mut();
            taker.take(record, input, problems)?;
            progress(taker.count());
            Ok(())
        };
        input.read(&pictures, &mut save, &mut sink, &mut problems)?;
    }
    let writer = taker.into_inner().into_writer();
    if writer.count() == 0 {
        let first = problems.kept().first();
        return Err(ConvertError::Nothing {
            source_name: options.source,
            because: first.map_or_else(String::new, |first| format!("; {first}")),
        });
    }
    Ok(Converted {
        pictures: writer.finish()?,
        problems,
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::data::folder::PictureFolder;

    /// A data set in COCO's layout, with a picture, one whose file is missing, and a broken region.
    const INSTANCES: &str = r#"{"categories": [{"id": 5, "name": "cup"}],
        "images": [{"id": 7, "file_name": "a/7.jpg", "width": 6, "height": 4},
                   {"id": 8, "file_name": "a/8.jpg", "width": 6, "height": 4}],
        "annotations": [
            {"id": 70, "image_id": 7, "category_id": 5, "iscrowd": 0,
             "segmentation": [[1, 1, 1, 3, 4, 3, 4, 1]]},
            {"id": 71, "image_id": 7, "category_id": 5, "iscrowd": 0, "segmentation": 3},
            {"id": 80, "image_id": 8, "category_id": 5, "iscrowd": 0,
             "segmentation": [[1, 1, 1, 3, 4, 3, 4, 1]]}]}"#;

    fn options(parent: &Path, source: Source, files: &[&str]) -> ConvertOptions {
        ConvertOptions {
            source,
            files: files.iter().map(|name| parent.join(name)).collect(),
            images: vec![parent.join("photos")],
            split: None,
            limit_broken: 2,
            on_skip: |_| {},
            copy: false,
            out: parent.join("out"),
        }
    }

    fn coco() -> tempfile::TempDir {
        let parent = tempfile::tempdir().unwrap();
        fs::create_dir_all(parent.path().join("photos/a")).unwrap();
        fs::write(parent.path().join("photos/a/7.jpg"), "seven").unwrap();
        for name in ["instances.json", "more.json"] {
            fs::write(parent.path().join(name), INSTANCES).unwrap();
        }
        parent
    }

    fn records(dir: &Path) -> Vec<PictureRecord> {
        let folder = PictureFolder::open(dir).unwrap();
        (0..folder.len())
            .map(|place| folder.record(place).unwrap())
            .collect()
    }

    #[test]
    fn pictures_stay_where_they_are_and_what_is_broken_is_told() {
        let parent = coco();
        let options = options(parent.path(), Source::Coco, &["instances.json"]);
        let mut heard = Vec::new();
        let converted = convert(&options, &mut |count| heard.push(count)).unwrap();
        assert_eq!((converted.pictures, heard.last()), (1, Some(&1)));
        let [record] = &records(&options.out)[..] else {
            panic!("one picture");
        };
        assert_eq!(record.id, "7");
        assert_eq!(
            Path::new(&record.image),
            parent.path().join("photos/a/7.jpg")
        );
        assert_eq!(record.mask(0).unwrap().area(), 6);
        let [unread, unwritten] = converted.problems.kept() else {
            panic!("{:?}", converted.problems);
        };
        let unread = unread.to_string();
        assert!(
            unread.contains("instances.json: annotations[1]"),
            "{unread}"
        );
        let unwritten = unwritten.to_string();
        assert!(
            unwritten.contains("instances.json: picture 8: there is no file"),
            "{unwritten}"
        );
        assert!(unwritten.ends_with("photos/a/8.jpg"), "{unwritten}");
    }

    #[test]
    fn pictures_are_copied_and_ids_of_several_files_kept_apart() {
        let parent = coco();
        let mut options = options(
            parent.path(),
            Source::Lvis,
            &["instances.json", "more.json"],
        );
        options.copy = true;
        options.limit_broken = 4;
        convert(&options, &mut |_| {}).unwrap();
        let records = records(&options.out);
        let told: Vec<(&str, &str)> = records
            .iter()
            .map(|record| (record.id.as_str(), record.image.as_str()))
            .collect();
        let image = "images/a/7.jpg";
        assert_eq!(told, [("instances/7", image), ("more/7", image)]);
        assert_eq!(fs::read(options.out.join(image)).unwrap(), b"seven");
    }

    #[test]
    fn too_much_that_is_broken_leaves_nothing() {
        let parent = coco();
        let before = fs::read_dir(parent.path()).unwrap().count();
        let mut options = options(parent.path(), Source::Coco, &["instances.json"]);
        options.limit_broken = 0;
        let error = convert(&options, &mut |_| {}).unwrap_err().to_string();
        assert!(error.contains("more than 0 records are broken"), "{error}");
        // The region that is no mask and the picture that is missing count as two of one limit.
        options.limit_broken = 1;
        let error = convert(&options, &mut |_| {}).unwrap_err().to_string();
        assert!(
            error.starts_with("more than 1 records are broken")
                && error.ends_with("photos/a/8.jpg"),
            "{error}"
        );

        options.images.push(parent.path().join("more-photos"));
        let error = convert(&options, &mut |_| {}).unwrap_err().to_string();
        assert!(
            error.contains("no folder") && error.contains("more-photos"),
            "{error}"
        );
        options.images.truncate(1);

        fs::remove_file(parent.path().join("photos/a/7.jpg")).unwrap();
        options.limit_broken = 9;
        let error = convert(&options, &mut |_| {}).unwrap_err().to_string();
        assert!(
            error.starts_with("no picture of coco could be used; "),
            "{error}"
        );
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), before);
    }
}
