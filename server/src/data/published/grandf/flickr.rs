//! Flickr30k in COCO's layout: each picture has a caption, each annotation its place in it.

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use super::{
    super::{
        super::record::{GroundedRecord, PictureRecord},
        Problems, ReadError, Sink,
        by_picture::{ByPicture, Group, Part},
        coco::EMPTY_MASKS,
        id::Id,
        json_stream::{read_lists, size_of},
        segmentation::Segmentation,
    },
    Broken, Options,
    phrases::{Span, phrases_in},
    region,
};

/// Captions of fewer words are left out.
const LEAST_WORDS: usize = 3;
/// Pictures with a shorter side, in pixels, are left out.
const LEAST_SIDE: u32 = 32;

#[derive(Deserialize)]
struct Picture {
    file_name: String,
    caption: String,
    #[serde(deserialize_with = "side")]
    height: u32,
    #[serde(deserialize_with = "side")]
    width: u32,
}

/// A side of a picture in pixels: a number, or its digits as a text. GLaMM's loader takes both.
fn side<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let Id(digits) = Id::deserialize(deserializer)?;
    let side = digits.parse();
    side.map_err(|_| de::Error::custom(format!("{digits:?} is no number of pixels")))
}

#[derive(Deserialize)]
struct Annotation {
    id: Id,
    bbox: [f64; 4],
    area: f64,
    tokens_positive: Vec<[i64; 2]>,
    sam_mask: Segmentation,
    #[serde(default)]
    ignore: Value,
}

pub(super) fn read(
    options: &Options,
    sink: Sink<'_>,
    problems: &mut Problems,
) -> Result<(), ReadError> {
    let path = &options.annotations;
    let mut by_picture = ByPicture::new(size_of(path)?)?;
    read_lists(path, &["images", "annotations"], &mut |element| {
        let part = match element.name {
            "images" => Part::Picture,
            _ => Part::Annotation,
        };
        by_picture.add_coco(part, element, problems)
    })?;
    by_picture.finish(
        problems,
        &mut |group, problems| match record(&group, options, problems)? {
            Some(record) => sink(record, problems).map_err(ReadError::of_sink),
            None => Ok(()),
        },
    )
}

/// The record of a picture; none where it is broken or left out.
fn record(
    group: &Group,
    options: &Options,
    problems: &mut Problems,
) -> Result<Option<PictureRecord>, ReadError> {
    let Some(picture) = group.picture.read::<Picture>(problems)? else {
        return Ok(None);
    };
    if picture.caption.split(' ').count() < LEAST_WORDS {
        problems.leave_out("pictures with captions of fewer than three words");
        return Ok(None);
    }
    if picture.width.min(picture.height) < LEAST_SIDE {
        problems.leave_out("pictures with a side of fewer than 32 pixels");
        return Ok(None);
    }
    let image = match options.pictures.path(&picture.file_name) {
        Ok(image) => image,
        Err(broken) => {
            problems.report(&group.picture.element().position(), &broken)?;
            return Ok(None);
        }
    };
    let mut regions = Vec::new();
    let mut spans = Vec::new();
    for entry in &group.annotations {
        let Some(annotation) = entry.read::<Annotation>(problems)? else {
            continue;
        };
        if let Some(reason) = annotation.left_out(&picture) {
            problems.leave_out(reason);
            continue;
        }
        let Some(&range) = annotation.tokens_positive.first() else {
            problems.leave_out("regions that no phrase means");
            continue;
        };
        match annotation.sam_mask.to_rle(picture.width, picture.height) {
            Ok(mask) if mask.area() == 0 => problems.leave_out(EMPTY_MASKS),
            Ok(mask) => {
                spans.push(Span {
                    range,
                    region: regions.len(),
                });
                regions.push(region(annotation.id.0, None, &mask));
            }
            Err(source) => {
                let phrase = format!("annotation {}", annotation.id);
                let broken = Broken::Mask { phrase, source };
                problems.report(&entry.element().position(), &broken)?;
            }
        }
    }
    let phrases = phrases_in(&picture.caption, spans, problems);
    Ok(Some(PictureRecord {
        id: group.id.0.clone(),
        image,
        width: picture.width,
        height: picture.height,
        regions,
        grounded: vec![GroundedRecord {
            text: picture.caption,
            phrases,
            labels: None,
        }],
        ..PictureRecord::default()
    }))
}

impl Annotation {
    /// Why it is not used, if it is not.
    fn left_out(&self, picture: &Picture) -> Option<&'static str> {
        let ignored = match &self.ignore {
            Value::Bool(ignored) => *ignored,
            Value::Number(number) => number.as_f64() != Some(0.0),
            _ => false,
        };
        if ignored {
            return Some("regions that are to be ignored");
        }
        let [x, y, width, height] = self.bbox;
        let right = (x + width).min(f64::from(picture.width));
        let bottom = (y + height).min(f64::from(picture.height));
        let inside = right > x.max(0.0) && bottom > y.max(0.0);
        let large = self.area > 0.0 && width >= 1.0 && height >= 1.0;
        (!inside || !large).then_some("regions without an area in the picture")
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{super::read_text, *};

