//! What models are measured with: masks in one file, captions and their phrases in another.

use std::path::Path;

use serde::Deserialize;

use super::{
    super::{
        super::record::{GroundedRecord, PictureRecord},
        Problems, ReadError, Sink,
        by_picture::{ByPicture, Entry, Group, Part},
        id::Id,
        json_stream::{read_lists, size_of},
        picture_size::size_of_picture,
        segmentation::Segmentation,
    },
    Broken, Options, check_size,
    phrases::{Span, find, phrases_in},
    region,
};

#[derive(Deserialize)]
struct Picture {
    id: Id,
    file_name: Option<String>,
    height: Option<u32>,
    width: Option<u32>,
}

#[derive(Deserialize)]
struct Mask {
    id: Id,
    segmentation: Segmentation,
}

#[derive(Deserialize)]
struct Caption {
    caption: String,
    labels: Vec<String>,
}

pub(super) fn read(
    options: &Options,
    captions: &Path,
    sink: Sink<'_>,
    problems: &mut Problems,
) -> Result<(), ReadError> {
    let masks = &options.annotations;
    let mut by_picture = ByPicture::new(size_of(masks)? + size_of(captions)?)?;
    read_lists(captions, &["images", "annotations"], &mut |element| {
        let part = match element.name {
            "images" => Part::Picture,
            _ => Part::Text,
        };
        by_picture.add_coco(part, element, problems)
    })?;
    read_lists(masks, &["annotations"], &mut |element| {
        by_picture.add_coco(Part::Annotation, element, problems)
    })?;
    by_picture.finish(
        problems,
        &mut |group, problems| match record(&group, options, problems)? {
            Some(record) => sink(record, problems).map_err(ReadError::of_sink),
            None => Ok(()),
        },
    )
}

/// The record of a picture. It is measured as a whole, so nothing is left of one that is broken in
/// any part, and a mask without a pixel or without a label stays. The first caption is the one that
/// is labelled, as in GLaMM; further ones are what a caption may be, too.
fn record(
    group: &Group,
    options: &Options,
    problems: &mut Problems,
) -> Result<Option<PictureRecord>, ReadError> {
    let Some(picture) = group.picture.read::<Picture>(problems)? else {
        return Ok(None);
    };
    let Some(text) = group.texts.first() else {
        problems.leave_out("pictures without a caption");
        return Ok(None);
    };
    let Some(Caption { caption, labels }) = text.read(problems)? else {
        return Ok(None);
    };
    let mut further = Vec::new();
    for text in &group.texts[1..] {
        match text.read::<Caption>(problems)? {
            Some(Caption { caption, .. }) => further.push(GroundedRecord {
                text: caption,
                phrases: Vec::new(),
                labels: None,
            }),
            None => return Ok(None),
        }
    }
    let mut masks = Vec::new();
    for entry in &group.annotations {
        match entry.read::<Mask>(problems)? {
            Some(mask) => masks.push((mask, entry)),
            None => return Ok(None),
        }
    }
    let (image, width, height) = match place_and_size(&picture, &masks, options) {
        Ok(found) => found,
        Err(broken) => {
            problems.report(&group.picture.element().position(), &broken)?;
            return Ok(None);
        }
    };
    let mut regions = Vec::new();
    let mut spans = Vec::new();
    let mut after = 0;
    for (place, (mask, entry)) in masks.iter().enumerate() {
        let label = labels.get(place);
        let rle = match mask.segmentation.to_rle(width, height) {
            Ok(rle) => rle,
            Err(source) => {
                let phrase = label.cloned().unwrap_or_default();
                let broken = Broken::Mask { phrase, source };
                problems.report(&entry.element().position(), &broken)?;
                return Ok(None);
            }
        };
        regions.push(region(mask.id.0.clone(), label.cloned(), &rle));
        let Some(label) = label else {
            continue;
        };
        let Some(range) = find(&caption, label, after) else {
            problems.leave_out("phrases that are not in their captions");
            continue;
        };
        after = usize::try_from(range[1]).unwrap_or_default();
        spans.push(Span {
            range,
            region: place,
        });
    }
    let phrases = phrases_in(&caption, spans, problems);
    let mut grounded = vec![GroundedRecord {
        text: caption,
        phrases,
        labels: Some(labels.len()),
    }];
    grounded.append(&mut further);
    Ok(Some(PictureRecord {
        id: picture.id.0,
        image,
        width,
        height,
        regions,
        grounded,
        ..PictureRecord::default()
    }))
}

