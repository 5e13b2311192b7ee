//! COCO instances: pictures whose objects are marked and have a category.
//!
//! The file is `{"images": [..], "annotations": [..], "categories": [..]}`, each annotation with
//! `image_id`, `category_id` and `segmentation`. LVIS and PACO took the layout over and are read by
//! the same code; see [`lvis`](super::lvis) and [`paco`](super::paco).

use std::{collections::HashMap, path::PathBuf};

use serde::Deserialize;

use super::{
    super::record::{PictureRecord, RegionRecord},
    PictureNameError, Pictures, Problems, ReadError, Sink,
    by_picture::{ByPicture, Entry, Part},
    id::Id,
    json_stream::{Element, read_lists, size_of},
    pictures::name_of_url,
    segmentation::{Segmentation, SegmentationError},
};

/// What is told of regions that cannot be pointed at.
pub(super) const EMPTY_MASKS: &str = "regions without a pixel";

/// Which annotations are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The file of annotations, such as `instances_val2017.json`.
    pub annotations: PathBuf,
    /// The folders of the pictures.
    pub pictures: Pictures,
}

/// Reads the pictures that have at least one region.
///
/// Crowds are left out: no protocol asks for one, and as regions they would teach that a category's
/// name means any heap of its members. So are masks without a pixel, which thin polygons become.
///
/// # Errors
/// Where the file cannot be read or has another layout, where too much is broken, or where the sink
/// takes no more.
pub fn read(options: &Options, sink: Sink<'_>, problems: &mut Problems) -> Result<(), ReadError> {
    let path = &options.annotations;
    let mut categories = Categories::default();
    let mut by_picture = ByPicture::new(size_of(path)?)?;
    let lists = ["images", "annotations", "categories"];
    read_lists(path, &lists, &mut |element| match element.name {
        "images" => by_picture.add_coco(Part::Picture, element, problems),
        "annotations" => by_picture.add_coco(Part::Annotation, element, problems),
        _ => categories.add(element, problems),
    })?;
    by_picture.finish(problems, &mut |group, problems| {
        let Some(mut record) = read_picture(&group.picture, &options.pictures, problems)? else {
            return Ok(());
        };
        for entry in &group.annotations {
            let Some(annotation) = entry.read::<Annotation>(problems)? else {
                continue;
            };
            if annotation.iscrowd != 0 {
                problems.leave_out("regions that are crowds");
                continue;
            }
            match annotation.region(&record, &categories) {
                Ok(Some(region)) => record.regions.push(region),
                Ok(None) => problems.leave_out(EMPTY_MASKS),
                Err(broken) => problems.report(&entry.element().position(), &broken)?,
            }
        }
        if record.regions.is_empty() {
            problems.leave_out("pictures without a region");
            return Ok(());
        }
        sink(record, problems).map_err(ReadError::of_sink)
    })
}

/// A picture of COCO's layout.
#[derive(Deserialize)]
struct Picture {
    id: Id,
    file_name: Option<String>,
    coco_url: Option<String>,
    width: u32,
    height: u32,
}

