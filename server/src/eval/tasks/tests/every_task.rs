//! The fixture model is measured at every task.

use std::fs;

use serde_json::Value;

use super::{kept, measure, options, pictures, scenes};
use crate::{
    eval::{EvalError, EvalTools, evaluate, protocol::Task, rebuild_report, report::Report},
    model_dir::fixtures::tiny_model,
    predict::Predictor,
};

/// The figures that a task must have, on scenes and on pictures.
fn expected(task: Task) -> &'static [&'static str] {
    match task {
        Task::Res | Task::DlRes | Task::ReasonSeg => &["giou", "ciou", "success_at_50"],
        Task::Gres => &["giou", "ciou"],
        Task::Muse => &["matched_giou", "matched_ciou"],
        Task::Roc => &["siou"],
        Task::Dlc => &["attribute_precision", "attribute_recall"],
        Task::RegionCaption => &[
            "cider_brief",
            "bleu_4_brief",
            "rouge_l_brief",
            "meteor_lite_brief",
            "cider_detailed",
            "bleu_4_detailed",
            "rouge_l_detailed",
            "meteor_lite_detailed",
        ],
        Task::Gcg => &["ap50", "miou", "recall_words", "cider", "meteor_lite"],
        Task::CaptionFind => &["giou", "success_at_50"],
        Task::BoxMask => &["giou", "success_at_50", "rectangle_giou"],
        Task::Consistency => &["giou", "success_at_50", "cosine_same"],
    }
}

fn check(report: &Report, names: &[&str]) {
    let task = report.task;
    assert_eq!(report.model_sha256.len(), 64, "{task}");
    assert!(report.n >= 1, "{task}");
    for name in names {
        let metric = report.metrics.get(*name);
        let metric = metric.unwrap_or_else(|| panic!("{task} has no {name}"));
        let value = metric.estimate.unwrap();
        assert!(value.low <= value.high, "{task} {name}");
        assert!(metric.blind.is_some(), "{task} {name}");
    }
}

#[test]
fn fixture_model_is_measured_at_every_task_on_scenes() {
    let folder = tempfile::tempdir().unwrap();
    let data = scenes(folder.path(), 3);
    let predictor = Predictor::open(&tiny_model(folder.path())).unwrap();
    let dir = folder.path().join("out");
    let mut reports = Vec::new();
    for task in Task::ALL {
        let report = measure(&predictor, &options(task, &data), &kept(&dir, false));
        check(&report, expected(task));
        let more: &[&str] = match task {
            Task::Roc | Task::CaptionFind => &["category_accuracy"],
            _ => &[],
        };
        check(&report, more);
        reports.push(report);
    }
    for (task, name) in [
        (Task::Roc, "ss"),
        (Task::Gcg, "recall"),
        (Task::Gcg, "meteor"),
        (Task::RegionCaption, "meteor_brief"),
    ] {
        let report = reports.iter().find(|report| report.task == task);
        assert_eq!(report.unwrap().metrics[name].estimate, None, "{name}");
    }
    // Whatever keeps samples, the figures are those of who keeps none.
    let alone = evaluate(&predictor, &options(Task::BoxMask, &data), &|_, _| {}).unwrap();
    assert!(reports.contains(&alone));
    assert_eq!(
        rebuild_report(&dir, &EvalTools::default()).unwrap(),
        reports
    );
    let html = fs::read_to_string(dir.join("report.html")).unwrap();
    for task in Task::ALL {
        assert!(html.contains(&format!("<section id=\"{task}\">")), "{task}");
    }
    assert!(html.contains("image/jpeg") && html.contains("do not compare"));
    let json = fs::read(dir.join("report.json")).unwrap();
    let json: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["tasks"].as_array().unwrap().len(), Task::ALL.len());
}

#[test]
fn fixture_model_is_measured_at_every_task_on_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let data = pictures(folder.path());
    let predictor = Predictor::open(&tiny_model(folder.path())).unwrap();
    let dir = folder.path().join("out");
    for task in Task::ALL {
        if task == Task::Dlc {
            let refused = evaluate(&predictor, &options(task, &data), &|_, _| {});
            assert!(matches!(refused, Err(EvalError::Unsuited { .. })));
            continue;
        }
        let report = measure(&predictor, &options(task, &data), &kept(&dir, false));
        check(&report, expected(task));
        let n = match task {
            Task::Gres => 3,
            Task::Res | Task::Roc | Task::CaptionFind | Task::BoxMask => 2,
            // The brief description and the detailed ones of one region.
            Task::RegionCaption => 2,
            _ => 1,
        };
        assert_eq!(report.n, n, "{task}");
        if task == Task::Roc {
            assert_eq!(report.metrics["ss"].estimate, None);
            assert!(report.to_string().contains("--sentence-encoder"));
            assert!(!report.metrics.contains_key("category_accuracy"));
        }
    }
}
