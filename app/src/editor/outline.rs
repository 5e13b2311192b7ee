use fclm_core::mask::Mask;
use fclm_core::mask::contour::{Ring, simplified};

/// Closed lines around a mask, holes included, in image pixels. The lines run through the middles
/// of the pixels' edges, so that a staircase becomes the diagonal it stands for.
pub fn outline(mask: &Mask) -> Vec<Ring> {
    mask.contours().iter().map(|ring| middles(ring)).collect()
}

/// The lines with fewer points, none of them more than twice `tolerance` pixels off; lines that are
/// smaller than that are left out, as long as there is another one.
pub fn coarser(lines: &[Ring], tolerance: f32) -> Vec<Ring> {
    let few: Vec<Ring> = lines
        .iter()
        .map(|line| simplified(&apart(line, tolerance), tolerance))
        .filter(|line| line.len() > 2)
        .collect();
    if few.is_empty() {
        return lines
            .iter()
            .max_by_key(|line| line.len())
            .cloned()
            .into_iter()
            .collect();
    }
    few
}

/// The points that are at least so far from the one before, so that what follows costs no more
/// than the line is long.
fn apart(line: &[(f32, f32)], least: f32) -> Ring {
    let mut kept = Ring::new();
    for &(x, y) in line {
        let is_near = kept
            .last()
            .is_some_and(|&(last_x, last_y)| (x - last_x).hypot(y - last_y) < least);
        if !is_near {
            kept.push((x, y));
        }
    }
    kept
}

/// The first and last edge middle of each straight piece of a line along pixel edges.
fn middles(ring: &[(f32, f32)]) -> Ring {
    let mut line = Ring::with_capacity(2 * ring.len());
    for (index, &(x, y)) in ring.iter().enumerate() {
        let (to_x, to_y) = ring[(index + 1) % ring.len()];
        let half = |from: f32, to: f32| (to - from).clamp(-0.5, 0.5);
        let (dx, dy) = (half(x, to_x), half(y, to_y));
        let (first, last) = ((x + dx, y + dy), (to_x - dx, to_y - dy));
        line.push(first);
        if last != first {
            line.push(last);
        }
    }
    line
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
    fn a_coarser_line_stays_near_and_has_few_points() {
        let disc = Mask::from_fn(200, 200, |x, y| {
            (x as f32 - 100.0).hypot(y as f32 - 100.0) < 80.0
        });
        let lines = outline(&disc);
        let few = coarser(&lines, 1.0);
        assert!(
            few[0].len() * 4 < lines[0].len(),
            "{} of {}",
            few[0].len(),
            lines[0].len()
        );
        for &(x, y) in &few[0] {
            let off = ((x - 100.0).hypot(y - 100.0) - 80.0).abs();
            assert!(off < 2.0, "{x} {y} is {off} off");
        }
        let dot = outline(&Mask::from_fn(3, 3, |x, y| (x, y) == (1, 1)));
        assert_eq!(coarser(&dot, 9.0), dot);
        let both = [lines[0].clone(), dot[0].clone()];
        assert_eq!(coarser(&both, 9.0).len(), 1);
    }

    #[test]
    fn a_staircase_becomes_a_diagonal() {
        let mask = Mask::from_fn(4, 4, |x, y| x <= y);
        let line = &outline(&mask)[0];
        assert!(line.contains(&(1.0, 0.5)) && line.contains(&(1.5, 1.0)));
    }
}
