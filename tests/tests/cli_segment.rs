//! `fclm segment`: what is found, and what is not; `fclm caption`: what is there, with its masks.

use std::fs;
use std::path::Path;

use fclm_core::mask::Mask;
use fclm_core::wire::{BoxPx, MaskRle};
use fclm_tests::binary;
use fclm_tests::desk::{Desk, text};
use fclm_tests::samples::{self, Scene};
use image::Luma;
use serde::Deserialize;

const MAX_PIXELS: u64 = 100_000_000;

/// What `fclm segment --json` and `fclm caption --json` print.
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

#[test]
fn texts_and_targets_that_make_no_sense_are_refused_in_a_sentence() {
    let desk = Desk::with_picture();
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

/// Reads a mask that was written: an 8-bit PNG of 0 and 255 at the scene's size.
fn written_mask(scene: &Scene, file: &Path) -> Mask {
    let image::DynamicImage::ImageLuma8(grey) = image::open(file).unwrap() else {
        panic!("the mask is not an 8-bit grey PNG");
    };
    assert_eq!(grey.dimensions(), (scene.width, scene.height));
    assert!(
        grey.pixels()
            .all(|&Luma([value])| value == 0 || value == 255)
    );
    let data = grey.pixels().map(|&Luma([value])| value / 255).collect();
    Mask::from_data(scene.width, scene.height, data)
}

/// The mask of a region, after checking that its span, score and box are right.
fn checked_mask(said: &Segmented, region: &FoundRegion) -> Mask {
    let length = region.end - region.start;
    let characters = said.text.chars().skip(region.start);
    let spanned: String = characters.take(length).collect();
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
    mask
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

    let written = written_mask(scene, &file);
    let mut union = Mask::new(scene.width, scene.height);
    for region in &said.regions {
        union.union_with(&checked_mask(&said, region));
    }
    assert!(written == union, "the PNG is not the union of the regions");
    assert_eq!(
        ran.code == 3,
        written.is_empty(),
        "exit code 3 goes with a black mask"
    );
    (ran.code, written, said)
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
fn a_caption_has_a_mask_for_each_of_its_regions() {
    let desk = Desk::with_picture();
    let mut grounded = 0;
    for (number, scene) in samples::scenes().iter().take(4).enumerate() {
        let (picture, out) = (scene.picture(), desk.path(&format!("masks/{number}")));
        let arguments = ["caption", text(&picture), "--json", "--out", text(&out)];
        let printed = binary::run(&arguments).expect_clean().stdout;
        let said: Segmented = serde_json::from_str(&printed).unwrap();
        for (place, region) in (1..).zip(&said.regions) {
            let file = out.join(format!("{place}.png"));
            let mask = checked_mask(&said, region);
            assert!(written_mask(scene, &file) == mask, "{}", file.display());
        }
        let files = fs::read_dir(&out).unwrap().count();
        assert_eq!(files, said.regions.len());
        grounded += files;
        if number == 0 {
            let plain = binary::run(&["caption", text(&picture)]).expect_clean();
            assert!(!said.text.trim().is_empty());
            assert_eq!(plain.stdout, format!("{}\n", said.text.trim()));
        }
    }
    assert!(grounded > 0, "no phrase of four captions has a mask");
}

#[test]
fn captions_that_cannot_be_made_are_refused_in_a_sentence() {
    let desk = Desk::with_picture();
    let (picture, missing) = (desk.path("good.png"), desk.path("missing.png"));
    binary::run(&["caption", text(&missing)]).expect_refusal();
    let desk_itself = desk.path("");
    let taken = ["caption", text(&picture), "--out", text(&desk_itself)];
    let sentence = binary::run(&taken).expect_refusal();
    assert!(sentence.contains("is not empty"), "{sentence}");
    let file = ["caption", text(&picture), "--out", text(&picture)];
    let sentence = binary::run(&file).expect_refusal();
    assert!(sentence.contains("good.png"), "{sentence}");
}
