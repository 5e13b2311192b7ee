//! The Describe Anything dataset: detailed descriptions of regions, published with
//! [Describe Anything](https://github.com/NVlabs/describe-anything).
//!
//! Each subset is a folder. `annotations.json` maps a picture's id to the list of its regions, each
//! with `ann_id`, `mask_rle`, `caption`, and the picture's name in `image`. The pictures are in
//! webdataset shards `images/*.tar`, each beside a pickle with the same list. Names in the shards
//! may lack the zeros that numbers are filled up with elsewhere: `92.jpg` is
//! `000000000092.jpg`.

mod packed;
mod regions;
mod shards;
mod unpacked;

use std::path::PathBuf;

use serde::Deserialize;

use self::{
    packed::{read_joined, read_pickled},
    shards::shards_in,
    unpacked::read_unpacked,
};
use super::{Pictures, Problems, ReadError, Sink, SinkError, id::Id, json_stream::Element};

/// The file of a subset that says what is in its pictures.
const ANNOTATIONS: &str = "annotations.json";
/// The folder of a subset that holds the shards.
const IMAGES: &str = "images";
/// What is told of pictures without a region.
const NOTHING_SAID: &str = "pictures of which nothing is said";

/// Which subset is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The subset's folder, such as `describe-anything-dataset/COCOStuff`.
    pub folder: PathBuf,
    /// Where its pictures are.
    pub pictures: Source,
}

/// Where the pictures are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// In the shards. Where there is no `annotations.json`, their pickles say what is in the
    /// pictures.
    Shards,
    /// In folders, unpacked; `annotations.json` says what is in them.
    Folders(Pictures),
}

/// Takes the file of a picture, with a name for it, and returns the name under which a record can
/// name it. It is called before the sink gets the picture's record.
pub type SavePicture<'a> = &'a mut dyn FnMut(&str, &[u8]) -> Result<String, SinkError>;

/// Reads a subset. Pictures of which nothing is said are left out, and so are those whose shard is
/// not there, as a part of the data set is enough for many things.
///
/// `save` gets the pictures of [`Source::Shards`] of which something is said, named after their
/// shards.
///
/// # Errors
/// Where a file cannot be read or has another layout, where too much is broken, or where `save` or
/// the sink takes no more.
pub fn read(
    options: &Options,
    save: SavePicture<'_>,
    sink: Sink<'_>,
    problems: &mut Problems,
) -> Result<(), ReadError> {
    let annotations = options.folder.join(ANNOTATIONS);
    match &options.pictures {
        Source::Folders(pictures) => read_unpacked(&annotations, pictures, sink, problems),
        Source::Shards => {
            let shards = shards_in(&options.folder.join(IMAGES))?;
            if annotations.is_file() {
                read_joined(&annotations, &shards, save, sink, problems)
            } else {
                read_pickled(&shards, save, sink, problems)
            }
        }
    }
}

/// What tells a region's picture.
#[derive(Debug, Deserialize)]
struct OfPicture {
    img_id: Option<Id>,
    image: Option<String>,
    tar_file: Option<String>,
}

/// What the first region of an entry says of its picture; none where there is no region, or the
/// entry is broken.
fn picture_of(
    element: &Element<'_>,
    problems: &mut Problems,
) -> Result<Option<OfPicture>, ReadError> {
    let Some(regions) = element.read::<Vec<OfPicture>>(problems)? else {
        return Ok(None);
    };
    let first = regions.into_iter().next();
    if first.is_none() {
        problems.leave_out(NOTHING_SAID);
    }
    Ok(first)
}

