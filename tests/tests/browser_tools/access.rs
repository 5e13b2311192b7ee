//! What the page is to those who do not see it, use no pointer, want less motion, or have a small
//! screen.

use std::time::Duration;

use fclm_tests::browser::Tab;
use fclm_tests::easel::Easel;

use super::SHIFT;

const AXE: &str = include_str!("../../vendor/axe-core/axe.min.js");
const RULES: &str = "{runOnly: {type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa',
    'wcag22aa', 'best-practice']}, rules: {'target-size': {enabled: true}},
    resultTypes: ['violations']}";
/// From here on no mask is made: neither the page's worker nor the server hears of it. Counts the
/// frames that the page asks for.
const WITHOUT_MASKS: &str = "((fetch, ask) => {
    Worker.prototype.postMessage = () => {};
    window.fetch = (request, ...more) => String(request.url ?? request).endsWith('/segment')
        ? new Promise(() => {}) : fetch(request, ...more);
    window.asked = 0;
    window.requestAnimationFrame = then => { window.asked += 1; return ask(then); };
    return true; })(window.fetch.bind(window), window.requestAnimationFrame.bind(window))";

/// Nothing that axe-core calls serious or critical.
async fn assert_accessible(tab: &Tab, what: &str) {
    tab.settle().await;
    let findings: Vec<String> = tab
        .evaluate(&format!(
            "axe.run(document, {RULES}).then(results => results.violations
                 .filter(found => ['serious', 'critical'].includes(found.impact))
                 .map(found => found.id + ': ' + found.nodes.map(node =>
                     node.target.join(' ') + ' ' + node.failureSummary).join('; ')))"
        ))
        .await;
    assert_eq!(findings, [] as [&str; 0], "{what}");
}

async fn with_axe(tab: &Tab) {
    let is_there: bool = tab
        .evaluate(&format!("{AXE};\ntypeof axe.run === 'function'"))
        .await;
    assert!(is_there);
}

async fn set_theme(tab: &Tab, theme: &str) {
    let _: bool = tab
        .evaluate(&format!(
            "(document.documentElement.dataset.theme = '{theme}', true)"
        ))
        .await;
    // Colours that change slowly are not there yet.
    tokio::time::sleep(Duration::from_millis(400)).await;
}

/// No control is smaller than 24 CSS pixels each way (WCAG 2.2, 2.5.8), links and phrases within a
/// text aside.
async fn assert_large_enough(tab: &Tab, what: &str) {
    let small: Vec<String> = tab
        .evaluate(
            "[...document.querySelectorAll('button, summary, input, textarea, a')]
                 .filter(e => !e.classList.contains('visually-hidden'))
                 .map(e => [e, e.getBoundingClientRect()])
                 .filter(([, r]) => r.width > 0 && (r.width < 23.9 || r.height < 23.9))
                 .map(([e, r]) => `${e.outerHTML.slice(0, 120)}: ${r.width} x ${r.height}`)",
        )
        .await;
    assert_eq!(small, [] as [&str; 0], "{what}");
}

/// The tools, the zoom and the hint do not lie on each other, and all tools are in sight.
async fn assert_tools_apart(tab: &Tab) {
    tab.settle().await;
    let places: [[f64; 4]; 4] = tab
        .evaluate(
            "['stage', 'toolbar', 'zoom', 'stage-hint'].map(id => {
                 const r = document.querySelector(`[data-testid=${id}]`).getBoundingClientRect();
                 return [r.left, r.top, r.right, r.bottom]; })",
        )
        .await;
    let [stage, tools, zoom, hint] = places;
    assert!(
        tools[0] >= stage[0] && tools[3] <= stage[3] && tools[2] <= zoom[0] && hint[3] <= tools[1],
        "the tools lie at {tools:?}, the zoom at {zoom:?}, the hint at {hint:?}"
    );
    let outside: usize = tab
        .evaluate(
            "(all => { const r = document.querySelector('.toolbar').getBoundingClientRect();
             return all.map(e => e.getBoundingClientRect()).filter(e => e.left < r.left
                 || e.right > r.right || e.top < r.top || e.bottom > r.bottom).length; })
                 ([...document.querySelectorAll('.toolbar .tool')])",
        )
        .await;
    assert_eq!(outside, 0, "tools lie outside their bar");
}

