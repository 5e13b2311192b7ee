//! Lists of pictures whose phrases are `groundings`: what people annotated, and OpenPSG.

use std::{collections::BTreeMap, path::Path};

use fclm_core::mask::Rle;
use serde::Deserialize;

use super::{
    super::{
        super::record::{GroundedRecord, PictureRecord},
        Problems, ReadError, Sink,
        coco::EMPTY_MASKS,
        json_stream::{Element, read_list},
        picture_size::size_of_picture,
        segmentation::Segmentation,
    },
    Broken, Options, check_size,
    phrases::{Span, phrases_in},
    region,
};

#[derive(Deserialize)]
struct Picture {
    file_name: String,
    caption: String,
    groundings: BTreeMap<String, Grounding>,
    height: Option<u32>,
    width: Option<u32>,
}

#[derive(Deserialize)]
struct Grounding {
    token_positives: [i64; 2],
    rle_masks: Vec<Segmentation>,
}

pub(super) fn read(
    options: &Options,
    sink: Sink<'_>,
    problems: &mut Problems,
) -> Result<(), ReadError> {
    read_list(&options.annotations, &mut |element| {
        let Some(picture) = element.read::<Picture>(problems)? else {
            return Ok(());
        };
        match record(&picture, element, options, problems) {
            Ok(record) => sink(record, problems).map_err(ReadError::of_sink),
            Err(broken) => problems.report(&element.position(), &broken),
        }
    })
}

fn record(
    picture: &Picture,
    element: &Element<'_>,
    options: &Options,
    problems: &mut Problems,
) -> Result<PictureRecord, Broken> {
    let image = options.pictures.path(&picture.file_name)?;
    let (width, height) = picture.size(&image)?;
    check_size(width, height)?;
    let text = picture.caption.trim_matches('"').trim().to_owned();
    let mut regions = Vec::new();
    let mut spans = Vec::new();
    for (phrase, grounding) in &picture.groundings {
        if grounding.rle_masks.is_empty() {
            problems.leave_out("phrases without a mask");
            continue;
        }
        let masks = grounding.rle_masks.iter();
        let masks = masks
            .map(|mask| mask.to_rle(width, height))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| Broken::Mask {
                phrase: phrase.clone(),
                source,
            })?;
        let mask = Rle::union(&masks).map_err(|source| Broken::Union {
            phrase: phrase.clone(),
            source,
        })?;
        if mask.area() == 0 {
            problems.leave_out(EMPTY_MASKS);
            continue;
        }
        spans.push(Span {
            range: grounding.token_positives,
            region: regions.len(),
        });
        regions.push(region(regions.len().to_string(), None, &mask));
    }
    let phrases = phrases_in(&text, spans, problems);
    Ok(PictureRecord {
        id: element.index.unwrap_or_default().to_string(),
        image,
        width,
        height,
        regions,
        grounded: vec![GroundedRecord {
            text,
            phrases,
            labels: None,
        }],
        ..PictureRecord::default()
    })
}

impl Picture {
    /// Width and height: as they are written, as the first mask has them, or as the picture has.
    fn size(&self, image: &str) -> Result<(u32, u32), Broken> {
        if let (Some(width), Some(height)) = (self.width, self.height) {
            return Ok((width, height));
        }
        let mut masks = self.groundings.values().flat_map(|g| &g.rle_masks);
        let of_mask = masks.find_map(|mask| match mask {
            Segmentation::Rle(mask) => Some((mask.size[1], mask.size[0])),
            Segmentation::Polygons(_) => None,
        });
        match of_mask {
            Some(size) => Ok(size),
            None => Ok(size_of_picture(Path::new(image))?),
        }
    }
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::{super::read_text, *};

    const NAME: &str = "OpenPsgGCG_train.json";

    #[test]
    fn the_masks_of_a_phrase_are_one_region() {
        let folder = tempfile::tempdir().unwrap();
        let list = r#"[{"file_name": "7.jpg", "image_id": "7",
            "caption": "\"Two caf\u00e9 cups by a dog. \"",
            "groundings": {
                "a dog": {"token_positives": [17, 22],
                          "rle_masks": [{"size": [4, 6], "counts": [20, 4]}]},
                "Two caf\u00e9 cups": {"token_positives": [0, 13],
                    "rle_masks": [{"size": [4, 6], "counts": [0, 2, 22]},
                                  {"size": [4, 6], "counts": [1, 2, 21]}]},
                "by": {"token_positives": [14, 16], "rle_masks": []}}}]"#;
        let mut problems = Problems::new(0);
        let records = read_text(NAME, list, folder.path(), &mut problems).unwrap();
        let record = &records[0];
        assert_eq!(
            (record.id.as_str(), record.width, record.height),
            ("0", 6, 4)
        );
        assert!(record.image.ends_with("/7.jpg"));
        let grounded = &record.grounded[0];
        assert_eq!(grounded.text, "Two caf\u{e9} cups by a dog.");
        let found: Vec<(String, u64)> = grounded
            .phrases
            .iter()
            .map(|phrase| {
                let length = phrase.end - phrase.start;
                let said = grounded.text.chars().skip(phrase.start).take(length);
                assert_eq!(phrase.targets.len(), 1);
                (
                    said.collect(),
                    record.mask(phrase.targets[0]).unwrap().area(),
                )
            })
            .collect();
        let expected = [
            ("Two caf\u{e9} cups".to_owned(), 3),
            ("a dog".to_owned(), 4),
        ];
        assert_eq!(found, expected);
        assert_eq!(problems.left_out()["phrases without a mask"], 1);
    }

    #[test]
    fn without_a_mask_the_picture_says_how_large_it_is() {
        let folder = tempfile::tempdir().unwrap();
        RgbImage::new(6, 4)
            .save(folder.path().join("7.png"))
            .unwrap();
        let list = r#"[{"file_name": "7.png", "caption": "Nothing.", "groundings": {}},
                       {"file_name": "8.png", "caption": "Nothing.", "groundings": {}}]"#;
        let mut problems = Problems::new(1);
        let records = read_text(NAME, list, folder.path(), &mut problems).unwrap();
        assert_eq!(records.len(), 1);
        assert_eq!((records[0].width, records[0].height), (6, 4));
        assert!(problems.kept()[0].to_string().contains("8.png"));
    }

    #[test]
    fn what_is_broken_is_told_and_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let picture = |name: &str, counts: &str| {
            format!(
                r#"{{"file_name": "{name}", "caption": "a cup", "groundings": {{"a cup": {{
                    "token_positives": [0, 5],
                    "rle_masks": [{{"size": [4, 6], "counts": {counts}}}]}}}}}}"#
            )
        };
        let list = [
            picture("a.jpg", "[1, 2]"),
            picture("../b.jpg", "[20, 4]"),
            picture("c.jpg", "[20, 4]").replace("[0, 5]", "[0]"),
            picture("d.jpg", "[20, 4]"),
        ];
        let mut problems = Problems::new(3);
        let list = format!("[{}]", list.join(", "));
        let records = read_text(NAME, &list, folder.path(), &mut problems).unwrap();
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].id, "3");
        let told: Vec<String> = problems.kept().iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 3);
        for (message, expected) in
            told.iter()
                .zip(["\"a cup\": the mask", "b.jpg", "invalid length 1"])
        {
            assert!(
                message.contains(expected) && message.contains(NAME),
                "{message}"
            );
        }
    }
}
