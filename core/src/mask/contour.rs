//! The lines around a mask, and lines with fewer points.

use std::mem;

use super::Mask;

/// A closed line: its corners, the last of which is joined to the first.
pub type Ring = Vec<(f32, f32)>;

const STEPS: [(i64, i64); 4] = [(1, 0), (0, 1), (-1, 0), (0, -1)];

impl Mask {
    /// The lines around the mask along the edges of its pixels, holes included, by their corners.
    /// The mask lies on their right hand: around it they run clockwise, around holes the other way.
    /// Pixels that touch only at a corner have lines of their own.
    pub fn contours(&self) -> Vec<Ring> {
        let Some([left, top, right, bottom]) = self.pixel_bounds() else {
            return Vec::new();
        };
        let mut edges = self.edges([left, top, right, bottom]);
        let (left, top) = (i64::from(left), i64::from(top));
        let columns = i64::from(right) - left + 1;
        let mut rings = Vec::new();
        for start in 0..edges.len() {
            while edges[start] != 0 {
                let direction = edges[start].trailing_zeros() as usize;
                let mut ring = Ring::new();
                follow(&mut edges, columns, start, direction, |x, y| {
                    ring.push(((x + left) as f32, (y + top) as f32));
                });
                rings.push(ring);
            }
        }
        rings
    }

    /// For each corner of the pixel grid the bits of the boundary edges that leave it, with the
    /// mask on their right hand. Nothing of the mask is outside of the bounds.
    fn edges(&self, bounds: [u32; 4]) -> Vec<u8> {
        let [left, top, right, bottom] = bounds.map(|edge| edge as usize);
        let (width, columns) = (self.width() as usize, right - left);
        // A row of pixels with one more at either side, and the row above it.
        let mut above = vec![0u8; columns + 2];
        let mut row = above.clone();
        let mut edges = Vec::with_capacity((columns + 1) * (bottom - top + 1));
        for y in top..=bottom {
            if y < bottom {
                row[1..=columns].copy_from_slice(&self.data()[y * width + left..][..columns]);
            } else {
                row.fill(0);
            }
            // The four pixels around each corner.
            let before = above.iter().zip(&row);
            let behind = above[1..].iter().zip(&row[1..]);
            edges.extend(before.zip(behind).map(
                |((&upper_left, &lower_left), (&upper_right, &lower_right))| {
                    (lower_right & !upper_right)
                        | (lower_left & !lower_right) << 1
                        | (upper_left & !lower_left) << 2
                        | (upper_right & !upper_left) << 3
                },
            ));
            mem::swap(&mut above, &mut row);
        }
        edges
    }
}

/// Walks one closed line, takes its edges away and reports each corner.
fn follow(
    edges: &mut [u8],
    columns: i64,
    start: usize,
    direction: usize,
    mut corner: impl FnMut(i64, i64),
) {
    let (mut at, mut direction) = (start, direction);
    let mut previous = usize::MAX;
    loop {
        edges[at] &= !(1 << direction);
        if direction != previous {
            corner(at as i64 % columns, at as i64 / columns);
        }
        previous = direction;
        let (dx, dy) = STEPS[direction];
        at = (at as i64 + dy * columns + dx) as usize;
        // The right-hand turn first keeps pixels apart that only touch at a corner.
        let Some(turn) = [1, 0, 3]
            .into_iter()
            .find(|turn| edges[at] & (1 << ((direction + turn) % 4)) != 0)
        else {
            return;
        };
        direction = (direction + turn) % 4;
    }
}

