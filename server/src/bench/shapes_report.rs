use std::fmt;

use fclm_core::weights::Precision;
use serde::Serialize;

use super::Timing;

/// One row: the same work, several times.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShapeRow {
    /// How long it took; of decoding, how long one step took, in which every conversation gets a
    /// token.
    #[serde(flatten)]
    pub timing: Timing,
    /// Tokens that all conversations got in one run; of decoding only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<usize>,
    /// Tokens that all conversations together got in a second; of decoding only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_s: Option<f64>,
    /// MiB of the device that were taken after the last run, buffers that wait to be used again
    /// included, where the device tells.
    pub memory_mib: Option<f64>,
}

/// What was measured at published sizes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShapesReport {
    /// Which sizes.
    pub shapes: String,
    /// The float type of weights and activations.
    pub dtype: Precision,
    /// What it ran on.
    pub device: String,
    /// What the binary was built with for GPUs.
    pub features: Vec<&'static str>,
    /// Seconds until the weights had been drawn.
    pub weights_s: f64,
    /// MiB of the device that they take, where it tells.
    pub weights_mib: Option<f64>,
    /// The rows.
    pub rows: Vec<ShapeRow>,
}

impl ShapesReport {
    /// The features that this binary was built with for GPUs.
    pub(super) fn features() -> Vec<&'static str> {
        [
            ("cuda", cfg!(feature = "cuda")),
            ("autotune", cfg!(feature = "autotune")),
            ("fusion", cfg!(feature = "fusion")),
            ("persistence", cfg!(feature = "persistence")),
        ]
        .into_iter()
        .filter_map(|(name, is_on)| is_on.then_some(name))
        .collect()
    }
}

/// A line of the table.
impl fmt::Display for ShapeRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Timing {
            name,
            runs,
            min_ms,
            median_ms,
            max_ms,
        } = &self.timing;
        let whole = |number: Option<f64>| match number {
            Some(number) => format!("{number:.0}"),
            None => "-".to_owned(),
        };
        let (speed, memory) = (whole(self.tokens_per_s), whole(self.memory_mib));
        write!(
            f,
            "| {name} | {runs} | {min_ms:.2} | {median_ms:.2} | {max_ms:.2} | {speed} | {memory} |"
        )
    }
}

impl fmt::Display for ShapesReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dtype = match self.dtype {
            Precision::F32 => "f32",
            Precision::F16 => "f16",
            Precision::Bf16 => "bf16",
        };
        write!(
            f,
            "{} in {dtype} on {}, random weights",
            self.shapes, self.device
        )?;
        match self.weights_mib {
            Some(memory) => writeln!(f, " of {memory:.0} MiB")?,
            None => writeln!(f)?,
        }
        writeln!(
            f,
            "| work | runs | min ms | median ms | max ms | tokens/s | memory MiB |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        for row in &self.rows {
            writeln!(f, "{row}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(tokens: Option<usize>) -> ShapeRow {
        ShapeRow {
            timing: Timing {
                name: "decode: batch 8".to_owned(),
                runs: 5,
                min_ms: 9.5,
                median_ms: 10.0,
                max_ms: 12.0,
            },
            tokens,
            tokens_per_s: tokens.map(|_| 800.0),
            memory_mib: None,
        }
    }

    #[test]
    fn a_row_is_a_line_of_a_table() {
        assert_eq!(
            row(Some(512)).to_string(),
            "| decode: batch 8 | 5 | 9.50 | 10.00 | 12.00 | 800 | - |"
        );
    }

    /// The script that measures `transformers` reads and writes these names.
    #[test]
    fn a_row_is_flat_in_json() {
        let json = serde_json::to_value(row(Some(512))).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "name": "decode: batch 8", "runs": 5, "min_ms": 9.5, "median_ms": 10.0,
                "max_ms": 12.0, "tokens": 512, "tokens_per_s": 800.0, "memory_mib": null
            })
        );
        let json = serde_json::to_value(row(None)).unwrap();
        assert!(json.get("tokens_per_s").is_none());
    }
}
