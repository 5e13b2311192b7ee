//! A photograph under its masks, small enough for a page.

use std::{fmt::Display, io::Cursor};

use fclm_core::mask::Mask;
use image::{
    ImageFormat, RgbImage, RgbaImage,
    codecs::jpeg::JpegEncoder,
    imageops::{FilterType, resize},
};

use super::{
    data_uri::data_uri,
    overlay::{IGNORED, colour, css, fitted, ink, label_place, paint, shrunk},
    template::Html,
};

const JPEG_QUALITY: u8 = 85;

/// A picture to be shown, with the masks that are laid over it.
#[derive(Debug)]
pub(crate) struct Figure {
    /// Longest side, in pixels.
    longest: u32,
    canvas: RgbaImage,
    /// Masks at the size of the canvas, each with its place in a list, which gives it its colour.
    masks: Vec<(usize, Mask)>,
}

impl Figure {
    /// A figure of a picture of that width and height, at most `longest` pixels long.
    pub(crate) fn new((width, height): (u32, u32), longest: u32) -> Self {
        let (width, height) = fitted(width, height, longest);
        Self {
            longest,
            canvas: RgbaImage::new(width, height),
            masks: Vec::new(),
        }
    }

    /// Greys out what counts on no side.
    pub(crate) fn ignore(&mut self, mask: &Mask) {
        let small = self.shrunk(mask);
        paint(&mut self.canvas, &small, IGNORED);
    }

    /// Adds the mask at a place of a list.
    pub(crate) fn mark(&mut self, place: usize, mask: &Mask) {
        let small = self.shrunk(mask);
        self.masks.push((place, small));
    }

    /// The figure, over its photograph where there is one.
    pub(crate) fn html(mut self, photo: Option<&RgbImage>, alt: impl Display) -> Html {
        let photo = photo.and_then(|photo| jpeg(photo, self.longest, alt));
        // What is small lies on top of what it is a part of.
        self.masks
            .sort_by_key(|(_, mask)| std::cmp::Reverse(mask.area()));
        let mut labels = Html::default();
        for (place, mask) in &self.masks {
            paint(&mut self.canvas, mask, colour(*place));
            if let Some(at) = label_place(mask) {
                labels.push(&label(*place, at));
            }
        }
        let mut bytes = Vec::new();
        let written = self
            .canvas
            .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png);
        let masks = written.map(|()| data_uri("image/png", &bytes));
        Html::piece(
            "figure",
            &[
                ("width", Html::text(self.canvas.width())),
                ("height", Html::text(self.canvas.height())),
                ("photo", photo.unwrap_or_default()),
                ("masks", Html::text(masks.unwrap_or_default())),
                ("labels", labels),
            ],
        )
    }

    fn shrunk(&self, mask: &Mask) -> Mask {
        shrunk(mask, self.canvas.width(), self.canvas.height())
    }
}

/// The number of a mask, in its colour.
pub(crate) fn number(place: usize) -> Html {
    let colour = colour(place);
    Html::piece(
        "number",
        &[
            ("colour", Html::text(css(colour))),
            ("ink", Html::text(ink(colour))),
            ("number", Html::text(place)),
        ],
    )
}

fn jpeg(photo: &RgbImage, longest: u32, alt: impl Display) -> Option<Html> {
    let (width, height) = fitted(photo.width(), photo.height(), longest);
    let small = resize(photo, width, height, FilterType::Triangle);
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY)
        .encode_image(&small)
        .ok()?;
    Some(Html::piece(
        "photo",
        &[
            ("source", Html::text(data_uri("image/jpeg", &bytes))),
            ("alt", Html::text(alt)),
        ],
    ))
}

fn label(place: usize, [left, top]: [f32; 2]) -> Html {
    let colour = colour(place);
    Html::piece(
        "label",
        &[
            ("left", Html::text(format_args!("{left:.2}"))),
            ("top", Html::text(format_args!("{top:.2}"))),
            ("colour", Html::text(css(colour))),
            ("ink", Html::text(ink(colour))),
            ("number", Html::text(place)),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_numbered_by_their_places_over_the_photograph() {
        let photo = RgbImage::from_pixel(800, 400, image::Rgb([90, 160, 200]));
        let mut figure = Figure::new((800, 400), 400);
        figure.mark(2, &Mask::rect(800, 400, [0.0, 0.0, 400.0, 400.0]));
        figure.mark(7, &Mask::new(800, 400));
        figure.ignore(&Mask::rect(800, 400, [600.0, 0.0, 800.0, 400.0]));
        let html = figure.html(Some(&photo), "Picture <7>").into_string();
        for part in [
            "max-width:400px;aspect-ratio:400/200",
            "data:image/jpeg;base64,",
            "data:image/png;base64,",
            "alt=\"Picture &lt;7&gt;\"",
            ">2</span>",
        ] {
            assert!(html.contains(part), "{part} is not in {html}");
        }
        assert!(!html.contains(">7</span>"), "an empty mask has no number");
        let bare = Figure::new((800, 400), 400).html(None, "").into_string();
        assert!(!bare.contains("image/jpeg"));
    }
}
