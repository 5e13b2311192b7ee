//! A training run is the same whether it went through at once or was killed and taken up again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

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
