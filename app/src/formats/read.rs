use fclm_core::mask::{MaskError, Rle, svg};
use fclm_core::wire::MaskRle;
use serde_json::Value;
use thiserror::Error;

use super::Imported;
use crate::editor::MAX_PIXELS;

/// Why nothing was read from a text.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ReadError {
    /// It is of no kind that is known.
    #[error(
        "Only COCO RLE, COCO or polygon JSON, and SVG paths are read; this text is none of them."
    )]
    Unknown,
    /// A mask is for another picture.
    #[error("The mask is for a picture of {0} x {1} pixels, and this one has {2} x {3}.")]
    OtherSize(u32, u32, u32, u32),
    /// A mask is broken.
    #[error("A mask could not be read: {0}.")]
    Mask(#[from] MaskError),
    /// There is no region in it.
    #[error("There is no region with a pixel on this picture in it.")]
    Empty,
}

/// Reads regions of a picture of that size from a text: COCO RLE, COCO annotations, LabelMe's
/// shapes, lists of polygons, what this page writes, an SVG drawing or the data of a path.
///
/// # Errors
/// If the text is none of these, or a mask in it is broken or for another picture.
pub fn read_regions(text: &str, size: (u32, u32)) -> Result<Vec<Imported>, ReadError> {
    let text = text.trim();
    let mut found = match serde_json::from_str::<Value>(text) {
        Ok(value) => {
            let mut reader = Reader {
                size,
                names: category_names(&value),
                found: Vec::new(),
            };
            reader.value(&value, &Label::default())?;
            reader.found
        }
        Err(_) if text.starts_with(['M', 'm']) || text.contains("<path") => drawing(text, size)?,
        Err(_) => return Err(ReadError::Unknown),
    };
    if found.is_empty() {
        return Err(ReadError::Unknown);
    }
    found.retain(|one| one.mask.area() > 0);
    if found.is_empty() {
        return Err(ReadError::Empty);
    }
    Ok(found)
}

/// What is known of a region before its pixels are.
#[derive(Debug, Clone, Default)]
struct Label {
    name: Option<String>,
    color: Option<String>,
}

struct Reader {
    size: (u32, u32),
    names: Vec<(u64, String)>,
    found: Vec<Imported>,
}