/// The picture's path, width and height: as they are written, as the first mask has them, or as
/// the picture has.
fn place_and_size(
    picture: &Picture,
    masks: &[(Mask, &Entry)],
    options: &Options,
) -> Result<(String, u32, u32), Broken> {
    let named = format!("{}.jpg", picture.id);
    let name = picture.file_name.as_deref().unwrap_or(&named);
    let image = options.pictures.path(name)?;
    let first = masks.first().map(|(mask, _)| &mask.segmentation);
    let (width, height) = match (picture.width, picture.height, first) {
        (Some(width), Some(height), _) => (width, height),
        (_, _, Some(Segmentation::Rle(mask))) => (mask.size[1], mask.size[0]),
        _ => size_of_picture(Path::new(&image))?,
    };
    check_size(width, height)?;
    Ok((image, width, height))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{super::read_text, *};

    const NAME: &str = "val_gcg_coco_mask_gt.json";
    const CAPTIONS: &str = "val_gcg_coco_caption_gt.json";

    fn mask(id: u32, picture: &str, first: u32) -> String {
        let rest = 22 - first;
        format!(
            r#"{{"id": {id}, "image_id": "{picture}", "category_id": 1, "iscrowd": 0, "area": 2,
                "bbox": [0, 0, 1, 1],
                "segmentation": {{"size": [4, 6], "counts": [{first}, 2, {rest}]}}}}"#
        )
    }

    fn masks(annotations: &[String]) -> String {
        let annotations = annotations.join(", ");
        format!(
            r#"{{"images": [{{"id": "sa_1"}}], "annotations": [{annotations}], "categories": []}}"#
        )
    }

    const TWO: &str = r#"{"images": [{"id": "sa_1"}, {"id": "sa_2"}], "annotations": [
        {"id": 1, "image_id": "sa_1", "caption": "A cup, a dog and a cup.",
         "labels": ["A cup", "a cup", "a dog", "a tree"]},
        {"id": 2, "image_id": "sa_2", "caption": "A dog.", "labels": ["A dog"]}]}"#;

    #[test]
    fn masks_and_labels_go_together_by_their_order() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(CAPTIONS), TWO).unwrap();
        let json = masks(&[
            mask(10, "sa_1", 0),
            mask(20, "sa_2", 3),
            mask(11, "sa_1", 5),
            mask(12, "sa_1", 7),
            mask(13, "sa_1", 9),
        ]);
        let mut problems = Problems::new(0);
        let records = read_text(NAME, &json, folder.path(), &mut problems).unwrap();
        let ids: Vec<&str> = records.iter().map(|record| record.id.as_str()).collect();
        assert_eq!(ids, ["sa_1", "sa_2"]);
        let record = &records[0];
        assert!(record.image.ends_with("/sa_1.jpg"));
        assert_eq!((record.width, record.height), (6, 4));
        let regions: Vec<(&str, Option<&str>)> = record
            .regions
            .iter()
            .map(|region| (region.id.as_str(), region.category.as_deref()))
            .collect();
        assert_eq!(
            regions,
            [
                ("10", Some("A cup")),
                ("11", Some("a cup")),
                ("12", Some("a dog")),
                ("13", Some("a tree")),
            ]
        );
        assert!(record.mask(1).unwrap().get(1, 1));
        let spans: Vec<(usize, usize, &[usize])> = record.grounded[0]
            .phrases
            .iter()
            .map(|phrase| (phrase.start, phrase.end, &phrase.targets[..]))
            .collect();
        assert_eq!(
            spans,
            [(0, 5, &[0][..]), (7, 12, &[2][..]), (17, 22, &[1][..])]
        );
        assert_eq!(problems.left_out().values().sum::<u64>(), 1);
    }

    #[test]
    fn masks_without_a_label_and_further_captions_stay() {
        let folder = tempfile::tempdir().unwrap();
        let captions = r#"{"images": [{"id": "sa_1"}, {"id": "sa_2"}], "annotations": [
            {"id": 1, "image_id": "sa_1", "caption": "A cup.", "labels": ["A cup"]},
            {"id": 2, "image_id": "sa_1", "caption": "Two cups.", "labels": ["Two cups"]},
            {"id": 3, "image_id": "sa_2", "caption": "A dog.", "labels": ["A dog", "a tree"]}]}"#;
        fs::write(folder.path().join(CAPTIONS), captions).unwrap();
        let json = masks(&[
            mask(10, "sa_1", 0),
            mask(11, "sa_1", 5),
            mask(20, "sa_2", 3),
        ]);
        let mut problems = Problems::new(0);
        let records = read_text(NAME, &json, folder.path(), &mut problems).unwrap();
        let told = |place: usize| {
            let record = &records[place];
            let categories: Vec<Option<&str>> = record
                .regions
                .iter()
                .map(|region| region.category.as_deref())
                .collect();
            let captions: Vec<(&str, Option<usize>)> = record
                .grounded
                .iter()
                .map(|caption| (caption.text.as_str(), caption.labels))
                .collect();
            (categories, captions)
        };
        assert_eq!(
            told(0),
            (
                vec![Some("A cup"), None],
                vec![("A cup.", Some(1)), ("Two cups.", None)]
            )
        );
        assert_eq!(told(1), (vec![Some("A dog")], vec![("A dog.", Some(2))]));
        assert!(problems.left_out().is_empty());
    }

    #[test]
    fn a_picture_that_is_broken_in_a_part_is_told_and_skipped() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(CAPTIONS), TWO).unwrap();
        let json = masks(&[
            mask(10, "sa_1", 0).replace("[0, 2, 22]", "[0, 2, 23]"),
            mask(11, "sa_3", 0),
            mask(20, "sa_2", 3),
        ]);
        let mut problems = Problems::new(2);
        let records = read_text(NAME, &json, folder.path(), &mut problems).unwrap();
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].id, "sa_2");
        let mut told: Vec<String> = problems.kept().iter().map(ToString::to_string).collect();
        told.sort_unstable();
        assert_eq!(told.len(), 2);
        for (message, expected) in told.iter().zip(["[0] at byte", "[1] at byte"]) {
            assert!(
                message.contains(expected) && message.contains(NAME),
                "{message}"
            );
        }
        assert!(told[0].contains("\"A cup\": the mask"), "{}", told[0]);
        assert!(told[1].contains("picture sa_3"), "{}", told[1]);
    }

    #[test]
    fn a_file_without_its_lists_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(CAPTIONS), "{}").unwrap();
        let json = masks(&[]);
        let error = read_text(NAME, &json, folder.path(), &mut Problems::new(0)).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(CAPTIONS) && text.contains("images"), "{text}");
    }
}
