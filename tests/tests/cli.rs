//! The command line as a person meets it: the real `fclm` with the model of the repository.

use std::fs;
use std::path::{Path, PathBuf};

use fclm_core::fclm::prompt::DEFAULT_QUESTION;
use fclm_core::mask::Mask;
use fclm_core::wire::{BoxPx, MaskRle};
use fclm_tests::binary;
use fclm_tests::samples::{self, Object, Scene};
use image::{GrayImage, Luma, RgbImage};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

const MAX_PIXELS: u64 = 100_000_000;

/// What `fclm segment --json` prints.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Segmented {
    text: String,
    regions: Vec<FoundRegion>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FoundRegion {
    phrase: String,
    start: usize,
    end: usize,
    score: f32,
    #[serde(rename = "box")]
    box_px: BoxPx,
    mask: MaskRle,
}

fn text(path: &Path) -> &str {
    path.to_str().expect("test paths are UTF-8")
}

fn box_argument(object: &Object) -> String {
    let [x0, y0, x1, y1] = object.box_px;
    format!("{x0},{y0},{x1},{y1}")
}

/// A folder with one good picture, 96 by 64 pixels, and whatever a test adds.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let picture = RgbImage::from_fn(96, 64, |x, y| image::Rgb([x as u8, y as u8, 80]));
        picture.save(desk.path("good.png")).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn mask(&self, name: &str, width: u32, height: u32, value: u8) -> PathBuf {
        let path = self.path(name);
        GrayImage::from_pixel(width, height, Luma([value]))
            .save(&path)
            .unwrap();
        path
    }
}

fn fixture(path: &str) -> PathBuf {
    let folder = std::env::var_os("FCLM_FIXTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures"),
        PathBuf::from,
    );
    folder.join(path)
}

/// Joins the reference checkpoints into a model.
fn join_fixtures(out: &Path, seed: &str) {
    let (qwen, sam) = (fixture("qwen"), fixture("sam/sam_vit.pth"));
    let case = fs::read(fixture("sam/case.json")).unwrap();
    let case: Value = serde_json::from_slice(&case).unwrap();
    let heads = case["decoder"]["num_heads"].to_string();
    let arguments = [
        "init",
        "--qwen",
        text(&qwen),
        "--sam",
        text(&sam),
        "--out",
        text(out),
        "--seed",
        seed,
        "--name",
        "joined",
        "--sam-heads",
        &heads,
    ];
    let said = binary::run(&arguments).expect_clean().stdout;
    assert!(said.contains("stage 0"), "{said}");
}

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

/// A JPEG with an EXIF segment that holds nothing but the orientation.
fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xFF, 0xE1], &length, &exif, &jpeg[2..]].concat()
}

/// The signature and header of a PNG that claims a size, with nothing behind them.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(width.to_be_bytes());
    chunk.extend(height.to_be_bytes());
    chunk.extend([8, 2, 0, 0, 0]);
    let mut crc = u32::MAX;
    for &byte in &chunk {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xedb8_8320
            } else {
                crc >> 1
            };
        }
    }
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    bytes.extend(chunk);
    bytes.extend((!crc).to_be_bytes());
    bytes.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
    bytes
}

#[test]
fn pictures_that_are_none_are_refused_in_a_sentence() {
    let desk = Desk::new();
    let whole = fs::read(desk.path("good.png")).unwrap();
    let cases = [
        desk.path("missing.png"),
        desk.folder.path().to_owned(),
        desk.file("empty.png", b""),
        desk.file("words.png", b"This is no picture."),
        desk.file("truncated.png", &whole[..whole.len() / 2]),
        desk.file("huge.png", &png_header(60_000, 60_000)),
    ];
    for picture in &cases {
        let picture = text(picture);
        binary::run(&["describe", picture, "--box", "1,1,20,20"]).expect_refusal();
        let out = desk.path("out.png");
        binary::run(&["segment", picture, "the cube", "--out", text(&out)]).expect_refusal();
        assert!(!out.exists(), "a mask was written for {picture}");
    }
}

