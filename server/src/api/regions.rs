use std::collections::HashSet;

use fclm_core::{
    mask::rle::Rle,
    wire::{BoxPx, MAX_REGION_NAME, MAX_REGIONS, Region, SegmentRequest},
};

use super::AppError;

/// Most clicks of one request.
const MAX_POINTS: usize = 64;
/// Longest id of a region, in bytes.
const MAX_ID: usize = 64;

/// Checks all regions of a chat about a picture of `width` by `height` pixels.
pub(super) fn check_regions(regions: &[Region], width: u32, height: u32) -> Result<(), AppError> {
    check_count(regions.len())?;
    let mut ids = HashSet::new();
    for (index, region) in regions.iter().enumerate() {
        let number = index + 1;
        let refuse = |field: &str, why: String| AppError::BadRegion {
            message: format!("Region @{number} cannot be used: {why}."),
            param: format!("regions[{index}].{field}"),
        };
        check_names(region).map_err(|(field, why)| refuse(field, why.to_owned()))?;
        if !ids.insert(region.id.as_str()) {
            return Err(refuse("id", "another region has the same id".to_owned()));
        }
        check_mask(region, width, height).map_err(|why| refuse("mask", why))?;
        if let Some(box_px) = region.box_px {
            check_box(box_px, width, height).map_err(|why| refuse("box", why))?;
        }
    }
    Ok(())
}

/// Checks that a chat can hold so many regions.
pub(super) fn check_count(count: usize) -> Result<(), AppError> {
    match count <= MAX_REGIONS {
        true => Ok(()),
        false => Err(AppError::TooLarge {
            message: format!("A chat holds up to {MAX_REGIONS} regions; these are {count}."),
            param: Some("regions"),
        }),
    }
}

/// Checks SAM's prompts.
pub(super) fn check_prompts(
    request: &SegmentRequest,
    width: u32,
    height: u32,
) -> Result<(), AppError> {
    let refuse = |param: &str, message: String| AppError::BadRegion {
        message,
        param: param.to_owned(),
    };
    if request.box_px.is_none() && request.points.is_empty() {
        return Err(refuse(
            "box",
            "Give a box, or at least one point.".to_owned(),
        ));
    }
    if request.points.len() > MAX_POINTS {
        return Err(AppError::TooLarge {
            message: format!("Up to {MAX_POINTS} points are taken."),
            param: Some("points"),
        });
    }
    if let Some(box_px) = request.box_px {
        check_box(box_px, width, height)
            .map_err(|why| refuse("box", format!("The box cannot be used: {why}.")))?;
    }
    let inside = |value: f32, size: u32| value >= 0.0 && value <= size as f32;
    match request
        .points
        .iter()
        .all(|point| inside(point.x, width) && inside(point.y, height))
    {
        true => Ok(()),
        false => Err(refuse(
            "points",
            format!("A point lies outside the picture of {width} x {height} pixels."),
        )),
    }
}

