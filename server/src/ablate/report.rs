//! The results beside the paper's.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use serde::Serialize;

use super::error::AblateError;
use super::results::{ResultRecord, Results};
use super::statistics::{Mean, paired, t_interval};
use super::table::{FIGURES, Figure, Row, TABLES, Table};
use super::variant::PAPER;

/// Everything that has been measured so far, as tables.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Runs that have been measured or have diverged.
    pub runs: usize,
    /// The tables of which at least one row has been measured or has diverged.
    pub tables: Vec<ReportTable>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReportTable {
    /// The name that the command line uses.
    pub name: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// What the paper's figures are, in per cent.
    pub paper: &'static [&'static str],
    /// By which figure rows are judged, as `task.metric`.
    pub judged: String,
    /// Its rows.
    pub rows: Vec<ReportRow>,
}

/// A variant in a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReportRow {
    /// What it says.
    pub label: &'static str,
    /// The variant.
    pub variant: &'static str,
    /// The seeds that have been measured.
    pub seeds: Vec<u64>,
    /// The seeds with which training came to numbers that are none.
    pub diverged: Vec<u64>,
    /// Means over the seeds, as `task.metric`.
    pub figures: BTreeMap<String, Mean>,
    /// Seconds of training of a run.
    pub seconds: Option<Mean>,
    /// The paper's figures, in per cent.
    pub paper: &'static [f64],
    /// The judged figure beside that of the paper's choice; none for the paper's choice itself, and
    /// where no seed has both.
    pub difference: Option<Difference>,
}

/// How much better a variant is than the paper's choice.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    /// The variant's figure less that of the paper's choice, over the seeds that both have.
    #[serde(flatten)]
    pub mean: Mean,
    /// What that says of the paper's finding that its choice is the best.
    pub verdict: Verdict,
}

/// Whether our result is the paper's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The variant is worse than the paper's choice.
    Agrees,
    /// The variant is better.
    Disagrees,
    /// The interval holds both.
    NotToldApart,
    /// There is no interval.
    TooFewSeeds,
}

impl Verdict {
    fn of(difference: &Mean) -> Self {
        match (difference.low, difference.high) {
            (Some(low), _) if low > 0.0 => Self::Disagrees,
            (_, Some(high)) if high < 0.0 => Self::Agrees,
            (Some(_), Some(_)) => Self::NotToldApart,
            _ => Self::TooFewSeeds,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Agrees => "agrees",
            Self::Disagrees => "disagrees",
            Self::NotToldApart => "not told apart",
            Self::TooFewSeeds => "too few seeds",
        }
    }
}

impl Report {
    /// Compares the results of a folder.
    ///
    /// # Errors
    /// Where there is none, or they cannot be read.
    pub fn read(folder: &Path) -> Result<Self, AblateError> {
        let results = Results::read(folder)?;
        match results.records().is_empty() {
            true => Err(AblateError::Empty(folder.to_owned())),
            false => Ok(Self::of(&results)),
        }
    }

    fn of(results: &Results) -> Self {
        let tables = TABLES.iter().map(|table| ReportTable::of(table, results));
        Self {
            runs: results.records().len(),
            tables: tables
                .filter(|table| table.rows.iter().any(ReportRow::has_results))
                .collect(),
        }
    }

    /// The report as one JSON document.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report has only strings for keys")
    }

    /// The report as Markdown.
    pub fn to_markdown(&self) -> String {
        let mut text = format!(
            "# Ablations\n\n{} runs. Means over seeds, with Student's 95 % interval in brackets. The \
             last columns are the judged figure less that of the paper's choice at the same seeds, \
             and whether that bears out the paper, which finds its choice to be the best. The \
             paper's figures are per cent of other data and of models a thousand times as large: \
             only their order can be compared.\n",
            self.runs
        );
        for table in &self.tables {
            table.write(&mut text);
        }
        text
    }
}

impl ReportTable {
    fn of(table: &Table, results: &Results) -> Self {
        Self {
            name: table.name,
            title: table.title,
            paper: table.paper,
            judged: key(&FIGURES[table.judged]),
            rows: table
                .rows
                .iter()
                .map(|row| ReportRow::of(row, &FIGURES[table.judged], results))
                .collect(),
        }
    }

    fn write(&self, text: &mut String) {
        let judged = FIGURES.iter().find(|figure| key(figure) == self.judged);
        let judged = judged.map_or("", |figure| figure.title);
        let mut head = vec![String::new(), "seeds".to_owned()];
        head.extend(FIGURES.map(|figure| figure.title.to_owned()));
        head.push("minutes".to_owned());
        head.extend(self.paper.iter().map(|name| format!("paper: {name}")));
        head.push(format!("{judged}, difference"));
        head.push("beside the paper".to_owned());
        let rule = vec!["---".to_owned(); head.len()];
        let rows = self.rows.iter().map(|row| row.cells(self.paper.len()));
        // Writing to a string does not fail.
        let _ = writeln!(text, "\n## {}\n", self.title);
        for cells in [head, rule].into_iter().chain(rows) {
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
    }
}

impl ReportRow {
    fn has_results(&self) -> bool {
        !(self.seeds.is_empty() && self.diverged.is_empty())
    }

