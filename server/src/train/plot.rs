//! `train.svg`: the lines of `train.jsonl` as charts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use serde_json::{Map, Value};

use super::error::TrainError;
use crate::disk;
use crate::plot::{Chart, Figure, Series};

/// What is drawn in one chart. What a log has beside these gets a chart of its own.
const CHARTS: &[(&str, &[&str])] = &[
    ("Loss", &["loss"]),
    ("Cross-entropy", &["ce"]),
    ("Masks", &["seg", "prompt"]),
    ("Consistency", &["consist", "latent"]),
    ("Scores", &["score"]),
    ("Attributes", &["attributes", "local_mask"]),
    ("Grounding", &["location", "search", "read", "lead_search"]),
    ("Words", &["token_acc", "category_acc"]),
    ("IoU", &["find_iou", "pos_iou"]),
    (
        "Places and colours",
        &[
            "location_acc",
            "seg_color_acc",
            "lead_location_acc",
            "lead_color_acc",
        ],
    ),
    (
        "What a region is",
        &[
            "mask_color_acc",
            "mask_material_acc",
            "mask_pattern_acc",
            "mask_size_acc",
        ],
    ),
    (
        "Shapes",
        &[
            "sam_shape_acc",
            "vision_shape_acc",
            "crop_shape_acc",
            "mask_shape_acc",
            "pos_shape_acc",
        ],
    ),
    ("Gradient", &["grad_norm"]),
    ("Learning rate", &["learning_rate"]),
    (
        "Scenes and samples a second",
        &["scenes_per_s", "turns_per_s"],
    ),
    ("Feeding", &["feed_wait", "replaced"]),
];

/// What counts steps, and is no figure of them.
const NO_FIGURES: [&str; 4] = ["step", "stage", "seconds", "run"];

/// Draws a log beside it; nothing where there is no log yet.
pub(super) fn write(log: &Path) -> Result<(), TrainError> {
    let text = match fs::read_to_string(log) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(TrainError::io(log)(error)),
    };
    let name = log
        .parent()
        .and_then(Path::file_name)
        .map_or_else(|| "Training".into(), |name| name.to_string_lossy());
    let svg = figure(&name, &text).to_svg();
    let path = log.with_extension("svg");
    disk::write_whole(&path, |file| file.write_all(svg.as_bytes())).map_err(TrainError::io(&path))
}

/// The charts of a log's lines. A line that is none, such as one that was cut off, is left out.
fn figure(name: &str, log: &str) -> Figure {
    let lines: Vec<Map<String, Value>> = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let mut names = BTreeSet::new();
    for line in &lines {
        let numbers = line.iter().filter(|(_, value)| value.is_number());
        names.extend(numbers.map(|(name, _)| name.as_str()));
    }
    for name in NO_FIGURES {
        names.remove(name);
    }

    let mut figure = Figure::new(name, "step");
    for (step, stage) in stages(&lines) {
        figure = figure.with_mark(step, format!("stage {stage}"));
    }
    for (title, terms) in CHARTS {
        let there = terms.iter().filter(|term| names.contains(*term));
        let series = there.map(|term| series(term, &lines)).collect();
        figure = figure.with(Chart::new(*title, series));
    }
    let charted: BTreeSet<&str> = CHARTS
        .iter()
        .flat_map(|(_, terms)| *terms)
        .copied()
        .collect();
    for name in names.difference(&charted) {
        figure = figure.with(Chart::new(*name, vec![series(name, &lines)]));
    }
    figure
}

/// A term over the steps, with a gap where a line does not have it.
fn series(name: &str, lines: &[Map<String, Value>]) -> Series {
    let points = lines.iter().filter_map(|line| {
        let step = line.get("step")?.as_f64()?;
        let value = line.get(name).and_then(Value::as_f64);
        Some([step, value.unwrap_or(f64::NAN)])
    });
    Series::new(name, points.collect())
}

/// The first logged step of each stage but the first.
fn stages(lines: &[Map<String, Value>]) -> Vec<(f64, u64)> {
    let mut first: BTreeMap<u64, f64> = BTreeMap::new();
    for line in lines {
        let stage = line.get("stage").and_then(Value::as_u64);
        let step = line.get("step").and_then(Value::as_f64);
        if let (Some(stage), Some(step)) = (stage, step) {
            first.entry(stage).or_insert(step);
        }
    }
    let stages = first.into_iter().skip(1);
    stages.map(|(stage, step)| (step, stage)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::assert_well_formed;

    const LOG: &str = "\
{\"step\":10,\"stage\":0,\"loss\":3.0,\"attributes\":1.5,\"learning_rate\":1e-4,\"seconds\":9.0}
{\"step\":20,\"stage\":1,\"loss\":2.0,\"ce\":1.0,\"seg\":0.5,\"brand_new\":7.0,\"scenes_per_s\":2.0}
{\"step\":30,\"stage\":1,\"loss\":1.0,\"ce\":0.5,\"scenes_per_s\":2.5}
{\"step\":40,\"stage\":2,\"loss\":0.5
";

    #[test]
    fn terms_are_charted_by_kind_and_what_is_new_by_itself() {
        let figure = figure("run", LOG);
        let charts: Vec<(&str, usize)> = figure
            .charts()
            .iter()
            .map(|chart| (chart.title.as_str(), chart.series.len()))
            .collect();
        assert_eq!(
            charts,
            [
                ("Loss", 1),
                ("Cross-entropy", 1),
                ("Masks", 1),
                ("Attributes", 1),
                ("Learning rate", 1),
                ("Scenes and samples a second", 1),
                ("brand_new", 1),
            ]
        );
        let masks = &figure.charts()[2].series[0];
        assert_eq!(masks.name, "seg");
        assert_eq!(masks.points[1], [20.0, 0.5]);
        assert!(masks.points[0][1].is_nan() && masks.points[2][1].is_nan());
    }

    #[test]
    fn a_mark_stands_where_a_stage_begins() {
        let lines: Vec<Map<String, Value>> = LOG
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        assert_eq!(stages(&lines), [(20.0, 1)]);
    }

    #[test]
    fn the_charts_lie_beside_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("train.jsonl");
        write(&log).unwrap();
        let path = folder.path().join("train.svg");
        assert!(!path.exists());
        fs::write(&log, LOG).unwrap();
        write(&log).unwrap();
        let svg = fs::read_to_string(&path).unwrap();
        assert_well_formed(&svg);
        assert!(svg.contains(">Loss: 1.00</text>"), "{svg}");
    }
}
