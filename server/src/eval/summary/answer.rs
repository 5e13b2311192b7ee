//! An answer on the page: pictures with its masks, and what was asked and said.

use std::path::Path;

use image::RgbImage;

use super::{
    cases::Case,
    page::{HUNDRED, piece},
};
use crate::{
    data::look::{
        figure::{Figure, number},
        template::Html,
    },
    eval::samples::{Exchange, MarkedMask, StoredMask},
    predict::read_picture,
};

/// Longest side of a picture in the page, in pixels.
const LONGEST: u32 = 384;

/// An answer: what is true and what was drawn beside each other, and what was said.
pub(super) fn answer(case: &Case) -> Html {
    let exchange = &case.exchange;
    let photo = read_picture(Path::new(&case.image));
    let mut facts = Html::default();
    let mut fact = |name: &str, text: Html| {
        facts.push(&piece(
            "fact",
            &[("name", Html::text(name)), ("text", text)],
        ));
    };
    fact("Asked", Html::text(&exchange.asked));
    fact("Answered", Html::text(&exchange.answer));
    if let Some(refusal) = &exchange.refusal {
        fact("Refused", Html::text(refusal));
    }
    for expected in &exchange.expected {
        fact("True", Html::text(expected));
    }
    for (name, masks) in [("True masks", &exchange.truths), ("Drawn", &exchange.drawn)] {
        let phrases = phrases(masks);
        if !phrases.is_empty() {
            fact(name, phrases);
        }
    }
    fact(
        "Quality",
        Html::text(format_args!("{:.1}", HUNDRED * case.quality)),
    );
    fact("Picture", Html::text(&case.id));
    let photo = match photo {
        Ok(photo) => Some(photo),
        Err(error) => {
            fact("Not shown", Html::text(error));
            None
        }
    };
    piece(
        "case",
        &[
            ("figures", figures(exchange, photo.as_ref(), &case.id)),
            ("facts", facts),
        ],
    )
}

/// The phrases of masks, each behind the number of its mask; nothing where no mask has one.
fn phrases(masks: &[MarkedMask]) -> Html {
    let named: Vec<(usize, &str)> = masks
        .iter()
        .enumerate()
        .filter_map(|(place, marked)| Some((place, marked.phrase.as_deref()?)))
        .filter(|(_, phrase)| !phrase.is_empty())
        .collect();
    let last = named.len().saturating_sub(1);
    named
        .into_iter()
        .enumerate()
        .map(|(index, (place, phrase))| {
            piece(
                "phrase",
                &[
                    ("number", number(place)),
                    ("text", Html::text(phrase)),
                    ("end", Html::text(if index == last { "" } else { "; " })),
                ],
            )
        })
        .collect()
}

fn figures(exchange: &Exchange, photo: Option<&RgbImage>, id: &str) -> Html {
    let masks = exchange.truths.iter().chain(&exchange.drawn);
    let size = masks
        .map(|marked| &marked.mask)
        .chain(&exchange.region)
        .map(StoredMask::size)
        .next()
        .or_else(|| photo.map(RgbImage::dimensions));
    let Some(size) = size else {
        return Html::default();
    };
    let over = |masks: &[&StoredMask], caption: &str| {
        let mut figure = Figure::new(size, LONGEST);
        if let Some(ignored) = &exchange.ignored {
            figure.ignore(&ignored.mask());
        }
        for (place, mask) in masks.iter().enumerate() {
            figure.mark(place, &mask.mask());
        }
        let alt = format!("Picture {id}: {caption}");
        piece(
            "figure",
            &[
                ("figure", figure.html(photo, alt)),
                ("caption", Html::text(caption)),
            ],
        )
    };
    let has_masks = !exchange.truths.is_empty() || !exchange.drawn.is_empty();
    match &exchange.region {
        // Nothing was to be drawn: the region that was asked about is all there is to see.
        Some(region) if !has_masks => over(&[region], "the region"),
        _ => {
            let mut both = over(&masks_of(&exchange.truths), "what is true");
            both.push(&over(&masks_of(&exchange.drawn), "what was drawn"));
            both
        }
    }
}

fn masks_of(marked: &[MarkedMask]) -> Vec<&StoredMask> {
    marked.iter().map(|marked| &marked.mask).collect()
}

#[cfg(test)]
mod tests {
    use fclm_core::mask::Mask;

    use super::*;

    #[test]
    fn a_region_without_masks_is_shown_once() {
        let exchange = Exchange {
            region: Some(StoredMask::of(&Mask::rect(8, 8, [0.0, 0.0, 4.0, 4.0]))),
            ..Exchange::default()
        };
        let html = figures(&exchange, None, "7").into_string();
        assert_eq!(html.matches("<figure>").count(), 1);
        assert!(html.contains("the region"));
        assert!(figures(&Exchange::default(), None, "7").is_empty());
    }
}