#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_nothing_serious() {
    let easel = Easel::at_home().await;
    let tab = &easel.tab;
    with_axe(tab).await;
    for theme in ["light", "dark"] {
        set_theme(tab, theme).await;
        assert_accessible(tab, &format!("the first page, {theme}")).await;
        assert_large_enough(tab, &format!("the first page, {theme}")).await;
    }
    tab.click("[data-testid=sample-card]").await;
    fclm_tests::view::View::of(tab).await;
    assert_accessible(tab, "an empty chat").await;

    for path in ["M40 50h60v40h-60z", "M240 250h60v50h-60z"] {
        assert!(easel.paste(path).await);
    }
    easel.count(2).await;
    tab.click(".region.is-selected [data-testid=region-hide]")
        .await;
    tab.type_into("[data-testid=ask-input]", "What colour is it?")
        .await;
    easel.menu("ask-each").await;
    tab.wait_until(
        "there is no table of two answers",
        "document.querySelectorAll('[data-testid=answer-table] tbody tr').length === 2
             && !document.querySelector('[data-testid=answer][data-open]')
             && !document.querySelector('.send.is-busy')",
    )
    .await;
    easel.menu("mode-caption").await;
    easel.menu("send-button").await;
    tab.wait_until(
        "there is no caption",
        "document.querySelectorAll('[data-testid=answer]').length === 3
             && !document.querySelector('[data-testid=answer][data-open]')
             && document.querySelector('[data-testid=phrase]')",
    )
    .await;
    for theme in ["light", "dark"] {
        set_theme(tab, theme).await;
        let chat = format!("a chat, {theme}");
        assert_accessible(tab, &chat).await;
        assert_large_enough(tab, &chat).await;
        let _: bool = tab
            .evaluate("(document.querySelector('[data-testid=phrase]').focus(), true)")
            .await;
        assert_accessible(tab, &format!("{chat}, a phrase in the focus")).await;
        for menu in ["region-more", "exchange", "model-badge"] {
            tab.click(&format!("[data-testid={menu}] summary")).await;
            let open = format!("{chat}, {menu} open");
            assert_accessible(tab, &open).await;
            assert_large_enough(tab, &open).await;
            tab.click(&format!("[data-testid={menu}] summary")).await;
        }
    }
    tab.resize(390, 844).await;
    easel.take("brush").await;
    assert_accessible(tab, "a chat on a phone").await;
    assert_large_enough(tab, "a chat on a phone").await;
    // A page of 1280 pixels that is magnified four times, with as many tools as there are.
    easel.take("click").await;
    tab.resize(320, 664).await;
    assert_tools_apart(tab).await;
    assert_large_enough(tab, "a chat on a page of 320 pixels").await;
    tab.point_by_finger().await;
    assert_tools_apart(tab).await;
    assert_large_enough(tab, "a chat on a page of 320 pixels, by finger").await;
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn regions_are_made_and_reached_without_a_pointer() {
    let easel = Easel::open().await;
    let tab = &easel.tab;
    let _: bool = tab
        .evaluate("(document.querySelector('[data-testid=canvas]').focus(), true)")
        .await;
    // A polygon by crosshair: Enter sets a corner, and on the first one closes.
    tab.hold('g').await;
    tab.let_go('g').await;
    let _: bool = tab
        .evaluate("(document.querySelector('[data-testid=canvas]').focus(), true)")
        .await;
    let ways = [
        ("ArrowRight", 39),
        ("ArrowDown", 40),
        ("ArrowLeft", 37),
        ("ArrowUp", 38),
    ];
    for (key, code) in ways {
        tab.press_enter().await;
        for _ in 0..10 {
            tab.press(key, code, 0).await;
        }
    }
    tab.press_enter().await;
    easel.count(1).await;
    let [x0, y0, x1, y1] = easel.bounds(0).await;
    assert!(x1 - x0 > 20 && y1 - y0 > 20, "{x0} {y0} {x1} {y1}");

    // The list is the picture in words: each region has a row with its name and its place.
    let row = tab
        .wait_until(
            "the region is not listed",
            "document.querySelector('[data-testid=region-select]')?.getAttribute('aria-label')",
        )
        .await;
    assert_eq!(row, "Choose @1 Region 1");
    let _: bool = tab
        .evaluate("(document.querySelector('[data-testid=region-select]').focus(), true)")
        .await;
    tab.press("ArrowLeft", 37, SHIFT).await;
    easel.wait_for_bounds(0, [x0 - 10, y0, x1 - 10, y1]).await;
    let spoken: String = tab
        .evaluate(
            "(e => e.getAttribute('role') + ': ' + e.textContent.trim())
                 (document.querySelector('[data-testid=announcement]'))",
        )
        .await;
    assert!(spoken.starts_with("status: Region 1 moved: "), "{spoken}");

    // Escape leaves a menu, and the focus goes back to what opened it.
    let opened: bool = tab
        .evaluate(
            "(() => { const summary = document.querySelector('[data-testid=exchange] summary');
             summary.focus(); summary.click(); return summary.parentElement.open; })()",
        )
        .await;
    assert!(opened);
    tab.press("Escape", 27, 0).await;
    tab.wait_until(
        "Escape does not close the menu",
        "!document.querySelector('[data-testid=exchange]').open
             && document.activeElement.tagName === 'SUMMARY'",
    )
    .await;
    easel.count(1).await;
    let is_chosen: bool = tab
        .evaluate("document.querySelector('.region.is-selected') !== null")
        .await;
    assert!(is_chosen, "Escape has let the region go as well");
    easel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn less_motion_is_respected() {
    let easel = Easel::open().await;
    let tab = &easel.tab;
    let longest = "Math.max(...[...document.querySelectorAll('*')].flatMap(e => {
        const s = getComputedStyle(e);
        return [s.transitionDuration, s.animationDuration].flatMap(d =>
            d.split(',').map(part => parseFloat(part) || 0)); }))";
    let usual: f64 = tab.evaluate(longest).await;
    assert!(usual > 0.05, "nothing moves anyway: {usual} s");
    tab.prefer_less_motion().await;
    let least: f64 = tab.evaluate(longest).await;
    assert!(least < 0.01, "something moves for {least} s");
    easel.close().await;
}

