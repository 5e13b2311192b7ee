//! Expressions of one target, of several or of none, to masks or to "not there" (gRefCOCO).

use fclm_core::mask::Mask;

use super::{
    Figures, Placed, Setting, draws,
    masks::{every, true_mask, with_giou_of_unseen},
    placed,
    search::{self, Searched},
};
use crate::eval::{
    blind::ConstantMask,
    error::EvalError,
    gres::{GresFigures, GresSample},
    samples::PictureSamples,
};

/// gIoU, cIoU, N_acc and T_acc as GSVA has them. An answer without a mask says that nothing is
/// there; blind, all answers are one mask, or that nothing is there where that is best.
pub(super) fn figures(
    setting: &Setting<'_>,
    pictures: &[PictureSamples<Searched>],
) -> Result<Figures, EvalError> {
    let all = placed(pictures);
    let drawn: Vec<_> = search::drawn(&all)?
        .into_iter()
        .map(|(_, drawn)| drawn)
        .collect();
    let samples = each(&all, |placed, (width, height)| {
        let exchange = &placed.sample.exchange;
        (
            exchange.drawn.is_empty(),
            exchange.union_drawn((width, height)),
        )
    })?;
    let constant = ConstantMask::best(drawn.iter().map(|drawn| drawn.truth.mask()));
    let blind = each(&all, |_, (width, height)| {
        let mask = constant.at(width, height);
        (mask.is_empty(), mask)
    })?;

    let draws = draws(all.iter().map(|placed| placed.place), setting.header.seed);
    let [own, other] = [&samples, &blind].map(|samples| GresFigures::of(samples, &draws));
    let report = setting
        .report(samples.len())
        .with("giou", own.giou, other.giou)
        .with("ciou", own.ciou, other.ciou)
        .with("n_acc", own.no_target_accuracy, other.no_target_accuracy)
        .with("t_acc", own.target_accuracy, other.target_accuracy);
    Ok(Figures {
        report: with_giou_of_unseen(report, &every(&drawn)),
        qualities: samples.iter().map(|sample| Some(sample.iou())).collect(),
    })
}

/// Compares an answer to each expression, whether it says that nothing is there and the mask, with
/// the truth.
fn each<'a>(
    all: &[Placed<'a, Searched>],
    answer: impl Fn(&Placed<'a, Searched>, (u32, u32)) -> (bool, Mask),
) -> Result<Vec<GresSample>, EvalError> {
    all.iter()
        .map(|placed| {
            let truth = true_mask(placed)?;
            let (says_none, mask) = answer(placed, truth.size());
            Ok(GresSample::new(says_none, &mask, &truth.mask()))
        })
        .collect()
}
