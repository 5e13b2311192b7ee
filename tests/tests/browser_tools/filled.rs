//! How masks are filled, outlined and hidden.

use fclm_tests::easel::Easel;
use fclm_tests::view::View;

use super::speed::wait_for_motion;

/// From so many CSS pixels per pixel of the picture on, pixels are shown as squares.
const SQUARES: f64 = 6.0;

#[tokio::test(flavor = "multi_thread")]
async fn masks_are_filled_outlined_and_hidden_as_is_wanted() {
    let easel = Easel::open().await;
    let corners = [
        (100.0, 100.0),
        (180.0, 100.0),
        (180.0, 180.0),
        (100.0, 180.0),
    ];
    easel.draw_polygon(corners).await;
    easel.count(1).await;
    easel.take("box").await;
    easel.choose_none().await;
    let [x0, y0, x1, y1] = easel.bounds(0).await.map(|edge| edge as u32);
    let view = View::of(&easel.tab).await;
    let (inside, edge) = ((x0 + x1) / 2, (y0 + y1) / 2);
    let (inside, edge) = (
        view.color_of((inside, edge)),
        view.color_of((inside, y1 - 1)),
    );
    let filled = color(&easel, &inside).await;
    let outlined = color(&easel, &edge).await;
    easel.tab.hold('h').await;
    let bare = color(&easel, &inside).await;
    let bare_edge = color(&easel, &edge).await;
    easel.tab.let_go('h').await;
    assert!(differ(filled, bare), "the mask is not filled");
    assert!(differ(outlined, bare_edge), "the mask has no outline");
    let again = color(&easel, &inside).await;
    assert!(!differ(again, filled), "{filled:?} has become {again:?}");

    slide_opacity(&easel, 0).await;
    let empty = color(&easel, &inside).await;
    assert!(!differ(empty, bare), "{bare:?} is still filled: {empty:?}");
    assert!(differ(color(&easel, &edge).await, bare_edge));
    slide_opacity(&easel, 80).await;
    assert!(differ(color(&easel, &inside).await, filled));

    easel.menu("region-select").await;
    easel.menu("region-hide").await;
    assert!(!differ(color(&easel, &edge).await, bare_edge));
    easel.menu("region-hide").await;
    assert!(differ(color(&easel, &edge).await, bare_edge));
    easel.menu("region-select").await;
    easel.tab.press("Delete", 46, 0).await;
    easel.count(0).await;
    easel.close().await;
}

/// The colour that an expression gives once all is painted.
pub(super) async fn color(easel: &Easel, expression: &str) -> [u8; 4] {
    easel.tab.settle().await;
    easel.tab.evaluate(expression).await
}

/// Whether two colours differ by more than two ways to rasterise the same do.
pub(super) fn differ(a: [u8; 4], b: [u8; 4]) -> bool {
    a.into_iter().zip(b).any(|(a, b)| a.abs_diff(b) > 4)
}

async fn slide_opacity(easel: &Easel, percent: u8) {
    let is_told: bool = easel
        .tab
        .evaluate(&format!(
            "(() => {{ const slider = document.querySelector('[data-testid=opacity]');
             slider.value = '{percent}';
             return slider.dispatchEvent(new Event('input', {{bubbles: true}})); }})()"
        ))
        .await;
    assert!(is_told);
}

/// Masks colour one pixel of the picture and leave another one as it is.
async fn assert_fills(easel: &Easel, covered: (u32, u32), bare: (u32, u32), what: &str) {
    let view = View::of(&easel.tab).await;
    let (covered, bare) = (view.color_of(covered), view.color_of(bare));
    let shown = (color(easel, &covered).await, color(easel, &bare).await);
    easel.tab.hold('h').await;
    let hidden = (color(easel, &covered).await, color(easel, &bare).await);
    easel.tab.let_go('h').await;
    assert!(
        differ(shown.0, hidden.0),
        "{what}, the mask is not filled: {shown:?}"
    );
    assert!(
        !differ(shown.1, hidden.1),
        "{what}, its hole is: {shown:?} over {hidden:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_mask_is_filled_around_its_hole_from_afar_and_from_near() {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = folder.path().join("grey.png");
    image::RgbImage::from_pixel(1600, 1200, image::Rgb([90; 3]))
        .save(&picture)
        .expect("the picture is written");
    let easel = Easel::with_picture(&picture).await;
    let tab = &easel.tab;
    easel.take("select").await;
    let ring = "M100 100h1400v1000h-1400z M600 400h400v300h-400z";
    assert!(easel.paste(ring).await);
    easel.count(1).await;
    assert_eq!(easel.area(0).await, 1400 * 1000 - 400 * 300);
    easel.choose_none().await;
    // On both sides of the hole's left edge, so near to it that they stay on the stage.
    let (covered, bare) = ((585, 550), (615, 550));
    let fitted = View::of(tab).await;
    assert!(fitted.scale < 1.0, "the picture is not fitted");
    assert_fills(&easel, covered, bare, "from afar").await;

    let edge = fitted.window(600.0, 550.0);
    let mut scale = fitted.scale;
    while scale <= SQUARES {
        tab.wheel(edge, -400.0).await;
        tab.wait_until(
            "the wheel does not zoom",
            &format!(
                "Number(document.querySelector('[data-testid=canvas]').dataset.scale) > {}",
                scale * 1.5
            ),
        )
        .await;
        scale = View::of(tab).await.scale;
    }
    // The first frame on its way is painted before the picture can be seen to rest.
    tab.settle().await;
    wait_for_motion(tab, false).await;
    assert_fills(&easel, covered, bare, "from near").await;
    easel.close().await;
}
