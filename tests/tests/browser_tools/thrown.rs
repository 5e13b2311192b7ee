//! Polygons that are thrown away before they are closed, and come back.

use fclm_tests::easel::{Easel, assert_near};
use fclm_tests::view::View;

use super::CONTROL;
use super::corners::{CORNER, SQUARE, corner_after};

/// Holds the answers about masks back, which are the server's, as no worker starts.
const HOLD_MASKS: &str = "(fetch => {
    window.Worker = undefined;
    const held = new Promise(resolve => { window.letMasksCome = () => (resolve(), true); });
    window.fetch = async (request, ...rest) => {
        if (String(request.url ?? request).endsWith('/segment')) await held;
        return fetch(request, ...rest); };
    return true; })(window.fetch.bind(window))";

#[tokio::test(flavor = "multi_thread")]
async fn a_polygon_that_escape_threw_away_comes_back() {
    let easel = Easel::open().await;
    let tab = &easel.tab;
    let [a, ..] = easel.open_polygon(CORNER).await;
    tab.press("Escape", 27, 0).await;
    easel.wait_for_told("Polygon thrown away").await;
    // There are no corners that it could go to.
    tab.press(".", 190, 0).await;
    tab.settle().await;
    easel.wait_for_told("Polygon thrown away").await;
    tab.press("z", 90, CONTROL).await;
    easel
        .wait_for_told("Undone: the polygon has 3 corners")
        .await;
    tab.press("y", 89, CONTROL).await;
    easel
        .wait_for_told("Redone: the polygon has no corner")
        .await;
    tab.press("z", 90, CONTROL).await;
    easel
        .wait_for_told("Undone: the polygon has 3 corners")
        .await;
    let [x, y] = corner_after(&easel, (",", 188, 0), (3, 3)).await;
    assert_near([x, y], [260, 120]);
    // It goes on as if nothing had been. The first Escape leaves the corner alone.
    tab.press("Escape", 27, 0).await;
    tab.press("Escape", 27, 0).await;
    easel.menu("tool-undo").await;
    tab.drag(&[a]).await;
    easel.count(1).await;
    assert_near(easel.bounds(0).await, [200, 60, 260, 120]);
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mask_that_comes_late_leaves_a_polygon_that_was_thrown_away() {
    let easel = Easel::at_home().await;
    let tab = &easel.tab;
    let _: bool = tab.evaluate(HOLD_MASKS).await;
    tab.click("[data-testid=sample-card]").await;
    View::of(tab).await;
    easel.take("box").await;
    tab.drag(&easel.window([(60.0, 150.0), (140.0, 220.0)]).await)
        .await;
    easel.count(1).await;
    let spinner = "!!document.querySelector('[data-testid=region-item] .spinner')";
    tab.wait_until("no mask is awaited", spinner).await;
    easel.open_polygon(CORNER).await;
    tab.press("Escape", 27, 0).await;
    easel.wait_for_told("Polygon thrown away").await;
    let _: bool = tab.evaluate("window.letMasksCome()").await;
    tab.wait_until("the mask does not come", &format!("!{spinner}"))
        .await;
    tab.settle().await;
    tab.press("z", 90, CONTROL).await;
    easel
        .wait_for_told("Undone: the polygon has 3 corners")
        .await;
    easel.count(1).await;
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_step_forward_no_polygon_comes_back() {
    let easel = Easel::open().await;
    let tab = &easel.tab;
    easel.draw_polygon(SQUARE).await;
    easel.count(1).await;
    easel.menu("tool-undo").await;
    easel.count(0).await;
    easel
        .open_polygon([(60.0, 60.0), (140.0, 60.0), (140.0, 120.0)])
        .await;
    tab.press("Escape", 27, 0).await;
    easel.wait_for_told("Polygon thrown away").await;
    easel.menu("tool-redo").await;
    easel.count(1).await;
    easel.menu("tool-undo").await;
    easel.count(0).await;
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_polygon_that_another_tool_threw_away_comes_back() {
    let easel = Easel::open().await;
    let tab = &easel.tab;
    let [a, b, c] = easel.open_polygon(CORNER).await;
    easel.take("brush").await;
    easel.wait_for_told("Polygon thrown away").await;
    tab.press("z", 90, CONTROL).await;
    easel
        .wait_for_told("Undone: the polygon has 3 corners")
        .await;
    easel.wait_for_pressed("tool-polygon", true).await;
    tab.drag(&[a]).await;
    easel.count(1).await;
    assert_near(easel.bounds(0).await, [200, 60, 260, 120]);

    // Behind a stroke it stays away: that is what is taken back.
    easel.choose_none().await;
    let [from, to] = easel.window([(60.0, 200.0), (120.0, 200.0)]).await;
    for corner in [a, b, c].map(|(x, y)| (x - 60.0, y)) {
        tab.drag(&[corner]).await;
    }
    easel.take("brush").await;
    tab.drag(&[from, to]).await;
    easel.count(2).await;
    easel.menu("tool-undo").await;
    easel.count(1).await;
    easel.wait_for_pressed("tool-brush", true).await;
    easel.close().await;
}
