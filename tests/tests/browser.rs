//! The page in a real browser: marking, asking, finding, coming back, and a wrong upload.

use std::collections::BTreeSet;
use std::env;
use std::path::Path;

use fclm_core::mask::Mask;
use fclm_core::wire::{Chat, Role};
use fclm_tests::browser::{Point, Rect, Tab};
use fclm_tests::samples::{self, Object, Reference, Scene};
use fclm_tests::served::Served;
use serde_json::Value;

const MAX_PIXELS: u64 = 100_000_000;
const CARD: &str = "[data-testid=sample-card]";
const CANVAS: &str = "[data-testid=canvas]";
const ASK_INPUT: &str = "[data-testid=ask-input]";
const UPLOAD: &str = "[data-testid=upload-input]";

/// How the canvas shows the picture: where it is in the window, and *canvas = picture * scale +
/// offset*.
struct View {
    canvas: Rect,
    scale: f64,
    offset: Point,
}

impl View {
    async fn of(tab: &Tab) -> Self {
        tab.wait_until(
            "the picture is not drawn",
            &format!("document.querySelector('{CANVAS}')?.dataset.ready === 'true'"),
        )
        .await;
        let canvas = tab.see(CANVAS).await;
        let [scale, x, y]: [f64; 3] = tab
            .evaluate(&format!(
                "(({{scale, offsetX, offsetY}}) => [scale, offsetX, offsetY].map(Number))\
                 (document.querySelector('{CANVAS}').dataset)"
            ))
            .await;
        Self {
            canvas,
            scale,
            offset: (x, y),
        }
    }

    /// A point of the picture, as a point of the window.
    fn window(&self, x: f32, y: f32) -> Point {
        (
            self.canvas[0] + f64::from(x) * self.scale + self.offset.0,
            self.canvas[1] + f64::from(y) * self.scale + self.offset.1,
        )
    }
}

/// Draws a box around an object by mouse, as a person would: in several steps.
async fn draw_box(tab: &Tab, object: &Object) {
    tab.click("[data-testid=tool-box]").await;
    let view = View::of(tab).await;
    let [x0, y0, x1, y1] = object.box_px;
    let between = |share: f32| view.window(x0 + (x1 - x0) * share, y0 + (y1 - y0) * share);
    let path: Vec<Point> = (0..=8u8)
        .map(|step| between(f32::from(step) / 8.0))
        .collect();
    tab.drag(&path).await;
    tab.see("[data-testid=region-item] [data-testid=region-note]")
        .await;
}

/// Waits for the n-th answer, counted from 1, to be whole, and returns its text.
async fn answer(tab: &Tab, number: usize) -> String {
    let whole = format!(
        "(() => {{ const all = document.querySelectorAll('[data-testid=answer]');
         const last = all[{number} - 1];
         return all.length === {number} && !last.dataset.open &&
             last.querySelector('[data-testid=answer-text]').innerText.trim(); }})()"
    );
    let text = tab
        .wait_until(&format!("answer {number} is not whole"), &whole)
        .await;
    text.as_str().expect("the answer is a text").to_owned()
}

async fn chat(served: &Served, tab: &Tab) -> Chat {
    let path: String = tab.evaluate("location.pathname").await;
    let id = path
        .strip_prefix("/c/")
        .expect("the address names the chat")
        .to_owned();
    served.get(&format!("/api/v1/chats/{id}")).await
}

/// The first word of a text that is one of the given ones.
fn first_of<'a>(text: &str, words: &BTreeSet<&'a str>) -> Option<&'a str> {
    let text = text.to_lowercase();
    text.split(|c: char| !c.is_alphabetic())
        .find_map(|word| words.get(word).copied())
}

fn assert_describes(text: &str, object: &Object, scenes: &[Scene]) {
    let all = || scenes.iter().flat_map(|scene| &scene.objects);
    let colors: BTreeSet<&str> = all().map(|object| object.color.as_str()).collect();
    let shapes: BTreeSet<&str> = all().map(|object| object.shape.as_str()).collect();
    assert_eq!(
        first_of(text, &colors),
        Some(object.color.as_str()),
        "colour in {text:?}"
    );
    assert_eq!(
        first_of(text, &shapes),
        Some(object.shape.as_str()),
        "shape in {text:?}"
    );
}

