//! One module for each task: what a picture is asked for it, how, and which figures follow from
//! the answers. Questions about a picture are asked together, but for captions of the whole of it
//! and for masks that need no answer. What several tasks share: [`cases`] are the questions,
//! [`search`] asks for one mask by a text, [`masks`], [`names`] and [`texts`] turn masks, names and
//! longer texts into figures.

mod box_mask;
mod caption_find;
mod cases;
mod consistency;
mod dlc;
mod gcg;
mod gres;
mod masks;
mod muse;
mod names;
mod reasonseg;
mod region_caption;
mod res;
mod roc;
mod search;
#[cfg(test)]
mod tests;
mod texts;

use serde::de::DeserializeOwned;

use super::{
    asking::Asking,
    error::EvalError,
    matching::muse::MatchingPoints,
    measure::EvalTools,
    metrics::Draws,
    protocol::Task,
    report::Report,
    samples::{Header, PictureSamples, Sample, Samples},
    source::DataKind,
    summary::{Cases, Measured},
};

/// Asks a model everything that the task asks and that has not been asked yet.
pub(super) fn ask(asking: &Asking<'_>, samples: &mut Samples) -> Result<(), EvalError> {
    let (task, seed) = (asking.task, asking.seed);
    match task {
        Task::Res | Task::Gres | Task::ReasonSeg | Task::DlRes => asking.fill(
            samples,
            |entry| cases::expressions(entry, task, seed),
            search::ask,
        ),
        Task::Muse => {
            let points = MatchingPoints::new(seed);
            asking.fill(
                samples,
                |entry| cases::expressions(entry, task, seed),
                |predictor, picture, cases| muse::ask(predictor, picture, cases, &points),
            )
        }
        Task::Roc => asking.fill(samples, |entry| roc::cases(entry, seed), roc::ask),
        Task::Dlc => asking.fill(samples, |entry| dlc::cases(entry, seed), dlc::ask),
        Task::RegionCaption => asking.fill(
            samples,
            |entry| region_caption::cases(entry, seed),
            region_caption::ask,
        ),
        Task::Gcg => asking.fill_one_by_one(samples, |entry| gcg::cases(entry, seed), gcg::ask),
        Task::CaptionFind => asking.fill(
            samples,
            |entry| cases::regions(entry, seed),
            caption_find::ask,
        ),
        Task::BoxMask => {
            asking.fill_one_by_one(samples, |entry| cases::regions(entry, seed), box_mask::ask)
        }
        Task::Consistency => asking.fill_one_by_one(
            samples,
            |entry| consistency::cases(entry, seed),
            consistency::ask,
        ),
    }
}

/// The figures of what was asked.
pub(super) fn measured(samples: &Samples, tools: &EvalTools) -> Result<Measured, EvalError> {
    match samples.header().task {
        Task::Res | Task::DlRes => summed_up(samples, tools, res::figures),
        Task::Gres => summed_up(samples, tools, gres::figures),
        Task::ReasonSeg => summed_up(samples, tools, reasonseg::figures),
        Task::Muse => summed_up(samples, tools, muse::figures),
        Task::Roc => summed_up(samples, tools, roc::figures),
        Task::Dlc => summed_up(samples, tools, dlc::figures),
        Task::RegionCaption => summed_up(samples, tools, region_caption::figures),
        Task::Gcg => summed_up(samples, tools, gcg::figures),
        Task::CaptionFind => summed_up(samples, tools, caption_find::figures),
        Task::BoxMask => summed_up(samples, tools, box_mask::figures),
        Task::Consistency => summed_up(samples, tools, consistency::figures),
    }
}

/// What figures are computed for, and with.
struct Setting<'a> {
    header: &'a Header,
    tools: &'a EvalTools,
}

impl Setting<'_> {
    /// A report of `n` samples without figures.
    fn report(&self, n: usize) -> Report {
        let Header {
            task,
            seed,
            model_sha256,
            ..
        } = self.header;
        Report::new(*task, n, *seed, model_sha256)
    }

    fn is_on_scenes(&self) -> bool {
        self.header.on == DataKind::Scenes
    }

    /// Says so where METEOR is not the published one.
    fn note_meteor(&self, report: &mut Report) {
        if self.tools.meteor_jar.is_none() {
            let lite = "meteor_lite aligns equal words and equal stems only; name meteor-1.5.jar by \
                        --meteor-jar for METEOR as published.";
            report.notes.push(lite.to_owned());
        }
    }
}

/// What came of a task.
struct Figures {
    report: Report,
    /// How good the answer of each sample is, for choosing which to show; higher is better.
    qualities: Vec<Option<f64>>,
}

/// A sample with the picture that it is of.
struct Placed<'a, D> {
    /// The picture's place in the data set.
    place: usize,
    /// Its id.
    id: &'a str,
    sample: &'a Sample<D>,
}

/// All samples in the order of the pictures.
fn placed<D>(pictures: &[PictureSamples<D>]) -> Vec<Placed<'_, D>> {
    let mut all = Vec::new();
    for picture in pictures {
        for sample in &picture.samples {
            all.push(Placed {
                place: picture.picture,
                id: &picture.id,
                sample,
            });
        }
    }
    all
}

/// Draws of whole pictures for a figure over samples of these places.
fn draws(places: impl IntoIterator<Item = usize>, seed: u64) -> Draws {
    let places: Vec<usize> = places.into_iter().collect();
    Draws::by_scene(&places, seed)
}

fn summed_up<D: DeserializeOwned>(
    samples: &Samples,
    tools: &EvalTools,
    figures: impl Fn(&Setting<'_>, &[PictureSamples<D>]) -> Result<Figures, EvalError>,
) -> Result<Measured, EvalError> {
    let header = samples.header();
    let pictures = samples.parsed::<D>()?;
    let setting = Setting { header, tools };
    let Figures {
        mut report,
        qualities,
    } = figures(&setting, &pictures)?;
    report.data_set.clone_from(&header.data_set);
    let refusals = pictures
        .iter()
        .flat_map(|picture| &picture.samples)
        .filter_map(|sample| sample.exchange.refusal.as_deref());
    if let Some(first) = refusals.clone().next() {
        report.notes.push(format!(
            "{} texts were refused and count as answered by nothing, the first of them because: \
             {first}",
            refusals.count()
        ));
    }
    report.broken = samples.broken();
    match report.broken.as_slice() {
        [] => {}
        [only] => report
            .notes
            .push(format!("One picture is broken and was skipped: {only}")),
        [first, ..] => report.notes.push(format!(
            "{} pictures are broken and were skipped, the first of them: {first}",
            report.broken.len()
        )),
    }
    if samples.missing() > 0 {
        report.notes.push(format!(
            "{} of {} pictures have not been asked about yet.",
            samples.missing(),
            header.pictures
        ));
    }
    Ok(Measured {
        model: header.model.clone(),
        data: header.data.clone(),
        on: header.on,
        samples_sha256: samples.sha256(),
        cases: Cases::of(&pictures, &qualities),
        report,
    })
}
