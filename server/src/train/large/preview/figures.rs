use image::RgbImage;

use fclm_core::fclm::FclmConfig;
use fclm_core::image::geometry::region_crop;
use fclm_core::mask::Mask;
use fclm_core::region::prepare_region;
use fclm_core::sam;

use super::super::draw::{Clicks, Part};
use crate::data::look::figure::{Figure, number};
use crate::data::look::picture::LONGEST;
use crate::data::look::template::Html;
use crate::data::look::texts::{item, numbers};
use crate::data::record::PictureRecord;
use crate::train::batch::Prompt;

/// Longest side of a small figure, in pixels.
const SMALL: u32 = 320;

/// What is drawn of a picture, as a person sees it.
pub(super) struct Figures {
    size: (u32, u32),
    /// Regions as they are marked.
    marked: Figure,
    crops: Vec<Html>,
    /// What each conversation asks for; none where that is no mask.
    grounds: Vec<Option<Figure>>,
    marks: Html,
    extra: Vec<usize>,
    prompts: Html,
}

impl Figures {
    pub(super) fn new(record: &PictureRecord) -> Self {
        let size = (record.width, record.height);
        Self {
            size,
            marked: Figure::new(size, LONGEST),
            crops: Vec::new(),
            grounds: Vec::new(),
            marks: Html::default(),
            extra: Vec::new(),
            prompts: Html::default(),
        }
    }

    /// Takes a part of what is drawn; `conversations` says for each mask which one asks for it. None
    /// where training would not take it either.
    pub(super) fn take(
        &mut self,
        part: Part<'_>,
        conversations: &mut dyn Iterator<Item = usize>,
        photo: &RgbImage,
        config: &FclmConfig,
    ) -> Option<()> {
        match part {
            Part::Region { place, mask, mark } => {
                self.marked.mark(place, mark);
                self.crops.push(crop(photo, place, mark, config)?);
                let note = match mark == mask {
                    true => "marked exactly".to_owned(),
                    false => {
                        let common = 100.0 * mark.iou(mask);
                        format!("marked carelessly: IoU with its mask {common:.0} %")
                    }
                };
                self.marks
                    .push(&item(number(place), Html::default(), &note));
            }
            Part::Ground { targets, mask } => {
                let conversation = conversations.next()?;
                if self.grounds.len() <= conversation {
                    self.grounds.resize_with(conversation + 1, || None);
                }
                let size = self.size;
                let figure =
                    self.grounds[conversation].get_or_insert_with(|| Figure::new(size, SMALL));
                figure.mark(targets.first().copied().unwrap_or_default(), mask);
            }
            Part::Extra { place, .. } => self.extra.push(place),
            Part::Prompt {
                place,
                prompt,
                clicks,
                ..
            } => {
                let note = clicks.map_or_else(String::new, |clicks| told(&clicks));
                let prompt = match prompt {
                    Prompt::Box([x0, y0, x1, y1]) => {
                        format!("box from {x0:.0}, {y0:.0} to {x1:.0}, {y1:.0}")
                    }
                    Prompt::Point([x, y]) => format!("point {x:.0}, {y:.0}"),
                };
                self.prompts
                    .push(&item(number(place), Html::text(prompt), &note));
            }
        }
        Some(())
    }

    /// The picture with its marks, and below it the crops and the masks of each conversation.
    pub(super) fn html(self, photo: &RgbImage, record: &PictureRecord) -> Html {
        let picture = format!("Picture {}", record.id);
        let mut html = self.marked.html(Some(photo), &picture);
        let mut small: Html = self.crops.into_iter().collect();
        for (place, figure) in self.grounds.into_iter().enumerate() {
            if let Some(figure) = figure {
                let name = format!("Masks of conversation {}", place + 1);
                small.push(&named(figure.html(Some(photo), &picture), &name));
            }
        }
        if !small.is_empty() {
            html.push(&Html::piece("figures", &[("figures", small)]));
        }
        html
    }

    /// How regions are marked.
    pub(super) fn marks(&self) -> Html {
        self.marks.clone()
    }

    /// Further regions whose `<pos>` must draw their masks.
    pub(super) fn extra(&self) -> Html {
        match self.extra.is_empty() {
            true => Html::default(),
            false => item(numbers(&self.extra), Html::default(), ""),
        }
    }

    /// Prompts of SAM's own task, in pixels of the picture.
    pub(super) fn prompts(&self) -> Html {
        self.prompts.clone()
    }
}

/// What the extractor sees of a region from near, with its mark.
fn crop(photo: &RgbImage, place: usize, mark: &Mask, config: &FclmConfig) -> Option<Html> {
    let prepared = prepare_region(photo, mark, &config.sam, &config.region)?;
    let size = (photo.width(), photo.height());
    let [x0, y0, x1, y1] = region_crop(mark.bounds()?, size.0, size.1, config.region.crop);
    let (width, height) = (x1 - x0, y1 - y0);
    let side = config.sam.image_size;
    let [rows, columns] = sam::input_size(height as usize, width as usize, side);
    let view = sam::denormalize(&prepared.crop_pixels, side, [rows, columns]);
    let (rows, columns) = (rows as u32, columns as u32);
    let at = |place: u32, from: u32, to: u32| {
        (u64::from(place) * u64::from(to) / u64::from(from.max(1))) as u32
    };
    let seen = Mask::from_fn(columns, rows, |x, y| {
        mark.get(x0 + at(x, columns, width), y0 + at(y, rows, height))
    });
    let mut figure = Figure::new((columns, rows), SMALL);
    figure.mark(place, &seen);
    let name = format!("Crop of region {place}: {width} x {height} pixels as {columns} x {rows}");
    Some(named(figure.html(Some(&view), &name), &name))
}

fn named(figure: Html, name: &str) -> Html {
    Html::piece(
        "named figure",
        &[("figure", figure), ("name", Html::text(name))],
    )
}

/// Clicks in words.
fn told(clicks: &Clicks) -> String {
    let places: Vec<String> = clicks
        .places
        .iter()
        .filter_map(|([x, y], label)| match label {
            1 => Some(format!("+ {x:.0}, {y:.0}")),
            0 => Some(format!("- {x:.0}, {y:.0}")),
            _ => None,
        })
        .collect();
    let places = places.join("; ");
    match clicks.is_from_mask {
        true => format!("then, with the mask that it gives, clicks {places}"),
        false => format!("then clicks {places}"),
    }
}
