use fclm_core::mask::Mask;
use fclm_core::mask::contour::Ring;

/// Closed lines around a mask, holes included, in image pixels. The lines run through the middles
/// of the pixels' edges, so that a staircase becomes the diagonal it stands for.
pub fn outline(mask: &Mask) -> Vec<Ring> {
    mask.contours().iter().map(|ring| middles(ring)).collect()
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
    fn a_staircase_becomes_a_diagonal() {
        let mask = Mask::from_fn(4, 4, |x, y| x <= y);
        let line = &outline(&mask)[0];
        assert!(line.contains(&(1.0, 0.5)) && line.contains(&(1.5, 1.0)));
    }
}
