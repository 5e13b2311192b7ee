//! Osprey's lists of objects whose categories are asked for: `lvis_val_1k_category.json` and
//! `paco_val_1k_category.json`.
//!
//! Each is a list of pictures with `file_name`, `height`, `width`, and the lists `categories` and
//! `annotations`, of which the first names what the second marks.

use std::path::PathBuf;

use serde::Deserialize;

use super::{
    super::record::{PictureRecord, RegionRecord},
    PictureNameError, Pictures, Problems, ReadError, Sink,
    coco::{EMPTY_MASKS, category_text},
    json_stream::{Element, read_list},
    segmentation::Segmentation,
};

/// Which list is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The file, such as `lvis_val_1k_category.json`.
    pub annotations: PathBuf,
    /// The folders of the pictures.
    pub pictures: Pictures,
}

/// Reads the pictures in the order of the list; a picture's id is its place in it, from 0.
///
/// # Errors
/// Where the file cannot be read or is no list, where too much is broken, or where the sink takes
/// no more.
pub fn read(options: &Options, sink: Sink<'_>, problems: &mut Problems) -> Result<(), ReadError> {
    read_list(&options.annotations, &mut |element| {
        let Some(picture) = element.read::<Picture>(problems)? else {
            return Ok(());
        };
        match picture.record(element, &options.pictures) {
            Ok(mut record) => {
                picture.mark(&mut record, element, problems)?;
                sink(record, problems).map_err(ReadError::of_sink)
            }
            Err(broken) => problems.report(&element.position(), &broken),
        }
    })
}

#[derive(Deserialize)]
struct Picture {
    file_name: String,
    height: u32,
    width: u32,
    categories: Vec<String>,
    annotations: Vec<Annotation>,
}

#[derive(Deserialize)]
struct Annotation {
    segmentation: Segmentation,
}

/// Why a picture cannot be used.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Name(#[from] PictureNameError),
    #[error("a picture of {0}x{1} cannot be")]
    Size(u32, u32),
    #[error("it has {annotations} annotations and {categories} categories")]
    Counts {
        annotations: usize,
        categories: usize,
    },
}

impl Picture {
    /// The picture with nothing in it.
    fn record(&self, element: &Element<'_>, pictures: &Pictures) -> Result<PictureRecord, Broken> {
        if self.width == 0 || self.height == 0 {
            return Err(Broken::Size(self.width, self.height));
        }
        if self.annotations.len() != self.categories.len() {
            return Err(Broken::Counts {
                annotations: self.annotations.len(),
                categories: self.categories.len(),
            });
        }
        Ok(PictureRecord {
            id: element.index.unwrap_or_default().to_string(),
            image: pictures.path(&self.file_name)?,
            width: self.width,
            height: self.height,
            ..PictureRecord::default()
        })
    }

    /// Adds what is marked; a mask that is broken is reported and left away.
    fn mark(
        &self,
        record: &mut PictureRecord,
        element: &Element<'_>,
        problems: &mut Problems,
    ) -> Result<(), ReadError> {
        for (place, (annotation, category)) in
            self.annotations.iter().zip(&self.categories).enumerate()
        {
            match annotation.segmentation.to_rle(self.width, self.height) {
                Ok(mask) if mask.area() == 0 => problems.leave_out(EMPTY_MASKS),
                Ok(mask) => record.regions.push(RegionRecord {
                    id: format!("{}-{place}", record.id),
                    mask: mask.to_wire(),
                    ignore: None,
                    category: Some(category_text(category)),
                    descriptions: Vec::new(),
                }),
                Err(broken) => {
                    let message = format!("annotations[{place}]: {broken}");
                    problems.report(&element.position(), &message)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn categories_belong_to_annotations_by_their_places() {
        let folder = tempfile::tempdir().unwrap();
        let annotations = folder.path().join("paco_val_1k_category.json");
        let text = r#"[
            {"file_name": "7.jpg", "height": 4, "width": 6, "categories": ["mug:handle", "cup"],
             "annotations": [{"segmentation": [[1, 1, 1, 3, 4, 3, 4, 1]], "bbox": [1, 1, 3, 2]},
                             {"segmentation": {"size": [4, 6], "counts": [2, 1, 21]}}]},
            {"file_name": "7.jpg", "height": 3, "width": 4, "categories": ["cup", "ball_(toy)"],
             "annotations": [{"segmentation": {"size": [4, 3], "counts": [2, 3, 7]}},
                             {"segmentation": {"size": [3, 4], "counts": "237"}}]},
            {"file_name": "8.jpg", "height": 3, "width": 4, "categories": ["cup"],
             "annotations": []}]"#;
        fs::write(&annotations, text).unwrap();
        let options = Options {
            annotations,
            pictures: Pictures::new(&[PathBuf::from("/coco")]).unwrap(),
        };
        let mut told = Vec::new();
        let mut problems = Problems::new(2);
        let mut sink = |record: PictureRecord, _: &mut Problems| {
            record.check().unwrap();
            for (place, region) in record.regions.iter().enumerate() {
                let area = record.mask(place).unwrap().area();
                let category = region.category.clone().unwrap();
                told.push(format!("{} {} {category} {area}", record.id, region.id));
            }
            Ok(())
        };
        read(&options, &mut sink, &mut problems).unwrap();
        assert_eq!(
            told,
            ["0 0-0 mug handle 6", "0 0-1 cup 1", "1 1-1 ball (toy) 3"]
        );
        let problem = |place: usize| problems.kept()[place].to_string();
        assert!(problem(0).contains(": [1] at byte"), "{}", problem(0));
        assert!(
            problem(0).contains("annotations[0]: the mask is 3x4"),
            "{}",
            problem(0)
        );
        assert!(
            problem(1).contains("0 annotations and 1 cat"),
            "{}",
            problem(1)
        );

        let error = read(&options, &mut |_, _| Ok(()), &mut Problems::new(1)).unwrap_err();
        assert!(
            matches!(error, ReadError::TooManyBroken { limit: 1, .. }),
            "{error}"
        );
    }
}
