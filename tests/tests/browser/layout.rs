//! Where things are on the page.

use fclm_tests::browser::Tab;
use fclm_tests::samples::{Object, Scene};
use fclm_tests::view::View;

use super::marks::{draw_box, wait_for_regions};
use super::{ASK_INPUT, CANVAS};

/// What lies beside a fitted picture and never on it.
const TOOLS: [&str; 2] = ["[data-testid=toolbar]", "[data-testid=zoom]"];
const BRUSH_SIZE: &str = "[data-testid=brush-size]";

/// The canvas shows its bitmap as it is, the picture on it has its own proportions, and no tool
/// lies on it; right after a change of size as well as when all has come to rest.
pub(super) async fn assert_fits(tab: &Tab, scene: &Scene) {
    let proportions = format!(
        "(() => {{ const c = document.querySelector('{CANVAS}');
         const r = c.getBoundingClientRect();
         return [c.width / c.height, r.width / r.height]; }})()"
    );
    let [bitmap, shown]: [f64; 2] = tab.evaluate(&proportions).await;
    assert!((bitmap - shown).abs() < 0.01, "{bitmap} shown as {shown}");
    tab.wait_until(
        "the canvas does not cover the stage",
        &format!(
            "(() => {{ const [c, s] = ['{CANVAS}', '[data-testid=stage]']
                 .map(e => document.querySelector(e).getBoundingClientRect());
             return Math.abs(c.width - s.width) < 1 && Math.abs(c.height - s.height) < 1; }})()"
        ),
    )
    .await;
    let [bitmap, shown]: [f64; 2] = tab.evaluate(&proportions).await;
    assert!((bitmap - shown).abs() < 0.01, "{bitmap} shown as {shown}");
    // Beside the picture the bitmap is transparent, or half so under a label.
    let own = f64::from(scene.width) / f64::from(scene.height);
    tab.wait_until(
        "the picture is not drawn in its own proportions",
        &format!(
            "(() => {{ const c = document.querySelector('{CANVAS}'), {{width, height}} = c;
             const d = c.getContext('2d').getImageData(0, 0, width, height).data;
             const opaque = y => {{ let count = 0;
                 for (let x = 0; x < width; x++) count += d[(y * width + x) * 4 + 3] === 255;
                 return count; }};
             const rows = Array.from({{length: height}}, (_, y) => opaque(y));
             const r = c.getBoundingClientRect();
             const drawn = [Math.max(...rows) * r.width / width,
                 rows.filter(count => count > 99).length * r.height / height];
             return Math.abs(drawn[0] / drawn[1] / {own} - 1) < 0.03; }})()"
        ),
    )
    .await;
    let view = View::of(tab).await;
    let (left, top) = view.window(0.0, 0.0);
    let (right, bottom) = view.window(scene.width as f32, scene.height as f32);
    let paints: bool = tab
        .evaluate(&format!(
            "['brush', 'eraser'].includes(document.querySelector('{CANVAS}').dataset.tool)"
        ))
        .await;
    for tool in TOOLS.into_iter().chain(paints.then_some(BRUSH_SIZE)) {
        let [x, y, width, height] = tab.see(tool).await;
        let covers = x < right && x + width > left && y < bottom && y + height > top;
        assert!(!covers, "{tool} lies on the picture");
    }
    let [a, b] = [tab.see(TOOLS[0]).await, tab.see(TOOLS[1]).await];
    let meet = |at: usize| a[at] < b[at] + b[at + 2] && b[at] < a[at] + a[at + 2];
    assert!(!(meet(0) && meet(1)), "the tools and the zoom overlap");
}

/// What a phone shows under the browser's bars has room for answers beside several regions.
pub(super) async fn assert_leaves_room(tab: &Tab, scene: &Scene, object: &Object) {
    tab.resize(390, 664).await;
    assert_fits(tab, scene).await;
    for _ in 0..2 {
        draw_box(tab, object).await;
    }
    wait_for_regions(tab, 3).await;
    let [.., answers] = tab.see("[data-testid=messages]").await;
    let [_, top, _, height] = tab.see(ASK_INPUT).await;
    assert!(answers >= 100.0, "answers have {answers} pixels");
    assert!(top + height <= 664.0, "the field ends at {}", top + height);
}
