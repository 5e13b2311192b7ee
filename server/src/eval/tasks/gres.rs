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

/// gIoU, cIoU, N_acc and T_acc as GSVA has them, where a token says that nothing is there. Here an
/// answer without `[SEG]` says so, and one with a blank mask does not; what was refused is wrong
/// either way. Blind, all answers are one mask, or that nothing is there where that is best.
pub(super) fn figures(
    setting: &Setting<'_>,
    pictures: &[PictureSamples<Searched>],
) -> Result<Figures, EvalError> {
    let all = placed(pictures);
    let drawn: Vec<_> = search::drawn(&all)?
        .into_iter()
        .map(|(_, drawn)| drawn)
        .collect();
    let samples = each(&all, |placed, truth| {
        let exchange = &placed.sample.exchange;
        let says_none = match exchange.refusal {
            None => exchange.drawn.is_empty(),
            Some(_) => !truth.is_empty(),
        };
        let size = (truth.width(), truth.height());
        (says_none, exchange.union_drawn(size))
    })?;
    let constant = ConstantMask::best(drawn.iter().map(|drawn| drawn.truth.mask()));
    let blind = each(&all, |_, truth| {
        let mask = constant.at(truth.width(), truth.height());
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
    answer: impl Fn(&Placed<'a, Searched>, &Mask) -> (bool, Mask),
) -> Result<Vec<GresSample>, EvalError> {
    all.iter()
        .map(|placed| {
            let truth = true_mask(placed)?.mask();
            let (says_none, mask) = answer(placed, &truth);
            Ok(GresSample::new(says_none, &mask, &truth))
        })
        .collect()
}
