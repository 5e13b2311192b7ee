//! PACO: objects and their parts, marked in LVIS's pictures.
//!
//! The layout is that of [COCO instances](super::coco). Objects and parts are annotations alike;
//! a part's category names the object as well, such as `mug:handle`, which becomes "mug handle".
//! Attributes and queries are not read. A picture's `file_name` starts with `train2017/` or
//! `val2017/`, so the folder above these is given.

pub use super::coco::{Options, read};

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::{
        super::{super::record::PictureRecord, Pictures, Problems},
        *,
    };

    #[test]
    fn objects_and_parts_are_regions() {
        let folder = tempfile::tempdir().unwrap();
        let annotations = folder.path().join("paco_lvis_v1_val.json");
        let text = r#"{"images": [{"id": 7, "file_name": "train2017/000000000007.jpg", "width": 4,
                "height": 3, "neg_category_ids": [], "not_exhaustive_category_ids": [],
                "neg_category_ids_attrs": {}, "not_exhaustive_category_ids_attrs": {}, "license": 1}],
            "annotations": [
                {"id": 70, "bbox": [0, 0, 2, 3], "area": 3, "category_id": 61, "image_id": 7,
                 "segmentation": {"size": [3, 4], "counts": "237"}, "attribute_ids": [1],
                 "dom_color_ids": [], "obj_ann_id": 70, "unknown_color": 0,
                 "unknown_pattern_marking": 0, "unknown_material": 0, "unknown_transparency": 0},
                {"id": 71, "bbox": [0, 2, 1, 1], "area": 1, "category_id": 1005, "image_id": 7,
                 "segmentation": {"size": [3, 4], "counts": [2, 1, 9]}, "attribute_ids": [],
                 "dom_color_ids": [], "obj_ann_id": 70, "unknown_color": 1,
                 "unknown_pattern_marking": 1, "unknown_material": 1, "unknown_transparency": 1}],
            "categories": [
                {"supercategory": "OBJECT", "id": 61, "name": "plastic_bag", "synset": "bag.n.01"},
                {"supercategory": "PART", "id": 1005, "name": "plastic_bag:inner_body"}],
            "part_categories": [{"id": 1, "name": "inner_body"}],
            "attributes": [{"id": 1, "name": "red"}], "attr_type_to_attr_idxs": {"color": [1]}}"#;
        fs::write(&annotations, text).unwrap();
        let options = Options {
            annotations,
            pictures: Pictures::new(&[PathBuf::from("/coco")]).unwrap(),
        };
        let mut records: Vec<PictureRecord> = Vec::new();
        let mut sink = |record, _: &mut Problems| {
            records.push(record);
            Ok(())
        };
        read(&options, &mut sink, &mut Problems::new(0)).unwrap();
        assert_eq!(records[0].image, "/coco/train2017/000000000007.jpg");
        let categories = records[0].regions.iter().map(|region| &region.category);
        let categories: Vec<Option<&str>> = categories.map(|name| name.as_deref()).collect();
        assert_eq!(
            categories,
            [Some("plastic bag"), Some("plastic bag inner body")]
        );
        let areas = [0, 1].map(|place| records[0].mask(place).unwrap().area());
        assert_eq!(areas, [3, 1]);
    }
}
