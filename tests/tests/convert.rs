//! Published data sets on their way into FCLM's own format, and the page that shows them.

use std::fs;
use std::path::{Path, PathBuf};

use fclm_core::mask::Mask;
use fclm_core::wire::MaskRle;
use fclm_tests::binary;
use fclm_tests::desk::{Desk, text};
use fclm_tests::samples;
use serde_json::{Value, json};

/// Objects in COCO's layout: two whole rectangles in `good.png`, and something that is no mask.
fn instances() -> Value {
    let rectangle = |x0: u32, y0: u32, x1: u32, y1: u32| json!([[x0, y0, x0, y1, x1, y1, x1, y0]]);
    let annotation = |id: u32, segmentation: Value| {
        json!({"id": id, "image_id": 7, "category_id": 5, "iscrowd": 0, "area": 1,
            "bbox": [0, 0, 1, 1], "segmentation": segmentation})
    };
    json!({
        "images": [{"id": 7, "file_name": "good.png", "width": 96, "height": 64}],
        "annotations": [
            annotation(70, rectangle(10, 10, 30, 20)),
            annotation(71, rectangle(50, 20, 60, 60)),
            annotation(72, json!("no mask")),
        ],
        "categories": [{"id": 5, "name": "cup"}],
    })
}

/// References to them, as Python 2 pickles them: `[{"ref_id": 1, "ann_id": 70, "image_id": 7,
/// "split": "val", "sentences": [{"sent": "the cup", "raw": "The cup."}]}, ..]`, the second one to
/// 71 and of the split `testA`.
const REFERENCES: &[u8] = b"(lp0\n(dp1\nVref_id\np2\nI1\nsVann_id\np3\nI70\nsVimage_id\np4\nI7\n\
    sVsplit\np6\nVval\np7\nsVsentences\np8\n(lp9\n(dp10\nVsent\np11\nVthe cup\np12\nsVraw\np13\n\
    VThe cup.\np14\nsasa(dp15\ng2\nI2\nsg3\nI71\nsg4\nI7\nsg6\nVtestA\np16\nsg8\n(lp17\n(dp18\n\
    g11\nVthe other cup\np19\nsasa.";

