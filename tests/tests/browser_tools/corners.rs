//! The corners of a polygon by keys, and the steps of one that is not closed yet.

use fclm_tests::easel::{Easel, assert_near};
use fclm_tests::view::View;

use super::{ALT, SHIFT};

pub(super) const SQUARE: [(f32, f32); 4] =
    [(200.0, 60.0), (260.0, 60.0), (260.0, 120.0), (200.0, 120.0)];
/// The first three corners of that.
pub(super) const CORNER: [(f32, f32); 3] = [SQUARE[0], SQUARE[1], SQUARE[2]];

/// Presses a key and gives the place of the corner of that number, of so many, that is told then.
pub(super) async fn corner_after(
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
    easel
        .open_polygon([(60.0, 60.0), (140.0, 60.0), (60.0, 120.0)])
        .await;
    tab.press_enter().await;
    easel.count(1).await;
    tab.click(".region.is-selected [data-testid=region-select]")
        .await;
    tab.press("ArrowRight", 39, SHIFT).await;
    let moved = corner_after(&easel, (".", 190, 0), (1, 3)).await;
    assert_near(moved, [70, 60]);
    // Its right edge and the corner there go by ten pixels, the others stay.
    let [left, top, right, bottom] = easel.bounds(0).await;
    let before = easel.figure(0, "bounds").await;
    tab.click(".region.is-selected [data-testid=region-select]")
        .await;
    tab.press("ArrowRight", 39, ALT | SHIFT).await;
    easel.other(0, "bounds", &before).await;
    assert_near(easel.bounds(0).await, [left, top, right + 10, bottom]);
    assert_near(corner_after(&easel, (".", 190, 0), (2, 3)).await, [160, 60]);
    assert_near(corner_after(&easel, (".", 190, 0), (3, 3)).await, [70, 120]);
    easel.close().await;
}

