use fclm_core::fclm::prompt::{REGION_PLACE, SEG};

use super::super::questions::{Asked, Dropped};
use super::super::recipe::LargeRecipe;
use super::{Drawn, LeftOut};
use crate::data::look::figure::number;
use crate::data::look::template::Html;
use crate::data::look::texts::{item, list, numbers};
use crate::train::layout::{Turn, TurnKind};

/// All texts that belong to what is drawn of a picture.
pub(super) fn lists(drawn: &Drawn, recipe: &LargeRecipe) -> Html {
    let Drawn {
        asked,
        packed,
        merged: [rows, columns],
        figures,
    } = drawn;
    let lengths: Vec<usize> = packed
        .conversations()
        .into_iter()
        .map(|slots| slots.len())
        .collect();
    let length = Html::text(format_args!(
        "{} of at most {} tokens, the picture being {columns} x {rows} of them",
        packed.slots.len(),
        recipe.max_length
    ));
    let conversations = asked.turns.iter().zip(&lengths).enumerate();
    let conversations = conversations.flat_map(|(place, (turn, length))| {
        let note = format!("conversation {}, {length} tokens", place + 1);
        conversation(turn, asked, &note)
    });
    let too_long = asked.turns.iter().skip(lengths.len());
    let too_long = too_long.flat_map(|turn| conversation(turn, asked, "left out"));
    [
        list("Length", item(Html::default(), length, "")),
        list("Conversations", conversations.collect()),
        list("Longer than max_length", too_long.collect()),
        dropped(&asked.dropped),
        list("Regions", figures.marks()),
        list("Further regions for <pos>", figures.extra()),
        list("Prompts for SAM", figures.prompts()),
    ]
    .into_iter()
    .collect()
}

/// Why training takes another picture.
pub(super) fn left_out(left_out: &LeftOut) -> Html {
    let reason = format!("Training takes another picture: {}.", left_out.reason);
    let mut all = list("Left out", item(Html::default(), Html::text(reason), ""));
    all.push(&dropped(&left_out.asked.dropped));
    all
}

fn dropped(dropped: &[Dropped]) -> Html {
    let items = dropped.iter().map(|dropped| {
        item(
            numbers(&dropped.regions),
            Html::text(&dropped.text),
            &dropped.reason.to_string(),
        )
    });
    list("Not asked", items.collect())
}

fn conversation(turn: &Turn, asked: &Asked, note: &str) -> [Html; 2] {
    let regions = match &turn.kind {
        TurnKind::Describe { region, .. } => vec![*region],
        TurnKind::Ask { regions } => regions.clone(),
        TurnKind::Find { .. } => Vec::new(),
    };
    let targets: &[Vec<usize>] = match &turn.kind {
        TurnKind::Find { targets } => targets,
        TurnKind::Describe { .. } | TurnKind::Ask { .. } => &[],
    };
    let places = regions
        .iter()
        .filter_map(|&region| asked.described.get(region))
        .map(|&place| number(place));
    let masks = targets.iter().map(|targets| numbers(targets));
    [
        item(
            Html::default(),
            behind(&turn.question, REGION_PLACE, places),
            note,
        ),
        item(Html::default(), behind(&turn.answer, SEG, masks), "answer"),
    ]
}

/// A text with one of `more` behind each place where `sign` stands.
fn behind(text: &str, sign: &str, mut more: impl Iterator<Item = Html>) -> Html {
    let mut shown = Html::default();
    for piece in text.split_inclusive(sign) {
        shown.push(&Html::text(piece));
        if piece.ends_with(sign)
            && let Some(next) = more.next()
        {
            shown.push(&Html::text(" "));
            shown.push(&next);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_behind_their_signs() {
        let more = ["7", "9"].map(Html::text);
        let shown = behind(
            "Is @1 <mask><pos> a cup?",
            REGION_PLACE,
            more.clone().into_iter(),
        );
        assert_eq!(shown.to_string(), "Is @1 &lt;mask&gt;&lt;pos&gt; 7 a cup?");
        let shown = behind("[SEG], [SEG] and [SEG]", SEG, more.into_iter());
        assert_eq!(shown.to_string(), "[SEG] 7, [SEG] 9 and [SEG]");
    }
}
