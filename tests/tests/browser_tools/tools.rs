//! Every tool by finger and by pen, and what the list says of what they make.

use fclm_tests::browser::Point;
use fclm_tests::easel::{Easel, assert_near};
use fclm_tests::samples;
use fclm_tests::view::View;

use super::filled::{color, differ};
use super::speed::wait_for_motion;

const TOOLS: [&str; 7] = [
    "select", "click", "box", "brush", "eraser", "polygon", "lasso",
];
/// A region of 80 by 60 pixels, for the tools that need one.
const REGION: &str = "M100 100h80v60h-80z";
const CORNERS: [(f32, f32); 5] = [
    (100.0, 100.0),
    (180.0, 100.0),
    (180.0, 160.0),
    (100.0, 160.0),
    (100.0, 102.0),
];

#[derive(Debug, Clone, Copy)]
enum Hand {
    Finger,
    Pen,
}

impl Hand {
    /// Goes down at the first point of the picture, through the others, and up at the last.
    async fn drag(self, easel: &Easel, path: &[(f32, f32)]) {
        let view = View::of(&easel.tab).await;
        let path: Vec<Point> = path.iter().map(|&(x, y)| view.window(x, y)).collect();
        match self {
            Self::Finger => {
                let steps: Vec<&[Point]> = path.chunks(1).collect();
                easel.tab.touch(&steps).await;
            }
            Self::Pen => {
                let path: Vec<(Point, f64)> = path.iter().map(|&point| (point, 0.5)).collect();
                easel.tab.pen(&path).await;
            }
        }
    }
}

/// Waits until the one region has the model's mask.
async fn masked(easel: &Easel) {
    easel.count(1).await;
    easel
        .tab
        .wait_until(
            "the model makes no mask",
            "document.querySelector('[data-testid=region-note]')?.textContent.trim().endsWith('%')",
        )
        .await;
}