#[test]
fn regions_that_do_not_fit_are_refused_in_a_sentence() {
    let desk = Desk::new();
    let picture = desk.path("good.png");
    let picture = text(&picture);
    for wrong in [
        "1,1,20",
        "1,1,20,20,30",
        "a,b,c,d",
        "",
        "20,20,1,1",
        "5,5,5,9",
        "NaN,0,10,10",
        "0,0,inf,10",
        "200,200,300,300",
        "-50,-50,-10,-10",
    ] {
        let argument = format!("--box={wrong}");
        binary::run(&["describe", picture, &argument]).expect_refusal();
    }
    for mask in [
        desk.path("missing.png"),
        desk.file("words.png", b"no mask"),
        desk.mask("other-size.png", 32, 32, 255),
        desk.mask("black.png", 96, 64, 0),
    ] {
        binary::run(&["describe", picture, "--mask", text(&mask)]).expect_refusal();
    }
    let mask = desk.mask("good-mask.png", 96, 64, 255);
    binary::run(&["describe", picture]).expect_refusal();
    let both = [
        "describe",
        picture,
        "--box",
        "1,1,9,9",
        "--mask",
        text(&mask),
    ];
    binary::run(&both).expect_refusal();
}

#[test]
fn texts_and_targets_that_make_no_sense_are_refused_in_a_sentence() {
    let desk = Desk::new();
    let (picture, out) = (desk.path("good.png"), desk.path("out.png"));
    let (picture, out) = (text(&picture), text(&out));
    binary::run(&["segment", picture, "", "--out", out]).expect_refusal();
    binary::run(&["segment", picture, "   ", "--out", out]).expect_refusal();
    binary::run(&["segment", picture, &"x".repeat(100_000), "--out", out]).expect_refusal();
    binary::run(&["segment", picture, "the cube"]).expect_refusal();
    let nowhere = desk.path("no/such/folder/out.png");
    binary::run(&["segment", picture, "the cube", "--out", text(&nowhere)]).expect_refusal();
    assert!(!Path::new(out).exists());
}

#[test]
fn scenes_that_make_no_sense_are_refused_in_a_sentence() {
    let desk = Desk::new();
    let folder = desk.path("scenes");
    fs::create_dir(&folder).unwrap();
    let lines = fs::read_to_string(samples::folder().join("scenes.jsonl")).unwrap();
    let mut scene: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    scene["objects"][1]["box"] = json!([300, 300, 200, 100]);
    desk.file("scenes/scenes.jsonl", scene.to_string().as_bytes());
    let arguments = ["eval", "--task", "box-mask", "--data", text(&folder)];
    let sentence = binary::run(&arguments).expect_refusal();
    for part in [
        "scenes.jsonl:1",
        "scene 0, object 1",
        "[300.0, 300.0, 200.0, 100.0]",
    ] {
        assert!(sentence.contains(part), "{part} is not in {sentence}");
    }
}

#[test]
fn commands_and_flags_that_do_not_exist_are_refused_in_a_sentence() {
    binary::run(&["descirbe"]).expect_refusal();
    binary::run(&["serve", "--no-such-flag"]).expect_refusal();
    binary::run(&["inspect"]).expect_refusal();
}

#[test]
fn a_command_that_is_missing_is_told_in_a_sentence() {
    let nothing: &[&str] = &[];
    for arguments in [nothing, &["data"]] {
        let sentence = binary::run(arguments).expect_refusal();
        assert!(sentence.contains("--help"), "{sentence}");
    }
}