/// The lines of a converted data set.
fn pictures(folder: &Path) -> Vec<Value> {
    let lines = fs::read_to_string(folder.join("pictures.jsonl")).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn area(region: &Value) -> u64 {
    let mask: MaskRle = serde_json::from_value(region["mask"].clone()).unwrap();
    Mask::from_wire(&mask, 1_000_000).unwrap().area()
}

/// A desk with a data set in COCO's layout, and where the converted one goes.
fn coco() -> (Desk, PathBuf, PathBuf) {
    let desk = Desk::with_picture();
    let file = desk.file("instances.json", instances().to_string().as_bytes());
    let out = desk.path("out");
    (desk, file, out)
}

/// Converts instances in COCO's layout.
fn convert_coco(images: &Path, file: &Path, out: &Path, more: &[&str]) -> binary::Ran {
    let arguments = ["data", "convert", "--from", "coco", "--out", text(out)];
    let rest = ["--images", text(images), text(file)];
    binary::run(&[&arguments[..], more, &rest].concat())
}

/// A member of a tar file.
fn member(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    let mut put = |at: usize, field: &str| {
        header[at..at + field.len()].copy_from_slice(field.as_bytes());
    };
    put(0, name);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", bytes.len()));
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let padding = vec![0; bytes.len().next_multiple_of(512) - bytes.len()];
    [&header[..], bytes, &padding].concat()
}

#[test]
fn instances_are_converted_and_what_is_broken_is_told() {
    let (desk, file, out) = coco();
    let images = desk.path("");
    let ran = convert_coco(&images, &file, &out, &[]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(
        ran.stdout,
        format!("{}: one picture of coco\n", out.display())
    );
    assert!(
        ran.stderr
            .contains("instances.json: annotations[2] at byte"),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);

    let [picture] = &pictures(&out)[..] else {
        panic!("one picture");
    };
    let image = Path::new(picture["image"].as_str().unwrap());
    assert!(
        image.is_absolute() && image.is_file(),
        "{}",
        image.display()
    );
    let regions = picture["regions"].as_array().unwrap();
    let areas: Vec<u64> = regions.iter().map(area).collect();
    assert_eq!(areas, [200, 400]);
    assert!(regions.iter().all(|region| region["category"] == "cup"));
}

#[test]
fn each_broken_record_is_told_even_where_they_are_too_many() {
    let desk = Desk::with_picture();
    let mut instances = instances();
    let annotations = instances["annotations"].as_array_mut().unwrap();
    let broken = annotations[2].clone();
    annotations.extend(vec![broken; 30]);
    let file = desk.file("instances.json", instances.to_string().as_bytes());
    let (images, out) = (desk.path(""), desk.path("out"));
    let ran = convert_coco(&images, &file, &out, &["--limit-broken", "25"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    let lines: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(lines.len(), 26, "{}", ran.stderr);
    for (number, line) in lines.iter().enumerate() {
        let place = format!("instances.json: annotations[{}] at byte", number + 2);
        assert!(line.contains(&place), "{line}");
        let is_last = number == 25;
        assert_eq!(line.starts_with("fclm: skipped: "), !is_last, "{line}");
        assert_eq!(line.contains("more than 25 records"), is_last, "{line}");
    }
    assert!(!out.exists());
}

#[test]
fn a_pickle_of_references_gives_the_expressions_of_a_split() {
    let (desk, instances, out) = coco();
    let refs = desk.file("refs(unc).p", REFERENCES);
    let images = desk.path("");
    let arguments = [
        "data",
        "convert",
        "--from",
        "refcoco",
        "--split",
        "testA",
        "--copy",
        "--out",
        text(&out),
        "--images",
        text(&images),
        text(&refs),
        text(&instances),
    ];
    let ran = binary::run(&arguments);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let [picture] = &pictures(&out)[..] else {
        panic!("one picture");
    };
    assert_eq!(
        picture["expressions"],
        json!([{"text": "the other cup", "kind": "short", "targets": [0]}])
    );
    assert_eq!(area(&picture["regions"][0]), 400);
    assert_eq!(picture["image"], "images/good.png");
    let copied = fs::read(out.join("images/good.png")).unwrap();
    assert_eq!(copied, fs::read(desk.path("good.png")).unwrap());
}

#[test]
fn pictures_come_out_of_their_shards() {
    let desk = Desk::with_picture();
    let picture = fs::read(desk.path("good.png")).unwrap();
    fs::create_dir_all(desk.path("COCOStuff/images")).unwrap();
    let shard = [member("7.png", &picture), vec![0; 1024]].concat();
    desk.file("COCOStuff/images/00000000.tar", &shard);
    let annotations = json!({"0007": [{"ann_id": 70, "img_id": "0007", "image": "0007.png",
        "tar_file": "00000000.tar", "caption": "A red cup without a handle.",
        "mask_rle": {"size": [64, 96], "counts": [0, 64, 6080]}}]});
    desk.file(
        "COCOStuff/annotations.json",
        annotations.to_string().as_bytes(),
    );
    let (subset, out) = (desk.path("COCOStuff"), desk.path("out"));
    let arguments = [
        "data",
        "convert",
        "--from",
        "describe-anything",
        "--out",
        text(&out),
        text(&subset),
    ];
    let said = binary::run(&arguments).expect_clean().stdout;
    assert!(
        said.ends_with("one picture of describe-anything\n"),
        "{said}"
    );
    let [record] = &pictures(&out)[..] else {
        panic!("one picture");
    };
    let image = record["image"].as_str().unwrap();
    assert!(image.starts_with("images/"), "{image}");
    assert_eq!(fs::read(out.join(image)).unwrap(), picture);
    let region = &record["regions"][0];
    assert_eq!(area(region), 64);
    assert_eq!(
        region["descriptions"],
        json!([{"text": "A red cup without a handle.", "length": "detailed"}])
    );
}

#[test]
fn what_cannot_be_converted_is_refused_in_a_sentence() {
    let (desk, file, out) = coco();
    let images = desk.path("");
    let refused = |from: &str, more: &[&str]| {
        let start = ["data", "convert", "--from", from, "--out", text(&out)];
        let sentence = binary::run(&[&start[..], more].concat()).expect_refusal();
        assert!(!out.exists(), "{sentence}");
        sentence
    };
    let with_images = ["--images", text(&images), text(&file)];
    let unknown = refused("voc", &with_images);
    assert!(unknown.contains("refcoco, refcoco+"), "{unknown}");
    let bare = refused("coco", &[text(&file)]);
    assert!(bare.contains("--images"), "{bare}");
    let strict = refused(
        "coco",
        &[&["--limit-broken", "0"][..], &with_images].concat(),
    );
    assert!(strict.contains("annotations[2]"), "{strict}");
    let list = refused("muse", &with_images);
    assert!(list.contains("instances.json"), "{list}");
    let missing = desk.path("missing.json");
    let missing = refused("coco", &["--images", text(&images), text(&missing)]);
    assert!(missing.contains("missing.json"), "{missing}");
    let elsewhere = desk.path("elsewhere");
    let elsewhere = refused("coco", &["--images", text(&elsewhere), text(&file)]);
    assert!(
        elsewhere.contains("there is no folder") && elsewhere.contains("--images"),
        "{elsewhere}"
    );
    let folder = refused("coco", &["--images", text(&images), text(&images)]);
    assert!(
        folder.contains("is a folder; coco wants a file"),
        "{folder}"
    );

    fs::create_dir(&out).unwrap();
    fs::write(out.join("mine.txt"), "mine").unwrap();
    let start = ["data", "convert", "--from", "coco", "--out", text(&out)];
    let taken = binary::run(&[&start[..], &with_images].concat()).expect_refusal();
    assert!(taken.contains("is not empty"), "{taken}");
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
}

#[test]
fn a_page_shows_scenes_and_converted_pictures() {
    let (desk, file, out) = coco();
    let page = desk.path("page.html");
    let look = |folder: &Path, more: &[&str]| {
        let start = ["data", "look", text(folder), "--out", text(&page)];
        let said = binary::run(&[&start[..], more].concat())
            .expect_clean()
            .stdout;
        (said, fs::read_to_string(&page).unwrap())
    };
    let (said, html) = look(&samples::folder(), &["--count", "2"]);
    assert_eq!(said, format!("{}: 2 pictures\n", page.display()));
    assert_eq!(html.matches("data:image/jpeg;base64,").count(), 2);
    assert_eq!(html.matches("data:image/png;base64,").count(), 2);
    let first = &samples::scenes()[0];
    assert!(html.contains(&first.refs[0].text), "{}", first.refs[0].text);

    let images = desk.path("");
    let arguments = [
        "data",
        "convert",
        "--from",
        "coco",
        "--out",
        text(&out),
        "--images",
        text(&images),
        text(&file),
    ];
    assert_eq!(binary::run(&arguments).code, 0);
    let (said, html) = look(&out, &[]);
    assert_eq!(said, format!("{}: one picture\n", page.display()));
    assert!(html.contains("data:image/jpeg;base64,") && html.contains("cup"));
}

#[test]
fn a_page_shows_what_training_makes_of_pictures() {
    let desk = Desk::with_picture();
    let (page, model) = (desk.path("page.html"), samples::nano());
    let folder = samples::folder();
    let look = |more: &[&str]| {
        let start = ["data", "look", text(&folder), "--out", text(&page)];
        binary::run(&[&start[..], more].concat())
    };
    let training = [
        "--as-training",
        "3b",
        "--from",
        text(&model),
        "--count",
        "2",
    ];
    let shown = |more: &[&str]| {
        let ran = look(&[&training[..], more].concat()).expect_clean();
        assert_eq!(ran.stdout, format!("{}: 2 pictures\n", page.display()));
        fs::read_to_string(&page).unwrap()
    };
    let html = shown(&[]);
    for part in [
        "stage 1, with seed 1",
        "Conversations",
        "Crop of region",
        "[SEG]",
    ] {
        assert!(html.contains(part), "{part} is not in the page");
    }
    assert_eq!(shown(&["--seed", "1", "--stage", "1"]), html);
    assert_ne!(shown(&["--seed", "2"]), html);
    assert!(shown(&["--stage", "2"]).contains("stage 2, with seed 1"));

    let refused = |more: &[&str]| look(more).expect_refusal();
    let alone = refused(&["--as-training", "3b"]);
    assert!(alone.contains("--from"), "{alone}");
    let scratch = refused(&["--as-training", "nano", "--from", text(&model)]);
    assert!(scratch.contains("renders its own scenes"), "{scratch}");
    let third = refused(&[&training[..], &["--stage", "3"]].concat());
    assert!(third.contains("stages 1 and 2"), "{third}");
}

#[test]
fn what_cannot_be_looked_at_is_refused_in_a_sentence() {
    let desk = Desk::with_picture();
    let empty = desk.path("empty");
    fs::create_dir(&empty).unwrap();
    let page = desk.path("page.html");
    let refused = |folder: &Path, out: &Path| {
        let arguments = ["data", "look", text(folder), "--out", text(out)];
        binary::run(&arguments).expect_refusal()
    };
    let neither = refused(&empty, &page);
    assert!(neither.contains("pictures.jsonl"), "{neither}");
    let missing = refused(&desk.path("missing"), &page);
    assert!(missing.contains("there is no folder"), "{missing}");
    let folder = refused(&samples::folder(), &empty);
    assert!(folder.contains("is a folder"), "{folder}");
    desk.file("empty/pictures.jsonl", b"{\n");
    let broken = refused(&empty, &page);
    assert!(broken.contains("pictures.jsonl:1"), "{broken}");
    assert!(!page.exists());
}
