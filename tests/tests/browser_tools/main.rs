//! The mask tools in a real browser, by mouse, finger and pen: each makes or changes a region as
//! a person means it, and masks come back from their files pixel by pixel.

mod access;
mod avif;
mod clicking;
mod corners;
mod files;
mod filled;
mod phone;
mod pictures;
mod pointers;
mod speed;
mod tabs;
mod thrown;
mod tools;
mod undo;

use fclm_core::mask::Mask;
use fclm_core::wire::Chat;
use fclm_tests::browser::Point;
use fclm_tests::easel::{Easel, assert_near, saved_file};
use fclm_tests::view::View;

const ALT: i64 = 1;
const CONTROL: i64 = 2;
const SHIFT: i64 = 8;

#[tokio::test(flavor = "multi_thread")]
async fn a_polygon_is_drawn_and_its_corners_are_moved() {
    let easel = Easel::open().await;
    let corners = [(60.0, 60.0), (140.0, 60.0), (140.0, 120.0), (60.0, 120.0)];
    easel.draw_polygon(corners).await;
    easel.count(1).await;
    assert_near(easel.bounds(0).await, [60, 60, 140, 120]);

    let area = easel.area(0).await;
    let [from, to] = easel.window([(140.0, 120.0), (180.0, 160.0)]).await;
    easel.tab.drag(&[from, to]).await;
    easel.other_area(0, area).await;
    assert_near(easel.bounds(0).await, [60, 60, 180, 160]);

    let larger = easel.area(0).await;
    easel.menu("tool-undo").await;
    assert_eq!(easel.other_area(0, larger).await, area);
    easel.menu("tool-undo").await;
    easel.count(0).await;
    easel.menu("tool-redo").await;
    easel.count(1).await;
    assert_eq!(easel.area(0).await, area);
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lasso_adds_and_the_eraser_takes_away() {
    let easel = Easel::open().await;
    easel.take("lasso").await;
    let around = [
        (80.0, 80.0),
        (150.0, 80.0),
        (150.0, 150.0),
        (80.0, 150.0),
        (80.0, 90.0),
    ];
    easel.tab.drag(&easel.window(around).await).await;
    easel.count(1).await;
    assert_near(easel.bounds(0).await, [80, 80, 150, 150]);

    let area = easel.area(0).await;
    easel.take("eraser").await;
    let across = [(70.0, 115.0), (115.0, 115.0), (160.0, 115.0)];
    easel.tab.drag(&easel.window(across).await).await;
    let less = easel.other_area(0, area).await;
    assert!(less < area, "the eraser made {area} pixels {less}");
    easel.count(1).await;
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn corners_are_added_joined_taken_away_and_taken_back() {
    let easel = Easel::open().await;
    let corners = [(60.0, 60.0), (140.0, 60.0), (140.0, 120.0), (60.0, 120.0)];
    easel.draw_polygon(corners).await;
    easel.count(1).await;
    let square = easel.area(0).await;

    // An edge that is dragged gets a corner.
    let [edge, out] = easel.window([(140.0, 90.0), (180.0, 90.0)]).await;
    easel.tab.drag(&[edge, out]).await;
    let pointed = easel.other_area(0, square).await;
    assert_near(easel.bounds(0).await, [60, 60, 180, 120]);
    // With Alt it is taken away again.
    easel.tab.drag_with(&[out], ALT).await;
    assert_eq!(easel.other_area(0, pointed).await, square);
    // A corner that is dragged to the next one becomes one with it.
    let [from, onto] = easel.window([(140.0, 60.0), (140.0, 120.0)]).await;
    easel.tab.drag(&[from, onto]).await;
    let triangle = easel.other_area(0, square).await;
    assert!(triangle < square * 6 / 10, "{triangle} of {square} pixels");

    // Of a polygon that is not closed, undo takes corners back and redo brings them again.
    easel.choose_none().await;
    let [a, b, c] = easel
        .window([(200.0, 60.0), (260.0, 60.0), (260.0, 120.0)])
        .await;
    for corner in [a, b, c] {
        easel.tab.drag(&[corner]).await;
    }
    easel.menu("tool-undo").await;
    easel.menu("tool-undo").await;
    easel.menu("tool-redo").await;
    easel.menu("tool-redo").await;
    easel.tab.drag(&[a]).await;
    easel.count(2).await;
    assert_near(easel.bounds(1).await, [200, 60, 260, 120]);
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_is_grown_filled_inverted_copied_locked_and_carried() {
    let easel = Easel::open().await;
    let corners = [(60.0, 60.0), (120.0, 60.0), (120.0, 100.0), (60.0, 100.0)];
    easel.draw_polygon(corners).await;
    easel.count(1).await;
    let area = easel.area(0).await;
    easel.edit().await;
    easel.menu("region-grow").await;
    let grown = easel.other_area(0, area).await;
    assert!(grown > area);
    easel.menu("region-shrink").await;
    assert_eq!(easel.other_area(0, grown).await, area);
    easel.menu("region-invert").await;
    let (width, height) = easel.size().await;
    let rest = i64::from(width) * i64::from(height) - area;
    assert_eq!(easel.other_area(0, area).await, rest);
    // What was cut out of the whole picture is a hole.
    easel.edit().await;
    easel.menu("region-fill").await;
    assert_eq!(easel.other_area(0, rest).await, rest + area);
    easel.menu("tool-undo").await;
    assert_eq!(easel.other_area(0, rest + area).await, rest);
    easel.menu("tool-undo").await;
    assert_eq!(easel.other_area(0, rest).await, area);
    easel.edit().await;
    easel.menu("region-duplicate").await;
    easel.count(2).await;
    assert_eq!(easel.area(1).await, area);
    let original = easel.figure(0, "regionId").await;
    easel.edit().await;
    easel.menu("region-up").await;
    easel.other(0, "regionId", &original).await;

    easel.take("select").await;
    let bounds = easel.bounds(1).await;
    let before = easel.figure(1, "bounds").await;
    let [at, to] = easel.window([(90.0, 80.0), (120.0, 130.0)]).await;
    // The first press chooses the uppermost region, the second one carries it.
    easel.tab.drag(&[at]).await;
    easel.tab.drag(&[at, to]).await;
    easel.other(1, "bounds", &before).await;
    let by = [30, 50, 30, 50];
    let moved = std::array::from_fn(|edge| bounds[edge] + by[edge]);
    assert_near(easel.bounds(1).await, moved);

    let row = "[data-testid=region-item].is-selected";
    let locked = easel.area(1).await;
    easel
        .tab
        .click(&format!("{row} [data-testid=region-lock]"))
        .await;
    easel
        .tab
        .click(&format!("{row} [data-testid=region-delete]"))
        .await;
    easel.wait_for_words("locked").await;
    easel.take("eraser").await;
    let across = easel.window([(100.0, 130.0), (160.0, 130.0)]).await;
    easel.tab.drag(&across).await;
    easel.tab.hold('}').await;
    easel.tab.let_go('}').await;
    easel.tab.settle().await;
    easel.count(2).await;
    assert_eq!(easel.area(1).await, locked, "a locked region has changed");
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn brackets_change_the_size_of_the_brush() {
    let easel = Easel::open().await;
    easel.take("brush").await;
    let mut areas = Vec::new();
    for (index, keys) in ["", "]]]", "[[[[[["].into_iter().enumerate() {
        easel.choose_none().await;
        for key in keys.chars() {
            easel.tab.hold(key).await;
            easel.tab.let_go(key).await;
        }
        let at = 60.0 + 60.0 * index as f32;
        let path = easel.window([(60.0, at), (120.0, at)]).await;
        easel.tab.drag(&path).await;
        easel.count(index + 1).await;
        areas.push(easel.area(index).await);
    }
    assert!(
        areas[1] > areas[0] * 3 / 2 && areas[2] < areas[0] * 3 / 4,
        "{areas:?} with the size as it was, larger and smaller"
    );
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn arrow_keys_move_and_resize_a_region_and_say_so() {
    let easel = Easel::open().await;
    let corners = [(60.0, 60.0), (120.0, 60.0), (120.0, 100.0), (60.0, 100.0)];
    easel.draw_polygon(corners).await;
    easel.count(1).await;
    let before = easel.bounds(0).await;
    easel.tab.click("[data-testid=region-select]").await;
    easel.tab.press("ArrowRight", 39, 0).await;
    easel.tab.press("ArrowDown", 40, 0).await;
    easel.tab.press("ArrowRight", 39, ALT).await;
    let [x0, y0, x1, y1] = before;
    easel
        .wait_for_bounds(0, [x0 + 1, y0 + 1, x1 + 2, y1 + 1])
        .await;
    let spoken: String = easel
        .tab
        .evaluate("document.querySelector('[data-testid=announcement]').textContent.trim()")
        .await;
    let (width, height) = (x1 - x0 + 1, y1 - y0);
    assert_eq!(
        spoken,
        format!(
            "Region 1 resized: {width} by {height} pixels at {}, {}",
            x0 + 1,
            y0 + 1
        )
    );
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pen_draws_as_wide_as_it_is_pressed_and_a_palm_does_not_draw() {
    let easel = Easel::open().await;
    easel.take("brush").await;
    let mut areas = Vec::new();
    for (index, force) in [0.2, 0.8].into_iter().enumerate() {
        easel.choose_none().await;
        let path = easel
            .window([(60.0, 80.0), (100.0, 80.0), (140.0, 80.0)])
            .await;
        easel.tab.pen(&path.map(|point| (point, force))).await;
        easel.count(index + 1).await;
        areas.push(easel.area(index).await);
    }
    assert!(
        areas[1] > 2 * areas[0],
        "{areas:?} by light and hard pressure"
    );

    easel.choose_none().await;
    let palm = easel.window([(150.0, 150.0), (170.0, 150.0)]).await;
    let [pen_from, pen_to] = easel.window([(60.0, 200.0), (90.0, 200.0)]).await;
    easel.tab.pen(&[(pen_from, 0.5), (pen_to, 0.5)]).await;
    easel.tab.touch(&[&[palm[0]], &[palm[1]]]).await;
    easel.count(3).await;
    easel.tab.settle().await;
    let [_, top, ..] = easel.bounds(2).await;
    assert!(top > 165, "the palm has drawn: the region begins at {top}");
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_finger_draws_under_a_loupe_and_two_zoom() {
    let easel = Easel::open().await;
    easel.take("brush").await;
    let path = easel
        .window([(160.0, 160.0), (190.0, 160.0), (220.0, 160.0)])
        .await;
    let corner = {
        let view = View::of(&easel.tab).await;
        let (x, y) = (68.0 + 30.0, 68.0);
        format!(
            "(() => {{ const c = document.querySelector('[data-testid=canvas]');
             const r = c.width / {};
             return [...c.getContext('2d').getImageData({x} * r, {y} * r, 1, 1).data]; }})()",
            view.canvas[2]
        )
    };
    let before: [u8; 4] = easel.tab.evaluate(&corner).await;
    easel
        .tab
        .touch_down(&[&[path[0]], &[path[1]], &[path[2]]])
        .await;
    easel.tab.settle().await;
    let under_loupe: [u8; 4] = easel.tab.evaluate(&corner).await;
    assert_ne!(before, under_loupe, "there is no loupe");
    easel.tab.touch_up().await;
    easel.count(1).await;

    let view = View::of(&easel.tab).await;
    let (x, y) = view.window(170.0, 170.0);
    let spread = |by: f64| [(x - by, y), (x + by, y)];
    easel
        .tab
        .touch(&[&spread(30.0), &spread(45.0), &spread(60.0)])
        .await;
    let zoomed = View::of(&easel.tab).await;
    let factor = zoomed.scale / view.scale;
    assert!(
        (1.7..2.3).contains(&factor),
        "two fingers zoomed by {factor}"
    );
    easel.count(1).await;
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wheel_zooms_about_the_pointer_and_zero_fits_again() {
    let easel = Easel::open().await;
    let fitted = View::of(&easel.tab).await;
    let at = fitted.window(100.0, 120.0);
    easel.tab.wheel(at, -400.0).await;
    easel
        .tab
        .wait_until(
            "the wheel does not zoom",
            &format!(
                "Number(document.querySelector('[data-testid=canvas]').dataset.scale) > {}",
                fitted.scale * 1.2
            ),
        )
        .await;
    let zoomed = View::of(&easel.tab).await;
    let (x, y) = zoomed.window(100.0, 120.0);
    assert!(
        (x - at.0).abs() < 3.0 && (y - at.1).abs() < 3.0,
        "{at:?} went to {x}, {y}"
    );
    easel.menu("zoom-fit").await;
    let again = View::of(&easel.tab).await;
    assert!((again.scale - fitted.scale).abs() < 1e-6);
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_is_asked_of_every_region() {
    let easel = Easel::open().await;
    let folder = tempfile::tempdir().expect("a folder");
    easel.tab.save_files_to(folder.path()).await;
    for left in [40.0, 160.0] {
        let right = left + 60.0;
        easel
            .draw_polygon([(left, 90.0), (right, 90.0), (right, 150.0), (left, 150.0)])
            .await;
    }
    easel.count(2).await;
    easel
        .tab
        .type_into("[data-testid=ask-input]", "What colour is it?")
        .await;
    easel.menu("ask-each").await;
    easel
        .tab
        .wait_until(
            "there is no table of two answers",
            "(() => { const cells = [...document.querySelectorAll(
                 '[data-testid=answer-table] tbody tr td:last-child')];
             return cells.length === 2 && cells.every(cell => cell.innerText.trim())
                 && !document.querySelector('[data-testid=answer][data-open]'); })()",
        )
        .await;
    // What is asked later stands behind the table.
    easel
        .tab
        .type_into("[data-testid=ask-input]", "What is @1?")
        .await;
    easel.tab.press_enter().await;
    easel
        .tab
        .wait_until(
            "the table is behind an answer that came later",
            "(() => { const table = document.querySelector('[data-testid=answer-table]');
             const last = [...document.querySelectorAll('[data-testid=answer]')].at(-1);
             return document.querySelectorAll('[data-testid=answer]').length === 3
                 && !document.querySelector('[data-testid=answer][data-open]') && !!(
                 table.compareDocumentPosition(last) & Node.DOCUMENT_POSITION_FOLLOWING); })()",
        )
        .await;
    easel.tab.settle().await;
    easel.menu("table-csv").await;
    let csv = saved_file(folder.path(), "-answers.csv").await;
    let text = String::from_utf8(csv).expect("it is a text");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert_eq!(lines[0], "\"Region\",\"Name\",\"What colour is it?\"");
    assert!(lines[1].starts_with("\"1\",\"Region 1\",\""), "{text}");
    assert!(lines[2].starts_with("\"2\",\"Region 2\",\""), "{text}");
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn phrases_of_a_caption_and_their_masks_show_each_other() {
    let easel = Easel::open().await;
    easel.menu("mode-caption").await;
    easel.menu("send-button").await;
    easel
        .tab
        .wait_until(
            "there is no caption with a phrase",
            "(() => { const answer = document.querySelector('[data-testid=answer]');
             return answer && !answer.dataset.open
                 && answer.querySelector('[data-testid=phrase]'); })() ? 1 : 0",
        )
        .await;
    let _: bool = easel
        .tab
        .evaluate("(document.querySelector('[data-testid=phrase]').focus(), true)")
        .await;
    easel
        .tab
        .wait_until(
            "the mask of a focused phrase is not lit",
            "document.querySelector('[data-testid=found-item]').classList.contains('is-lit')",
        )
        .await;
    let _: bool = easel
        .tab
        .evaluate("(document.querySelector('.found-main').focus(), true)")
        .await;
    easel
        .tab
        .wait_until(
            "the phrase of a focused mask is not lit",
            "document.querySelector('[data-testid=phrase]').classList.contains('is-lit')",
        )
        .await;
    // By pointer: over the phrase, and over the mask on the picture.
    let _: bool = easel
        .tab
        .evaluate("(document.activeElement.blur(), true)")
        .await;
    let over: Point = easel
        .tab
        .evaluate(
            "(() => { const phrase = document.querySelector('[data-testid=phrase]');
             phrase.scrollIntoView({block: 'center', behavior: 'instant'});
             const r = phrase.getClientRects()[0];
             return [r.left + r.width / 2, r.top + r.height / 2]; })()",
        )
        .await;
    easel.tab.glide(&[over]).await;
    is_lit(&easel, "[data-testid=found-item]").await;
    let off = easel.window([(-4.0, -4.0)]).await;
    easel.tab.glide(&off).await;
    easel
        .tab
        .wait_until(
            "something stays lit",
            "document.querySelector('.is-lit') === null",
        )
        .await;
    let path: String = easel.tab.evaluate("location.pathname").await;
    let id = path
        .strip_prefix("/c/")
        .expect("the address names the chat");
    let chat: Chat = easel.served.get(&format!("/api/v1/chats/{id}")).await;
    let answer = chat.messages.last().expect("there is an answer");
    // The uppermost mask is the one that a pointer meets.
    let last = answer.found.last().expect("the caption has masks");
    let mask = Mask::from_wire(&last.mask, 100_000_000).expect("it is a mask");
    let (width, height) = easel.size().await;
    let (x, y) = (2..height)
        .flat_map(|y| (2..width).map(move |x| (x, y)))
        .find(|&(x, y)| (x - 2..=x).all(|x| (y - 2..=y).all(|y| mask.get(x, y))))
        .expect("the mask has three pixels by three");
    let on = easel.window([(x as f32 - 0.5, y as f32 - 0.5)]).await;
    easel.tab.glide(&on).await;
    let index = answer.found.len();
    let item = format!("[data-testid=found-item]:nth-child({index})");
    is_lit(&easel, &item).await;
    let lit: usize = easel
        .tab
        .evaluate("document.querySelectorAll('[data-testid=phrase].is-lit').length")
        .await;
    assert_eq!(lit, 1, "phrases are lit by a pointer on the last mask");
    // By key: a phrase is pinned, and its mask goes with the second press.
    let _: bool = easel
        .tab
        .evaluate("(document.querySelector('[data-testid=phrase]').focus(), true)")
        .await;
    for pressed in [true, false] {
        easel.tab.press_enter().await;
        easel.wait_for_pressed("phrase", pressed).await;
    }
    easel.menu("found-adopt").await;
    easel.count(1).await;
    easel.close().await;
}

async fn is_lit(easel: &Easel, selector: &str) {
    easel
        .tab
        .wait_until(
            &format!("{selector} is not lit"),
            &format!("document.querySelector('{selector}').classList.contains('is-lit')"),
        )
        .await;
}