/// Why a picture cannot be used.
#[derive(Debug, thiserror::Error)]
enum BrokenPicture {
    #[error("it has neither file_name nor coco_url")]
    NoName,
    #[error(transparent)]
    Name(#[from] PictureNameError),
    #[error("a picture of {0}x{1} cannot be")]
    Size(u32, u32),
}

impl Picture {
    fn record(self, pictures: &Pictures) -> Result<PictureRecord, BrokenPicture> {
        if self.width == 0 || self.height == 0 {
            return Err(BrokenPicture::Size(self.width, self.height));
        }
        let name = match (&self.file_name, &self.coco_url) {
            (Some(name), _) => name.as_str(),
            (None, Some(url)) => name_of_url(url),
            (None, None) => return Err(BrokenPicture::NoName),
        };
        Ok(PictureRecord {
            image: pictures.path(name)?,
            id: self.id.0,
            width: self.width,
            height: self.height,
            ..PictureRecord::default()
        })
    }
}

/// A picture with nothing in it yet; none where it is broken, which is reported.
pub(super) fn read_picture(
    entry: &Entry,
    pictures: &Pictures,
    problems: &mut Problems,
) -> Result<Option<PictureRecord>, ReadError> {
    let Some(picture) = entry.read::<Picture>(problems)? else {
        return Ok(None);
    };
    match picture.record(pictures) {
        Ok(record) => Ok(Some(record)),
        Err(broken) => {
            problems.report(&entry.element().position(), &broken)?;
            Ok(None)
        }
    }
}

/// An annotation of COCO's layout.
#[derive(Deserialize)]
pub(super) struct Annotation {
    id: Id,
    category_id: Id,
    segmentation: Segmentation,
    #[serde(default)]
    iscrowd: u8,
}

/// Why an annotation cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum BrokenAnnotation {
    /// It has no mask.
    #[error(transparent)]
    Mask(#[from] SegmentationError),
    /// Nobody says what it is.
    #[error("its category {0} is not in the list of categories")]
    Category(Id),
}

impl Annotation {
    /// The region; none where the mask has no pixel.
    pub(super) fn region(
        &self,
        picture: &PictureRecord,
        categories: &Categories,
    ) -> Result<Option<RegionRecord>, BrokenAnnotation> {
        let category = categories.names.get(&self.category_id);
        let category =
            category.ok_or_else(|| BrokenAnnotation::Category(self.category_id.clone()))?;
        let mask = self.segmentation.to_rle(picture.width, picture.height)?;
        if mask.area() == 0 {
            return Ok(None);
        }
        Ok(Some(RegionRecord {
            id: self.id.0.clone(),
            mask: mask.to_wire(),
            ignore: None,
            category: Some(category.clone()),
            descriptions: Vec::new(),
        }))
    }
}

/// The names of categories.
#[derive(Debug, Default)]
pub(super) struct Categories {
    names: HashMap<Id, String>,
}

#[derive(Deserialize)]
struct Category {
    id: Id,
    name: String,
}

impl Categories {
    /// Takes an element of the list of categories.
    pub(super) fn add(
        &mut self,
        element: &Element<'_>,
        problems: &mut Problems,
    ) -> Result<(), ReadError> {
        if let Some(category) = element.read::<Category>(problems)? {
            let text = category_text(&category.name);
            self.names.insert(category.id, text);
        }
        Ok(())
    }
}

/// A category's name as people write it, as
/// [Osprey](https://github.com/CircleRadon/Osprey/blob/main/osprey/eval/lvis_paco_eval.py) has it:
/// `ball_(toy)` is "ball (toy)" and `mug:handle` is "mug handle".
pub(super) fn category_text(name: &str) -> String {
    name.replace(['_', ':'], " ")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const FILE: &str = r#"{"info": {"year": 2017},
        "images": [{"id": 7, "file_name": "7.jpg", "width": 6, "height": 4},
                   {"id": 8, "file_name": "8.jpg", "width": 4, "height": 3}],
        "annotations": [
            {"id": 70, "image_id": 7, "category_id": 3, "iscrowd": 0,
             "segmentation": [[1, 1, 1, 3, 4, 3, 4, 1], [3.0, 0, 3, 2, 6, 2, 6, 0]]},
            {"id": 80, "image_id": 8, "category_id": 5, "iscrowd": 1,
             "segmentation": {"size": [3, 4], "counts": [2, 3, 7]}},
            {"id": 71, "image_id": 7, "category_id": 5, "iscrowd": 0,
             "segmentation": [[1, 1, 1, 3, 4, 3, 4, 1]]}],
        "categories": [{"id": 3, "name": "cup"}, {"id": 5, "name": "traffic light"}]}"#;

    fn records(text: &str, problems: &mut Problems) -> Result<Vec<PictureRecord>, ReadError> {
        let folder = tempfile::tempdir().unwrap();
        let annotations = folder.path().join("instances.json");
        fs::write(&annotations, text).unwrap();
        let options = Options {
            annotations,
            pictures: Pictures::new(&[PathBuf::from("/coco")]).unwrap(),
        };
        let mut records = Vec::new();
        let mut sink = |record, _: &mut Problems| {
            records.push(record);
            Ok(())
        };
        read(&options, &mut sink, problems)?;
        Ok(records)
    }

