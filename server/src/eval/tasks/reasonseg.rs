//! Questions that have to be reasoned about, to a mask (ReasonSeg).

use std::iter::zip;

use super::{
    Figures, Setting,
    masks::{Drawn, every, qualities, with_giou_of_unseen, with_ious_of, with_masks},
    placed,
    search::{self, Searched},
};
use crate::eval::{error::EvalError, samples::PictureSamples};

/// gIoU and cIoU as LISA has them, without the pixels that are known to be neither, and the same of
/// short and of long queries where it is known which are which.
pub(super) fn figures(
    setting: &Setting<'_>,
    pictures: &[PictureSamples<Searched>],
) -> Result<Figures, EvalError> {
    let placed = placed(pictures);
    let drawn: Vec<Drawn<'_>> = search::drawn(&placed)?
        .into_iter()
        .map(|(_, drawn)| drawn)
        .collect();
    let all = every(&drawn);
    let report = with_masks(setting.report(all.len()), &all);
    let mut report = with_giou_of_unseen(report, &all);
    let of = |wanted: bool| -> Vec<&Drawn<'_>> {
        let sentences = placed.iter().map(|placed| placed.sample.detail.is_sentence);
        zip(sentences, &drawn)
            .filter(|(is_sentence, _)| *is_sentence == Some(wanted))
            .map(|(_, drawn)| drawn)
            .collect()
    };
    let (short, long) = (of(false), of(true));
    if !short.is_empty() || !long.is_empty() {
        report = with_ious_of(report, "short", &short);
        report = with_ious_of(report, "long", &long);
    }
    if setting.is_on_scenes() {
        let stand_in = "Scenes have no questions that need reasoning; short expressions that need \
                        a relation to another object stand in for them.";
        report.notes.push(stand_in.to_owned());
    }
    Ok(Figures {
        report,
        qualities: qualities(&drawn),
    })
}