/// Waits until corners of the chosen region are shown, or until there are none, as the hint says.
pub(super) async fn wait_for_corners(easel: &Easel, wanted: bool) {
    easel
        .tab
        .wait_until(
            &format!("corners are not as they should be, shown: {wanted}"),
            &format!(
                "document.querySelector('[data-testid=stage-hint]').textContent
                     .includes('Drag a corner of @1.') === {wanted}"
            ),
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn corners_stay_over_a_reload_until_the_mask_is_something_else() {
    let easel = Easel::open().await;
    let tab = &easel.tab;
    let corners = [(60.0, 60.0), (140.0, 60.0), (140.0, 120.0), (60.0, 120.0)];
    easel.draw_polygon(corners).await;
    easel.count(1).await;
    wait_for_corners(&easel, true).await;
    let area = easel.area(0).await;
    easel.edit().await;
    easel.menu("region-grow").await;
    let grown = easel.other_area(0, area).await;
    wait_for_corners(&easel, false).await;
    tab.press(".", 190, 0).await;
    tab.settle().await;
    let told: String = tab
        .evaluate("document.querySelector('[data-testid=announcement]').textContent")
        .await;
    assert!(told.contains("grown"), "it is told: {told}");
    easel.menu("tool-undo").await;
    assert_eq!(easel.other_area(0, grown).await, area);
    wait_for_corners(&easel, true).await;

    easel.saved().await;
    tab.reload().await;
    easel.count(1).await;
    View::of(tab).await;
    easel.take("polygon").await;
    wait_for_corners(&easel, true).await;
    assert_near(corner_after(&easel, (".", 190, 0), (1, 4)).await, [60, 60]);
    let [from, to] = easel.window([(60.0, 60.0), (20.0, 20.0)]).await;
    tab.drag(&[from, to]).await;
    easel.other_area(0, area).await;
    assert_near(easel.bounds(0).await, [20, 20, 140, 120]);

    // A mask that was changed otherwise has none, before a reload and after it.
    let pointed = easel.area(0).await;
    tab.hold('}').await;
    tab.let_go('}').await;
    easel.other_area(0, pointed).await;
    wait_for_corners(&easel, false).await;
    easel.saved().await;
    tab.reload().await;
    easel.count(1).await;
    View::of(tab).await;
    easel.take("polygon").await;
    wait_for_corners(&easel, false).await;
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_held_key_does_is_one_step() {
    let easel = Easel::open().await;
    let tab = &easel.tab;
    let [a, ..] = easel.open_polygon(CORNER).await;
    // A corner of a polygon that is open.
    let [x, y] = corner_after(&easel, (",", 188, 0), (3, 3)).await;
    tab.press_for("ArrowDown", 40, ALT, 6).await;
    easel.menu("tool-undo").await;
    corner_after(&easel, (",", 188, 0), (2, 3)).await;
    assert_eq!(
        corner_after(&easel, (".", 190, 0), (3, 3)).await,
        [x, y],
        "a held key is several steps"
    );
    tab.drag(&[a]).await;
    easel.count(1).await;
    // A corner of a region, and from the list the region, which is moved and resized.
    let row = ".region.is-selected [data-testid=region-select]";
    let held = [
        (false, "ArrowDown", 40, ALT),
        (true, "ArrowRight", 39, 0),
        (true, "ArrowDown", 40, ALT | SHIFT),
    ];
    let mut states = vec![easel.figure(0, "bounds").await];
    for (is_listed, key, code, modifiers) in held {
        if is_listed {
            tab.click(row).await;
        } else {
            corner_after(&easel, (",", 188, 0), (3, 3)).await;
        }
        tab.press_for(key, code, modifiers, 6).await;
        tab.settle().await;
        states.push(easel.figure(0, "bounds").await);
    }
    for (before, after) in states.iter().zip(&states[1..]) {
        assert_ne!(before, after, "{states:?}");
    }
    for bounds in states.iter().rev().skip(1) {
        easel.menu("tool-undo").await;
        tab.settle().await;
        assert_eq!(easel.figure(0, "bounds").await, *bounds, "{states:?}");
    }
    easel.menu("tool-undo").await;
    easel.count(0).await;

    // Its place in the list.
    for (path, count) in [
        ("M40 50h30v20h-30z", 1),
        ("M90 50h30v20h-30z", 2),
        ("M140 50h9v9h-9z", 3),
    ] {
        assert!(easel.paste(path).await);
        easel.count(count).await;
    }
    // Growing by its button, and copies, of which a held key makes one alone.
    let area = easel.area(2).await;
    easel.edit().await;
    let _: bool = tab
        .evaluate("(document.querySelector('[data-testid=region-grow]').focus(), true)")
        .await;
    tab.press_enter_for(3).await;
    tab.settle().await;
    let grown = easel.area(2).await;
    // Nine by nine pixels and four more on each side, but for the corners.
    assert_eq!([area, grown], [81, 249]);
    tab.press_enter_for(0).await;
    tab.settle().await;
    assert!(easel.area(2).await > grown);
    for before in [grown, area] {
        easel.menu("tool-undo").await;
        tab.settle().await;
        assert_eq!(easel.area(2).await, before);
    }
    tab.press_for("d", 68, 0, 3).await;
    tab.settle().await;
    easel.count(4).await;
    easel.menu("tool-undo").await;
    easel.count(3).await;

    tab.click("[data-testid=region-item]:nth-child(3) [data-testid=region-select]")
        .await;
    let last = easel.figure(2, "regionId").await;
    tab.press_for("PageUp", 33, 0, 1).await;
    tab.settle().await;
    assert_eq!(easel.figure(0, "regionId").await, last);
    easel.menu("tool-undo").await;
    tab.settle().await;
    assert_eq!(easel.figure(2, "regionId").await, last);
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_to_an_open_polygon_is_undone_step_by_step() {
    let easel = Easel::open().await;
    let tab = &easel.tab;
    let [a, b, c, d] = easel.open_polygon(SQUARE).await;
    let [out] = easel.window([(290.0, 40.0)]).await;
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
