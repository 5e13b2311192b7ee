use std::fmt::Write;

use fclm_core::mask::Mask;

const RIGHT: usize = 0;
const STEPS: [(i64, i64); 4] = [(1, 0), (0, 1), (-1, 0), (0, -1)];

/// Closed lines around a mask, holes included, in image pixels. The lines run through the middles
/// of the pixels' edges, so that a staircase becomes the diagonal it stands for.
pub fn outline(mask: &Mask) -> Vec<Vec<(f32, f32)>> {
    let Some([left, top, right, bottom]) = mask.bounds() else {
        return Vec::new();
    };
    let (left, top) = (left as i64, top as i64);
    let columns = right as i64 - left + 1;
    let rows = bottom as i64 - top + 1;
    let mut edges = edges(mask, left, top, columns, rows);
    let mut lines = Vec::new();
    for start in 0..edges.len() {
        while edges[start] != 0 {
            let direction = edges[start].trailing_zeros() as usize;
            let mut line = Vec::new();
            follow(&mut edges, columns, start, direction, |x, y| {
                line.push(((x + left as f64) as f32, (y + top as f64) as f32));
            });
            lines.push(line);
        }
    }
    lines
}

/// For each corner of the pixel grid the bits of the boundary edges that leave it, with the mask
/// on their right hand.
fn edges(mask: &Mask, left: i64, top: i64, columns: i64, rows: i64) -> Vec<u8> {
    let inside = |x: i64, y: i64| {
        x >= 0
            && y >= 0
            && x < i64::from(mask.width())
            && y < i64::from(mask.height())
            && mask.data()[y as usize * mask.width() as usize + x as usize] != 0
    };
    let mut edges = vec![0u8; (columns * rows) as usize];
    let corner = |x: i64, y: i64| ((y - top) * columns + (x - left)) as usize;
    for y in top..top + rows - 1 {
        for x in left..left + columns - 1 {
            if !inside(x, y) {
                continue;
            }
            if !inside(x, y - 1) {
                edges[corner(x, y)] |= 1;
            }
            if !inside(x + 1, y) {
                edges[corner(x + 1, y)] |= 1 << 1;
            }
            if !inside(x, y + 1) {
                edges[corner(x + 1, y + 1)] |= 1 << 2;
            }
            if !inside(x - 1, y) {
                edges[corner(x, y + 1)] |= 1 << 3;
            }
        }
    }
    edges
}

/// Walks one closed line, takes its edges away and reports the first and last edge middle of each
/// straight piece.
fn follow(
    edges: &mut [u8],
    columns: i64,
    start: usize,
    direction: usize,
    mut point: impl FnMut(f64, f64),
) {
    let (mut at, mut direction) = (start, direction);
    let mut previous = usize::MAX;
    let mut waiting = None;
    loop {
        edges[at] &= !(1 << direction);
        let (dx, dy) = STEPS[direction];
        let (x, y) = ((at as i64 % columns) as f64, (at as i64 / columns) as f64);
        let middle = (x + dx as f64 / 2.0, y + dy as f64 / 2.0);
        if direction == previous {
            waiting = Some(middle);
        } else {
            if let Some((x, y)) = waiting.take() {
                point(x, y);
            }
            point(middle.0, middle.1);
        }
        previous = direction;
        at = (at as i64 + dy * columns + dx) as usize;
        // The right-hand turn first keeps pixels apart that only touch at a corner.
        let Some(turn) = [1, RIGHT, 3].into_iter().find(|turn| {
            let next = (direction + turn) % 4;
            edges[at] & (1 << next) != 0
        }) else {
            break;
        };
        direction = (direction + turn) % 4;
    }
    if let Some((x, y)) = waiting {
        point(x, y);
    }
}

/// Closed lines as the path data of an SVG path.
pub fn svg_path(lines: &[Vec<(f32, f32)>]) -> String {
    let mut path = String::new();
    for line in lines {
        for (index, (x, y)) in line.iter().enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            // Writing to a string cannot fail.
            let _ = write!(path, "{command}{x} {y}");
        }
        path.push('Z');
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rectangle_has_one_line() {
        let mask = Mask::from_fn(6, 5, |x, y| (1..4).contains(&x) && (2..4).contains(&y));
        let lines = outline(&mask);
        assert_eq!(lines.len(), 1);
        assert_eq!(
            lines[0],
            [
                (1.5, 2.0),
                (3.5, 2.0),
                (4.0, 2.5),
                (4.0, 3.5),
                (3.5, 4.0),
                (1.5, 4.0),
                (1.0, 3.5),
                (1.0, 2.5)
            ]
        );
    }

    #[test]
    fn a_ring_has_two_lines_and_an_empty_mask_none() {
        let ring = Mask::from_fn(3, 3, |x, y| (x, y) != (1, 1));
        assert_eq!(outline(&ring).len(), 2);
        assert!(outline(&Mask::new(3, 3)).is_empty());
    }

    #[test]
    fn pixels_that_touch_at_a_corner_stay_apart() {
        let mask = Mask::from_fn(2, 2, |x, y| x == y);
        let lines = outline(&mask);
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| line.len() == 4));
    }

    #[test]
    fn a_staircase_becomes_a_diagonal() {
        let mask = Mask::from_fn(4, 4, |x, y| x <= y);
        let line = &outline(&mask)[0];
        assert!(line.contains(&(1.0, 0.5)) && line.contains(&(1.5, 1.0)));
    }

    #[test]
    fn paths_are_written_for_svg() {
        let lines = [vec![(0.5, 0.0), (1.0, 0.5), (0.5, 1.0)]];
        assert_eq!(svg_path(&lines), "M0.5 0L1 0.5L0.5 1Z");
    }
}
