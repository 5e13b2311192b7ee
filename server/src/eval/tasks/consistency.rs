//! A region through `<pos>` back to its mask, and how near `[SEG]` of its description and `<pos>`
//! of it are.

use std::{iter::zip, rc::Rc};

use fclm_core::mask::Mask;
use serde::{Deserialize, Serialize};

use super::{
    Figures, Placed, Setting,
    cases::{self, AskedRegion},
    draws,
    masks::{Drawn, every, qualities, with_giou_of_unseen, with_masks},
    placed,
};
use crate::{
    eval::{
        error::EvalError,
        metrics::{Overlap, mean, share},
        report::Report,
        samples::{Exchange, MarkedMask, PictureSamples, Sample, StoredMask, finite},
        source::Entry,
        text::sentence::cosine,
    },
    predict::{Picture, PredictError, Predictor},
};

/// A region with its description and with all regions of its picture.
pub(super) struct AskedLatents {
    region: AskedRegion,
    text: String,
    /// The masks of all regions of which something is seen.
    seen: Rc<Vec<Mask>>,
    /// Place of the region among them.
    own: usize,
}

/// What a region's tokens are judged by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Aligned {
    is_held_out: Option<bool>,
    overlap: Overlap,
    iou: f64,
    /// Place of the region among those of `pos`.
    own: usize,
    /// `T_seg` of its description.
    seg: Vec<f32>,
    /// `T_pos` of each region of the picture.
    pos: Vec<Vec<f32>>,
}

/// The regions of a picture of which a detailed description is known.
pub(super) fn cases(entry: &Entry<'_>, seed: u64) -> Vec<AskedLatents> {
    let mut regions = cases::regions(entry, seed);
    regions.retain(|region| !region.detailed.is_empty());
    if regions.is_empty() {
        return Vec::new();
    }
    // Objects that are wholly hidden have no region to be compared with.
    let (places, seen): (Vec<usize>, Vec<Mask>) = cases::masks(entry)
        .into_iter()
        .enumerate()
        .filter(|(_, mask)| !mask.is_empty())
        .unzip();
    let seen = Rc::new(seen);
    let with_others = |mut region: AskedRegion| {
        Some(AskedLatents {
            text: region.detailed.swap_remove(0),
            own: places.iter().position(|&place| place == region.own)?,
            seen: Rc::clone(&seen),
            region,
        })
    };
    regions.into_iter().filter_map(with_others).collect()
}

pub(super) fn ask(
    predictor: &Predictor,
    picture: &mut Picture,
    case: AskedLatents,
) -> Result<Sample<Aligned>, PredictError> {
    let AskedLatents {
        region,
        text,
        seen,
        own,
    } = case;
    let drawn = predictor.reconstruct(picture, &[&region.mask])?;
    let drawn = drawn.into_iter().next().flatten();
    let all: Vec<&Mask> = seen.iter().collect();
    let latents = predictor.latents(picture, &text, &all)?;
    let truth = &region.mask;
    let overlap = match &drawn {
        Some(drawn) => Overlap::of(&drawn.mask, truth),
        None => Overlap::of(&Mask::new(truth.width(), truth.height()), truth),
    };
    let finite = |vector: Vec<f32>| -> Vec<f32> { vector.into_iter().map(finite).collect() };
    Ok(Sample {
        exchange: Exchange {
            asked: text,
            region: Some(StoredMask::of(truth)),
            truths: vec![MarkedMask::truth(truth, None)],
            drawn: drawn.iter().map(MarkedMask::scored).collect(),
            ..Exchange::default()
        },
        detail: Aligned {
            is_held_out: region.attributes.map(|truth| truth.is_held_out()),
            overlap,
            iou: overlap.iou(),
            own,
            seg: finite(latents.seg),
            pos: latents.pos.into_iter().map(finite).collect(),
        },
    })
}

/// How well regions are drawn back from `<pos>`, and how near `T_seg` of a region's description
/// lies to `T_pos` of that region and of the others in its picture; blind, every description has
/// the mean of all `T_seg`.
pub(super) fn figures(
    setting: &Setting<'_>,
    pictures: &[PictureSamples<Aligned>],
) -> Result<Figures, EvalError> {
    let all = placed(pictures);
    let mut drawn = Vec::new();
    for placed in &all {
        let detail = &placed.sample.detail;
        if detail.own >= detail.pos.len() {
            return Err(EvalError::Sample {
                picture: placed.id.to_owned(),
                reason: "a region is not among those of its picture".to_owned(),
            });
        }
        drawn.push(Drawn::of(placed, detail.overlap, detail.is_held_out)?);
    }
    let every = every(&drawn);
    let report = with_cosines(setting.report(all.len()), &all);
    Ok(Figures {
        report: with_giou_of_unseen(with_masks(report, &every), &every),
        qualities: qualities(&drawn),
    })
}

