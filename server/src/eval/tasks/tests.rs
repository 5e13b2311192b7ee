//! The fixture model at every task, and figures of samples that are made by hand.

use std::{
    fs,
    path::{Path, PathBuf},
};

use burn::tensor::Device;
use image::RgbImage;
use serde_json::{Value, json};

use super::{cases::tests::LINE, measured};
use crate::{
    chat_client::{
        ChatClient, ChatOptions,
        endpoint::{Endpoint, completion, user_text},
    },
    data::{record::PICTURES_FILE, scenes::write_dataset},
    eval::{
        EvalError, EvalOptions, EvalOut, EvalTools, evaluate, evaluate_with,
        protocol::Task,
        rebuild_report,
        report::Report,
        samples::{Header, Samples},
        source::DataKind,
        summary::Measured,
        text::sentence::{SentenceEncoder, tests::tiny_encoder},
    },
    model_dir::fixtures::tiny_model,
    predict::Predictor,
};

const SIDE: u32 = 128;

fn scenes(folder: &Path, count: u64) -> PathBuf {
    let data = folder.join("scenes");
    write_dataset(11, count, &data, (SIDE, SIDE)).unwrap();
    data
}

fn pictures(folder: &Path) -> PathBuf {
    let data = folder.join("pictures");
    fs::create_dir(&data).unwrap();
    RgbImage::from_fn(64, 64, |x, y| image::Rgb([4 * x as u8, 4 * y as u8, 90]))
        .save(data.join("7.png"))
        .unwrap();
    fs::write(data.join(PICTURES_FILE), LINE.replace('\n', " ")).unwrap();
    data
}

fn options(task: Task, data: &Path) -> EvalOptions {
    EvalOptions {
        seed: 5,
        ..EvalOptions::new(task, data)
    }
}

fn kept(dir: &Path, resume: bool) -> EvalOut {
    EvalOut {
        dir: dir.to_owned(),
        resume,
    }
}

fn measure(predictor: &Predictor, options: &EvalOptions, out: &EvalOut) -> Report {
    let tools = EvalTools::default();
    evaluate_with(predictor, options, &tools, Some(out), &|_, _| {}).unwrap()
}

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