impl Reader {
    fn value(&mut self, value: &Value, label: &Label) -> Result<(), ReadError> {
        if let Some(polygons) = polygons(value) {
            let mask = Rle::from_polygons(self.size.0, self.size.1, &polygons)?;
            self.push(mask, label);
            return Ok(());
        }
        match value {
            Value::Array(values) => values.iter().try_for_each(|value| self.value(value, label)),
            Value::Object(fields) if fields.contains_key("counts") => {
                let rle = serde_json::from_value::<MaskRle>(value.clone())
                    .map_err(|_| ReadError::Unknown)?;
                let ([height, width], (own_width, own_height)) = (rle.size, self.size);
                if (width, height) != self.size {
                    return Err(ReadError::OtherSize(width, height, own_width, own_height));
                }
                let mask = Rle::from_wire(&rle, MAX_PIXELS)?;
                self.push(mask, label);
                Ok(())
            }
            Value::Object(fields) => {
                let text = |key: &str| fields.get(key)?.as_str().map(str::to_owned);
                let category = fields.get("category_id").and_then(Value::as_u64);
                let name = text("name").or_else(|| text("label")).or_else(|| {
                    let (_, name) = self.names.iter().find(|(id, _)| Some(*id) == category)?;
                    Some(name.clone())
                });
                let is_color = |color: &String| {
                    color.len() == 7
                        && color.starts_with('#')
                        && color[1..].bytes().all(|byte| byte.is_ascii_hexdigit())
                };
                let label = Label {
                    name: name.or_else(|| label.name.clone()),
                    color: text("color")
                        .filter(is_color)
                        .or_else(|| label.color.clone()),
                };
                if let Some(rings) = fields.get("rings").and_then(polygons) {
                    let mask = Rle::from_rings(self.size.0, self.size.1, &rings)?;
                    self.push(mask, &label);
                    return Ok(());
                }
                for key in [
                    "annotations",
                    "regions",
                    "shapes",
                    "segmentation",
                    "polygons",
                    "points",
                    "mask",
                ] {
                    if let Some(inner) = fields.get(key) {
                        return self.value(inner, &label);
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn push(&mut self, mask: Rle, label: &Label) {
        self.found.push(Imported {
            name: label.name.clone(),
            color: label.color.clone(),
            mask,
        });
    }
}

fn category_names(value: &Value) -> Vec<(u64, String)> {
    let categories = value.get("categories").and_then(Value::as_array);
    categories
        .into_iter()
        .flatten()
        .filter_map(|category| {
            Some((
                category.get("id")?.as_u64()?,
                category.get("name")?.as_str()?.to_owned(),
            ))
        })
        .collect()
}

/// The polygons of one region: `[x0, y0, x1, y1, ..]`, `[[x, y], ..]`, or a list of either. None
/// where the value is something else.
fn polygons(value: &Value) -> Option<Vec<Vec<f64>>> {
    let list = value.as_array().filter(|list| !list.is_empty())?;
    if let Some(polygon) = polygon(list) {
        return Some(vec![polygon]);
    }
    list.iter()
        .map(|inner| polygon(inner.as_array()?))
        .collect()
}

fn polygon(list: &[Value]) -> Option<Vec<f64>> {
    let numbers = |list: &[Value]| list.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>();
    if list.len() >= 6
        && list.len().is_multiple_of(2)
        && let Some(flat) = numbers(list)
    {
        return Some(flat);
    }
    if list.len() < 3 {
        return None;
    }
    let pairs = list
        .iter()
        .map(|pair| numbers(pair.as_array().filter(|pair| pair.len() == 2)?))
        .collect::<Option<Vec<_>>>()?;
    Some(pairs.concat())
}

/// The paths of a drawing, each a region, stretched from its view box to the picture.
fn drawing(text: &str, size: (u32, u32)) -> Result<Vec<Imported>, ReadError> {
    let mut found = Vec::new();
    if !text.contains("<path") {
        found.push(shape(text, (1.0, 1.0), (0.0, 0.0), size, Label::default())?);
        return Ok(found);
    }
    let view: Vec<f64> = attribute(text, "viewBox")
        .unwrap_or_default()
        .split([' ', ','])
        .filter_map(|number| number.parse().ok())
        .collect();
    let (scale, origin) = match view[..] {
        [x, y, width, height] if width > 0.0 && height > 0.0 => (
            (f64::from(size.0) / width, f64::from(size.1) / height),
            (x, y),
        ),
        _ => ((1.0, 1.0), (0.0, 0.0)),
    };
    for part in text.split("<path").skip(1) {
        let end = part.find('>').unwrap_or(part.len());
        let (tag, rest) = part.split_at(end);
        let Some(data) = attribute(tag, "d") else {
            continue;
        };
        let title = rest
            .split_once("<title>")
            .filter(|_| !tag.ends_with('/'))
            .and_then(|(_, rest)| rest.split_once("</title>"))
            .map(|(title, _)| unescaped(title));
        let color = attribute(tag, "fill").filter(|fill| fill.len() == 7 && fill.starts_with('#'));
        let label = Label {
            name: title,
            color: color.map(str::to_owned),
        };
        found.push(shape(data, scale, origin, size, label)?);
    }
    Ok(found)
}

fn shape(
    path: &str,
    scale: (f64, f64),
    origin: (f64, f64),
    size: (u32, u32),
    label: Label,
) -> Result<Imported, ReadError> {
    let mut rings = svg::read_path(path)?;
    for pair in rings.iter_mut().flat_map(|ring| ring.chunks_exact_mut(2)) {
        pair[0] = (pair[0] - origin.0) * scale.0;
        pair[1] = (pair[1] - origin.1) * scale.1;
    }
    if rings.is_empty() {
        return Err(ReadError::Empty);
    }
    Ok(Imported {
        name: label.name,
        color: label.color,
        mask: Rle::from_rings(size.0, size.1, &rings)?,
    })
}

/// The value of an attribute of the first element that has it.
fn attribute<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    ['"', '\''].into_iter().find_map(|quote| {
        let start = format!("{name}={quote}");
        let at = text
            .match_indices(&start)
            .find(|(at, _)| text[..*at].ends_with(|before: char| before.is_ascii_whitespace()))?;
        let value = &text[at.0 + start.len()..];
        Some(&value[..value.find(quote)?])
    })
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use fclm_core::mask::Mask;

    use super::*;

    const SIZE: (u32, u32) = (9, 10);

    fn read(text: &str) -> Vec<Imported> {
        read_regions(text, SIZE).expect("it is read")
    }

    fn rect(x0: f32, y0: f32, x1: f32, y1: f32) -> Mask {
        Mask::rect(SIZE.0, SIZE.1, [x0, y0, x1, y1])
    }

    #[test]
    fn run_lengths_are_read_in_both_forms() {
        // The string and the runs are the same mask for the COCO mask API.
        let texts = [
            r#"{"size": [10, 9], "counts": "61X13mN000`0"}"#,
            r#"[{"size": [10, 9], "counts": [6, 1, 40, 4, 5, 4, 5, 4, 21]}]"#,
        ];
        let [first, second] = texts.map(|text| read(text).remove(0).mask.to_mask());
        assert_eq!(first, second);
        assert_eq!(first.area(), 13);
        assert!(first.get(0, 6));
    }

    #[test]
    fn annotations_have_the_names_of_their_categories() {
        let text = r#"{"categories": [{"id": 3, "name": "mug"}], "annotations": [
            {"category_id": 3, "segmentation": [[1, 1, 4, 1, 4, 3, 1, 3]]},
            {"category_id": 4, "segmentation": {"size": [10, 9], "counts": [0, 10, 80]}}]}"#;
        let found = read(text);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].name.as_deref(), Some("mug"));
        assert_eq!(found[0].mask.to_mask(), rect(1.0, 1.0, 4.0, 3.0));
        assert_eq!((found[1].name.as_ref(), found[1].mask.area()), (None, 10));
    }

