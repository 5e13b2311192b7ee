//! Data sets beside each other, with ids that they share, and without anything to ask about.

use std::fs;

use serde_json::Value;

use super::{SIDE, kept, measure, options, pictures, scenes};
use crate::{
    data::scenes::write_dataset,
    eval::{EvalError, EvalOptions, EvalTools, evaluate, protocol::Task, rebuild_report},
    model_dir::fixtures::tiny_model,
    predict::Predictor,
};

#[test]
fn fixture_model_is_measured_at_one_task_on_two_data_sets() {
    let folder = tempfile::tempdir().unwrap();
    let predictor = Predictor::open(&tiny_model(folder.path())).unwrap();
    let dir = folder.path().join("out");
    let of_scenes = measure(
        &predictor,
        &options(Task::BoxMask, &scenes(folder.path(), 3)),
        &kept(&dir, false),
    );
    let named = EvalOptions {
        name: Some("Cups, one".to_owned()),
        ..options(Task::BoxMask, &pictures(folder.path()))
    };
    let of_pictures = measure(&predictor, &named, &kept(&dir, false));
    assert_eq!(of_scenes.title(), "box-mask on scenes");
    assert_eq!(of_pictures.title(), "box-mask on Cups, one");
    assert!(dir.join("box-mask.samples.jsonl").is_file());
    assert!(dir.join("box-mask.cups-one.samples.jsonl").is_file());
    let json = fs::read(dir.join("report.json")).unwrap();
    let json: Value = serde_json::from_slice(&json).unwrap();
    let sets = [&json["tasks"][0]["data_set"], &json["tasks"][1]["data_set"]];
    assert_eq!(sets, ["scenes", "Cups, one"]);
    let again = measure(&predictor, &named, &kept(&dir, true));
    assert_eq!(again, of_pictures);
    let mut rebuilt = rebuild_report(&dir, &EvalTools::default()).unwrap();
    rebuilt.sort_by(|a, b| b.data_set.cmp(&a.data_set));
    assert_eq!(rebuilt, [of_scenes, of_pictures]);
}

#[test]
fn fixture_model_draws_scenes_apart_that_share_an_id() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("scenes");
    write_dataset(20_261_124, 4, &data, (SIDE, SIDE)).unwrap();
    let path = data.join("scenes.jsonl");
    let mut lines = String::new();
    for line in fs::read_to_string(&path).unwrap().lines() {
        let (before, after) = line.split_once(',').unwrap();
        assert!(before.starts_with("{\"id\":"), "{before}");
        lines.push_str(&format!("{{\"id\":\"kitchen\",{after}\n"));
    }
    fs::write(&path, lines).unwrap();
    let predictor = Predictor::open(&tiny_model(folder.path())).unwrap();
    let report = evaluate(&predictor, &options(Task::BoxMask, &data), &|_, _| {}).unwrap();
    assert!(report.n >= 2, "{} scenes have regions", report.n);
    let rectangles = report.metrics["rectangle_giou"].estimate.unwrap();
    assert!(rectangles.low < rectangles.high, "{rectangles:?}");
    let blind = report.metrics["giou"].blind.unwrap();
    assert!(blind.low < blind.high, "{blind:?}");
}

#[test]
fn fixture_model_without_data_gives_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let predictor = Predictor::open(&tiny_model(folder.path())).unwrap();
    let missing = options(Task::Roc, &folder.path().join("scenes"));
    assert!(matches!(
        evaluate(&predictor, &missing, &|_, _| {}),
        Err(EvalError::Folder(_))
    ));
    let data = scenes(folder.path(), 2);
    let none = EvalOptions {
        limit: Some(0),
        ..options(Task::Roc, &data)
    };
    assert!(matches!(
        evaluate(&predictor, &none, &|_, _| {}),
        Err(EvalError::Empty { .. })
    ));
    assert!(matches!(
        rebuild_report(folder.path(), &EvalTools::default()),
        Err(EvalError::NoSamples(_))
    ));
    assert!(matches!(
        rebuild_report(&folder.path().join("none"), &EvalTools::default()),
        Err(EvalError::Folder(_))
    ));
}
