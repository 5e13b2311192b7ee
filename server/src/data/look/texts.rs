//! What is said about a picture, as lists.

use super::{figure::number, template::Html};
use crate::data::record::{
    DescriptionLength, ExpressionKind, ExpressionRecord, GroundedRecord, PictureRecord,
    QuestionRecord, RegionRecord,
};

/// How a text of a question begins to name a region.
const REGION: &str = "<region:";

/// All texts of a picture; lists that hold nothing are left out.
pub(super) fn lists(record: &PictureRecord) -> Html {
    let pixels = f64::from(record.width) * f64::from(record.height);
    let regions = record.regions.iter().enumerate();
    let areas = (0..record.regions.len()).map(|place| match record.rle(place) {
        Ok(mask) => 100.0 * mask.area() as f64 / pixels,
        Err(_) => 0.0,
    });
    let lists: [(&str, Html); 5] = [
        (
            "Regions",
            regions
                .zip(areas)
                .map(|((place, region), area)| described(place, region, area))
                .collect(),
        ),
        (
            "Expressions",
            record.expressions.iter().map(expression).collect(),
        ),
        (
            "Questions",
            record.questions.iter().flat_map(question).collect(),
        ),
        (
            "Grounded captions",
            record.grounded.iter().map(grounded).collect(),
        ),
        (
            "Captions",
            record
                .captions
                .iter()
                .map(|text| item(Html::default(), Html::text(text), ""))
                .collect(),
        ),
    ];
    lists
        .into_iter()
        .map(|(name, items)| list(name, items))
        .collect()
}

/// A list with its heading; nothing where it holds nothing.
pub(crate) fn list(name: &str, items: Html) -> Html {
    match items.is_empty() {
        true => items,
        false => Html::piece("list", &[("name", Html::text(name)), ("items", items)]),
    }
}

/// A line for the region itself, and one for each of its descriptions.
fn described(place: usize, region: &RegionRecord, area: f64) -> Html {
    let mut note = format!("id {}, {area:.1} % of the picture", region.id);
    if region.ignore.is_some() {
        note.push_str(", with pixels that are not counted (grey)");
    }
    let category = region.category.as_deref().unwrap_or_default();
    let mut all = item(number(place), Html::text(category), &note);
    for description in &region.descriptions {
        let note = match description.length {
            DescriptionLength::Brief => "brief",
            DescriptionLength::Detailed => "detailed",
        };
        all.push(&item(number(place), Html::text(&description.text), note));
    }
    all
}

fn expression(expression: &ExpressionRecord) -> Html {
    let kind = match expression.kind {
        ExpressionKind::Short => "short",
        ExpressionKind::Detailed => "detailed",
        ExpressionKind::Reasoning => "reasoning",
        ExpressionKind::Multiple => "multiple",
    };
    let mut text = Html::text(&expression.text);
    if let Some(answer) = &expression.answer {
        text.push(&Html::text(format_args!(" Answer: {answer}")));
    }
    let note = match expression.targets.is_empty() {
        true => format!("{kind}, not in this picture"),
        false => kind.to_owned(),
    };
    item(numbers(&expression.targets), text, &note)
}

fn question(question: &QuestionRecord) -> [Html; 2] {
    [
        item(
            numbers(&question.regions),
            named(&question.question),
            "question",
        ),
        item(Html::default(), named(&question.answer), "answer"),
    ]
}

fn grounded(caption: &GroundedRecord) -> Html {
    let characters: Vec<char> = caption.text.chars().collect();
    let part = |start: usize, end: usize| -> String {
        characters
            .get(start..end)
            .unwrap_or_default()
            .iter()
            .collect()
    };
    let (mut text, mut done) = (Html::default(), 0);
    for phrase in &caption.phrases {
        text.push(&Html::text(part(done, phrase.start)));
        text.push(&Html::piece(
            "phrase",
            &[
                ("text", Html::text(part(phrase.start, phrase.end))),
                ("numbers", numbers(&phrase.targets)),
            ],
        ));
        done = phrase.end;
    }
    text.push(&Html::text(part(done, characters.len())));
    item(Html::default(), text, "")
}

/// An entry of a list: what leads it, its text, and a note in small type.
pub(crate) fn item(lead: Html, text: Html, note: &str) -> Html {
    Html::piece(
        "item",
        &[("lead", lead), ("text", text), ("note", Html::text(note))],
    )
}

/// The numbers of some regions, in their colours.
pub(crate) fn numbers(places: &[usize]) -> Html {
    places.iter().map(|&place| number(place)).collect()
}

/// A text in which `<region:K>` is shown as the number of the region.
fn named(text: &str) -> Html {
    let mut shown = Html::default();
    let mut rest = text;
    while let Some(at) = rest.find(REGION) {
        let (before, from) = rest.split_at(at);
        let behind = &from[REGION.len()..];
        let place = behind
            .split_once('>')
            .and_then(|(digits, behind)| Some((digits.parse().ok()?, behind)));
        shown.push(&Html::text(before));
        rest = match place {
            Some((place, behind)) => {
                shown.push(&number(place));
                behind
            }
            None => {
                shown.push(&Html::text(REGION));
                behind
            }
        };
    }
    shown.push(&Html::text(rest));
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a reader sees: the page's text without its tags.
    fn read(html: &Html) -> String {
        let html = html.to_string();
        let words: Vec<&str> = html
            .split('<')
            .map(|piece| piece.split_once('>').map_or(piece, |(_, text)| text))
            .flat_map(str::split_whitespace)
            .collect();
        words.join(" ").replace("&lt;", "<").replace("&gt;", ">")
    }

    #[test]
    fn regions_are_named_by_their_numbers() {
        assert_eq!(read(&named("Is <region:2> a cup?")), "Is 2 a cup?");
        assert_eq!(read(&named("<region:0>, <region:11>")), "0 , 11");
        for plain in [
            "no region",
            "a < b",
            "<region:",
            "<region:x> y",
            "<region:-1>",
        ] {
            assert_eq!(read(&named(plain)), plain);
        }
    }

    #[test]
    fn everything_that_is_said_is_listed() {
        let record = PictureRecord::from_line(
            r#"{"id": "7", "image": "7.jpg", "width": 4, "height": 3, "regions": [
                {"id": "70", "mask": {"size": [3, 4], "counts": [0, 3, 9]}, "category": "cup",
                 "descriptions": [{"text": "A white cup.", "length": "brief"}]}],
             "expressions": [{"text": "the cup", "kind": "short", "targets": [0]},
                {"text": "a <b>", "kind": "multiple", "targets": [], "answer": "{seg}"}],
             "questions": [{"question": "Is <region:0> white?", "answer": "Yes.", "regions": [0]}],
             "grounded": [{"text": "Eine Tüte & a cup.",
                "phrases": [{"start": 12, "end": 17, "targets": [0]}]}],
             "captions": ["A table."]}"#,
        )
        .unwrap();
        let shown = read(&lists(&record));
        assert_eq!(
            shown,
            "Regions 0 cup id 70, 25.0 % of the picture 0 A white cup. brief \
             Expressions 0 the cup short a <b> Answer: {seg} multiple, not in this picture \
             Questions 0 Is 0 white? question Yes. answer \
             Grounded captions Eine Tüte &amp; a cup 0 . Captions A table."
        );
        let empty = PictureRecord::default();
        assert!(lists(&empty).is_empty());
    }
}
