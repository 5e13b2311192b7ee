//! What is asked about a picture: conversations drawn from what its record knows.

mod asker;
mod numbered;
mod source;

use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use fclm_core::fclm::FclmTokenizer;

use self::asker::Asker;
use self::source::{said, sources};
use super::masks::RegionMasks;
use super::recipe::TaskShares;
use crate::data::record::PictureRecord;
use crate::train::layout::Turn;

/// Most masks of one answer.
const MOST_MASKS: usize = 16;

/// What is asked of a picture.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    pub(super) turns: Vec<Turn>,
    /// The regions that are described, by their places in the record.
    pub(super) described: Vec<usize>,
    /// What had its turn and is not asked.
    pub(super) dropped: Vec<Dropped>,
}

/// A text that nothing is asked by, or a phrase of a caption that gets no mask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dropped {
    pub(super) text: String,
    /// The regions that it is about, by their places in the record.
    pub(super) regions: Vec<usize>,
    pub(super) reason: Reason,
}

/// Why nothing is asked by a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Reason {
    #[error("a mask of it is empty, or finer than the decoder's map")]
    TooFine,
    #[error("more regions than max_regions would be described")]
    TooManyRegions,
    #[error("more than {} masks would be asked for", MOST_MASKS)]
    TooManyMasks,
    #[error("none of its phrases gets a mask")]
    NoMask,
    #[error("nothing is left of the text")]
    NoText,
    #[error("it names a region that there is not")]
    NoRegion,
}

/// How much is asked of a picture at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) regions: usize,
    pub(super) turns: usize,
}