/// Writes a shard for a test.
#[cfg(test)]
fn write_shard(path: &std::path::Path, members: &[(&str, &[u8])]) {
    let mut shard = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        shard.append_data(&mut header, name, *bytes).unwrap();
    }
    std::fs::write(path, shard.into_inner().unwrap()).unwrap();
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Cursor, path::Path};

    use image::{ImageFormat, RgbImage};

    use super::{super::picture_size::size_in_bytes, *};
    use crate::data::record::PictureRecord;

    /// Written by `pickle.dumps` of Python 3 for `[{"img_id": "000000000092", "ann_id": 2229,
    /// "image": "000000000092.jpg", "mask_rle": {"size": [4, 6], "counts": b"02f0"}, "caption":
    /// "A red cup."}]`; the runs are 0, 2, 22.
    const PICKLE: &[u8] = b"\x80\x04\x95\x8c\x00\x00\x00\x00\x00\x00\x00]\x94}\x94(\x8c\x06img_id\x94\
        \x8c\x0c000000000092\x94\x8c\x06ann_id\x94M\xb5\x08\x8c\x05image\x94\x8c\x10000000000092.jpg\
        \x94\x8c\x08mask_rle\x94}\x94(\x8c\x04size\x94]\x94(K\x04K\x06e\x8c\x06counts\x94C\x0402f0\
        \x94u\x8c\x07caption\x94\x8c\nA red cup.\x94ua.";
    /// The same for `[{"ann_id": 7, "caption": "x"}]`.
    const NO_MASK: &[u8] =
        b"\x80\x04\x95!\x00\x00\x00\x00\x00\x00\x00]\x94}\x94(\x8c\x06ann_id\x94K\
        \x07\x8c\x07caption\x94\x8c\x01x\x94ua.";

    const JSON: &str = r#"{
        "000000000092": [{"img_id": "000000000092", "ann_id": 1, "tar_file": "00000000.tar",
            "image": "train2017/000000000092.jpg", "caption": "A red cup.",
            "mask_rle": {"size": [4, 6], "counts": "02f0"}},
            {"img_id": "000000000092", "ann_id": 2, "tar_file": "00000000.tar",
            "image": "train2017/000000000092.jpg", "caption": "A wide pole.",
            "mask_rle": {"size": [6, 4], "counts": "d04"}}],
        "sa_7": [{"img_id": "sa_7", "ann_id": 3, "tar_file": "00000001.tar", "image": "sa_7.jpg",
            "caption": "A tall tree.", "mask_rle": {"size": [4, 6], "counts": "d04"}}],
        "000000000100": [{"img_id": "000000000100", "ann_id": 4, "tar_file": "00000009.tar",
            "image": "000000000100.jpg", "caption": "A dog.",
            "mask_rle": {"size": [4, 6], "counts": "d04"}}],
        "000000000101": []}"#;

    fn picture() -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        RgbImage::new(6, 4)
            .write_to(&mut bytes, ImageFormat::Jpeg)
            .unwrap();
        bytes.into_inner()
    }

    /// A subset with these files in each of its shards.
    fn subset(shards: &[&[(&str, &[u8])]]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let images = folder.path().join(IMAGES);
        fs::create_dir(&images).unwrap();
        for (index, members) in shards.iter().enumerate() {
            write_shard(&images.join(format!("{index:08}.tar")), members);
        }
        folder
    }

    /// The records, and the names of the pictures that were saved.
    fn read_all(
        folder: &Path,
        pictures: Source,
        problems: &mut Problems,
    ) -> Result<(Vec<PictureRecord>, Vec<String>), ReadError> {
        let options = Options {
            folder: folder.to_owned(),
            pictures,
        };
        let (mut records, mut saved) = (Vec::new(), Vec::new());
        let save: SavePicture<'_> = &mut |name, bytes| {
            assert_eq!(size_in_bytes(bytes)?, (6, 4));
            saved.push(name.to_owned());
            Ok(format!("images/{name}"))
        };
        let sink: Sink<'_> = &mut |record, _| {
            record.check()?;
            records.push(record);
            Ok(())
        };
        read(&options, save, sink, problems)?;
        Ok((records, saved))
    }

    #[test]
    fn shards_alone_are_enough() {
        let jpeg = picture();
        let folder = subset(&[
            &[("92.jpg", &jpeg[..]), ("92.pickle", PICKLE)],
            &[("93.jpg", &jpeg[..]), ("93.pickle", PICKLE)],
        ]);
        let mut problems = Problems::new(0);
        let (records, saved) = read_all(folder.path(), Source::Shards, &mut problems).unwrap();
        assert_eq!(saved, ["00000000/92.jpg", "00000001/93.jpg"]);
        assert_eq!(records.len(), 2);
        let record = &records[0];
        assert_eq!(record.id, "000000000092");
        assert_eq!(record.image, "images/00000000/92.jpg");
        assert_eq!((record.width, record.height), (6, 4));
        assert_eq!(record.regions[0].id, "2229");
        assert_eq!(record.regions[0].descriptions[0].text, "A red cup.");
        let mask = record.mask(0).unwrap();
        assert_eq!(mask.area(), 2);
        assert!(mask.get(0, 0) && mask.get(0, 1));
    }

    #[test]
    fn pictures_are_found_however_their_names_are_filled_up() {
        let jpeg = picture();
        let folder = subset(&[
            &[("92.jpg", &jpeg[..])],
            &[("sa_7.jpg", &jpeg[..]), ("5.jpg", &jpeg[..])],
        ]);
        fs::write(folder.path().join(ANNOTATIONS), JSON).unwrap();
        let mut problems = Problems::new(1);
        let (records, saved) = read_all(folder.path(), Source::Shards, &mut problems).unwrap();
        let expected = ["00000000/92.jpg", "00000001/sa_7.jpg"];
        assert_eq!(saved, expected, "nothing is said of the third one");
        let told: Vec<(&str, &str, usize)> = records
            .iter()
            .map(|record| {
                (
                    record.id.as_str(),
                    record.image.as_str(),
                    record.regions.len(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("000000000092", "images/00000000/92.jpg", 1),
                ("sa_7", "images/00000001/sa_7.jpg", 1),
            ]
        );
        assert_eq!(problems.broken(), 1);
        let problem = problems.kept()[0].to_string();
        assert!(
            problem.contains("annotations.json: \"000000000092\" at byte")
                && problem.contains("region 2: the mask is 4x6"),
            "{problem}"
        );
        assert_eq!(problems.left_out()["pictures whose shard is not there"], 1);
        assert_eq!(problems.left_out()[NOTHING_SAID], 2);
    }

    #[test]
    fn pictures_that_are_unpacked_need_no_shards() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(ANNOTATIONS), JSON).unwrap();
        let pictures = Pictures::new(&[PathBuf::from("/coco")]).unwrap();
        let source = Source::Folders(pictures);
        let mut problems = Problems::new(1);
        let (records, saved) = read_all(folder.path(), source, &mut problems).unwrap();
        assert!(saved.is_empty());
        let images: Vec<&str> = records.iter().map(|record| record.image.as_str()).collect();
        assert_eq!(
            images,
            [
                "/coco/train2017/000000000092.jpg",
                "/coco/sa_7.jpg",
                "/coco/000000000100.jpg",
            ]
        );
        assert_eq!((records[1].width, records[1].height), (6, 4));
        assert_eq!(problems.broken(), 1);
    }

    #[test]
    fn what_is_broken_is_told_and_skipped() {
        let jpeg = picture();
        let folder = subset(&[&[
            ("1.jpg", &jpeg[..]),
            ("2.pickle", PICKLE),
            ("3.jpg", &jpeg[..]),
            ("3.pickle", &PICKLE[..40]),
            ("4.jpg", &b"no picture"[..]),
            ("4.pickle", PICKLE),
            ("5.jpg", &jpeg[..]),
            ("5.pickle", NO_MASK),
            ("6.jpg", &jpeg[..]),
            ("6.pickle", PICKLE),
        ]]);
        let mut problems = Problems::new(5);
        let (records, saved) = read_all(folder.path(), Source::Shards, &mut problems).unwrap();
        assert_eq!(records.len(), 1);
        assert_eq!(saved, ["00000000/6.jpg"]);
        let told: Vec<String> = problems.kept().iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 5);
        for (message, expected) in told.iter().zip([
            "00000000.tar: 1.jpg: there is no pickle",
            "00000000.tar: 2.pickle: there is no picture",
            "00000000.tar: 3.pickle: the pickle",
            "00000000.tar: 4.jpg: ",
            "00000000.tar: 5.pickle: region 0: missing field",
        ]) {
            assert!(message.contains(expected), "{message}");
        }
        let error = read_all(folder.path(), Source::Shards, &mut Problems::new(1)).unwrap_err();
        assert!(
            matches!(error, ReadError::TooManyBroken { limit: 1, .. }),
            "{error}"
        );
    }

    #[test]
    fn a_picture_that_cannot_be_saved_ends_the_reading() {
        let jpeg = picture();
        let folder = subset(&[&[("92.jpg", &jpeg[..]), ("92.pickle", PICKLE)]]);
        let options = Options {
            folder: folder.path().to_owned(),
            pictures: Source::Shards,
        };
        let save: SavePicture<'_> = &mut |_, _| Err("the disk is full".into());
        let sink: Sink<'_> = &mut |_, _| Ok(());
        let error = read(&options, save, sink, &mut Problems::new(9)).unwrap_err();
        assert!(error.to_string().contains("the disk is full"), "{error}");
    }
}
