//! Figures of what objects of scenes are called, each beside that of one name for all.

use super::draws;
use crate::{
    data::scenes::{Attributes, parse_category},
    eval::{blind::most_frequent_category, metrics::category_accuracy, report::Report},
};

/// A region of a scene that was named.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named {
    /// The place of its scene in the data set.
    place: usize,
    truth: Attributes,
    is_right: bool,
}

impl Named {
    /// Reads the category that an answer names first.
    pub(super) fn new(place: usize, truth: Attributes, answer: &str) -> Self {
        Self {
            place,
            truth,
            is_right: is_right(&truth, answer),
        }
    }
}

/// Whether an answer names colour, material and shape rightly.
pub(super) fn is_right(truth: &Attributes, answer: &str) -> bool {
    let wanted = (truth.colour, truth.material, truth.shape);
    parse_category(answer) == Some(wanted)
}

/// Adds how many were named right, of all, and of the combinations that were seen in training and
/// those that were held out of it where any of these is there; blind, all are named after the most
/// frequent one.
pub(super) fn with_names(report: Report, named: &[Named]) -> Report {
    let all: Vec<&Named> = named.iter().collect();
    let report = with_accuracy(report, "category_accuracy", &all);
    let (unseen, seen): (Vec<&Named>, Vec<&Named>) =
        all.into_iter().partition(|named| named.truth.is_held_out());
    if unseen.is_empty() {
        return report;
    }
    let report = with_accuracy(report, "category_accuracy_seen", &seen);
    with_accuracy(report, "category_accuracy_unseen", &unseen)
}

fn with_accuracy(report: Report, name: &str, named: &[&Named]) -> Report {
    let draws = draws(named.iter().map(|named| named.place), report.seed);
    let truths: Vec<Attributes> = named.iter().map(|named| named.truth).collect();
    let most_frequent = most_frequent_category(&truths);
    let right: Vec<bool> = named.iter().map(|named| named.is_right).collect();
    let blind: Vec<bool> = truths
        .iter()
        .map(|truth| most_frequent == Some((truth.colour, truth.material, truth.shape)))
        .collect();
    report.with(
        name,
        category_accuracy(&right, &draws),
        category_accuracy(&blind, &draws),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        data::scenes::{Colour, Material, Pattern, Shape, Size},
        eval::protocol::Task,
    };

    fn object(colour: Colour, material: Material, shape: Shape) -> Attributes {
        Attributes {
            size: Size::Small,
            colour,
            material,
            shape,
            pattern: Pattern::Plain,
        }
    }

    #[test]
    fn what_was_held_out_of_training_has_a_figure_of_its_own() {
        let of = |is_held_out: bool| {
            let mut all = Colour::ALL.iter().flat_map(|&colour| {
                let shapes = Shape::ALL.iter();
                shapes.map(move |&shape| object(colour, Material::Glass, shape))
            });
            all.find(|object| object.is_held_out() == is_held_out)
                .unwrap()
        };
        let (seen, unseen) = (of(false), of(true));
        let say = |truth: &Attributes| {
            let words = [
                truth.colour.word(),
                truth.material.word(),
                truth.shape.word(),
            ];
            words.join(" ")
        };
        let named = [
            Named::new(0, seen, &say(&seen)),
            Named::new(1, seen, "a thing"),
            Named::new(2, unseen, &say(&unseen)),
        ];
        let report = with_names(Report::new(Task::Roc, 3, 1, "00"), &named);
        let value = |name: &str| report.metrics[name].estimate.unwrap().value;
        let blind = |name: &str| report.metrics[name].blind.unwrap().value;
        assert!((value("category_accuracy") - 2.0 / 3.0).abs() < 1e-9);
        assert!((blind("category_accuracy") - 2.0 / 3.0).abs() < 1e-9);
        assert_eq!(value("category_accuracy_seen"), 0.5);
        assert_eq!(value("category_accuracy_unseen"), 1.0);
        let report = with_names(Report::new(Task::Roc, 3, 1, "00"), &named[..2]);
        assert_eq!(report.metrics.len(), 1);
    }
}
