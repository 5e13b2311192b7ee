//! Figures of `dlc`, detailed descriptions.

use serde_json::json;

use super::{close, judged_by, mask, of_samples};
use crate::{
    chat_client::endpoint::{Endpoint, completion, user_text},
    eval::{EvalTools, protocol::Task, source::DataKind},
};

#[test]
fn hand_made_descriptions_are_read_by_the_grammar() {
    let told = |answer: &str, colour: &str| {
        json!([{
            "asked": "x", "answer": answer, "region": mask(&[0, 2, 2]),
            "detail": {"of": "object", "is_right": null, "attributes": {"size": "small",
                "color": colour, "material": "metal", "shape": "cube", "pattern": "plain"}},
        }])
    };
    let pictures = [
        told("A small red metal cube.", "red"),
        told("A red cube.", "blue"),
    ];
    let tools = EvalTools::default();
    let dlc = of_samples(Task::Dlc, DataKind::Scenes, &pictures, &tools);
    close(&dlc, "attribute_precision", 0.5);
    // All five of the first; shape and that there is no pattern of the second.
    close(&dlc, "attribute_recall", (1.0 + 0.4) / 2.0);
    // Red metal cubes are held out of training, blue ones are not.
    close(&dlc, "attribute_precision_unseen", 1.0);
    close(&dlc, "attribute_precision_seen", 0.0);
    assert_eq!(
        (dlc.cases.best[0].quality, dlc.cases.worst[0].quality),
        (1.0, 0.4)
    );
}

#[test]
fn a_judge_is_asked_once_and_named() {
    let question = |text: &str, kind: &str, scores: [f64; 2]| json!({"question": text, "type": kind, "choices": [["One", scores[0]], ["Two", scores[1]]]});
    let pictures = [json!([{
        "asked": "x", "answer": "A red apple.", "region": mask(&[0, 2, 2]),
        "detail": {"of": "bench", "id": "7", "image_id": 1, "file_name": "a.jpg",
            "class_name": "apple", "questions": [
                question("What colour is it?", "positive", [1.0, -1.0]),
                question("Is there a worm?", "negative", [-1.0, 1.0])]},
    }])];
    let tools = EvalTools::default();
    let alone = of_samples(Task::Dlc, DataKind::DlcBench, &pictures, &tools);
    assert_eq!(alone.report.metrics["average"].estimate, None);
    let notes = &alone.report.notes;
    assert!(notes[0].contains("--judge-url"), "{notes:?}");
    assert_eq!(alone.report.judge, None);

    let endpoint = Endpoint::start(|_, _, request| {
        let is_about_kind = user_text(request).contains("Is it likely");
        completion(if is_about_kind { "Yes" } else { "A" })
    });
    let folder = tempfile::tempdir().unwrap();
    let tools = judged_by(&endpoint, folder.path());
    for _ in 0..2 {
        let judged = of_samples(Task::Dlc, DataKind::DlcBench, &pictures, &tools);
        close(&judged, "positive", 1.0);
        close(&judged, "negative", -1.0);
        close(&judged, "average", 0.0);
        let notes = &judged.report.notes;
        assert!(notes[0].contains("llama-x"), "{notes:?}");
        assert_eq!(judged.report.judge.as_deref(), Some("llama-x"));
    }
    assert_eq!(endpoint.asked(), 3);
}
