use std::path::{Path, PathBuf};

use super::{
    asking::Asking,
    error::EvalError,
    protocol::Task,
    report::Report,
    samples::{Header, Samples},
    source::{Source, absolute},
    summary, tasks,
    text::sentence::SentenceEncoder,
};
use crate::{
    chat_client::ChatClient,
    data::{
        folder::FolderError,
        published::{DEFAULT_LIMIT, Problem},
    },
    predict::Predictor,
};

/// How many questions about a picture are answered together where nothing is said.
pub const DEFAULT_BATCH: usize = 8;

/// What is to be measured, and on what.
#[derive(Debug, Clone)]
pub struct EvalOptions {
    /// What to measure.
    pub task: Task,
    /// A folder of scenes or of pictures; for [`Task::Dlc`] that of DLC-Bench too.
    pub data: PathBuf,
    /// What the data set is called in reports; as its folder where nothing is said.
    pub name: Option<String>,
    /// Measure on the first pictures only.
    pub limit: Option<usize>,
    /// Chooses what is asked of each scene, and draws the intervals.
    pub seed: u64,
    /// How many broken pictures are skipped before that is too much.
    pub limit_broken: u64,
    /// Hears of each of them as soon as it is found; the one that is too many is in the error.
    pub on_skip: fn(&Problem),
    /// How many questions about a picture are answered together. Answers are the same whatever it
    /// is, up to rounding, so samples of several belong together.
    pub batch: usize,
}

impl EvalOptions {
    /// A task on all pictures of a folder, with seed 0.
    pub fn new(task: Task, data: &Path) -> Self {
        Self {
            task,
            data: data.to_owned(),
            name: None,
            limit: None,
            seed: 0,
            limit_broken: DEFAULT_LIMIT,
            on_skip: |_| {},
            batch: DEFAULT_BATCH,
        }
    }
}

/// What some figures need beside the model; those that need what is not there are not computed, or
/// under the name of what stands in for them.
#[derive(Debug, Default)]
pub struct EvalTools {
    /// `all-MiniLM-L6-v2`, for the semantic similarity of names.
    pub sentence_encoder: Option<SentenceEncoder>,
    /// `bert-base-uncased`, for the similarity of phrases.
    pub bert: Option<SentenceEncoder>,
    /// `meteor-1.5.jar`, which `java` runs.
    pub meteor_jar: Option<PathBuf>,
    /// Answers DLC-Bench's questions, and rates the objects of MUSE's answers.
    pub judge: Option<ChatClient>,
}

/// Where samples and reports are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvalOut {
    /// The folder; made where it is not there.
    pub dir: PathBuf,
    /// Whether to go on with samples that are there already; else they are not touched, and that
    /// is an error.
    pub resume: bool,
}

/// Measures a model at a task. `progress` hears how many of how many pictures are finished. Pictures
/// that are broken are skipped, and the report names them.
///
/// # Errors
/// Where too much of the data set is broken or it holds nothing that the task asks about, or the
/// model fails.
pub fn evaluate(
    predictor: &Predictor,
    options: &EvalOptions,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Report, EvalError> {
    evaluate_with(predictor, options, &EvalTools::default(), None, progress)
}

/// As [`evaluate`], with what further figures need, and with the samples kept in a folder, where
/// `report.json` and `report.html` tell what came of all tasks and data sets so far: of every picture
/// whose samples are kept, also where fewer are asked about now.
///
/// # Errors
/// As [`evaluate`]; and where samples cannot be kept or gone on with, or a tool fails.
pub fn evaluate_with(
    predictor: &Predictor,
    options: &EvalOptions,
    tools: &EvalTools,
    out: Option<&EvalOut>,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Report, EvalError> {
    let EvalOptions {
        task,
        data,
        name,
        limit,
        seed,
        limit_broken,
        on_skip,
        batch,
    } = options;
    let source = Source::open(data, *task)?;
    let pictures = limit.unwrap_or(usize::MAX).min(source.count());
    let info = predictor.info();
    let folder = absolute(data.clone()).to_string_lossy().into_owned();
    let mut header = Header::new(
        *task,
        *seed,
        info.name,
        info.sha256,
        (folder, source.kind(), pictures),
    );
    if let Some(name) = name {
        header.data_set.clone_from(name);
    }
    let mut samples = match out {
        None => Samples::in_memory(header),
        Some(out) => Samples::begin(out, header)?,
    };
    let asking = Asking {
        predictor,
        source: &source,
        task: *task,
        seed: *seed,
        pictures,
        limit_broken: *limit_broken,
        on_skip: *on_skip,
        batch: *batch,
        progress,
    };
    tasks::ask(&asking, &mut samples)?;
    let measured = tasks::measured(&samples, tools)?;
    let mut report = measured.report.clone();
    if report.n == 0 {
        let (path, task) = (data.clone(), task.name());
        return Err(match report.broken.first() {
            Some(first) if report.broken.len() == pictures => EvalError::AllBroken {
                path,
                task,
                count: pictures,
                first: first.clone(),
            },
            _ => EvalError::Empty { path, task },
        });
    }
    if let Some(out) = out {
        // The folder's report is about all that it holds, also behind this limit.
        let kept = match samples.take_all() {
            true => tasks::measured(&samples, tools)?,
            false => measured,
        };
        summary::keep(&out.dir, [kept])?;
    }
    report.left_out = source.left_out();
    Ok(report)
}

/// Computes the figures of all samples that a folder holds, and writes its `report.json` and
/// `report.html` anew. Figures that were there of the same samples, and cannot be computed with
/// these tools, stay in both.
///
/// # Errors
/// Where there are no samples, a file is damaged or cannot be written, or a tool fails.
pub fn rebuild_report(dir: &Path, tools: &EvalTools) -> Result<Vec<Report>, EvalError> {
    FolderError::unless_folder(dir)?;
    let mut all = Vec::new();
    for samples in Samples::read_all(dir)? {
        let measured = tasks::measured(&samples, tools)?;
        if measured.report.n > 0 {
            all.push(measured);
        }
    }
    if all.is_empty() {
        return Err(EvalError::NoSamples(dir.to_owned()));
    }
    let reports = all.iter().map(|measured| measured.report.clone()).collect();
    summary::keep(dir, all)?;
    Ok(reports)
}