/// Tools with a judge whose answers are kept in a folder.
fn judged_by(endpoint: &Endpoint, cache: &Path) -> EvalTools {
    let client = ChatClient::new(ChatOptions {
        cache: Some(cache.to_owned()),
        ..ChatOptions::new(&endpoint.base_url, "llama-x")
    });
    EvalTools {
        judge: Some(client.unwrap()),
        ..EvalTools::default()
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

/// What hand-made samples come to; each picture has the samples of one line.
fn of_samples(task: Task, on: DataKind, pictures: &[Value], tools: &EvalTools) -> Measured {
    let ids = (0..pictures.len()).map(|place| format!("p{place}"));
    of_named(task, on, &ids.zip(pictures).collect::<Vec<_>>(), tools)
}

/// What hand-made samples of pictures with these ids come to.
fn of_named(
    task: Task,
    on: DataKind,
    pictures: &[(String, &Value)],
    tools: &EvalTools,
) -> Measured {
    let data = ("/data".to_owned(), on, pictures.len());
    let header = Header::new(task, 1, "tiny".to_owned(), "00".to_owned(), data);
    let mut samples = Samples::in_memory(header);
    for (place, (id, picture)) in pictures.iter().enumerate() {
        let line = json!({"picture": place, "id": id, "image": "p.png", "samples": picture});
        samples.push(place, id.clone(), line.to_string()).unwrap();
    }
    measured(&samples, tools).unwrap()
}

/// A mask of one row of four pixels.
fn mask(runs: &[u32]) -> Value {
    json!({"size": [1, 4], "counts": runs})
}

fn marked(runs: &[u32], phrase: &str) -> Value {
    json!({"mask": mask(runs), "phrase": phrase})
}

fn value(measured: &Measured, name: &str) -> f64 {
    let metric = measured.report.metrics.get(name);
    let metric = metric.unwrap_or_else(|| panic!("there is no {name}"));
    metric.estimate.unwrap().value
}

fn close(measured: &Measured, name: &str, expected: f64) {
    let got = value(measured, name);
    assert!(
        (got - expected).abs() < 1e-4,
        "{name} is {got}, not {expected}"
    );
}

fn search(truth: &[u32], drawn: &[&[u32]], overlap: [u64; 2], kind: &str) -> Value {
    let drawn: Vec<Value> = drawn.iter().map(|runs| marked(runs, "")).collect();
    let [intersection, union] = overlap;
    json!({
        "asked": "x", "answer": "", "truths": [{"mask": mask(truth)}], "drawn": drawn,
        "detail": {"kind": kind, "is_held_out": null, "iou": 0.0,
            "overlap": {"intersection": intersection, "union": union}},
    })
}

#[test]
fn hand_made_searches_give_hand_computed_figures() {
    let nothing = || search(&[4], &[], [0, 0], "none");
    let made_up = || search(&[4], &[&[0, 2, 2]], [0, 2], "none");
    let partly = || search(&[0, 2, 2], &[&[1, 2, 1]], [1, 3], "short");
    let pictures = [json!([nothing(), made_up()]), json!([partly()])];
    let tools = EvalTools::default();
    let gres = of_samples(Task::Gres, DataKind::Scenes, &pictures, &tools);
    assert_eq!(gres.report.n, 3);
    close(&gres, "giou", (1.0 + 0.0 + 1.0 / 3.0) / 3.0);
    close(&gres, "ciou", 1.0 / (2.0 + 3.0));
    close(&gres, "n_acc", 0.5);
    close(&gres, "t_acc", 1.0);
    let res = of_samples(Task::Res, DataKind::Scenes, &pictures, &tools);
    assert_eq!(res.report.n, 1, "what is not there is left out");
    close(&res, "giou", 1.0 / 3.0);
    close(&res, "ciou", 1.0 / 3.0);
    close(&res, "giou_short", 1.0 / 3.0);
    close(&res, "giou_none", 0.5);
    assert_eq!(res.report.metrics["giou_several"].estimate, None);
    assert!(!res.report.metrics.contains_key("giou_unseen"));
}

#[test]
fn long_and_short_queries_have_figures_of_their_own() {
    let query = |drawn: &[u32], overlap: [u64; 2], is_sentence: Option<bool>| {
        let mut sample = search(&[0, 2, 2], &[drawn], overlap, "short");
        sample["detail"]["is_sentence"] = json!(is_sentence);
        sample
    };
    let tools = EvalTools::default();
    let pictures = [
        json!([query(&[0, 2, 2], [2, 2], Some(true))]),
        json!([query(&[0, 1, 3], [1, 2], Some(false))]),
        json!([query(&[2, 2], [0, 4], Some(false))]),
    ];
    let measured = of_samples(Task::ReasonSeg, DataKind::Pictures, &pictures, &tools);
    close(&measured, "giou", 0.5);
    close(&measured, "giou_long", 1.0);
    close(&measured, "ciou_long", 1.0);
    close(&measured, "giou_short", 0.25);
    close(&measured, "ciou_short", 1.0 / 6.0);
    let unknown = [json!([query(&[0, 2, 2], [2, 2], None)])];
    let unknown = of_samples(Task::ReasonSeg, DataKind::Pictures, &unknown, &tools);
    assert!(!unknown.report.metrics.contains_key("giou_long"));
}

#[test]
fn a_blank_mask_and_a_refusal_say_nothing_of_what_is_there() {
    let refused = |truth: &[u32], kind: &str| {
        let mut sample = search(truth, &[], [0, 0], kind);
        sample["refusal"] = json!("The text is too long.");
        sample
    };
    let tools = EvalTools::default();
    let of = |sample: Value| {
        let right = search(&[4], &[], [0, 0], "none");
        let found = search(&[0, 2, 2], &[&[0, 2, 2]], [2, 2], "short");
        let pictures = [json!([sample, right, found])];
        of_samples(Task::Gres, DataKind::Pictures, &pictures, &tools)
    };
    for nothing_there in [search(&[4], &[&[4]], [0, 0], "none"), refused(&[4], "none")] {
        let gres = of(nothing_there);
        close(&gres, "giou", 2.0 / 3.0);
        close(&gres, "n_acc", 0.5);
        close(&gres, "t_acc", 1.0);
    }
    let gres = of(refused(&[0, 2, 2], "short"));
    close(&gres, "giou", 2.0 / 3.0);
    close(&gres, "ciou", 2.0 / 4.0);
    close(&gres, "n_acc", 1.0);
    close(&gres, "t_acc", 0.5);
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
