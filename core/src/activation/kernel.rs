//! Arithmetic on slices without calls and branches, so that loops over it are vectorised.

use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, LOG2_E};

/// Sums of floats are vectorised only where the code says in which order they are added.
const LANES: usize = 8;

/// Replaces arguments by values.
pub(super) fn values(arguments: &mut [f32], function: impl Fn(f32) -> (f32, f32)) {
    for x in arguments {
        *x = function(*x).0;
    }
}

/// Replaces arguments by values, and writes the slopes.
pub(super) fn values_and_slopes(
    arguments: &mut [f32],
    slopes: &mut [f32],
    function: impl Fn(f32) -> (f32, f32),
) {
    for (x, slope) in arguments.iter_mut().zip(slopes) {
        (*x, *slope) = function(*x);
    }
}

/// `exp(x)` for `x <= 0` within one unit in the last place; zero below -87, short of where
/// results are subnormal.
///
/// Source: `expf` of Cephes (S. L. Moshier, <https://www.netlib.org/cephes/>, `single/expf.c`):
/// `exp(x) = 2^n exp(r)` with `n` the integer next to `x / ln 2`, and a polynomial of `r`.
#[inline(always)]
fn exp_of_nonpositive(x: f32) -> f32 {
    // A float of this size has no fraction, so that adding it rounds to an integer, which then
    // is in the lowest bits.
    const ROUNDING: f32 = 1.5 * (1 << 23) as f32;
    // `ln 2` in two parts, of which multiples of the first are exact.
    const LN_2_HIGH: f32 = 355.0 / 512.0;
    const LN_2_LOW: f32 = -2.1219444e-4;

    let rounded = x * LOG2_E + ROUNDING;
    let n = rounded - ROUNDING;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let p = 1.9875691e-4;
    let p = p * r + 1.3981999e-3;
    let p = p * r + 8.333452e-3;
    let p = p * r + 4.1665796e-2;
    let p = p * r + 0.16666666;
    let p = p * r + 0.5;
    let fraction = p * (r * r) + r + 1.0;
    // The constant's own bits are shifted out; the exponent's bias is 127.
    let power = f32::from_bits(rounded.to_bits().wrapping_add(127) << 23);
    let value = fraction * power;
    if x < -87.0 { 0.0 } else { value }
}

/// GELU and its derivative.
///
/// `P(X > |x|) = exp(-x^2 / 2) t p(t)` with `t = 1 / (1 + 0.304 |x|)` and a polynomial `p`, the
/// form of 7.1.26 in Abramowitz and Stegun, Handbook of Mathematical Functions. Their coefficients
/// keep the absolute error of `erf` at 1.5e-7 and lose the tail. These are the polynomial of degree
/// 7 that keeps the relative error least for `|x| <= 13.2`, 8.4e-8, found by the algorithm of
/// Remez; with 0.304 that is less than with the numbers around it.
#[inline(always)]
pub(super) fn gelu_and_slope(x: f32) -> (f32, f32) {
    const PEAK: f32 = FRAC_2_SQRT_PI * FRAC_1_SQRT_2 / 2.0;

    let bell = exp_of_nonpositive(x * x * -0.5);
    let t = 1.0 / (x.abs() * 0.304 + 1.0);
    let p = 0.036863048;
    let p = p * t - 0.15531743;
    let p = p * t + 0.19222012;
    let p = p * t - 0.043158248;
    let p = p * t + 0.1235684;
    let p = p * t + 0.10241806;
    let p = p * t + 0.12217147;
    let p = p * t + 0.12123463;
    let tail = p * t * bell;
    let below = if x >= 0.0 { 1.0 - tail } else { tail };
    (x * below, below + x * bell * PEAK)
}

/// SiLU and its derivative, `s + x s (1 - s)` with `s = sigmoid(x)`.
#[inline(always)]
pub(super) fn silu_and_slope(x: f32) -> (f32, f32) {
    let decay = exp_of_nonpositive(-x.abs());
    let near = 1.0 / (1.0 + decay);
    let far = decay * near;
    let open = if x >= 0.0 { near } else { far };
    (x * open, open + x * near * far)
}

/// Replaces scores by probabilities.
///
/// As in burn, a row with a score that is no number, or infinite scores only, has no number.
pub(super) fn softmax(row: &mut [f32]) {
    let most = largest(row);
    for x in row.iter_mut() {
        *x = exp_of_nonpositive(*x - most);
    }
    let scale = 1.0 / sum(row);
    for x in row {
        *x *= scale;
    }
}

/// Replaces the gradient of a row of probabilities by that of its scores.
pub(super) fn softmax_gradient(probabilities: &[f32], cotangent: &mut [f32]) {
    let mean = dot(probabilities, cotangent);
    for (g, p) in cotangent.iter_mut().zip(probabilities) {
        *g = p * (*g - mean);
    }
}

fn largest(row: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, *x);
        }
    }
    lanes
        .iter()
        .chain(rest)
        .fold(f32::NEG_INFINITY, |most, x| larger(most, *x))
}

fn sum(row: &[f32]) -> f32 {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut lanes = [0.0_f32; LANES];
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += x;
        }
    }
    lanes.iter().chain(rest).sum()
}

