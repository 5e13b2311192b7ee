//! The mask tools in a real browser, by mouse, finger and pen: each makes or changes a region as
//! a person means it, and masks come back from their files pixel by pixel.

use std::path::Path;
use std::time::{Duration, Instant};

use fclm_core::mask::Mask;
use fclm_core::wire::MaskRle;
use fclm_tests::browser::{Point, Tab};
use fclm_tests::served::Served;
use fclm_tests::view::View;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);
const CARD: &str = "[data-testid=sample-card]";
const IMPORT: &str = "[data-testid=import-input]";
const ALT: i64 = 1;
/// Pointers are told in whole CSS pixels; so much may an edge be off, in pixels of the picture.
const SLACK: i64 = 2;

struct Desk {
    served: Served,
    tab: Tab,
}

impl Desk {
    /// A page with a sample's picture and nothing marked on it.
    async fn open() -> Self {
        let served = Served::start().await;
        let tab = Tab::open(&served.url("/")).await;
        tab.click(CARD).await;
        View::of(&tab).await;
        Self { served, tab }
    }

    async fn take(&self, tool: &str) {
        self.tab.click(&format!("[data-testid=tool-{tool}]")).await;
    }

    /// Points of the picture as points of the window.
    async fn window<const N: usize>(&self, points: [(f32, f32); N]) -> [Point; N] {
        let view = View::of(&self.tab).await;
        points.map(|(x, y)| view.window(x, y))
    }

    async fn count(&self, expected: usize) {
        self.tab
            .wait_until(
                &format!("there are not {expected} regions"),
                &format!(
                    "document.querySelectorAll('[data-testid=region-item]').length === {expected}"
                ),
            )
            .await;
    }

    async fn figure(&self, index: usize, name: &str) -> String {
        self.tab
            .evaluate(&format!(
                "document.querySelectorAll('[data-testid=region-item]')[{index}].dataset.{name}"
            ))
            .await
    }

    async fn area(&self, index: usize) -> i64 {
        let area = self.figure(index, "area").await;
        area.parse().expect("the area is a number")
    }

    async fn bounds(&self, index: usize) -> Vec<i64> {
        let bounds = self.figure(index, "bounds").await;
        bounds
            .split(' ')
            .map(|edge| edge.parse().expect("edges are numbers"))
            .collect()
    }

    /// Waits until the area of a region is another one, and gives that.
    async fn other_area(&self, index: usize, before: i64) -> i64 {
        self.tab
            .wait_until(
                &format!("the area of region {index} stays {before}"),
                &format!(
                    "document.querySelectorAll('[data-testid=region-item]')[{index}]?.dataset.area
                     !== '{before}'"
                ),
            )
            .await;
        self.area(index).await
    }

    /// A polygon by clicks, closed at its first corner.
    async fn draw_polygon<const N: usize>(&self, corners: [(f32, f32); N]) {
        self.take("polygon").await;
        let corners = self.window(corners).await;
        for corner in corners {
            self.tab.drag(&[corner]).await;
        }
        self.tab.drag(&[corners[0]]).await;
    }

    async fn menu(&self, item: &str) {
        self.tab.click(&format!("[data-testid={item}]")).await;
    }

    async fn close(self) {
        assert_eq!(
            self.tab.complaints(),
            [] as [&str; 0],
            "the browser complained"
        );
        self.tab.close().await;
        drop(self.served);
    }
}

fn assert_near(found: &[i64], expected: [i64; 4]) {
    let is_near = found
        .iter()
        .zip(expected)
        .all(|(found, expected)| (found - expected).abs() <= SLACK);
    assert!(
        is_near && found.len() == 4,
        "{found:?} is not near {expected:?}"
    );
}

