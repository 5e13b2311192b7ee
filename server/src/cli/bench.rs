use std::process::ExitCode;

use burn::tensor::Device;
use clap::Args;
use fclm_core::weights::Precision;
use fclm_server::{
    bench::{Part, ShapeOptions, ShapeRow, Shapes, bench, bench_shapes, bench_training},
    engine::FclmBackend,
    model_dir::ModelDir,
};

use super::{at_least_one, model::ModelArg, print, train::read_recipe};

/// Steps of each phase that --training times where no number is given.
const TRAINING_STEPS: u64 = 8;

/// Options of `fclm bench`.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    #[command(flatten)]
    model: ModelArg,
    /// Load no model; time the sizes of this published Qwen2.5-VL and of SAM ViT-H, with random
    /// weights.
    #[arg(long, value_name = "3b|7b", conflicts_with = "model")]
    shapes: Option<Shapes>,
    /// The float type of --shapes; bf16 where it is not given.
    #[arg(long, value_name = "bf16|f32", requires = "shapes", value_parser = precision)]
    dtype: Option<Precision>,
    /// Only these rows of --shapes: encode, prefill, decode.
    #[arg(
        long,
        value_name = "NAME[,NAME..]",
        requires = "shapes",
        value_delimiter = ','
    )]
    only: Vec<Part>,
    /// How often each row of --shapes is timed; 5 times where it is not given.
    #[arg(long, value_name = "N", requires = "shapes", value_parser = at_least_one::<usize>, allow_negative_numbers = true)]
    runs: Option<usize>,
    /// How many tokens --shapes decodes in a run; 64 where it is not given.
    #[arg(long, value_name = "N", requires = "shapes", value_parser = at_least_one::<usize>, allow_negative_numbers = true)]
    tokens: Option<usize>,
    /// Load no model; time training by this recipe, which makes a small model from scratch, beside
    /// plain products of matrices, and tell what share of their rate it reaches.
    #[arg(long, value_name = "nano|micro|FILE.toml", conflicts_with_all = ["model", "shapes"])]
    training: Option<String>,
    /// How many steps of each phase --training times; 8 where it is not given.
    #[arg(long, value_name = "N", requires = "training", value_parser = at_least_one::<u64>, allow_negative_numbers = true)]
    steps: Option<u64>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl Bench {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let device = self.model.device()?;
        if let Some(shapes) = self.shapes {
            return self.run_shapes(shapes, &device);
        }
        if let Some(recipe) = &self.training {
            let (_, recipe) = read_recipe(recipe)?;
            let steps = self.steps.unwrap_or(TRAINING_STEPS);
            let report = bench_training(&recipe, &device, steps)?;
            match self.json {
                true => print(serde_json::to_string_pretty(&report)?)?,
                false => print(report.to_string().trim_end())?,
            }
            return Ok(ExitCode::SUCCESS);
        }
        let backend = FclmBackend::load(&ModelDir::open(&self.model.path()?)?, &device)?;
        let report = bench(&backend)?;
        match self.json {
            true => print(serde_json::to_string_pretty(&report)?)?,
            false => print(report.to_string().trim_end())?,
        }
        Ok(ExitCode::SUCCESS)
    }

    fn run_shapes(self, shapes: Shapes, device: &Device) -> anyhow::Result<ExitCode> {
        let mut options = ShapeOptions::new(shapes, self.dtype.unwrap_or(Precision::Bf16));
        if !self.only.is_empty() {
            options.parts = self.only;
        }
        options.runs = self.runs.unwrap_or(options.runs);
        options.workload.new_tokens = self.tokens.unwrap_or(options.workload.new_tokens);
        // Whoever stops a long measurement has what was done of it.
        let progress = |row: &ShapeRow| eprintln!("{row}");
        let report = bench_shapes(&options, device, &progress)?;
        match self.json {
            true => print(serde_json::to_string_pretty(&report)?)?,
            false => print(report.to_string().trim_end())?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Reads the name of a float type.
fn precision(text: &str) -> Result<Precision, String> {
    match text {
        "bf16" => Ok(Precision::Bf16),
        "f32" => Ok(Precision::F32),
        _ => Err("it must be bf16 or f32".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    #[derive(Debug, Parser)]
    struct Alone {
        #[command(flatten)]
        bench: Bench,
    }

    fn parsed(arguments: &[&str]) -> Result<Bench, clap::Error> {
        let mut line = vec!["bench"];
        line.extend(arguments);
        Alone::try_parse_from(line).map(|alone| alone.bench)
    }

    #[test]
    fn shapes_have_options_of_their_own() {
        let bench = parsed(&[
            "--shapes",
            "7b",
            "--dtype",
            "f32",
            "--only",
            "prefill,decode",
            "--runs",
            "7",
        ])
        .unwrap();
        assert_eq!(bench.shapes, Some(Shapes::Qwen7b));
        assert_eq!(bench.dtype, Some(Precision::F32));
        assert_eq!(bench.only, [Part::Prefill, Part::Decode]);
        assert_eq!(bench.runs, Some(7));
        let whole = [
            "fclm", "bench", "--shapes", "3b", "--device", "cpu", "--json",
        ];
        assert!(Cli::try_parse_from(whole).is_ok());
    }

    #[test]
    fn training_has_options_of_its_own() {
        let bench = parsed(&["--training", "nano", "--steps", "3", "--device", "cpu"]).unwrap();
        assert_eq!(bench.training.as_deref(), Some("nano"));
        assert_eq!(bench.steps, Some(3));
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        for wrong in [
            &["--shapes", "5b"][..],
            &["--shapes", "3b", "--model", "dir"],
            &["--shapes", "3b", "--dtype", "f64"],
            &["--shapes", "3b", "--only", "train"],
            &["--shapes", "3b", "--runs", "0"],
            &["--shapes", "3b", "--runs", "-1"],
            &["--dtype", "bf16"],
            &["--only", "encode"],
            &["--steps", "3"],
            &["--training", "nano", "--steps", "0"],
            &["--training", "nano", "--shapes", "3b"],
            &["--training", "nano", "--model", "dir"],
        ] {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
    }
}