/// `sum(a * b)` of two slices of one length.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    let mut lanes = [0.0_f32; LANES];
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From -40 to 40.
    fn sweep() -> Vec<f32> {
        (-5120..=5120).map(|step| step as f32 / 128.0).collect()
    }

    /// Values and slopes, which must be the values that are computed alone.
    fn both(xs: &[f32], function: impl Fn(f32) -> (f32, f32)) -> (Vec<f32>, Vec<f32>) {
        let mut alone = xs.to_vec();
        values(&mut alone, &function);
        let mut ys = xs.to_vec();
        let mut slopes = vec![f32::NAN; xs.len()];
        values_and_slopes(&mut ys, &mut slopes, &function);
        assert_eq!(ys, alone);
        (ys, slopes)
    }

    /// Asserts that `ours` are `expected(x)`, each within `bound(x, expected(x))`.
    #[track_caller]
    fn assert_follows(
        xs: &[f32],
        ours: &[f32],
        expected: impl Fn(f64) -> f64,
        bound: impl Fn(f64, f64) -> f64,
    ) {
        assert_eq!(xs.len(), ours.len());
        for (x, ours) in xs.iter().zip(ours) {
            let (x, ours) = (f64::from(*x), f64::from(*ours));
            let expected = expected(x);
            assert!(
                (ours - expected).abs() <= bound(x, expected),
                "at {x}: {ours}, not {expected}"
            );
        }
    }

    fn density(x: f64) -> f64 {
        (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt()
    }

    /// `P(X <= x)` of a standard normal `X`: Abramowitz and Stegun, 26.2.11 near zero and 26.2.14
    /// in the tails.
    fn below(x: f64) -> f64 {
        if x.abs() < 3.0 {
            let mut term = x;
            let mut series = x;
            for odd in (3..200).step_by(2) {
                term *= x * x / f64::from(odd);
                series += term;
            }
            return 0.5 + density(x) * series;
        }
        let fraction = (1..400)
            .rev()
            .fold(x.abs(), |rest, k| x.abs() + f64::from(k) / rest);
        let tail = density(x) / fraction;
        if x > 0.0 { 1.0 - tail } else { tail }
    }

    #[test]
    fn the_reference_is_the_normal_distribution() {
        for (x, probability) in [
            (0.0, 0.5),
            (1.0, 0.8413447460685429),
            (-1.96, 0.024997895148220435),
            (-5.0, 2.866515718791939e-7),
        ] {
            let off: f64 = below(x) / probability - 1.0;
            assert!(off.abs() < 1e-12, "at {x}");
        }
    }

    #[test]
    fn exponentials_are_off_by_one_unit_at_most() {
        let xs: Vec<f32> = (0..=8700).map(|step| step as f32 / -100.0).collect();
        let ours: Vec<f32> = xs.iter().map(|x| exp_of_nonpositive(*x)).collect();
        assert_follows(&xs, &ours, f64::exp, |_, exp| 1.2e-7 * exp);
        assert_eq!(exp_of_nonpositive(0.0), 1.0);
        for x in [-87.1, -1e9, f32::MIN, f32::NEG_INFINITY] {
            assert_eq!(exp_of_nonpositive(x), 0.0, "at {x}");
        }
        assert!(exp_of_nonpositive(f32::NAN).is_nan());
    }

    #[test]
    fn gelu_and_its_slope_follow_the_normal_distribution() {
        let xs = sweep();
        let (ys, slopes) = both(&xs, gelu_and_slope);
        let bound = |x: f64, value: f64| match x < -12.0 {
            true => 1e-30,
            false => (1e-5 * value.abs()).min(1.5e-7 * x.abs().max(1.0)),
        };
        assert_follows(&xs, &ys, |x| x * below(x), bound);
        let slope = |x: f64| below(x) + x * density(x);
        assert_follows(&xs, &slopes, slope, |_, _| 3e-7);
    }

    #[test]
    fn silu_and_its_slope_follow_the_sigmoid() {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let xs = sweep();
        let (ys, slopes) = both(&xs, silu_and_slope);
        assert_follows(&xs, &ys, |x| x * sigmoid(x), |_, value| 1e-6 * value.abs());
        let slope = |x: f64| sigmoid(x) * (1.0 + x * sigmoid(-x));
        assert_follows(&xs, &slopes, slope, |_, _| 3e-7);
    }

    /// Rows of every length around those that fill vectors.
    #[test]
    fn softmax_and_its_gradient_follow_the_textbook() {
        let number = |place: usize| (place * 37 % 101) as f32 * 0.16 - 8.0;
        for width in 1..=40 {
            let scores: Vec<f32> = (0..width).map(number).collect();
            let cotangent: Vec<f32> = (0..width).map(|place| number(place + 7) / 8.0).collect();
            let powers: Vec<f64> = scores.iter().map(|x| f64::from(*x).exp()).collect();
            let total: f64 = powers.iter().sum();
            let row: Vec<f64> = powers.iter().map(|power| power / total).collect();
            let mean: f64 = row
                .iter()
                .zip(&cotangent)
                .map(|(y, g)| y * f64::from(*g))
                .sum();

            let mut ours = scores;
            softmax(&mut ours);
            for (ours, y) in ours.iter().zip(&row) {
                let off = (f64::from(*ours) - y).abs();
                assert!(off <= 1e-6 * y, "{width} scores: {ours}, not {y}");
            }
            let mut gradient = cotangent.clone();
            softmax_gradient(&ours, &mut gradient);
            for ((ours, y), g) in gradient.iter().zip(&row).zip(&cotangent) {
                let expected = y * (f64::from(*g) - mean);
                let off = (f64::from(*ours) - expected).abs();
                assert!(off <= 1e-6, "{width} scores: {ours}, not {expected}");
            }
        }
    }
}