fn with_cosines(report: Report, all: &[Placed<'_, Aligned>]) -> Report {
    let seed = report.seed;
    let details: Vec<&Aligned> = all.iter().map(|placed| &placed.sample.detail).collect();
    let constant = mean_vector(details.iter().map(|detail| detail.seg.as_slice()));
    let own = Cosines::of(&details, |detail| &detail.seg);
    let blind = Cosines::of(&details, |_| &constant);
    let accompanied = zip(all, &details).filter(|(_, detail)| detail.pos.len() > 1);
    let accompanied = draws(accompanied.map(|(placed, _)| placed.place), seed);
    let every = draws(all.iter().map(|placed| placed.place), seed);
    report
        .with(
            "cosine_same",
            mean(&own.same, &every),
            mean(&blind.same, &every),
        )
        .with(
            "cosine_other",
            mean(&own.other, &accompanied),
            mean(&blind.other, &accompanied),
        )
        .with(
            "cosine_margin",
            mean(&own.margin, &accompanied),
            mean(&blind.margin, &accompanied),
        )
        .with(
            "same_is_nearest",
            share(&own.is_nearest, &accompanied),
            share(&blind.is_nearest, &accompanied),
        )
}

#[derive(Debug, Default)]
struct Cosines {
    same: Vec<f64>,
    /// Mean over the picture's other regions, for samples that have such.
    other: Vec<f64>,
    margin: Vec<f64>,
    is_nearest: Vec<bool>,
}

impl Cosines {
    fn of<'a>(details: &[&'a Aligned], seg: impl Fn(&'a Aligned) -> &'a [f32]) -> Self {
        let mut cosines = Self::default();
        for &detail in details {
            let text = seg(detail);
            let near: Vec<f64> = detail.pos.iter().map(|pos| cosine(text, pos)).collect();
            let same = near[detail.own];
            cosines.same.push(same);
            let others = near
                .iter()
                .enumerate()
                .filter(|&(place, _)| place != detail.own);
            let others: Vec<f64> = others.map(|(_, &other)| other).collect();
            if others.is_empty() {
                continue;
            }
            let other = others.iter().sum::<f64>() / others.len() as f64;
            cosines.other.push(other);
            cosines.margin.push(same - other);
            cosines
                .is_nearest
                .push(others.iter().all(|&other| same > other));
        }
        cosines
    }
}

/// Mean of the directions of vectors.
fn mean_vector<'a>(vectors: impl Iterator<Item = &'a [f32]>) -> Vec<f32> {
    let mut sum: Vec<f32> = Vec::new();
    for vector in vectors {
        sum.resize(vector.len(), 0.0);
        let squares = vector.iter().map(|&value| f64::from(value).powi(2));
        let length = squares.sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
        for (total, &value) in sum.iter_mut().zip(vector) {
            *total += (f64::from(value) / length) as f32;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::protocol::Task;

    fn sample(seg: [f32; 2], own: usize, pos: &[[f32; 2]]) -> Sample<Aligned> {
        Sample {
            exchange: Exchange::default(),
            detail: Aligned {
                is_held_out: None,
                overlap: Overlap::default(),
                iou: 1.0,
                own,
                seg: seg.to_vec(),
                pos: pos.iter().map(|pos| pos.to_vec()).collect(),
            },
        }
    }

    fn report(samples: &[Sample<Aligned>]) -> Report {
        let all: Vec<Placed<'_, Aligned>> = samples
            .iter()
            .enumerate()
            .map(|(place, sample)| Placed {
                place,
                id: "a",
                sample,
            })
            .collect();
        with_cosines(Report::new(Task::Consistency, all.len(), 3, "00"), &all)
    }

    fn value(report: &Report, name: &str) -> f64 {
        report.metrics[name].estimate.unwrap().value
    }

    #[test]
    fn cosines_by_hand() {
        let pos = [[2.0, 0.0], [0.0, 1.0]];
        let report = report(&[sample([3.0, 0.0], 0, &pos), sample([1.0, 0.0], 1, &pos)]);
        assert_eq!(value(&report, "cosine_same"), 0.5);
        assert_eq!(value(&report, "cosine_other"), 0.5);
        assert_eq!(value(&report, "cosine_margin"), 0.0);
        assert_eq!(value(&report, "same_is_nearest"), 0.5);
        assert!(report.metrics["cosine_same"].blind.is_some());
    }

    #[test]
    fn a_region_alone_in_its_picture_has_no_others() {
        let report = report(&[sample([1.0, 0.0], 0, &[[1.0, 0.0]])]);
        assert_eq!(value(&report, "cosine_same"), 1.0);
        assert_eq!(report.metrics["cosine_margin"].estimate, None);
    }
}
