//! Polygons as OpenCV 4.8 draws them, which LISA asks for: `fillPoly`, whose outline is that of
//! `polylines`, one pixel wide.
//!
//! Corners are cut to whole pixels, and every pixel that the outline goes through is inside, so that
//! a polygon is up to a pixel wider than the COCO mask API draws it.

use fclm_core::mask::{Mask, MaskError};

/// How far from the origin a corner may lie.
const FARTHEST: f64 = 1_048_576.0;
/// Between two pixels where a row is crossed.
const FRACTION_BITS: u32 = 16;
const ONE: i64 = 1 << FRACTION_BITS;

/// `x, y` in pixels.
type Corner = [i64; 2];

/// What an odd number of crossings and the outline surround.
///
/// # Errors
/// If there is no corner, or one that is no number or too far away, or if the picture has no pixels.
pub(super) fn filled(width: u32, height: u32, corners: &[[f64; 2]]) -> Result<Mask, MaskError> {
    if width == 0 || height == 0 {
        return Err(MaskError::NoPixels { width, height });
    }
    if corners.as_flattened().iter().any(|side| !side.is_finite()) {
        return Err(MaskError::BadPolygon { index: 0 });
    }
    if corners
        .as_flattened()
        .iter()
        .any(|side| side.abs() > FARTHEST)
    {
        return Err(MaskError::PolygonTooLarge { index: 0 });
    }
    let corners: Vec<Corner> = corners
        .iter()
        .map(|corner| corner.map(|side| side as i64))
        .collect();
    let Some(&last) = corners.last() else {
        return Err(MaskError::BadPolygon { index: 0 });
    };
    let mut canvas = Canvas {
        width: i64::from(width),
        height: i64::from(height),
        pixels: vec![0; width as usize * height as usize],
    };
    let mut edges = Vec::new();
    let mut before = last;
    for corner in corners {
        canvas.line(before, corner);
        edges.extend(canvas.edge(before, corner));
        before = corner;
    }
    canvas.fill(edges);
    Ok(Mask::from_data(width, height, canvas.pixels))
}

/// The rows that a side of the polygon crosses, without its lowest one.
struct Edge {
    first: i64,
    end: i64,
    /// Where it crosses the first row, and how much farther the next one; in parts of [`ONE`].
    x: i64,
    slope: i64,
}

struct Canvas {
    width: i64,
    height: i64,
    pixels: Vec<u8>,
}

impl Canvas {
    fn holds(&self, [x, y]: Corner) -> bool {
        (0..self.width).contains(&x) && (0..self.height).contains(&y)
    }

    /// Sets a pixel that is inside.
    fn set(&mut self, [x, y]: Corner) {
        self.pixels[(y * self.width + x) as usize] = 1;
    }

    /// The ends of the part of a line that is inside, and whether there is one: `clipLine`, which
    /// rounds towards zero. Where there is none the ends mean little.
    fn clipped(&self, from: Corner, to: Corner) -> (Corner, Corner, bool) {
        let ([mut x1, mut y1], [mut x2, mut y2]) = (from, to);
        let (right, bottom) = (self.width - 1, self.height - 1);
        let beside = |x: i64| u8::from(x < 0) + 2 * u8::from(x > right);
        let over = |y: i64| 4 * u8::from(y < 0) + 8 * u8::from(y > bottom);
        let nearest_row = |side: u8| if side < 8 { 0 } else { bottom };
        let nearest_column = |side: u8| if side == 1 { 0 } else { right };
        let (mut first, mut second) = (beside(x1) + over(y1), beside(x2) + over(y2));
        if first & second == 0 {
            if first & 12 != 0 {
                let row = nearest_row(first);
                x1 += (row - y1) * (x2 - x1) / (y2 - y1);
                y1 = row;
                first = beside(x1);
            }
            if second & 12 != 0 {
                let row = nearest_row(second);
                x2 += (row - y2) * (x2 - x1) / (y2 - y1);
                y2 = row;
                second = beside(x2);
            }
        }
        if first & second == 0 {
            if first != 0 {
                let column = nearest_column(first);
                y1 += (column - x1) * (y2 - y1) / (x2 - x1);
                x1 = column;
                first = 0;
            }
            if second != 0 {
                let column = nearest_column(second);
                y2 += (column - x2) * (y2 - y1) / (x2 - x1);
                x2 = column;
                second = 0;
            }
        }
        ([x1, y1], [x2, y2], first | second == 0)
    }

    /// Draws a line of eight-connected pixels, from left to right.
    fn line(&mut self, from: Corner, to: Corner) {
        let (from, to, is_seen) = self.clipped(from, to);
        if !is_seen {
            return;
        }
        let ([mut x, mut y], to) = match to[0] < from[0] {
            true => (to, from),
            false => (from, to),
        };
        let (across, down) = (to[0] - x, to[1] - y);
        let step = if down < 0 { -1 } else { 1 };
        let is_steep = down.abs() > across;
        let (long, short) = match is_steep {
            true => (down.abs(), across),
            false => (across, down.abs()),
        };
        let mut error = long - 2 * short;
        for _ in 0..=long {
            self.set([x, y]);
            let is_diagonal = error < 0;
            error -= 2 * short;
            if is_diagonal {
                error += 2 * long;
            }
            if is_steep || is_diagonal {
                y += step;
            }
            if !is_steep || is_diagonal {
                x += 1;
            }
        }
    }

