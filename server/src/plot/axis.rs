//! Ranges of values with round ticks.

/// Labels have an exponent where the largest of them is from here on,
const LARGE: f64 = 1e6;
/// or below this.
const SMALL: f64 = 1e-3;

/// A range of values that begins and ends at a tick.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    step: f64,
    /// The first tick, in steps.
    first: i64,
    /// How many steps the range is long, at least one.
    steps: i64,
}

impl Axis {
    /// The shortest range that holds all finite values and has at most `most` ticks at multiples of
    /// 1, 2 or 5 times a power of ten; none where no value is finite.
    pub(super) fn covering(values: impl IntoIterator<Item = f64>, most: usize) -> Option<Self> {
        let finite = values.into_iter().filter(|value| value.is_finite());
        let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        if low > high {
            return None;
        }
        let (low, high) = match high - low {
            // One value: a range of its own size about it.
            span if span <= f64::EPSILON * low.abs() => {
                let reach = if low == 0.0 { 1.0 } else { low.abs() / 2.0 };
                (low - reach, high + reach)
            }
            _ => (low, high),
        };
        let intervals = most.max(3) as f64 - 1.0;
        let mut step = round_up((high - low) / intervals);
        loop {
            // A hair of room, because a multiple of the step is not exact.
            let first = (low / step + 1e-9).floor();
            let last = (high / step - 1e-9).ceil();
            if last - first <= intervals {
                return Some(Self {
                    step,
                    first: first as i64,
                    steps: ((last - first) as i64).max(1),
                });
            }
            step = round_up(step * 1.5);
        }
    }

    /// The ticks, in order.
    pub(super) fn ticks(&self) -> impl Iterator<Item = f64> {
        (0..=self.steps).map(|tick| (self.first + tick) as f64 * self.step)
    }

    /// Where a value lies, 0 at the first and 1 at the last tick.
    pub(super) fn share(&self, value: f64) -> f64 {
        (value / self.step - self.first as f64) / self.steps as f64
    }

    /// A tick as a reader sees it.
    pub(super) fn label(&self, tick: f64) -> String {
        let magnitude = |value: f64| value.abs().log10().floor() as i32;
        let place = (self.step * 1.000_001).log10().floor() as i32;
        if tick.abs() < self.step / 2.0 {
            return "0".to_owned();
        }
        let largest = self
            .ticks()
            .fold(0.0_f64, |most, tick| most.max(tick.abs()));
        if !(SMALL..LARGE).contains(&largest) {
            let digits = (magnitude(tick * 1.000_001) - place).max(0) as usize;
            return format!("{tick:.digits$e}");
        }
        let decimals = (-place).max(0) as usize;
        format!("{tick:.decimals$}")
    }
}

/// The least of 1, 2 and 5 times powers of ten that is not below a positive value.
fn round_up(value: f64) -> f64 {
    let power = 10.0_f64.powi(value.log10().floor() as i32);
    let rounded = [1.0, 2.0, 5.0].map(|factor| factor * power);
    let fits = |candidate: &f64| *candidate >= value * (1.0 - 1e-9);
    rounded.into_iter().find(fits).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(values: &[f64], most: usize) -> Vec<String> {
        let axis = Axis::covering(values.iter().copied(), most).unwrap();
        axis.ticks().map(|tick| axis.label(tick)).collect()
    }

    #[test]
    fn ticks_are_round_and_hold_all_values() {
        assert_eq!(labels(&[0.0, 0.97], 5), ["0", "0.5", "1.0"]);
        assert_eq!(
            labels(&[0.13, 0.46], 5),
            ["0.1", "0.2", "0.3", "0.4", "0.5"]
        );
        assert_eq!(
            labels(&[0.0, 3920.0], 5),
            ["0", "1000", "2000", "3000", "4000"]
        );
        assert_eq!(labels(&[-2.0, 9.0], 5), ["-5", "0", "5", "10"]);
        assert_eq!(labels(&[3.0, f64::NAN, 5.0], 3), ["3", "4", "5"]);
    }

    #[test]
    fn small_and_large_ticks_have_an_exponent() {
        assert_eq!(labels(&[0.0, 5.5e-4], 4), ["0", "2e-4", "4e-4", "6e-4"]);
        assert_eq!(labels(&[9e-4, 1.1e-3], 4), ["0.0009", "0.0010", "0.0011"]);
        assert_eq!(labels(&[1e7, 3e7], 3), ["1e7", "2e7", "3e7"]);
    }

    #[test]
    fn one_value_has_a_range_and_none_has_not() {
        let axis = Axis::covering([4.0], 5).unwrap();
        assert_eq!(axis.share(4.0), 0.5);
        let axis = Axis::covering([0.0, 0.0], 5).unwrap();
        assert_eq!(axis.share(0.0), 0.5);
        assert_eq!(Axis::covering([f64::NAN, f64::INFINITY], 5), None);
    }

    #[test]
    fn shares_run_from_the_first_to_the_last_tick() {
        let axis = Axis::covering([0.0, 3920.0], 5).unwrap();
        assert_eq!(axis.share(0.0), 0.0);
        assert_eq!(axis.share(1000.0), 0.25);
        assert_eq!(axis.share(4000.0), 1.0);
    }
}
