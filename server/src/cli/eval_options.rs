use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use fclm_server::{
    chat_client::{ApiKey, ChatClient, ChatOptions},
    eval::{
        EvalOut, EvalTools, rebuild_report,
        report::Report,
        text::{
            meteor::{JAVA, MeteorJar},
            sentence::SentenceEncoder,
        },
    },
};

use super::{model::ModelArg, print, tell_retry};

/// Where a judge's answers are kept in the folder of the samples.
const JUDGE_ANSWERS: &str = "judge";

/// What `fclm eval` keeps, and what some of its figures need.
#[derive(Debug, Args)]
pub(super) struct EvalArgs {
    /// Keep every question, answer and mask in this folder, with report.json and report.html about
    /// all tasks and data sets that have been measured into it.
    #[arg(long, value_name = "DIR", conflicts_with = "heatmaps")]
    out: Option<PathBuf>,
    /// Go on with the samples that are in --out already.
    #[arg(long, requires = "out")]
    resume: bool,
    /// Ask no model; compute the figures of all samples that are in this folder, and write its
    /// report anew.
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with_all = ["task", "data", "plan", "limit", "json", "heatmaps", "out"]
    )]
    report: Option<PathBuf>,
    /// The folder of all-MiniLM-L6-v2, for the semantic similarity of roc.
    #[arg(long, value_name = "DIR")]
    sentence_encoder: Option<PathBuf>,
    /// The folder of bert-base-uncased, for the recall of gcg.
    #[arg(long, value_name = "DIR")]
    bert: Option<PathBuf>,
    /// meteor-1.5.jar, which java runs, for METEOR of gcg and region-caption.
    #[arg(long, value_name = "FILE")]
    meteor_jar: Option<PathBuf>,
    /// An OpenAI-compatible endpoint that answers dlc's questions and rates muse's objects, with or without
    /// /chat/completions.
    #[arg(long, value_name = "URL", requires = "judge_model")]
    judge_url: Option<String>,
    /// The judge, as the endpoint calls it.
    #[arg(long, value_name = "NAME", requires = "judge_url")]
    judge_model: Option<String>,
    /// The environment variable with the endpoint's key; where it is not set, no key is sent.
    #[arg(long, value_name = "VAR", default_value = "OPENAI_API_KEY")]
    judge_key_variable: String,
}

impl EvalArgs {
    /// Where samples are kept.
    pub(super) fn out(&self) -> Option<EvalOut> {
        let dir = self.out.clone()?;
        Some(EvalOut {
            dir,
            resume: self.resume,
        })
    }

    /// The folder whose report is all that is wanted.
    pub(super) fn report(&self) -> Option<&Path> {
        self.report.as_deref()
    }

    /// What further figures need, so that what cannot be had is told before anything is measured.
    /// Encoders run on what the model runs on.
    pub(super) fn tools(&self, model: &ModelArg) -> anyhow::Result<EvalTools> {
        let mut tools = EvalTools::default();
        if let Some(folder) = &self.sentence_encoder {
            let encoder = SentenceEncoder::mini_lm(folder, &model.device()?)?;
            tools.sentence_encoder = Some(encoder);
        }
        if let Some(folder) = &self.bert {
            tools.bert = Some(SentenceEncoder::bert(folder, &model.device()?)?);
        }
        if let Some(jar) = &self.meteor_jar {
            MeteorJar::start(Path::new(JAVA), jar)?;
            tools.meteor_jar = Some(jar.clone());
        }
        if let (Some(url), Some(name)) = (&self.judge_url, &self.judge_model) {
            let folder = self.out.as_deref().or(self.report());
            tools.judge = Some(ChatClient::new(ChatOptions {
                key: ApiKey::from_variable(&self.judge_key_variable)?,
                cache: folder.map(|folder| folder.join(JUDGE_ANSWERS)),
                on_retry: tell_retry,
                ..ChatOptions::new(url, name)
            })?);
        }
        Ok(tools)
    }

    /// Writes the report of a folder anew.
    pub(super) fn rebuild(&self, dir: &Path, tools: &EvalTools) -> anyhow::Result<ExitCode> {
        let reports = rebuild_report(dir, tools)?;
        let titles: Vec<String> = reports.iter().map(Report::title).collect();
        let page = dir.join("report.html");
        print(format!("{}: {}", page.display(), titles.join(", ")))?;
        Ok(ExitCode::SUCCESS)
    }
}
