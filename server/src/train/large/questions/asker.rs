//! Conversations by the texts of one picture.

use rand_chacha::ChaCha8Rng;

use fclm_core::fclm::FclmTokenizer;
use fclm_core::fclm::prompt::{
    BRIEF_QUESTIONS, CAPTION_QUESTION, CATEGORY_QUESTIONS, DEFAULT_QUESTIONS, NOT_FOUND,
    PICTURE_QUESTIONS, SEG, find, grounded, with_regions,
};

use super::super::masks::RegionMasks;
use super::numbered::numbered;
use super::source::Source;
use super::{Dropped, MOST_MASKS, Reason};
use crate::data::record::{DescriptionLength, ExpressionKind, PictureRecord};
use crate::train::conversations::{careless, some_number, with_place, wording};
use crate::train::layout::{Turn, TurnKind};

/// Where an answer of a record has a mask.
const MASK: &str = "{seg}";

/// Asks about one picture, and keeps what has been described and dropped so far.
pub(super) struct Asker<'a, 'b> {
    pub(super) record: &'a PictureRecord,
    pub(super) masks: &'a mut RegionMasks<'b>,
    pub(super) tokenizer: &'a FclmTokenizer,
    pub(super) most_regions: usize,
    pub(super) described: Vec<usize>,
    pub(super) dropped: Vec<Dropped>,
}

impl Asker<'_, '_> {
    /// A conversation by a text.
    ///
    /// # Errors
    /// Where the text is empty, or needs a mask that cannot be drawn or more regions than are allowed.
    pub(super) fn turn(&mut self, source: Source, rng: &mut ChaCha8Rng) -> Result<Turn, Reason> {
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

    pub(super) fn leave_out(&mut self, text: &str, regions: &[usize], reason: Reason) {
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
