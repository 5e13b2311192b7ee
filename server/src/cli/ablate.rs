use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, ensure};
use clap::Args;
use fclm_server::{
    ablate::{AblateOptions, Progress, Report, ablate},
    disk::write_to,
};

use super::{
    at_least_one,
    device::DeviceArg,
    interrupt::Interrupt,
    print,
    train::{default_run, read_recipe},
};

/// Options of `fclm ablate`.
#[derive(Debug, Args)]
pub(crate) struct Ablate {
    /// The recipe that is varied: a built-in one (micro, nano), or a file.
    #[arg(long, value_name = "micro|nano|FILE.toml", default_value = "micro")]
    recipe: String,
    /// Folder of checkpoints, models and results, where the command goes on the next time; in the
    /// user's cache where it is not given.
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// How many seeds each variant is trained with.
    #[arg(
        long,
        value_name = "K",
        default_value_t = 3,
        value_parser = at_least_one::<u64>,
        allow_negative_numbers = true
    )]
    seeds: u64,
    /// Only this table (extractor, self-reconstruction, latent, tuning or consistency) or variant;
    /// may be repeated.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Scenes that every run is measured on.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 300,
        value_parser = at_least_one::<u64>,
        allow_negative_numbers = true
    )]
    scenes: u64,
    /// Stop, ready to go on, after this long, as ctrl-c and SIGTERM do.
    #[arg(
        long,
        value_name = "N",
        value_parser = at_least_one::<u32>,
        allow_negative_numbers = true
    )]
    minutes: Option<u32>,
    /// Only compare what has been measured.
    #[arg(long)]
    report: bool,
    /// Print JSON instead of Markdown.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArg,
}

impl Ablate {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let (name, recipe) = read_recipe(&self.recipe)?;
        let run = match self.run {
            Some(run) => run,
            None => default_run("ablate", &name)?,
        };
        let mut code = ExitCode::SUCCESS;
        if self.report {
            ensure!(run.is_dir(), "there is no folder {}", run.display());
        } else {
            let interrupt = Interrupt::listen()?;
            let options = AblateOptions {
                recipe,
                run: run.clone(),
                seeds: self.seeds,
                only: self.only,
                scenes: self.scenes,
                limit: self
                    .minutes
                    .map(|minutes| Duration::from_secs(60 * u64::from(minutes))),
                stop: interrupt.stop(),
                device: self.device.open()?,
            };
            let Progress { measured, planned } = ablate(&options, &|next| eprintln!("{next}"))?;
            if measured < planned {
                eprintln!(
                    "fclm: {measured} of {planned} runs are measured; the same command goes on"
                );
            }
            code = interrupt.exit_code(measured == planned);
            if measured == 0 {
                return Ok(code);
            }
        }
        let report = Report::read(&run)?;
        let (markdown, json) = (report.to_markdown(), report.to_json());
        for (file, text) in [("report.md", &markdown), ("report.json", &json)] {
            let path = run.join(file);
            write_to(&path, text.as_bytes())
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        let shown = if self.json { json } else { markdown };
        print(shown.trim_end())?;
        Ok(code)
    }
}
