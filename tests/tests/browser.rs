//! The page in a real browser: marking, asking, finding, coming back, wrong uploads, and a chat
//! that is deleted elsewhere.

use std::collections::BTreeSet;
use std::env;
use std::path::Path;
use std::time::{Duration, Instant};

use fclm_core::mask::Mask;
use fclm_core::wire::{Chat, MaskRle, MaskSource, Role, SampleInfo};
use fclm_tests::api::png;
use fclm_tests::browser::{Point, Tab};
use fclm_tests::samples::{self, Object, Reference, Scene, SceneId};
use fclm_tests::served::Served;
use fclm_tests::view::View;
use serde_json::Value;

const MAX_PIXELS: u64 = 100_000_000;
/// How long masks and saving may take on two busy cores.
const PATIENCE: Duration = Duration::from_secs(90);
const CARD: &str = "[data-testid=sample-card]";
const CANVAS: &str = "[data-testid=canvas]";
const ASK_INPUT: &str = "[data-testid=ask-input]";
const UPLOAD: &str = "[data-testid=upload-input]";
/// What lies beside a fitted picture and never on it.
const TOOLS: [&str; 2] = ["[data-testid=toolbar]", "[data-testid=zoom]"];
const BRUSH_SIZE: &str = "[data-testid=brush-size]";
/// Differences of a colour's parts up to this are none: the browser may rasterise a frame in two
/// ways, and a mask changes a pixel by more, even one of nearly the mask's own colour.
const SAME_COLOR: u8 = 4;

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

/// Drags beside the picture, where nothing can be marked.
async fn drag_in_the_margin(tab: &Tab) {
    tab.click("[data-testid=tool-box]").await;
    let view = View::of(tab).await;
    let (left, top) = view.window(0.0, 0.0);
    let above = (top + view.canvas[1]) / 2.0;
    tab.drag(&[
        (left + 40.0, above),
        (left + 90.0, above),
        (left + 140.0, above),
    ])
    .await;
    let count: usize = tab
        .evaluate("document.querySelectorAll('[data-testid=region-item]').length")
        .await;
    assert_eq!(count, 0, "a drag beside the picture made a region");
}

/// Waits for the n-th answer, counted from 1, to be whole, and returns its text. Where all that
/// was asked for is a mask, there is no text.
async fn answer(tab: &Tab, number: usize) -> String {
    let whole = format!(
        "(() => {{ const all = document.querySelectorAll('[data-testid=answer]');
         const last = all[{number} - 1];
         return all.length === {number} && !last.dataset.open &&
             {{text: last.querySelector('[data-testid=answer-text]').innerText.trim()}}; }})()"
    );
    let answer = tab
        .wait_until(&format!("answer {number} is not whole"), &whole)
        .await;
    let errors: Vec<String> = tab
        .evaluate(
            "[...document.querySelectorAll('[data-testid=error-message]')].map(e => e.innerText)",
        )
        .await;
    assert_eq!(errors, [] as [&str; 0], "with answer {number}");
    let text = answer["text"].as_str();
    text.expect("the answer's text is a text").to_owned()
}

async fn chat(served: &Served, tab: &Tab) -> Chat {
    let path: String = tab.evaluate("location.pathname").await;
    let id = path
        .strip_prefix("/c/")
        .expect("the address names the chat")
        .to_owned();
    served.get(&format!("/api/v1/chats/{id}")).await
}