    /// The rows that a side crosses; none for one along a row. Sides that end outside are as steep
    /// as the part of them that is inside, and lie half a pixel farther left.
    fn edge(&self, from: Corner, to: Corner) -> Option<Edge> {
        if from[1] == to[1] {
            return None;
        }
        let (ends, shift) = match self.holds(from) && self.holds(to) {
            true => ([from, to], ONE / 2),
            false => match self.clipped(from, to) {
                (first, second, _) if first[1] != second[1] => ([first, second], 0),
                _ => ([from, to], 0),
            },
        };
        let [start, end] = ends.map(|[x, y]| [x * ONE + shift, y]);
        let slope = (end[0] - start[0]) / (end[1] - start[1]);
        let (first, end_row, [x, y]) = match from[1] < to[1] {
            true => (from[1], to[1], start),
            false => (to[1], from[1], end),
        };
        Some(Edge {
            first,
            end: end_row,
            x: x + (first - y) * slope,
            slope,
        })
    }

    /// Sets what lies between the first and the second crossing of each row, the third and the
    /// fourth, and so on.
    fn fill(&mut self, mut edges: Vec<Edge>) {
        edges.sort_unstable_by_key(|edge| edge.first);
        let mut waiting = edges.into_iter().peekable();
        let mut crossed: Vec<Edge> = Vec::new();
        let mut crossings = Vec::new();
        for row in 0..self.height {
            while let Some(edge) = waiting.next_if(|edge| edge.first <= row) {
                crossed.push(edge);
            }
            crossed.retain(|edge| edge.end > row);
            crossings.clear();
            crossings.extend(
                crossed
                    .iter()
                    .map(|edge| edge.x + (row - edge.first) * edge.slope),
            );
            crossings.sort_unstable();
            for pair in crossings.chunks_exact(2) {
                let left = (pair[0] >> FRACTION_BITS).max(0);
                let right = (pair[1] >> FRACTION_BITS).min(self.width - 1);
                for x in left..=right {
                    self.set([x, row]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(width: u32, height: u32, corners: &[[f64; 2]]) -> Vec<String> {
        let mask = filled(width, height, corners).unwrap();
        let rows = mask.data().chunks_exact(width as usize);
        rows.map(|row| {
            row.iter()
                .map(|&set| if set == 1 { '#' } else { '.' })
                .collect()
        })
        .collect()
    }

    /// What `cv2.polylines` and `cv2.fillPoly` of opencv-python 4.8.0.74 draw.
    #[test]
    fn polygons_are_drawn_as_opencv_draws_them() {
        let concave = [[1.9, 1.2], [12.4, 0.9], [8.7, 5.5], [11.2, 8.9], [3.0, 7.6]];
        assert_eq!(
            drawn(14, 10, &concave),
            [
                ".......######.",
                ".###########..",
                ".##########...",
                "..#########...",
                "..########....",
                "..#######.....",
                "...#######....",
                "...########...",
                "........####..",
                "..............",
            ]
        );
        let star = [
            [7.0, 0.0],
            [11.0, 11.0],
            [0.0, 4.0],
            [14.0, 4.0],
            [3.0, 11.0],
        ];
        assert_eq!(
            drawn(15, 12, &star),
            [
                ".......#.......",
                ".......#.......",
                "......###......",
                "......###......",
                "###############",
                ".#####...#####.",
                "...###...###...",
                "....##...##....",
                "....#######....",
                "....###.###....",
                "...###...###...",
                "...#.......#...",
            ]
        );
        let outside = [[-3.5, 2.0], [6.9, -4.0], [10.0, 8.0], [4.2, 11.7]];
        assert_eq!(
            drawn(10, 8, &outside),
            [
                "########..",
                "########..",
                "#########.",
                "#########.",
                "##########",
                "##########",
                "##########",
                ".#########",
            ]
        );
    }

    #[test]
    fn lines_and_dots_are_drawn_too() {
        assert_eq!(
            drawn(6, 5, &[[0.0, 4.0], [5.0, 1.0]]),
            ["......", ".....#", "...##.", ".##...", "#....."]
        );
        assert_eq!(drawn(3, 2, &[[1.99, 1.0]]), ["...", ".#."]);
        // The last row and column of corners are inside.
        let rectangle = [[0.0, 0.0], [0.0, 4.0], [4.0, 4.0], [4.0, 0.0]];
        assert_eq!(drawn(6, 4, &rectangle), ["#####."; 4]);
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        let error = |corners: &[[f64; 2]]| filled(4, 4, corners).unwrap_err();
        assert_eq!(error(&[]), MaskError::BadPolygon { index: 0 });
        assert_eq!(
            error(&[[0.0, f64::NAN]]),
            MaskError::BadPolygon { index: 0 }
        );
        let far = [[0.0, 0.0], [1e12, 3.0], [2.0, 3.0]];
        assert_eq!(error(&far), MaskError::PolygonTooLarge { index: 0 });
        assert!(filled(0, 4, &far).is_err());
        // As far away as is drawn.
        let whole = [[-1e6, -1e6], [1e6, -1e6], [1e6, 1e6], [-1e6, 1e6]];
        assert_eq!(drawn(4, 2, &whole), ["####"; 2]);
    }
}