/// How many frames the page asks for in most of a second in which nobody does anything.
async fn frames_asked(tab: &Tab) -> usize {
    tab.settle().await;
    let before: usize = tab.evaluate("window.asked").await;
    tokio::time::sleep(Duration::from_millis(800)).await;
    tab.evaluate::<usize>("window.asked").await - before
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mask_that_is_awaited_pulses_unless_less_motion_is_preferred() {
    let easel = Easel::at_home().await;
    let tab = &easel.tab;
    let _: bool = tab.evaluate(WITHOUT_MASKS).await;
    tab.click("[data-testid=sample-card]").await;
    easel.take("box").await;
    let across = easel
        .window([(120.0, 120.0), (180.0, 170.0), (240.0, 220.0)])
        .await;
    tab.drag(&across).await;
    easel.count(1).await;
    easel.saved().await;
    let pulsing = frames_asked(tab).await;
    assert!(pulsing > 4, "{pulsing} frames are asked for");
    tab.prefer_less_motion().await;
    let still = frames_asked(tab).await;
    assert_eq!(still, 0, "what is awaited still pulses");
    tab.see("[data-testid=region-item] .spinner").await;
    easel.close().await;
}

/// The heights of the list of regions and of the conversation, once all is painted; the chosen row
/// has to be in the list.
async fn heights(tab: &Tab) -> (f64, f64) {
    tab.settle().await;
    let [list, talk, above, below]: [f64; 4] = tab
        .evaluate(
            "(() => { const [list, talk, row] =
                 ['.region-list', '[data-testid=messages]', '.region.is-selected']
                     .map(e => document.querySelector(e).getBoundingClientRect());
             return [list.height, talk.height, list.top - row.top, row.bottom - list.bottom]; })()",
        )
        .await;
    assert!(
        above < 1.0 && below < 1.0,
        "the chosen row begins {above} above a list of {list} and ends {below} below it"
    );
    (list, talk)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chosen_row_stays_in_sight_and_a_phone_shows_the_conversation() {
    let easel = Easel::open().await;
    let tab = &easel.tab;
    for index in 0..5 {
        let x = 30 + 80 * index;
        assert!(easel.paste(&format!("M{x} 60h50v40h-50z")).await);
        easel.count(index + 1).await;
    }
    let second = "[data-testid=region-item]:nth-child(2)";
    tab.click(&format!("{second} [data-testid=region-select]"))
        .await;
    tab.resize(390, 844).await;
    let (list, _) = heights(tab).await;
    assert!(list > 90.0, "the list has {list} pixels before a question");

    tab.resize(1280, 860).await;
    tab.type_into("[data-testid=ask-input]", "What colour is it?")
        .await;
    tab.press_enter().await;
    tab.wait_until(
        "there is no answer",
        "(() => { const answer = document.querySelector('[data-testid=answer]');
         return answer && !answer.dataset.open; })()",
    )
    .await;
    // All rows up to the chosen one are in sight.
    let _: bool = tab
        .evaluate("(document.querySelector('.region-list').scrollTop = 0, true)")
        .await;
    let (list, _) = heights(tab).await;
    assert!(list > 150.0, "the list has {list} pixels beside a picture");

    tab.resize(390, 844).await;
    let (list, talk) = heights(tab).await;
    assert!(list < 50.0, "the list has {list} pixels");
    assert!(talk >= 170.0, "the conversation has {talk} pixels");
    // On a tablet there is room for both.
    tab.resize(768, 1024).await;
    let (list, talk) = heights(tab).await;
    assert!(list > 90.0, "the list has {list} pixels on a tablet");
    assert!(talk >= 170.0, "the conversation has {talk} pixels");
    easel.close().await;
}
