//! Where `<pos>` and `[SEG]` look, side by side: the paper's own picture of the idea.
//!
//! For regions of a data set, the mask decoder's attention for the region's `<pos>` is drawn beside
//! that for `[SEG]` after the region's own description, and both are told in figures: how much of
//! each lies inside the region, and how much of it both share, beside what `[SEG]` shares with `<pos>`
//! of other regions.

mod error;
mod heat;
mod page;

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use fclm_core::mask::Mask;
use image::{
    ImageFormat, RgbImage,
    imageops::{FilterType, resize},
};

pub use self::error::HeatmapError;
use self::{
    heat::Heat,
    page::{Entry, page},
};
use crate::{
    data::{
        folder::PictureFolder,
        look::overlay::{fitted, shrunk},
        record::{DescriptionLength, PictureRecord},
    },
    disk::{self, StagingFolder},
    predict::{Looks, Predictor, read_picture},
};

/// Regions that are drawn where nobody says how many.
pub const DEFAULT_REGIONS: usize = 24;
/// Longest side of a drawn picture.
const LONGEST: u32 = 512;
/// Other regions of a picture that are looked at beside the one that is drawn: the decoder takes SAM's
/// map once for each.
const MOST_OTHERS: usize = 8;
/// The page's name in its folder.
const PAGE: &str = "index.html";

/// What a page shows, in figures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heatmaps {
    /// Regions that were drawn.
    pub regions: usize,
    /// Mean share of `<pos>`'s attention inside the region.
    pub pos_inside: f64,
    /// Mean share of `[SEG]`'s attention inside the region.
    pub seg_inside: f64,
    /// Mean share that regions take of their pictures: what attention to everywhere would have
    /// inside.
    pub area: f64,
    /// Mean share of their attention that both have in common.
    pub common: f64,
    /// Mean share that `[SEG]` has in common with `<pos>` of other regions of its picture, of eight at
    /// most; none where no picture has another region.
    pub common_other: Option<f64>,
}

/// Draws up to `most` regions of a folder of pictures, one of each picture, into a new folder.
/// `progress` hears how many are done.
///
/// # Errors
/// Where the folder to write holds something, a picture cannot be read, the model fails, or no
/// region of the data set has a text and a mask.
pub fn heatmaps(
    predictor: &Predictor,
    pictures: &PictureFolder,
    most: usize,
    out: &Path,
    progress: &dyn Fn(usize),
) -> Result<Heatmaps, HeatmapError> {
    refuse_full(out)?;
    let staging = StagingFolder::new(out).map_err(HeatmapError::io("create", out))?;
    let mut entries = Vec::new();
    for place in 0..pictures.len() {
        if entries.len() == most {
            break;
        }
        let record = pictures.record(place)?;
        if let Some(region) = choose(&record, place) {
            let path = pictures.image_path(&record);
            let number = entries.len() + 1;
            entries.push(draw(
                predictor,
                &record,
                &path,
                region,
                number,
                staging.path(),
            )?);
            progress(number);
        }
    }
    let Some(summary) = summary(&entries) else {
        return Err(HeatmapError::Empty(pictures.dir().to_owned()));
    };
    let path = staging.path().join(PAGE);
    let title = pictures.dir().display().to_string();
    fs::write(&path, page(&title, &summary, &entries)).map_err(HeatmapError::io("write", &path))?;
    fs::rename(staging.path(), out).map_err(HeatmapError::io("create", out))?;
    Ok(summary)
}

/// A region with the text that means it and its mask.
struct Chosen {
    text: String,
    mask: Mask,
    /// Other regions of its picture, [`MOST_OTHERS`] at most.
    others: Vec<Mask>,
}

/// One region of a picture, another one by turns; none where no region has a text.
fn choose(record: &PictureRecord, turn: usize) -> Option<Chosen> {
    let region = |place| {
        // Reading a record has checked its masks.
        record.mask(place).ok().filter(|mask| !mask.is_empty())
    };
    let mut told: Vec<(usize, String, Mask)> = (0..record.regions.len())
        .filter_map(|place| {
            let text = text_of(record, place)?.to_owned();
            Some((place, text, region(place)?))
        })
        .collect();
    let chosen = turn.checked_rem(told.len())?;
    let (own, text, mask) = told.swap_remove(chosen);
    let others = (0..record.regions.len())
        .filter(|&place| place != own)
        .filter_map(region)
        .take(MOST_OTHERS)
        .collect();
    Some(Chosen { text, mask, others })
}

/// What is said of a region, at most length; else an expression that means it alone.
fn text_of(record: &PictureRecord, place: usize) -> Option<&str> {
    let region = record.regions.get(place)?;
    let of_length = |length: DescriptionLength| {
        let mut descriptions = region.descriptions.iter();
        descriptions.find(|description| description.length == length)
    };
    let description = of_length(DescriptionLength::Detailed)
        .or_else(|| of_length(DescriptionLength::Brief))
        .map(|description| description.text.as_str());
    let expression = || {
        let mut expressions = record.expressions.iter();
        let own = expressions.find(|expression| expression.targets == [place])?;
        Some(own.text.as_str())
    };
    description
        .or_else(expression)
        .or(region.category.as_deref())
}

