//! Measuring from the command line: every task's report, what is kept, and what is refused.

use std::fs;
use std::path::PathBuf;

use fclm_tests::binary;
use fclm_tests::desk::{Desk, text};
use fclm_tests::samples;
use serde_json::{Value, json};

/// A folder of one picture in our format: the first sample scene, its clearest object named.
fn pictures(desk: &Desk) -> PathBuf {
    let scene = samples::scenes().remove(0);
    let object = scene.clearest();
    let name = format!("{} {}", object.color, object.shape);
    let record = json!({
        "id": "sample", "image": scene.picture().canonicalize().unwrap(),
        "width": scene.width, "height": scene.height,
        "regions": [{"id": "0", "mask": object.mask, "category": name,
            "descriptions": [{"text": format!("A {name}."), "length": "brief"}]}],
        "expressions": [{"text": format!("the {name}"), "kind": "short", "targets": [0]},
            {"text": "the elephant", "kind": "short", "targets": []}],
        "grounded": [{"text": format!("There is a {name}."),
            "phrases": [{"start": 9, "end": 11 + name.chars().count(), "targets": [0]}]}],
    });
    let folder = desk.path("pictures");
    fs::create_dir_all(&folder).unwrap();
    desk.file("pictures/pictures.jsonl", record.to_string().as_bytes());
    folder
}

fn json_of(arguments: &[&str]) -> Value {
    let printed = binary::run(arguments).expect_clean().stdout;
    serde_json::from_str(&printed).unwrap()
}

#[test]
fn what_is_measured_is_kept_and_told_in_one_page() {
    let desk = Desk::with_picture();
    let (scenes, out) = (samples::folder(), desk.path("out"));
    let (scenes, out) = (text(&scenes), text(&out));
    let measure = |task: &str, more: &[&str]| {
        let common = [
            "eval", "--task", task, "--data", scenes, "--out", out, "--json",
        ];
        json_of(&[&common[..], more].concat())
    };
    let roc = measure("roc", &["--limit", "3"]);
    let names: Vec<&String> = roc.as_object().unwrap().keys().collect();
    assert_eq!(names, ["metrics", "model_sha256", "n", "seed", "task"]);
    for metric in ["category_accuracy", "siou"] {
        let figure = &roc["metrics"][metric];
        assert!(
            figure["value"].is_f64() && figure["blind"]["value"].is_f64(),
            "{roc}"
        );
    }
    let muse = measure("muse", &["--limit", "3"]);
    assert!(muse["metrics"]["matched_giou"]["value"].is_f64(), "{muse}");

    let common = ["eval", "--task", "roc", "--data", scenes, "--out", out];
    let refused = binary::run(&common).expect_refusal();
    assert!(refused.contains("--resume"), "{refused}");
    assert_eq!(measure("roc", &["--limit", "3", "--resume"]), roc);
    let more = measure("roc", &["--limit", "4", "--resume"]);
    assert_eq!(more["n"], 4);
    let other_seed = [&common[..], &["--resume", "--seed", "9"]].concat();
    let refused = binary::run(&other_seed).expect_refusal();
    assert!(refused.contains("another seed (0, not 9)"), "{refused}");

    // What is asked is told; the folder's report stays about all that it holds.
    assert_eq!(measure("roc", &["--limit", "1", "--resume"])["n"], 1);
    let page = desk.path("out/report.html");
    let kept = fs::read_to_string(&page).unwrap();
    assert!(kept.contains("4 samples, rendered scenes"), "of roc");
    fs::remove_file(&page).unwrap();
    let rebuilt = binary::run(&["eval", "--report", out])
        .expect_clean()
        .stdout;
    assert!(rebuilt.ends_with("report.html: muse, roc\n"), "{rebuilt}");
    let html = fs::read_to_string(&page).unwrap();
    let value = 100.0 * more["metrics"]["siou"]["value"].as_f64().unwrap();
    for part in [
        "<section id=\"roc\">",
        "<section id=\"muse\">",
        "data:image/jpeg;base64,",
        "FCLM-3B",
        &format!("<td>siou</td><td>{value:.1}</td>"),
    ] {
        assert!(html.contains(part), "{part} is not in the page");
    }
    let summary = fs::read(desk.path("out/report.json")).unwrap();
    let summary: Value = serde_json::from_slice(&summary).unwrap();
    assert_eq!(summary["tasks"][1]["metrics"], more["metrics"]);
}

#[test]
fn folders_of_pictures_are_asked_everything_that_is_known() {
    let desk = Desk::with_picture();
    let folder = pictures(&desk);
    let measure =
        |task: &str| json_of(&["eval", "--task", task, "--data", text(&folder), "--json"]);
    let gres = measure("gres");
    assert_eq!(gres["n"], 2);
    assert!(gres["metrics"]["n_acc"]["value"].is_f64(), "{gres}");
    assert_eq!(measure("res")["n"], 1);
    let roc = measure("roc");
    assert!(roc["metrics"]["siou"]["value"].is_f64(), "{roc}");
    assert!(roc["metrics"]["ss"]["value"].is_null(), "{roc}");
    let gcg = measure("gcg");
    assert!(gcg["metrics"]["recall_words"]["value"].is_f64(), "{gcg}");
    let described = measure("region-caption");
    assert!(
        described["metrics"]["cider_brief"]["value"].is_f64(),
        "{described}"
    );
    assert!(
        described["metrics"]["cider_detailed"]["value"].is_null(),
        "{described}"
    );
    let table = binary::run(&["eval", "--task", "roc", "--data", text(&folder)]);
    assert!(table.expect_clean().stdout.contains("--sentence-encoder"));
}

#[test]
fn what_cannot_be_measured_is_refused_in_a_sentence() {
    let desk = Desk::with_picture();
    let folder = pictures(&desk);
    let (folder, nothing) = (text(&folder), desk.path("nothing"));
    let nothing = text(&nothing);
    let cases: [(&[&str], &str); 10] = [
        (&["--task", "dlc", "--data", folder], "DLC-Bench"),
        (
            &["--task", "muse", "--data", folder],
            "holds nothing that muse",
        ),
        (&["--task", "res", "--data", nothing], "there is no folder"),
        (&["--report", folder], "holds no samples"),
        (&["--report", nothing], "there is no folder"),
        (
            &[
                "--task",
                "roc",
                "--data",
                folder,
                "--sentence-encoder",
                nothing,
            ],
            "config.json",
        ),
        (
            &["--task", "gcg", "--data", folder, "--meteor-jar", nothing],
            "meteor",
        ),
        (
            &[
                "--task",
                "roc",
                "--data",
                folder,
                "--judge-url",
                "nowhere",
                "--judge-model",
                "x",
            ],
            "no address of a chat endpoint",
        ),
        (&["--task", "rec", "--data", folder], "region-caption"),
        (&["--task", "roc", "--data", folder, "--resume"], "--out"),
    ];
    for (arguments, reason) in cases {
        let sentence = binary::run(&[&["eval"][..], arguments].concat()).expect_refusal();
        let told = sentence.to_lowercase();
        assert!(
            told.contains(&reason.to_lowercase()),
            "{arguments:?}: {sentence}"
        );
    }
}