/// Does with a tool what it is for, and leaves one region, which is chosen.
async fn work(easel: &Easel, tool: &str, hand: Hand) {
    if matches!(tool, "select" | "eraser") {
        assert!(easel.paste(REGION).await);
        easel.count(1).await;
    }
    easel.take(tool).await;
    easel.tab.settle().await;
    match tool {
        "select" => {
            easel.choose_none().await;
            hand.drag(easel, &[(140.0, 130.0)]).await;
            easel
                .tab
                .wait_until(
                    "a tap chooses no region",
                    "document.querySelector('.region.is-selected') !== null",
                )
                .await;
            let before = easel.figure(0, "bounds").await;
            hand.drag(easel, &[(140.0, 130.0), (170.0, 150.0), (200.0, 170.0)])
                .await;
            easel.other(0, "bounds", &before).await;
            assert_near(easel.bounds(0).await, [160, 140, 240, 200]);
        }
        "click" => {
            let at = samples::scenes()[0].middle();
            hand.drag(easel, &[at]).await;
            masked(easel).await;
            let [x0, y0, x1, y1] = easel.bounds(0).await;
            let (x, y) = (at.0 as i64, at.1 as i64);
            assert!(
                (x0..x1).contains(&x) && (y0..y1).contains(&y),
                "{x0} {y0} {x1} {y1} is not what was clicked at {x}, {y}"
            );
        }
        "box" => {
            hand.drag(easel, &[(60.0, 150.0), (100.0, 180.0), (140.0, 220.0)])
                .await;
            masked(easel).await;
            // The box itself stands behind the model's mask of it.
            easel.menu("region-rectangle").await;
            easel.tab.settle().await;
            assert_near(easel.bounds(0).await, [60, 150, 140, 220]);
        }
        "brush" => {
            hand.drag(easel, &[(100.0, 100.0), (150.0, 100.0), (200.0, 100.0)])
                .await;
            easel.count(1).await;
            let [x0, y0, x1, y1] = easel.bounds(0).await;
            assert!(
                x0 <= 100 && x1 >= 200 && y0 < 100 && y1 > 100 && y1 - y0 < 60,
                "{x0} {y0} {x1} {y1} is no stroke from 100 to 200"
            );
        }
        "eraser" => {
            let area = easel.area(0).await;
            hand.drag(easel, &[(90.0, 130.0), (140.0, 130.0), (190.0, 130.0)])
                .await;
            let less = easel.other_area(0, area).await;
            assert!(0 < less && less < area, "{area} pixels became {less}");
        }
        "polygon" => {
            for corner in CORNERS {
                hand.drag(easel, &[corner]).await;
            }
            easel.count(1).await;
            assert_near(easel.bounds(0).await, [100, 100, 180, 160]);
            let before = easel.figure(0, "bounds").await;
            hand.drag(easel, &[(180.0, 160.0), (200.0, 180.0), (220.0, 200.0)])
                .await;
            easel.other(0, "bounds", &before).await;
            assert_near(easel.bounds(0).await, [100, 100, 220, 200]);
        }
        "lasso" => {
            hand.drag(easel, &CORNERS).await;
            easel.count(1).await;
            assert_near(easel.bounds(0).await, [100, 100, 180, 160]);
        }
        other => panic!("there is no tool {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tool_works_by_finger_and_by_pen() {
    let easel = Easel::open().await;
    // Fingers come first: beside a pen they would be a palm.
    for hand in [Hand::Finger, Hand::Pen] {
        for tool in TOOLS {
            eprintln!("{tool} by {hand:?}");
            work(&easel, tool, hand).await;
            easel.count(1).await;
            easel.tab.press("Delete", 46, 0).await;
            easel.count(0).await;
        }
    }
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_says_what_a_mask_was_drawn_with() {
    let easel = Easel::open().await;
    let note = |index: usize| {
        format!(
            "[...document.querySelectorAll('[data-testid=region-note]')][{index}]
                 ?.textContent.trim()"
        )
    };
    let corners = [(60.0, 60.0), (140.0, 60.0), (140.0, 120.0), (60.0, 120.0)];
    easel.draw_polygon(corners).await;
    easel.count(1).await;
    easel.choose_none().await;
    easel.take("lasso").await;
    let around = [(200.0, 60.0), (260.0, 60.0), (260.0, 120.0), (200.0, 120.0)];
    easel.tab.drag(&easel.window(around).await).await;
    easel.count(2).await;
    easel.choose_none().await;
    easel.take("brush").await;
    let across = [(60.0, 200.0), (120.0, 200.0)];
    easel.tab.drag(&easel.window(across).await).await;
    easel.count(3).await;
    assert!(easel.paste("M300 300h60v40h-60z").await);
    easel.count(4).await;
    for (index, made) in ["polygon", "lasso", "brush", "imported"]
        .into_iter()
        .enumerate()
    {
        easel
            .tab
            .wait_until(
                &format!("region {index} does not say {made}"),
                &format!("{} === '{made}'", note(index)),
            )
            .await;
    }
    // A polygon that is moved is one still, and one that is painted on is none.
    easel
        .tab
        .click("[data-testid=region-item]:nth-child(1) [data-testid=region-select]")
        .await;
    let before = easel.figure(0, "bounds").await;
    easel.tab.press("ArrowRight", 39, 0).await;
    easel.other(0, "bounds", &before).await;
    let moved: String = easel.tab.evaluate(&note(0)).await;
    assert_eq!(moved, "polygon");
    let area = easel.area(0).await;
    let across = [(100.0, 90.0), (180.0, 90.0)];
    easel.tab.drag(&easel.window(across).await).await;
    easel.other_area(0, area).await;
    let painted: String = easel.tab.evaluate(&note(0)).await;
    assert_eq!(painted, "");

    // A stroke is the brush's, although another tool is taken before it ends.
    easel.choose_none().await;
    easel.take("brush").await;
    let [from, to] = easel.window([(60.0, 260.0), (120.0, 260.0)]).await;
    easel.tab.glide(&[from]).await;
    easel.tab.mouse_down(from).await;
    easel.tab.mouse_to(to).await;
    easel.tab.press("l", 76, 0).await;
    easel.wait_for_pressed("tool-lasso", true).await;
    easel.tab.mouse_up(to).await;
    easel.count(5).await;
    let brushed: String = easel.tab.evaluate(&note(4)).await;
    assert_eq!(brushed, "brush");
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tag_of_a_region_that_is_carried_pushes_no_other_one_about() {
    let easel = Easel::open().await;
    for (count, path) in (1..).zip(["M40 50h60v40h-60z", "M240 200h60v50h-60z"]) {
        assert!(easel.paste(path).await);
        easel.count(count).await;
    }
    easel.take("select").await;
    // On the strip at the left of each tag, which is in its region's colour.
    let view = View::of(&easel.tab).await;
    let (own, other) = (view.color_of((40, 41)), view.color_of((240, 191)));
    let [from, to] = easel.window([(70.0, 70.0), (275.0, 222.0)]).await;
    easel.tab.drag(&[from]).await;
    let (own_before, other_before) = (color(&easel, &own).await, color(&easel, &other).await);
    // The first tag goes to where it covers most of the second one, but not that one's strip.
    easel.tab.mouse_down(from).await;
    easel.tab.mouse_to(to).await;
    let (own_now, other_now) = (color(&easel, &own).await, color(&easel, &other).await);
    easel.tab.mouse_up(to).await;
    assert!(differ(own_now, own_before), "the tag is not carried");
    assert!(
        !differ(other_now, other_before),
        "the other tag has left its place: {other_before:?} became {other_now:?}"
    );
    easel.other(0, "bounds", "40 50 100 90").await;
    assert_near(easel.bounds(0).await, [245, 202, 305, 242]);
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_tag_lies_under_the_hint() {
    let easel = Easel::open().await;
    let tab = &easel.tab;
    assert!(easel.paste("M100 440h60v40h-60z").await);
    easel.count(1).await;
    easel.take("brush").await;
    // The picture is moved until the tag, above the region's upper left corner, would lie there.
    let [left, top, width, height] = tab.see("[data-testid=stage-hint]").await;
    let hint = (left + width / 2.0, top + height / 2.0);
    let [(x, y)] = easel.window([(100.0, 440.0)]).await;
    let tag = (x + 12.0, y - 14.0);
    let between = ((tag.0 + hint.0) / 2.0, (tag.1 + hint.1) / 2.0);
    tab.hold_space().await;
    tab.drag(&[tag, between, hint]).await;
    tab.let_space_go().await;
    wait_for_motion(tab, false).await;

    let [_, foot, ..] = tab.see(".stage-foot").await;
    let view = View::of(tab).await;
    let above = (foot - 12.0 - view.canvas[1] - view.offset.1) / view.scale;
    let (under, above) = (
        view.color_of((102, 430)),
        view.color_of((102, above as u32)),
    );
    let shown = (color(&easel, &under).await, color(&easel, &above).await);
    tab.hold('h').await;
    let bare = (color(&easel, &under).await, color(&easel, &above).await);
    tab.let_go('h').await;
    assert!(!differ(shown.0, bare.0), "the tag lies under the hint");
    assert!(differ(shown.1, bare.1), "the tag is not above the foot");
    easel.close().await;
}
