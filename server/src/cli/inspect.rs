use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use fclm_server::model_dir::inspect;

use super::print;

/// Options of `fclm inspect`.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// The model directory.
    model_dir: PathBuf,
    /// Print all of it, the whole configuration included, as JSON.
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let inspection = inspect(&self.model_dir)?;
        match self.json {
            true => print(serde_json::to_string_pretty(&inspection)?)?,
            false => print(inspection)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
