//! Polygons to runs, with the boundary walk of the COCO mask API: five times finer than pixels,
//! then column crossings.

use super::MaskError;

const SCALE: f64 = 5.0;
/// Coordinates beyond this many pixels are taken for a mistake.
const MAX_COORDINATE: f64 = 1e6;
/// Boundary steps of one polygon, five to a pixel; a 64-megapixel picture's outline has 160,000.
const MAX_STEPS: u64 = 1 << 27;

/// Runs of one polygon given as `x0, y0, x1, y1, ..`; see
/// [`rleFrPoly`](https://github.com/cocodataset/cocoapi/blob/master/common/maskApi.c).
pub(super) fn runs(
    index: usize,
    coordinates: &[f64],
    width: u32,
    height: u32,
) -> Result<Vec<u32>, MaskError> {
    if coordinates.is_empty()
        || !coordinates.len().is_multiple_of(2)
        || coordinates.iter().any(|value| !value.is_finite())
    {
        return Err(MaskError::BadPolygon { index });
    }
    if coordinates.iter().any(|value| value.abs() > MAX_COORDINATE) {
        return Err(MaskError::PolygonTooLarge { index });
    }
    let mut points: Vec<[i32; 2]> = coordinates
        .chunks_exact(2)
        .map(|pair| {
            [
                (SCALE * pair[0] + 0.5) as i32,
                (SCALE * pair[1] + 0.5) as i32,
            ]
        })
        .collect();
    points.push(points[0]);

    let steps: u64 = points
        .windows(2)
        .map(|edge| {
            u64::from(
                edge[0][0]
                    .abs_diff(edge[1][0])
                    .max(edge[0][1].abs_diff(edge[1][1])),
            ) + 1
        })
        .sum();
    if steps > MAX_STEPS {
        return Err(MaskError::PolygonTooLarge { index });
    }

    let mut crossings = Crossings {
        width,
        height,
        previous: None,
        at: Vec::new(),
    };
    for edge in points.windows(2) {
        walk(edge[0], edge[1], &mut crossings);
    }
    Ok(runs_between(crossings.at, width * height))
}

fn walk([x0, y0]: [i32; 2], [x1, y1]: [i32; 2], crossings: &mut Crossings) {
    let (dx, dy) = ((x1 - x0).abs(), (y1 - y0).abs());
    let along_x = dx >= dy;
    let flip = if along_x { x0 > x1 } else { y0 > y1 };
    let (xs, ys, xe, ye) = if flip {
        (x1, y1, x0, y0)
    } else {
        (x0, y0, x1, y1)
    };
    let length = dx.max(dy);
    let slope = if along_x {
        f64::from(ye - ys) / f64::from(dx)
    } else {
        f64::from(xe - xs) / f64::from(dy)
    };
    for step in 0..=length {
        let t = if flip { length - step } else { step };
        if along_x {
            crossings.visit(t + xs, (f64::from(ys) + slope * f64::from(t) + 0.5) as i32);
        } else {
            crossings.visit((f64::from(xs) + slope * f64::from(t) + 0.5) as i32, t + ys);
        }
    }
}

/// Where the boundary passes from one pixel column to the next, as offsets into the mask.
struct Crossings {
    width: u32,
    height: u32,
    previous: Option<[i32; 2]>,
    at: Vec<u32>,
}

impl Crossings {
    fn visit(&mut self, u: i32, v: i32) {
        let Some([last_u, last_v]) = self.previous.replace([u, v]) else {
            return;
        };
        if u == last_u {
            return;
        }
        let column = (f64::from(if u < last_u { u } else { u - 1 }) + 0.5) / SCALE - 0.5;
        if column.floor() != column || column < 0.0 || column > f64::from(self.width - 1) {
            return;
        }
        let row = (f64::from(v.min(last_v)) + 0.5) / SCALE - 0.5;
        let row = row.clamp(0.0, f64::from(self.height)).ceil();
        self.at.push(column as u32 * self.height + row as u32);
    }
}

fn runs_between(mut offsets: Vec<u32>, pixels: u32) -> Vec<u32> {
    offsets.push(pixels);
    offsets.sort_unstable();
    let mut last = 0;
    let mut differences = offsets.into_iter().map(|offset| {
        let difference = offset - last;
        last = offset;
        difference
    });
    let mut runs: Vec<u32> = differences.next().into_iter().collect();
    while let Some(difference) = differences.next() {
        if difference > 0 {
            runs.push(difference);
        } else if let (Some(run), Some(next)) = (runs.last_mut(), differences.next()) {
            // Two crossings at one place cancel out: the run before goes on.
            *run += next;
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_whole_pixel_box_is_filled() {
        let runs = runs(0, &[1.0, 1.0, 1.0, 3.0, 4.0, 3.0, 4.0, 1.0], 6, 4).unwrap();
        assert_eq!(runs, [5, 2, 2, 2, 2, 2, 9]);
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        assert_eq!(
            runs(3, &[1.0, 2.0, 3.0], 6, 4),
            Err(MaskError::BadPolygon { index: 3 })
        );
        assert_eq!(runs(0, &[], 6, 4), Err(MaskError::BadPolygon { index: 0 }));
        assert_eq!(
            runs(0, &[f64::NAN, 0.0], 6, 4),
            Err(MaskError::BadPolygon { index: 0 })
        );
        assert_eq!(
            runs(1, &[1e300, 0.0], 6, 4),
            Err(MaskError::PolygonTooLarge { index: 1 })
        );
        let zigzag: Vec<f64> = (0..100)
            .flat_map(|i| [f64::from(i % 2) * 9e5, 0.0])
            .collect();
        assert_eq!(
            runs(0, &zigzag, 6, 4),
            Err(MaskError::PolygonTooLarge { index: 0 })
        );
    }

    proptest! {
        #[test]
        fn runs_always_sum_up(
            points in prop::collection::vec(-20.0f64..60.0, 1..24),
            width in 1u32..40,
            height in 1u32..40,
        ) {
            let points = &points[..points.len() / 2 * 2];
            prop_assume!(!points.is_empty());
            let runs = runs(0, points, width, height).unwrap();
            prop_assert_eq!(runs.iter().sum::<u32>(), width * height);
            prop_assert!(runs.iter().skip(1).all(|&run| run > 0));
        }
    }
}
