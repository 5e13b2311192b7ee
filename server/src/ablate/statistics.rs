//! Means over a few seeds with Student's intervals.

use serde::{Deserialize, Serialize};

/// 97.5th percentiles of Student's distribution with 1, 2, ... degrees of freedom.
const T: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
];

/// A mean over seeds with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Where the interval begins; none of a single value.
    pub low: Option<f64>,
    /// Where it ends.
    pub high: Option<f64>,
    /// How many values there are.
    pub n: usize,
}

/// The mean of some values with Student's 95 % interval, `mean -+ t s / sqrt(n)`; none of no value.
///
/// A handful of seeds is too few to be drawn from: the bootstrap of three values knows ten means.
/// From 31 values on, the interval is that of 31, a little too wide.
pub fn t_interval(values: &[f64]) -> Option<Mean> {
    let n = values.len();
    if n == 0 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n as f64;
    let reach = (n > 1).then(|| {
        let squares = values.iter().map(|value| (value - mean).powi(2));
        let deviation = (squares.sum::<f64>() / (n - 1) as f64).sqrt();
        T[(n - 2).min(T.len() - 1)] * deviation / (n as f64).sqrt()
    });
    Some(Mean {
        mean,
        low: reach.map(|reach| mean - reach),
        high: reach.map(|reach| mean + reach),
        n,
    })
}

/// The mean difference of values that belong together, `left - right`. Seeds that both share, such
/// as those that draw the same scenes, cancel out of it.
pub fn paired(pairs: &[(f64, f64)]) -> Option<Mean> {
    let differences: Vec<f64> = pairs.iter().map(|(left, right)| left - right).collect();
    t_interval(&differences)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_near(found: Option<f64>, expected: f64) {
        let found = found.unwrap();
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    }

    /// Mean 0.5, deviation 0.1, so the interval reaches 4.303 * 0.1 / sqrt(3) = 0.2484338.
    #[test]
    fn three_values_by_hand() {
        let mean = t_interval(&[0.4, 0.5, 0.6]).unwrap();
        assert_near(Some(mean.mean), 0.5);
        assert_near(mean.low, 0.251_566_2);
        assert_near(mean.high, 0.748_433_8);
        assert_eq!(mean.n, 3);
    }

    /// Two values are half their distance from the mean: deviation 0.1 / sqrt(2), so the interval
    /// reaches 12.706 * 0.1 / 2.
    #[test]
    fn two_values_by_hand_and_one_and_none() {
        let mean = t_interval(&[0.2, 0.3]).unwrap();
        assert_near(mean.high, 0.25 + 0.6353);
        let one = t_interval(&[0.7]).unwrap();
        assert_eq!((one.mean, one.low, one.high, one.n), (0.7, None, None, 1));
        assert_eq!(t_interval(&[]), None);
    }

    /// The values differ by far more than the pairs.
    #[test]
    fn what_both_share_cancels_out() {
        let pairs = [(0.31, 0.30), (0.62, 0.60), (0.93, 0.90)];
        let difference = paired(&pairs).unwrap();
        assert_near(Some(difference.mean), 0.02);
        // Deviation 0.01: reaches 4.303 * 0.01 / sqrt(3).
        assert_near(difference.low, 0.02 - 0.024_843_38);
    }
}
