//! COCO captions: some five sentences about each picture.
//!
//! The file is `{"images": [..], "annotations": [{"image_id", "caption"}]}`.

use serde::Deserialize;

pub use super::coco::Options;
use super::{
    Problems, ReadError, Sink,
    by_picture::{ByPicture, Part},
    coco::read_picture,
    json_stream::{read_lists, size_of},
};

/// Reads the pictures that have at least one caption; `annotations` is a file such as
/// `captions_val2017.json`.
///
/// # Errors
/// Where the file cannot be read or has another layout, where too much is broken, or where the sink
/// takes no more.
pub fn read(options: &Options, sink: Sink<'_>, problems: &mut Problems) -> Result<(), ReadError> {
    let path = &options.annotations;
    let mut by_picture = ByPicture::new(size_of(path)?)?;
    read_lists(path, &["images", "annotations"], &mut |element| {
        let part = match element.name {
            "images" => Part::Picture,
            _ => Part::Text,
        };
        by_picture.add_coco(part, element, problems)
    })?;
    by_picture.finish(problems, &mut |group, problems| {
        let Some(mut record) = read_picture(&group.picture, &options.pictures, problems)? else {
            return Ok(());
        };
        for entry in &group.texts {
            let Some(annotation) = entry.read::<Annotation>(problems)? else {
                continue;
            };
            match annotation.caption.trim() {
                "" => problems.leave_out("empty captions"),
                caption => record.captions.push(caption.to_owned()),
            }
        }
        if record.captions.is_empty() {
            problems.leave_out("pictures without a caption");
            return Ok(());
        }
        sink(record, problems).map_err(ReadError::of_sink)
    })
}

#[derive(Deserialize)]
struct Annotation {
    caption: String,
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::{super::Pictures, *};

    #[test]
    fn captions_are_gathered_by_picture() {
        let folder = tempfile::tempdir().unwrap();
        let annotations = folder.path().join("captions.json");
        let text = r#"{"annotations": [
                {"id": 1, "image_id": 8, "caption": "A dog."},
                {"id": 2, "image_id": 7, "caption": " A cup on a table.\n"},
                {"id": 3, "image_id": 8, "caption": ["A", "dog"]},
                {"id": 4, "image_id": 8, "caption": " "},
                {"id": 5, "image_id": 8, "caption": "It barks."}],
            "images": [{"id": 7, "file_name": "7.jpg", "width": 6, "height": 4},
                       {"id": 8, "file_name": "8.jpg", "width": 4, "height": 3},
                       {"id": 9, "file_name": "9.jpg", "width": 4, "height": 3}]}"#;
        fs::write(&annotations, text).unwrap();
        let options = Options {
            annotations,
            pictures: Pictures::new(&[PathBuf::from("/coco")]).unwrap(),
        };
        let mut told = Vec::new();
        let mut problems = Problems::default();
        let mut sink = |record: super::super::PictureRecord, _: &mut Problems| {
            told.push((record.id, record.captions));
            Ok(())
        };
        read(&options, &mut sink, &mut problems).unwrap();
        let of = |id: &str, captions: &[&str]| {
            let captions = captions.iter().map(|&caption| caption.to_owned());
            (id.to_owned(), captions.collect::<Vec<_>>())
        };
        assert_eq!(
            told,
            [
                of("7", &["A cup on a table."]),
                of("8", &["A dog.", "It barks."])
            ]
        );
        assert_eq!(problems.broken(), 1);
        let problem = problems.kept()[0].to_string();
        assert!(
            problem.contains("captions.json: annotations[2] at byte"),
            "{problem}"
        );
        assert_eq!(problems.left_out()["empty captions"], 1);
        assert_eq!(problems.left_out()["pictures without a caption"], 1);

        let error = read(&options, &mut |_, _| Ok(()), &mut Problems::new(0)).unwrap_err();
        assert!(
            matches!(error, ReadError::TooManyBroken { limit: 0, .. }),
            "{error}"
        );
    }
}
