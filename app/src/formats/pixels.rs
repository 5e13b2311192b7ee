use std::collections::{BTreeMap, BTreeSet};

use fclm_core::mask::Rle;
use fclm_core::wire::MAX_REGIONS;

use super::{Imported, hex};

/// More greys than this are shades of one mask, not labels of several.
const MAX_GREYS: usize = 32;
const OPAQUE: u8 = 128;
const BRIGHT: u32 = 128;
const BLACK: [u8; 3] = [0; 3];

/// The masks of a decoded PNG, red, green, blue and alpha of each pixel: of a cut-out what is
/// opaque; of a picture of few colours each colour but black; of any other what is bright.
///
/// # Panics
/// If there are not four bytes a pixel.
pub fn masks_of_pixels(width: u32, height: u32, rgba: &[u8]) -> Vec<Imported> {
    let (pixels, _) = rgba.as_chunks::<4>();
    let single = |inside: &dyn Fn([u8; 4]) -> bool| {
        let labels: Vec<u8> = pixels
            .iter()
            .map(|&pixel| u8::from(inside(pixel)))
            .collect();
        let masks = masks_of_labels(width, height, &labels, 1);
        masks.into_iter().map(|mask| Imported {
            name: None,
            color: None,
            mask,
        })
    };
    if pixels.iter().any(|pixel| pixel[3] < OPAQUE) {
        return some(single(&|pixel| pixel[3] >= OPAQUE));
    }
    let Some(colors) = colors(pixels) else {
        return some(single(&|pixel| {
            let [red, green, blue, _] = pixel.map(u32::from);
            (red * 299 + green * 587 + blue * 114) / 1000 >= BRIGHT
        }));
    };
    let numbers: BTreeMap<[u8; 3], u8> = colors.iter().copied().zip(1..).collect();
    let (mut last, mut number) = (BLACK, 0);
    let labels: Vec<u8> = pixels
        .iter()
        .map(|&[red, green, blue, _]| {
            let color = [red, green, blue];
            if color != last {
                last = color;
                number = numbers.get(&color).copied().unwrap_or(0);
            }
            number
        })
        .collect();
    let several = colors.len() > 1;
    let masks = masks_of_labels(width, height, &labels, colors.len());
    some(masks.into_iter().zip(colors).map(|(mask, color)| Imported {
        name: None,
        color: (several && !is_grey(color)).then(|| hex(color)),
        mask,
    }))
}

/// Whether pixels are those of masks and of no photograph: transparent in parts, or of few colours.
pub fn are_masks(rgba: &[u8]) -> bool {
    let (pixels, _) = rgba.as_chunks::<4>();
    pixels.iter().any(|pixel| pixel[3] < OPAQUE)
        || colors(pixels).is_some_and(|colors| !colors.is_empty())
}

/// The colours but black, where they are labels of masks.
fn colors(pixels: &[[u8; 4]]) -> Option<BTreeSet<[u8; 3]>> {
    let mut colors = BTreeSet::new();
    let mut last = BLACK;
    for &[red, green, blue, _] in pixels {
        let color = [red, green, blue];
        if color != last && color != BLACK {
            colors.insert(color);
            if colors.len() > MAX_REGIONS {
                return None;
            }
        }
        last = color;
    }
    let are_shades = colors.len() > MAX_GREYS && colors.iter().all(|color| is_grey(*color));
    (!are_shades).then_some(colors)
}

fn is_grey([red, green, blue]: [u8; 3]) -> bool {
    red == green && green == blue
}

