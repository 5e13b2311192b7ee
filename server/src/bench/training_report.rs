use std::fmt;

use serde::Serialize;

use crate::train::{COUNTED, PhaseSpeed};

/// How fast one phase is trained.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PhaseRow {
    /// Its speed.
    #[serde(flatten)]
    pub speed: PhaseSpeed,
    /// Its operations a second as a share of those of a large product, computed with as many
    /// threads as there are workers.
    pub of_large: Option<f64>,
}

/// How fast products of one shape are computed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProductRow {
    /// What they are for.
    pub name: String,
    /// Their share of the operations of their phase.
    pub share: Option<f64>,
    /// Pairs of matrices, rows of the first one, what is summed over, columns of the second one.
    pub shape: [usize; 4],
    /// 10^9 floating-point operations a second with each number of threads of the report, or on a
    /// device that has none.
    pub gflop_per_s: Vec<f64>,
}

/// How fast a recipe trains.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrainingReport {
    /// The model that it makes.
    pub model: String,
    /// What it ran on.
    pub device: String,
    /// Shares of a step, each computed on a thread of its own on the CPU.
    pub workers: usize,
    /// The phases.
    pub phases: Vec<PhaseRow>,
    /// How many threads computed the products.
    pub threads: Vec<usize>,
    /// Products, the large one first.
    pub products: Vec<ProductRow>,
}

/// A line of the table.
impl fmt::Display for PhaseRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PhaseSpeed {
            phase,
            steps,
            scenes_per_s,
            feed_wait,
            gflop_per_scene,
            gflop_per_s,
            ..
        } = &self.speed;
        let number = |number: &Option<f64>, digits: usize| match number {
            Some(number) => format!("{number:.digits$}"),
            None => "-".to_owned(),
        };
        write!(
            f,
            "| {phase} | {steps} | {scenes_per_s:.2} | {:.0} % | {} | {} | {} |",
            feed_wait * 100.0,
            number(gflop_per_scene, 2),
            number(gflop_per_s, 1),
            number(&self.of_large, 2),
        )
    }
}

/// A line of the table.
impl fmt::Display for ProductRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [batch, m, k, n] = self.shape;
        let share = match self.share {
            Some(share) => format!("{:.0} %", share * 100.0),
            None => "-".to_owned(),
        };
        write!(f, "| {} | {share} | {batch} | {m} | {k} | {n} |", self.name)?;
        for rate in &self.gflop_per_s {
            write!(f, " {rate:.1} |")?;
        }
        Ok(())
    }
}

impl fmt::Display for TrainingReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "training of {} on {}, a step in {} shares",
            self.model, self.device, self.workers
        )?;
        writeln!(
            f,
            "| phase | steps | scenes/s | waiting for scenes | GFLOP a scene | GFLOP/s | \
             of a large product |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        for row in &self.phases {
            writeln!(f, "{row}")?;
        }
        write!(f, "\n| product | of its phase | pairs | m | k | n |")?;
        match self.threads.as_slice() {
            [] => write!(f, " GFLOP/s |")?,
            threads => {
                for threads in threads {
                    write!(f, " GFLOP/s, threads: {threads} |")?;
                }
            }
        }
        let columns = 6 + self.threads.len().max(1);
        writeln!(f, "\n|{}", "---|".repeat(columns))?;
        for row in &self.products {
            writeln!(f, "{row}")?;
        }
        writeln!(f, "\n{COUNTED}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> TrainingReport {
        TrainingReport {
            model: "fclm-nano".to_owned(),
            device: "CPU (flex)".to_owned(),
            workers: 2,
            phases: vec![PhaseRow {
                speed: PhaseSpeed {
                    phase: "stage 1",
                    steps: 8,
                    scenes_per_s: 3.0,
                    feed_wait: 0.07,
                    gflop_per_scene: Some(20.0),
                    gflop_per_s: Some(60.0),
                    products: Vec::new(),
                },
                of_large: Some(0.3),
            }],
            threads: vec![1, 2],
            products: vec![ProductRow {
                name: "a large one".to_owned(),
                share: None,
                shape: [1, 1024, 1024, 1024],
                gflop_per_s: vec![110.0, 200.0],
            }],
        }
    }

    #[test]
    fn rows_are_lines_of_tables() {
        let text = report().to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[3],
            "| stage 1 | 8 | 3.00 | 7 % | 20.00 | 60.0 | 0.30 |"
        );
        assert_eq!(
            lines[5],
            "| product | of its phase | pairs | m | k | n | GFLOP/s, threads: 1 | \
             GFLOP/s, threads: 2 |"
        );
        assert_eq!(lines[6], "|---|---|---|---|---|---|---|---|");
        assert_eq!(
            lines[7],
            "| a large one | - | 1 | 1024 | 1024 | 1024 | 110.0 | 200.0 |"
        );
    }

    #[test]
    fn what_is_not_counted_has_no_ratio() {
        let mut row = report().phases.remove(0);
        row.speed.gflop_per_scene = None;
        row.speed.gflop_per_s = None;
        row.of_large = None;
        assert_eq!(row.to_string(), "| stage 1 | 8 | 3.00 | 7 % | - | - | - |");
    }
}
