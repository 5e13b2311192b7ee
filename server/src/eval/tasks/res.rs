//! Expression to mask: short ones (RefCOCO) and detailed ones (DL-RES).

use super::{
    Figures, Setting,
    masks::{Drawn, with_giou_of, with_giou_of_unseen, with_masks},
    placed,
    search::{self, Searched},
};
use crate::{
    data::scenes::ReferKind,
    eval::{error::EvalError, samples::PictureSamples},
};

/// gIoU and cIoU as LISA has them. On scenes, expressions for what is not there have a figure of
/// their own: to those, who never finds anything is right.
pub(super) fn figures(
    setting: &Setting<'_>,
    pictures: &[PictureSamples<Searched>],
) -> Result<Figures, EvalError> {
    let drawn = search::drawn(&placed(pictures))?;
    let of = |wanted: &dyn Fn(Option<ReferKind>) -> bool| -> Vec<&Drawn<'_>> {
        drawn
            .iter()
            .filter(|&&(kind, _)| wanted(kind))
            .map(|(_, drawn)| drawn)
            .collect()
    };
    let meant = of(&|kind| kind != Some(ReferKind::None));
    let mut report = setting.report(meant.len());
    let kinds = setting.header.task.kinds();
    if setting.is_on_scenes() && kinds.len() > 1 {
        for &kind in kinds {
            let name = match kind {
                ReferKind::Short => "giou_short",
                ReferKind::Detailed => "giou_detailed",
                ReferKind::Several => "giou_several",
                ReferKind::None => "giou_none",
            };
            report = with_giou_of(report, name, &of(&|other| other == Some(kind)));
        }
    }
    // Of several objects some may be held out, and expressions for several are harder: among those, seen
    // and unseen would differ in more than that.
    let single = of(&|kind| !matches!(kind, Some(ReferKind::None | ReferKind::Several)));
    Ok(Figures {
        report: with_giou_of_unseen(with_masks(report, &meant), &single),
        qualities: drawn
            .iter()
            .map(|(_, drawn)| Some(drawn.overlap.iou()))
            .collect(),
    })
}
