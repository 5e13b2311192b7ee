use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::dashboard::Dashboard;
use super::error::TrainError;
use super::plot;
use super::terms::TERMS;
use crate::disk;

/// Steps over which a line of the log averages.
const EVERY: u64 = 10;

/// Progress: a line for people on stderr or a dashboard that fills their terminal, a line for
/// programs in `train.jsonl`, and charts of those lines.
#[derive(Debug)]
pub(super) struct TrainLog {
    path: PathBuf,
    window: Window,
    dashboard: Option<Dashboard>,
    /// The newest line for people.
    shown: Option<String>,
}

/// The steps since the last line.
#[derive(Debug)]
struct Window {
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
            window: Window::new(),
            dashboard: None,
            shown: None,
        }
    }

    /// Fills the terminal with a dashboard from now on, in place of lines.
    pub(super) fn open_dashboard(&mut self, label: &str, total_steps: u64) {
        self.dashboard = Dashboard::open(label, total_steps);
    }

    /// Gives the terminal back, with the newest line on it.
    pub(super) fn close_dashboard(&mut self) {
        if self.dashboard.take().is_some()
            && let Some(shown) = &self.shown
        {
            eprintln!("{shown}");
        }
    }

    /// Whether somebody has asked the dashboard to stop the run.
    pub(super) fn is_stopped(&self) -> bool {
        self.dashboard.as_ref().is_some_and(Dashboard::is_stopped)
    }

    /// Draws `train.svg` beside the log.
    pub(super) fn write_plot(&self) -> Result<(), TrainError> {
        plot::write(&self.path)
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

    /// Takes a step's numbers and writes a line where one is due: every few steps and at the last.
    pub(super) fn push(&mut self, record: &StepRecord) -> Result<(), TrainError> {
        self.window.add(record);
        if let Some(dashboard) = &mut self.dashboard {
            dashboard.show_step(record);
        }
        if !record.step.is_multiple_of(EVERY) && record.step < record.total_steps {
            return Ok(());
        }
        let seconds = self.window.since.elapsed().as_secs_f64();
        let (shown, logged) = self.window.lines(record, seconds);
        match &mut self.dashboard {
            Some(dashboard) => dashboard.show_speeds(&logged),
            None => eprintln!("{shown}"),
        }
        let mut file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
            .map_err(TrainError::io(&self.path))?;
        writeln!(file, "{logged}").map_err(TrainError::io(&self.path))?;
        self.shown = Some(shown);
        self.window = Window::new();
        Ok(())
    }
}

impl Window {
    fn new() -> Self {
        Self {
            sums: [0.0; TERMS.len()],
            counts: [0; TERMS.len()],
            norm: 0.0,
            turns: 0,
            scenes: 0,
            steps: 0,
            since: Instant::now(),
        }
    }

    fn add(&mut self, record: &StepRecord) {
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
    }

    /// What people and what programs read of the steps since the last line, which took `seconds`.
    fn lines(&self, record: &StepRecord, seconds: f64) -> (String, Value) {
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
        let shown = format!(
            "step {}/{} stage {} | {} | {:.2} scenes/s, {:.1} turns/s | {} left",
            record.step,
            record.total_steps,
            record.stage,
            terms.join(" "),
            self.scenes as f64 / seconds,
            self.turns as f64 / seconds,
            hours(Duration::from_secs_f64(left)),
        );
        (shown, Value::Object(line))
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

#[cfg(test)]
mod tests {
    use super::super::terms::Term;
    use super::*;

    fn record(step: u64, total_steps: u64) -> StepRecord {
        let mut terms = [f32::NAN; TERMS.len()];
        terms[Term::Loss as usize] = step as f32;
        // Every other step computes it.
        if step.is_multiple_of(2) {
            terms[Term::Seg as usize] = 0.5;
        }
        StepRecord {
            step,
            total_steps,
            stage: 1,
            terms,
            norm: 3.0,
            learning_rate: 1e-3,
            turns: 4,
            scenes: 2,
            seconds: 60.0,
        }
    }

    fn logged(folder: &Path) -> Vec<Value> {
        let text = fs::read_to_string(folder.join("train.jsonl")).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn a_line_tells_terms_speed_and_time_left() {
        let mut window = Window::new();
        window.add(&record(1, 100));
        window.add(&record(2, 100));
        let (shown, logged) = window.lines(&record(2, 100), 4.0);
        assert_eq!(
            shown,
            "step 2/100 stage 1 | loss 1.500 seg 0.500 | 1.00 scenes/s, 2.0 turns/s | 0:03 h left"
        );
        let expected = json!({
            "step": 2,
            "stage": 1,
            "loss": 1.5,
            "seg": 0.5,
            "grad_norm": 3.0,
            "learning_rate": 1e-3,
            "scenes_per_s": 1.0,
            "turns_per_s": 2.0,
            "seconds": 60.0,
        });
        assert_eq!(logged, expected);
    }

    #[test]
    fn every_tenth_and_the_last_step_are_logged() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = TrainLog::new(folder.path());
        for step in 1..=13 {
            log.push(&record(step, 13)).unwrap();
        }
        let lines = logged(folder.path());
        let of = |name: &str| -> Vec<f64> {
            let values = lines.iter().map(|line| line[name].as_f64().unwrap());
            values.collect()
        };
        assert_eq!(of("step"), [10.0, 13.0]);
        // Each line tells of the steps since the one before.
        assert_eq!(of("loss"), [5.5, 12.0]);

        let short = tempfile::tempdir().unwrap();
        let mut log = TrainLog::new(short.path());
        for step in 1..=4 {
            log.push(&record(step, 4)).unwrap();
        }
        assert_eq!(logged(short.path()).len(), 1);
    }

    #[test]
    fn lines_behind_the_checkpoint_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let log = TrainLog::new(folder.path());
        log.forget_after(20).unwrap();
        let path = folder.path().join("train.jsonl");
        assert!(!path.exists());
        let kept = "{\"step\":10}\n{\"step\":20}\n";
        fs::write(&path, format!("{kept}{{\"step\":30}}\n{{\"step\":4")).unwrap();
        log.forget_after(20).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), kept);
        log.forget_after(20).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), kept);
    }
}