/// Draws conversations about a picture: each time a task by its share among those that are left, and
/// one of its texts.
pub(super) fn ask(
    record: &PictureRecord,
    masks: &mut RegionMasks<'_>,
    tokenizer: &FclmTokenizer,
    tasks: &TaskShares,
    limits: Limits,
    rng: &mut ChaCha8Rng,
) -> Asked {
    let mut lists = sources(record, tasks);
    lists.iter_mut().for_each(|(_, list)| list.shuffle(rng));
    let mut asker = Asker {
        record,
        masks,
        tokenizer,
        most_regions: limits.regions,
        described: Vec::new(),
        dropped: Vec::new(),
    };
    let mut turns = Vec::new();
    while turns.len() < limits.turns {
        lists.retain(|(share, list)| *share > 0.0 && !list.is_empty());
        let total: f64 = lists.iter().map(|(share, _)| share).sum();
        let mut place = rng.random::<f64>() * total;
        let chosen = lists.iter_mut().find_map(|(share, list)| {
            place -= *share;
            (place < 0.0).then_some(list)
        });
        // Rounding may leave the last one out.
        let source = match chosen {
            Some(list) => list.pop(),
            None => lists.last_mut().and_then(|(_, list)| list.pop()),
        };
        let Some(source) = source else {
            break;
        };
        match asker.turn(source, rng) {
            Ok(turn) => turns.push(turn),
            Err(reason) => {
                let (text, regions) = said(record, source);
                asker.leave_out(text, &regions, reason);
            }
        }
    }
    Asked {
        turns,
        described: asker.described,
        dropped: asker.dropped,
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use fclm_core::fclm::prompt::{NOT_FOUND, REGION_PLACE, SEG};

    use super::*;
    use crate::train::large::tiny;
    use crate::train::layout::TurnKind;

    /// Three squares beside each other.
    fn record(more: &str) -> PictureRecord {
        let region = |left: u32, more: &str| {
            let start = left * 8;
            format!(
                r#"{{"id": "{left}", "mask": {{"size": [8, 24], "counts": [{start}, 64, {}]}}{more}}}"#,
                192 - start - 64
            )
        };
        let texts = r#", "category": "cup", "descriptions":
            [{"text": "A white <mask> cup.", "length": "detailed"},
             {"text": "a cup", "length": "brief"}]"#;
        let regions = [region(0, texts), region(8, ""), region(16, texts)].join(", ");
        let line = format!(
            r#"{{"id": "7", "image": "7.png", "width": 24, "height": 8, "regions": [{regions}]{more}}}"#
        );
        PictureRecord::from_line(&line).unwrap()
    }

    fn asked(record: &PictureRecord, tasks: TaskShares, seed: u64) -> Asked {
        ask(
            record,
            &mut RegionMasks::new(record, 24),
            &tiny::tokenizer().1,
            &tasks,
            Limits {
                regions: 2,
                turns: 6,
            },
            &mut ChaCha8Rng::seed_from_u64(seed),
        )
    }

    fn only(change: fn(&mut TaskShares)) -> TaskShares {
        let mut tasks = TaskShares::default();
        change(&mut tasks);
        tasks
    }

    #[test]
    fn regions_are_described_up_to_the_limit() {
        let record = record("");
        let tasks = only(|tasks| {
            (tasks.category, tasks.brief, tasks.detailed) = (1.0, 1.0, 1.0);
        });
        let asked = asked(&record, tasks, 1);
        assert_eq!(asked.turns.len(), 6);
        let mut described = asked.described.clone();
        described.sort_unstable();
        assert_eq!(described, [0, 2]);
        for turn in &asked.turns {
            assert_eq!(turn.question.matches(REGION_PLACE).count(), 1);
            let TurnKind::Describe {
                region,
                is_category,
            } = turn.kind
            else {
                panic!("{turn:?}");
            };
            assert!(region < 2);
            assert_eq!(is_category, turn.answer == "cup");
            assert!(!turn.answer.contains("<mask>"), "{turn:?}");
        }
    }

    #[test]
    fn questions_introduce_their_regions_where_they_are_named() {
        let more = r#", "questions": [{"question": "Is <region:2> left of<region:1>?",
            "answer": "No, <region:1> is.", "regions": [2, 1]}]"#;
        let asked = asked(&record(more), only(|tasks| tasks.question = 1.0), 1);
        assert_eq!(asked.described, [2, 1]);
        let [turn] = asked.turns.as_slice() else {
            panic!("{asked:?}");
        };
        assert_eq!(turn.question, "Is @1 <mask><pos> left of @2 <mask><pos>?");
        assert_eq!(turn.answer, "No, @2 is.");
        let regions = vec![0, 1];
        assert_eq!(turn.kind, TurnKind::Ask { regions });
        // Three regions are more than are allowed.
        let many = more.replace("[2, 1]", "[2, 1, 0]");
        let asked = self::asked(&record(&many), only(|tasks| tasks.question = 1.0), 1);
        assert!(asked.turns.is_empty() && asked.described.is_empty());
        let dropped = Dropped {
            text: "Is <region:2> left of<region:1>?".to_owned(),
            regions: vec![2, 1, 0],
            reason: Reason::TooManyRegions,
        };
        assert_eq!(asked.dropped, [dropped]);
    }

    #[test]
    fn expressions_ask_for_the_masks_that_they_mean() {
        let more = r#", "expressions": [
            {"text": "cup", "kind": "short", "targets": [2]},
            {"text": "dog", "kind": "short", "targets": []},
            {"text": "cups", "kind": "short", "targets": [2, 0]},
            {"text": "both", "kind": "short", "targets": [2, 1]},
            {"text": "what holds tea?", "kind": "reasoning", "targets": [0, 2]},
            {"text": "white cup", "kind": "detailed", "targets": [0]},
            {"text": "which?", "kind": "multiple", "targets": [1, 0],
             "answer": "The jug {seg} and the cup {seg}."}]"#;
        let tasks = only(|tasks| {
            (tasks.find, tasks.find_several) = (1.0, 1.0);
            (tasks.find_none, tasks.reversed) = (1.0, 1.0);
        });
        let record = record(more);
        let mut found = Vec::new();
        for seed in 0..12 {
            for turn in asked(&record, tasks, seed).turns {
                let question = turn.question.to_lowercase();
                let question = question.trim_end_matches('?').to_owned();
                let TurnKind::Find { targets } = turn.kind else {
                    panic!("{turn:?}");
                };
                let entry = (question, targets, turn.answer);
                if !found.contains(&entry) {
                    found.push(entry);
                }
            }
        }
        found.sort();
        let entry = |question: &str, targets: &[&[usize]], answer: &str| {
            let targets: Vec<Vec<usize>> = targets.iter().map(|target| target.to_vec()).collect();
            (format!("find: {question}"), targets, answer.to_owned())
        };
        let cups = "<p>cup</p>[SEG], <p>cup</p>[SEG]";
        let own = "The jug [SEG] and the cup [SEG].";
        assert_eq!(
            found,
            [
                entry("both", &[&[2, 1]], "<p>both</p>[SEG]"),
                entry("cup", &[&[2]], SEG),
                entry("cups", &[&[0], &[2]], cups),
                entry("dog", &[], NOT_FOUND),
                entry("what holds tea", &[&[0, 2]], SEG),
                entry("which", &[&[1], &[0]], own),
                entry("white cup", &[&[0]], SEG),
            ]
        );
    }

    #[test]
    fn captions_keep_the_phrases_that_can_be_drawn() {
        let more = r#", "captions": ["Three things."], "grounded":
            [{"text": "A cup and x, here.", "phrases": [{"start": 0, "end": 5, "targets": [0, 2]},
              {"start": 10, "end": 11, "targets": []}]}]"#;
        let tasks = only(|tasks| (tasks.grounded, tasks.caption) = (1.0, 1.0));
        let asked = asked(&record(more), tasks, 1);
        let mut answers: Vec<&str> = asked
            .turns
            .iter()
            .map(|turn| turn.answer.as_str())
            .collect();
        answers.sort_unstable();
        assert_eq!(answers, ["<p>A cup</p>[SEG] and x, here.", "Three things."]);
        let of_caption = asked.turns.iter().find_map(|turn| match &turn.kind {
            TurnKind::Find { targets } => Some(targets.clone()),
            _ => None,
        });
        assert_eq!(of_caption, Some(vec![vec![0, 2]]));
        // What a task has no share in is not asked.
        assert!(self::asked(&record(more), only(|_| ()), 1).turns.is_empty());
    }

    #[test]
    fn what_is_too_fine_is_told() {
        let more = r#", "grounded": [{"text": "A cup.", "phrases":
            [{"start": 0, "end": 5, "targets": [0]}]}]"#;
        let record = record(more);
        // A region takes a ninth of the only cell.
        let asked = ask(
            &record,
            &mut RegionMasks::new(&record, 1),
            &tiny::tokenizer().1,
            &only(|tasks| (tasks.grounded, tasks.category) = (1.0, 1.0)),
            Limits {
                regions: 2,
                turns: 6,
            },
            &mut ChaCha8Rng::seed_from_u64(1),
        );
        assert!(asked.turns.is_empty());
        let mut dropped: Vec<(&str, &[usize], Reason)> = asked
            .dropped
            .iter()
            .map(|dropped| (&dropped.text[..], &dropped.regions[..], dropped.reason))
            .collect();
        dropped.sort_by_key(|(text, regions, _)| (*text, regions[0]));
        assert_eq!(
            dropped,
            [
                ("A cup", &[0][..], Reason::TooFine),
                ("A cup.", &[0][..], Reason::NoMask),
                ("cup", &[0][..], Reason::TooFine),
                ("cup", &[2][..], Reason::TooFine),
            ]
        );
    }

    #[test]
    fn shares_are_kept() {
        let mut record = record("");
        record.captions = vec!["Three things.".to_owned(); 400];
        record.questions = vec![
            crate::data::record::QuestionRecord {
                question: "What?".to_owned(),
                answer: "Cups.".to_owned(),
                regions: Vec::new(),
            };
            400
        ];
        let tasks = only(|tasks| (tasks.question, tasks.caption) = (3.0, 1.0));
        let limits = Limits {
            regions: 1,
            turns: 300,
        };
        let asked = ask(
            &record,
            &mut RegionMasks::new(&record, 24),
            &tiny::tokenizer().1,
            &tasks,
            limits,
            &mut ChaCha8Rng::seed_from_u64(3),
        );
        let questions = asked.turns.iter().filter(|turn| turn.answer == "Cups.");
        let count = questions.count();
        assert!((190..260).contains(&count), "{count}");
    }
}
