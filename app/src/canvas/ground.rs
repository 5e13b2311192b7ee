use leptos::prelude::document;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement, HtmlElement};

use super::damage::Area;
use crate::bitmap::blank;
use crate::editor::{PointXy, Viewport};

/// Width and height of a bitmap, and its pixels per CSS pixel.
pub(super) type Extent = (u32, u32, f64);

/// A bitmap of the stage, or of what lies beside it.
pub(super) struct Surface {
    /// Its element.
    pub(super) canvas: HtmlCanvasElement,
    /// What it is painted with.
    pub(super) context: CanvasRenderingContext2d,
    /// Where it begins on the stage, in CSS pixels.
    pub(super) origin: PointXy,
}

impl Surface {
    /// Without a size yet.
    pub(super) fn new(origin: PointXy) -> Result<Self, JsValue> {
        let (canvas, context) = blank()?;
        Ok(Self {
            canvas,
            context,
            origin,
        })
    }

    /// Width and height of the bitmap.
    pub(super) fn size(&self) -> (u32, u32) {
        (self.canvas.width(), self.canvas.height())
    }
}

/// Gives an element and its bitmap the same size. The stylesheet gives the element none, so a
/// bitmap that is a frame behind the stage is cut off or too short, but never stretched.
pub(super) fn set_extent(canvas: &HtmlCanvasElement, (width, height, ratio): Extent) {
    canvas.set_width(width);
    canvas.set_height(height);
    let lengths = [("width", width), ("height", height)];
    set_lengths(
        canvas,
        lengths.map(|(name, pixels)| (name, f64::from(pixels) / ratio)),
    );
}

/// Gives an element's style lengths, in CSS pixels.
pub(super) fn set_lengths<const N: usize>(element: &HtmlElement, lengths: [(&str, f64); N]) {
    let style = element.style();
    for (name, length) in lengths {
        // A length under a known name is always taken.
        let _ = style.set_property(name, &format!("{length}px"));
    }
}

/// What stands in for the canvas while the picture is moved or zoomed: an element with the backdrop
/// and tiles beside it, which the browser moves without painting any of them.
pub(super) struct Ground {
    element: HtmlElement,
    tiles: Vec<Tile>,
    is_shown: bool,
}

struct Tile {
    // In pixels of the screen, from the backdrop's corner.
    place: Area,
    canvas: HtmlCanvasElement,
}

impl Ground {
    /// Puts a backdrop under the canvas, where nobody sees it yet.
    pub(super) fn new(
        canvas: &HtmlCanvasElement,
        backdrop: &HtmlCanvasElement,
    ) -> Result<Self, JsValue> {
        let element: HtmlElement = document().create_element("div")?.unchecked_into();
        element.set_class_name("stage-ground");
        element.set_attribute("aria-hidden", "true")?;
        element.append_child(backdrop)?;
        let stage = canvas.parent_node().ok_or(JsValue::NULL)?;
        stage.insert_before(&element, Some(canvas))?;
        Ok(Self {
            element,
            tiles: Vec::new(),
            is_shown: false,
        })
    }

    /// Shows what was painted for one viewport where another one has it. True where it was hidden
    /// until now.
    pub(super) fn show(&mut self, painted: Viewport, now: Viewport, ratio: f64) -> bool {
        self.set("transform", &transform(painted, now, ratio));
        let is_new = !self.is_shown;
        if is_new {
            self.set("display", "block");
            self.is_shown = true;
        }
        is_new
    }

    /// Hides it.
    pub(super) fn hide(&mut self) {
        if self.is_shown {
            self.set("display", "none");
            self.is_shown = false;
        }
    }

    fn set(&self, name: &str, value: &str) {
        // A good value under a known name is always taken.
        let _ = self.element.style().set_property(name, value);
    }

    /// Where there are tiles, in pixels of the screen from the backdrop's corner.
    pub(super) fn tiles(&self) -> impl Iterator<Item = Area> + '_ {
        self.tiles.iter().map(|tile| tile.place)
    }

    /// Puts a tile down.
    pub(super) fn add(&mut self, place: Area, tile: Surface) -> Result<(), JsValue> {
        let (left, top) = tile.origin;
        set_lengths(&tile.canvas, [("left", left), ("top", top)]);
        self.element.append_child(&tile.canvas)?;
        self.tiles.push(Tile {
            place,
            canvas: tile.canvas,
        });
        Ok(())
    }

    /// Drops tiles that no longer show what they should.
    pub(super) fn drop_tiles(&mut self, is_stale: impl Fn(Area) -> bool) {
        for tile in self.tiles.extract_if(.., |tile| is_stale(tile.place)) {
            tile.canvas.remove();
        }
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        self.element.remove();
    }
}

/// How what was painted for one viewport is moved to where another one has it. Without a zoom it is
/// moved by whole pixels of the screen, so that it stays sharp.
fn transform(painted: Viewport, now: Viewport, ratio: f64) -> String {
    let factor = now.scale / painted.scale;
    let (x, y) = (now.x - painted.x * factor, now.y - painted.y * factor);
    if now.scale == painted.scale {
        let whole = |by: f64| (by * ratio).round() / ratio;
        format!("translate({}px, {}px)", whole(x), whole(y))
    } else {
        format!("translate({x}px, {y}px) scale({factor})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_painted_is_moved_to_where_the_viewport_has_it() {
        let painted = Viewport {
            scale: 2.0,
            x: 10.0,
            y: 20.0,
        };
        let panned = painted.panned(3.2, -7.0);
        assert_eq!(transform(painted, panned, 1.0), "translate(3px, -7px)");
        assert_eq!(transform(painted, panned, 2.0), "translate(3px, -7px)");
        let by_half = painted.panned(0.5, 1.0);
        assert_eq!(transform(painted, by_half, 2.0), "translate(0.5px, 1px)");
        // A point at 30, 60 on the stage is the image's at 10, 20, and that is now at 35, 70.
        let zoomed = Viewport {
            scale: 3.0,
            x: 5.0,
            y: 10.0,
        };
        assert_eq!(
            transform(painted, zoomed, 1.0),
            "translate(-10px, -20px) scale(1.5)"
        );
    }
}
