use fclm_core::mask::Rle;
use fclm_core::mask::contour::distance;
use serde::{Deserialize, Serialize};

use super::PointXy;

/// What a pointer meets on a polygon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handle {
    /// The point of that index.
    Point(usize),
    /// The edge behind the point of that index.
    Edge(usize),
}

/// The corners of a region, in image pixels.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Polygon {
    /// The corners in turn.
    pub points: Vec<PointXy>,
}

impl Polygon {
    /// What lies within `reach` of a point: the nearest corner, or else the nearest edge of the
    /// closed line.
    pub fn handle(&self, at: PointXy, reach: f64) -> Option<Handle> {
        let count = self.points.len();
        let nearest = |distances: &mut dyn Iterator<Item = f64>| {
            distances
                .enumerate()
                .filter(|(_, distance)| *distance <= reach)
                .min_by(|a, b| a.1.total_cmp(&b.1))
                .map(|(index, _)| index)
        };
        let mut corners = self
            .points
            .iter()
            .map(|point| (point.0 - at.0).hypot(point.1 - at.1));
        if let Some(index) = nearest(&mut corners) {
            return Some(Handle::Point(index));
        }
        let mut edges =
            (0..count).map(|index| off(at, self.points[index], self.points[(index + 1) % count]));
        nearest(&mut edges).map(Handle::Edge)
    }

    /// Takes hold of what was met: an edge gets a new corner there. Gives the corner's index.
    pub fn take(&mut self, handle: Handle, at: PointXy) -> usize {
        match handle {
            Handle::Point(index) => index,
            Handle::Edge(index) => {
                let behind = (index + 1).min(self.points.len());
                self.points.insert(behind, at);
                behind
            }
        }
    }

    /// Moves a corner.
    pub fn shift(&mut self, index: usize, to: PointXy) {
        if let Some(point) = self.points.get_mut(index) {
            *point = to;
        }
    }

    /// All of it moved by pixels.
    pub fn moved(&self, (dx, dy): PointXy) -> Self {
        let points = self.points.iter().map(|&(x, y)| (x + dx, y + dy));
        Self {
            points: points.collect(),
        }
    }

    /// All of it stretched from its left and upper edge, so that its right and lower edge move by
    /// pixels; none where nothing would be left between them.
    pub fn stretched(&self, (dx, dy): PointXy) -> Option<Self> {
        let ends = |along: fn(&PointXy) -> f64| {
            let outside = (f64::INFINITY, f64::NEG_INFINITY);
            let mut places = self.points.iter().map(along);
            places.try_fold(outside, |(low, high), at| {
                at.is_finite().then(|| (low.min(at), high.max(at)))
            })
        };
        let (left, right) = ends(|point| point.0)?;
        let (top, bottom) = ends(|point| point.1)?;
        let (width, height) = (right - left, bottom - top);
        let is_left = width.min(height).min(width + dx).min(height + dy) > 0.0;
        let points = self.points.iter().map(|&(x, y)| {
            let (right_share, lower_share) = ((x - left) / width, (y - top) / height);
            (x + dx * right_share, y + dy * lower_share)
        });
        is_left.then(|| Self {
            points: points.collect(),
        })
    }

    /// Moves a corner by pixels, as far as a picture of that size reaches.
    pub fn nudge(&mut self, index: usize, by: PointXy, (width, height): PointXy) {
        // One that lies beside the picture comes back step by step.
        let moved = |from: f64, by: f64, length: f64| {
            let (low, high) = (from.min(0.0), from.max(length));
            (from + by).clamp(low, high)
        };
        if let Some((x, y)) = self.points.get_mut(index) {
            (*x, *y) = (moved(*x, by.0, width), moved(*y, by.1, height));
        }
    }

    /// Adds a corner halfway from one to the next; gives its index.
    pub fn split(&mut self, index: usize) -> Option<usize> {
        let count = self.points.len();
        if index >= count || count < 2 {
            return None;
        }
        let (from, to) = (self.points[index], self.points[(index + 1) % count]);
        let middle = (f64::midpoint(from.0, to.0), f64::midpoint(from.1, to.1));
        Some(self.take(Handle::Edge(index), middle))
    }

    /// Takes a corner away, where three are left; false where they would not be.
    pub fn drop_point(&mut self, index: usize) -> bool {
        let has_enough = self.points.len() > 3 && index < self.points.len();
        if has_enough {
            self.points.remove(index);
        }
        has_enough
    }

    /// Takes a corner away that lies within `reach` of one beside it, where three are left.
    pub fn merge(&mut self, index: usize, reach: f64) {
        let count = self.points.len();
        let Some(&(x, y)) = self.points.get(index) else {
            return;
        };
        let is_near = [1, count - 1].into_iter().any(|step| {
            let (beside_x, beside_y) = self.points[(index + step) % count];
            (beside_x - x).hypot(beside_y - y) <= reach
        });
        if is_near {
            self.drop_point(index);
        }
    }

    /// The pixels within, as the COCO mask API draws them; none where there are fewer than three
    /// corners or the polygon cannot be drawn.
    pub fn mask(&self, (width, height): (u32, u32)) -> Option<Rle> {
        if self.points.len() < 3 {
            return None;
        }
        let flat = self.points.iter().flat_map(|&(x, y)| [x, y]).collect();
        Rle::from_polygons(width, height, &[flat]).ok()
    }
}

