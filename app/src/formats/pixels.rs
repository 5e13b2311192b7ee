use std::collections::BTreeMap;

use fclm_core::mask::Mask;

use super::{Imported, hex};

/// More colours than this are shades of one mask, not labels of several.
const MAX_LABELS: usize = 32;
const OPAQUE: u8 = 128;
const BRIGHT: u32 = 128;

/// The masks of a decoded PNG, red, green, blue and alpha of each pixel: of a cut-out what is
/// opaque; of a picture of few colours each colour but black; of any other what is bright.
///
/// # Panics
/// If there are not four bytes a pixel.
pub fn masks_of_pixels(width: u32, height: u32, rgba: &[u8]) -> Vec<Imported> {
    let pixels = || rgba.chunks_exact(4);
    let of = |inside: &dyn Fn(&[u8]) -> bool| {
        let data = pixels().map(|pixel| u8::from(inside(pixel))).collect();
        Mask::from_data(width, height, data)
    };
    let single = |mask: Mask| Imported {
        name: None,
        color: None,
        mask,
    };
    if pixels().any(|pixel| pixel[3] < OPAQUE) {
        return some(vec![single(of(&|pixel| pixel[3] >= OPAQUE))]);
    }
    let mut labels: BTreeMap<[u8; 3], usize> = BTreeMap::new();
    for (index, pixel) in pixels().enumerate() {
        let color = [pixel[0], pixel[1], pixel[2]];
        if color != [0; 3] {
            labels.entry(color).or_insert(index);
        }
        if labels.len() > MAX_LABELS {
            let bright = |pixel: &[u8]| {
                let [red, green, blue] = [pixel[0], pixel[1], pixel[2]].map(u32::from);
                (red * 299 + green * 587 + blue * 114) / 1000 >= BRIGHT
            };
            return some(vec![single(of(&bright))]);
        }
    }
    let several = labels.len() > 1;
    let masks = labels.keys().map(|&label| {
        let mask = of(&|pixel| pixel[..3] == label);
        let is_grey = label[0] == label[1] && label[1] == label[2];
        Imported {
            color: (several && !is_grey).then(|| hex(label)),
            ..single(mask)
        }
    });
    some(masks.collect())
}

fn some(mut masks: Vec<Imported>) -> Vec<Imported> {
    masks.retain(|one| !one.mask.is_empty());
    masks
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
        assert_eq!(masks[0].mask.data(), [0, 1, 1, 0]);
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
            .map(|one| (one.color.as_deref(), one.mask.data().to_vec()))
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
    fn a_cut_out_is_what_is_opaque() {
        let pixels = rgba(&[[9, 9, 9, 0], [0, 0, 0, 255], [5, 5, 5, 127]]);
        let masks = masks_of_pixels(3, 1, &pixels);
        assert_eq!(masks[0].mask.data(), [0, 1, 0]);
    }

    #[test]
    fn many_shades_are_one_mask() {
        let shades: Vec<[u8; 4]> = (0..=255).map(|v| [v, v, v, 255]).collect();
        let masks = masks_of_pixels(16, 16, &rgba(&shades));
        assert_eq!((masks.len(), masks[0].mask.area()), (1, 128));
        assert!(masks_of_pixels(1, 1, &[0, 0, 0, 255]).is_empty());
    }
}
