use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::error::TrainError;
use super::terms::TERMS;
use crate::disk;

/// Steps over which a line of the log averages.
const EVERY: u64 = 10;

/// Progress: a line for people on stderr and one for programs in `train.jsonl`.
#[derive(Debug)]
pub(super) struct TrainLog {
    path: PathBuf,
    sums: [f64; TERMS.len()],
    /// Steps that computed each term.
    counts: [u32; TERMS.len()],
    norm: f64,
    turns: u64,
    scenes: u64,
    steps: u64,
    since: Instant,
}

impl TrainLog {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            path: folder.join("train.jsonl"),
            sums: [0.0; TERMS.len()],
            counts: [0; TERMS.len()],
            norm: 0.0,
            turns: 0,
            scenes: 0,
            steps: 0,
            since: Instant::now(),
        }
    }

    /// Drops the lines behind a step, which a run that was cut off wrote after its last checkpoint
    /// and will write again.
    pub(super) fn forget_after(&self, step: u64) -> Result<(), TrainError> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(TrainError::io(&self.path)(error)),
        };
        let kept: Vec<&str> = text
            .lines()
            .filter(|line| {
                serde_json::from_str::<Value>(line)
                    .ok()
                    .and_then(|line| line["step"].as_u64())
                    .is_some_and(|logged| logged <= step)
            })
            .collect();
        if kept.len() == text.lines().count() {
            return Ok(());
        }
        let kept: String = kept.iter().flat_map(|line| [line, "\n"]).collect();
        disk::write_whole(&self.path, |file| file.write_all(kept.as_bytes()))
            .map_err(TrainError::io(&self.path))
    }

    /// Takes a step's numbers and writes a line where one is due.
    pub(super) fn push(&mut self, record: &StepRecord) -> Result<(), TrainError> {
        let collected = self.sums.iter_mut().zip(&mut self.counts);
        for ((sum, count), term) in collected.zip(record.terms) {
            if term.is_finite() {
                *sum += f64::from(term);
                *count += 1;
            }
        }
        self.norm += record.norm;
        self.turns += record.turns;
        self.scenes += record.scenes;
        self.steps += 1;
        if !record.step.is_multiple_of(EVERY) {
            return Ok(());
        }
        let seconds = self.since.elapsed().as_secs_f64();
        let steps = self.steps as f64;
        let mut line = Map::new();
        line.insert("step".to_owned(), json!(record.step));
        line.insert("stage".to_owned(), json!(record.stage));
        let means: Vec<(&str, f64)> = TERMS
            .into_iter()
            .zip(self.sums.iter().zip(self.counts))
            .filter(|(_, (_, count))| *count > 0)
            .map(|(name, (sum, count))| (name, sum / f64::from(count)))
            .collect();
        for &(name, mean) in &means {
            line.insert(name.to_owned(), rounded(mean));
        }
        line.insert("grad_norm".to_owned(), rounded(self.norm / steps));
        line.insert("learning_rate".to_owned(), json!(record.learning_rate));
        line.insert(
            "scenes_per_s".to_owned(),
            rounded(self.scenes as f64 / seconds),
        );
        line.insert(
            "turns_per_s".to_owned(),
            rounded(self.turns as f64 / seconds),
        );
        line.insert("seconds".to_owned(), rounded(record.seconds));
        let left = record.total_steps.saturating_sub(record.step) as f64 * seconds / steps;
        let terms: Vec<String> = means
            .iter()
            .map(|(name, mean)| format!("{name} {mean:.3}"))
            .collect();
        eprintln!(
            "step {}/{} stage {} | {} | {:.2} scenes/s, {:.1} turns/s | {} left",
            record.step,
            record.total_steps,
            record.stage,
            terms.join(" "),
            self.scenes as f64 / seconds,
            self.turns as f64 / seconds,
            hours(Duration::from_secs_f64(left)),
        );
        let mut file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
            .map_err(TrainError::io(&self.path))?;
        writeln!(file, "{}", Value::Object(line)).map_err(TrainError::io(&self.path))?;
        *self = Self {
            path: std::mem::take(&mut self.path),
            ..Self::new(Path::new(""))
        };
        Ok(())
    }
}

/// The numbers of one step.
#[derive(Debug)]
pub(super) struct StepRecord {
    pub(super) step: u64,
    pub(super) total_steps: u64,
    pub(super) stage: u8,
    pub(super) terms: [f32; TERMS.len()],
    pub(super) norm: f64,
    pub(super) learning_rate: f64,
    pub(super) turns: u64,
    pub(super) scenes: u64,
    pub(super) seconds: f64,
}

fn rounded(value: f64) -> Value {
    json!((value * 1e5).round() / 1e5)
}

fn hours(left: Duration) -> String {
    let minutes = left.as_secs() / 60;
    format!("{}:{:02} h", minutes / 60, minutes % 60)
}