/// The bytes of a file that the browser saves.
async fn saved(folder: &Path, ending: &str) -> Vec<u8> {
    let started = Instant::now();
    loop {
        let files = std::fs::read_dir(folder).expect("the folder is there");
        let names = files.map(|entry| entry.expect("an entry").path());
        let found = names.into_iter().find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().ends_with(ending))
        });
        if let Some(path) = found {
            let bytes = std::fs::read(&path).expect("the file is read");
            if !bytes.is_empty() {
                return bytes;
            }
        }
        assert!(started.elapsed() < PATIENCE, "no {ending} is saved");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_polygon_is_drawn_and_its_corners_are_moved() {
    let desk = Desk::open().await;
    let corners = [(60.0, 60.0), (140.0, 60.0), (140.0, 120.0), (60.0, 120.0)];
    desk.draw_polygon(corners).await;
    desk.count(1).await;
    assert_near(&desk.bounds(0).await, [60, 60, 140, 120]);

    let area = desk.area(0).await;
    let [from, to] = desk.window([(140.0, 120.0), (180.0, 160.0)]).await;
    desk.tab.drag(&[from, to]).await;
    desk.other_area(0, area).await;
    assert_near(&desk.bounds(0).await, [60, 60, 180, 160]);

    desk.menu("tool-undo").await;
    assert_eq!(desk.other_area(0, desk.area(0).await).await, area);
    desk.menu("tool-undo").await;
    desk.count(0).await;
    desk.menu("tool-redo").await;
    desk.count(1).await;
    assert_eq!(desk.area(0).await, area);
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lasso_adds_and_the_eraser_takes_away() {
    let desk = Desk::open().await;
    desk.take("lasso").await;
    let around = [
        (80.0, 80.0),
        (150.0, 80.0),
        (150.0, 150.0),
        (80.0, 150.0),
        (80.0, 90.0),
    ];
    desk.tab.drag(&desk.window(around).await).await;
    desk.count(1).await;
    assert_near(&desk.bounds(0).await, [80, 80, 150, 150]);

    let area = desk.area(0).await;
    desk.take("eraser").await;
    let across = [(70.0, 115.0), (115.0, 115.0), (160.0, 115.0)];
    desk.tab.drag(&desk.window(across).await).await;
    let less = desk.other_area(0, area).await;
    assert!(less < area, "the eraser made {area} pixels {less}");
    desk.count(1).await;
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_is_grown_inverted_copied_locked_and_carried() {
    let desk = Desk::open().await;
    let corners = [(60.0, 60.0), (120.0, 60.0), (120.0, 100.0), (60.0, 100.0)];
    desk.draw_polygon(corners).await;
    desk.count(1).await;
    let area = desk.area(0).await;
    desk.tab.click("[data-testid=region-more] summary").await;
    desk.menu("region-grow").await;
    let grown = desk.other_area(0, area).await;
    assert!(grown > area);
    desk.menu("region-shrink").await;
    assert_eq!(desk.other_area(0, grown).await, area);
    desk.menu("region-invert").await;
    let [width, height]: [i64; 2] = desk
        .tab
        .evaluate(
            "(({imageWidth, imageHeight}) => [imageWidth, imageHeight].map(Number))\
             (document.querySelector('[data-testid=canvas]').dataset)",
        )
        .await;
    assert_eq!(desk.other_area(0, area).await, width * height - area);
    desk.menu("tool-undo").await;
    assert_eq!(desk.other_area(0, width * height - area).await, area);
    desk.menu("region-duplicate").await;
    desk.count(2).await;
    assert_eq!(desk.area(1).await, area);
    let copied = desk.figure(1, "regionId").await;
    desk.menu("region-up").await;
    desk.tab
        .wait_until(
            "the copy does not come first",
            &format!(
                "document.querySelector('[data-testid=region-item]').dataset.regionId === '{copied}'"
            ),
        )
        .await;
    desk.tab.click("[data-testid=region-more] summary").await;

    desk.take("select").await;
    let bounds = desk.bounds(1).await;
    let [at, to] = desk.window([(90.0, 80.0), (120.0, 130.0)]).await;
    // The first press chooses the uppermost region, the second one carries it.
    desk.tab.drag(&[at]).await;
    desk.tab.drag(&[at, to]).await;
    desk.tab
        .wait_until(
            "the region is not moved",
            &format!(
                "document.querySelectorAll('[data-testid=region-item]')[1].dataset.bounds
                 !== '{}'",
                bounds
                    .iter()
                    .map(i64::to_string)
                    .collect::<Vec<_>>()
                    .join(" ")
            ),
        )
        .await;
    let moved = [
        bounds[0] + 30,
        bounds[1] + 50,
        bounds[2] + 30,
        bounds[3] + 50,
    ];
    assert_near(&desk.bounds(1).await, moved);

    let row = "[data-testid=region-item].is-selected";
    desk.tab
        .click(&format!("{row} [data-testid=region-lock]"))
        .await;
    desk.tab
        .click(&format!("{row} [data-testid=region-delete]"))
        .await;
    desk.tab
        .wait_until(
            "nothing is said of the lock",
            "[...document.querySelectorAll('[data-testid=notice]')]
                 .some(e => e.innerText.includes('locked'))",
        )
        .await;
    desk.count(2).await;
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn arrow_keys_move_and_resize_a_region_and_say_so() {
    let desk = Desk::open().await;
    let corners = [(60.0, 60.0), (120.0, 60.0), (120.0, 100.0), (60.0, 100.0)];
    desk.draw_polygon(corners).await;
    desk.count(1).await;
    let before = desk.bounds(0).await;
    desk.tab.click("[data-testid=region-select]").await;
    desk.tab.press("ArrowRight", 39, 0).await;
    desk.tab.press("ArrowDown", 40, 0).await;
    desk.tab.press("ArrowRight", 39, ALT).await;
    let [x0, y0, x1, y1] = before[..] else {
        panic!("four edges");
    };
    let expected = format!("{} {} {} {}", x0 + 1, y0 + 1, x1 + 2, y1 + 1);
    desk.tab
        .wait_until(
            &format!("the bounds are not {expected}"),
            &format!(
                "document.querySelector('[data-testid=region-item]').dataset.bounds
                 === '{expected}'"
            ),
        )
        .await;
    let spoken: String = desk
        .tab
        .evaluate("document.querySelector('[data-testid=announcement]').textContent.trim()")
        .await;
    let (width, height) = (x1 - x0 + 1, y1 - y0);
    assert_eq!(
        spoken,
        format!(
            "Region 1 resized: {width} by {height} pixels at {}, {}",
            x0 + 1,
            y0 + 1
        )
    );
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pen_draws_as_wide_as_it_is_pressed_and_a_palm_does_not_draw() {
    let desk = Desk::open().await;
    desk.take("brush").await;
    let mut areas = Vec::new();
    for (index, force) in [0.2, 0.8].into_iter().enumerate() {
        desk.tab.hold('n').await;
        desk.tab.let_go('n').await;
        let path = desk
            .window([(60.0, 80.0), (100.0, 80.0), (140.0, 80.0)])
            .await;
        desk.tab.pen(&path.map(|point| (point, force))).await;
        desk.count(index + 1).await;
        areas.push(desk.area(index).await);
    }
    assert!(
        areas[1] > 2 * areas[0],
        "{areas:?} by light and hard pressure"
    );

    desk.tab.hold('n').await;
    desk.tab.let_go('n').await;
    let palm = desk.window([(150.0, 150.0), (170.0, 150.0)]).await;
    let [pen_from, pen_to] = desk.window([(60.0, 200.0), (90.0, 200.0)]).await;
    desk.tab.pen(&[(pen_from, 0.5), (pen_to, 0.5)]).await;
    desk.tab.touch(&[&[palm[0]], &[palm[1]]]).await;
    desk.count(3).await;
    desk.tab.settle().await;
    let [_, top, ..] = desk.bounds(2).await[..] else {
        panic!("four edges");
    };
    assert!(top > 165, "the palm has drawn: the region begins at {top}");
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_finger_draws_under_a_loupe_and_two_zoom() {
    let desk = Desk::open().await;
    desk.take("brush").await;
    let path = desk
        .window([(160.0, 160.0), (190.0, 160.0), (220.0, 160.0)])
        .await;
    let corner = {
        let view = View::of(&desk.tab).await;
        let (x, y) = (68.0 + 30.0, 68.0);
        format!(
            "(() => {{ const c = document.querySelector('[data-testid=canvas]');
             const r = c.width / {};
             return [...c.getContext('2d').getImageData({x} * r, {y} * r, 1, 1).data]; }})()",
            view.canvas[2]
        )
    };
    let before: [u8; 4] = desk.tab.evaluate(&corner).await;
    desk.tab
        .touch_down(&[&[path[0]], &[path[1]], &[path[2]]])
        .await;
    desk.tab.settle().await;
    let under_loupe: [u8; 4] = desk.tab.evaluate(&corner).await;
    assert_ne!(before, under_loupe, "there is no loupe");
    desk.tab.touch_up().await;
    desk.count(1).await;

    let view = View::of(&desk.tab).await;
    let (x, y) = view.window(170.0, 170.0);
    let spread = |by: f64| [(x - by, y), (x + by, y)];
    desk.tab
        .touch(&[&spread(30.0), &spread(45.0), &spread(60.0)])
        .await;
    let zoomed = View::of(&desk.tab).await;
    let factor = zoomed.scale / view.scale;
    assert!(
        (1.7..2.3).contains(&factor),
        "two fingers zoomed by {factor}"
    );
    desk.count(1).await;
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wheel_zooms_about_the_pointer_and_zero_fits_again() {
    let desk = Desk::open().await;
    let fitted = View::of(&desk.tab).await;
    let at = fitted.window(100.0, 120.0);
    desk.tab.wheel(at, -400.0).await;
    desk.tab
        .wait_until(
            "the wheel does not zoom",
            &format!(
                "Number(document.querySelector('[data-testid=canvas]').dataset.scale) > {}",
                fitted.scale * 1.2
            ),
        )
        .await;
    let zoomed = View::of(&desk.tab).await;
    let (x, y) = zoomed.window(100.0, 120.0);
    assert!(
        (x - at.0).abs() < 3.0 && (y - at.1).abs() < 3.0,
        "{at:?} went to {x}, {y}"
    );
    desk.menu("zoom-fit").await;
    let again = View::of(&desk.tab).await;
    assert!((again.scale - fitted.scale).abs() < 1e-6);
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn masks_come_back_from_their_files() {
    let desk = Desk::open().await;
    let folder = tempfile::tempdir().expect("a folder");
    desk.tab.save_files_to(folder.path()).await;
    let [width, height]: [u32; 2] = desk
        .tab
        .evaluate(
            "(({imageWidth, imageHeight}) => [imageWidth, imageHeight].map(Number))\
             (document.querySelector('[data-testid=canvas]').dataset)",
        )
        .await;
    let mask = Mask::from_fn(width, height, |x, y| {
        (40..90).contains(&x) && (50..80).contains(&y) && (x * 7 + y * 5) % 11 > 2
    });
    let annotations = json!({
        "categories": [{ "id": 1, "name": "lace" }],
        "annotations": [{ "category_id": 1, "segmentation": mask.to_wire() }],
    });
    let file = folder.path().join("in.json");
    std::fs::write(&file, annotations.to_string()).expect("the file is written");
    desk.tab.click("[data-testid=exchange] summary").await;
    desk.tab.choose_file(IMPORT, &file).await;
    desk.count(1).await;
    assert_eq!(desk.area(0).await, mask.area() as i64);

    desk.menu("export-coco").await;
    let text = saved(folder.path(), "-coco.json").await;
    let value: Value = serde_json::from_slice(&text).expect("it is JSON");
    let segmentation = value["annotations"][0]["segmentation"].clone();
    let rle: MaskRle = serde_json::from_value(segmentation).expect("it is RLE");
    assert_eq!(rle, mask.to_wire());
    assert_eq!(value["categories"][0]["name"], "lace");

    desk.menu("export-indexed").await;
    let png = saved(folder.path(), "-regions.png").await;
    let colors = image::load_from_memory(&png)
        .expect("it is a PNG")
        .into_rgb8();
    let again = Mask::from_fn(width, height, |x, y| colors.get_pixel(x, y).0 != [0; 3]);
    assert_eq!(again, mask);
    let file = folder.path().join("in.png");
    std::fs::write(&file, &png).expect("the file is written");
    desk.tab.choose_file(IMPORT, &file).await;
    desk.count(2).await;
    assert_eq!(
        desk.figure(1, "bounds").await,
        desk.figure(0, "bounds").await
    );
    assert_eq!(desk.area(1).await, mask.area() as i64);

    desk.menu("export-svg").await;
    let drawing = saved(folder.path(), "-regions.svg").await;
    let file = folder.path().join("in.svg");
    std::fs::write(&file, &drawing).expect("the file is written");
    desk.tab.choose_file(IMPORT, &file).await;
    desk.count(4).await;
    assert_eq!(desk.area(2).await, mask.area() as i64);

    desk.tab.click("[data-testid=region-more] summary").await;
    desk.menu("region-cutout").await;
    let png = saved(folder.path(), "-cutout.png").await;
    let cut = image::load_from_memory(&png)
        .expect("it is a PNG")
        .into_rgba8();
    let opaque = Mask::from_fn(width, height, |x, y| cut.get_pixel(x, y).0[3] == 255);
    assert_eq!(opaque, mask);
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_path_is_pasted_as_a_region() {
    let desk = Desk::open().await;
    let is_taken: bool = desk
        .tab
        .evaluate(
            "(() => { const clipboardData = new DataTransfer();
             clipboardData.setData('text/plain', 'M40 50h30v20h-30z');
             const paste = new ClipboardEvent('paste',
                 {clipboardData, bubbles: true, cancelable: true});
             return !document.body.dispatchEvent(paste); })()",
        )
        .await;
    assert!(is_taken, "the page leaves the path to the browser");
    desk.count(1).await;
    assert_eq!(desk.figure(0, "bounds").await, "40 50 70 70");
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_is_asked_of_every_region() {
    let desk = Desk::open().await;
    let folder = tempfile::tempdir().expect("a folder");
    desk.tab.save_files_to(folder.path()).await;
    for left in [40.0, 160.0] {
        let right = left + 60.0;
        desk.draw_polygon([(left, 90.0), (right, 90.0), (right, 150.0), (left, 150.0)])
            .await;
    }
    desk.count(2).await;
    desk.tab
        .type_into("[data-testid=ask-input]", "What colour is it?")
        .await;
    desk.menu("ask-each").await;
    desk.tab
        .wait_until(
            "there is no table of two answers",
            "(() => { const cells = [...document.querySelectorAll(
                 '[data-testid=answer-table] tbody tr td:last-child')];
             return cells.length === 2 && cells.every(cell => cell.innerText.trim())
                 && !document.querySelector('[data-testid=answer][data-open]'); })()",
        )
        .await;
    desk.menu("table-csv").await;
    let csv = saved(folder.path(), "-answers.csv").await;
    let text = String::from_utf8(csv).expect("it is a text");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert_eq!(lines[0], "\"Region\",\"Name\",\"What colour is it?\"");
    assert!(lines[1].starts_with("\"1\",\"Region 1\",\""), "{text}");
    assert!(lines[2].starts_with("\"2\",\"Region 2\",\""), "{text}");
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn phrases_of_a_caption_and_their_masks_show_each_other() {
    let desk = Desk::open().await;
    desk.menu("mode-caption").await;
    desk.menu("send-button").await;
    desk.tab
        .wait_until(
            "there is no caption with a phrase",
            "(() => { const answer = document.querySelector('[data-testid=answer]');
             return answer && !answer.dataset.open
                 && answer.querySelector('[data-testid=phrase]'); })() ? 1 : 0",
        )
        .await;
    let _: bool = desk
        .tab
        .evaluate("(document.querySelector('[data-testid=phrase]').focus(), true)")
        .await;
    desk.tab
        .wait_until(
            "the mask of a focused phrase is not lit",
            "document.querySelector('[data-testid=found-item]').classList.contains('is-lit')",
        )
        .await;
    let _: bool = desk
        .tab
        .evaluate("(document.querySelector('.found-main').focus(), true)")
        .await;
    desk.tab
        .wait_until(
            "the phrase of a focused mask is not lit",
            "document.querySelector('[data-testid=phrase]').classList.contains('is-lit')",
        )
        .await;
    desk.menu("found-adopt").await;
    desk.count(1).await;
    desk.close().await;
}
