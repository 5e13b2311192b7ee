//! A training run is the same whether it went through at once or was killed and taken up again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use fclm_core::fclm::prompt::CHAT_TEMPLATE;
use fclm_core::fclm::{FclmConfig, FclmTokenizer};
use fclm_server::device::DeviceChoice;
use fclm_server::model_dir::write_trained;
use fclm_server::train::train_tokenizer;
use fclm_tests::binary;

/// How long a step may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// nano's recipe with four short steps, the first one of the vision tower's, the last one of stage
/// 2, and a checkpoint after each.
fn recipe(folder: &Path) -> PathBuf {
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
                ("steps", "[stage_1.schedule]") => "steps = 2".to_owned(),
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
    binary::command()
        .arg("train")
        .arg("--recipe")
        .arg(recipe)
        .arg("--run")
        .arg(run)
        .args(more)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
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
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Parameters and both moments after the last step.
fn numbers(run: &Path) -> Vec<u8> {
    fs::read(run.join("step-00000004.f32")).unwrap()
}

#[test]
fn a_run_that_was_killed_goes_on_as_if_nothing_had_happened() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe(folder.path());
    let (whole, pieces) = (folder.path().join("whole"), folder.path().join("pieces"));
    assert!(train(&recipe, &whole, &[]).wait().unwrap().success());

    let mut killed = train(&recipe, &pieces, &[]);
    wait_for(&pieces.join("state.json"));
    killed.kill().unwrap();
    killed.wait().unwrap();

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
    let mut killed = train(&recipe, &pieces, &fresh);
    wait_for(&pieces.join("state.json"));
    killed.kill().unwrap();
    killed.wait().unwrap();
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
