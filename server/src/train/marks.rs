use rand::Rng;
use rand_chacha::ChaCha8Rng;

use fclm_core::mask::Mask;

/// How far a box's corners move, as a share of its sides.
const BOX_JITTER: f32 = 0.08;
/// Clicks of a refining prompt; missing ones are no points.
pub(super) const CLICKS: usize = 3;
/// Chance that a refining prompt starts from the mask of the first one.
pub(super) const PREVIOUS_MASK: f64 = 0.6;
/// Label of a click that is no point.
const NO_POINT: i32 = -1;
/// Cells of a coarse mask along the longer side of its box.
const COARSE_CELLS: f32 = 9.0;

/// A region as a person marks it who takes less care than the renderer: the rectangle around the
/// object, a stroke over a part of it, or a mask with coarse edges.
pub(super) fn careless_mark(mask: &Mask, bounds: [f32; 4], rng: &mut ChaCha8Rng) -> Mask {
    let (width, height) = (mask.width(), mask.height());
    let mark = match rng.random_range(0..4) {
        0 | 1 => Mask::rect(width, height, moved_box(mask, bounds, rng)),
        2 => stroke(mask, bounds, rng),
        _ => coarse(mask, bounds),
    };
    if mark.is_empty() { mask.clone() } else { mark }
}

/// The box with moved corners, inside the picture.
pub(super) fn moved_box(mask: &Mask, [x0, y0, x1, y1]: [f32; 4], rng: &mut ChaCha8Rng) -> [f32; 4] {
    let (width, height) = (mask.width() as f32, mask.height() as f32);
    let mut moved = |value: f32, side: f32, end: f32| {
        (value + rng.random_range(-BOX_JITTER..=BOX_JITTER) * side).clamp(0.0, end)
    };
    [
        moved(x0, x1 - x0, width),
        moved(y0, y1 - y0, height),
        moved(x1, x1 - x0, width),
        moved(y1, y1 - y0, height),
    ]
}

/// A round brush drawn between two places of the object.
fn stroke(mask: &Mask, bounds: [f32; 4], rng: &mut ChaCha8Rng) -> Mask {
    let (Some(from), Some(to)) = (place_in(mask, bounds, rng), place_in(mask, bounds, rng)) else {
        return mask.clone();
    };
    let [x0, y0, x1, y1] = bounds;
    let radius = rng.random_range(0.12..0.3) * (x1 - x0).min(y1 - y0);
    let (dx, dy) = (to[0] - from[0], to[1] - from[1]);
    let length = (dx * dx + dy * dy).max(1e-6);
    Mask::from_fn(mask.width(), mask.height(), |x, y| {
        let (px, py) = (x as f32 + 0.5 - from[0], y as f32 + 0.5 - from[1]);
        let along = ((px * dx + py * dy) / length).clamp(0.0, 1.0);
        let (ox, oy) = (px - along * dx, py - along * dy);
        ox * ox + oy * oy <= radius * radius
    })
}

/// The mask in coarse squares: those that it covers at least by half.
fn coarse(mask: &Mask, [x0, y0, x1, y1]: [f32; 4]) -> Mask {
    let cell = ((x1 - x0).max(y1 - y0) / COARSE_CELLS).ceil().max(1.0) as u32;
    let (left, top) = (x0 as u32, y0 as u32);
    let columns = (x1 as u32 - left).div_ceil(cell) as usize;
    let rows = (y1 as u32 - top).div_ceil(cell) as usize;
    let mut covered = vec![0_u32; columns * rows];
    let index = |x: u32, y: u32| {
        (y - top) as usize / cell as usize * columns + (x - left) as usize / cell as usize
    };
    let inside = |x: u32, y: u32| (left..x1 as u32).contains(&x) && (top..y1 as u32).contains(&y);
    for y in top..y1 as u32 {
        for x in left..x1 as u32 {
            covered[index(x, y)] += u32::from(mask.get(x, y));
        }
    }
    Mask::from_fn(mask.width(), mask.height(), |x, y| {
        inside(x, y) && 2 * covered[index(x, y)] >= cell * cell
    })
}

/// A place on the object, in pixels.
pub(super) fn place_in(
    mask: &Mask,
    [x0, y0, x1, y1]: [f32; 4],
    rng: &mut ChaCha8Rng,
) -> Option<[f32; 2]> {
    for _ in 0..200 {
        let x = rng.random_range(x0 as u32..x1 as u32);
        let y = rng.random_range(y0 as u32..y1 as u32);
        if mask.get(x, y) {
            return Some([x as f32 + 0.5, y as f32 + 0.5]);
        }
    }
    None
}

/// One to three clicks, the first on the object, the others on it or beside it, with SAM's labels
/// (1 on it, 0 beside it, -1 no point); places in pixels.
pub(super) fn clicks(
    mask: &Mask,
    bounds: [f32; 4],
    rng: &mut ChaCha8Rng,
) -> Option<[([f32; 2], i32); CLICKS]> {
    let mut clicks = [([0.0, 0.0], NO_POINT); CLICKS];
    clicks[0] = (place_in(mask, bounds, rng)?, 1);
    let count = rng.random_range(1..=CLICKS);
    for click in &mut clicks[1..count] {
        *click = if rng.random_bool(0.5) {
            (place_in(mask, bounds, rng)?, 1)
        } else {
            match place_beside(mask, bounds, rng) {
                Some(place) => (place, 0),
                None => continue,
            }
        };
    }
    Some(clicks)
}

/// A place near the object but not on it.
fn place_beside(mask: &Mask, [x0, y0, x1, y1]: [f32; 4], rng: &mut ChaCha8Rng) -> Option<[f32; 2]> {
    let (dx, dy) = (0.5 * (x1 - x0), 0.5 * (y1 - y0));
    for _ in 0..50 {
        let x = rng.random_range(x0 - dx..x1 + dx);
        let y = rng.random_range(y0 - dy..y1 + dy);
        let is_inside =
            (0.0..mask.width() as f32).contains(&x) && (0.0..mask.height() as f32).contains(&y);
        if is_inside && !mask.get(x as u32, y as u32) {
            return Some([x.floor() + 0.5, y.floor() + 0.5]);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn careless_marks_lie_about_the_object() {
        let mask = Mask::rect(64, 48, [20.0, 10.0, 41.0, 33.0]);
        let bounds = mask.bounds().unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..40 {
            let mark = careless_mark(&mask, bounds, &mut rng);
            let (both, _) = mark.intersection_and_union(&mask);
            assert!(!mark.is_empty());
            assert!(3 * both > mark.area(), "{both} of {}", mark.area());
        }
        assert!(coarse(&mask, bounds).iou(&mask) > 0.8);
    }

    #[test]
    fn clicks_are_where_their_labels_say() {
        let mask = Mask::rect(64, 48, [20.0, 10.0, 41.0, 33.0]);
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut labels = [0; 3];
        for _ in 0..40 {
            let clicks = clicks(&mask, mask.bounds().unwrap(), &mut rng).unwrap();
            assert_eq!(clicks[0].1, 1);
            for ([x, y], label) in clicks {
                labels[(label + 1) as usize] += 1;
                if label >= 0 {
                    assert_eq!(mask.get(x as u32, y as u32), label == 1);
                }
            }
        }
        assert!(labels.iter().all(|&count| count > 0), "{labels:?}");
    }
}
