//! The page in a real browser: marking, asking, finding, coming back, wrong uploads, and a chat
//! that is deleted elsewhere.

mod answers;
mod chats;
mod layout;
mod marks;
mod masks;

use std::env;
use std::path::Path;

use fclm_core::wire::SampleInfo;
use fclm_tests::api::png;
use fclm_tests::browser::Tab;
use fclm_tests::samples::{self, Object, Reference, Scene, SceneId};
use fclm_tests::served::Served;
use fclm_tests::view::View;
use serde_json::Value;

use self::answers::{
    answer, assert_describes, assert_keeps_the_picture, assert_names_material, assert_streamed,
    assert_tells_score, note_lengths,
};
use self::chats::{chat, come_back, saved_chat, wait_for_save_state};
use self::layout::{assert_fits, assert_leaves_room};
use self::marks::{drag_in_the_margin, draw_box, draw_line, wait_for_hint, wait_for_regions};
use self::masks::{assert_drawn, assert_marks, differ, found, mask, pixel_of};

const CARD: &str = "[data-testid=sample-card]";
const CANVAS: &str = "[data-testid=canvas]";
const ASK_INPUT: &str = "[data-testid=ask-input]";
const UPLOAD: &str = "[data-testid=upload-input]";
const MATERIAL_QUESTION: &str = "What is it made of?";

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
    note_lengths(&tab).await;
    tab.press_enter().await;
    let description = answer(&tab, 1).await;
    assert!(!description.is_empty(), "the description is empty");
    assert_streamed(&tab, &chat(&served, &tab).await, &description).await;
    assert_describes(&description, object, &scenes);
    assert_marks(&chat(&served, &tab).await, object);

    tab.type_into(ASK_INPUT, MATERIAL_QUESTION).await;
    tab.press_enter().await;
    let material = answer(&tab, 2).await;
    assert_names_material(&material, object, &scenes);
    assert_keeps_the_picture(&chat(&served, &tab).await, MATERIAL_QUESTION);

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
    let found_text = answer(&tab, 3).await;
    tab.see("[data-testid=found-item]").await;
    assert_tells_score(&tab).await;
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
    let costs = answers::costs(&tab).await;
    assert_eq!(costs.len(), 3, "each answer says what it cost: {costs:?}");

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
    assert_eq!(texts, [description, material, found_text]);
    assert_eq!(answers::costs(&tab).await, costs);
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

/// What the manual's first search asks for, in the scene that has one.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_finds_the_small_red_cylinder() {
    let scenes = samples::scenes();
    let is_wanted = |object: &Object| {
        let Object {
            size, color, shape, ..
        } = object;
        (size.as_str(), color.as_str(), shape.as_str()) == ("small", "red", "cylinder")
    };
    let (scene, wanted) = scenes
        .iter()
        .find_map(|scene| {
            Some((
                scene,
                scene.objects.iter().find(|&object| is_wanted(object))?,
            ))
        })
        .expect("a sample has a small red cylinder");
    let SceneId::Number(id) = scene.id else {
        panic!("samples have numbers");
    };
    let served = Served::start().await;
    let tab = Tab::open(&served.url("/")).await;
    tab.click(&format!("{CARD}[data-sample-id='{id}']")).await;
    View::of(&tab).await;
    tab.click("[data-testid=mode-find]").await;
    tab.type_into(ASK_INPUT, "the small red cylinder").await;
    tab.press_enter().await;
    answer(&tab, 1).await;
    tab.see("[data-testid=found-item]").await;
    assert_tells_score(&tab).await;
    let stored = chat(&served, &tab).await;
    let iou = found(&stored).iou(&mask(&wanted.mask));
    assert!(iou >= 0.5, "IoU {iou:.2}");
    assert_eq!(tab.complaints(), [] as [&str; 0], "the browser complained");
    tab.close().await;
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