fn check_names(region: &Region) -> Result<(), (&'static str, &'static str)> {
    let is_id = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if region.id.is_empty() || region.id.len() > MAX_ID || !region.id.bytes().all(is_id) {
        return Err(("id", "its id must be 1 to 64 letters, digits, _ or -"));
    }
    if region.name.chars().count() > MAX_REGION_NAME || region.name.chars().any(char::is_control) {
        return Err(("name", "its name must be one line of up to 64 characters"));
    }
    let is_color = region.color.strip_prefix('#').is_some_and(|digits| {
        digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    if !is_color {
        return Err(("color", "its colour must be written as #rrggbb"));
    }
    match region.score {
        Some(score) if !(0.0..=1.0).contains(&score) => {
            Err(("score", "its score must be between 0 and 1"))
        }
        _ => Ok(()),
    }
}

fn check_mask(region: &Region, width: u32, height: u32) -> Result<(), String> {
    let [mask_height, mask_width] = region.mask.size;
    // Compared before it is read, so that no foreign size decides what is allocated.
    if (mask_width, mask_height) != (width, height) {
        return Err(format!(
            "its mask has {mask_width} x {mask_height} pixels but the picture has {width} x \
             {height}"
        ));
    }
    let pixels = u64::from(width) * u64::from(height);
    let mask = Rle::from_wire(&region.mask, pixels).map_err(|error| error.to_string())?;
    match mask.area() {
        0 => Err("its mask is empty".to_owned()),
        _ => Ok(()),
    }
}

fn check_box([x0, y0, x1, y1]: BoxPx, width: u32, height: u32) -> Result<(), String> {
    // Comparisons with NaN are false, so they must be what is wanted.
    let inside = x0 >= 0.0 && y0 >= 0.0 && x1 <= width as f32 && y1 <= height as f32;
    if !inside {
        return Err(format!(
            "its box lies outside the picture of {width} x {height} pixels"
        ));
    }
    match x0 < x1 && y0 < y1 {
        true => Ok(()),
        false => Err("its box is empty".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use fclm_core::wire::{Counts, MaskRle, MaskSource};

    use super::*;

    fn region(id: &str) -> Region {
        Region {
            id: id.to_owned(),
            name: "cube".to_owned(),
            color: "#00aaFF".to_owned(),
            mask: MaskRle {
                size: [4, 6],
                counts: Counts::Runs(vec![3, 5, 16]),
            },
            box_px: Some([0.0, 0.0, 6.0, 4.0]),
            source: MaskSource::Brush,
            score: None,
        }
    }

    fn refused(change: impl FnOnce(&mut Region)) -> bool {
        let mut changed = region("a");
        change(&mut changed);
        matches!(
            check_regions(&[changed], 6, 4),
            Err(AppError::BadRegion { .. })
        )
    }

    #[test]
    fn regions_that_fit_pass() {
        check_regions(&[region("a"), region("b")], 6, 4).expect("they fit");
        assert!(check_regions(&[region("a"), region("a")], 6, 4).is_err());
    }

    #[test]
    fn regions_that_do_not_fit_are_refused() {
        assert!(refused(|region| region.id = "a b".to_owned()));
        assert!(refused(|region| region.color = "red".to_owned()));
        assert!(refused(|region| region.name = "a\nb".to_owned()));
        assert!(refused(|region| region.mask.size = [6, 4]));
        assert!(refused(
            |region| region.mask.counts = Counts::Runs(vec![3, 5])
        ));
        assert!(refused(
            |region| region.mask.counts = Counts::Runs(vec![u32::MAX; 3])
        ));
        assert!(refused(|region| region.mask.counts = Counts::Runs(vec![24])));
        assert!(refused(
            |region| region.mask.counts = Counts::Compressed("zz~".to_owned())
        ));
        assert!(refused(|region| region.box_px = Some([5.0, 0.0, 7.0, 4.0])));
        assert!(refused(|region| region.box_px = Some([2.0, 2.0, 2.0, 4.0])));
        assert!(refused(
            |region| region.box_px = Some([f32::NAN, 0.0, 6.0, 4.0])
        ));
        assert!(refused(|region| region.score = Some(1.5)));
    }

    fn named(length: usize) -> Region {
        Region {
            name: "é".repeat(length),
            ..region("a")
        }
    }

    #[test]
    fn there_is_a_limit() {
        let many: Vec<_> = (0..=MAX_REGIONS)
            .map(|k| region(&format!("r{k}")))
            .collect();
        assert!(matches!(
            check_regions(&many, 6, 4),
            Err(AppError::TooLarge { .. })
        ));
        check_regions(&many[..MAX_REGIONS], 6, 4).expect("as many as may be");
        check_regions(&[named(MAX_REGION_NAME)], 6, 4).expect("as long as may be");
        assert!(check_regions(&[named(MAX_REGION_NAME + 1)], 6, 4).is_err());
    }
}
