//! Subsets whose pictures are unpacked.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::{
    super::{Pictures, Problems, ReadError, Sink, json_stream::read_map},
    NOTHING_SAID, picture_of, regions,
};
use crate::data::record::PictureRecord;

/// Reads the annotations alone. A picture is as large as the first of its masks.
pub(super) fn read_unpacked(
    annotations: &Path,
    pictures: &Pictures,
    sink: Sink<'_>,
    problems: &mut Problems,
) -> Result<(), ReadError> {
    read_map(annotations, &mut |element| {
        let Some(of) = picture_of(element, problems)? else {
            return Ok(());
        };
        let named = format!("{}.jpg", element.name);
        let image = match pictures.path(of.image.as_deref().unwrap_or(&named)) {
            Ok(image) => image,
            Err(broken) => return problems.report(&element.position(), &broken),
        };
        let values = element.read::<Vec<Value>>(problems)?.unwrap_or_default();
        let size = values.iter().find_map(|value| {
            let size = value.pointer("/mask_rle/size")?;
            <[u32; 2]>::deserialize(size).ok()
        });
        let [height, width] = size.unwrap_or_default();
        let mut record = PictureRecord {
            id: element.name.to_owned(),
            image,
            width,
            height,
            ..PictureRecord::default()
        };
        for (index, value) in values.into_iter().enumerate() {
            regions::add(&mut record, index, value, &element.position(), problems)?;
        }
        if record.regions.is_empty() {
            problems.leave_out(NOTHING_SAID);
            return Ok(());
        }
        sink(record, problems).map_err(ReadError::of_sink)
    })
}
