//! The click tool: what adds to a region and what takes away from it, that each click and each
//! other mask is a step of its own, and how seldom the mask under the pointer is asked for.

use std::time::Duration;

use fclm_core::wire::PointLabel::{self, Negative, Positive};
use fclm_core::wire::{Point, SegmentRequest};
use fclm_tests::browser;
use fclm_tests::easel::{Easel, assert_near};
use fclm_tests::view::View;
use fclm_tests::worker;
use serde_json::Value;

const CARD: &str = "[data-testid=sample-card]";
const ITEM: &str = "[data-testid=region-item]";
/// Switches the chosen region between its box and the model's mask.
const SWITCH: &str = ".region.is-selected [data-testid=region-rectangle]";
/// The middle of an object of the first sample scene, the middle of another one, and its edge.
const OBJECT: (f32, f32) = (404.0, 299.0);
const OTHER: (f32, f32) = (407.0, 128.0);
const EDGE: (f32, f32) = (407.0, 100.0);
/// Pointers are told in whole CSS pixels; so far may a click be off, in pixels of the picture.
const SLACK: f32 = 2.0;
/// A finger that rests for so long presses long.
const REST: Duration = Duration::from_millis(800);
/// From here on no worker starts, so that the server is asked for each click and for nothing else.
/// Keeps what it is asked for, and whether the browser was kept from opening a menu.
const ASK_SERVER: &str = "(() => {
    const fetch = window.fetch;
    window.Worker = undefined; window.asked = []; window.kept = [];
    window.fetch = (request, ...rest) => {
        if (request.url?.endsWith('/segment'))
            request.clone().json().then(body => { window.asked.push(body); });
        return fetch(request, ...rest); };
    addEventListener('contextmenu', event =>
        setTimeout(() => { window.kept.push(event.defaultPrevented); }));
    return true; })()";
/// Keeps what the worker is asked for, and counts what it answers. From here on frames come only
/// by `pass`.
const HOLD_FRAMES: &str = "(() => {
    const send = Worker.prototype.postMessage, heard = new WeakSet();
    window.asked = []; window.answers = 0;
    Worker.prototype.postMessage = function (message, ...rest) {
        const { request, prompt } = JSON.parse(message);
        if (request === 'segment') window.asked.push({ points: prompt.points });
        if (!heard.has(this)) {
            heard.add(this);
            this.addEventListener('message', ({ data }) => {
                if (JSON.parse(data).reply === 'segmented') window.answers += 1; });
        }
        return send.call(this, message, ...rest); };
    let waiting = [];
    window.requestAnimationFrame = task => waiting.push(task);
    window.pass = () => {
        const tasks = waiting;
        waiting = [];
        for (const task of tasks) task(performance.now());
        return true; };
    return true; })()";
/// What the list tells of all regions.
const STATE: &str = "JSON.stringify([...document.querySelectorAll('[data-testid=region-item]')]
    .map(e => [e.dataset.regionId, e.dataset.bounds, e.dataset.area,
        e.querySelector('[data-testid=region-note]')?.textContent]))";

/// A click on the picture, and what it says of its place.
type Click = ((f32, f32), PointLabel);

/// A page on which the server makes the masks, with the click tool in hand.
async fn without_worker() -> Easel {
    let easel = Easel::at_home().await;
    let _: bool = easel.tab.evaluate(ASK_SERVER).await;
    easel.tab.click(CARD).await;
    View::of(&easel.tab).await;
    easel.take("click").await;
    easel
}

/// What has been asked for so far.
async fn asked(easel: &Easel) -> Vec<SegmentRequest> {
    easel.tab.evaluate("window.asked").await
}

/// Waits until so many masks were asked for and the last one is there.
async fn answered(easel: &Easel, count: usize) {
    easel
        .tab
        .wait_until(
            &format!("there is no answer to request {count}"),
            &format!(
                "window.asked.length === {count} && document.querySelector('{ITEM}')
                 && !document.querySelector('{ITEM} .spinner')"
            ),
        )
        .await;
}

