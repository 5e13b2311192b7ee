//! Subsets whose pictures are in shards.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    super::{
        PickleError, Place, Position, Problems, ReadError, Sink,
        by_picture::{ByPicture, Group, Part},
        id::Id,
        json_stream::{Element, read_map, size_of},
        pickle::Pickle,
        picture_size::size_in_bytes,
    },
    NOTHING_SAID, OfPicture, SavePicture, picture_of, regions,
    shards::{Sample, read_again, read_samples},
};
use crate::data::record::PictureRecord;

/// Where a picture of a shard is.
#[derive(Debug, Serialize, Deserialize)]
struct Packed {
    name: String,
    start: u64,
    length: u64,
    width: u32,
    height: u32,
}

/// Reads shards in their order, each picture with the regions of its pickle.
pub(super) fn read_pickled(
    shards: &[PathBuf],
    save: SavePicture<'_>,
    sink: Sink<'_>,
    problems: &mut Problems,
) -> Result<(), ReadError> {
    for shard in shards {
        read_samples(shard, problems, &mut |sample, problems| {
            let Some(pickle) = &sample.pickle else {
                let position = sample.position(shard);
                return problems.report(&position, &"there is no pickle beside the picture");
            };
            let position = Position::new(shard, Place::Member(pickle.name.clone()));
            let size = sample.size(shard, problems)?;
            let (Some(picture), Some((width, height))) = (&sample.picture, size) else {
                return Ok(());
            };
            let values = match values_in(&pickle.bytes) {
                Ok(values) => values,
                Err(broken) => return problems.report(&position, &broken),
            };
            let mut record = PictureRecord {
                id: sample.key.clone(),
                width,
                height,
                ..PictureRecord::default()
            };
            for (index, value) in values.into_iter().enumerate() {
                if index == 0
                    && let Ok(of) = OfPicture::deserialize(&value)
                    && let Some(Id(id)) = of.img_id
                {
                    record.id = id;
                }
                regions::add(&mut record, index, value, &position, problems)?;
            }
            if record.regions.is_empty() {
                problems.leave_out(NOTHING_SAID);
                return Ok(());
            }
            record.image = save_picture(shard, &picture.name, &picture.bytes, save)?;
            sink(record, problems).map_err(ReadError::of_sink)
        })?;
    }
    Ok(())
}

/// Brings the pictures of the shards together with what the annotations say of them. Only then it is
/// known which of them are wanted, so these are read once more.
pub(super) fn read_joined(
    annotations: &Path,
    shards: &[PathBuf],
    save: SavePicture<'_>,
    sink: Sink<'_>,
    problems: &mut Problems,
) -> Result<(), ReadError> {
    let present: HashSet<&str> = shards.iter().filter_map(|shard| name_of(shard)).collect();
    let mut by_picture = ByPicture::new(size_of(annotations)?)?;
    read_map(annotations, &mut |element| {
        let Some(of) = picture_of(element, problems)? else {
            return Ok(());
        };
        let shard = of
            .tar_file
            .as_deref()
            .and_then(|shard| shard.rsplit('/').next());
        if shard.is_some_and(|shard| !present.contains(shard)) {
            problems.leave_out("pictures whose shard is not there");
            return Ok(());
        }
        let name = of.image.as_deref().unwrap_or(element.name);
        by_picture.add(Part::Annotation, Id(short_name(name).to_owned()), element)
    })?;
    for shard in shards {
        read_samples(shard, problems, &mut |sample, problems| {
            let size = sample.size(shard, problems)?;
            let (Some(picture), Some((width, height))) = (&sample.picture, size) else {
                return Ok(());
            };
            let packed = Packed {
                name: picture.name.clone(),
                start: picture.start,
                length: picture.bytes.len() as u64,
                width,
                height,
            };
            let json = json!(packed).to_string();
            let element = Element {
                path: shard,
                name: &sample.key,
                index: None,
                byte: None,
                json: json.as_bytes(),
            };
            by_picture.add(
                Part::Picture,
                Id(short_name(&sample.key).to_owned()),
                &element,
            )
        })?;
    }
    by_picture.finish(
        problems,
        &mut |group, problems| match joined(&group, save, problems)? {
            Some(record) => sink(record, problems).map_err(ReadError::of_sink),
            None => Ok(()),
        },
    )
}

/// A picture with what is said of it, saved; none where that is nothing.
fn joined(
    group: &Group,
    save: SavePicture<'_>,
    problems: &mut Problems,
) -> Result<Option<PictureRecord>, ReadError> {
    let Some(packed) = group.picture.read::<Packed>(problems)? else {
        return Ok(None);
    };
    let mut record = PictureRecord {
        id: group.id.0.clone(),
        width: packed.width,
        height: packed.height,
        ..PictureRecord::default()
    };
    for entry in &group.annotations {
        let element = entry.element();
        record.id = element.name.to_owned();
        let values = element.read::<Vec<Value>>(problems)?.unwrap_or_default();
        for (index, value) in values.into_iter().enumerate() {
            regions::add(&mut record, index, value, &element.position(), problems)?;
        }
    }
    if record.regions.is_empty() {
        problems.leave_out(NOTHING_SAID);
        return Ok(None);
    }
    let shard = group.picture.element().path;
    let bytes = read_again(shard, packed.start, packed.length)?;
    record.image = save_picture(shard, &packed.name, &bytes, save)?;
    Ok(Some(record))
}

/// The regions in a pickle, or what is wrong with it.
fn values_in(pickle: &[u8]) -> Result<Vec<Value>, PickleError> {
    Pickle::read(pickle)?.elements()?.collect()
}

/// What a picture is called however its number is filled up: without folders, ending and leading
/// zeros.
fn short_name(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = name.split('.').next().unwrap_or(name);
    let short = stem.trim_start_matches('0');
    match stem.bytes().all(|byte| byte.is_ascii_digit()) {
        true if short.is_empty() => "0",
        true => short,
        false => stem,
    }
}

fn name_of(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

impl Sample {
    /// Where its picture is, or what there is of it.
    fn position(&self, shard: &Path) -> Position {
        let member = self.picture.as_ref().or(self.pickle.as_ref());
        let name = member.map_or(&self.key, |member| &member.name);
        Position::new(shard, Place::Member(name.clone()))
    }

    /// Width and height of its picture; none where there is no picture, which is reported.
    fn size(&self, shard: &Path, problems: &mut Problems) -> Result<Option<(u32, u32)>, ReadError> {
        let Some(picture) = &self.picture else {
            problems.report(&self.position(shard), &"there is no picture beside it")?;
            return Ok(None);
        };
        match size_in_bytes(&picture.bytes) {
            Ok(size) => Ok(Some(size)),
            Err(broken) => {
                problems.report(&self.position(shard), &broken)?;
                Ok(None)
            }
        }
    }
}

/// Saves a picture and returns the name for its record.
fn save_picture(
    shard: &Path,
    name: &str,
    bytes: &[u8],
    save: SavePicture<'_>,
) -> Result<String, ReadError> {
    let folder = shard.file_stem().and_then(|stem| stem.to_str());
    let folder = folder.ok_or_else(|| ReadError::layout(shard, "its name is not UTF-8"))?;
    save(&format!("{folder}/{name}"), bytes).map_err(ReadError::Sink)
}
