//! GranD-f: captions whose phrases are tied to masks, published with
//! [GLaMM](https://github.com/mbzuai-oryx/groundingLMM).
//!
//! It was put together from several data sets, and each part has kept a layout of its own:
//! [`Variant`] lists them. What GLaMM's
//! [loaders](https://github.com/mbzuai-oryx/groundingLMM/blob/main/dataset/gcg_datasets/GranDf_gcg_ds.py)
//! do is done here; where two phrases overlap, the first one ends before the second, in every
//! variant.

mod evaluation;
mod flickr;
mod groundings;
mod phrases;
mod references;

use std::path::{Path, PathBuf};

use fclm_core::mask::{MaskError, Rle};

use super::{
    super::record::RegionRecord, PictureNameError, Pictures, Problems, ReadError, Sink,
    picture_size::PictureSizeError, segmentation::SegmentationError,
};

/// Which layout a file has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variant {
    /// `GranDf_HA_GCG_train.json` and `OpenPsgGCG_*.json`: a list of pictures, each with its phrases
    /// as `groundings`.
    Groundings,
    /// `RefCOCOg_GCG_*.json`: a list of pictures, each under a key of its own, with the expressions
    /// of RefCOCOg as `refs`.
    References,
    /// `flickr_mergedGT_GCG_*.json`: COCO's layout with captions in the pictures, and masks that SAM
    /// made from the boxes of Flickr30k Entities.
    Flickr,
    /// `val_gcg_coco_mask_gt.json` and `test_gcg_coco_mask_gt.json`: what models are measured with.
    Evaluation {
        /// The file with the captions, such as `val_gcg_coco_caption_gt.json`.
        captions: PathBuf,
    },
}

impl Variant {
    /// Tells the variant by the name under which its file is published; the captions of
    /// [`Variant::Evaluation`] are beside the masks.
    pub fn of_file(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let starts = |start: &str| name.starts_with(start) && name.ends_with(".json");
        if starts("GranDf_HA_GCG_") || starts("OpenPsgGCG_") {
            return Some(Self::Groundings);
        }
        if starts("RefCOCOg_GCG_") {
            return Some(Self::References);
        }
        if starts("flickr_mergedGT_GCG_") {
            return Some(Self::Flickr);
        }
        let split = name.strip_suffix("_gcg_coco_mask_gt.json")?;
        let captions = path.with_file_name(format!("{split}_gcg_coco_caption_gt.json"));
        Some(Self::Evaluation { captions })
    }
}

/// Which part of GranD-f is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The file.
    pub annotations: PathBuf,
    /// Its layout.
    pub variant: Variant,
    /// The folder with the pictures. Where a file does not say how large its pictures are, and no
    /// mask does, they have to be there.
    pub pictures: Pictures,
}

/// Reads a file. Of lists a picture's id is its place in the list, from 0; of COCO's layout it is
/// the data set's own, so that predictions can be compared with it.
///
/// In [`Variant::Evaluation`] each region's category is the phrase that a model should say of it,
/// whether or not it is found in the caption.
///
/// # Errors
/// Where a file cannot be read or has another layout, where too much is broken, or where the sink
/// takes no more.
pub fn read(options: &Options, sink: Sink<'_>, problems: &mut Problems) -> Result<(), ReadError> {
    match &options.variant {
        Variant::Groundings => groundings::read(options, sink, problems),
        Variant::References => references::read(options, sink, problems),
        Variant::Flickr => flickr::read(options, sink, problems),
        Variant::Evaluation { captions } => evaluation::read(options, captions, sink, problems),
    }
}

/// Why a picture cannot be used.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Name(#[from] PictureNameError),
    #[error(transparent)]
    Size(#[from] PictureSizeError),
    #[error("{phrase:?}: {source}")]
    Mask {
        phrase: String,
        source: SegmentationError,
    },
    #[error("{phrase:?}: the masks do not go together: {source}")]
    Union { phrase: String, source: MaskError },
    #[error("it has {0} entries instead of one")]
    Entries(usize),
    #[error("a picture of {0}x{1} cannot be")]
    NoPixels(u32, u32),
}

fn check_size(width: u32, height: u32) -> Result<(), Broken> {
    if width == 0 || height == 0 {
        return Err(Broken::NoPixels(width, height));
    }
    Ok(())
}

fn region(id: String, category: Option<String>, mask: &Rle) -> RegionRecord {
    RegionRecord {
        id,
        mask: mask.to_wire(),
        ignore: None,
        category,
        descriptions: Vec::new(),
    }
}

/// What a test reads from a file with that name.
#[cfg(test)]
fn read_text(
    name: &str,
    json: &str,
    folder: &Path,
    problems: &mut Problems,
) -> Result<Vec<super::super::record::PictureRecord>, ReadError> {
    let annotations = folder.join(name);
    std::fs::write(&annotations, json).unwrap();
    let options = Options {
        variant: Variant::of_file(&annotations).unwrap(),
        pictures: Pictures::new(&[folder.to_owned()])?,
        annotations,
    };
    let mut records = Vec::new();
    let sink: Sink<'_> = &mut |record, _| {
        record.check()?;
        records.push(record);
        Ok(())
    };
    read(&options, sink, problems)?;
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_their_names() {
        let variant = |name: &str| Variant::of_file(&Path::new("GranDf").join(name));
        for name in ["GranDf_HA_GCG_train.json", "OpenPsgGCG_val.json"] {
            assert_eq!(variant(name), Some(Variant::Groundings));
        }
        let references = variant("RefCOCOg_GCG_train.json");
        assert_eq!(references, Some(Variant::References));
        let flickr = variant("flickr_mergedGT_GCG_train.json");
        assert_eq!(flickr, Some(Variant::Flickr));
        assert_eq!(
            variant("test_gcg_coco_mask_gt.json"),
            Some(Variant::Evaluation {
                captions: PathBuf::from("GranDf/test_gcg_coco_caption_gt.json")
            })
        );
        assert_eq!(variant("instances_val2017.json"), None);
    }
}