    fn changed(from: &str, to: &str) -> (Vec<PictureRecord>, String) {
        assert!(FILE.contains(from));
        let mut problems = Problems::new(1);
        let records = records(&FILE.replacen(from, to, 1), &mut problems).unwrap();
        assert_eq!(problems.broken(), 1);
        (records, problems.kept()[0].to_string())
    }

    #[test]
    fn objects_become_regions_with_categories() {
        let mut problems = Problems::new(0);
        let records = records(FILE, &mut problems).unwrap();
        let [record] = records.as_slice() else {
            panic!("{records:?}");
        };
        assert_eq!(
            (record.id.as_str(), record.image.as_str()),
            ("7", "/coco/7.jpg")
        );
        assert_eq!((record.width, record.height), (6, 4));
        let told: Vec<(&str, Option<&str>, u64)> = (0..record.regions.len())
            .map(|place| {
                let region = &record.regions[place];
                let area = record.mask(place).unwrap().area();
                (region.id.as_str(), region.category.as_deref(), area)
            })
            .collect();
        // Boxes of 3x2 pixels, which overlap in one pixel.
        assert_eq!(
            told,
            [("70", Some("cup"), 11), ("71", Some("traffic light"), 6)]
        );
        assert_eq!(problems.left_out()["regions that are crowds"], 1);
        assert_eq!(problems.left_out()["pictures without a region"], 1);
    }

    #[test]
    fn what_is_broken_is_skipped_and_told() {
        let (records, problem) = changed(r#""category_id": 3"#, r#""category_id": 4"#);
        assert_eq!(records[0].regions[0].id, "71");
        assert!(
            problem.contains("instances.json: annotations[0] at byte"),
            "{problem}"
        );
        assert!(
            problem.contains("category 4 is not in the list"),
            "{problem}"
        );

        let (records, problem) = changed("[[1, 1, 1, 3, 4, 3, 4, 1]]", "[]");
        assert_eq!(records[0].regions.len(), 1);
        assert!(problem.contains("annotations[2] at byte"), "{problem}");

        let (records, problem) = changed("\"image_id\": 7", "\"image_id\": 6");
        assert_eq!(records[0].regions.len(), 1);
        assert!(
            problem.contains("picture 6 is not in the list"),
            "{problem}"
        );

        let (_, problem) = changed("7.jpg", "../7.jpg");
        assert!(problem.contains("images[0] at byte"), "{problem}");
        let (_, problem) = changed("\"width\": 6", "\"width\": 0");
        assert!(problem.contains("0x4 cannot be"), "{problem}");
        let (_, problem) = changed("\"file_name\": \"7.jpg\",", "");
        assert!(
            problem.contains("neither file_name nor coco_url"),
            "{problem}"
        );
    }

    #[test]
    fn too_much_that_is_broken_ends_the_reading() {
        let text = FILE.replace("\"category_id\"", "\"category\"");
        let error = records(&text, &mut Problems::new(2)).unwrap_err();
        assert!(
            matches!(error, ReadError::TooManyBroken { limit: 2, .. }),
            "{error}"
        );
    }

    #[test]
    fn masks_without_a_pixel_are_left_out() {
        let text = FILE.replace("[[1, 1, 1, 3, 4, 3, 4, 1]]", "[[1, 1, 1.1, 1, 1, 1.1]]");
        let mut problems = Problems::new(0);
        let records = records(&text, &mut problems).unwrap();
        assert_eq!(records[0].regions.len(), 1);
        assert_eq!(problems.left_out()[EMPTY_MASKS], 1);
    }

    #[test]
    fn the_error_of_the_sink_ends_the_reading() {
        let folder = tempfile::tempdir().unwrap();
        let annotations = folder.path().join("instances.json");
        fs::write(&annotations, FILE).unwrap();
        let options = Options {
            annotations,
            pictures: Pictures::new(&[PathBuf::from("/coco")]).unwrap(),
        };
        let mut sink = |_, _: &mut Problems| Err("the disk is full".into());
        let error = read(&options, &mut sink, &mut Problems::default()).unwrap_err();
        assert!(error.to_string().contains("the disk is full"), "{error}");
    }
}
