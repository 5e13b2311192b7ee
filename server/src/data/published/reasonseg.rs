//! ReasonSeg: questions and sentences that mean one mask after some reasoning; published with
//! [LISA](https://github.com/dvlab-research/LISA).
//!
//! A folder for each split holds `NAME.jpg` and, beside it, `NAME.json` with `text` (what means the
//! mask, several times over), `is_sentence` and `shapes`, polygons that are labelled as target, as
//! to be ignored, or as a flag that means nothing. As in LISA's
//! [`get_mask_from_json`](https://github.com/dvlab-research/LISA/blob/main/utils/data_processing.py),
//! shapes are painted from the largest to the smallest, and a later one covers an earlier one.
//!
//! There and here OpenCV's rules say which pixels a shape has, not the COCO mask API's, which are
//! those of all other data sets.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use fclm_core::mask::{Mask, MaskError, Rle};
use serde::Deserialize;

use super::{
    super::record::{ExpressionKind, ExpressionRecord, PictureRecord, RegionRecord},
    PictureNameError, Pictures, Place, Position, Problems, ReadError, Sink,
    opencv_polygon::filled,
    picture_size::{PictureSizeError, size_of_picture},
};

const BACKGROUND: u8 = 0;
const TARGET: u8 = 1;
const IGNORE: u8 = 255;

/// Which part of ReasonSeg is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The folder that holds the splits.
    pub folder: PathBuf,
    /// The split: `train`, `val` or `test`.
    pub split: String,
}

/// Reads a split, its pictures in the order of their names. Each has one region, and texts that
/// mean it; where nothing of the target is left to be seen, texts that mean nothing.
///
/// The names of the split's pictures are held in memory; there are 779 of them in the largest one.
///
/// # Errors
/// Where the folder cannot be read or holds no picture, where too much is broken, or where the
/// sink takes no more.
pub fn read(options: &Options, sink: Sink<'_>, problems: &mut Problems) -> Result<(), ReadError> {
    let folder = options.folder.join(&options.split);
    let pictures = Pictures::new(std::slice::from_ref(&folder))?;
    for name in picture_names(&folder)? {
        match record(&folder, &pictures, &name) {
            Ok(record) => sink(record, problems).map_err(ReadError::of_sink)?,
            Err(broken) => {
                let json = folder.join(&name).with_extension("json");
                problems.report(&Position::new(&json, Place::Whole), &broken)?;
            }
        }
    }
    Ok(())
}

fn picture_names(folder: &Path) -> Result<Vec<String>, ReadError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(ReadError::io("read", folder))? {
        let name = entry.map_err(ReadError::io("read", folder))?.file_name();
        if let Ok(name) = name.into_string()
            && name.ends_with(".jpg")
        {
            names.push(name);
        }
    }
    if names.is_empty() {
        return Err(ReadError::layout(folder, "it holds no picture NAME.jpg"));
    }
    names.sort_unstable();
    Ok(names)
}

/// Why a picture cannot be used.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error("it is neither UTF-8 nor Windows-1252")]
    Encoding,
    #[error("it is not as ReasonSeg has it: {0}")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Size(#[from] PictureSizeError),
    #[error(transparent)]
    Name(#[from] PictureNameError),
    #[error("shapes[{index}]: {source}")]
    Shape { index: usize, source: MaskError },
}

/// What is said of a picture.
#[derive(Deserialize)]
struct Annotation {
    text: Vec<String>,
    is_sentence: Option<bool>,
    shapes: Vec<Shape>,
}

#[derive(Deserialize)]
struct Shape {
    label: String,
    points: Vec<[f64; 2]>,
}

impl Shape {
    /// What its pixels become; none for a label of older times that means nothing.
    fn value(&self) -> Option<u8> {
        match self.label.to_lowercase() {
            label if label == "flag" => None,
            label if label.contains("ignore") => Some(IGNORE),
            _ => Some(TARGET),
        }
    }
}

fn record(folder: &Path, pictures: &Pictures, name: &str) -> Result<PictureRecord, Broken> {
    let path = folder.join(name);
    let text = decode(fs::read(path.with_extension("json"))?)?;
    let annotation: Annotation = serde_json::from_str(&text)?;
    let (width, height) = size_of_picture(&path)?;
    let values = paint(&annotation.shapes, width, height)?;
    let of = |wanted: u8| {
        let set = values.iter().map(|&value| u8::from(value == wanted));
        Mask::from_data(width, height, set.collect())
    };
    let (target, ignore) = (of(TARGET), of(IGNORE));
    let (regions, targets) = if target.is_empty() {
        (Vec::new(), Vec::new())
    } else {
        let region = RegionRecord {
            id: "target".to_owned(),
            mask: target.to_wire(),
            ignore: (!ignore.is_empty()).then(|| ignore.to_wire()),
            category: None,
            descriptions: Vec::new(),
        };
        (vec![region], vec![0])
    };
    let expression = |text: String| ExpressionRecord {
        text,
        kind: ExpressionKind::Reasoning,
        targets: targets.clone(),
        answer: None,
        is_sentence: annotation.is_sentence,
    };
    Ok(PictureRecord {
        id: name.trim_end_matches(".jpg").to_owned(),
        image: pictures.path(name)?,
        width,
        height,
        regions,
        expressions: annotation.text.into_iter().map(expression).collect(),
        ..PictureRecord::default()
    })
}

