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
    let expected = [
        "data_set",
        "judge",
        "metrics",
        "model_sha256",
        "n",
        "notes",
        "seed",
        "task",
    ];
    assert_eq!(names, expected);
    assert_eq!(roc["data_set"], "samples");
    let note = roc["notes"][0].as_str().unwrap();
    assert!(note.contains("--sentence-encoder"), "{note}");
    assert!(roc["metrics"]["ss"]["value"].is_null(), "{roc}");
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
    let all = "report.html: muse on samples, roc on samples\n";
    assert!(rebuilt.ends_with(all), "{rebuilt}");
    let html = fs::read_to_string(&page).unwrap();
    let value = 100.0 * more["metrics"]["siou"]["value"].as_f64().unwrap();
    for part in [
        "<section id=\"roc\">",
        "<section id=\"muse\">",
        "data:image/jpeg;base64,",
        "FCLM-3B",
        &format!("<td>siou</td><td class=\"name\">samples</td><td>{value:.1}</td>"),
    ] {
        assert!(html.contains(part), "{part} is not in the page");
    }
    let summary = fs::read(desk.path("out/report.json")).unwrap();
    let summary: Value = serde_json::from_slice(&summary).unwrap();
    assert_eq!(summary["tasks"][1]["metrics"], more["metrics"]);
}

#[test]
fn figures_do_not_depend_on_what_is_answered_together() {
    let scenes = samples::folder();
    for task in ["res", "region-caption"] {
        let [alone, together] = ["1", "8"].map(|batch| {
            let data = text(&scenes);
            json_of(&[
                "eval", "--task", task, "--data", data, "--limit", "4", "--batch", batch, "--json",
            ])
        });
        assert_eq!(alone["n"], together["n"], "{task}");
        for (name, figure) in alone["metrics"].as_object().unwrap() {
            let figures = [figure, &together["metrics"][name]];
            match figures.map(|figure| figure["value"].as_f64()) {
                [Some(one), Some(other)] => {
                    assert!((one - other).abs() < 1e-2, "{name}: {one} and {other}");
                }
                values => assert_eq!(values, [None, None], "{name}"),
            }
        }
    }
}