    const NAME: &str = "flickr_mergedGT_GCG_train.json";

    fn file(images: &[&str], annotations: &[String]) -> String {
        format!(
            r#"{{"info": {{}}, "annotations": [{}], "images": [{}]}}"#,
            annotations.join(", "),
            images.join(", ")
        )
    }

    /// An annotation of picture 7, over column `column` of a picture of 32x32.
    fn annotation(id: u32, range: [i64; 2], column: u32) -> String {
        let [start, end] = range;
        let (before, after) = (column * 32, (31 - column) * 32);
        format!(
            r#"{{"id": {id}, "image_id": 7, "category_id": 1, "bbox": [{column}, 0, 1, 32],
                "area": 32, "tokens_positive": [[{start}, {end}], [0, 1]],
                "sam_mask": {{"size": [32, 32], "counts": [{before}, 32, {after}]}}}}"#
        )
    }

    const PICTURE: &str = r#"{"id": 7, "file_name": "7.jpg", "height": 32, "width": 32,
        "caption": "Two men and a dog ."}"#;

    #[test]
    fn regions_of_one_phrase_are_its_targets() {
        let folder = tempfile::tempdir().unwrap();
        let annotations = [
            annotation(70, [12, 17], 5),
            annotation(71, [0, 7], 1),
            annotation(72, [0, 7], 3),
        ];
        let mut problems = Problems::new(0);
        let json = file(&[PICTURE], &annotations);
        let records = read_text(NAME, &json, folder.path(), &mut problems).unwrap();
        let record = &records[0];
        assert_eq!(record.id, "7");
        let ids: Vec<&str> = record.regions.iter().map(|r| r.id.as_str()).collect();
        assert_eq!(ids, ["70", "71", "72"]);
        assert!(record.mask(2).unwrap().get(3, 31));
        let grounded = &record.grounded[0];
        assert_eq!(grounded.text, "Two men and a dog .");
        let spans: Vec<(usize, usize, &[usize])> = grounded
            .phrases
            .iter()
            .map(|phrase| (phrase.start, phrase.end, &phrase.targets[..]))
            .collect();
        assert_eq!(spans, [(0, 7, &[1, 2][..]), (12, 17, &[0][..])]);
    }

    #[test]
    fn what_the_loader_leaves_out_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let images = [
            PICTURE,
            r#"{"id": 8, "file_name": "8.jpg", "height": 32, "width": 32, "caption": "A dog"}"#,
            r#"{"id": 9, "file_name": "9.jpg", "height": "31", "width": 32,
                "caption": "A dog runs ."}"#,
        ];
        let good = annotation(70, [12, 17], 5);
        let annotations = [
            good.replace("\"area\": 32", "\"area\": 32, \"ignore\": 1"),
            good.replace("\"bbox\": [5, 0, 1, 32]", "\"bbox\": [32, 0, 1, 32]"),
            good.replace("[[12, 17], [0, 1]]", "[]"),
            good.replace("\"area\": 32", "\"area\": 32, \"ignore\": false"),
        ];
        let mut problems = Problems::new(0);
        let json = file(&images, &annotations);
        let records = read_text(NAME, &json, folder.path(), &mut problems).unwrap();
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].regions.len(), 1);
        assert_eq!(problems.left_out().values().sum::<u64>(), 5);
        assert_eq!(problems.left_out().len(), 5);
    }

    #[test]
    fn what_is_broken_is_told_and_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let good = annotation(70, [12, 17], 5);
        let annotations = [
            good.replace("\"image_id\": 7", "\"image_id\": 6"),
            good.replace("[160, 32,", "[160, 33,"),
            good.replace("\"area\": 32", "\"area\": \"32\""),
            good.replace("\"image_id\": 7, ", ""),
            good,
        ];
        let images = [
            PICTURE,
            r#"{"id": 8, "file_name": "8.jpg", "height": 32, "width": 32}"#,
            r#"{"id": 9, "file_name": "9.jpg", "height": "?", "width": 32, "caption": "A dog ."}"#,
        ];
        let mut problems = Problems::new(6);
        let json = file(&images, &annotations);
        let records = read_text(NAME, &json, folder.path(), &mut problems).unwrap();
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].regions.len(), 1);
        let mut told: Vec<String> = problems
            .kept()
            .iter()
            .map(|problem| {
                assert_eq!(
                    problem.position.path,
                    PathBuf::from(folder.path()).join(NAME)
                );
                problem.message.clone()
            })
            .collect();
        told.sort_unstable();
        let expected = [
            "\"?\" is no number of pixels",
            "\"annotation 70\": the mask",
            "invalid type",
            "its picture 6",
            "missing field `caption`",
            "missing field `image_id`",
        ];
        assert_eq!(told.len(), expected.len());
        for (message, expected) in told.iter().zip(expected) {
            assert!(message.contains(expected), "{message}");
        }
    }
}
