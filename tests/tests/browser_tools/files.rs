//! Masks and conversations that are read from files and the clipboard, and saved as files.

use std::collections::BTreeMap;
use std::path::Path;

use fclm_core::mask::{Mask, Rle};
use fclm_core::wire::{Counts, MAX_REGIONS, MaskRle};
use fclm_tests::easel::{Easel, saved_file};
use fclm_tests::fixtures;
use serde_json::{Value, json};
use tempfile::TempDir;

const IMPORT: &str = "[data-testid=import-input]";

/// An easel whose files go into a folder.
async fn with_folder(easel: Easel) -> (Easel, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    easel.tab.save_files_to(folder.path()).await;
    (easel, folder)
}

async fn import(easel: &Easel, folder: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    let file = folder.join(name);
    std::fs::write(&file, bytes).expect("the file is written");
    easel.tab.choose_file(IMPORT, &file).await;
}

/// A mask with holes and loose pixels.
fn lace(width: u32, height: u32) -> Mask {
    Mask::from_fn(width, height, |x, y| {
        (40..90).contains(&x) && (50..80).contains(&y) && (x * 7 + y * 5) % 11 > 2
    })
}

fn annotations<'a>(masks: impl IntoIterator<Item = &'a MaskRle>) -> String {
    let annotations: Vec<Value> = masks
        .into_iter()
        .map(|mask| json!({ "category_id": 1, "segmentation": mask }))
        .collect();
    json!({
        "categories": [{ "id": 1, "name": "lace" }],
        "annotations": annotations,
    })
    .to_string()
}