/// Waits until all clicks are answered: the last request is about all of them, and they have made
/// one region.
async fn expect(easel: &Easel, clicks: &[Click]) {
    answered(easel, clicks.len()).await;
    let requests = asked(easel).await;
    let last = requests.last().expect("something was asked for");
    assert_eq!(last.box_px, None);
    assert_clicks(&last.points, clicks);
    easel.count(1).await;
}

#[track_caller]
fn assert_clicks(points: &[Point], clicks: &[Click]) {
    let is_same = |(point, &((x, y), label)): (&Point, &Click)| {
        let off = (point.x - x).abs().max((point.y - y).abs());
        off <= SLACK && point.label == label
    };
    let are_same = points.len() == clicks.len() && points.iter().zip(clicks).all(is_same);
    assert!(
        are_same,
        "the points are {points:?}, the clicks were {clicks:?}"
    );
}

async fn state(easel: &Easel) -> String {
    easel.tab.evaluate(STATE).await
}

/// Waits until the list tells something else, and gives that.
async fn other_state(easel: &Easel, before: &str) -> String {
    let before = Value::from(before);
    easel
        .tab
        .wait_until(
            &format!("the regions stay {before}"),
            &format!("{STATE} !== {before}"),
        )
        .await;
    state(easel).await
}

/// Steps back or forward, each time to the next one of these states.
async fn step(easel: &Easel, button: &str, states: &[&str]) {
    for &wanted in states {
        easel.menu(button).await;
        let wanted = Value::from(wanted);
        easel
            .tab
            .wait_until(
                &format!("{button} does not lead to {wanted}"),
                &format!("{STATE} === {wanted}"),
            )
            .await;
    }
}

async fn undo(easel: &Easel, states: &[&str]) {
    step(easel, "tool-undo", states).await;
}

