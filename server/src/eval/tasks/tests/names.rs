//! Questions and figures of `roc`, names of regions.

use std::fs;

use burn::tensor::Device;
use serde_json::json;

use super::{close, kept, mask, measure, of_samples, options, pictures, scenes};
use crate::{
    eval::{
        EvalTools,
        protocol::Task,
        source::DataKind,
        text::sentence::{SentenceEncoder, tests::tiny_encoder},
    },
    model_dir::fixtures::tiny_model,
    predict::Predictor,
};

#[test]
fn fixture_model_is_asked_for_names_in_osprey_s_words_on_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let predictor = Predictor::open(&tiny_model(folder.path())).unwrap();
    for (data, question) in [
        (scenes(folder.path(), 2), "What is this?"),
        (
            pictures(folder.path()),
            "What is the category of @1? Using only one word or phrase.",
        ),
    ] {
        let dir = data.with_extension("out");
        measure(&predictor, &options(Task::Roc, &data), &kept(&dir, false));
        let text = fs::read_to_string(dir.join("roc.samples.jsonl")).unwrap();
        let asked = format!("\"asked\":\"{question}\"");
        let (all, those) = (text.matches("\"asked\":"), text.matches(&asked));
        let count = those.count();
        assert!(count > 0);
        assert_eq!(all.count(), count, "{question}");
    }
}

#[test]
fn names_that_were_asked_for_in_two_ways_are_told() {
    let called = |asked: &str| {
        json!([{
            "asked": asked, "answer": "mug", "expected": ["mug"], "region": mask(&[0, 2, 2]),
            "detail": {"attributes": null, "is_right": null, "siou": 1.0},
        }])
    };
    let tools = EvalTools::default();
    for (asked, is_told) in [(["a?", "a?"], false), (["a?", "b?"], true)] {
        let pictures = asked.map(called);
        let roc = of_samples(Task::Roc, DataKind::Pictures, &pictures, &tools);
        let told = roc.report.notes.iter().any(|note| note.contains("\"b?\""));
        assert_eq!(told, is_told, "{:?}", roc.report.notes);
    }
}

#[test]
fn hand_made_names_are_compared_by_words_and_by_meaning() {
    let called = |answer: &str, siou: f64| {
        json!([{
            "asked": "x", "answer": answer, "expected": ["mug"], "region": mask(&[0, 2, 2]),
            "detail": {"attributes": null, "is_right": null, "siou": siou},
        }])
    };
    let folder = tiny_encoder();
    let tools = EvalTools {
        sentence_encoder: Some(SentenceEncoder::mini_lm(folder.path(), &Device::flex()).unwrap()),
        ..EvalTools::default()
    };
    let pictures = [called("Mug.", 1.0), called("red bow", 0.0)];
    let roc = of_samples(Task::Roc, DataKind::Pictures, &pictures, &tools);
    close(&roc, "siou", 0.5);
    // "red bow" and "mug" are at an angle whose cosine is -0.17232, as the encoder's test has them.
    close(&roc, "ss", (1.0 - 0.172_32) / 2.0);
    let blind = roc.report.metrics["ss"].blind.unwrap().value;
    assert!((blind - 1.0).abs() < 1e-6, "{blind}");
}