/// The masks of the labels 1 to `count` of a picture; 0 is none.
fn masks_of_labels(width: u32, height: u32, labels: &[u8], count: usize) -> Vec<Rle> {
    let (columns, rows) = (width as usize, height as usize);
    assert_eq!(labels.len(), columns * rows, "a label a pixel");
    let mut runs = vec![Vec::new(); count];
    let mut ends = vec![0; count];
    let mut stretch = |label: u8, start: u32, end: u32| {
        let Some(index) = usize::from(label).checked_sub(1) else {
            return;
        };
        runs[index].extend([start - ends[index], end - start]);
        ends[index] = end;
    };
    let (mut label, mut start, mut position) = (0, 0, 0);
    for x in 0..columns {
        for y in 0..rows {
            let next = labels[y * columns + x];
            if next != label {
                stretch(label, start, position);
                (label, start) = (next, position);
            }
            position += 1;
        }
    }
    stretch(label, start, position);
    let whole = runs.into_iter().zip(ends).map(|(mut runs, end)| {
        if end < position {
            runs.push(position - end);
        }
        Rle::new(width, height, runs)
    });
    // The runs of each label cover the picture, so this fails only for one without pixels.
    whole.filter_map(Result::ok).collect()
}

fn some(masks: impl Iterator<Item = Imported>) -> Vec<Imported> {
    masks.filter(|one| one.mask.area() > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rgba(colors: &[[u8; 4]]) -> Vec<u8> {
        colors.concat()
    }

    #[test]
    fn black_and_white_is_one_mask() {
        let pixels = rgba(&[[0, 0, 0, 255], [255; 4], [255; 4], [0, 0, 0, 255]]);
        let masks = masks_of_pixels(2, 2, &pixels);
        assert_eq!(masks.len(), 1);
        assert_eq!(masks[0].mask.to_mask().data(), [0, 1, 1, 0]);
        assert_eq!(masks[0].color, None);
    }

    #[test]
    fn each_colour_is_a_mask() {
        let pixels = rgba(&[
            [9, 0, 0, 255],
            [0, 0, 0, 255],
            [0, 7, 0, 255],
            [9, 0, 0, 255],
        ]);
        let masks = masks_of_pixels(4, 1, &pixels);
        let found: Vec<_> = masks
            .iter()
            .map(|one| (one.color.as_deref(), one.mask.to_mask().data().to_vec()))
            .collect();
        assert_eq!(
            found,
            [
                (Some("#000700"), vec![0, 0, 1, 0]),
                (Some("#090000"), vec![1, 0, 0, 1])
            ]
        );
    }

    #[test]
    fn as_many_colours_as_a_chat_holds_regions_are_labels() {
        let colors: Vec<[u8; 4]> = (0..=MAX_REGIONS as u8)
            .map(|v| [v, 7 * (v % 2), 0, 255])
            .collect();
        let width = colors.len() as u32;
        let masks = masks_of_pixels(width, 1, &rgba(&colors));
        assert_eq!(masks.len(), MAX_REGIONS);
        for (index, one) in masks.iter().enumerate() {
            assert_eq!(one.mask.bbox(), [index as u32 + 1, 0, 1, 1]);
        }
        assert!(are_masks(&rgba(&colors)));
        let more: Vec<[u8; 4]> = (0..=255).map(|v| [v, 255 - v, 9, 255]).collect();
        assert!(!are_masks(&rgba(&more)));
        assert!(are_masks(&[1, 2, 3, 0]) && !are_masks(&[0, 0, 0, 255]));
    }

    #[test]
    fn labels_run_column_by_column() {
        let labels = [
            1, 0, 2, //
            1, 2, 2,
        ];
        let masks = masks_of_labels(3, 2, &labels, 2);
        assert_eq!(masks[0].runs(), [0, 2, 4]);
        assert_eq!(masks[1].runs(), [3, 3]);
    }

    #[test]
    fn a_cut_out_is_what_is_opaque() {
        let pixels = rgba(&[[9, 9, 9, 0], [0, 0, 0, 255], [5, 5, 5, 127]]);
        let masks = masks_of_pixels(3, 1, &pixels);
        assert_eq!(masks[0].mask.to_mask().data(), [0, 1, 0]);
    }

    #[test]
    fn many_shades_are_one_mask() {
        let shades: Vec<[u8; 4]> = (0..=255).map(|v| [v, v, v, 255]).collect();
        let masks = masks_of_pixels(16, 16, &rgba(&shades));
        assert_eq!((masks.len(), masks[0].mask.area()), (1, 128));
        assert!(masks_of_pixels(1, 1, &[0, 0, 0, 255]).is_empty());
    }
}
