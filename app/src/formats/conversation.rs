use fclm_core::wire::{Mode, Region};
use serde_json::{Value, json};

/// A message as it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// Whether a person wrote it.
    pub is_question: bool,
    /// What was asked for.
    pub mode: Mode,
    /// Its text.
    pub text: String,
    /// The regions that a question is about.
    pub region_ids: Vec<String>,
    /// Phrases of an answer with the scores of their masks.
    pub found: Vec<(String, f32)>,
    /// Where the masks are, as COCO RLE.
    pub masks: Vec<Value>,
}

/// A conversation for people.
pub fn conversation_markdown(title: &str, regions: &[Region], turns: &[Turn]) -> String {
    let mut text = format!("# {}\n", line(title));
    if !regions.is_empty() {
        text.push_str("\n## Regions\n\n");
    }
    for (number, region) in (1..).zip(regions) {
        let number: usize = number;
        text.push_str(&format!("- @{number}: {}\n", line(&region.name)));
    }
    text.push_str("\n## Conversation\n");
    for turn in turns {
        let about: Vec<String> = turn
            .region_ids
            .iter()
            .filter_map(|id| regions.iter().position(|region| region.id == *id))
            .map(|index| format!("@{}", index + 1))
            .collect();
        let who = match (turn.is_question, turn.mode) {
            (false, _) => "Answer",
            (true, Mode::Ask) => "Question",
            (true, Mode::Find) => "Find",
            (true, Mode::Caption) => "Caption",
        };
        let about = if about.is_empty() {
            String::new()
        } else {
            format!(" about {}", about.join(", "))
        };
        text.push_str(&format!("\n**{who}{about}**\n\n{}\n", turn.text.trim()));
        for (phrase, score) in &turn.found {
            text.push_str(&format!("- {} ({:.0}%)\n", line(phrase), score * 100.0));
        }
    }
    text
}

/// A conversation for programs, with its regions and masks.
pub fn conversation_json(
    title: &str,
    size: (u32, u32),
    regions: &[Region],
    turns: &[Turn],
) -> String {
    let messages: Vec<Value> = turns
        .iter()
        .map(|turn| {
            let found: Vec<Value> = turn
                .found
                .iter()
                .zip(&turn.masks)
                .map(|((phrase, score), mask)| {
                    json!({ "phrase": phrase, "score": score, "mask": mask })
                })
                .collect();
            json!({
                "role": if turn.is_question { "user" } else { "assistant" },
                "mode": turn.mode,
                "text": turn.text,
                "region_ids": turn.region_ids,
                "found": found,
            })
        })
        .collect();
    let (width, height) = size;
    let value = json!({
        "title": title,
        "image": { "width": width, "height": height },
        "regions": regions,
        "messages": messages,
    });
    format!("{value:#}\n")
}

fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use fclm_core::mask::Mask;

    use super::super::read_regions;
    use super::*;

    fn parts() -> (Vec<Region>, Vec<Turn>) {
        let mask = Mask::rect(4, 3, [1.0, 1.0, 3.0, 2.0]).to_wire();
        let region = Region {
            id: "r1".to_owned(),
            name: "red\nmug".to_owned(),
            color: "#ff0000".to_owned(),
            mask: mask.clone(),
            box_px: None,
            source: fclm_core::wire::MaskSource::Brush,
            score: None,
        };
        let question = Turn {
            is_question: true,
            mode: Mode::Ask,
            text: "what is it?".to_owned(),
            region_ids: vec!["r1".to_owned(), "gone".to_owned()],
            found: Vec::new(),
            masks: Vec::new(),
        };
        let answer = Turn {
            is_question: false,
            text: " a mug ".to_owned(),
            region_ids: Vec::new(),
            found: vec![("a mug".to_owned(), 0.876)],
            masks: vec![json!(mask)],
            ..question
        };
        (vec![region], vec![question, answer])
    }

    #[test]
    fn people_read_who_asked_what() {
        let (regions, turns) = parts();
        assert_eq!(
            conversation_markdown("Table", &regions, &turns),
            "# Table\n\n## Regions\n\n- @1: red mug\n\n## Conversation\n\n\
             **Question about @1**\n\nwhat is it?\n\n**Answer**\n\na mug\n- a mug (88%)\n"
        );
    }

    #[test]
    fn programs_read_regions_and_masks() {
        let (regions, turns) = parts();
        let text = conversation_json("Table", (4, 3), &regions, &turns);
        let value: Value = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!(value["messages"][1]["role"], "assistant");
        assert_eq!(value["messages"][0]["mode"], "ask");
        assert_eq!(value["messages"][1]["found"][0]["phrase"], "a mug");
        let again = read_regions(&text, (4, 3)).expect("its regions are read");
        assert_eq!(again[0].mask.to_wire(), regions[0].mask);
    }
}