    #[test]
    fn polygons_of_all_layouts_are_read() {
        let expected = rect(1.0, 1.0, 4.0, 3.0);
        for text in [
            "[1, 1, 4, 1, 4, 3, 1, 3]",
            "[[1, 1], [4, 1], [4, 3], [1, 3]]",
            "[[1, 1, 4, 1, 4, 3, 1, 3]]",
            r#"{"shapes": [{"label": "a", "points": [[1, 1], [4, 1], [4, 3], [1, 3]]}]}"#,
            r#"{"regions": [{"rings": [[1, 1, 4, 1, 4, 3, 1, 3]]}]}"#,
            "M1 1h3v2h-3z",
            r#"<svg viewBox="0 0 18 20"><path fill="none" d="M2 2h6v4h-6z"/></svg>"#,
        ] {
            let found = read(text);
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!(found[0].mask.to_mask(), expected, "{text}");
        }
    }

    #[test]
    fn a_ring_within_a_ring_is_a_hole() {
        let text = r#"{"rings": [[1,1,6,1,6,6,1,6], [2,2,4,2,4,4,2,4]]}"#;
        assert_eq!(read(text)[0].mask.area(), 21);
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        for text in ["hello", "{}", "[]", "12", r#"{"counts": 3}"#] {
            assert_eq!(read_regions(text, SIZE), Err(ReadError::Unknown), "{text}");
        }
        let other = r#"{"size": [3, 4], "counts": [12]}"#;
        assert_eq!(
            read_regions(other, SIZE),
            Err(ReadError::OtherSize(4, 3, 9, 10))
        );
        let empty = r#"{"size": [10, 9], "counts": [90]}"#;
        assert_eq!(read_regions(empty, SIZE), Err(ReadError::Empty));
        let broken = r#"{"size": [10, 9], "counts": [91]}"#;
        assert!(matches!(
            read_regions(broken, SIZE),
            Err(ReadError::Mask(_))
        ));
    }
}