/// The chat of a tab, once all of its regions have their masks and are on the server.
async fn saved_chat(served: &Served, tab: &Tab, regions: usize) -> Chat {
    let started = Instant::now();
    let saved = loop {
        let now = chat(served, tab).await;
        let are_masked = now.regions.iter().all(|one| one.source == MaskSource::Box);
        if now.regions.len() == regions && are_masked {
            break now;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "{} regions are saved instead of {regions}",
            now.regions.len()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    wait_for_save_state(tab, "Saved").await;
    saved
}

/// Comes back to the window of a tab, and sees so many regions there.
async fn come_back(tab: &Tab, regions: usize) {
    let _: bool = tab
        .evaluate("window.dispatchEvent(new Event('focus'))")
        .await;
    wait_for_regions(tab, regions).await;
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

/// A short expression of the scene that means one object, and not the given one.
fn expression<'a>(scene: &'a Scene, other: &Object) -> &'a Reference {
    let mut single = scene
        .refs
        .iter()
        .filter(|reference| reference.targets.len() == 1 && reference.targets[0] != other.id);
    single
        .find(|reference| reference.kind == "short")
        .expect("scenes have short expressions")
}

fn mask(rle: &MaskRle) -> Mask {
    Mask::from_wire(rle, MAX_PIXELS).expect("it is a mask")
}

/// The one region of a chat has the mask that the model made of the box around an object.
fn assert_marks(chat: &Chat, object: &Object) {
    let [region] = &chat.regions[..] else {
        panic!("one box makes one region, not {}", chat.regions.len());
    };
    assert_eq!(region.source, MaskSource::Box, "the model makes the mask");
    let iou = mask(&region.mask).iou(&mask(&object.mask));
    assert!(iou >= 0.5, "IoU {iou:.2} for the box around {object:?}");
}

/// All that a chat's last answer has found.
fn found(chat: &Chat) -> Mask {
    let answer = chat.messages.last().expect("the chat has messages");
    assert_eq!(answer.role, Role::Assistant);
    let masks = answer.found.iter().map(|found| mask(&found.mask));
    let all = masks.reduce(|mut all, more| {
        all.union_with(&more);
        all
    });
    all.expect("the answer has a mask")
}

/// A pixel well inside both masks and well off the chat's regions and their labels, so that
/// nothing but the found mask is drawn over the picture there.
fn pixel_of(truth: &Mask, found: &Mask, chat: &Chat) -> (u32, u32) {
    const REACH: u32 = 3;
    let (width, height) = (truth.width(), truth.height());
    let mut taken = Mask::new(width, height);
    for region in &chat.regions {
        let region = mask(&region.mask);
        let [x0, y0, ..] = region.bounds().expect("regions have pixels");
        taken.union_with(&region);
        // The label stands above the upper left corner.
        let label = [x0 - 8.0, y0 - 40.0, x0 + 60.0, y0 + 8.0];
        taken.union_with(&Mask::rect(width, height, label));
    }
    let free = |x, y| truth.get(x, y) && found.get(x, y) && !taken.get(x, y);
    let is_well_inside = |x: u32, y: u32| {
        (x - REACH..=x + REACH).all(|x| (y - REACH..=y + REACH).all(|y| free(x, y)))
    };
    (REACH..height)
        .flat_map(|y| (REACH..width).map(move |x| (x, y)))
        .find(|&(x, y)| is_well_inside(x, y))
        .expect("the found mask covers a part of the object that nothing else covers")
}

fn differ(a: [u8; 4], b: [u8; 4]) -> bool {
    a.into_iter()
        .zip(b)
        .any(|(a, b)| a.abs_diff(b) > SAME_COLOR)
}

/// The mask of the last answer is drawn over a pixel of the picture, and is not while H is held.
/// Returns the pixel's colour under the mask.
async fn assert_drawn(tab: &Tab, pixel: (u32, u32)) -> [u8; 4] {
    let now = View::of(tab).await.color_of(pixel);
    tab.settle().await;
    let masked: [u8; 4] = tab.evaluate(&now).await;
    tab.hold('h').await;
    tab.settle().await;
    let bare: [u8; 4] = tab.evaluate(&now).await;
    assert!(
        differ(bare, masked),
        "{pixel:?} is {bare:?} with the mask and without"
    );
    tab.let_go('h').await;
    tab.settle().await;
    let again: [u8; 4] = tab.evaluate(&now).await;
    assert!(
        !differ(again, masked),
        "{pixel:?} was {masked:?} before H and is {again:?} after it"
    );
    masked
}

/// The canvas shows its bitmap as it is, the picture on it has its own proportions, and no tool
/// lies on it; right after a change of size as well as when all has come to rest.
async fn assert_fits(tab: &Tab, scene: &Scene) {
    let proportions = format!(
        "(() => {{ const c = document.querySelector('{CANVAS}');
         const r = c.getBoundingClientRect();
         return [c.width / c.height, r.width / r.height]; }})()"
    );
    let [bitmap, shown]: [f64; 2] = tab.evaluate(&proportions).await;
    assert!((bitmap - shown).abs() < 0.01, "{bitmap} shown as {shown}");
    tab.wait_until(
        "the canvas does not cover the stage",
        &format!(
            "(() => {{ const [c, s] = ['{CANVAS}', '[data-testid=stage]']
                 .map(e => document.querySelector(e).getBoundingClientRect());
             return Math.abs(c.width - s.width) < 1 && Math.abs(c.height - s.height) < 1; }})()"
        ),
    )
    .await;
    let [bitmap, shown]: [f64; 2] = tab.evaluate(&proportions).await;
    assert!((bitmap - shown).abs() < 0.01, "{bitmap} shown as {shown}");
    // Beside the picture the bitmap is transparent, or half so under a label.
    let own = f64::from(scene.width) / f64::from(scene.height);
    tab.wait_until(
        "the picture is not drawn in its own proportions",
        &format!(
            "(() => {{ const c = document.querySelector('{CANVAS}'), {{width, height}} = c;
             const d = c.getContext('2d').getImageData(0, 0, width, height).data;
             const opaque = y => {{ let count = 0;
                 for (let x = 0; x < width; x++) count += d[(y * width + x) * 4 + 3] === 255;
                 return count; }};
             const rows = Array.from({{length: height}}, (_, y) => opaque(y));
             const r = c.getBoundingClientRect();
             const drawn = [Math.max(...rows) * r.width / width,
                 rows.filter(count => count > 99).length * r.height / height];
             return Math.abs(drawn[0] / drawn[1] / {own} - 1) < 0.03; }})()"
        ),
    )
    .await;
    let view = View::of(tab).await;
    let (left, top) = view.window(0.0, 0.0);
    let (right, bottom) = view.window(scene.width as f32, scene.height as f32);
    let paints: bool = tab
        .evaluate(&format!(
            "['brush', 'eraser'].includes(document.querySelector('{CANVAS}').dataset.tool)"
        ))
        .await;
    for tool in TOOLS.into_iter().chain(paints.then_some(BRUSH_SIZE)) {
        let [x, y, width, height] = tab.see(tool).await;
        let covers = x < right && x + width > left && y < bottom && y + height > top;
        assert!(!covers, "{tool} lies on the picture");
    }
    let [a, b] = [tab.see(TOOLS[0]).await, tab.see(TOOLS[1]).await];
    let meet = |at: usize| a[at] < b[at] + b[at + 2] && b[at] < a[at] + a[at + 2];
    assert!(!(meet(0) && meet(1)), "the tools and the zoom overlap");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_marks_asks_finds_and_comes_back() {
    let scenes = samples::scenes();
    let served = Served::start().await;
    let tab = Tab::open(&served.url("/")).await;

    let scene = &scenes[0];
    let card: String = tab
        .evaluate(&format!(
            "document.querySelector('{CARD}').dataset.sampleId"
        ))
        .await;
    let id = match &scene.id {
        SceneId::Number(number) => number.to_string(),
        SceneId::Word(word) => word.clone(),
    };
    assert_eq!(card, id, "the first card is not the first scene");
    let offered: Vec<SampleInfo> = served.get("/api/v1/samples").await;
    tab.click(CARD).await;
    View::of(&tab).await;
    let opened = chat(&served, &tab).await;
    let picture: Value = tab
        .evaluate(&format!(
            "({{...document.querySelector('{CANVAS}').dataset}})"
        ))
        .await;
    assert_eq!(picture["imageWidth"], scene.width.to_string().as_str());
    assert_eq!(
        (opened.image.width, opened.image.height),
        (scene.width, scene.height)
    );
    assert_fits(&tab, scene).await;
    drag_in_the_margin(&tab).await;

    let object = scene.clearest();
    draw_box(&tab, object).await;
    tab.press_enter().await;
    let description = answer(&tab, 1).await;
    assert!(!description.is_empty(), "the description is empty");
    assert_describes(&description, object, &scenes);
    assert_marks(&chat(&served, &tab).await, object);

    let reference = expression(scene, object);
    tab.click("[data-testid=mode-find]").await;
    let suggested = offered[0].suggestions.first().expect("a suggestion");
    tab.wait_until(
        "the field does not name what is in the picture",
        &format!("document.querySelector('{ASK_INPUT}').placeholder.endsWith('e.g. {suggested}')"),
    )
    .await;
    tab.type_into(ASK_INPUT, &reference.text).await;
    tab.press_enter().await;
    let found_text = answer(&tab, 2).await;
    tab.see("[data-testid=found-item]").await;
    let stored = chat(&served, &tab).await;
    let truth = mask(&scene.object(reference.targets[0]).mask);
    let found = found(&stored);
    let iou = found.iou(&truth);
    assert!(iou >= 0.5, "IoU {iou:.2} for {:?}", reference.text);
    let pixel = pixel_of(&truth, &found, &stored);
    let masked = assert_drawn(&tab, pixel).await;
    if let Some(file) = env::var_os("FCLM_SCREENSHOT") {
        tab.screenshot(Path::new(&file)).await;
    }
    let costs = costs(&tab).await;
    assert_eq!(costs.len(), 2, "each answer says what it cost: {costs:?}");

    tab.reload().await;
    View::of(&tab).await;
    tab.see("[data-testid=region-item]").await;
    tab.see("[data-testid=found-item]").await;
    let again = assert_drawn(&tab, pixel).await;
    assert!(
        !differ(again, masked),
        "{pixel:?} was {masked:?} and is {again:?} after the page was loaded again"
    );
    let texts: Vec<String> = tab
        .evaluate(
            "[...document.querySelectorAll('[data-testid=answer-text]')].map(e => e.innerText.trim())",
        )
        .await;
    assert_eq!(texts, [description, found_text]);
    assert_eq!(self::costs(&tab).await, costs);
    let kept = chat(&served, &tab).await;
    assert_eq!(kept.regions, stored.regions);
    assert_eq!(kept.messages, stored.messages);

    tab.resize(1000, 640).await;
    assert_fits(&tab, scene).await;
    tab.resize(390, 844).await;
    assert_fits(&tab, scene).await;
    let width: f64 = tab.evaluate("document.documentElement.scrollWidth").await;
    assert!(
        width <= 390.0,
        "the page is {width} pixels wide on a screen of 390"
    );
    tab.click("[data-testid=tool-brush]").await;
    assert_fits(&tab, scene).await;
    tab.resize(844, 390).await;
    assert_fits(&tab, scene).await;
    assert_leaves_room(&tab, scene, object).await;

    assert_eq!(tab.complaints(), [] as [&str; 0], "the browser complained");
    tab.close().await;
}

