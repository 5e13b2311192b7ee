use crate::mask::Mask;

/// The contrast that is left to the surroundings of a region in its crop.
const CONTRAST: f32 = 0.2;

/// Rows and columns of what a mask does not hold of a window of its picture. `height` and `width`
/// are the size at which the window is seen.
pub fn surroundings(
    mask: &Mask,
    [x0, y0, x1, y1]: [u32; 4],
    [height, width]: [usize; 2],
) -> impl Iterator<Item = [usize; 2]> {
    let source = |place: usize, seen: usize, length: u32| {
        ((place as f32 + 0.5) / seen as f32 * length as f32) as u32
    };
    (0..height).flat_map(move |row| {
        let y = y0 + source(row, height, y1 - y0);
        (0..width)
            .filter(move |&column| !mask.get(x0 + source(column, width, x1 - x0), y))
            .map(move |column| [row, column])
    })
}

/// A value of the surroundings, moved towards the mean pixel.
pub fn dimmed(value: f32, mean: f32) -> f32 {
    mean + (value - mean) * CONTRAST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surroundings_are_what_the_mask_does_not_hold() {
        // Columns 4 and 5 of rows 1 and 2.
        let mask = Mask::rect(8, 4, [4.0, 1.0, 6.0, 3.0]);
        let around: Vec<[usize; 2]> = surroundings(&mask, [3, 1, 7, 3], [2, 4]).collect();
        assert_eq!(around, [[0, 0], [0, 3], [1, 0], [1, 3]]);
        // At twice and at half the size.
        let around = surroundings(&mask, [3, 1, 7, 3], [4, 8]);
        assert_eq!(around.filter(|&[row, _]| row == 3).count(), 4);
        let around: Vec<[usize; 2]> = surroundings(&mask, [0, 0, 8, 4], [2, 4]).collect();
        assert_eq!(
            around,
            [[0, 0], [0, 1], [0, 3], [1, 0], [1, 1], [1, 2], [1, 3]]
        );
    }

    #[test]
    fn a_fifth_of_the_contrast_is_left() {
        assert_eq!(dimmed(5.0, 0.0), 1.0);
        assert!((dimmed(200.0, 100.0) - 120.0).abs() < 1e-4);
    }
}
