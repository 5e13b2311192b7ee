//! The same tools by finger and pen, and how the picture is moved.

use fclm_tests::easel::{Easel, assert_near};
use fclm_tests::view::View;

/// So long after a pen was near, a touch is a finger again.
const PALM: std::time::Duration = std::time::Duration::from_millis(1000);

#[tokio::test(flavor = "multi_thread")]
async fn a_pens_other_end_erases_whatever_tool_is_in_hand() {
    let easel = Easel::open().await;
    let corners = [(60.0, 60.0), (160.0, 60.0), (160.0, 140.0), (60.0, 140.0)];
    easel.draw_polygon(corners).await;
    easel.count(1).await;
    let area = easel.area(0).await;
    easel.take("box").await;
    let across = [(40.0, 100.0), (100.0, 100.0), (180.0, 100.0)];
    easel.tab.erase_with_pen(&easel.window(across).await).await;
    let less = easel.other_area(0, area).await;
    assert!(less < area, "the pen's eraser made {area} pixels {less}");
    easel.count(1).await;
    easel.menu("tool-undo").await;
    assert_eq!(easel.other_area(0, less).await, area);
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn space_moves_the_picture_after_a_button_was_pressed_by_hand() {
    let easel = Easel::open().await;
    // The button keeps the focus.
    easel.take("brush").await;
    let before = View::of(&easel.tab).await;
    let path = easel
        .window([(200.0, 200.0), (230.0, 215.0), (260.0, 230.0)])
        .await;
    easel.tab.glide(&path[..1]).await;
    easel.tab.hold_space().await;
    easel.tab.drag(&path).await;
    easel.tab.let_space_go().await;
    easel.tab.settle().await;
    let went = View::of(&easel.tab).await.moved_from(&before);
    let wanted = (path[2].0 - path[0].0, path[2].1 - path[0].1);
    assert!(
        (went.0 - wanted.0).abs() < 1.0 && (went.1 - wanted.1).abs() < 1.0,
        "the picture went by {went:?}, the hand by {wanted:?}"
    );
    easel.count(0).await;
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stroke_beside_an_open_menu_closes_it_and_is_drawn() {
    let easel = Easel::open().await;
    easel.take("brush").await;
    let mut drawn = Vec::new();
    for (index, is_open) in [false, true].into_iter().enumerate() {
        easel.choose_none().await;
        if is_open {
            easel.files().await;
        }
        let top = 120.0 + 60.0 * index as f32;
        let path = easel.window([(60.0, top), (120.0, top)]).await;
        easel.tab.drag(&path).await;
        easel.count(index + 1).await;
        assert!(!is_menu_open(&easel).await, "the menu stays open");
        let [left, _, right, _] = easel.bounds(index).await;
        drawn.push([left, right]);
    }
    // It begins where the press was.
    assert_near(drawn[1], drawn[0]);
    easel.close().await;
}

async fn is_menu_open(easel: &Easel) -> bool {
    easel
        .tab
        .evaluate("document.querySelector('details.menu[open]') !== null")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_menu_closes_behind_what_is_done_once() {
    let easel = Easel::open().await;
    let folder = tempfile::tempdir().expect("a folder");
    easel.tab.save_files_to(folder.path()).await;
    assert!(easel.paste("M100 100h60v50h-60z").await);
    easel.count(1).await;
    let area = easel.area(0).await;
    easel.edit().await;
    easel.menu("region-grow").await;
    let grown = easel.other_area(0, area).await;
    assert!(is_menu_open(&easel).await, "growing once is seldom enough");
    easel.menu("region-grow").await;
    easel.other_area(0, grown).await;
    easel.menu("region-duplicate").await;
    easel.count(2).await;
    assert!(!is_menu_open(&easel).await, "the menu of regions stays");
    easel.files().await;
    easel.menu("export-json").await;
    easel.tab.settle().await;
    assert!(!is_menu_open(&easel).await, "the menu of files stays");

    // By key the focus does not get lost with what had it.
    easel.edit().await;
    let _: bool = easel
        .tab
        .evaluate("(document.querySelector('[data-testid=region-invert]').focus(), true)")
        .await;
    easel.tab.press_enter().await;
    easel
        .tab
        .wait_until(
            "the focus is not at what opens the menu",
            "document.activeElement.matches('[data-testid=region-more]:not([open]) > summary')",
        )
        .await;
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_palm_that_comes_before_the_pen_leaves_nothing() {
    let easel = Easel::open().await;
    easel.take("brush").await;
    let palm = easel.window([(300.0, 300.0), (320.0, 300.0)]).await;
    easel.tab.touch_down(&[&[palm[0]], &[palm[1]]]).await;
    let path = easel.window([(60.0, 60.0), (120.0, 60.0)]).await;
    easel.tab.pen(&path.map(|point| (point, 0.5))).await;
    easel.tab.touch_up().await;
    easel.count(1).await;
    easel.tab.settle().await;
    easel.count(1).await;
    let [_, _, right, bottom] = easel.bounds(0).await;
    assert!(right < 200 && bottom < 200, "the palm has drawn, too");
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finger_draws_a_box_and_a_polygon_and_a_pen_a_lasso() {
    let easel = Easel::open().await;
    easel.take("box").await;
    let [from, between, to] = easel
        .window([(60.0, 150.0), (100.0, 180.0), (140.0, 220.0)])
        .await;
    easel.tab.touch(&[&[from], &[between], &[to]]).await;
    easel.count(1).await;
    // A tap is a click.
    let [tapped] = easel.window([(400.0, 400.0)]).await;
    easel.tab.touch(&[&[tapped]]).await;
    easel.count(2).await;

    easel.choose_none().await;
    easel.take("polygon").await;
    let corners = [(200.0, 60.0), (260.0, 60.0), (260.0, 120.0)];
    let corners = easel.window(corners).await;
    for corner in corners {
        easel.tab.touch(&[&[corner]]).await;
    }
    easel.tab.touch(&[&[corners[0]]]).await;
    easel.count(3).await;
    assert_near(easel.bounds(2).await, [200, 60, 260, 120]);

    easel.choose_none().await;
    easel.take("lasso").await;
    let around = [(30.0, 260.0), (100.0, 260.0), (100.0, 330.0), (30.0, 330.0)];
    let around = easel.window(around).await;
    easel.tab.pen(&around.map(|point| (point, 0.5))).await;
    easel.count(4).await;
    assert_near(easel.bounds(3).await, [30, 260, 100, 330]);
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_picture_is_moved_by_space_two_fingers_and_beside_regions() {
    let easel = Easel::open().await;
    let fitted = View::of(&easel.tab).await;
    let (x, y) = fitted.window(150.0, 150.0);
    let moved = |from: &View, to: &View| {
        let by = to.moved_from(from);
        (by.0.round() as i32, by.1.round() as i32)
    };

    easel.tab.hold_space().await;
    easel
        .tab
        .drag(&[(x, y), (x - 20.0, y + 10.0), (x - 40.0, y + 20.0)])
        .await;
    easel.tab.let_space_go().await;
    let after = View::of(&easel.tab).await;
    assert_eq!(moved(&fitted, &after), (-40, 20), "by space");

    let fingers = |by: f64| [(x - 40.0 + by, y + by), (x + 40.0 + by, y + by)];
    easel
        .tab
        .touch(&[&fingers(0.0), &fingers(15.0), &fingers(30.0)])
        .await;
    let again = View::of(&easel.tab).await;
    assert_eq!(moved(&after, &again), (30, 30), "by two fingers");
    assert!((again.scale - fitted.scale).abs() < 1e-6);

    easel.take("select").await;
    easel.tab.drag(&[(x, y), (x + 25.0, y)]).await;
    let last = View::of(&easel.tab).await;
    assert_eq!(moved(&again, &last), (25, 0), "beside regions");
    easel.count(0).await;

    // What is painted is where the canvas says it is, after moves as after a fit.
    let seen = last.color_of((256, 256));
    easel.tab.settle().await;
    let scrolled: [u8; 4] = easel.tab.evaluate(&seen).await;
    easel.menu("zoom-fit").await;
    let seen = View::of(&easel.tab).await.color_of((256, 256));
    easel.tab.settle().await;
    let painted: [u8; 4] = easel.tab.evaluate(&seen).await;
    let is_same = scrolled
        .iter()
        .zip(painted)
        .all(|(a, b)| a.abs_diff(b) <= 4);
    assert!(
        is_same,
        "{scrolled:?} after moves and {painted:?} when fitted"
    );
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finger_paints_again_once_the_pen_is_away() {
    let easel = Easel::open().await;
    easel.take("brush").await;
    let path = easel.window([(60.0, 60.0), (120.0, 60.0)]).await;
    easel.tab.pen(&path.map(|point| (point, 0.5))).await;
    easel.count(1).await;
    easel.choose_none().await;
    tokio::time::sleep(PALM).await;
    let [from, to] = easel.window([(60.0, 200.0), (120.0, 200.0)]).await;
    easel.tab.touch(&[&[from], &[to]]).await;
    easel.count(2).await;
    let [_, top, _, bottom] = easel.bounds(1).await;
    assert!(top > 150 && bottom < 250, "{top} to {bottom}");
    easel.close().await;
}
