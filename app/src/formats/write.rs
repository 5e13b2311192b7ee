use std::collections::BTreeSet;

use fclm_core::mask::contour::{Ring, flat, simplified};
use fclm_core::mask::{Rle, png, svg as path};
use serde_json::{Value, json};

use super::rgb;

/// A region that is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Named {
    /// What it is called.
    pub name: String,
    /// `#rrggbb`.
    pub color: String,
    /// Its pixels, at the picture's size.
    pub mask: Rle,
}

/// Regions as a COCO data set of one picture, with a category for each name and masks as
/// compressed RLE.
pub fn coco_json(title: &str, size: (u32, u32), regions: &[Named]) -> String {
    let mut names: Vec<&str> = regions.iter().map(|region| region.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let categories: Vec<Value> = (1..)
        .zip(&names)
        .map(|(id, name): (usize, _)| json!({ "id": id, "name": name }))
        .collect();
    let annotations: Vec<Value> = (1..)
        .zip(regions)
        .map(|(id, region): (usize, _)| {
            let rle = &region.mask;
            let category = names.iter().position(|name| *name == region.name);
            json!({
                "id": id,
                "image_id": 1,
                "category_id": category.unwrap_or(0) + 1,
                "segmentation": rle.to_wire(),
                "area": rle.area(),
                "bbox": rle.bbox(),
                "iscrowd": 0,
            })
        })
        .collect();
    let (width, height) = size;
    pretty(&json!({
        "images": [{ "id": 1, "file_name": title, "width": width, "height": height }],
        "categories": categories,
        "annotations": annotations,
    }))
}

/// Regions as closed lines that keep every edge within `tolerance` pixels; a line within another
/// one is a hole.
pub fn polygon_json(size: (u32, u32), regions: &[Named], tolerance: f32) -> String {
    let regions: Vec<Value> = regions
        .iter()
        .map(|region| {
            let rings: Vec<Vec<f64>> = lines(&region.mask, tolerance)
                .iter()
                .map(|ring| flat(ring))
                .collect();
            json!({ "name": region.name, "color": region.color, "rings": rings })
        })
        .collect();
    let (width, height) = size;
    pretty(&json!({
        "width": width,
        "height": height,
        "tolerance": tolerance,
        "regions": regions,
    }))
}

/// Regions as an SVG drawing in pixels of the picture, with edges as [`polygon_json`] has them.
pub fn svg((width, height): (u32, u32), regions: &[Named], tolerance: f32) -> String {
    let paths: String = regions
        .iter()
        .map(|region| {
            format!(
                "  <path fill=\"{}\" fill-rule=\"evenodd\" d=\"{}\"><title>{}</title></path>\n",
                escaped(&region.color),
                path::write_path(&lines(&region.mask, tolerance)),
                escaped(&region.name),
            )
        })
        .collect();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\">\n{paths}</svg>\n"
    )
}

/// Regions as one PNG with a palette; where they overlap, the later one is seen. No two have the
/// same colour in it, nor the background's, so that a reader who sees colours alone can tell them
/// apart.
pub fn indexed_png((width, height): (u32, u32), regions: &[Named]) -> Vec<u8> {
    let mut taken = BTreeSet::from([[0; 3]]);
    let masks = regions.iter().map(|region| {
        let mut color = rgb(&region.color);
        while !taken.insert(color) {
            color = next_color(color);
        }
        (region.mask.to_mask(), color)
    });
    png::indexed(width, height, masks)
}

/// Whether a pixel is in more than one of the regions, of which [`indexed_png`] keeps the last.
pub fn overlap(regions: &[Named]) -> bool {
    let masks: Vec<Rle> = regions.iter().map(|region| region.mask.clone()).collect();
    let areas: u64 = masks.iter().map(Rle::area).sum();
    // Without masks nothing overlaps, and those of one picture are of one size.
    Rle::union(&masks).is_ok_and(|union| union.area() < areas)
}

/// The colour whose 24 bits are one more.
fn next_color([red, green, blue]: [u8; 3]) -> [u8; 3] {
    let [_, red, green, blue] = (u32::from_be_bytes([0, red, green, blue]) + 1).to_be_bytes();
    [red, green, blue]
}

fn lines(mask: &Rle, tolerance: f32) -> Vec<Ring> {
    let contours = mask.to_mask().contours();
    contours
        .iter()
        .map(|ring| simplified(ring, tolerance))
        .collect()
}

