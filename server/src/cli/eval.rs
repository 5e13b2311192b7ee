use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::Args;
use fclm_server::eval::{EvalOptions, evaluate_with, protocol::Task};

use super::{
    at_least_one, at_least_zero, eval_options::EvalArgs, heatmaps::draw_heatmaps, model::ModelArg,
    print, show_progress,
};

/// Options of `fclm eval`.
#[derive(Debug, Args)]
pub(crate) struct Eval {
    #[command(flatten)]
    model: ModelArg,
    /// What to measure: res, gres, reasonseg, muse, dl-res, roc, dlc, region-caption, gcg,
    /// caption-find, box-mask or consistency.
    #[arg(long, required_unless_present_any = ["heatmaps", "report"])]
    task: Option<Task>,
    /// A folder of scenes or of pictures, as `fclm data` writes them; for dlc that of DLC-Bench too.
    #[arg(long, value_name = "DIR", required_unless_present = "report")]
    data: Option<PathBuf>,
    /// Measure on the first pictures only.
    #[arg(
        long,
        value_name = "N",
        value_parser = at_least_one::<usize>,
        allow_negative_numbers = true
    )]
    limit: Option<usize>,
    /// Chooses what is asked of each scene, and draws the intervals.
    #[arg(
        long,
        default_value_t = 0,
        value_parser = at_least_zero::<u64>,
        allow_negative_numbers = true
    )]
    seed: u64,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Measure nothing; draw into this new folder where `<pos>` and `[SEG]` look for regions of the
    /// pictures.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["task", "json"])]
    heatmaps: Option<PathBuf>,
    #[command(flatten)]
    further: EvalArgs,
}

impl Eval {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let tools = self.further.tools(&self.model)?;
        if let Some(dir) = self.further.report() {
            return self.further.rebuild(dir, &tools);
        }
        let predictor = self.model.open()?;
        let data = self.data.context("a data set is missing: name --data")?;
        if let Some(out) = &self.heatmaps {
            return draw_heatmaps(&predictor, &data, self.limit, out);
        }
        let task = self
            .task
            .context("what to measure is missing: name a --task")?;
        let options = EvalOptions {
            task,
            data,
            limit: self.limit,
            seed: self.seed,
        };
        let out = self.further.out();
        let progress = |finished, all| show_progress(task.name(), finished, all);
        let report = evaluate_with(&predictor, &options, &tools, out.as_ref(), &progress)?;
        if !report.left_out.is_empty() {
            eprintln!(
                "fclm: {} has what is not understood and was left out: {}",
                options.data.display(),
                report.left_out
            );
        }
        match self.json {
            true => print(report.to_json())?,
            false => print(report.to_string().trim_end())?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
