use std::{
    collections::BTreeSet,
    path::PathBuf,
    process::ExitCode,
    sync::{Mutex, PoisonError},
};

use anyhow::bail;
use clap::Args;
use fclm_server::{
    data::published::{DEFAULT_LIMIT, Problem},
    eval::{
        DEFAULT_BATCH, EvalError, EvalOptions, EvalTools, evaluate_with,
        plan::{Measure, Plan},
        protocol::TaskChoice,
        report::Report,
    },
    predict::Predictor,
};

use super::{
    at_least_one, at_least_zero, data::tell_skipped, eval_options::EvalArgs,
    heatmaps::draw_heatmaps, model::ModelArg, print, refuse, show_progress,
};

/// Options of `fclm eval`.
#[derive(Debug, Args)]
pub(crate) struct Eval {
    #[command(flatten)]
    model: ModelArg,
    /// What to measure: res, gres, reasonseg, muse, dl-res, roc, dlc, region-caption, gcg,
    /// caption-find, box-mask or consistency; several with commas between them; or all, which is
    /// whatever the data set has something to ask for.
    #[arg(
        long,
        value_delimiter = ',',
        required_unless_present_any = ["heatmaps", "report", "plan"]
    )]
    task: Vec<TaskChoice>,
    /// A folder of scenes or of pictures, as `fclm data` writes them; for dlc that of DLC-Bench too.
    #[arg(
        long,
        value_name = "DIR",
        required_unless_present_any = ["report", "plan"]
    )]
    data: Option<PathBuf>,
    /// Measure everything that this file names, one after another, as docs/plans/paper.toml does for
    /// the paper's tables.
    #[arg(
        long,
        value_name = "FILE.toml",
        conflicts_with_all = ["task", "data", "heatmaps"]
    )]
    plan: Option<PathBuf>,
    /// Measure on the first pictures only.
    #[arg(
        long,
        value_name = "N",
        value_parser = at_least_one::<usize>,
        allow_negative_numbers = true
    )]
    limit: Option<usize>,
    /// How many broken pictures are skipped before that is too much.
    #[arg(
        long,
        value_name = "N",
        default_value_t = DEFAULT_LIMIT,
        value_parser = at_least_zero::<u64>,
        allow_negative_numbers = true
    )]
    limit_broken: u64,
    /// How many questions about a picture are answered together. Answers are the same whatever it
    /// is, up to rounding; more of them take more memory.
    #[arg(
        long,
        value_name = "N",
        default_value_t = DEFAULT_BATCH,
        value_parser = at_least_one::<usize>,
        allow_negative_numbers = true
    )]
    batch: usize,
    /// Chooses what is asked of each scene, and draws the intervals.
    #[arg(
        long,
        default_value_t = 0,
        value_parser = at_least_zero::<u64>,
        allow_negative_numbers = true
    )]
    seed: u64,
    /// Print JSON instead of tables: an object, or a list where several things are measured.
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
        if let (Some(out), Some(data)) = (&self.heatmaps, &self.data) {
            let predictor = self.model.open()?;
            return draw_heatmaps(&predictor, data, self.limit, out);
        }
        let of_tasks = |data| Plan::of(&self.task, data);
        let plan = match &self.plan {
            Some(file) => Plan::read(file)?,
            None => self.data.as_deref().map(of_tasks).unwrap_or_default(),
        };
        let round = Round {
            limit: self.limit,
            limit_broken: self.limit_broken,
            batch: self.batch,
            seed: self.seed,
            json: self.json,
            further: &self.further,
        };
        match plan.measures.as_slice() {
            [only] => round.one(&self.model.open()?, &tools, only),
            several => round.several(&self.model.open()?, &tools, several),
        }
    }
}

/// What all measurements of a command share.
#[derive(Debug)]
struct Round<'a> {
    limit: Option<usize>,
    limit_broken: u64,
    batch: usize,
    seed: u64,
    json: bool,
    further: &'a EvalArgs,
}

