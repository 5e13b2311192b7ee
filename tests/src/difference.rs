//! How far what one device computes is from what another one does.

/// How far numbers are from those that are expected, over the length of the latter as a vector.
///
/// # Panics
/// If there are more of the one than of the other.
pub fn relative(actual: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(actual.len(), expected.len(), "as many numbers as expected");
    let pairs = actual.iter().zip(expected);
    let apart = length(pairs.map(|(a, b)| f64::from(*a) - f64::from(*b)));
    apart / length(expected.iter().copied().map(f64::from))
}

fn length(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_measured_in_lengths_of_what_is_expected() {
        // Apart by (3, 4), which is 5 long; expected is (6, 8), which is 10.
        assert_eq!(relative(&[9.0, 4.0], &[6.0, 8.0]), 0.5);
        assert_eq!(relative(&[6.0, 8.0], &[6.0, 8.0]), 0.0);
        assert!(relative(&[f32::NAN, 8.0], &[6.0, 8.0]).is_nan());
    }
}
