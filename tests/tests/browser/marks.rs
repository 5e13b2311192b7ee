//! What a person marks, by mouse, and what the page says of it.

use fclm_tests::browser::{Point, Tab};
use fclm_tests::samples::Object;
use fclm_tests::view::View;

/// Draws a box around an object by mouse, as a person would: in several steps.
pub(super) async fn draw_box(tab: &Tab, object: &Object) {
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
pub(super) async fn drag_in_the_margin(tab: &Tab) {
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

/// Draws a short line on the picture with the tool in hand.
pub(super) async fn draw_line(tab: &Tab) {
    let view = View::of(tab).await;
    let path: Vec<Point> = (0..=6u8)
        .map(|step| view.window(40.0 + 10.0 * f32::from(step), 60.0))
        .collect();
    tab.drag(&path).await;
}

pub(super) async fn wait_for_hint(tab: &Tab, words: &str) {
    tab.wait_until(
        &format!("the hint does not say {words:?}"),
        &format!(
            "document.querySelector('[data-testid=stage-hint]').textContent.includes('{words}')"
        ),
    )
    .await;
}

pub(super) async fn wait_for_regions(tab: &Tab, count: usize) {
    tab.wait_until(
        &format!("there are not {count} regions"),
        &format!("document.querySelectorAll('[data-testid=region-item]').length === {count}"),
    )
    .await;
}
