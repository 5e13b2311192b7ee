//! A training run is the same whether it went through at once or was killed and taken up again, and it
//! ends in good order where a signal asks it to.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fclm_core::fclm::prompt::CHAT_TEMPLATE;
use fclm_core::fclm::{FclmConfig, FclmTokenizer};
use fclm_server::device::DeviceChoice;
use fclm_server::model_dir::write_trained;
use fclm_server::train::train_tokenizer;
use fclm_tests::binary;

/// How long a step may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// nano's recipe with short steps, the first one of the vision tower's, so many of stage 1, the last
/// one of stage 2, and a checkpoint after each.
fn recipe(folder: &Path, steps: u32) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/recipes/nano.toml");
    let text = fs::read_to_string(source).unwrap();
    let mut stage = "";
    let lines: Vec<String> = text
        .lines()
        .map(|line| {
            if line.starts_with('[') {
                stage = line;
            }
            match (line.split(" = ").next().unwrap(), stage) {
                ("checkpoint_every", _) => "checkpoint_every = 1".to_owned(),
                ("scenes", "[batch]") => "scenes = 1".to_owned(),
                ("scenes" | "whole" | "crops", "[tower]") => {
                    format!("{} = 1", line.split(" = ").next().unwrap())
                }
                ("steps", "[stage_1.schedule]") => format!("steps = {steps}"),
                ("steps", _) => "steps = 1".to_owned(),
                _ => line.to_owned(),
            }
        })
        .collect();
    let path = folder.join("short.toml");
    fs::write(&path, lines.join("\n")).unwrap();
    path
}

fn train(recipe: &Path, run: &Path, more: &[&str]) -> Child {
    train_telling(recipe, run, more, Stdio::null())
}

fn train_telling(recipe: &Path, run: &Path, more: &[&str], told: Stdio) -> Child {
    binary::command()
        .arg("train")
        .arg("--recipe")
        .arg(recipe)
        .arg("--run")
        .arg(run)
        .args(more)
        .stdout(Stdio::null())
        .stderr(told)
        .spawn()
        .unwrap()
}

fn wait_for(path: &Path) {
    let started = Instant::now();
    while !path.exists() {
        assert!(
            started.elapsed() < PATIENCE,
            "{} never came",
            path.display()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Kills a run behind its first checkpoint, before its last step; where it was too late for that, once
/// more from the beginning.
fn kill_unfinished(start: impl Fn() -> Child, run: &Path, steps: u64) {
    for _ in 0..5 {
        let mut process = start();
        wait_for(&run.join("state.json"));
        process.kill().unwrap();
        process.wait().unwrap();
        if step(run) < steps {
            return;
        }
        fs::remove_dir_all(run).unwrap();
    }
    panic!("no run of {steps} steps was killed before its end");
}

/// Parameters and both moments after the last step.
fn numbers(run: &Path) -> Vec<u8> {
    fs::read(run.join("step-00000004.f32")).unwrap()
}

#[test]
fn a_run_that_was_killed_goes_on_as_if_nothing_had_happened() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe(folder.path(), 2);
    let (whole, pieces) = (folder.path().join("whole"), folder.path().join("pieces"));
    assert!(train(&recipe, &whole, &[]).wait().unwrap().success());

    kill_unfinished(|| train(&recipe, &pieces, &[]), &pieces, 4);

    let again = |more: &[&str]| train(&recipe, &pieces, more).wait().unwrap();
    assert_eq!(again(&[]).code(), Some(2), "a run was overwritten");
    assert!(again(&["--resume"]).success());
    assert!(
        numbers(&whole) == numbers(&pieces),
        "the runs differ after their last step"
    );

    // Another recipe is another run, unless that is said.
    let changed = fs::read_to_string(&recipe).unwrap();
    let changed = changed.replacen("learning_rate = ", "learning_rate = 1", 1);
    fs::write(&recipe, changed).unwrap();
    assert_eq!(again(&["--resume"]).code(), Some(2));
    assert!(again(&["--resume", "--changed-recipe"]).success());

    let inspected = binary::run(&["inspect", pieces.join("model").to_str().unwrap()]);
    let summary = inspected.expect_clean().stdout;
    assert!(summary.contains("stage 2"), "{summary}");
}

/// Sends a signal as a person or the system does.
fn signal(name: &str, process: &Child) {
    let kill = format!("kill -{name} {}", process.id());
    let sent = Command::new("sh").args(["-c", &kill]).status().unwrap();
    assert!(sent.success(), "{kill}");
}

/// The steps that a run has done by its checkpoint.
fn step(run: &Path) -> u64 {
    let state = fs::read(run.join("state.json")).unwrap();
    let state: serde_json::Value = serde_json::from_slice(&state).unwrap();
    state["step"].as_u64().unwrap()
}

#[test]
fn a_run_that_a_signal_stops_can_be_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    // So many steps that none of the signals comes too late.
    let recipe = recipe(folder.path(), 400);
    let (run, told) = (folder.path().join("run"), folder.path().join("told"));
    let started = |more: &[&str]| {
        let told = File::create(&told).unwrap();
        train_telling(&recipe, &run, more, Stdio::from(told))
    };
    let mut interrupted = started(&[]);
    wait_for(&run.join("state.json"));
    signal("INT", &interrupted);
    let ended = interrupted.wait().unwrap();
    let said = fs::read_to_string(&told).unwrap();
    assert_eq!(ended.code(), Some(130), "{said}");
    let sentence = said.lines().last().unwrap();
    assert!(
        sentence.contains("of 402, with a checkpoint in") && sentence.ends_with(" --resume"),
        "{said}"
    );
    let before = step(&run);
    assert!((1..402).contains(&before), "{before}");
    assert!(run.join("model/config.json").is_file());

    let mut resumed = started(&["--resume"]);
    let since = Instant::now();
    while step(&run) == before {
        assert!(since.elapsed() < PATIENCE, "it does not go on");
        std::thread::sleep(Duration::from_millis(20));
    }
    signal("TERM", &resumed);
    assert_eq!(resumed.wait().unwrap().code(), Some(143));
    let after = step(&run);
    assert!(after > before, "{after}");
    assert!(run.join(format!("step-{after:08}.f32")).is_file());
}

#[test]
fn a_second_signal_ends_a_run_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe(folder.path(), 2);
    let (run, told) = (folder.path().join("run"), folder.path().join("told"));
    let log = File::create(&told).unwrap();
    let mut process = train_telling(&recipe, &run, &[], Stdio::from(log));
    // Its tokenizer and its model are still to be made.
    wait_for(&run);
    signal("INT", &process);
    let since = Instant::now();
    while !fs::read_to_string(&told).unwrap().contains("second signal") {
        assert!(since.elapsed() < PATIENCE, "the signal was not heard");
        std::thread::sleep(Duration::from_millis(5));
    }
    signal("INT", &process);
    assert_eq!(process.wait().unwrap().code(), Some(130));
    assert!(!run.join("model").exists());
}