    fn of(row: &Row, judged: &Figure, results: &Results) -> Self {
        let records = results.records().iter();
        let mut records: Vec<&ResultRecord> = records
            .filter(|record| record.variant == row.variant)
            .collect();
        records.sort_by_key(|record| record.seed);
        let seeds_of = |records: &[&ResultRecord]| records.iter().map(|r| r.seed).collect();
        let (diverged, records): (Vec<_>, Vec<_>) = records
            .into_iter()
            .partition(|record| record.diverged.is_some());
        let figures = FIGURES.iter().filter_map(|figure| {
            let values: Vec<f64> = records.iter().filter_map(|r| value(r, figure)).collect();
            Some((key(figure), t_interval(&values)?))
        });
        let pairs: Vec<(f64, f64)> = records
            .iter()
            .filter_map(|record| {
                let choice = results.of(PAPER, record.seed)?;
                Some((value(record, judged)?, value(choice, judged)?))
            })
            .collect();
        let difference = paired(&pairs).map(|mean| Difference {
            verdict: Verdict::of(&mean),
            mean,
        });
        let seconds: Vec<f64> = records
            .iter()
            .map(|record| record.seconds.stage_1 + record.seconds.stage_2)
            .collect();
        Self {
            label: row.label,
            variant: row.variant,
            seeds: seeds_of(&records),
            diverged: seeds_of(&diverged),
            figures: figures.collect(),
            seconds: t_interval(&seconds),
            paper: row.paper,
            difference: difference.filter(|_| row.variant != PAPER),
        }
    }