fn pretty(value: &Value) -> String {
    // The alternate form is indented; a value of maps with string keys is always written.
    format!("{value:#}\n")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use fclm_core::mask::Mask;

    use super::super::read_regions;
    use super::*;

    const SIZE: (u32, u32) = (9, 10);

    fn regions() -> Vec<Named> {
        let named = |name: &str, color: &str, mask| Named {
            name: name.to_owned(),
            color: color.to_owned(),
            mask: Rle::from_mask(&mask),
        };
        let ring = Mask::from_fn(9, 10, |x, y| x < 5 && y < 5 && (x, y) != (2, 2));
        let dots = Mask::from_fn(9, 10, |x, y| y > 6 && (x + y) % 2 == 0);
        vec![
            named("a <ring> & \"hole\"", "#ff8001", ring),
            named("dots", "#0000ff", dots),
        ]
    }

    #[test]
    fn regions_come_back_pixel_by_pixel() {
        let regions = regions();
        for text in [
            coco_json("a.png", SIZE, &regions),
            polygon_json(SIZE, &regions, 0.0),
            svg(SIZE, &regions, 0.0),
        ] {
            let again = read_regions(&text, SIZE).expect("it is read");
            assert_eq!(again.len(), 2, "{text}");
            for (region, again) in regions.iter().zip(&again) {
                assert_eq!(again.mask, region.mask, "{text}");
                assert_eq!(again.name.as_ref(), Some(&region.name), "{text}");
            }
        }
    }

    #[test]
    fn annotations_say_what_the_coco_api_needs() {
        let text = coco_json("a.png", SIZE, &regions());
        let value: Value = serde_json::from_str(&text).expect("it is JSON");
        let first = &value["annotations"][0];
        assert_eq!(first["bbox"], json!([0, 0, 5, 5]));
        assert_eq!(first["area"], json!(24));
        assert_eq!(first["segmentation"]["size"], json!([10, 9]));
        assert_eq!(value["images"][0]["file_name"], json!("a.png"));
        assert_eq!(value["categories"][1], json!({ "id": 2, "name": "dots" }));
    }

    #[test]
    fn no_two_regions_have_the_same_colour_in_a_png() {
        assert_eq!(next_color([1, 255, 255]), [2, 0, 0]);
        assert_eq!(next_color([255; 3]), [0; 3]);
        let one = |x: u32, color: &str| Named {
            name: String::new(),
            color: color.to_owned(),
            mask: Rle::from_mask(&Mask::from_fn(4, 1, |at, _| at == x)),
        };
        let regions = [one(0, "#ff5d5d"), one(1, "#ff5d5d"), one(2, "#000000")];
        let png = indexed_png((4, 1), &regions);
        let at = png
            .windows(4)
            .position(|name| name == b"PLTE")
            .expect("a palette");
        let palette = &png[at + 4..at + 16];
        let expected = [[0, 0, 0], [255, 93, 93], [255, 93, 94], [0, 0, 1]];
        assert_eq!(palette, expected.concat());
    }

    #[test]
    fn regions_overlap_where_they_share_a_pixel() {
        let columns = |from: u32, to: u32| Named {
            name: String::new(),
            color: "#ff5d5d".to_owned(),
            mask: Rle::from_mask(&Mask::from_fn(6, 2, |x, _| (from..to).contains(&x))),
        };
        assert!(!overlap(&[]));
        assert!(!overlap(&[columns(1, 4)]));
        assert!(!overlap(&[columns(0, 3), columns(3, 3), columns(3, 6)]));
        assert!(overlap(&[columns(0, 3), columns(5, 6), columns(2, 4)]));
    }

    #[test]
    fn the_tolerance_is_said_and_used() {
        let text = polygon_json(SIZE, &regions(), 2.0);
        let value: Value = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!(value["tolerance"], json!(2.0));
        let square = Mask::rect(9, 10, [0.0, 0.0, 5.0, 5.0]);
        let bump = Mask::from_fn(9, 10, |x, y| square.get(x, y) || (x, y) == (2, 5));
        let bump = Rle::from_mask(&bump);
        assert_eq!(lines(&bump, 0.0)[0].len(), 8);
        assert_eq!(lines(&bump, 1.5)[0].len(), 4);
    }
}
