//! Figures of `gcg`, captions with masks.

use burn::tensor::Device;
use serde_json::{Value, json};

use super::{close, marked, mask, of_named, of_samples, value};
use crate::eval::{
    EvalTools,
    protocol::Task,
    source::DataKind,
    text::sentence::{SentenceEncoder, tests::tiny_encoder},
};

#[test]
fn hand_made_captions_are_judged_by_masks_and_phrases() {
    let sample = |phrases: [&str; 2]| {
        json!([{
            "asked": "x", "answer": "A mug and a red bow.", "expected": ["A mug, a red bow."],
            "truths": [marked(&[0, 2, 2], "mug"), marked(&[2, 2], "red bow")],
            "drawn": [marked(&[0, 2, 2], phrases[0]), marked(&[2, 2], phrases[1])],
            "detail": {"paired_iou": 1.0},
        }])
    };
    let pictures = [sample(["the mug", "red bow"]), sample(["mug", "mug"])];
    let tools = EvalTools::default();
    let gcg = of_samples(Task::Gcg, DataKind::Pictures, &pictures, &tools);
    close(&gcg, "ap50", 1.0);
    close(&gcg, "miou", 1.0);
    // "the mug" shares one word of two with "mug"; "mug" none with "red bow".
    close(&gcg, "recall_words", 0.75);
    assert!(value(&gcg, "meteor_lite") > 0.4);
    assert_eq!(gcg.report.metrics["recall"].estimate, None);

    let folder = tiny_encoder();
    let tools = EvalTools {
        bert: Some(SentenceEncoder::bert(folder.path(), &Device::flex()).unwrap()),
        ..EvalTools::default()
    };
    let pictures = [sample(["mug", "red bow"]), sample(["mug", "mug"])];
    let gcg = of_samples(Task::Gcg, DataKind::Pictures, &pictures, &tools);
    close(&gcg, "recall", 0.75);
    assert!(!gcg.report.metrics.contains_key("recall_words"));
}

#[test]
fn masks_without_a_label_and_labels_without_a_mask_count() {
    let sample = |labels: Value, drawn: Value| {
        json!([{
            "asked": "x", "answer": "A mug.", "expected": ["A mug."],
            "truths": [marked(&[0, 2, 2], "mug"), {"mask": mask(&[2, 2])}],
            "drawn": drawn, "detail": {"paired_iou": 0.5, "labels": labels},
        }])
    };
    let tools = EvalTools::default();
    let of = |labels: Value, drawn: Value| {
        let pictures = [sample(labels, drawn)];
        of_samples(Task::Gcg, DataKind::Pictures, &pictures, &tools)
    };
    let mug = || marked(&[0, 2, 2], "mug");
    // One of the two masks, and one of the three labels.
    let alone = of(json!(3), json!([mug()]));
    close(&alone, "ap50", 51.0 / 101.0);
    close(&alone, "miou", 1.0);
    close(&alone, "recall_words", 1.0 / 3.0);
    // Samples of before have a label for each named mask.
    close(&of(json!(null), json!([mug()])), "recall_words", 1.0);
    // The unnamed mask is found, too; no phrase says what it is.
    let both = of(json!(1), json!([mug(), marked(&[2, 2], "mug")]));
    close(&both, "ap50", 1.0);
    close(&both, "recall_words", 1.0);
    // Its pair is the best one, and stops the recall.
    let other = of(
        json!(1),
        json!([marked(&[1, 1, 2], "mug"), marked(&[2, 2], "mug")]),
    );
    close(&other, "recall_words", 0.0);
}

#[test]
fn the_order_of_a_file_changes_no_average_precision() {
    let drawn = |runs: &[u32]| {
        json!([{
            "asked": "x", "answer": "A mug.", "expected": ["A mug."],
            "truths": [marked(&[0, 2, 2], "mug")], "drawn": [marked(runs, "mug")],
            "detail": {"paired_iou": 0.0},
        }])
    };
    let (right, wrong) = (drawn(&[0, 2, 2]), drawn(&[2, 2]));
    let pictures = [("2".to_owned(), &right), ("10".to_owned(), &wrong)];
    let turned = [pictures[1].clone(), pictures[0].clone()];
    for pictures in [pictures, turned] {
        let tools = EvalTools::default();
        let gcg = of_named(Task::Gcg, DataKind::Pictures, &pictures, &tools);
        close(&gcg, "ap50", 51.0 / 101.0);
    }
}

#[test]
fn blank_masks_count() {
    let tools = EvalTools::default();
    let captioned = json!([{
        "asked": "x", "answer": "A mug.", "expected": ["A mug."],
        "truths": [marked(&[0, 2, 2], "mug")],
        "drawn": [marked(&[4], "bow"), marked(&[0, 2, 2], "mug")],
        "detail": {"paired_iou": 1.0},
    }]);
    // Wrong, then right.
    let gcg = of_samples(Task::Gcg, DataKind::Pictures, &[captioned], &tools);
    close(&gcg, "ap50", 0.5);
    close(&gcg, "miou", 1.0);
}
