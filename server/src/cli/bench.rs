use std::process::ExitCode;

use clap::Args;
use fclm_server::{bench::bench, engine::FclmBackend, model_dir::ModelDir};

use super::{model::ModelArg, print};

/// Options of `fclm bench`.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    #[command(flatten)]
    model: ModelArg,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl Bench {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let device = self.model.device()?;
        let backend = FclmBackend::load(&ModelDir::open(&self.model.path()?)?, &device)?;
        let report = bench(&backend)?;
        match self.json {
            true => print(serde_json::to_string_pretty(&report)?)?,
            false => print(report.to_string().trim_end())?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
