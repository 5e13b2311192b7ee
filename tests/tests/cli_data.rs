//! Folders of scenes: those that `fclm data scenes` renders, and measuring on one that somebody else
//! has written.

use std::fs;
use std::path::Path;

use fclm_tests::binary;
use fclm_tests::desk::{Desk, text};
use fclm_tests::samples;
use serde_json::{Value, json};

/// The first of the sample scenes.
fn sample() -> Value {
    let lines = fs::read_to_string(samples::folder().join("scenes.jsonl")).unwrap();
    serde_json::from_str(lines.lines().next().unwrap()).unwrap()
}

/// Writes a data set of one scene, with the sample's picture.
fn write(desk: &Desk, scene: &Value) {
    let image = Path::new(scene["image"].as_str().unwrap());
    let picture = desk.path("scenes").join(image);
    fs::create_dir_all(picture.parent().unwrap()).unwrap();
    fs::copy(samples::folder().join(image), picture).unwrap();
    desk.file("scenes/scenes.jsonl", scene.to_string().as_bytes());
}

#[test]
fn scenes_are_of_the_world_that_was_asked_for() {
    let desk = Desk::with_picture();
    let render = |name: &str, more: &[&str]| {
        let out = desk.path(name);
        let start = [
            "data", "scenes", "--seed", "5", "--count", "12", "--size", "64x64",
        ];
        let arguments = [&start[..], &["--out", text(&out)], more].concat();
        let said = binary::run(&arguments).expect_clean().stdout;
        (said, fs::read_to_string(out.join("scenes.jsonl")).unwrap())
    };
    let objects = |lines: &str| -> usize {
        let scenes = lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        scenes
            .map(|scene| scene["objects"].as_array().unwrap().len())
            .sum()
    };
    let (said, usual) = render("usual", &[]);
    assert!(
        said.ends_with(": 12 scenes, seed 5, plain world\n"),
        "{said}"
    );
    let (_, plain) = render("plain", &["--world", "plain"]);
    assert_eq!(usual, plain);
    let (said, hard) = render("hard", &["--world", "hard"]);
    assert!(
        said.ends_with(": 12 scenes, seed 5, hard world\n"),
        "{said}"
    );
    assert!(
        objects(&hard) > objects(&plain),
        "hard scenes are not crowded"
    );

    let out = desk.path("soft");
    let soft = [
        "data",
        "scenes",
        "--count",
        "1",
        "--world",
        "soft",
        "--out",
        text(&out),
    ];
    let sentence = binary::run(&soft).expect_refusal();
    assert!(sentence.contains("plain and hard"), "{sentence}");
}

#[test]
fn scenes_that_make_no_sense_are_refused_in_a_sentence() {
    let desk = Desk::with_picture();
    let mut scene = sample();
    scene["objects"][1]["box"] = json!([300, 300, 200, 100]);
    write(&desk, &scene);
    let folder = desk.path("scenes");
    let arguments = ["eval", "--task", "box-mask", "--data", text(&folder)];
    let ran = binary::run(&arguments);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.stderr);
    // The scene is told when it is found, and then that nothing else is there.
    let lines: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{}", ran.stderr);
    assert!(
        lines[1].contains("holds nothing that box-mask could ask about"),
        "{}",
        lines[1]
    );
    for line in lines {
        for part in [
            "scenes.jsonl:1",
            "scene 0, object 1",
            "[300.0, 300.0, 200.0, 100.0]",
        ] {
            assert!(line.contains(part), "{part} is not in {line}");
        }
    }
}

#[test]
fn what_is_not_understood_of_scenes_is_counted_in_a_sentence() {
    let desk = Desk::with_picture();
    let folder = desk.path("scenes");
    let arguments = ["eval", "--task", "box-mask", "--data", text(&folder)];
    let mut scene = sample();
    write(&desk, &scene);
    let report = binary::run(&arguments).expect_clean().stdout;

    scene["refs"][0]["kind"] = json!("riddle");
    scene["captions"] = json!(["A table.", "Things on a table."]);
    write(&desk, &scene);
    let again = binary::run(&arguments);
    assert_eq!((again.code, again.stdout), (0, report));
    let told = "was left out: 1 of its expressions, 2 of its captions\n";
    assert!(again.stderr.ends_with(told), "{}", again.stderr);
    assert_eq!(again.stderr.lines().count(), 1, "{}", again.stderr);
}
