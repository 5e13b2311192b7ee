use std::fmt;
use std::time::Duration;

use fclm_core::wire::ModelInfo;
use serde::Serialize;

/// The times of one operation, in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Timing {
    /// What was timed.
    pub name: String,
    /// How often.
    pub runs: usize,
    /// The shortest.
    pub min_ms: f64,
    /// The one in the middle.
    pub median_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Timing {
    /// Sums up the times of one operation, given in milliseconds.
    pub(super) fn of(name: String, mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        Self {
            name,
            runs: samples.len(),
            min_ms: samples.first().copied().unwrap_or_default(),
            median_ms: samples.get(samples.len() / 2).copied().unwrap_or_default(),
            max_ms: samples.last().copied().unwrap_or_default(),
        }
    }
}

/// What was measured of a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BenchReport {
    /// The model.
    pub model: ModelInfo,
    /// One entry for each operation.
    pub timings: Vec<Timing>,
    /// Most memory that the process held, in MiB, where the system tells.
    pub peak_memory_mib: Option<f64>,
    #[serde(skip)]
    samples: Vec<(String, Vec<f64>)>,
}

impl BenchReport {
    pub(super) fn new(model: ModelInfo) -> Self {
        Self {
            model,
            timings: Vec::new(),
            peak_memory_mib: None,
            samples: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, counts: bool, name: &str, time: Duration) {
        if !counts {
            return;
        }
        let milliseconds = time.as_secs_f64() * 1e3;
        match self.samples.iter_mut().find(|(known, _)| known == name) {
            Some((_, samples)) => samples.push(milliseconds),
            None => self.samples.push((name.to_owned(), vec![milliseconds])),
        }
    }

    pub(super) fn finish(&mut self) {
        self.peak_memory_mib = peak_memory_mib();
        self.timings = std::mem::take(&mut self.samples)
            .into_iter()
            .map(|(name, samples)| Timing::of(name, samples))
            .collect();
    }
}

/// `VmHWM` of Linux's `/proc/self/status`.
fn peak_memory_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}

impl fmt::Display for BenchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} on {}", self.model.name, self.model.device)?;
        writeln!(f, "| operation | runs | min ms | median ms | max ms |")?;
        writeln!(f, "|---|---|---|---|---|")?;
        for timing in &self.timings {
            let Timing {
                name,
                runs,
                min_ms,
                median_ms,
                max_ms,
            } = timing;
            writeln!(
                f,
                "| {name} | {runs} | {min_ms:.1} | {median_ms:.1} | {max_ms:.1} |"
            )?;
        }
        if let Some(memory) = self.peak_memory_mib {
            writeln!(f, "\npeak memory of the process: {memory:.0} MiB")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_time_in_the_middle() {
        let timing = Timing::of("decode".to_owned(), vec![9.0, 1.0, 4.0]);
        assert_eq!(timing.runs, 3);
        assert_eq!(
            [timing.min_ms, timing.median_ms, timing.max_ms],
            [1.0, 4.0, 9.0]
        );
    }
}
