//! What is said of a region.

use fclm_core::wire::MaskRle;
use serde::Deserialize;
use serde_json::Value;

use super::super::{
    super::record::{DescriptionLength, DescriptionRecord, PictureRecord, RegionRecord},
    Position, Problems, ReadError,
    coco::EMPTY_MASKS,
    id::Id,
    segmentation::Segmentation,
};

#[derive(Deserialize)]
struct Described {
    ann_id: Id,
    mask_rle: MaskRle,
    caption: String,
}

/// Adds a region to its picture, or a description to a region that is there already. One that is
/// broken is reported.
///
/// # Errors
/// Where too much is broken.
pub(super) fn add(
    record: &mut PictureRecord,
    index: usize,
    value: Value,
    position: &Position,
    problems: &mut Problems,
) -> Result<(), ReadError> {
    let described: Described = match serde_json::from_value(value) {
        Ok(described) => described,
        Err(error) => return problems.report(position, &format!("region {index}: {error}")),
    };
    let Described {
        ann_id: Id(id),
        mask_rle,
        caption,
    } = described;
    let text = caption.trim().to_owned();
    if text.is_empty() {
        problems.leave_out("regions of which nothing is said");
        return Ok(());
    }
    let mask = match Segmentation::Rle(mask_rle).to_rle(record.width, record.height) {
        Ok(mask) => mask,
        Err(error) => return problems.report(position, &format!("region {id}: {error}")),
    };
    if mask.area() == 0 {
        problems.leave_out(EMPTY_MASKS);
        return Ok(());
    }
    let mask = mask.to_wire();
    let description = DescriptionRecord {
        text,
        length: DescriptionLength::Detailed,
    };
    let mut known = record.regions.iter_mut();
    match known.find(|region| region.id == id && region.mask == mask) {
        Some(region) => region.descriptions.push(description),
        None => record.regions.push(RegionRecord {
            id,
            mask,
            ignore: None,
            category: None,
            descriptions: vec![description],
        }),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::{super::super::Place, *};

    #[test]
    fn regions_get_their_descriptions() {
        let mut record = PictureRecord {
            width: 6,
            height: 4,
            ..PictureRecord::default()
        };
        let region = |id: u32, counts: &[u32], caption: &str| {
            let mask_rle = json!({"size": [4, 6], "counts": counts});
            json!({"ann_id": id, "mask_rle": mask_rle, "caption": caption, "image": "7.jpg"})
        };
        let mut problems = Problems::new(2);
        let position = Position::new(Path::new("annotations.json"), Place::Whole);
        for (index, value) in [
            region(70, &[0, 3, 21], " A red cup. "),
            region(71, &[20, 4], "A pole."),
            region(70, &[0, 3, 21], "It is full."),
            region(72, &[24], "Nothing."),
            region(73, &[20, 4], "  "),
            region(74, &[20, 5], "A wall."),
            json!({"ann_id": 75, "caption": "A tree."}),
        ]
        .into_iter()
        .enumerate()
        {
            add(&mut record, index, value, &position, &mut problems).unwrap();
        }
        let said: Vec<(&str, Vec<&str>)> = record
            .regions
            .iter()
            .map(|region| {
                let texts = region.descriptions.iter().map(|d| d.text.as_str());
                (region.id.as_str(), texts.collect())
            })
            .collect();
        let expected = [
            ("70", vec!["A red cup.", "It is full."]),
            ("71", vec!["A pole."]),
        ];
        assert_eq!(said, expected);
        assert_eq!(record.mask(0).unwrap().area(), 3);
        assert_eq!(problems.left_out().len(), 2);
        let message = |place: usize| problems.kept()[place].message.as_str();
        assert!(
            message(0).starts_with("region 74: the mask"),
            "{}",
            message(0)
        );
        assert!(
            message(1).contains("region 6: missing field `mask_rle`"),
            "{}",
            message(1)
        );
    }
}
