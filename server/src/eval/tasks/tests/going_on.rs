//! A measurement goes on where it was stopped, and past pictures that are broken.

use std::fs;

use serde_json::json;

use super::{super::cases::tests::LINE, kept, measure, options, pictures, scenes};
use crate::{
    data::record::PICTURES_FILE,
    eval::{
        EvalError, EvalOptions, EvalTools, evaluate, evaluate_with, protocol::Task, rebuild_report,
    },
    model_dir::fixtures::tiny_model,
    predict::Predictor,
};

#[test]
fn fixture_model_goes_on_where_it_was_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let data = scenes(folder.path(), 3);
    let predictor = Predictor::open(&tiny_model(folder.path())).unwrap();
    for task in [Task::BoxMask, Task::Consistency, Task::Roc] {
        let dir = folder.path().join(task.name());
        let options = options(task, &data);
        let whole = measure(&predictor, &options, &kept(&dir, false));
        let summary = fs::read(dir.join("report.json")).unwrap();

        // A kill in the middle of the second picture that was written.
        let path = dir.join(format!("{task}.samples.jsonl"));
        let text = fs::read(&path).unwrap();
        let lines: Vec<&[u8]> = text.split_inclusive(|&byte| byte == b'\n').collect();
        assert_eq!(lines.len(), 4, "a header and three pictures");
        // Inside of a character, where there is one that has several bytes.
        let second = lines[2];
        let cut = second.iter().position(|&byte| byte >= 0x80);
        let cut = cut.map_or(second.len() / 2, |first| first + 1);
        fs::write(&path, [lines[0], lines[1], &second[..cut]].concat()).unwrap();
        let partial = rebuild_report(&dir, &EvalTools::default()).unwrap();
        assert!(partial[0].to_string().contains("2 of 3 pictures"));

        let again = evaluate_with(
            &predictor,
            &options,
            &EvalTools::default(),
            Some(&kept(&dir, false)),
            &|_, _| {},
        );
        assert!(matches!(again, Err(EvalError::AlreadyThere(_))));
        let resumed = measure(&predictor, &options, &kept(&dir, true));
        assert_eq!(resumed, whole, "{task}");
        assert_eq!(fs::read(dir.join("report.json")).unwrap(), summary);
        // Fewer pictures are told of by themselves, and the folder still of all that it holds.
        let fewer = EvalOptions {
            limit: Some(2),
            ..options.clone()
        };
        let alone = evaluate(&predictor, &fewer, &|_, _| {}).unwrap();
        let fewer = measure(&predictor, &fewer, &kept(&dir, true));
        assert_eq!(fewer, alone, "{task}");
        assert_eq!(fs::read(dir.join("report.json")).unwrap(), summary);
        let other = EvalOptions { seed: 6, ..options };
        let other = evaluate_with(
            &predictor,
            &other,
            &EvalTools::default(),
            Some(&kept(&dir, true)),
            &|_, _| {},
        );
        assert!(matches!(
            other,
            Err(EvalError::OtherRun { what: "seed", .. })
        ));
    }
    // Another data set in the place of the first one is noticed by its pictures.
    let other = pictures(folder.path());
    let dir = folder.path().join("of-pictures");
    measure(
        &predictor,
        &options(Task::BoxMask, &other),
        &kept(&dir, false),
    );
    let line = LINE.replace("\"id\": \"7\"", "\"id\": \"8\"");
    fs::write(other.join(PICTURES_FILE), line.replace('\n', " ")).unwrap();
    let refused = evaluate_with(
        &predictor,
        &options(Task::BoxMask, &other),
        &EvalTools::default(),
        Some(&kept(&dir, true)),
        &|_, _| {},
    );
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.contains("its picture 7, not picture 8"),
        "{refused}"
    );
}

#[test]
fn fixture_model_skips_what_is_broken_up_to_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    let data = pictures(folder.path());
    let predictor = Predictor::open(&tiny_model(folder.path())).unwrap();
    let good = LINE.replace('\n', " ");
    let missing = good.replace("\"id\": \"7\"", "\"id\": \"8\"");
    let missing = missing.replace("7.png", "8.png");
    let narrow = json!({"id": "9", "image": "7.png", "width": 32, "height": 64,
        "regions": [{"id": "0", "mask": {"size": [64, 32], "counts": [0, 1024, 1024]}}]});
    let lines = format!("{missing}\n{good}\n{{\n{narrow}\n");
    fs::write(data.join(PICTURES_FILE), lines).unwrap();
    let dir = folder.path().join("out");
    let whole = options(Task::BoxMask, &data);
    let report = measure(&predictor, &whole, &kept(&dir, false));
    assert_eq!(report.n, 2, "the regions of the one good picture");
    let told = report.broken.join("\n");
    for part in [
        "pictures.jsonl:1: cannot read",
        "pictures.jsonl:3: not a picture",
        "pictures.jsonl:4: ",
        "7.png has 64 x 64 pixels but its record says 32 x 64",
    ] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    let note = report.notes.last().unwrap();
    assert!(note.starts_with("3 pictures are broken"), "{note}");
    let rebuilt = rebuild_report(&dir, &EvalTools::default()).unwrap();
    assert_eq!(rebuilt, [report]);

    let strict = EvalOptions {
        limit_broken: 2,
        ..whole.clone()
    };
    let ended = evaluate(&predictor, &strict, &|_, _| {}).unwrap_err();
    assert!(matches!(ended, EvalError::TooManyBroken(_)), "{ended}");
    assert!(ended.to_string().contains("more than 2 records"), "{ended}");

    // What was mended is asked about where the measurement goes on.
    fs::copy(data.join("7.png"), data.join("8.png")).unwrap();
    let mended = measure(&predictor, &whole, &kept(&dir, true));
    assert_eq!((mended.n, mended.broken.len()), (4, 2));

    fs::write(data.join(PICTURES_FILE), "{\n").unwrap();
    let nothing = evaluate(&predictor, &whole, &|_, _| {}).unwrap_err();
    assert!(matches!(nothing, EvalError::AllBroken { .. }), "{nothing}");
    assert!(!nothing.is_nothing_to_ask());
}
