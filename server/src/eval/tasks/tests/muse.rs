//! Figures of `muse`, answers with several masks.

use std::fs;

use serde_json::{Value, json};

use super::{close, judged_by, kept, marked, measure, of_samples, options, pictures};
use crate::{
    chat_client::endpoint::{Endpoint, completion, user_text},
    eval::{EvalTools, protocol::Task, source::DataKind},
    model_dir::fixtures::tiny_model,
    predict::Predictor,
};

#[test]
fn hand_made_answers_with_several_masks_are_matched() {
    let detail = json!({"is_held_out": null, "masks": [2, 2]});
    let question = |drawn: Value| {
        json!({
            "asked": "x", "answer": "", "detail": detail.clone(), "drawn": drawn,
            "truths": [marked(&[0, 2, 2], "cup"), marked(&[2, 2], "saucer")],
        })
    };
    let good = question(json!([marked(&[2, 2], ""), marked(&[0, 1, 3], "")]));
    let poor = question(json!([]));
    let tools = EvalTools::default();
    let one = of_samples(Task::Muse, DataKind::Pictures, &[json!([good])], &tools);
    close(&one, "matched_giou", 0.75);
    close(&one, "matched_ciou", 3.0 / 4.0);
    let pictures = [json!([good, poor])];
    let both = of_samples(Task::Muse, DataKind::Pictures, &pictures, &tools);
    assert_eq!(both.report.n, 2);
    close(&both, "matched_giou", 1.5 / 4.0);
    close(&both, "matched_ciou", 3.0 / 8.0);
}

#[test]
fn a_blank_mask_agrees_with_there_being_none() {
    let tools = EvalTools::default();
    let question = json!([{
        "asked": "x", "answer": "", "truths": [marked(&[0, 2, 2], "mug")],
        "drawn": [marked(&[0, 1, 3], ""), marked(&[4], "")],
        "detail": {"is_held_out": null, "masks": [1, 2]},
    }]);
    // Half of the mug, and a blank mask that agrees with there being no second one.
    let muse = of_samples(Task::Muse, DataKind::Pictures, &[question], &tools);
    close(&muse, "matched_giou", (0.5 + 1.0) / 2.0);
    close(&muse, "matched_ciou", 0.5);
}

#[test]
fn fixture_model_keeps_what_its_masks_were_matched_with() {
    let folder = tempfile::tempdir().unwrap();
    let data = pictures(folder.path());
    let predictor = Predictor::open(&tiny_model(folder.path())).unwrap();
    let dir = folder.path().join("out");
    measure(&predictor, &options(Task::Muse, &data), &kept(&dir, false));
    let text = fs::read_to_string(dir.join("muse.samples.jsonl")).unwrap();
    let picture: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let sample = &picture["samples"][0];
    let count = |list: &Value| list.as_array().map_or(0, Vec::len);
    let drawn = count(&sample["drawn"]);
    let detail = &sample["detail"];
    assert!(detail["pairs"].is_array() && detail["places"].is_array());
    assert_eq!(count(&detail["places"]), drawn);
    assert_eq!(count(&detail["pairs"]), drawn.min(count(&sample["truths"])));
    assert_eq!(detail["masks"], json!([2, drawn]));
}

#[test]
fn pairs_of_the_decoder_s_logits_count_before_those_of_masks() {
    let sample = |pairs: Value| {
        json!([{
            "asked": "x", "answer": "", "detail": {"is_held_out": null, "masks": [2, 2],
                "pairs": pairs},
            "truths": [marked(&[0, 2, 2], "cup"), marked(&[2, 2], "saucer")],
            "drawn": [marked(&[0, 2, 2], ""), marked(&[2, 2], "")],
        }])
    };
    let tools = EvalTools::default();
    for (pairs, expected) in [
        (json!(null), 1.0),
        (json!([[0, 0], [1, 1]]), 1.0),
        (json!([[0, 1], [1, 0]]), 0.0),
    ] {
        let pictures = [sample(pairs)];
        let muse = of_samples(Task::Muse, DataKind::Pictures, &pictures, &tools);
        close(&muse, "matched_giou", expected);
    }
}

#[test]
fn objects_that_a_judge_rates_low_share_nothing() {
    let sample = |detail: Value| {
        json!([{
            "asked": "What is for tea?", "answer": "the cup and the plate.", "detail": detail,
            "truths": [marked(&[0, 2, 2], "cup"), marked(&[2, 2], "saucer")],
            "drawn": [marked(&[2, 2], ""), marked(&[0, 2, 2], "")],
        }])
    };
    let pairs = json!([[0, 1], [1, 0]]);
    let whole = json!({"is_held_out": null, "masks": [2, 2], "pairs": pairs, "places": [21, 7]});
    let alone = [sample(whole)];
    let tools = EvalTools::default();
    let unjudged = of_samples(Task::Muse, DataKind::Pictures, &alone, &tools);
    assert_eq!(unjudged.report.metrics["filtered_giou"].estimate, None);
    assert_eq!(unjudged.report.judge, None);
    assert!(
        unjudged.report.notes[0].contains("--judge-url"),
        "{:?}",
        unjudged.report.notes
    );

    let endpoint = Endpoint::start(|_, _, request| {
        let asked = user_text(request);
        let whole = "Answer: the cup (cup [0, 0, 2, 1]) and the plate (saucer [2, 0, 4, 1]).\n";
        assert!(asked.contains(whole), "{asked}");
        let is_cup = asked.contains("number 1, (cup [0, 0, 2, 1])");
        assert!(
            is_cup || asked.contains("number 2, (saucer [2, 0, 4, 1])"),
            "{asked}"
        );
        completion(if is_cup { "9" } else { "I would say 3 of 10." })
    });
    let folder = tempfile::tempdir().unwrap();
    let tools = judged_by(&endpoint, folder.path());
    for _ in 0..2 {
        let judged = of_samples(Task::Muse, DataKind::Pictures, &alone, &tools);
        close(&judged, "matched_giou", 1.0);
        close(&judged, "filtered_giou", 0.5);
        close(&judged, "filtered_ciou", 2.0 / 4.0);
        assert!(
            judged.report.notes[0].contains("llama-x"),
            "{:?}",
            judged.report.notes
        );
        assert_eq!(judged.report.judge.as_deref(), Some("llama-x"));
    }
    assert_eq!(endpoint.asked(), 2);
    // Nobody knows where in the answer these masks are.
    let earlier = [sample(json!({"is_held_out": null, "masks": [2, 2]}))];
    let earlier = of_samples(Task::Muse, DataKind::Pictures, &earlier, &tools);
    assert_eq!(earlier.report.metrics["filtered_giou"].estimate, None);
    assert!(
        earlier.report.notes[0].contains("asked again"),
        "{:?}",
        earlier.report.notes
    );
    assert_eq!(endpoint.asked(), 2);
}