/// The masks of a COCO data set, in turn.
fn segmentations(text: &[u8]) -> Vec<MaskRle> {
    let value: Value = serde_json::from_slice(text).expect("it is JSON");
    let annotations = value["annotations"].as_array().expect("it has annotations");
    let masks = annotations.iter().map(|one| {
        let segmentation = one["segmentation"].clone();
        serde_json::from_value(segmentation).expect("it is RLE")
    });
    masks.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn masks_come_back_from_their_files() {
    let (easel, folder) = with_folder(Easel::open().await).await;
    let folder = folder.path();
    let (width, height) = easel.size().await;
    let mask = lace(width, height);
    let area = mask.area() as i64;
    easel.files().await;
    import(&easel, folder, "in.json", annotations([&mask.to_wire()])).await;
    easel.count(1).await;
    assert_eq!(easel.area(0).await, area);

    easel.files().await;
    easel.menu("export-coco").await;
    let text = saved_file(folder, "-coco.json").await;
    assert_eq!(segmentations(&text), [mask.to_wire()]);
    let value: Value = serde_json::from_slice(&text).expect("it is JSON");
    assert_eq!(value["categories"][0]["name"], "lace");

    easel.files().await;
    easel.menu("export-indexed").await;
    let png = saved_file(folder, "-regions.png").await;
    let colors = image::load_from_memory(&png)
        .expect("it is a PNG")
        .into_rgb8();
    let again = Mask::from_fn(width, height, |x, y| colors.get_pixel(x, y).0 != [0; 3]);
    assert_eq!(again, mask);
    import(&easel, folder, "in.png", &png).await;
    easel.count(2).await;

    easel.files().await;
    easel.menu("export-svg").await;
    let drawing = saved_file(folder, "-regions.svg").await;
    import(&easel, folder, "in.svg", &drawing).await;
    easel.count(4).await;

    easel.files().await;
    easel.menu("export-polygons").await;
    let exact = saved_file(folder, "-polygons.json").await;
    import(&easel, folder, "polygons.json", &exact).await;
    easel.count(8).await;
    let bounds = easel.figure(0, "bounds").await;
    for index in 0..8 {
        assert_eq!(easel.area(index).await, area, "region {index}");
        assert_eq!(
            easel.figure(index, "bounds").await,
            bounds,
            "region {index}"
        );
    }

    easel.edit().await;
    easel.menu("region-png").await;
    let png = saved_file(folder, "-8.png").await;
    let grey = image::load_from_memory(&png)
        .expect("it is a PNG")
        .into_luma8();
    assert!(grey.pixels().all(|pixel| matches!(pixel.0, [0 | 255])));
    let again = Mask::from_fn(width, height, |x, y| grey.get_pixel(x, y).0 == [255]);
    assert_eq!(again, mask);
    easel.edit().await;
    easel.menu("region-cutout").await;
    let png = saved_file(folder, "-cutout.png").await;
    let cut = image::load_from_memory(&png)
        .expect("it is a PNG")
        .into_rgba8();
    let opaque = Mask::from_fn(width, height, |x, y| cut.get_pixel(x, y).0[3] == 255);
    assert_eq!(opaque, mask);
    easel.close().await;
}

/// The size that most masks of the fixture have, and as many of them as a chat holds, each with the
/// area that the COCO mask API tells.
fn masks_of_the_coco_mask_api() -> ([u32; 2], Vec<(MaskRle, i64)>) {
    let file = fixtures::path("masks/coco_mask_api.json");
    let text = std::fs::read(file).expect("the fixture can be read");
    let fixture: Value = serde_json::from_slice(&text).expect("the fixture is JSON");
    let mut by_size: BTreeMap<[u32; 2], Vec<(MaskRle, i64)>> = BTreeMap::new();
    for one in fixture["rle"].as_array().expect("it has masks") {
        let mask: MaskRle = serde_json::from_value(one.clone()).expect("it is RLE");
        let area = one["area"].as_i64().expect("the fixture has areas");
        // What has no pixel is no region.
        if area > 0 {
            by_size.entry(mask.size).or_default().push((mask, area));
        }
    }
    let most = by_size.into_iter().max_by_key(|(_, masks)| masks.len());
    let (size, mut masks) = most.expect("the fixture has masks with pixels");
    masks.truncate(MAX_REGIONS);
    (size, masks)
}

#[tokio::test(flavor = "multi_thread")]
async fn fixture_strings_of_the_coco_mask_api_come_back_as_they_were() {
    let ([height, width], known) = masks_of_the_coco_mask_api();
    let (masks, areas): (Vec<MaskRle>, Vec<i64>) = known.into_iter().unzip();
    // Every second one as plain runs.
    let sent: Vec<MaskRle> = masks
        .iter()
        .enumerate()
        .map(|(index, mask)| match index % 2 {
            0 => mask.clone(),
            _ => MaskRle {
                counts: Counts::Runs(
                    Rle::from_wire(mask, u64::MAX)
                        .expect("the fixture is right")
                        .runs()
                        .to_vec(),
                ),
                ..mask.clone()
            },
        })
        .collect();

    let pictures = tempfile::tempdir().expect("a folder");
    let picture = pictures.path().join("picture.png");
    image::RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, 90]))
        .save(&picture)
        .expect("the picture is written");
    let (easel, folder) = with_folder(Easel::with_picture(&picture).await).await;
    easel.files().await;
    import(&easel, folder.path(), "in.json", annotations(&sent)).await;
    easel.count(masks.len()).await;
    for (index, &area) in areas.iter().enumerate() {
        assert_eq!(easel.area(index).await, area, "region {index}");
    }
    easel.files().await;
    easel.menu("export-coco").await;
    let text = saved_file(folder.path(), "-coco.json").await;
    assert_eq!(segmentations(&text), masks);
    easel.saved().await;
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_png_holds_more_regions_than_there_are_colours() {
    let (easel, folder) = with_folder(Easel::open().await).await;
    let mut expected = Vec::new();
    for index in 0..12 {
        let (x, y) = (20 + 40 * (index % 6), 30 + 50 * (index / 6));
        assert!(
            easel
                .paste(&format!("M{x} {y}h{}v9h-{0}z", 10 + index))
                .await
        );
        easel.count(index as usize + 1).await;
        expected.push(format!("{x} {y} {} {}", x + 10 + index, y + 9));
    }
    easel.files().await;
    easel.menu("export-indexed").await;
    let png = saved_file(folder.path(), "-regions.png").await;
    import(&easel, folder.path(), "in.png", &png).await;
    easel.count(24).await;
    let mut found = Vec::new();
    for index in 12..24 {
        found.push(easel.figure(index, "bounds").await);
    }
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_png_says_that_regions_overlap() {
    let (easel, folder) = with_folder(Easel::open().await).await;
    for (path, count) in [("M40 50h30v20h-30z", 1), ("M70 50h30v20h-30z", 2)] {
        assert!(easel.paste(path).await);
        easel.count(count).await;
    }
    easel.files().await;
    easel.menu("export-indexed").await;
    saved_file(folder.path(), "-regions.png").await;
    let said: usize = easel
        .tab
        .evaluate("document.querySelectorAll('[data-testid=notice]').length")
        .await;
    assert_eq!(said, 0, "regions that touch are said to overlap");

    assert!(easel.paste("M60 60h20v30h-20z").await);
    easel.count(3).await;
    easel.files().await;
    easel.menu("export-indexed").await;
    easel.wait_for_words("the later region alone").await;
    let png = saved_file(folder.path(), "-regions.png").await;
    let colors = image::load_from_memory(&png)
        .expect("it is a PNG")
        .into_rgb8();
    let color = |x, y| colors.get_pixel(x, y).0;
    assert_eq!(color(65, 65), color(75, 85), "the later region is below");
    assert_ne!(color(65, 65), color(65, 55), "two regions look the same");
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tolerance_of_polygons_is_shown_and_kept() {
    let (easel, folder) = with_folder(Easel::open().await).await;
    let (width, height) = easel.size().await;
    let disc = Mask::from_fn(width, height, |x, y| {
        (f64::from(x) - 150.0).hypot(f64::from(y) - 150.0) < 60.0
    });
    easel.files().await;
    import(
        &easel,
        folder.path(),
        "in.json",
        annotations([&disc.to_wire()]),
    )
    .await;
    easel.count(1).await;
    let mut corners = Vec::new();
    for tolerance in ["0", "1.5"] {
        easel.files().await;
        let shown: String = easel
            .tab
            .evaluate(&format!(
                "(() => {{ const slider = document.querySelector('[data-testid=export-tolerance]');
                 slider.value = '{tolerance}';
                 slider.dispatchEvent(new Event('input', {{bubbles: true}}));
                 return slider.closest('label').innerText.trim(); }})()"
            ))
            .await;
        easel.tab.settle().await;
        let now: String = easel
            .tab
            .evaluate(
                "document.querySelector('[data-testid=export-tolerance]')
                 .closest('label').innerText.trim()",
            )
            .await;
        assert_eq!(
            now,
            format!("Edges keep within {tolerance} pixels"),
            "after {shown}"
        );
        easel.menu("export-polygons").await;
        let text = saved_file(folder.path(), "-polygons.json").await;
        let value: Value = serde_json::from_slice(&text).expect("it is JSON");
        assert_eq!(
            value["tolerance"].to_string().trim_end_matches(".0"),
            tolerance
        );
        let ring = value["regions"][0]["rings"][0].as_array().expect("a ring");
        corners.push(ring.len() / 2);
        let flat: Vec<f64> = ring.iter().filter_map(Value::as_f64).collect();
        let again = Rle::from_polygons(width, height, &[flat]).expect("it can be drawn");
        let iou = again.to_mask().iou(&disc);
        assert!(iou > 0.94, "IoU {iou} at a tolerance of {tolerance}");
        assert!(
            tolerance != "0" || iou == 1.0,
            "IoU {iou} without tolerance"
        );
    }
    assert!(corners[1] * 3 < corners[0], "{corners:?} corners");
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_is_saved_for_people_and_for_programs() {
    let (easel, folder) = with_folder(Easel::open().await).await;
    assert!(
        easel.paste("M140 150h60v50h-60z").await,
        "the path is not taken"
    );
    easel.count(1).await;
    easel
        .tab
        .type_into("[data-testid=ask-input]", "What colour is it?")
        .await;
    easel.tab.press_enter().await;
    let answer = easel
        .tab
        .wait_until(
            "there is no answer",
            "(() => { const answer = document.querySelector('[data-testid=answer]');
             return answer && !answer.dataset.open
                 && answer.querySelector('[data-testid=answer-text]').innerText.trim(); })()",
        )
        .await;
    let answer = answer.as_str().expect("the answer is a text");
    easel.files().await;
    easel.menu("export-markdown").await;
    let markdown = saved_file(folder.path(), "-chat.md").await;
    let markdown = String::from_utf8(markdown).expect("it is a text");
    let expected = format!(
        "## Regions\n\n- @1: Region 1\n\n## Conversation\n\n\
         **Question about @1**\n\nWhat colour is it?\n\n**Answer**\n\n{answer}\n"
    );
    assert!(markdown.ends_with(&expected), "{markdown}");

    easel.files().await;
    easel.menu("export-json").await;
    let text = saved_file(folder.path(), "-chat.json").await;
    let value: Value = serde_json::from_slice(&text).expect("it is JSON");
    assert_eq!(value["messages"][0]["text"], "What colour is it?");
    assert_eq!(value["messages"][1]["role"], "assistant");
    assert_eq!(
        value["messages"][1]["text"].as_str().map(str::trim),
        Some(answer)
    );
    import(&easel, folder.path(), "chat.json", &text).await;
    easel.count(2).await;
    assert_eq!(easel.figure(1, "bounds").await, "140 150 200 200");
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pasted_becomes_a_region_or_a_picture() {
    let (easel, folder) = with_folder(Easel::open().await).await;
    assert!(
        easel.paste("M40 50h30v20h-30z").await,
        "a path is left alone"
    );
    easel.count(1).await;
    assert_eq!(easel.figure(0, "bounds").await, "40 50 70 70");
    let (width, height) = easel.size().await;
    let rle = lace(width, height).to_wire();
    let text = serde_json::to_string(&rle).expect("a mask becomes JSON");
    assert!(easel.paste(&text).await, "RLE is left alone");
    easel.count(2).await;
    assert!(
        !easel.paste("what is it?").await,
        "words are taken for a mask"
    );

    easel.edit().await;
    easel.menu("region-png").await;
    let png = saved_file(folder.path(), "-2.png").await;
    paste_file(&easel, "mask.png", &png).await;
    easel.count(3).await;
    assert_eq!(easel.area(2).await, easel.area(1).await);
    easel.saved().await;

    // A picture of another size is one of its own.
    paste_file(&easel, "other.png", &fclm_tests::api::png(7)).await;
    easel
        .tab
        .wait_until(
            "the pasted picture is not opened",
            "document.querySelector('[data-testid=chat-title]')?.innerText === 'other.png'",
        )
        .await;
    easel.close().await;
}

