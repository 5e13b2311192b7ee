//! The command line as a person meets it: the real `fclm` with the model of the repository.

use std::fs;
use std::path::Path;

use fclm_core::fclm::prompt::DEFAULT_QUESTION;
use fclm_core::mask::Mask;
use fclm_tests::binary;
use fclm_tests::desk::{Desk, text};
use fclm_tests::samples;
use image::GrayImage;

const MAX_PIXELS: u64 = 100_000_000;

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
    let desk = Desk::with_picture();
    let whole = fs::read(desk.path("good.png")).unwrap();
    let cases = [
        desk.path("missing.png"),
        desk.path(""),
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
    let desk = Desk::with_picture();
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
fn commands_and_flags_that_do_not_exist_are_refused_in_a_sentence() {
    binary::run(&["descirbe"]).expect_refusal();
    binary::run(&["serve", "--no-such-flag"]).expect_refusal();
    binary::run(&["inspect"]).expect_refusal();
}

#[test]
fn numbers_that_must_be_positive_are_refused_in_a_sentence() {
    for arguments in [
        &["eval", "--task", "res", "--data", "scenes", "--limit", "0"][..],
        &["train", "--recipe", "nano", "--minutes", "0"],
        &["data", "scenes", "--count", "0", "--out", "scenes"],
        &["data", "scenes", "--count", "-3", "--out", "scenes"],
    ] {
        let sentence = binary::run(arguments).expect_refusal();
        assert!(sentence.contains("from 1 on"), "{sentence}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn help_that_finds_no_room_is_an_error() {
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut help = binary::command();
    let ran = help.arg("--help").stdout(full).output().unwrap();
    assert_eq!(ran.status.code(), Some(2));
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(said.starts_with("fclm: cannot write"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
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
fn describe_prints_the_answer_and_nothing_else() {
    let scene = samples::scenes().remove(0);
    let (picture, object) = (scene.picture(), scene.clearest());
    let by_box = binary::run(&["describe", text(&picture), "--box", &object.box_argument()])
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
    let (picture, region) = (scene.picture(), scene.clearest().box_argument());
    let silent = ["describe", text(&picture), "--box", &region];
    let asked = [&silent[..], &["--question", DEFAULT_QUESTION]].concat();
    let answers = [&silent[..], &asked[..]].map(|arguments| binary::run(arguments).expect_clean());
    assert_eq!(answers[0].stdout, answers[1].stdout);
}

#[test]
fn pictures_may_be_jpeg_or_webp() {
    let desk = Desk::with_picture();
    let scene = samples::scenes().remove(0);
    let region = scene.clearest().box_argument();
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
    let desk = Desk::with_picture();
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
