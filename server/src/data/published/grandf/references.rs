//! Lists of pictures with the expressions of RefCOCOg as `refs`.

use std::{collections::BTreeMap, path::Path};

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
    phrases::{Span, find, phrases_in},
    region,
};

#[derive(Deserialize)]
struct Picture {
    img_file_name: String,
    caption: String,
    refs: Vec<Reference>,
    height: Option<u32>,
    width: Option<u32>,
}

#[derive(Deserialize)]
struct Reference {
    sentence: String,
    segmentation: Segmentation,
}

pub(super) fn read(
    options: &Options,
    sink: Sink<'_>,
    problems: &mut Problems,
) -> Result<(), ReadError> {
    read_list(&options.annotations, &mut |element| {
        let Some(entries) = element.read::<BTreeMap<String, Picture>>(problems)? else {
            return Ok(());
        };
        match record(&entries, element, options, problems) {
            Ok(record) => sink(record, problems).map_err(ReadError::of_sink),
            Err(broken) => problems.report(&element.position(), &broken),
        }
    })
}

fn record(
    entries: &BTreeMap<String, Picture>,
    element: &Element<'_>,
    options: &Options,
    problems: &mut Problems,
) -> Result<PictureRecord, Broken> {
    let mut pictures = entries.values();
    let (Some(picture), None) = (pictures.next(), pictures.next()) else {
        return Err(Broken::Entries(entries.len()));
    };
    let image = options.pictures.path(&picture.img_file_name)?;
    let (width, height) = match (picture.width, picture.height) {
        (Some(width), Some(height)) => (width, height),
        _ => size_of_picture(Path::new(&image))?,
    };
    check_size(width, height)?;
    let text = bare(&picture.caption);
    let mut regions = Vec::new();
    let mut spans = Vec::new();
    for reference in &picture.refs {
        let phrase = bare(&reference.sentence);
        let place = (!phrase.is_empty())
            .then(|| find(&text, &phrase, 0))
            .flatten();
        let Some(range) = place else {
            problems.leave_out("phrases that are not in their captions");
            continue;
        };
        let mask = reference.segmentation.to_rle(width, height);
        let mask = mask.map_err(|source| Broken::Mask { phrase, source })?;
        if mask.area() == 0 {
            problems.leave_out(EMPTY_MASKS);
            continue;
        }
        spans.push(Span {
            range,
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

/// A text in small letters and without the quotation marks that some are in.
fn bare(text: &str) -> String {
    text.trim_matches('"').trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::{super::read_text, *};

    const NAME: &str = "RefCOCOg_GCG_train.json";

    #[test]
    fn phrases_are_found_in_small_letters() {
        let folder = tempfile::tempdir().unwrap();
        let name = "COCO_train2014_000000000009.jpg";
        RgbImage::new(6, 4).save(folder.path().join(name)).unwrap();
        let list = r#"[{"9": {"img_file_name": "COCO_train2014_000000000009.jpg",
            "caption": "A Man in a hat walks a dog.",
            "refs": [
                {"sentence": "a hat", "segmentation": [[0, 0, 0, 1, 6, 1, 6, 0]]},
                {"sentence": "A man in a hat", "segmentation": [[0, 0, 0, 2, 2, 2, 2, 0],
                                                               [4, 0, 4, 2, 5, 2, 5, 0]]},
                {"sentence": "the cat", "segmentation": [[0, 0, 0, 1, 1, 1, 1, 0]]}]}}]"#;
        let mut problems = Problems::new(0);
        let records = read_text(NAME, list, folder.path(), &mut problems).unwrap();
        let record = &records[0];
        assert_eq!((record.width, record.height), (6, 4));
        assert!(record.image.ends_with(name));
        let grounded = &record.grounded[0];
        assert_eq!(grounded.text, "a man in a hat walks a dog.");
        let spans: Vec<(usize, usize, &[usize])> = grounded
            .phrases
            .iter()
            .map(|phrase| (phrase.start, phrase.end, &phrase.targets[..]))
            .collect();
        assert_eq!(spans, [(0, 8, &[1][..]), (9, 14, &[0][..])]);
        assert_eq!(record.mask(0).unwrap().area(), 6);
        assert_eq!(record.mask(1).unwrap().area(), 4 + 2);
        assert_eq!(
            problems.left_out()["phrases that are not in their captions"],
            1
        );
    }

    #[test]
    fn what_is_broken_is_told_and_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let picture = |polygon: &str| {
            format!(
                r#"{{"img_file_name": "9.jpg", "width": 6, "height": 4, "caption": "a cup",
                    "refs": [{{"sentence": "a cup", "segmentation": [{polygon}]}}]}}"#
            )
        };
        let good = picture("[0, 0, 0, 1, 6, 1, 6, 0]");
        let list = [
            format!(r#"{{"1": {}}}"#, picture("[0, 0, 0, 1, 6, 1, 6]")),
            format!(r#"{{"2": {good}, "3": {good}}}"#),
            format!(r#"{{"4": {}}}"#, good.replace("refs", "references")),
            format!(r#"{{"5": {good}}}"#),
        ];
        let mut problems = Problems::new(3);
        let list = format!("[{}]", list.join(", "));
        let records = read_text(NAME, &list, folder.path(), &mut problems).unwrap();
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].id, "3");
        let told: Vec<String> = problems.kept().iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 3);
        for (message, expected) in told
            .iter()
            .zip(["\"a cup\": the mask", "2 entries", "refs"])
        {
            assert!(
                message.contains(expected) && message.contains(NAME),
                "{message}"
            );
        }
    }
}