/// A tiny random model.
fn tiny_model(folder: &Path) -> PathBuf {
    let texts = (0..60).map(|number| format!("the red metal cube is left of sphere {number}"));
    let json = train_tokenizer(texts, 320).unwrap();
    let tokenizer = FclmTokenizer::from_json(json.as_bytes()).unwrap();
    let rows = tokenizer.ids().next_multiple_of(8);
    let config = FclmConfig::tiny(rows, tokenizer.special().image);
    let model = config.init(&DeviceChoice::Cpu.open().unwrap());
    let out = folder.join("tiny");
    write_trained(&out, &config, &json, CHAT_TEMPLATE, &model).unwrap();
    out
}

/// The 3B model's recipe with six short steps, the last two of stage 2, a checkpoint after each, and
/// one data set.
fn large_recipe(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/recipes/3b.toml");
    let text = fs::read_to_string(source).unwrap();
    let (settings, _) = text.split_once("[[data]]").unwrap();
    let mut section = "";
    let mut lines: Vec<String> = Vec::new();
    for line in settings.lines() {
        if line.starts_with('[') {
            section = line;
        }
        lines.push(match (line.split(" = ").next().unwrap(), section) {
            ("checkpoint_every", _) => "checkpoint_every = 1".to_owned(),
            ("pictures_per_step", _) => "pictures_per_step = 2".to_owned(),
            ("max_turns", _) => "max_turns = 3".to_owned(),
            ("rank", _) => "rank = 4".to_owned(),
            ("alpha", _) => "alpha = 8.0".to_owned(),
            ("points", _) => "points = 64".to_owned(),
            ("learning_rate", _) => "learning_rate = 1e-3".to_owned(),
            ("steps", "[stage_1.schedule]") => "steps = 4".to_owned(),
            ("steps", _) => "steps = 2".to_owned(),
            _ => line.to_owned(),
        });
    }
    lines.push("[[data]]\nname = \"scenes\"\ndir = \"nowhere\"".to_owned());
    lines.push("stage_1 = 1.0\nstage_2 = 1.0".to_owned());
    let path = folder.join("large.toml");
    fs::write(&path, lines.join("\n")).unwrap();
    path
}

#[test]
fn a_model_that_is_tuned_is_the_same_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let recipe = large_recipe(folder);
    let scenes = folder.join("scenes");
    let made = binary::run(&[
        "data",
        "scenes",
        "--seed",
        "1",
        "--count",
        "6",
        "--out",
        scenes.to_str().unwrap(),
    ]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let model = tiny_model(folder);
    let data = format!("scenes={}", scenes.display());
    let common = ["--data", &data, "--device", "cpu"];
    let fresh = [common.as_slice(), &["--from", model.to_str().unwrap()]].concat();

    let (whole, pieces) = (folder.join("whole"), folder.join("pieces"));
    assert!(train(&recipe, &whole, &fresh).wait().unwrap().success());
    kill_unfinished(|| train(&recipe, &pieces, &fresh), &pieces, 6);
    let again = |more: &[&str]| train(&recipe, &pieces, more).wait().unwrap();
    assert_eq!(again(&fresh).code(), Some(2), "a run was overwritten");
    // The run knows what it started from.
    let resumed = [common.as_slice(), &["--resume"]].concat();
    assert!(again(&resumed).success());
    let numbers = |run: &Path| fs::read(run.join("step-00000006.safetensors")).unwrap();
    assert!(
        numbers(&whole) == numbers(&pieces),
        "the runs differ after their last step"
    );

    let inspected = binary::run(&["inspect", pieces.join("model").to_str().unwrap()]);
    let summary = inspected.expect_clean().stdout;
    assert!(summary.contains("stage 2"), "{summary}");
}
