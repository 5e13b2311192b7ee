//! Where a chat's picture is on the page.

use crate::browser::{Point, Rect, Tab};

const CANVAS: &str = "[data-testid=canvas]";

/// How the canvas shows the picture: where it is in the window, and *canvas = picture * scale +
/// offset*.
#[derive(Debug)]
pub struct View {
    /// Where the canvas is in the window.
    pub canvas: Rect,
    /// CSS pixels per pixel of the picture.
    pub scale: f64,
    /// Where the picture's upper left corner is on the canvas.
    pub offset: Point,
}

impl View {
    /// How it is shown now, once it is.
    ///
    /// # Panics
    /// If the picture does not appear.
    pub async fn of(tab: &Tab) -> Self {
        tab.wait_until(
            "the picture is not drawn",
            &format!("document.querySelector('{CANVAS}')?.dataset.ready === 'true'"),
        )
        .await;
        let canvas = tab.see(CANVAS).await;
        let [scale, x, y]: [f64; 3] = tab
            .evaluate(&format!(
                "(({{scale, offsetX, offsetY}}) => [scale, offsetX, offsetY].map(Number))\
                 (document.querySelector('{CANVAS}').dataset)"
            ))
            .await;
        Self {
            canvas,
            scale,
            offset: (x, y),
        }
    }

    /// By how far the picture lies elsewhere than in another view, in CSS pixels.
    pub fn moved_from(&self, other: &Self) -> Point {
        (
            self.offset.0 - other.offset.0,
            self.offset.1 - other.offset.1,
        )
    }

    /// An expression for the colour that the canvas has over the middle of a picture's pixel:
    /// red, green, blue and alpha.
    pub fn color_of(&self, (x, y): (u32, u32)) -> String {
        let on_canvas = |at: u32, offset: f64| (f64::from(at) + 0.5) * self.scale + offset;
        let (x, y) = (on_canvas(x, self.offset.0), on_canvas(y, self.offset.1));
        format!(
            "(() => {{ const c = document.querySelector('{CANVAS}');
             const r = c.width / c.getBoundingClientRect().width;
             return [...c.getContext('2d').getImageData({x} * r, {y} * r, 1, 1).data]; }})()"
        )
    }

    /// A point of the picture, as a point of the window.
    pub fn window(&self, x: f32, y: f32) -> Point {
        (
            self.canvas[0] + f64::from(x) * self.scale + self.offset.0,
            self.canvas[1] + f64::from(y) * self.scale + self.offset.1,
        )
    }
}
