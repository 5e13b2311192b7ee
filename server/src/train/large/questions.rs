//! What is asked about a picture: conversations drawn from what its record knows.

use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use fclm_core::fclm::FclmTokenizer;
use fclm_core::fclm::prompt::{
    BRIEF_QUESTIONS, CAPTION_QUESTION, CATEGORY_QUESTIONS, DEFAULT_QUESTIONS, NOT_FOUND,
    PICTURE_QUESTIONS, SEG, find, grounded, with_regions,
};
use fclm_core::wire::mention::is_word;

use super::masks::RegionMasks;
use super::recipe::TaskShares;
use crate::data::record::{DescriptionLength, ExpressionKind, PictureRecord};
use crate::train::conversations::{careless, some_number, with_place, wording};
use crate::train::layout::{Turn, TurnKind};

/// How a text of a record begins to name a region.
const REGION: &str = "<region:";
/// Where an answer of a record has a mask.
const MASK: &str = "{seg}";
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

/// A text of a record that something can be asked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Category(usize),
    Description { region: usize, index: usize },
    Question(usize),
    Expression(usize),
    Grounded(usize),
    Caption(usize),
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

/// A text, and the regions that it is about.
fn said(record: &PictureRecord, source: Source) -> (&str, Vec<usize>) {
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
fn sources(record: &PictureRecord, tasks: &TaskShares) -> Vec<(f64, Vec<Source>)> {
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

struct Asker<'a, 'b> {
    record: &'a PictureRecord,
    masks: &'a mut RegionMasks<'b>,
    tokenizer: &'a FclmTokenizer,
    most_regions: usize,
    described: Vec<usize>,
    dropped: Vec<Dropped>,
}

impl Asker<'_, '_> {
    /// A conversation by a text.
    ///
    /// # Errors
    /// Where the text is empty, or needs a mask that cannot be drawn or more regions than are allowed.
    fn turn(&mut self, source: Source, rng: &mut ChaCha8Rng) -> Result<Turn, Reason> {
        let record = self.record;
        match source {
            Source::Category(region) => {
                let category = record.regions[region].category.as_deref();
                let category = category.unwrap_or_default();
                self.describe(region, category, &CATEGORY_QUESTIONS, true, rng)
            }
            Source::Description { region, index } => {
                let description = &record.regions[region].descriptions[index];
                let ways: &[&str] = match description.length {
                    DescriptionLength::Brief => &BRIEF_QUESTIONS,
                    DescriptionLength::Detailed => &DEFAULT_QUESTIONS,
                };
                self.describe(region, &description.text, ways, false, rng)
            }
            Source::Question(place) => self.question(place),
            Source::Expression(place) => self.search(place, rng),
            Source::Grounded(place) => self.grounded(place),
            Source::Caption(place) => Ok(Turn {
                kind: TurnKind::Ask {
                    regions: Vec::new(),
                },
                answer: self.text(&record.captions[place])?,
                question: careless(&wording(&PICTURE_QUESTIONS, rng), rng),
            }),
        }
    }

    fn leave_out(&mut self, text: &str, regions: &[usize], reason: Reason) {
        self.dropped.push(Dropped {
            text: text.to_owned(),
            regions: regions.to_vec(),
            reason,
        });
    }

    /// A text without what the tokenizer would read as a special token.
    ///
    /// # Errors
    /// Where nothing is left.
    fn text(&self, text: &str) -> Result<String, Reason> {
        let clean = self.tokenizer.sanitize(text);
        let clean = clean.trim();
        match clean.is_empty() {
            true => Err(Reason::NoText),
            false => Ok(clean.to_owned()),
        }
    }

    fn describe(
        &mut self,
        region: usize,
        answer: &str,
        ways: &[&str],
        is_category: bool,
        rng: &mut ChaCha8Rng,
    ) -> Result<Turn, Reason> {
        let answer = self.text(answer)?;
        let numbers = self.numbers(&[region])?;
        let region = *numbers.first().ok_or(Reason::NoRegion)?;
        let question = wording(ways, rng);
        Ok(Turn {
            kind: TurnKind::Describe {
                region,
                is_category,
            },
            question: with_place(&question, some_number(rng), rng),
            answer,
        })
    }

    /// The numbers of some regions among the described ones, to which they are added.
    ///
    /// # Errors
    /// Where these would be too many, or one of them cannot be drawn.
    fn numbers(&mut self, regions: &[usize]) -> Result<Vec<usize>, Reason> {
        let new: Vec<usize> = regions
            .iter()
            .copied()
            .filter(|region| !self.described.contains(region))
            .collect();
        if self.described.len() + new.len() > self.most_regions {
            return Err(Reason::TooManyRegions);
        }
        if !new.iter().all(|&region| self.masks.can_be_drawn(&[region])) {
            return Err(Reason::TooFine);
        }
        self.described.extend(new);
        regions
            .iter()
            .map(|region| self.described.iter().position(|known| known == region))
            .collect::<Option<_>>()
            .ok_or(Reason::NoRegion)
    }

    fn question(&mut self, place: usize) -> Result<Turn, Reason> {
        let record = self.record;
        let question = &record.questions[place];
        let mut regions = Vec::new();
        let mut numbered = |text: &str| numbered(text, &mut regions).ok_or(Reason::NoRegion);
        let asked = numbered(&self.text(&question.question)?)?;
        let answer = numbered(&self.text(&question.answer)?)?;
        for &region in &question.regions {
            if !regions.contains(&region) {
                regions.push(region);
            }
        }
        if regions.iter().any(|&region| region >= record.regions.len()) {
            return Err(Reason::NoRegion);
        }
        let described = self.numbers(&regions)?;
        let mentioned: Vec<usize> = (1..=regions.len()).collect();
        let (question, order) = with_regions(&asked, &mentioned, &[]);
        Ok(Turn {
            kind: TurnKind::Ask {
                regions: order
                    .into_iter()
                    .map(|number| described[number - 1])
                    .collect(),
            },
            question,
            answer,
        })
    }

    fn search(&mut self, place: usize, rng: &mut ChaCha8Rng) -> Result<Turn, Reason> {
        let record = self.record;
        let expression = &record.expressions[place];
        let text = self.text(&expression.text)?;
        let (targets, answer) = match (expression.kind, expression.targets.as_slice()) {
            (_, []) => (Vec::new(), NOT_FOUND.to_owned()),
            (ExpressionKind::Reasoning, all) => (vec![all.to_vec()], SEG.to_owned()),
            (ExpressionKind::Short | ExpressionKind::Detailed, [one]) => {
                (vec![vec![*one]], SEG.to_owned())
            }
            (_, several) => self.several(several, expression.answer.as_deref(), &text)?,
        };
        if !targets.iter().all(|target| self.masks.can_be_drawn(target)) {
            return Err(Reason::TooFine);
        }
        Ok(Turn {
            kind: TurnKind::Find { targets },
            question: find(&careless(&text, rng)),
            answer,
        })
    }

    /// Targets and answer of an expression for several regions: the data set's own answer where it has
    /// one, else each region with its category from left to right, or one mask for all where the
    /// categories are not known.
    fn several(
        &mut self,
        targets: &[usize],
        answer: Option<&str>,
        text: &str,
    ) -> Result<(Vec<Vec<usize>>, String), Reason> {
        if targets.len() > MOST_MASKS {
            return Err(Reason::TooManyMasks);
        }
        let each = |targets: &[usize]| targets.iter().map(|&target| vec![target]).collect();
        let answer = answer.and_then(|answer| self.text(answer).ok());
        if let Some(answer) = answer.filter(|answer| answer.matches(MASK).count() == targets.len())
        {
            return Ok((each(targets), answer.replace(MASK, SEG)));
        }
        let record = self.record;
        let mut ordered = targets.to_vec();
        ordered.sort_by(|&a, &b| self.masks.left(a).total_cmp(&self.masks.left(b)));
        let phrases: Option<Vec<String>> = ordered
            .iter()
            .map(|&target| {
                let category = record.regions[target].category.as_deref()?;
                Some(grounded(&self.text(category).ok()?))
            })
            .collect();
        Ok(match phrases {
            Some(phrases) => (each(&ordered), phrases.join(", ")),
            None => (vec![targets.to_vec()], grounded(text)),
        })
    }

    /// A caption with its phrases marked; those whose masks cannot be drawn are plain text.
    fn grounded(&mut self, place: usize) -> Result<Turn, Reason> {
        let record = self.record;
        let caption = &record.grounded[place];
        let characters: Vec<char> = caption.text.chars().collect();
        let piece = |range: std::ops::Range<usize>| -> Result<String, Reason> {
            let piece = characters.get(range).ok_or(Reason::NoText)?;
            Ok(piece.iter().collect())
        };
        let mut answer = String::new();
        let mut targets = Vec::new();
        let mut done = 0;
        for phrase in &caption.phrases {
            answer.push_str(&self.tokenizer.sanitize(&piece(done..phrase.start)?));
            let text = self.tokenizer.sanitize(&piece(phrase.start..phrase.end)?);
            let missing = if targets.len() >= MOST_MASKS {
                Some(Reason::TooManyMasks)
            } else if text.trim().is_empty() {
                Some(Reason::NoText)
            } else {
                let can_be_drawn = self.masks.can_be_drawn(&phrase.targets);
                (!can_be_drawn).then_some(Reason::TooFine)
            };
            match missing {
                None => {
                    answer.push_str(&grounded(&text));
                    targets.push(phrase.targets.clone());
                }
                Some(reason) => {
                    answer.push_str(&text);
                    if !phrase.targets.is_empty() {
                        self.leave_out(&text, &phrase.targets, reason);
                    }
                }
            }
            done = phrase.end;
        }
        answer.push_str(&self.tokenizer.sanitize(&piece(done..characters.len())?));
        if targets.is_empty() {
            return Err(Reason::NoMask);
        }
        Ok(Turn {
            kind: TurnKind::Find { targets },
            question: CAPTION_QUESTION.to_owned(),
            answer: answer.trim().to_owned(),
        })
    }
}

/// The text with `@k` for each `<region:K>`, k counting from 1 in the order in which the regions are
/// first named; they are added to `regions`. None where a place is no number.
fn numbered(text: &str, regions: &mut Vec<usize>) -> Option<String> {
    let mut written = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(REGION) {
        let (before, place) = (&rest[..start], &rest[start + REGION.len()..]);
        let end = place.find('>')?;
        let region: usize = place[..end].parse().ok()?;
        let number = match regions.iter().position(|&known| known == region) {
            Some(known) => known + 1,
            None => {
                regions.push(region);
                regions.len()
            }
        };
        rest = &place[end + 1..];
        written.push_str(before);
        if written.ends_with(is_word) {
            written.push(' ');
        }
        written.push_str(&format!("@{number}"));
        if rest.starts_with(is_word) {
            written.push(' ');
        }
    }
    written.push_str(rest);
    Some(written)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use fclm_core::fclm::prompt::REGION_PLACE;

    use super::*;
    use crate::train::large::tiny;

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

    #[test]
    fn names_of_regions_become_numbers() {
        let mut regions = vec![5];
        let text = numbered("see<region:3>2 and <region:5>, <region:3>", &mut regions);
        assert_eq!(text.as_deref(), Some("see @2 2 and @1, @2"));
        assert_eq!(regions, [5, 3]);
        assert_eq!(numbered("<region:a>", &mut regions), None);
        assert_eq!(numbered("<region:1", &mut regions), None);
    }
}
