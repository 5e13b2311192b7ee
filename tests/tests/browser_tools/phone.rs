//! What a phone shows: where its picture, menus, hints and names have room.

use fclm_tests::browser::Tab;
use fclm_tests::easel::Easel;
use fclm_tests::view::View;

/// A phone under its browser's bars.
const PHONE: (u32, u32) = (390, 664);
/// Sixty characters.
const LONG_NAME: &str = "the tall striped cone on the left behind the small blue cube";
const HINT: &str = "document.querySelector('[data-testid=stage-hint]')";

/// Waits until the hint has these words, and is seen or not.
async fn wait_for_hint(tab: &Tab, words: &str, is_seen: bool) {
    let opacity = u8::from(is_seen);
    tab.wait_until(
        &format!("the hint is not as it should be, seen: {is_seen}, {words}"),
        &format!(
            "{HINT}.textContent.trim() === '{words}'
             && getComputedStyle({HINT}).opacity === '{opacity}'"
        ),
    )
    .await;
}

async fn on_a_phone() -> Easel {
    let easel = Easel::at_home().await;
    easel.tab.point_by_finger().await;
    easel.tab.resize(PHONE.0, PHONE.1).await;
    easel.tab.click("[data-testid=sample-card]").await;
    View::of(&easel.tab).await;
    easel
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_has_two_fifths_of_a_phone_and_the_conversation_its_share() {
    let easel = on_a_phone().await;
    let tab = &easel.tab;
    for path in ["M40 50h60v40h-60z", "M240 250h60v50h-60z"] {
        assert!(easel.paste(path).await);
    }
    easel.count(2).await;
    tab.settle().await;
    let height = f64::from(easel.size().await.1) * View::of(tab).await.scale;
    let page = f64::from(PHONE.1);
    assert!(height >= 0.4 * page, "the picture has {height} of {page}");
    let [.., talk] = tab.see("[data-testid=messages]").await;
    assert!(talk >= 72.0, "the conversation has {talk}");
    let [_, top, _, field] = tab.see("[data-testid=ask-input]").await;
    assert!(top + field <= page, "the field ends at {}", top + field);
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_is_in_sight_on_the_smallest_phones() {
    let easel = on_a_phone().await;
    let tab = &easel.tab;
    for path in ["M40 50h60v40h-60z", "M240 250h60v50h-60z"] {
        assert!(easel.paste(path).await);
    }
    easel.count(2).await;
    easel.take("brush").await;
    for (width, height) in [(320, 640), (360, 640), (375, 560), (320, 568)] {
        tab.resize(width, height).await;
        tab.settle().await;
        for part in ["ask-input", "send-button"] {
            let is_whole: bool = tab
                .evaluate(&format!(
                    "(() => {{ const part = document.querySelector('[data-testid={part}]'),
                         r = part.getBoundingClientRect();
                     return r.bottom <= innerHeight && [r.top + 1, r.bottom - 1].every(y => part
                         .contains(document.elementFromPoint(r.left + r.width / 2, y))); }})()"
                ))
                .await;
            assert!(is_whole, "{part} is not whole at {width} x {height}");
        }
    }
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_menu_leaves_its_button_free() {
    let easel = on_a_phone().await;
    let tab = &easel.tab;
    assert!(easel.paste("M40 50h60v40h-60z").await);
    easel.count(1).await;
    for (width, height) in [PHONE, (390, 844), (667, 375), (844, 390)] {
        tab.resize(width, height).await;
        for menu in ["exchange", "region-more"] {
            tab.click(&format!("[data-testid={menu}] summary")).await;
            tab.settle().await;
            let is_free: bool = tab
                .evaluate(&format!(
                    "(() => {{ const menu = document.querySelector('[data-testid={menu}]');
                     const [a, b] = ['summary', '.menu-items']
                         .map(e => menu.querySelector(e).getBoundingClientRect());
                     return menu.open && b.height > 80 && b.top >= 0 && b.bottom <= innerHeight
                         && (b.top >= a.bottom || b.bottom <= a.top
                             || b.left >= a.right || b.right <= a.left); }})()"
                ))
                .await;
            assert!(is_free, "{menu} lies on its button at {width} x {height}");
            // The last entry is reached within the menu.
            let is_reached: bool = tab
                .evaluate(&format!(
                    "(() => {{ const all = document.querySelectorAll('[data-testid={menu}] \
                         .menu-item'), last = all[all.length - 1];
                     last.scrollIntoView({{block: 'nearest'}});
                     const r = last.getBoundingClientRect();
                     return document.elementFromPoint(r.left + 20, r.top + r.height / 2) === last;
                     }})()"
                ))
                .await;
            assert!(is_reached, "the end of {menu} at {width} x {height}");
            tab.click(&format!("[data-testid={menu}] summary")).await;
            tab.wait_until(
                "a second press does not close the menu",
                "!document.querySelector('details.menu[open]')",
            )
            .await;
        }
    }
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hint_for_fingers_lies_over_the_picture_until_it_is_followed() {
    let easel = on_a_phone().await;
    let tab = &easel.tab;
    easel.take("brush").await;
    wait_for_hint(tab, "Paint over what you mean: a new region.", true).await;
    let is_in_sight: bool = tab
        .evaluate(&format!(
            "(() => {{ const r = {HINT}.getBoundingClientRect(),
                 s = document.querySelector('[data-testid=stage]').getBoundingClientRect(),
                 t = document.querySelector('[data-testid=toolbar]').getBoundingClientRect();
             return r.width > 100 && r.height > 14 && r.left >= s.left && r.right <= s.right
                 && r.bottom <= t.top && r.top > s.top + s.height / 2; }})()"
        ))
        .await;
    assert!(is_in_sight, "the hint is not over the picture's foot");
    // It takes no touch away from the picture.
    let [left, top, width, height] = tab.see("[data-testid=stage-hint]").await;
    let middle = (left + width / 2.0, top + height / 2.0);
    let [end] = easel.window([(260.0, 120.0)]).await;
    tab.touch_down(&[&[middle], &[end]]).await;
    wait_for_hint(tab, "Paint over what you mean: a new region.", false).await;
    tab.touch_up().await;
    easel.count(1).await;
    wait_for_hint(tab, "Paint to add to @1; New for another one.", true).await;

    // Of taps the first makes a region, and what it says of the next ones stays until there is one.
    easel.take("click").await;
    let taps = easel.window([(400.0, 300.0), (410.0, 130.0)]).await;
    tab.touch(&[&[taps[0]]]).await;
    easel.count(2).await;
    wait_for_hint(tab, "Tap to add to @2, hold to take away.", true).await;
    tab.touch(&[&[taps[1]]]).await;
    wait_for_hint(tab, "Tap to add to @2, hold to take away.", false).await;

    // Corners of a polygon are not set or moved below it.
    easel.choose_none().await;
    easel.take("polygon").await;
    let ends = "Tap the corners; the first one again ends.";
    wait_for_hint(tab, ends, true).await;
    tab.touch(&[&[taps[0]]]).await;
    wait_for_hint(tab, ends, false).await;
    tab.touch(&[&[taps[1]]]).await;
    wait_for_hint(tab, ends, false).await;
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hint_that_has_no_room_beside_the_size_of_the_brush_leaves_the_picture_too() {
    let easel = Easel::open().await;
    let tab = &easel.tab;
    tab.resize(940, 860).await;
    easel.take("brush").await;
    wait_for_hint(tab, "Paint over what you mean: a new region.", true).await;
    tab.settle().await;
    let [start, end] = easel.window([(200.0, 100.0), (260.0, 120.0)]).await;
    tab.mouse_down(start).await;
    tab.mouse_to(end).await;
    wait_for_hint(tab, "Paint over what you mean: a new region.", false).await;
    tab.mouse_up(end).await;
    easel.count(1).await;
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hints_go_with_what_the_page_is_pointed_at_with() {
    let easel = Easel::open().await;
    let says =
        |words: &str| format!("{HINT}.textContent.trim().startsWith('{words} on something.')");
    easel.take("click").await;
    let tab = &easel.tab;
    tab.wait_until("a mouse has no hint", &says("Click")).await;
    tab.point_by_finger().await;
    tab.wait_until("the hint is for a mouse still", &says("Tap"))
        .await;
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_what_is_asked_about_has_room() {
    let easel = on_a_phone().await;
    let tab = &easel.tab;
    assert!(easel.paste("M40 50h60v40h-60z").await);
    easel.count(1).await;
    let name = "[data-testid=region-name]";
    for (width, height) in [PHONE, (1280, 860)] {
        tab.resize(width, height).await;
        for (text, fits) in [("Region 4 copy", true), (LONG_NAME, false)] {
            let _: bool = tab
                .evaluate(&format!(
                    "(() => {{ const field = document.querySelector('{name}');
                     field.value = '{text}';
                     return field.dispatchEvent(new Event('change', {{bubbles: true}})); }})()"
                ))
                .await;
            let chip = "document.querySelector('[data-testid=about] .chip')";
            tab.wait_until(
                "the chip has another title",
                &format!("{chip}?.title === '{text}'"),
            )
            .await;
            let is_whole: bool = tab
                .evaluate(&format!(
                    "(e => e.scrollWidth <= e.clientWidth)({chip}.querySelector('.chip-name'))"
                ))
                .await;
            assert_eq!(is_whole, fits, "{text} at {width} x {height}");
        }
    }
    easel.close().await;
}