    fn cells(&self, paper_columns: usize) -> Vec<String> {
        let none = || "-".to_owned();
        let seeds = match self.diverged.len() {
            0 => self.seeds.len().to_string(),
            diverged => format!("{} and {diverged} diverged", self.seeds.len()),
        };
        let mut cells = vec![self.label.to_owned(), seeds];
        cells.extend(
            FIGURES
                .iter()
                .map(|figure| self.figures.get(&key(figure)).map_or_else(none, shown)),
        );
        let minutes = self
            .seconds
            .map(|seconds| format!("{:.1}", seconds.mean / 60.0));
        cells.push(minutes.unwrap_or_else(none));
        cells.extend((0..paper_columns).map(|column| {
            let figure = self.paper.get(column);
            figure.map_or_else(none, |figure| format!("{figure:.1}"))
        }));
        let [difference, verdict] = match &self.difference {
            Some(difference) => [
                signed(&difference.mean),
                difference.verdict.words().to_owned(),
            ],
            None => [none(), none()],
        };
        cells.extend([difference, verdict]);
        cells
    }
}

fn key(figure: &Figure) -> String {
    format!("{}.{}", figure.task, figure.metric)
}

fn value(record: &ResultRecord, figure: &Figure) -> Option<f64> {
    let measured = record.tasks.get(figure.task)?;
    measured.metrics.get(figure.metric).copied()
}

fn shown(mean: &Mean) -> String {
    match (mean.low, mean.high) {
        (Some(low), Some(high)) => format!("{:.3} ({low:.3} to {high:.3})", mean.mean),
        _ => format!("{:.3}", mean.mean),
    }
}

fn signed(mean: &Mean) -> String {
    match (mean.low, mean.high) {
        (Some(low), Some(high)) => format!("{:+.3} ({low:+.3} to {high:+.3})", mean.mean),
        _ => format!("{:+.3}", mean.mean),
    }
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::record;
    use super::*;

    const ROC: (&str, &str) = ("roc", "siou");
    const DL_RES: (&str, &str) = ("dl-res", "ciou");

    fn results(folder: &Path, values: &[(&str, u64, (&str, &str), f64)]) -> Results {
        let mut results = Results::read(folder).unwrap();
        for &(variant, seed, figure, value) in values {
            results.add(record(variant, seed, figure, value)).unwrap();
        }
        results
    }

    fn row<'a>(report: &'a Report, table: &str, variant: &str) -> &'a ReportRow {
        let table = report.tables.iter().find(|found| found.name == table);
        let mut rows = table.unwrap().rows.iter();
        rows.find(|row| row.variant == variant).unwrap()
    }

    #[test]
    fn rows_are_means_over_seeds_and_differences_at_the_same_seeds() {
        let folder = tempfile::tempdir().unwrap();
        let results = results(
            folder.path(),
            &[
                ("paper", 1, ROC, 0.50),
                ("steps-0", 1, ROC, 0.40),
                ("paper", 2, ROC, 0.60),
                ("steps-0", 2, ROC, 0.49),
                ("paper", 3, ROC, 0.70),
                ("steps-0", 3, ROC, 0.61),
                // A fourth seed that only one of the two has.
                ("steps-0", 4, ROC, 0.10),
            ],
        );
        let report = Report::of(&results);
        let own = row(&report, "extractor", "paper");
        assert!((own.figures["roc.siou"].mean - 0.6).abs() < 1e-9);
        assert_eq!(own.difference, None);
        assert_eq!(own.paper, [89.3, 78.9]);
        let without = row(&report, "extractor", "steps-0");
        assert_eq!(without.seeds, [1, 2, 3, 4]);
        assert!((without.figures["roc.siou"].mean - 0.4).abs() < 1e-9);
        // Differences -0.10, -0.11 and -0.09: deviation 0.01, reach 4.303 * 0.01 / sqrt(3).
        let difference = without.difference.unwrap();
        assert_eq!(difference.mean.n, 3);
        assert!((difference.mean.mean + 0.1).abs() < 1e-9);
        assert!((difference.mean.high.unwrap() + 0.1 - 0.024_843).abs() < 1e-5);
        assert_eq!(difference.verdict, Verdict::Agrees);
        assert_eq!(without.seconds.unwrap().mean, 600.0);
        // The table of another variant shows the paper's choice alone.
        assert!(row(&report, "latent", "latent-kl").seeds.is_empty());
    }

    #[test]
    fn runs_that_diverged_are_counted_apart() {
        let folder = tempfile::tempdir().unwrap();
        let mut results = results(folder.path(), &[("latent-kl", 1, DL_RES, 0.20)]);
        let mut lost = record("latent-kl", 2, DL_RES, 0.0);
        lost.tasks.clear();
        lost.diverged = Some("the loss is not finite".to_owned());
        results.add(lost).unwrap();
        let report = Report::of(&results);
        let kl = row(&report, "latent", "latent-kl");
        assert_eq!(
            (kl.seeds.as_slice(), kl.diverged.as_slice()),
            (&[1][..], &[2][..])
        );
        assert_eq!(kl.seconds.unwrap().n, 1);
        assert_eq!(kl.cells(2)[1], "1 and 1 diverged");
        // A table with nothing else is there, too.
        let mut lost = record("tune-all", 1, DL_RES, 0.0);
        lost.diverged = Some("the loss is not finite".to_owned());
        results.add(lost).unwrap();
        assert_eq!(
            row(&Report::of(&results), "tuning", "tune-all").diverged,
            [1]
        );
    }

    #[test]
    fn verdicts_need_an_interval_on_one_side() {
        let mean = |low, high| Mean {
            mean: 0.0,
            low,
            high,
            n: 3,
        };
        for (low, high, verdict) in [
            (Some(-0.2), Some(-0.1), Verdict::Agrees),
            (Some(0.1), Some(0.2), Verdict::Disagrees),
            (Some(-0.1), Some(0.1), Verdict::NotToldApart),
            (None, None, Verdict::TooFewSeeds),
        ] {
            assert_eq!(Verdict::of(&mean(low, high)), verdict);
        }
    }

    #[test]
    fn markdown_has_one_line_a_row_and_the_paper_s_figures() {
        let folder = tempfile::tempdir().unwrap();
        let results = results(
            folder.path(),
            &[
                ("paper", 1, DL_RES, 0.25),
                ("latent-kl", 1, DL_RES, 0.20),
                ("paper", 2, DL_RES, 0.35),
            ],
        );
        let report = Report::of(&results);
        let text = report.to_markdown();
        let line = |label: &str| {
            let start = format!("| {label} |");
            let found = text.lines().find(|line| line.starts_with(&start));
            found.unwrap_or_else(|| panic!("{text}")).to_owned()
        };
        assert_eq!(
            line("KL"),
            "| KL | 1 | - | - | - | - | - | 0.200 | - | - | 10.0 | 67.4 | 79.3 | -0.050 | too few seeds |"
        );
        // 0.3 -+ 12.706 * 0.05.
        assert_eq!(
            line("cosine"),
            "| cosine | 2 | - | - | - | - | - | 0.300 (-0.335 to 0.935) | - | - | 10.0 | 67.8 | 80.3 | - | - |"
        );
        let table = text.split("## ").find(|part| part.contains("| KL |"));
        let lines: Vec<&str> = table
            .unwrap()
            .lines()
            .filter(|l| l.starts_with('|'))
            .collect();
        assert_eq!(lines.len(), 2 + 4);
        let columns: Vec<usize> = lines.iter().map(|line| line.matches('|').count()).collect();
        assert!(columns.iter().all(|count| *count == columns[0]), "{text}");
    }

    #[test]
    fn json_has_the_same_figures() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(
            Report::read(folder.path()),
            Err(AblateError::Empty(_))
        ));
        results(
            folder.path(),
            &[("paper", 1, DL_RES, 0.5), ("latent-kl", 1, DL_RES, 0.25)],
        );
        let report = Report::read(folder.path()).unwrap();
        let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
        let tables = json["tables"].as_array().unwrap();
        let latent = tables
            .iter()
            .find(|table| table["name"] == "latent")
            .unwrap();
        let row = &latent["rows"][1];
        assert_eq!(row["variant"], "latent-kl");
        assert_eq!(row["figures"]["dl-res.ciou"]["mean"], 0.25);
        assert_eq!(row["difference"]["mean"], -0.25);
        assert_eq!(row["difference"]["verdict"], "too_few_seeds");
        assert_eq!(row["paper"][1], 79.3);
    }
}
