use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use fclm_server::eval::{EvalOptions, evaluate, protocol::Task};

use super::{model::ModelArg, print, show_progress};

/// Options of `fclm eval`.
#[derive(Debug, Args)]
pub(crate) struct Eval {
    #[command(flatten)]
    model: ModelArg,
    /// What to measure: roc, res, dl-res, caption-find, box-mask or consistency.
    #[arg(long)]
    task: Task,
    /// A folder of scenes, as `fclm data scenes` writes it.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Measure on the first scenes only.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Chooses what is asked of each scene, and draws the intervals.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl Eval {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let predictor = self.model.open()?;
        let options = EvalOptions {
            task: self.task,
            data: self.data,
            limit: self.limit,
            seed: self.seed,
        };
        let report = evaluate(&predictor, &options, &|finished, all| {
            show_progress(self.task.name(), finished, all);
        })?;
        match self.json {
            true => print(report.to_json())?,
            false => print(report.to_string().trim_end())?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
