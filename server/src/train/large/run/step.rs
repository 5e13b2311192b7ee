//! One step of a run: pictures are dealt to the copies of the model, and what these find is joined.

use std::time::Instant;

use super::super::counts::Counts;
use super::super::feed::StepPictures;
use super::super::replica::{Replica, StepOutcome, StepTask};
use super::super::sample::HostPicture;
use super::Run;
use crate::train::error::TrainError;
use crate::train::log::StepRecord;
use crate::train::schedule::learning_rate;
use crate::train::terms::{TERMS, Term};

/// Steps after which the copies of the model are compared.
const COMPARE_EVERY: u64 = 100;

impl Run<'_> {
    /// One optimiser step: every copy takes every so-many-th of the pictures.
    pub(super) fn step(&mut self, seconds: f64) -> Result<(), TrainError> {
        let (stage, own_step) = self.recipe.stage_at(self.state.step);
        let rate = learning_rate(&self.recipe.stage(stage).schedule, own_step);
        let StepPictures { pictures, waited } = self.feed.next()?;
        let counts = pictures
            .iter()
            .fold(Counts::default(), |sum, picture| sum + picture.counts);
        let turns: u64 = pictures.iter().map(HostPicture::turns).sum();
        let count = pictures.len() as u64;
        let replaced = pictures.iter().filter(|picture| picture.is_replacement);
        let replaced = replaced.count() as f32 / count as f32;
        let names: Vec<String> = pictures
            .iter()
            .map(|picture| picture.name.clone())
            .collect();
        let mut dealt: Vec<Vec<HostPicture>> = vec![Vec::new(); self.copies.count()];
        for (number, picture) in pictures.into_iter().enumerate() {
            dealt[number % self.copies.count()].push(picture);
        }
        let outcomes = self.copies.all(|number| {
            let task = StepTask {
                stage,
                learning_rate: rate,
                pictures: std::mem::take(&mut dealt[number]),
                counts,
            };
            move |replica: &mut Replica| replica.step(&task)
        })?;
        let (mut terms, norm) = self.settled(outcomes, names)?;
        self.state.step += 1;
        self.state.pictures += count;
        self.state.turns += turns;
        self.state.updates += 1;
        if self.state.step.is_multiple_of(COMPARE_EVERY) {
            self.compare_copies()?;
        }
        let took = self.last.elapsed();
        self.last = Instant::now();
        terms[Term::FeedWait as usize] =
            (waited.as_secs_f64() / took.as_secs_f64().max(1e-9)) as f32;
        terms[Term::Replaced as usize] = replaced;
        self.log.push(&StepRecord {
            step: self.state.step,
            total_steps: self.recipe.total_steps(),
            stage,
            terms,
            norm,
            learning_rate: rate,
            turns,
            scenes: count,
            seconds,
        })
    }

    /// What all copies have found, which is the same for all of them. `names` are those of the step's
    /// pictures, which are blamed together where none of them is to blame alone.
    fn settled(
        &self,
        mut outcomes: Vec<Result<StepOutcome, TrainError>>,
        names: Vec<String>,
    ) -> Result<([f32; TERMS.len()], f64), TrainError> {
        // That a copy has ended is what the others say; its own error says why.
        outcomes.sort_by_key(|outcome| matches!(outcome, Err(TrainError::CopyEnded)));
        let mut blamed: Option<Vec<String>> = None;
        let mut done = None;
        for outcome in outcomes {
            match outcome? {
                StepOutcome::Done { terms, norm } => done = Some((terms, norm)),
                StepOutcome::NotFinite { pictures } => {
                    blamed.get_or_insert_default().extend(pictures);
                }
            }
        }
        done.filter(|_| blamed.is_none()).ok_or_else(|| {
            let blamed = blamed.filter(|pictures| !pictures.is_empty());
            TrainError::NotFinitePictures {
                step: self.state.step,
                pictures: blamed.unwrap_or(names).join(", "),
            }
        })
    }

    pub(super) fn compare_copies(&self) -> Result<(), TrainError> {
        if self.copies.count() < 2 {
            return Ok(());
        }
        let sums = self
            .copies
            .all(|_| |replica: &mut Replica| replica.checksum())?;
        let sums = sums.into_iter().collect::<Result<Vec<f64>, _>>()?;
        match sums.windows(2).all(|pair| pair[0] == pair[1]) {
            true => Ok(()),
            false => Err(TrainError::CopiesDiffer {
                step: self.state.step,
            }),
        }
    }
}