/// [`distance`] in single precision, which tells thousandths of a pixel apart.
fn off(at: PointXy, from: PointXy, to: PointXy) -> f64 {
    let [at, from, to] = [at, from, to].map(|(x, y)| (x as f32, y as f32));
    distance(at, from, to).into()
}

#[cfg(test)]
mod tests {
    use fclm_core::mask::Mask;

    use super::*;

    fn square() -> Polygon {
        Polygon {
            points: vec![(1.0, 1.0), (5.0, 1.0), (5.0, 4.0), (1.0, 4.0)],
        }
    }

    #[test]
    fn corners_come_before_edges() {
        let polygon = square();
        assert_eq!(polygon.handle((4.6, 1.1), 0.5), Some(Handle::Point(1)));
        assert_eq!(polygon.handle((3.0, 1.3), 0.5), Some(Handle::Edge(0)));
        assert_eq!(polygon.handle((0.8, 2.0), 0.5), Some(Handle::Edge(3)));
        assert_eq!(polygon.handle((3.0, 2.5), 0.5), None);
        assert_eq!(Polygon::default().handle((0.0, 0.0), 9.0), None);
    }

    #[test]
    fn an_edge_gets_a_corner_and_a_triangle_keeps_its_own() {
        let mut polygon = square();
        let index = polygon.take(Handle::Edge(3), (1.0, 2.0));
        assert_eq!((index, polygon.points.len()), (4, 5));
        assert_eq!(polygon.take(Handle::Point(2), (5.0, 4.0)), 2);
        polygon.shift(index, (0.5, 2.0));
        assert_eq!(polygon.points[4], (0.5, 2.0));
        assert!(polygon.drop_point(0) && polygon.drop_point(0) && !polygon.drop_point(0));
        assert_eq!(polygon.points.len(), 3);
    }

    #[test]
    fn a_corner_is_moved_as_far_as_the_picture_reaches() {
        let mut polygon = square();
        let picture = (6.0, 9.0);
        polygon.nudge(1, (-1.0, 2.0), picture);
        assert_eq!(polygon.points[1], (4.0, 3.0));
        polygon.nudge(1, (10.0, -10.0), picture);
        assert_eq!(polygon.points[1], (6.0, 0.0));
        polygon.shift(1, (8.0, -2.0));
        polygon.nudge(1, (1.0, 1.0), picture);
        assert_eq!(polygon.points[1], (8.0, -1.0));
        polygon.nudge(9, (1.0, 1.0), picture);
    }

    #[test]
    fn an_edge_is_split_in_its_middle() {
        let mut polygon = square();
        assert_eq!(polygon.split(3), Some(4));
        assert_eq!(polygon.points[4], (1.0, 2.5));
        assert_eq!(polygon.split(0), Some(1));
        assert_eq!(polygon.points[1], (3.0, 1.0));
        assert_eq!(polygon.split(9), None);
        let mut point = Polygon {
            points: vec![(1.0, 1.0)],
        };
        assert_eq!(point.split(0), None);
    }

    #[test]
    fn a_corner_on_the_next_one_is_gone() {
        let mut polygon = square();
        polygon.merge(0, 2.9);
        assert_eq!(polygon.points.len(), 4);
        polygon.shift(0, (1.2, 3.8));
        polygon.merge(0, 0.5);
        assert_eq!(polygon.points, [(5.0, 1.0), (5.0, 4.0), (1.0, 4.0)]);
        polygon.shift(2, (5.0, 4.0));
        polygon.merge(2, 0.5);
        polygon.merge(7, 0.5);
        assert_eq!(polygon.points.len(), 3);
    }

    #[test]
    fn all_corners_move_as_far() {
        let moved = square().moved((2.0, -1.0));
        assert_eq!(
            moved.points,
            [(3.0, 0.0), (7.0, 0.0), (7.0, 3.0), (3.0, 3.0)]
        );
    }

    #[test]
    fn all_corners_are_stretched_from_the_left_and_upper_edge() {
        let stretched = |by| square().stretched(by).map(|polygon| polygon.points);
        let wider = [(1.0, 1.0), (7.0, 1.0), (7.0, 3.0), (1.0, 3.0)];
        assert_eq!(stretched((2.0, -1.0)), Some(wider.to_vec()));
        let mut pointed = square();
        pointed.take(Handle::Edge(0), (3.0, 0.0));
        let points = pointed.stretched((2.0, 0.0)).map(|polygon| polygon.points);
        assert_eq!(points.map(|points| points[1]), Some((4.0, 0.0)));
        assert_eq!(stretched((-4.0, 0.0)), None);
        assert_eq!(stretched((0.0, -3.5)), None);
        assert_eq!(Polygon::default().stretched((1.0, 1.0)), None);
    }

    #[test]
    fn whole_pixels_are_filled() {
        let mask = square().mask((6, 6));
        let filled = Mask::rect(6, 6, [1.0, 1.0, 5.0, 4.0]);
        assert_eq!(mask, Some(Rle::from_mask(&filled)));
        let line = Polygon {
            points: vec![(0.0, 0.0), (3.0, 3.0)],
        };
        assert_eq!(line.mask((6, 6)), None);
    }
}