/// Every pixel's value, row by row.
fn paint(shapes: &[Shape], width: u32, height: u32) -> Result<Vec<u8>, Broken> {
    let mut drawn = Vec::new();
    for (index, shape) in shapes.iter().enumerate() {
        let Some(value) = shape.value() else {
            continue;
        };
        let mask = filled(width, height, &shape.points)
            .map_err(|source| Broken::Shape { index, source })?;
        drawn.push((Rle::from_mask(&mask), value));
    }
    // Of two that are equally large LISA paints the later one first, as its order is a reversed one.
    drawn.sort_by_key(|(rle, _)| rle.area());
    let mut values = vec![BACKGROUND; width as usize * height as usize];
    for (rle, value) in drawn.iter().rev() {
        let mask = rle.to_mask();
        for (painted, &inside) in values.iter_mut().zip(mask.data()) {
            if inside != 0 {
                *painted = *value;
            }
        }
    }
    Ok(values)
}

/// The text of a file. Some were written on Windows; LISA tells them as is done here.
fn decode(bytes: Vec<u8>) -> Result<String, Broken> {
    /// What Windows-1252 has in the place of control characters; a blank where it has nothing.
    const HIGH: [char; 32] = [
        '\u{20ac}', ' ', '\u{201a}', '\u{192}', '\u{201e}', '\u{2026}', '\u{2020}', '\u{2021}',
        '\u{2c6}', '\u{2030}', '\u{160}', '\u{2039}', '\u{152}', ' ', '\u{17d}', ' ', ' ',
        '\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}', '\u{2022}', '\u{2013}', '\u{2014}',
        '\u{2dc}', '\u{2122}', '\u{161}', '\u{203a}', '\u{153}', ' ', '\u{17e}', '\u{178}',
    ];
    let bytes = match String::from_utf8(bytes) {
        Ok(text) => return Ok(text),
        Err(error) => error.into_bytes(),
    };
    let decoded = bytes.iter().map(|&byte| match byte {
        0x80..=0x9f => HIGH
            .get(usize::from(byte - 0x80))
            .copied()
            .filter(|&character| character != ' '),
        _ => Some(char::from(byte)),
    });
    decoded.collect::<Option<String>>().ok_or(Broken::Encoding)
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::{super::SinkError, *};

    /// A split `val` with these annotations, each beside a picture of 6x4.
    fn split(annotations: &[(&str, &[u8])]) -> (tempfile::TempDir, Options) {
        let folder = tempfile::tempdir().unwrap();
        let val = folder.path().join("val");
        fs::create_dir(&val).unwrap();
        for (name, json) in annotations {
            let picture = val.join(name).with_extension("jpg");
            RgbImage::new(6, 4).save(&picture).unwrap();
            fs::write(picture.with_extension("json"), json).unwrap();
        }
        let options = Options {
            folder: folder.path().to_owned(),
            split: "val".to_owned(),
        };
        (folder, options)
    }

    fn read_all(options: &Options, problems: &mut Problems) -> Vec<PictureRecord> {
        let mut records = Vec::new();
        let sink: Sink<'_> = &mut |record, _| {
            record.check()?;
            records.push(record);
            Ok(())
        };
        read(options, sink, problems).unwrap();
        records
    }

    /// A shape with corners in these pixels, which are a part of it.
    fn rectangle(label: &str, [x0, y0, x1, y1]: [u32; 4]) -> String {
        format!(
            r#"{{"label": "{label}", "labels": ["{label}"], "shape_type": "polygon",
                "points": [[{x0}, {y0}], [{x0}, {y1}], [{x1}, {y1}], [{x1}, {y0}]]}}"#
        )
    }

    fn annotation(texts: &str, shapes: &[String]) -> String {
        let shapes = shapes.join(", ");
        format!(r#"{{"text": [{texts}], "is_sentence": true, "shapes": [{shapes}]}}"#)
    }

    #[test]
    fn smaller_shapes_cover_larger_ones_wherever_they_are_listed() {
        let shapes = [
            rectangle("target", [1, 1, 2, 2]),
            rectangle("flag", [0, 0, 6, 4]),
            rectangle("ignore_mask", [1, 1, 3, 3]),
            rectangle("Target", [0, 0, 4, 4]),
        ];
        let json = annotation(r#""what holds the tea", "it is hot""#, &shapes);
        let (_folder, options) = split(&[("cup", json.as_bytes())]);
        let mut problems = Problems::new(0);
        let records = read_all(&options, &mut problems);
        assert_eq!(records.len(), 1);
        let record = &records[0];
        assert_eq!((record.width, record.height), (6, 4));
        assert_eq!(record.id, "cup");
        assert!(Path::new(&record.image).is_absolute() && record.image.ends_with("val/cup.jpg"));
        let target = record.mask(0).unwrap();
        let ignore = record.ignore(0).unwrap().unwrap();
        assert_eq!((target.area(), ignore.area()), (20 - 9 + 4, 9 - 4));
        assert!(target.get(2, 2) && !ignore.get(2, 2));
        assert!(ignore.get(3, 3) && !target.get(3, 3));
        assert!(target.get(4, 3) && !target.get(5, 3));
        let texts: Vec<&str> = record.expressions.iter().map(|e| e.text.as_str()).collect();
        assert_eq!(texts, ["what holds the tea", "it is hot"]);
        for expression in &record.expressions {
            assert_eq!(expression.kind, ExpressionKind::Reasoning);
            assert_eq!(expression.targets, [0]);
            assert_eq!(expression.is_sentence, Some(true));
        }
    }

    #[test]
    fn a_text_may_mean_nothing() {
        let json = annotation(r#""the dragon""#, &[rectangle("ignore", [0, 0, 2, 2])]);
        let (_folder, options) = split(&[("empty", json.as_bytes())]);
        let records = read_all(&options, &mut Problems::new(0));
        assert!(records[0].regions.is_empty());
        assert!(records[0].expressions[0].targets.is_empty());
    }

    #[test]
    fn what_windows_wrote_is_read() {
        let json = annotation(
            r#""the caf~s `sign`""#,
            &[rectangle("target", [0, 0, 2, 2])],
        );
        let bytes: Vec<u8> = json
            .bytes()
            .map(|byte| match byte {
                b'~' => 0xe9,
                b'`' => 0x92,
                other => other,
            })
            .collect();
        let nothing: Vec<u8> = bytes
            .iter()
            .map(|&byte| if byte == 0xe9 { 0x81 } else { byte })
            .collect();
        let (_folder, options) = split(&[("a", &bytes[..]), ("b", &nothing[..])]);
        let mut problems = Problems::new(1);
        let records = read_all(&options, &mut problems);
        let text = &records[0].expressions[0].text;
        assert_eq!(text, "the caf\u{e9}s \u{2019}sign\u{2019}");
        assert!(problems.kept()[0].message.contains("Windows-1252"));
    }

    #[test]
    fn what_is_broken_is_told_and_skipped() {
        let good = annotation(r#""a""#, &[rectangle("target", [0, 0, 2, 2])]);
        let shapeless = annotation(
            r#""a""#,
            &[r#"{"label": "target", "points": []}"#.to_owned()],
        );
        let half = &good.as_bytes()[..good.len() / 2];
        let (folder, options) = split(&[
            ("a", half),
            ("b", good.as_bytes()),
            ("c", shapeless.as_bytes()),
            ("d", good.as_bytes()),
            ("e", good.as_bytes()),
        ]);
        fs::remove_file(folder.path().join("val/d.json")).unwrap();
        fs::write(folder.path().join("val/e.jpg"), "no picture").unwrap();
        let mut problems = Problems::new(4);
        let records = read_all(&options, &mut problems);
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].id, "b");
        let told: Vec<String> = problems.kept().iter().map(ToString::to_string).collect();
        for (message, (file, reason)) in told.iter().zip([
            ("val/a.json", "not as ReasonSeg has it"),
            ("val/c.json", "shapes[0]"),
            ("val/d.json", "cannot be read"),
            ("val/e.json", "e.jpg"),
        ]) {
            assert!(
                message.contains(file) && message.contains(reason),
                "{message}"
            );
        }
        assert_eq!(told.len(), 4);
    }

    #[test]
    fn a_folder_without_pictures_is_named() {
        let (_folder, options) = split(&[]);
        let mut sink = |_: PictureRecord, _: &mut Problems| -> Result<(), SinkError> { Ok(()) };
        let error = read(&options, &mut sink, &mut Problems::new(0)).unwrap_err();
        assert!(error.to_string().contains("no picture"), "{error}");
        let options = Options {
            split: "test".to_owned(),
            ..options
        };
        let error = read(&options, &mut sink, &mut Problems::new(0)).unwrap_err();
        assert!(matches!(error, ReadError::Io { .. }), "{error}");
    }
}