#[test]
fn folders_that_hold_no_model_are_refused_in_a_sentence() {
    let desk = Desk::new();
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
    let desk = Desk::new();
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
    let desk = Desk::new();
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
fn the_server_refuses_to_leave_loopback() {
    let data = tempfile::tempdir().unwrap();
    let arguments = [
        "serve",
        "--listen",
        "0.0.0.0:3999",
        "--data-dir",
        text(data.path()),
    ];
    let sentence = binary::run(&arguments).expect_refusal();
    assert!(
        sentence.contains("account"),
        "the sentence does not say why: {sentence}"
    );
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
    let desk = Desk::new();
    let models = [("first", "3"), ("again", "3"), ("other", "4")].map(|(name, seed)| {
        let out = desk.path(name);
        join_fixtures(&out, seed);
        weight_files(&out)
    });
    assert!(!models[0].is_empty());
    assert!(models[0] == models[1], "one seed gave two models");
    assert!(models[0] != models[2], "two seeds gave one model");
}

#[test]
fn fixture_model_that_is_untrained_is_said_to_be() {
    let desk = Desk::new();
    let model = desk.path("joined");
    join_fixtures(&model, "3");
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

#[test]
fn describe_prints_the_answer_and_nothing_else() {
    let scene = samples::scenes().remove(0);
    let (picture, object) = (scene.picture(), scene.clearest());
    let by_box = binary::run(&["describe", text(&picture), "--box", &box_argument(object)])
        .expect_clean()
        .stdout;
    assert_eq!(by_box.trim().lines().count(), 1, "{by_box:?}");
    assert!(
        !by_box.contains('<') && !by_box.contains("[SEG]"),
        "special tokens: {by_box:?}"
    );

    let mask = Mask::from_wire(&object.mask, MAX_PIXELS).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mask.png");
    let grey = mask.data().iter().map(|&inside| inside * 255).collect();
    GrayImage::from_raw(mask.width(), mask.height(), grey)
        .unwrap()
        .save(&file)
        .unwrap();
    let arguments = [
        "describe",
        text(&picture),
        "--mask",
        text(&file),
        "--question",
        "What color is it?",
    ];
    let answer = binary::run(&arguments).expect_clean().stdout;
    assert!(!answer.trim().is_empty());
}

#[test]
fn a_question_that_is_not_asked_is_the_default_one() {
    let scene = samples::scenes().remove(0);
    let (picture, region) = (scene.picture(), box_argument(scene.clearest()));
    let silent = ["describe", text(&picture), "--box", &region];
    let asked = [&silent[..], &["--question", DEFAULT_QUESTION]].concat();
    let answers = [&silent[..], &asked[..]].map(|arguments| binary::run(arguments).expect_clean());
    assert_eq!(answers[0].stdout, answers[1].stdout);
}

#[test]
fn pictures_may_be_jpeg_or_webp() {
    let desk = Desk::new();
    let scene = samples::scenes().remove(0);
    let region = box_argument(scene.clearest());
    let describe = |picture: &Path| {
        let arguments = ["describe", text(picture), "--box", &region];
        binary::run(&arguments).expect_clean().stdout
    };
    let image = image::open(scene.picture()).unwrap().to_rgb8();
    let (jpeg, webp) = (desk.path("scene.jpg"), desk.path("scene.webp"));
    image.save(&jpeg).unwrap();
    image.save(&webp).unwrap();
    assert!(!describe(&jpeg).trim().is_empty());
    // This one is without loss, so the model sees the same.
    assert_eq!(describe(&webp), describe(&scene.picture()));
}

#[test]
fn pictures_are_turned_upright_before_anything_is_measured() {
    let desk = Desk::new();
    let jpeg = desk.path("lying.jpg");
    image::open(desk.path("good.png"))
        .unwrap()
        .save(&jpeg)
        .unwrap();
    let turned = with_orientation(&fs::read(&jpeg).unwrap(), 6);
    let picture = desk.file("turned.jpg", &turned);
    let upright = desk.mask("upright.png", 64, 96, 255);
    let lying = desk.mask("lying.png", 96, 64, 255);
    let describe = |mask: &Path| binary::run(&["describe", text(&picture), "--mask", text(mask)]);
    describe(&upright).expect_clean();
    let sentence = describe(&lying).expect_refusal();
    assert!(sentence.contains("64 x 96"), "{sentence}");
}

/// Runs `segment --json` and checks everything that holds whatever the model says.
fn segment(scene: &Scene, expression: &str) -> (i32, Mask, Segmented) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mask.png");
    let picture = scene.picture();
    let arguments = [
        "segment",
        text(&picture),
        expression,
        "--out",
        text(&file),
        "--json",
    ];
    let ran = binary::run(&arguments);
    assert!(
        matches!(ran.code, 0 | 3),
        "exit code {}: {}",
        ran.code,
        ran.stderr
    );
    let said: Segmented = serde_json::from_str(&ran.stdout).unwrap();

    let image::DynamicImage::ImageLuma8(grey) = image::open(&file).unwrap() else {
        panic!("the mask is not an 8-bit grey PNG");
    };
    assert_eq!(grey.dimensions(), (scene.width, scene.height));
    assert!(
        grey.pixels()
            .all(|&Luma([value])| value == 0 || value == 255)
    );
    let data = grey.pixels().map(|&Luma([value])| value / 255).collect();
    let written = Mask::from_data(scene.width, scene.height, data);

    let characters: Vec<char> = said.text.chars().collect();
    let mut union = Mask::new(scene.width, scene.height);
    for region in &said.regions {
        let spanned: String = characters[region.start..region.end].iter().collect();
        assert_eq!(spanned, region.phrase, "the span is not the phrase's");
        assert!(
            (0.0..=1.0).contains(&region.score),
            "score {}",
            region.score
        );
        let mask = Mask::from_wire(&region.mask, MAX_PIXELS).unwrap();
        assert_eq!(
            mask.bounds(),
            Some(region.box_px),
            "the box is tight around the mask"
        );
        union.union_with(&mask);
    }
    assert!(written == union, "the PNG is not the union of the regions");
    assert_eq!(
        ran.code == 3,
        written.is_empty(),
        "exit code 3 goes with a black mask"
    );
    (ran.code, written, said)
}

#[cfg(target_os = "linux")]
#[test]
fn a_mask_that_finds_no_room_is_refused_in_a_sentence() {
    let scene = samples::scenes().remove(0);
    let picture = scene.picture();
    let wanted = &scene.refs[0].text;
    let arguments = ["segment", text(&picture), wanted, "--out", "/dev/full"];
    let sentence = binary::run(&arguments).expect_refusal();
    assert!(sentence.contains("/dev/full"), "{sentence}");
    let is_file = fs::metadata("/dev/full").unwrap().is_file();
    assert!(!is_file, "the device has been replaced by a file");
}

#[test]
fn segment_finds_what_is_there() {
    let mut best: f64 = 0.0;
    for scene in samples::scenes().iter().take(4) {
        let single = scene
            .refs
            .iter()
            .find(|reference| reference.targets.len() == 1);
        let Some(reference) = single else { continue };
        let (_, found, _) = segment(scene, &reference.text);
        let object = scene.object(reference.targets[0]);
        best = best.max(found.iou(&Mask::from_wire(&object.mask, MAX_PIXELS).unwrap()));
    }
    assert!(
        best >= 0.5,
        "of four expressions none was found; the best IoU is {best:.2}"
    );
}

#[test]
fn segment_of_what_is_not_there_writes_black_and_ends_with_three() {
    let scenes = samples::scenes();
    let absent = scenes.iter().flat_map(|scene| {
        let refs = scene
            .refs
            .iter()
            .filter(|reference| reference.targets.is_empty());
        refs.map(move |reference| (scene, reference))
    });
    let mut tried = 0;
    for (scene, reference) in absent.take(8) {
        tried += 1;
        let (code, _, said) = segment(scene, &reference.text);
        if code == 3 {
            assert!(said.regions.is_empty());
            return;
        }
    }
    panic!("something was found for each of {tried} descriptions of what is not there");
}
