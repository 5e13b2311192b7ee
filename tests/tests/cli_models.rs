//! What `fclm init` makes, and what is said of model directories, good and broken.

use std::fs;
use std::path::Path;

use fclm_tests::binary;
use fclm_tests::desk::{Desk, text};
use fclm_tests::{fixtures, samples};
use serde_json::{Value, json};

/// The weight files of a model, by name.
fn weight_files(model: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(model)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "safetensors"))
        .map(|path| {
            (
                text(&path).rsplit('/').next().unwrap().to_owned(),
                fs::read(&path).unwrap(),
            )
        })
        .collect();
    files.sort();
    files
}

/// The configuration of the model in the repository.
fn nano_config() -> Value {
    let bytes = fs::read(samples::nano().join("config.json")).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn folders_that_hold_no_model_are_refused_in_a_sentence() {
    let desk = Desk::with_picture();
    let (missing, empty) = (desk.path("missing"), desk.path("empty"));
    let broken = desk.path("broken");
    fs::create_dir(&empty).unwrap();
    fs::create_dir(&broken).unwrap();
    desk.file("broken/config.json", b"{\"model_type\": \"fclm\"");
    let picture = desk.path("good.png");
    for folder in [&missing, &empty, &broken, &picture] {
        binary::run(&["inspect", text(folder)]).expect_refusal();
        let arguments = [
            "describe",
            text(&picture),
            "--box",
            "1,1,20,20",
            "--model",
            text(folder),
        ];
        binary::run(&arguments).expect_refusal();
    }
}

#[test]
fn configurations_that_no_model_can_have_are_refused_in_a_sentence() {
    let desk = Desk::with_picture();
    let folder = desk.path("model");
    fs::create_dir(&folder).unwrap();
    for pointer in [
        "/qwen/text_config/num_attention_heads",
        "/qwen/text_config/vocab_size",
        "/qwen/vision_config/patch_size",
        "/qwen/vision_config/spatial_merge_size",
        "/qwen/vision_config/out_hidden_size",
        "/sam/image_size",
        "/sam/encoder/num_heads",
        "/sam/decoder/embedding_dim",
        "/region/num_heads",
        "/region/vision_dim",
    ] {
        let mut config = nano_config();
        *config.pointer_mut(pointer).unwrap() = json!(0);
        desk.file("model/config.json", config.to_string().as_bytes());
        let sentence = binary::run(&["inspect", text(&folder)]).expect_refusal();
        let field = pointer.rsplit('/').next().unwrap();
        assert!(sentence.contains(field), "{pointer}: {sentence}");
    }
}

#[test]
fn tensors_that_are_missing_are_all_named() {
    let desk = Desk::with_picture();
    let folder = desk.path("model");
    fs::create_dir(&folder).unwrap();
    for entry in fs::read_dir(samples::nano()).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    let mut config = nano_config();
    let layers = &mut config["qwen"]["text_config"]["num_hidden_layers"];
    let held = layers.as_u64().unwrap();
    *layers = json!(held + 3);
    desk.file("model/config.json", config.to_string().as_bytes());
    let sentence = binary::run(&["inspect", text(&folder)]).expect_refusal();
    for layer in held..held + 3 {
        for name in ["mlp.down_proj", "self_attn.q_proj"] {
            let name = format!("model.layers.{layer}.{name}.weight");
            assert!(sentence.contains(&name), "{name} is not in {sentence}");
        }
    }
}

#[test]
fn inspect_tells_stage_parameters_and_hashes() {
    let shown = binary::run(&["inspect", text(&samples::nano())])
        .expect_clean()
        .stdout;
    assert!(shown.to_lowercase().contains("stage"), "{shown}");
    assert!(shown.to_lowercase().contains("parameters"), "{shown}");
    for entry in fs::read_dir(samples::nano()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".safetensors") {
            assert!(shown.contains(&name), "{name} is not listed in {shown}");
        }
    }
    let hashes = shown
        .split(|c: char| !c.is_ascii_hexdigit())
        .filter(|word| word.len() == 64)
        .count();
    assert!(hashes > 0, "no SHA-256 in {shown}");
}

#[test]
fn inspect_shows_the_whole_configuration() {
    let nano = samples::nano();
    let shown = binary::run(&["inspect", text(&nano)]).expect_clean().stdout;
    let printed = binary::run(&["inspect", text(&nano), "--json"])
        .expect_clean()
        .stdout;
    let printed: Value = serde_json::from_str(&printed).unwrap();
    let (_, config) = shown.split_once("configuration: ").unwrap();
    let config: Value = serde_json::from_str(config).unwrap();
    assert_eq!(config, printed["config"]);
    assert_eq!(config["model_type"], "fclm");
    assert_eq!(config["sam"], nano_config()["sam"]);
    let parts = printed["parts"].as_array().unwrap();
    let parameters = parts
        .iter()
        .map(|part| part["parameters"].as_u64().unwrap());
    assert_eq!(printed["parameters"], parameters.sum::<u64>());
    assert!(!printed["hashes"]["files"].as_array().unwrap().is_empty());
}

#[test]
fn fixture_checkpoints_join_into_the_same_bytes_for_the_same_seed() {
    let desk = Desk::with_picture();
    let models = [("first", "3"), ("again", "3"), ("other", "4")].map(|(name, seed)| {
        let out = desk.path(name);
        fixtures::join(&out, seed);
        weight_files(&out)
    });
    assert!(!models[0].is_empty());
    assert!(models[0] == models[1], "one seed gave two models");
    assert!(models[0] != models[2], "two seeds gave one model");
}

#[test]
fn fixture_model_that_is_untrained_is_said_to_be() {
    let desk = Desk::with_picture();
    let model = desk.path("joined");
    fixtures::join(&model, "3");
    let picture = desk.path("good.png");
    let arguments = [
        "describe",
        text(&picture),
        "--box",
        "1,1,20,20",
        "--model",
        text(&model),
    ];
    let ran = binary::run(&arguments);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("untrained"), "{:?}", ran.stderr);
}
