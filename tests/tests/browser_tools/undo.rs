//! Steps back and forth through what was done to regions.

use fclm_tests::easel::Easel;
use fclm_tests::view::View;

use super::filled::{color, differ};
use super::{ALT, CONTROL, SHIFT};

#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_done_to_regions_can_be_undone() {
    let easel = Easel::open().await;
    easel
        .draw_polygon([(40.0, 40.0), (90.0, 40.0), (90.0, 90.0)])
        .await;
    easel.count(1).await;
    easel.choose_none().await;
    easel.take("lasso").await;
    let around = [(150.0, 60.0), (210.0, 60.0), (210.0, 120.0), (150.0, 120.0)];
    easel.tab.drag(&easel.window(around).await).await;
    easel.count(2).await;
    let _: bool = easel
        .tab
        .evaluate(
            "(() => { const name = document.querySelector('.region.is-selected .region-name');
             name.focus(); name.select(); return true; })()",
        )
        .await;
    easel.tab.insert_text("the round one").await;
    easel.tab.press_enter().await;
    easel
        .tab
        .click(".region.is-selected [data-testid=region-select]")
        .await;
    let first = easel.figure(0, "regionId").await;
    easel.tab.press("PageUp", 33, 0).await;
    easel.other(0, "regionId", &first).await;
    easel.tab.settle().await;
    easel.tab.press("ArrowRight", 39, SHIFT).await;
    easel.tab.press("ArrowDown", 40, ALT).await;
    let _: bool = easel
        .tab
        .evaluate(
            "(() => { const color = document.querySelector('.region.is-selected .region-color');
             color.value = '#123456';
             return color.dispatchEvent(new Event('change', {bubbles: true})); })()",
        )
        .await;
    easel.tab.hold('}').await;
    easel.tab.let_go('}').await;
    easel.tab.hold('d').await;
    easel.tab.let_go('d').await;
    easel.count(3).await;
    assert!(easel.paste("M20 20h9v9h-9z").await);
    easel.count(4).await;
    for button in [
        ".region:first-child [data-testid=region-select]",
        ".region:first-child [data-testid=region-lock]",
        ".region:last-child [data-testid=region-select]",
        ".region:last-child [data-testid=region-hide]",
    ] {
        easel.tab.click(button).await;
    }

    let chosen = "document.querySelector('.region.is-selected').dataset.regionId";
    let pasted: String = easel.tab.evaluate(chosen).await;
    easel.tab.press("Delete", 46, 0).await;
    easel.count(3).await;
    assert_ne!(easel.tab.evaluate::<String>(chosen).await, pasted);
    easel.tab.click("[data-testid=tool-undo]").await;
    easel.count(4).await;
    assert_eq!(easel.tab.evaluate::<String>(chosen).await, pasted);
    easel.tab.click("[data-testid=tool-redo]").await;
    easel.count(3).await;

    let state =
        "JSON.stringify([...document.querySelectorAll('[data-testid=region-item]')].map(e =>
        [e.dataset.regionId, e.dataset.bounds, e.dataset.area,
         e.classList.contains('is-hidden'),
         e.querySelector('[data-testid=region-lock]').ariaPressed,
         e.querySelector('.region-name').value, e.querySelector('.region-color').value]))";
    let undo = "[data-testid=tool-undo]";
    let redo = "[data-testid=tool-redo]";
    let steps = |button: &'static str| {
        let tab = &easel.tab;
        async move {
            let mut states: Vec<String> = vec![tab.evaluate(state).await];
            while !tab
                .evaluate::<bool>(&format!("document.querySelector('{button}').disabled"))
                .await
            {
                tab.click(button).await;
                tab.settle().await;
                states.push(tab.evaluate(state).await);
            }
            states
        }
    };
    let mut back = steps(undo).await;
    // Both shapes, the name, the place, two moves, the colour, what it grew, the copy, what was
    // pasted, what was hidden and locked, and that the one that was pasted was deleted.
    assert_eq!(back.len(), 14, "{back:#?}");
    assert_eq!(back.last().map(String::as_str), Some("[]"));
    for (before, after) in back.iter().zip(&back[1..]) {
        assert_ne!(before, after, "a step changes nothing");
    }
    let forth = steps(redo).await;
    back.reverse();
    assert_eq!(back, forth);
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_undone_and_redone_is_told_to_screen_readers() {
    let easel = Easel::open().await;
    let square = [(60.0, 60.0), (120.0, 60.0), (120.0, 100.0), (60.0, 100.0)];
    easel.draw_polygon(square).await;
    easel.count(1).await;
    for _ in 0..2 {
        easel.tab.hold('}').await;
        easel.tab.let_go('}').await;
    }
    easel.menu("tool-undo").await;
    easel.wait_for_told("Undone: shape of Region 1").await;
    // What is told a second time is another text, or it would not be read out.
    let raw = "document.querySelector('[data-testid=announcement]').textContent";
    let once: String = easel.tab.evaluate(raw).await;
    easel.menu("tool-undo").await;
    easel
        .tab
        .wait_until(
            "the second step back is not told",
            &format!("{raw} !== {}", serde_json::Value::from(once)),
        )
        .await;
    easel.wait_for_told("Undone: shape of Region 1").await;
    easel.menu("tool-undo").await;
    easel.wait_for_told("Undone: Region 1 added").await;
    easel.count(0).await;
    easel.menu("tool-redo").await;
    easel.wait_for_told("Redone: Region 1 added").await;
    easel
        .tab
        .click(".region.is-selected [data-testid=region-lock]")
        .await;
    easel.menu("tool-undo").await;
    easel.wait_for_told("Undone: Region 1 locked").await;

    let tab = &easel.tab;
    tab.press("Delete", 46, 0).await;
    easel.wait_for_told("Region 1 deleted").await;
    easel.menu("tool-undo").await;
    easel.wait_for_told("Undone: Region 1 deleted").await;
    easel.menu("tool-undo").await;
    easel.wait_for_told("Undone: Region 1 added").await;
    tab.press("z", 90, CONTROL).await;
    easel.wait_for_told("Nothing to undo").await;
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_back_takes_back_what_is_being_drawn() {
    let easel = Easel::open().await;
    let tab = &easel.tab;
    easel
        .draw_polygon([(60.0, 60.0), (120.0, 60.0), (120.0, 100.0)])
        .await;
    easel.count(1).await;
    let [start, end] = easel.window([(200.0, 100.0), (260.0, 160.0)]).await;
    for tool in ["brush", "lasso", "box"] {
        easel.choose_none().await;
        easel.take(tool).await;
        tab.mouse_down(start).await;
        tab.mouse_to(end).await;
        tab.press("z", 90, CONTROL).await;
        tab.mouse_up(end).await;
        tab.settle().await;
        easel.count(1).await;
    }
    // Nothing was done behind the polygon.
    tab.press("z", 90, CONTROL).await;
    easel.wait_for_told("Undone: Region 1 added").await;
    easel.count(0).await;
    easel.close().await;
}

/// Whether the row of the first region says that it is hidden, once all is painted.
async fn is_hidden(easel: &Easel) -> bool {
    easel.tab.settle().await;
    easel
        .tab
        .evaluate(
            "document.querySelector('[data-testid=region-item]').classList.contains('is-hidden')",
        )
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_painted_on_is_shown_and_hidden_again_by_a_step_back() {
    let easel = Easel::open().await;
    let tab = &easel.tab;
    let corners = [(60.0, 60.0), (140.0, 60.0), (140.0, 120.0), (60.0, 120.0)];
    easel.draw_polygon(corners).await;
    easel.count(1).await;
    let area = easel.area(0).await;
    easel.take("brush").await;
    let hide = ".region.is-selected [data-testid=region-hide]";
    tab.click(hide).await;
    assert!(is_hidden(&easel).await);

    let [from, to] = easel.window([(200.0, 200.0), (260.0, 200.0)]).await;
    tab.drag(&[from, to]).await;
    let painted = easel.other_area(0, area).await;
    assert!(painted > area, "the brush made {area} pixels {painted}");
    easel.count(1).await;
    assert!(!is_hidden(&easel).await, "what is painted on is not shown");
    easel.menu("tool-undo").await;
    assert_eq!(easel.other_area(0, painted).await, area);
    assert!(is_hidden(&easel).await, "a step back does not hide again");
    easel.menu("tool-undo").await;
    assert!(!is_hidden(&easel).await, "hiding is not taken back");
    assert_eq!(easel.area(0).await, area);

    // A stroke that is broken off leaves it hidden, and is no step.
    tab.click(hide).await;
    assert!(is_hidden(&easel).await);
    let inside = View::of(tab).await.color_of((100, 90));
    let hidden = color(&easel, &inside).await;
    tab.glide(&[from]).await;
    tab.mouse_down(from).await;
    tab.mouse_to(to).await;
    let live = color(&easel, &inside).await;
    assert!(differ(live, hidden), "a stroke does not show its region");
    tab.press("Escape", 27, 0).await;
    tab.mouse_up(to).await;
    assert!(is_hidden(&easel).await, "what was broken off has shown it");
    let after = color(&easel, &inside).await;
    assert!(!differ(after, hidden), "{hidden:?} has become {after:?}");
    assert_eq!(easel.area(0).await, area);
    easel.menu("tool-undo").await;
    assert!(!is_hidden(&easel).await, "what was broken off is a step");
    easel.close().await;
}