/// What the answers say that they cost.
async fn costs(tab: &Tab) -> Vec<String> {
    tab.evaluate(
        "[...document.querySelectorAll('[data-testid=answer-cost]')].map(e => e.innerText.trim())",
    )
    .await
}

/// What a phone shows under the browser's bars has room for answers beside several regions.
async fn assert_leaves_room(tab: &Tab, scene: &Scene, object: &Object) {
    tab.resize(390, 664).await;
    assert_fits(tab, scene).await;
    for _ in 0..2 {
        draw_box(tab, object).await;
    }
    tab.wait_until(
        "there are not three regions",
        "document.querySelectorAll('[data-testid=region-item]').length === 3",
    )
    .await;
    let [.., answers] = tab.see("[data-testid=messages]").await;
    let [_, top, _, height] = tab.see(ASK_INPUT).await;
    assert!(answers >= 100.0, "answers have {answers} pixels");
    assert!(top + height <= 664.0, "the field ends at {}", top + height);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_as_upload_shows_what_is_wrong() {
    let served = Served::start().await;
    let tab = Tab::open(&served.url("/")).await;
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
        tab.see("[data-testid=error-message][data-code=unsupported_image]")
            .await;
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

#[tokio::test(flavor = "multi_thread")]
async fn what_is_marked_in_one_window_is_seen_in_another() {
    let scenes = samples::scenes();
    let object = scenes[0].clearest();
    let served = Served::start().await;
    let first = Tab::open(&served.url("/")).await;
    first.click(CARD).await;
    View::of(&first).await;
    let path: String = first.evaluate("location.pathname").await;
    // A browser with a profile of its own: what it shows can only come from the server.
    let second = Tab::open(&served.url(&path)).await;
    View::of(&second).await;

    draw_box(&first, object).await;
    let one = saved_chat(&served, &first, 1).await;
    come_back(&second, 1).await;

    // What is marked there is added to it and does not take its place.
    draw_box(&second, object).await;
    let both = saved_chat(&served, &second, 2).await;
    assert_eq!(both.regions[0], one.regions[0]);
    come_back(&first, 2).await;
    for tab in [first, second] {
        assert_eq!(tab.complaints(), [] as [&str; 0], "the browser complained");
        tab.close().await;
    }
}

/// Draws a short line on the picture with the tool in hand.
async fn draw_line(tab: &Tab) {
    let view = View::of(tab).await;
    let path: Vec<Point> = (0..=6u8)
        .map(|step| view.window(40.0 + 10.0 * f32::from(step), 60.0))
        .collect();
    tab.drag(&path).await;
}

async fn wait_for_hint(tab: &Tab, words: &str) {
    tab.wait_until(
        &format!("the hint does not say {words:?}"),
        &format!(
            "document.querySelector('[data-testid=stage-hint]').textContent.includes('{words}')"
        ),
    )
    .await;
}

async fn wait_for_regions(tab: &Tab, count: usize) {
    tab.wait_until(
        &format!("there are not {count} regions"),
        &format!("document.querySelectorAll('[data-testid=region-item]').length === {count}"),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stroke_goes_where_the_hint_says() {
    let scene = samples::scenes().remove(0);
    let served = Served::start().await;
    let tab = Tab::open(&served.url("/")).await;
    tab.click(CARD).await;
    draw_box(&tab, scene.clearest()).await;

    tab.click("[data-testid=tool-brush]").await;
    wait_for_hint(&tab, "add to @1").await;
    let note = "(document.querySelector('[data-testid=region-note]')?.innerText ?? '')";
    tab.wait_until(
        "the box's mask has no score",
        &format!("{note}.endsWith('%')"),
    )
    .await;
    draw_line(&tab).await;
    // What is partly painted has neither a score nor one tool that it is of.
    tab.wait_until(
        "the stroke is not added to the box's region",
        &format!("{note} === ''"),
    )
    .await;
    wait_for_regions(&tab, 1).await;

    tab.hold('n').await;
    tab.let_go('n').await;
    wait_for_hint(&tab, "a new region").await;
    draw_line(&tab).await;
    wait_for_regions(&tab, 2).await;
    wait_for_hint(&tab, "add to @2").await;
    assert_eq!(tab.complaints(), [] as [&str; 0], "the browser complained");
    tab.close().await;
}

async fn wait_for_save_state(tab: &Tab, state: &str) {
    tab.wait_until(
        &format!("the page does not say {state:?}"),
        &format!(
            "document.querySelector('[data-testid=save-state]').textContent.trim() === '{state}'"
        ),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_that_is_deleted_elsewhere_is_missing_and_forgotten() {
    let scene = samples::scenes().remove(0);
    let served = Served::start().await;
    let tab = Tab::open(&served.url("/")).await;
    tab.click(CARD).await;
    View::of(&tab).await;
    let id = chat(&served, &tab).await.id;
    let kept = format!("Object.keys(localStorage).filter(key => key.includes('{id}')).length");

    let _: bool = tab
        .evaluate(
            "(() => { window.connected = window.fetch;
             window.fetch = () => Promise.reject(new TypeError('no connection'));
             return true; })()",
        )
        .await;
    draw_box(&tab, scene.clearest()).await;
    wait_for_save_state(&tab, "Kept in this browser").await;
    let parts: usize = tab.evaluate(&kept).await;
    assert!(parts > 0, "nothing is kept while there is no connection");
    let _: bool = tab
        .evaluate("(window.fetch = window.connected, true)")
        .await;
    wait_for_save_state(&tab, "Saved").await;

    served.delete(&format!("/api/v1/chats/{id}")).await;
    tab.click("[data-testid=tool-brush]").await;
    draw_line(&tab).await;
    tab.wait_until(
        "the page does not say that the chat is gone",
        "[...document.querySelectorAll('[data-testid=error-message]')]
             .some(e => e.innerText.includes('This chat is not here'))",
    )
    .await;
    let parts: usize = tab.evaluate(&kept).await;
    assert_eq!(parts, 0, "something is kept of a chat that is gone");
    let is_hidden: bool = tab
        .evaluate("document.querySelector('[data-testid=save-state]').offsetParent === null")
        .await;
    assert!(is_hidden, "something is said to be saved or kept");
    for complaint in tab.complaints() {
        assert!(
            complaint.contains(&id),
            "the browser complained: {complaint}"
        );
    }
    tab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_picture_among_dropped_files_is_opened() {
    let served = Served::start().await;
    let tab = Tab::open(&served.url("/")).await;
    let bytes = Value::from(png(5));
    let is_taken: bool = tab
        .evaluate(&format!(
            "(() => {{ const dataTransfer = new DataTransfer();
             const add = (content, name, type) =>
                 dataTransfer.items.add(new File([content], name, {{type}}));
             add('words', 'notes.txt', 'text/plain');
             add(new Uint8Array({bytes}), 'mug.png', 'image/png');
             const drop = new DragEvent('drop', {{dataTransfer, bubbles: true, cancelable: true}});
             return !document.body.dispatchEvent(drop); }})()"
        ))
        .await;
    assert!(is_taken, "the page leaves dropped files to the browser");
    tab.wait_until(
        "nothing is said of the other file",
        "[...document.querySelectorAll('[data-testid=notice]')]
             .some(e => e.innerText.includes('mug.png is opened; the other file is left out.'))",
    )
    .await;
    View::of(&tab).await;
    assert_eq!(chat(&served, &tab).await.title, "mug.png");
    assert_eq!(tab.complaints(), [] as [&str; 0], "the browser complained");
    tab.close().await;
}