#[test]
fn all_tasks_fill_one_report() {
    let desk = Desk::with_picture();
    let (scenes, out) = (samples::folder(), desk.path("out"));
    let reports = json_of(&[
        "eval",
        "--task",
        "all",
        "--data",
        text(&scenes),
        "--limit",
        "2",
        "--out",
        text(&out),
        "--json",
    ]);
    let tasks: Vec<&str> = reports
        .as_array()
        .unwrap()
        .iter()
        .map(|report| report["task"].as_str().unwrap())
        .collect();
    let all = [
        "res",
        "gres",
        "reasonseg",
        "muse",
        "dl-res",
        "roc",
        "dlc",
        "region-caption",
        "gcg",
        "caption-find",
        "box-mask",
        "consistency",
    ];
    assert_eq!(tasks, all);
    for report in reports.as_array().unwrap() {
        assert!(report["n"].as_u64().unwrap() > 0, "{report}");
    }
    let summary = fs::read(desk.path("out/report.json")).unwrap();
    let summary: Value = serde_json::from_slice(&summary).unwrap();
    assert_eq!(summary["tasks"].as_array().unwrap().len(), all.len());
    let html = fs::read_to_string(desk.path("out/report.html")).unwrap();
    for task in all {
        assert!(html.contains(&format!("<section id=\"{task}\">")), "{task}");
    }
    // What cannot be computed has its row all the same.
    for figure in ["ss", "recall", "meteor"] {
        let row = format!("<td>{figure}</td><td class=\"name\">samples</td><td>not computed</td>");
        assert!(html.contains(&row), "{figure}");
    }

    let folder = pictures(&desk);
    let ran = binary::run(&["eval", "--task", "all", "--data", text(&folder)]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for task in ["reasonseg", "muse", "dl-res", "dlc", "consistency"] {
        let told = format!("fclm: {task} on pictures: there is nothing to ask\n");
        assert!(ran.stderr.contains(&told), "{task}: {}", ran.stderr);
    }
    assert_eq!(ran.stderr.lines().count(), 5, "{}", ran.stderr);
    for task in ["res", "gres", "roc", "region-caption", "gcg", "box-mask"] {
        let title = format!("{task} on pictures: ");
        assert!(ran.stdout.contains(&title), "{task}: {}", ran.stdout);
    }
    assert!(ran.stdout.contains("not computed"), "{}", ran.stdout);
}

#[test]
fn a_plan_measures_a_task_on_several_data_sets() {
    let desk = Desk::with_picture();
    pictures(&desk);
    let scenes = samples::folder().canonicalize().unwrap();
    let plan = format!(
        "[[measure]]\ntask = \"roc\"\ndata = {:?}\nname = \"Scenes\"\n\
         [[measure]]\ntask = \"res\"\ndata = \"nothing\"\n\
         [[measure]]\ntask = \"roc\"\ndata = \"pictures\"\nname = \"LVIS, one picture\"\n",
        text(&scenes)
    );
    let plan = desk.file("plan.toml", plan.as_bytes());
    let out = desk.path("out");
    let command = [
        "eval",
        "--plan",
        text(&plan),
        "--limit",
        "2",
        "--out",
        text(&out),
        "--json",
    ];
    let ran = binary::run(&command);
    assert_eq!(ran.code, 2, "a measurement failed: {}", ran.stderr);
    let told: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(told.len(), 2, "{}", ran.stderr);
    assert!(told[0].starts_with("fclm: res on nothing: there is no folder"));
    let all = "fclm: 1 of 3 measurements failed: res on nothing";
    assert_eq!(told[1], all);
    let reports: Value = serde_json::from_str(&ran.stdout).unwrap();
    let sets = [&reports[0]["data_set"], &reports[1]["data_set"]];
    assert_eq!(sets, ["Scenes", "LVIS, one picture"]);
    assert_eq!((&reports[0]["n"], &reports[1]["n"]), (&json!(2), &json!(1)));

    let summary = fs::read(desk.path("out/report.json")).unwrap();
    let summary: Value = serde_json::from_slice(&summary).unwrap();
    for place in [0, 1] {
        assert_eq!(summary["tasks"][place]["task"], "roc");
        for part in ["data_set", "n", "notes"] {
            assert_eq!(summary["tasks"][place][part], reports[place][part]);
        }
    }
    let html = fs::read_to_string(desk.path("out/report.html")).unwrap();
    let [scene, picture] = [0, 1].map(|place: usize| {
        let value = reports[place]["metrics"]["siou"]["value"].as_f64();
        format!("{:.1}", 100.0 * value.unwrap())
    });
    for part in [
        format!("<td>siou</td><td class=\"name\">Scenes</td><td>{scene}</td>"),
        format!("<td>siou</td><td class=\"name\">LVIS, one picture</td><td>{picture}</td>"),
        "<td>78.9</td><td>80.1</td>".to_owned(),
        "<h3>LVIS, one picture</h3>".to_owned(),
    ] {
        assert!(html.contains(&part), "{part} is not in the page");
    }

    // What is there already is refused by name, or gone on with.
    let again = binary::run(&command);
    assert_eq!(again.code, 2);
    let refused = "fclm: roc on Scenes: ";
    assert!(again.stderr.contains(refused), "{}", again.stderr);
    assert!(again.stderr.contains("3 of 3"), "{}", again.stderr);
    let resumed = binary::run(&[&command[..], &["--resume"]].concat());
    assert_eq!((resumed.code, resumed.stdout), (2, ran.stdout));
    let rebuilt = binary::run(&["eval", "--report", text(&out)]);
    let titles = rebuilt.expect_clean().stdout;
    for title in ["roc on Scenes", "roc on LVIS, one picture"] {
        assert!(titles.contains(title), "{titles}");
    }
}

#[test]
fn broken_pictures_are_skipped_and_told() {
    let desk = Desk::with_picture();
    let folder = pictures(&desk);
    let path = folder.join("pictures.jsonl");
    let good = fs::read_to_string(&path).unwrap();
    let mut missing: Value = serde_json::from_str(&good).unwrap();
    missing["id"] = json!("missing");
    missing["image"] = json!("gone.png");
    let mut large = missing.clone();
    large["id"] = json!("large");
    large["image"] = json!(desk.path("good.png"));
    let lines = format!("{missing}\n{good}\nnothing\n{large}\n");
    fs::write(&path, lines).unwrap();
    let common = ["eval", "--task", "roc", "--data", text(&folder)];
    let with = |more: &[&str]| binary::run(&[&common[..], more].concat());

    let ran = with(&["--json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    // They are told when they are found, by as many threads as there are.
    let mut told: Vec<&str> = ran.stderr.lines().collect();
    told.sort_unstable();
    assert_eq!(told.len(), 3, "{}", ran.stderr);
    for (line, parts) in told.iter().zip([
        ["pictures.jsonl:1: ", "gone.png"],
        ["pictures.jsonl:3: ", "not a picture"],
        ["pictures.jsonl:4: ", "96 x 64 pixels"],
    ]) {
        assert!(line.starts_with("fclm: skipped: "), "{line}");
        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
    }
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["n"], 1);
    let notes = report["notes"].to_string();
    assert!(notes.contains("3 pictures are broken"), "{notes}");

    let ended = with(&["--limit-broken", "2"]);
    let told: Vec<&str> = ended.stderr.lines().collect();
    assert_eq!((ended.code, told.len()), (2, 3), "{}", ended.stderr);
    assert!(
        told[..2]
            .iter()
            .all(|line| line.starts_with("fclm: skipped: "))
    );
    assert!(told[2].contains("more than 2 records"), "{}", told[2]);
    // Told once, however many tasks find it.
    let twice = with(&["--task", "box-mask"]);
    assert_eq!((twice.code, twice.stderr.lines().count()), (0, 3));
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
    let cases: [(&[&str], &str); 11] = [
        (&["--plan", nothing], "cannot read"),
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
