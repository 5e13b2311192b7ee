//! LVIS v1: COCO's pictures with 1,203 categories, many of them rare.
//!
//! The layout is that of [COCO instances](super::coco), with two differences: a picture has no
//! `file_name`, so the last part of its `coco_url` is its name, and categories are written such as
//! `ball_(toy)`, which becomes "ball (toy)". Pictures of the validation set are in COCO's
//! `train2017` and `val2017`, so both folders are given.

pub use super::coco::{Options, read};

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{
        super::{super::record::PictureRecord, Pictures, Problems},
        *,
    };

    #[test]
    fn pictures_are_found_by_their_addresses() {
        let folder = tempfile::tempdir().unwrap();
        let folders = ["train2017", "val2017"].map(|name| folder.path().join(name));
        for folder in &folders {
            fs::create_dir(folder).unwrap();
        }
        fs::write(folders[1].join("000000000007.jpg"), "").unwrap();
        let annotations = folder.path().join("lvis_v1_val.json");
        let text = r#"{"info": {}, "licenses": [],
            "categories": [{"id": 5, "name": "ball_(toy)", "synset": "ball.n.01", "synonyms": ["ball"],
                "def": "a round thing", "frequency": "c", "image_count": 1, "instance_count": 1}],
            "images": [{"id": 7, "coco_url": "http://images.cocodataset.org/val2017/000000000007.jpg",
                "width": 6, "height": 4, "neg_category_ids": [1], "not_exhaustive_category_ids": []},
                {"id": 8, "coco_url": "http://images.cocodataset.org/val2017/000000000008.jpg",
                "width": 6, "height": 4, "neg_category_ids": [], "not_exhaustive_category_ids": []}],
            "annotations": [{"id": 70, "image_id": 7, "category_id": 5, "area": 6.0,
                "bbox": [1, 1, 3, 2], "segmentation": [[1, 1, 1, 3, 4, 3, 4, 1]]},
                {"id": 71, "image_id": 7, "category_id": 5, "area": 3.0, "bbox": [0, 2, 2, 3],
                "segmentation": {"size": [4, 6], "counts": "237<"}}]}"#;
        fs::write(&annotations, text).unwrap();
        let options = Options {
            annotations,
            pictures: Pictures::new(&folders).unwrap(),
        };
        let mut records: Vec<PictureRecord> = Vec::new();
        let mut problems = Problems::default();
        let mut sink = |record, _: &mut Problems| {
            records.push(record);
            Ok(())
        };
        read(&options, &mut sink, &mut problems).unwrap();
        assert_eq!(records.len(), 1);
        assert!(records[0].image.ends_with("val2017/000000000007.jpg"));
        let region = &records[0].regions[0];
        assert_eq!(region.category.as_deref(), Some("ball (toy)"));
        assert_eq!(records[0].mask(0).unwrap().area(), 6);
        let problem = |place: usize| problems.kept()[place].to_string();
        assert!(problem(0).contains("annotations[1]"), "{}", problem(0));
        assert!(problem(0).contains("the mask is broken"), "{}", problem(0));
        assert!(problem(1).contains("images[1]"), "{}", problem(1));
        assert!(
            problem(1).contains("000000000008.jpg\" is in none of the folders"),
            "{}",
            problem(1)
        );
    }
}