/// A short expression of the scene that means one object.
fn expression(scene: &Scene) -> &Reference {
    let mut single = scene
        .refs
        .iter()
        .filter(|reference| reference.targets.len() == 1);
    single
        .find(|reference| reference.kind == "short")
        .expect("scenes have short expressions")
}

/// The best IoU of the masks of a chat's last answer with an object.
fn found_iou(chat: &Chat, object: &Object) -> f64 {
    let truth = Mask::from_wire(&object.mask, MAX_PIXELS).expect("the truth is a mask");
    let answer = chat.messages.last().expect("the chat has messages");
    assert_eq!(answer.role, Role::Assistant);
    let ious = answer.found.iter().map(|found| {
        Mask::from_wire(&found.mask, MAX_PIXELS)
            .expect("the answer is a mask")
            .iou(&truth)
    });
    ious.fold(0.0, f64::max)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_marks_asks_finds_and_comes_back() {
    let scenes = samples::scenes();
    let served = Served::start().await;
    let tab = Tab::open(&served.url("/")).await;

    tab.click(CARD).await;
    View::of(&tab).await;
    let opened = chat(&served, &tab).await;
    let picture: Value = tab
        .evaluate(&format!(
            "({{...document.querySelector('{CANVAS}').dataset}})"
        ))
        .await;
    let scene = &scenes[0];
    assert_eq!(picture["imageWidth"], scene.width.to_string().as_str());
    assert_eq!(
        (opened.image.width, opened.image.height),
        (scene.width, scene.height)
    );

    let object = scene.clearest();
    draw_box(&tab, object).await;
    tab.click(ASK_INPUT).await;
    tab.press_enter().await;
    let description = answer(&tab, 1).await;
    assert_describes(&description, object, &scenes);

    let reference = expression(scene);
    tab.click("[data-testid=mode-find]").await;
    tab.type_into(ASK_INPUT, &reference.text).await;
    tab.press_enter().await;
    let found_text = answer(&tab, 2).await;
    tab.see("[data-testid=found-item]").await;
    let stored = chat(&served, &tab).await;
    let iou = found_iou(&stored, scene.object(reference.targets[0]));
    assert!(iou >= 0.5, "IoU {iou:.2} for {:?}", reference.text);
    if let Some(file) = env::var_os("FCLM_SCREENSHOT") {
        tab.screenshot(Path::new(&file)).await;
    }

    tab.reload().await;
    View::of(&tab).await;
    tab.see("[data-testid=region-item]").await;
    tab.see("[data-testid=found-item]").await;
    let texts: Vec<String> = tab
        .evaluate(
            "[...document.querySelectorAll('[data-testid=answer-text]')].map(e => e.innerText.trim())",
        )
        .await;
    assert_eq!(texts, [description, found_text]);
    let kept = chat(&served, &tab).await;
    assert_eq!(kept.regions, stored.regions);
    assert_eq!(kept.messages, stored.messages);

    tab.resize(390, 844).await;
    tab.see(CANVAS).await;
    let width: f64 = tab.evaluate("document.documentElement.scrollWidth").await;
    assert!(
        width <= 390.0,
        "the page is {width} pixels wide on a screen of 390"
    );

    assert_eq!(tab.complaints(), [] as [&str; 0], "the browser complained");
    tab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_as_upload_shows_what_is_wrong() {
    let served = Served::start().await;
    let tab = Tab::open(&served.url("/")).await;
    tab.wait_until(
        "the page is not live",
        &format!(
            "document.querySelectorAll('{CARD}').length === {}",
            samples::scenes().len()
        ),
    )
    .await;
    let folder = tempfile::tempdir().unwrap();
    for name in ["notes.txt", "renamed.png"] {
        let file = folder.path().join(name);
        std::fs::write(&file, "These are words, not pixels.").unwrap();
        tab.choose_file(UPLOAD, &file).await;
        let message = tab
            .wait_until(
                &format!("no message about {name}"),
                "document.querySelector('[data-testid=error-message]')?.innerText",
            )
            .await;
        let message = message.as_str().expect("the message is a text");
        assert!(
            message.contains("JPEG"),
            "it does not say what is taken: {message}"
        );
        tab.reload().await;
    }
    let chats: Vec<Value> = served.get("/api/v1/chats").await;
    assert!(chats.is_empty(), "a chat was made of a text file");
    for complaint in tab.complaints() {
        assert!(
            complaint.contains("/api/v1/images"),
            "the browser complained: {complaint}"
        );
    }
    tab.close().await;
}
