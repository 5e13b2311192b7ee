//! The texts of a record that something can be asked by.

use super::super::recipe::TaskShares;
use crate::data::record::{DescriptionLength, ExpressionKind, PictureRecord};

/// A text of a record that something can be asked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Category(usize),
    Description { region: usize, index: usize },
    Question(usize),
    Expression(usize),
    Grounded(usize),
    Caption(usize),
}

/// A text, and the regions that it is about.
pub(super) fn said(record: &PictureRecord, source: Source) -> (&str, Vec<usize>) {
    match source {
        Source::Category(place) => {
            let category = record.regions[place].category.as_deref();
            (category.unwrap_or_default(), vec![place])
        }
        Source::Description { region, index } => {
            let description = &record.regions[region].descriptions[index];
            (description.text.as_str(), vec![region])
        }
        Source::Question(place) => {
            let question = &record.questions[place];
            (question.question.as_str(), question.regions.clone())
        }
        Source::Expression(place) => {
            let expression = &record.expressions[place];
            (expression.text.as_str(), expression.targets.clone())
        }
        Source::Grounded(place) => {
            let caption = &record.grounded[place];
            let phrases = caption.phrases.iter();
            let targets = phrases.flat_map(|phrase| phrase.targets.iter().copied());
            (caption.text.as_str(), targets.collect())
        }
        Source::Caption(place) => (record.captions[place].as_str(), Vec::new()),
    }
}

/// The texts of a record by task, with the tasks' shares.
pub(super) fn sources(record: &PictureRecord, tasks: &TaskShares) -> Vec<(f64, Vec<Source>)> {
    let (mut category, mut brief, mut detailed) = (Vec::new(), Vec::new(), Vec::new());
    for (place, region) in record.regions.iter().enumerate() {
        if region.category.is_some() {
            category.push(Source::Category(place));
        }
        for (index, description) in region.descriptions.iter().enumerate() {
            let list = match description.length {
                DescriptionLength::Brief => &mut brief,
                DescriptionLength::Detailed => &mut detailed,
            };
            list.push(Source::Description {
                region: place,
                index,
            });
        }
    }
    let (mut one, mut several, mut none, mut reversed) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (place, expression) in record.expressions.iter().enumerate() {
        let list = match (expression.kind, expression.targets.len()) {
            (_, 0) => &mut none,
            (ExpressionKind::Detailed, 1) => &mut reversed,
            (ExpressionKind::Short, 1) | (ExpressionKind::Reasoning, _) => &mut one,
            _ => &mut several,
        };
        list.push(Source::Expression(place));
    }
    let all = |count: usize, source: fn(usize) -> Source| -> Vec<Source> {
        (0..count).map(source).collect()
    };
    vec![
        (tasks.category, category),
        (tasks.brief, brief),
        (tasks.detailed, detailed),
        (
            tasks.question,
            all(record.questions.len(), Source::Question),
        ),
        (tasks.find, one),
        (tasks.find_several, several),
        (tasks.find_none, none),
        (tasks.reversed, reversed),
        (tasks.grounded, all(record.grounded.len(), Source::Grounded)),
        (tasks.caption, all(record.captions.len(), Source::Caption)),
    ]
}