/// The line with as few of its points as keep every other point within `tolerance` pixels of it,
/// by Douglas and Peucker; unchanged where fewer than three points would be left.
pub fn simplified(ring: &[(f32, f32)], tolerance: f32) -> Ring {
    if ring.len() <= 3 {
        return ring.to_vec();
    }
    let far = (0..ring.len())
        .max_by(|&a, &b| {
            distance(ring[a], ring[0], ring[0]).total_cmp(&distance(ring[b], ring[0], ring[0]))
        })
        .unwrap_or(0);
    let mut kept = vec![false; ring.len()];
    kept[0] = true;
    kept[far] = true;
    let mut waiting = vec![(0, far), (far, ring.len())];
    while let Some((start, end)) = waiting.pop() {
        let (from, to) = (ring[start], ring[end % ring.len()]);
        let farthest = (start + 1..end)
            .map(|index| (index, distance(ring[index], from, to)))
            .max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((index, off)) = farthest
            && off > tolerance
        {
            kept[index] = true;
            waiting.extend([(start, index), (index, end)]);
        }
    }
    let few: Ring = ring
        .iter()
        .zip(&kept)
        .filter(|(_, kept)| **kept)
        .map(|(&point, _)| point)
        .collect();
    if few.len() < 3 { ring.to_vec() } else { few }
}

/// How far a point is from the stretch between two others.
pub fn distance(point: (f32, f32), from: (f32, f32), to: (f32, f32)) -> f32 {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let (px, py) = (point.0 - from.0, point.1 - from.1);
    let length_squared = dx * dx + dy * dy;
    let along = if length_squared > 0.0 {
        ((px * dx + py * dy) / length_squared).clamp(0.0, 1.0)
    } else {
        0.0
    };
    (px - along * dx).hypot(py - along * dy)
}

/// A line's coordinates one after the other, `x0, y0, x1, y1, ..`, as COCO writes polygons.
pub fn flat(ring: &[(f32, f32)]) -> Vec<f64> {
    ring.iter()
        .flat_map(|&(x, y)| [f64::from(x), f64::from(y)])
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mask::Rle;

    #[test]
    fn a_rectangle_has_four_corners() {
        let mask = Mask::rect(6, 5, [1.0, 2.0, 4.0, 4.0]);
        assert_eq!(
            mask.contours(),
            [[(1.0, 2.0), (4.0, 2.0), (4.0, 4.0), (1.0, 4.0)]]
        );
        assert!(Mask::new(3, 3).contours().is_empty());
    }

    #[test]
    fn a_hole_has_a_line_that_runs_the_other_way() {
        let ring = Mask::from_fn(3, 3, |x, y| (x, y) != (1, 1));
        let lines = ring.contours();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1], [(1.0, 1.0), (1.0, 2.0), (2.0, 2.0), (2.0, 1.0)]);
    }

    #[test]
    fn a_line_loses_what_is_within_the_tolerance() {
        let ring = [
            (0.0, 0.0),
            (5.0, 0.4),
            (10.0, 0.0),
            (10.0, 10.0),
            (0.0, 10.0),
        ];
        assert_eq!(simplified(&ring, 0.5).len(), 4);
        assert_eq!(simplified(&ring, 0.3), ring);
        assert_eq!(simplified(&ring, 1000.0), ring);
    }

    #[test]
    fn coordinates_are_written_one_after_the_other() {
        assert_eq!(flat(&[(1.0, 2.0), (3.5, 4.0)]), [1.0, 2.0, 3.5, 4.0]);
    }

    proptest! {
        #[test]
        fn contours_give_back_their_mask(
            width in 1u32..24, height in 1u32..24, seed in any::<u64>(), one_in in 2u64..6,
        ) {
            let mask = Mask::from_fn(width, height, |x, y| {
                let mixed = ((u64::from(x) << 32) | u64::from(y)) ^ seed;
                mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23).is_multiple_of(one_in)
            });
            prop_assume!(!mask.is_empty());
            let rings: Vec<Vec<f64>> = mask.contours().iter().map(|ring| flat(ring)).collect();
            let again = Rle::from_rings(width, height, &rings).unwrap();
            prop_assert_eq!(again.to_mask(), mask);
        }

        #[test]
        fn what_is_left_out_is_near_what_is_kept(
            points in prop::collection::vec((0f32..50.0, 0f32..50.0), 4..40),
            tolerance in 0f32..8.0,
        ) {
            let few = simplified(&points, tolerance);
            prop_assert!(few.len() >= 3);
            for &point in &points {
                let off = (0..few.len())
                    .map(|index| distance(point, few[index], few[(index + 1) % few.len()]))
                    .fold(f32::INFINITY, f32::min);
                prop_assert!(off <= tolerance + 1e-3, "{} is {} away", point.0, off);
            }
        }
    }
}
