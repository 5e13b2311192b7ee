//! One picture of the page: the photograph under its masks, and all texts beside it.

use image::RgbImage;

use super::{figure::Figure, template::Html, texts};
use crate::{
    data::{folder::PictureFolder, record::PictureRecord},
    predict::read_picture,
};

/// Longest side of a picture in the page, in pixels.
pub(crate) const LONGEST: u32 = 640;

/// A picture's part of the page.
#[derive(Debug)]
pub(crate) struct Section {
    /// The part.
    pub(super) html: Html,
    /// Whether its file could be opened and has the size that the record says.
    pub(super) is_sound: bool,
}

impl Section {
    /// The part of a picture with its figures, its lists, and what is wrong with it.
    pub(crate) fn new(
        record: &PictureRecord,
        figures: Html,
        lists: Html,
        warning: Option<String>,
    ) -> Self {
        let is_sound = warning.is_none();
        let warning = warning.map(|text| Html::piece("warning", &[("text", Html::text(text))]));
        let html = Html::piece(
            "picture",
            &[
                ("figure", figures),
                ("warning", warning.unwrap_or_default()),
                ("id", Html::text(&record.id)),
                ("image", Html::text(&record.image)),
                (
                    "size",
                    Html::text(format_args!("{} x {}", record.width, record.height)),
                ),
                ("lists", lists),
            ],
        );
        Self { html, is_sound }
    }
}

/// Shows a picture with all that its record has.
pub(super) fn section(folder: &PictureFolder, record: &PictureRecord) -> Section {
    let (photo, warning) = open(folder, record);
    let figure = figure(photo.as_ref(), record);
    Section::new(record, figure, texts::lists(record), warning)
}

/// The file of a picture, where it can be opened, and what is wrong with it.
pub(crate) fn open(
    folder: &PictureFolder,
    record: &PictureRecord,
) -> (Option<RgbImage>, Option<String>) {
    match read_picture(&folder.image_path(record)) {
        Ok(photo) => {
            let warning = size_warning(&photo, record);
            (Some(photo), warning)
        }
        Err(error) => (None, Some(format!("The picture cannot be shown: {error}"))),
    }
}

fn size_warning(photo: &RgbImage, record: &PictureRecord) -> Option<String> {
    let (width, height) = photo.dimensions();
    ((width, height) != (record.width, record.height)).then(|| {
        format!(
            "The picture has {width} x {height} pixels, but its record says {} x {}.",
            record.width, record.height
        )
    })
}

fn figure(photo: Option<&RgbImage>, record: &PictureRecord) -> Html {
    let mut figure = Figure::new((record.width, record.height), LONGEST);
    for place in 0..record.regions.len() {
        // Reading a record has checked that its masks can be decoded.
        if let Ok(Some(ignored)) = record.ignore(place) {
            figure.ignore(&ignored);
        }
        if let Ok(mask) = record.mask(place) {
            figure.mark(place, &mask);
        }
    }
    figure.html(photo, format_args!("Picture {}", record.id))
}
