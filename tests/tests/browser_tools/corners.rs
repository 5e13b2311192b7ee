//! The corners of a polygon by keys, and the steps of one that is not closed yet.

use fclm_tests::easel::{Easel, assert_near};
use fclm_tests::view::View;

use super::{ALT, SHIFT};

const SQUARE: [(f32, f32); 4] = [(200.0, 60.0), (260.0, 60.0), (260.0, 120.0), (200.0, 120.0)];

/// Presses a key and gives the place of the corner of that number, of so many, that is told then.
async fn corner_after(
    easel: &Easel,
    (key, code, modifiers): (&str, i64, i64),
    (number, count): (usize, usize),
) -> [i64; 2] {
    easel.tab.press(key, code, modifiers).await;
    easel.tab.settle().await;
    let start = format!("Corner {number} of {count}, at ");
    let place = easel
        .tab
        .wait_until(
            &format!("nothing is told with {start:?}"),
            &format!(
                "document.querySelector('[data-testid=announcement]').textContent
                 .split('{start}')[1]"
            ),
        )
        .await;
    let place = place.as_str().expect("it is a text");
    let numbers: Result<Vec<i64>, _> = place.split(", ").map(|part| part.trim().parse()).collect();
    let numbers = numbers.unwrap_or_else(|error| panic!("{place}: {error}"));
    numbers.try_into().expect("a place is two numbers")
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_go_to_corners_and_move_add_and_remove_them() {
    let easel = Easel::open().await;
    let tab = &easel.tab;
    let corners = [(60.0, 60.0), (140.0, 60.0), (140.0, 120.0), (60.0, 120.0)];
    easel.draw_polygon(corners).await;
    easel.count(1).await;
    let mut areas = vec![easel.area(0).await];
    // From the list, where Alt and arrows resize the region.
    tab.click(".region.is-selected [data-testid=region-select]")
        .await;
    let first = corner_after(&easel, (".", 190, 0), (1, 4)).await;
    assert_near(first, [60, 60]);
    assert_near(corner_after(&easel, (",", 188, 0), (4, 4)).await, [60, 120]);
    let [x, y] = corner_after(&easel, (",", 188, 0), (3, 4)).await;
    assert_near([x, y], [140, 120]);
    // It is dark where the others are light.
    let view = View::of(tab).await;
    let color = |at: [i64; 2]| view.color_of((at[0] as u32, at[1] as u32));
    let picked: [u8; 4] = tab.evaluate(&color([x, y])).await;
    let other: [u8; 4] = tab.evaluate(&color(first)).await;
    assert!(
        picked[..3].iter().all(|&part| part < 60) && other[..3].iter().all(|&part| part > 240),
        "the corner is {picked:?}, another one {other:?}"
    );

    let right = corner_after(&easel, ("ArrowRight", 39, ALT), (3, 4)).await;
    assert_eq!(right, [x + 1, y]);
    let area = easel.other_area(0, areas[0]).await;
    areas.push(area);
    let down = corner_after(&easel, ("ArrowDown", 40, ALT | SHIFT), (3, 4)).await;
    assert_eq!(down, [x + 1, y + 10]);
    let area = easel.other_area(0, areas[1]).await;
    areas.push(area);
    let added = corner_after(&easel, ("Enter", 13, ALT), (4, 5)).await;
    assert_near(added, [(x + 1 + 60) / 2, (y + 10 + 120) / 2]);
    areas.push(easel.area(0).await);
    let [_, lower] = corner_after(&easel, ("ArrowDown", 40, ALT | SHIFT), (4, 5)).await;
    assert_eq!(lower, added[1] + 10);
    let area = easel.other_area(0, areas[3]).await;
    areas.push(area);
    assert_near(
        corner_after(&easel, ("Delete", 46, ALT), (4, 4)).await,
        [60, 120],
    );
    assert_eq!(easel.other_area(0, areas[4]).await, areas[2]);

    // Each is a step.
    for (step, &area) in areas.iter().enumerate().rev() {
        easel.menu("tool-undo").await;
        tab.settle().await;
        assert_eq!(easel.area(0).await, area, "{areas:?} at {step}");
    }
    easel.count(1).await;

    assert_near(corner_after(&easel, (".", 190, 0), (1, 4)).await, [60, 60]);
    corner_after(&easel, ("Backspace", 8, ALT), (1, 3)).await;
    let triangle = easel.other_area(0, areas[0]).await;
    tab.press("Backspace", 8, ALT).await;
    easel.wait_for_words("three corners").await;
    tab.click(".region.is-selected [data-testid=region-lock]")
        .await;
    // What is locked can be looked at, and is not changed.
    assert_near(
        corner_after(&easel, (".", 190, 0), (2, 3)).await,
        [140, 120],
    );
    tab.press("ArrowLeft", 37, ALT | SHIFT).await;
    easel.wait_for_words("locked").await;
    tab.settle().await;
    assert_eq!(easel.area(0).await, triangle, "a locked region has changed");
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn enter_ends_a_polygon_whose_corners_go_with_its_region() {
    let easel = Easel::open().await;
    let tab = &easel.tab;
    easel.take("polygon").await;
    for corner in easel
        .window([(60.0, 60.0), (140.0, 60.0), (60.0, 120.0)])
        .await
    {
        tab.drag(&[corner]).await;
    }
    tab.press_enter().await;
    easel.count(1).await;
    tab.click(".region.is-selected [data-testid=region-select]")
        .await;
    tab.press("ArrowRight", 39, SHIFT).await;
    let moved = corner_after(&easel, (".", 190, 0), (1, 3)).await;
    assert_near(moved, [70, 60]);
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_to_an_open_polygon_is_undone_step_by_step() {
    let easel = Easel::open().await;
    let tab = &easel.tab;
    let [a, b, c, d] = easel.window(SQUARE).await;
    let [out] = easel.window([(290.0, 40.0)]).await;
    easel.take("polygon").await;
    for corner in [a, b, c, d] {
        tab.drag(&[corner]).await;
    }
    // The last corner is removed, another one dragged, and then moved by keys.
    tab.press("Delete", 46, 0).await;
    easel.menu("tool-undo").await;
    tab.drag(&[b, out]).await;
    easel.menu("tool-undo").await;
    corner_after(&easel, (".", 190, 0), (1, 4)).await;
    // Behind the last one there is no line yet that a corner could be added to.
    corner_after(&easel, (",", 188, 0), (4, 4)).await;
    tab.press("Enter", 13, ALT).await;
    tab.wait_until(
        "it is not told that nothing is added",
        "document.querySelector('[data-testid=announcement]').textContent
             .includes('No line leads on from the last corner yet.')",
    )
    .await;
    corner_after(&easel, (".", 190, 0), (1, 4)).await;
    let [x, y] = corner_after(&easel, (".", 190, 0), (2, 4)).await;
    assert_near([x, y], [260, 60]);
    let up = corner_after(&easel, ("ArrowUp", 38, ALT | SHIFT), (2, 4)).await;
    assert_eq!(up, [x, y - 10]);
    easel.menu("tool-undo").await;
    tab.drag(&[a]).await;
    easel.count(1).await;
    assert_near(easel.bounds(0).await, [200, 60, 260, 120]);
    let area = easel.area(0).await;
    assert!((3300..3900).contains(&area), "{area} of 3600 pixels");

    // Back behind what was dragged, and forth again.
    easel.choose_none().await;
    for corner in [a, b, c, d] {
        tab.drag(&[corner]).await;
    }
    tab.drag(&[b, out]).await;
    for step in ["tool-undo", "tool-undo", "tool-redo", "tool-redo"] {
        easel.menu(step).await;
    }
    tab.drag(&[a]).await;
    easel.count(2).await;
    assert_near(easel.bounds(1).await, [200, 40, 290, 120]);
    // Of the polygon that is closed only the region is taken back.
    easel.menu("tool-undo").await;
    easel.count(1).await;
    easel.close().await;
}