impl Round<'_> {
    /// Measures one thing, whose failure is the command's.
    fn one(
        &self,
        predictor: &Predictor,
        tools: &EvalTools,
        measure: &Measure,
    ) -> anyhow::Result<ExitCode> {
        let report = self.measure(predictor, tools, measure)?;
        tell_left_out(&report, measure, &mut BTreeSet::new());
        match self.json {
            true => print(report.to_json())?,
            false => print(report.to_string().trim_end())?,
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Measures one thing after another; where one fails, the others are measured all the same, and
    /// the exit code tells of it.
    fn several(
        &self,
        predictor: &Predictor,
        tools: &EvalTools,
        measures: &[Measure],
    ) -> anyhow::Result<ExitCode> {
        let mut code = ExitCode::SUCCESS;
        let mut reports = Vec::new();
        let mut failed = Vec::new();
        let mut told = BTreeSet::new();
        for measure in measures {
            let report = match self.measure(predictor, tools, measure) {
                Ok(report) => report,
                Err(error) if measure.may_be_empty && error.is_nothing_to_ask() => {
                    eprintln!("fclm: {measure}: there is nothing to ask");
                    continue;
                }
                Err(error) => {
                    let error = anyhow::Error::new(error).context(measure.to_string());
                    code = refuse(&error);
                    failed.push(measure.to_string());
                    continue;
                }
            };
            tell_left_out(&report, measure, &mut told);
            if !self.json {
                let gap = if reports.is_empty() { "" } else { "\n" };
                print(format!("{gap}{}", report.to_string().trim_end()))?;
            }
            reports.push(report);
        }
        if failed.is_empty() && reports.is_empty() {
            bail!("there is nothing to ask for any of the tasks");
        }
        if self.json {
            print(Report::list_to_json(&reports))?;
        }
        if !failed.is_empty() {
            let (count, all) = (failed.len(), measures.len());
            eprintln!(
                "fclm: {count} of {all} measurements failed: {}",
                failed.join(", ")
            );
        }
        Ok(code)
    }

    fn measure(
        &self,
        predictor: &Predictor,
        tools: &EvalTools,
        measure: &Measure,
    ) -> Result<Report, EvalError> {
        let options = EvalOptions {
            name: Some(measure.name.clone()),
            limit: self.limit,
            seed: self.seed,
            limit_broken: self.limit_broken,
            on_skip: tell_skipped_once,
            batch: self.batch,
            ..EvalOptions::new(measure.task, &measure.data)
        };
        let title = measure.to_string();
        let progress = |finished, all| show_progress(&title, finished, all);
        let out = self.further.out();
        evaluate_with(predictor, &options, tools, out.as_ref(), &progress)
    }
}

/// Says what of a data set is broken, which several tasks may find, once.
fn tell_skipped_once(problem: &Problem) {
    static TOLD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    if told.insert(problem.to_string()) {
        tell_skipped(problem);
    }
}

/// Says what of a data set is not understood, which several tasks may find, once.
fn tell_left_out(report: &Report, measure: &Measure, told: &mut BTreeSet<String>) {
    if report.left_out.is_empty() {
        return;
    }
    let sentence = format!(
        "{} has what is not understood and was left out: {}",
        measure.data.display(),
        report.left_out
    );
    if !told.contains(&sentence) {
        eprintln!("fclm: {sentence}");
        told.insert(sentence);
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use clap::Parser;

    use super::{super::Cli, *};

    #[test]
    fn the_example_of_a_plan_says_how_its_folders_are_made() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/plans/paper.toml");
        let text = fs::read_to_string(&example).unwrap();
        let mut made = BTreeSet::from(["DLC-Bench"]);
        let comments = text.lines().filter_map(|line| line.strip_prefix("# "));
        for command in comments.filter(|comment| comment.starts_with("fclm data ")) {
            if let Err(error) = Cli::try_parse_from(command.split_whitespace()) {
                panic!("{command}: {error}");
            }
            let (_, out) = command.split_once(" --out ").unwrap();
            made.insert(out.split(' ').next().unwrap());
        }
        for measure in Plan::read(&example).unwrap().measures {
            let folder = measure.data.file_name().unwrap().to_str().unwrap();
            assert!(
                made.contains(folder),
                "nothing makes {folder} for {measure}"
            );
        }
    }
}