async fn paste_file(easel: &Easel, name: &str, bytes: &[u8]) {
    let (name, bytes) = (Value::from(name), Value::from(bytes));
    let is_taken: bool = easel
        .tab
        .evaluate(&format!(
            "(() => {{ const clipboardData = new DataTransfer();
             clipboardData.items.add(
                 new File([new Uint8Array({bytes})], {name}, {{type: 'image/png'}}));
             const paste = new ClipboardEvent('paste',
                 {{clipboardData, bubbles: true, cancelable: true}});
             return !document.body.dispatchEvent(paste); }})()"
        ))
        .await;
    assert!(is_taken, "the page leaves {name} to the browser");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_said() {
    let (easel, folder) = with_folder(Easel::open().await).await;
    easel.files().await;
    let (width, height) = easel.size().await;
    let other = Mask::rect(width + 1, height, [1.0, 1.0, 5.0, 5.0]).to_wire();
    import(&easel, folder.path(), "other.json", annotations([&other])).await;
    easel.wait_for_words("and this one has").await;
    import(&easel, folder.path(), "notes.txt", "These are words.").await;
    easel.wait_for_words("this text is none of them").await;
    import(&easel, folder.path(), "small.png", fclm_tests::api::png(3)).await;
    easel.wait_for_words("48 x 32").await;
    easel.count(0).await;
    easel.close().await;
}