/// Draws both maps of a region into the folder.
fn draw(
    predictor: &Predictor,
    record: &PictureRecord,
    path: &Path,
    Chosen { text, mask, others }: Chosen,
    number: usize,
    folder: &Path,
) -> Result<Entry, HeatmapError> {
    let failed = |source| HeatmapError::Predict {
        picture: record.id.clone(),
        source,
    };
    let image = read_picture(path).map_err(failed)?;
    if image.dimensions() != (record.width, record.height) {
        return Err(HeatmapError::Size {
            picture: record.id.clone(),
            found: image.dimensions(),
            said: (record.width, record.height),
        });
    }
    let size = fitted(record.width, record.height, LONGEST);
    let small = resize(&image, size.0, size.1, FilterType::Triangle);
    let small_mask = shrunk(&mask, size.0, size.1);
    let mut picture = predictor.see(image).map_err(failed)?;
    let others: Vec<&Mask> = others.iter().collect();
    let Looks { seg, pos, others } = predictor
        .looks(&mut picture, &text, &mask, &others, size)
        .map_err(failed)?;
    let [seg, pos] = [seg, pos].map(|values| Heat::new(size, values));
    let common_others: Vec<f64> = others
        .into_iter()
        .map(|values| seg.common(&Heat::new(size, values)))
        .collect();
    let files = [("pos", &pos), ("seg", &seg)].map(|(name, heat)| {
        let file = format!("{number:04}-{name}.png");
        let drawn = heat.over(&small, &small_mask);
        write_png(&drawn, &folder.join(&file)).map(|()| file)
    });
    let [pos_file, seg_file] = files;
    Ok(Entry {
        picture: record.id.clone(),
        text,
        files: [pos_file?, seg_file?],
        size,
        pos_inside: pos.inside(&small_mask),
        seg_inside: seg.inside(&small_mask),
        area: small_mask.area() as f64 / (f64::from(size.0) * f64::from(size.1)),
        common: pos.common(&seg),
        common_others,
    })
}

fn summary(entries: &[Entry]) -> Option<Heatmaps> {
    let mean =
        |figure: fn(&Entry) -> f64| entries.iter().map(figure).sum::<f64>() / entries.len() as f64;
    let others: Vec<f64> = entries
        .iter()
        .flat_map(|entry| entry.common_others.iter().copied())
        .collect();
    (!entries.is_empty()).then(|| Heatmaps {
        regions: entries.len(),
        pos_inside: mean(|entry| entry.pos_inside),
        seg_inside: mean(|entry| entry.seg_inside),
        area: mean(|entry| entry.area),
        common: mean(|entry| entry.common),
        common_other: (!others.is_empty())
            .then(|| others.iter().sum::<f64>() / others.len() as f64),
    })
}

fn write_png(picture: &RgbImage, path: &Path) -> Result<(), HeatmapError> {
    let mut bytes = Vec::new();
    picture
        .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
        .map_err(|source| HeatmapError::Png {
            path: path.to_owned(),
            source,
        })?;
    fs::write(path, bytes).map_err(HeatmapError::io("write", path))
}

fn refuse_full(out: &Path) -> Result<(), HeatmapError> {
    match disk::is_vacant(out) {
        Ok(true) => Ok(()),
        Ok(false) => Err(HeatmapError::NotEmpty(PathBuf::from(out))),
        Err(error) => Err(HeatmapError::io("read", out)(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::{data::scenes::write_dataset, model_dir::fixtures::tiny_model};

    #[test]
    fn fixture_model_s_looks_are_drawn_side_by_side() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("scenes");
        write_dataset(11, 3, &data, (64, 64)).unwrap();
        let pictures = PictureFolder::open(&data).unwrap();
        let predictor = Predictor::open(&tiny_model(folder.path())).unwrap();
        let out = folder.path().join("looks");
        let done = Cell::new(0);
        let drawn = heatmaps(&predictor, &pictures, 2, &out, &|count| done.set(count)).unwrap();
        assert_eq!((drawn.regions, done.get()), (2, 2));
        let other = drawn.common_other.unwrap();
        for share in [
            drawn.pos_inside,
            drawn.seg_inside,
            drawn.area,
            drawn.common,
            other,
        ] {
            assert!((0.0..=1.0).contains(&share), "{drawn:?}");
        }
        let html = fs::read_to_string(out.join("index.html")).unwrap();
        for file in [
            "0001-pos.png",
            "0001-seg.png",
            "0002-pos.png",
            "0002-seg.png",
        ] {
            assert!(html.contains(file), "{file}");
            let picture = image::open(out.join(file)).unwrap();
            assert_eq!((picture.width(), picture.height()), (64, 64));
        }
        let again = heatmaps(&predictor, &pictures, 2, &out, &|_| {});
        assert!(matches!(again, Err(HeatmapError::NotEmpty(_))));
    }

    #[test]
    fn the_longest_text_of_a_region_that_has_one_is_taken() {
        let record = PictureRecord::from_line(
            r#"{"id": "7", "image": "7.jpg", "width": 4, "height": 3, "regions": [
                {"id": "0", "mask": {"size": [3, 4], "counts": [0, 3, 9]}},
                {"id": "1", "mask": {"size": [3, 4], "counts": [3, 3, 6]}, "category": "cup",
                 "descriptions": [{"text": "A cup.", "length": "brief"},
                    {"text": "A white cup.", "length": "detailed"}]},
                {"id": "2", "mask": {"size": [3, 4], "counts": [6, 3, 3]}, "category": "saucer"}],
             "expressions": [{"text": "both", "kind": "short", "targets": [1, 2]},
                {"text": "the plate", "kind": "short", "targets": [2]}]}"#,
        )
        .unwrap();
        let texts = [0, 1, 2].map(|place| text_of(&record, place));
        assert_eq!(texts, [None, Some("A white cup."), Some("the plate")]);
        let chosen = [0, 1, 2].map(|turn| choose(&record, turn).unwrap().text);
        assert_eq!(chosen, ["A white cup.", "the plate", "A white cup."]);
        let others = [0, 1].map(|turn| choose(&record, turn).unwrap().others.len());
        assert_eq!(others, [2, 2]);
        assert!(choose(&PictureRecord::default(), 0).is_none());
    }
}
