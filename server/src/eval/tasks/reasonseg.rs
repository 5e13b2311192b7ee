//! Questions that have to be reasoned about, to a mask (ReasonSeg).

use super::{
    Figures, Setting,
    masks::{Drawn, every, qualities, with_giou_of_unseen, with_masks},
    placed,
    search::{self, Searched},
};
use crate::eval::{error::EvalError, samples::PictureSamples};

/// gIoU and cIoU as LISA has them, without the pixels that are known to be neither.
pub(super) fn figures(
    setting: &Setting<'_>,
    pictures: &[PictureSamples<Searched>],
) -> Result<Figures, EvalError> {
    let drawn: Vec<Drawn<'_>> = search::drawn(&placed(pictures))?
        .into_iter()
        .map(|(_, drawn)| drawn)
        .collect();
    let all = every(&drawn);
    let report = with_masks(setting.report(all.len()), &all);
    let mut report = with_giou_of_unseen(report, &all);
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
