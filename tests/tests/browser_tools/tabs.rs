//! What the browser keeps of a chat, which all of its tabs read and write.

use fclm_tests::easel::{Easel, assert_near};

use super::corners::{corner_after, wait_for_corners};

/// Keeps what the server and the browser have of the chat, as another tab would leave it.
const REMEMBER: &str = "(() => { delete window.other;
    const path = '/api/v1/chats/' + location.pathname.split('/').at(-1);
    const key = Object.keys(localStorage).find(key => key.endsWith('.view'));
    fetch(path).then(answer => answer.json()).then(chat => {
        window.other = { path, key, view: localStorage[key],
            body: JSON.stringify({ regions: chat.regions }) }; });
    return true; })()";
/// Leaves that as another tab does.
const LEAVE: &str = "(() => { const { path, key, view, body } = window.other;
    const headers = { 'content-type': 'application/json' };
    fetch(path + '/regions', { method: 'PUT', headers, body }).then(answer => {
        localStorage[key] = view;
        window.other.isLeft = answer.ok; });
    return true; })()";
/// Comes back to the window and chooses no region, before the server can answer.
const COME_BACK: &str = "(() => { dispatchEvent(new Event('focus'));
    document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'n', bubbles: true }));
    return true; })()";

#[tokio::test(flavor = "multi_thread")]
async fn corners_that_another_tab_has_drawn_are_taken_over() {
    let easel = Easel::open().await;
    let tab = &easel.tab;
    easel
        .draw_polygon([(60.0, 60.0), (140.0, 60.0), (140.0, 120.0), (60.0, 120.0)])
        .await;
    easel.count(1).await;
    easel.choose_none().await;
    easel.take("brush").await;
    let line = easel.window([(200.0, 200.0), (260.0, 200.0)]).await;
    tab.drag(&line).await;
    easel.count(2).await;
    tab.click("[data-testid=region-select]").await;
    easel.take("polygon").await;
    let square = easel.area(0).await;
    let [from, to] = easel.window([(60.0, 60.0), (20.0, 20.0)]).await;
    tab.drag(&[from, to]).await;
    let pointed = easel.other_area(0, square).await;
    easel.saved().await;
    let _: bool = tab.evaluate(REMEMBER).await;
    tab.wait_until("the chat is not read", "window.other").await;
    easel.menu("tool-undo").await;
    assert_eq!(easel.other_area(0, pointed).await, square);
    easel.saved().await;

    let _: bool = tab.evaluate(LEAVE).await;
    tab.wait_until("the other tab saves nothing", "window.other.isLeft")
        .await;
    let _: bool = tab.evaluate(COME_BACK).await;
    assert_eq!(easel.other_area(0, square).await, pointed);
    // Of what the other tab has left alone no less is known than before.
    let note: String = tab
        .evaluate("document.querySelectorAll('[data-testid=region-note]')[1].textContent.trim()")
        .await;
    assert_eq!(note, "brush");
    tab.click("[data-testid=region-select]").await;
    wait_for_corners(&easel, true).await;
    assert_near(corner_after(&easel, (".", 190, 0), (1, 4)).await, [20, 20]);

    // Corners of a region that this tab has not seen yet are another one's.
    let kept: bool = tab
        .evaluate(
            "(() => { const { key } = window.other, view = JSON.parse(localStorage[key]);
             view.corners.elsewhere = { points: [[1, 1], [9, 1], [9, 9]] };
             localStorage[key] = JSON.stringify(view); return true; })()",
        )
        .await;
    assert!(kept);
    easel.choose_none().await;
    tab.wait_until(
        "that no region is chosen is not kept",
        "JSON.parse(localStorage[window.other.key]).selected === null",
    )
    .await;
    let corners: Vec<String> = tab
        .evaluate("Object.keys(JSON.parse(localStorage[window.other.key]).corners)")
        .await;
    let id = easel.figure(0, "regionId").await;
    assert_eq!(corners.len(), 2, "{corners:?}");
    assert!(corners.contains(&id) && corners.contains(&"elsewhere".to_owned()));
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strokes_and_names_leave_what_is_kept_of_the_view() {
    let easel = Easel::open().await;
    let tab = &easel.tab;
    easel.take("brush").await;
    let [a, b, c, d] = easel
        .window([(60.0, 60.0), (120.0, 60.0), (60.0, 100.0), (120.0, 100.0)])
        .await;
    tab.drag(&[a, b]).await;
    easel.count(1).await;
    easel.saved().await;
    let _: bool = tab
        .evaluate(
            "(() => { const keep = Storage.prototype.setItem;
             window.kept = [];
             Storage.prototype.setItem = function (key, value) {
                 if (key.startsWith('fclm.chat.')) window.kept.push(key.split('.').at(-1));
                 return keep.call(this, key, value); };
             return true; })()",
        )
        .await;
    let area = easel.area(0).await;
    tab.drag(&[c, d]).await;
    easel.other_area(0, area).await;
    let _: bool = tab
        .evaluate(
            "(() => { const name = document.querySelector('.region-name');
             name.value = 'mug';
             return name.dispatchEvent(new Event('change', {bubbles: true})); })()",
        )
        .await;
    tab.settle().await;
    let kept: Vec<String> = tab.evaluate("window.kept").await;
    assert_eq!(kept, ["regions", "regions"]);
    tab.click("[data-testid=region-hide]").await;
    tab.wait_until(
        "what is hidden is not kept",
        "window.kept.at(-1) === 'view'",
    )
    .await;
    easel.close().await;
}