async fn redo(easel: &Easel, states: &[&str]) {
    step(easel, "tool-redo", states).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_click_and_each_other_mask_is_a_step_of_its_own() {
    let easel = without_worker().await;
    let [object, other, edge] = easel.window([OBJECT, OTHER, EDGE]).await;
    easel.tab.drag(&[object]).await;
    let mut clicks = vec![(OBJECT, Positive)];
    expect(&easel, &clicks).await;
    let best = state(&easel).await;
    easel.tab.press("Tab", 9, 0).await;
    let second = other_state(&easel, &best).await;
    undo(&easel, &[&best]).await;
    redo(&easel, &[&second]).await;
    undo(&easel, &[&best]).await;

    easel.tab.drag(&[other]).await;
    clicks.push((OTHER, Positive));
    expect(&easel, &clicks).await;
    let more = state(&easel).await;
    assert_ne!(more, best, "the second click changes nothing");
    easel.tab.right_click(edge).await;
    clicks.push((EDGE, Negative));
    expect(&easel, &clicks).await;
    let refined = state(&easel).await;
    assert_ne!(refined, more, "the right button changes nothing");
    easel
        .tab
        .wait_until(
            "the right button opens a menu",
            "window.kept.length === 1 && window.kept[0]",
        )
        .await;
    undo(&easel, &[&more, &best, "[]"]).await;
    redo(&easel, &[&best, &more, &refined]).await;

    // A box's own mask belongs to the step that made the box; each switch is a step.
    easel.take("box").await;
    let [from, to] = easel.window([(105.0, 60.0), (255.0, 208.0)]).await;
    easel.tab.drag(&[from, to]).await;
    answered(&easel, 4).await;
    easel.count(2).await;
    let masked = state(&easel).await;
    easel.tab.click(SWITCH).await;
    let plain = other_state(&easel, &masked).await;
    let [left, top, right, bottom] = easel.bounds(1).await;
    assert_near([left, top, right, bottom], [105, 60, 255, 208]);
    assert_eq!(easel.area(1).await, (right - left) * (bottom - top));
    easel.tab.click(SWITCH).await;
    assert_eq!(other_state(&easel, &plain).await, masked);
    undo(&easel, &[&plain, &masked, &refined]).await;
    redo(&easel, &[&masked, &plain, &masked]).await;
    let is_last: bool = easel
        .tab
        .evaluate("document.querySelector('[data-testid=tool-redo]').disabled")
        .await;
    assert!(is_last, "there are more steps than were made");
    assert_eq!(asked(&easel).await.len(), 4, "a known mask was asked for");
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_toggle_its_key_and_a_long_press_take_away() {
    let easel = without_worker().await;
    let places = [
        OBJECT,
        (404.0, 230.0),
        (404.0, 370.0),
        (360.0, 300.0),
        (450.0, 300.0),
    ];
    let [object, above, below, left, right] = easel.window(places).await;
    easel.tab.drag(&[object]).await;
    let mut clicks = vec![(places[0], Positive)];
    expect(&easel, &clicks).await;

    easel.menu("tool-minus").await;
    easel.wait_for_pressed("tool-minus", true).await;
    easel.tab.drag(&[above]).await;
    clicks.push((places[1], Negative));
    expect(&easel, &clicks).await;
    easel.menu("tool-minus").await;
    easel.wait_for_pressed("tool-minus", false).await;
    easel.tab.drag(&[below]).await;
    clicks.push((places[2], Positive));
    expect(&easel, &clicks).await;

    for (at, place, label) in [(left, places[3], Negative), (right, places[4], Positive)] {
        easel.tab.hold('x').await;
        easel.tab.let_go('x').await;
        easel
            .wait_for_pressed("tool-minus", label == Negative)
            .await;
        easel.tab.drag(&[at]).await;
        clicks.push((place, label));
        expect(&easel, &clicks).await;
    }

    easel.tab.touch_down(&[&[above]]).await;
    tokio::time::sleep(REST).await;
    easel.tab.touch_up().await;
    clicks.push((places[1], Negative));
    expect(&easel, &clicks).await;
    easel.close().await;
}

/// Moves a pointer through places within one task, as quickly as no hand does.
async fn rush(easel: &Easel, path: &[browser::Point]) {
    let path = serde_json::to_string(path).expect("numbers become JSON");
    let is_done: bool = easel
        .tab
        .evaluate(&format!(
            "(() => {{ const canvas = document.querySelector('[data-testid=canvas]');
             for (const [clientX, clientY] of {path})
                 canvas.dispatchEvent(new PointerEvent('pointermove', {{pointerId: 1,
                     pointerType: 'mouse', isPrimary: true, clientX, clientY, bubbles: true}}));
             return true; }})()"
        ))
        .await;
    assert!(is_done);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mask_under_the_pointer_is_asked_for_once_a_frame() {
    let easel = Easel::open().await;
    worker::wait_for_place(&easel.tab, "cpu").await;
    easel.take("click").await;
    let row = |y: f32| std::array::from_fn::<_, 20, _>(|step| (300.0 + 5.0 * step as f32, y));
    let (upper, lower) = (row(150.0), row(299.0));
    let (first, second) = (easel.window(upper).await, easel.window(lower).await);
    let _: bool = easel.tab.evaluate(HOLD_FRAMES).await;

    rush(&easel, &first).await;
    easel
        .tab
        .wait_until("the mask is not made", "window.answers >= 1")
        .await;
    // The worker is free again, but the frame is the same.
    for place in second {
        rush(&easel, &[place]).await;
    }
    let requests = asked(&easel).await;
    assert_eq!(requests.len(), 1, "more than one in a frame: {requests:?}");
    assert_clicks(&requests[0].points, &[(upper[19], Positive)]);

    let _: bool = easel.tab.evaluate("window.pass()").await;
    easel
        .tab
        .wait_until("the next mask is not made", "window.answers >= 2")
        .await;
    let _: bool = easel.tab.evaluate("window.pass()").await;
    easel
        .tab
        .wait_until(
            "the pointer shows no mask",
            "document.querySelector('[data-testid=canvas]').dataset.preview === 'true'",
        )
        .await;
    let requests = asked(&easel).await;
    assert_eq!(requests.len(), 2, "places of before are asked for");
    assert_clicks(&requests[1].points, &[(lower[19], Positive)]);
    easel.close().await;
}
