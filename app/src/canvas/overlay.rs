use std::f64::consts::TAU;
use std::sync::LazyLock;

use fclm_core::wire::PictureView;
use js_sys::Array;
use wasm_bindgen::JsValue;
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement};

use super::damage::Area;
use super::frame::{Line, Scene};
use crate::editor::PointXy;

/// The colour of the dark line under each light one.
pub(super) static HALO: LazyLock<String> =
    LazyLock::new(|| format!("rgba(0, 0, 0, {})", PictureView::DARKNESS));
/// How large corners are drawn, in CSS pixels.
const CORNER: f64 = 8.0;
/// How large the corner is that keys are about, and its colour.
const PICKED: f64 = 12.0;
const PICKED_COLOR: &str = "#101218";
/// How far the arms of the crosshair reach, in CSS pixels.
const ARM: f64 = 14.0;
/// Radius of the loupe in CSS pixels, and how much it magnifies.
const LOUPE: f64 = 56.0;
const MAGNIFIED: f64 = 2.5;
/// More than half of the widest line, in CSS pixels.
const EDGE: f64 = 4.0;

/// Where anything is drawn over picture and masks.
pub(super) fn area(scene: &Scene) -> Option<Area> {
    let drag = scene.drag.and_then(|px| {
        let [x0, y0, x1, y1] = px.map(f64::from);
        let corners = [(x0, y0), (x1, y1)].map(|corner| scene.viewport.to_stage(corner));
        Area::around(corners, EDGE)
    });
    let points = scene
        .lines
        .iter()
        .flat_map(|line| line.points.iter().copied());
    let lines = Area::around(points, PICKED / 2.0 + EDGE);
    let brush = scene
        .brush
        .and_then(|(at, radius)| Area::around([at], radius.max(1.0) + EDGE));
    let crosshair = scene
        .crosshair
        .and_then(|at| Area::around([at], ARM + EDGE));
    let loupe = scene
        .loupe
        .and_then(|at| Area::around([loupe_centre(at, scene.stage)], LOUPE + EDGE));
    let all = [drag, lines, brush, crosshair, loupe].into_iter().flatten();
    all.reduce(Area::union)
}

/// Draws what belongs to the pointer and to what is not a region yet. The context counts in CSS
/// pixels and belongs to `canvas`, whose pixels the loupe shows.
pub(super) fn draw(
    context: &CanvasRenderingContext2d,
    canvas: &HtmlCanvasElement,
    scene: &Scene,
    ratio: f64,
) -> Result<(), JsValue> {
    draw_drag(context, scene)?;
    for line in &scene.lines {
        draw_line(context, line);
    }
    draw_pointer(context, scene)?;
    match scene.loupe {
        Some(at) => draw_loupe(context, canvas, at, scene.stage, ratio),
        None => Ok(()),
    }
}

fn draw_line(context: &CanvasRenderingContext2d, line: &Line) {
    context.begin_path();
    for (index, &(x, y)) in line.points.iter().enumerate() {
        if index == 0 {
            context.move_to(x, y);
        } else {
            context.line_to(x, y);
        }
    }
    if line.is_closed {
        context.close_path();
    }
    context.set_line_join("round");
    for (color, width) in [(HALO.as_str(), 3.5), ("#ffffff", 1.75)] {
        context.set_stroke_style_str(color);
        context.set_line_width(width);
        context.stroke();
    }
    if line.has_corners {
        context.set_line_width(1.5);
        for (index, &(x, y)) in line.points.iter().enumerate() {
            let (size, fill, edge) = if line.picked == Some(index) {
                (PICKED, PICKED_COLOR, "#ffffff")
            } else {
                (CORNER, "#ffffff", HALO.as_str())
            };
            let (left, top) = (x - size / 2.0, y - size / 2.0);
            context.set_fill_style_str(fill);
            context.set_stroke_style_str(edge);
            context.fill_rect(left, top, size, size);
            context.stroke_rect(left, top, size, size);
        }
    }
}

fn draw_drag(context: &CanvasRenderingContext2d, scene: &Scene) -> Result<(), JsValue> {
    let Some([x0, y0, x1, y1]) = scene.drag.map(|px| px.map(f64::from)) else {
        return Ok(());
    };
    let ((x, y), end) = (
        scene.viewport.to_stage((x0, y0)),
        scene.viewport.to_stage((x1, y1)),
    );
    let (width, height) = (end.0 - x, end.1 - y);
    context.set_fill_style_str("rgba(255, 255, 255, 0.12)");
    context.fill_rect(x, y, width, height);
    context.set_line_width(3.0);
    context.set_stroke_style_str(&HALO);
    context.stroke_rect(x, y, width, height);
    context.set_line_width(1.5);
    context.set_stroke_style_str("#ffffff");
    context.set_line_dash(&dashes(6.0, 4.0))?;
    context.stroke_rect(x, y, width, height);
    context.set_line_dash(&Array::new())
}

fn draw_pointer(context: &CanvasRenderingContext2d, scene: &Scene) -> Result<(), JsValue> {
    let lines = [(HALO.as_str(), 3.0), ("#ffffff", 1.25)];
    if let Some(((x, y), radius)) = scene.brush {
        context.begin_path();
        context.arc(x, y, radius.max(1.0), 0.0, TAU)?;
        for (color, width) in lines {
            context.set_stroke_style_str(color);
            context.set_line_width(width);
            context.stroke();
        }
    }
    if let Some((x, y)) = scene.crosshair {
        context.begin_path();
        for (dx, dy) in [(1.0, 0.0), (0.0, 1.0)] {
            for (near, far) in [(-ARM, -4.0), (4.0, ARM)] {
                context.move_to(x + dx * near, y + dy * near);
                context.line_to(x + dx * far, y + dy * far);
            }
        }
        for (color, width) in lines {
            context.set_stroke_style_str(color);
            context.set_line_width(width + 0.75);
            context.stroke();
        }
    }
    Ok(())
}

/// In a corner that is away from the finger.
fn loupe_centre(at: PointXy, stage: PointXy) -> PointXy {
    let margin = LOUPE + 12.0;
    let is_near = at.0 < 2.0 * margin + LOUPE && at.1 < 2.0 * margin + LOUPE;
    (if is_near { stage.0 - margin } else { margin }, margin)
}

/// What a finger covers, magnified in the corner that is away from it.
fn draw_loupe(
    context: &CanvasRenderingContext2d,
    canvas: &HtmlCanvasElement,
    at: PointXy,
    stage: PointXy,
    ratio: f64,
) -> Result<(), JsValue> {
    let centre = loupe_centre(at, stage);
    let part = LOUPE / MAGNIFIED;
    context.save();
    context.begin_path();
    context.arc(centre.0, centre.1, LOUPE, 0.0, TAU)?;
    context.clip();
    context.set_fill_style_str("#101218");
    context.fill_rect(centre.0 - LOUPE, centre.1 - LOUPE, 2.0 * LOUPE, 2.0 * LOUPE);
    context.draw_image_with_html_canvas_element_and_sw_and_sh_and_dx_and_dy_and_dw_and_dh(
        canvas,
        (at.0 - part) * ratio,
        (at.1 - part) * ratio,
        2.0 * part * ratio,
        2.0 * part * ratio,
        centre.0 - LOUPE,
        centre.1 - LOUPE,
        2.0 * LOUPE,
        2.0 * LOUPE,
    )?;
    context.restore();
    context.begin_path();
    context.arc(centre.0, centre.1, LOUPE, 0.0, TAU)?;
    for (dx, dy) in [(1.0, 0.0), (0.0, 1.0)] {
        context.move_to(centre.0 - 7.0 * dx, centre.1 - 7.0 * dy);
        context.line_to(centre.0 + 7.0 * dx, centre.1 + 7.0 * dy);
    }
    for (color, width) in [(HALO.as_str(), 3.5), ("#ffffff", 1.75)] {
        context.set_stroke_style_str(color);
        context.set_line_width(width);
        context.stroke();
    }
    Ok(())
}

/// A pattern of dashes.
pub(super) fn dashes(on: f64, off: f64) -> Array {
    Array::of2(&JsValue::from_f64(on), &JsValue::from_f64(off))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::editor::Viewport;

    fn scene() -> Scene {
        Scene {
            viewport: Viewport {
                scale: 2.0,
                x: 10.0,
                y: 0.0,
            },
            in_motion: false,
            stage: (800.0, 600.0),
            tools: Vec::new(),
            image: (100.0, 100.0),
            masks: Vec::new(),
            peek: false,
            drag: None,
            lines: Vec::new(),
            loupe: None,
            brush: None,
            crosshair: None,
            time: 0.0,
        }
    }

    fn meets(scene: &Scene, at: PointXy) -> bool {
        let point = Area::new(at.0, at.1, 0.0, 0.0);
        area(scene).is_some_and(|area| area.meets(point))
    }

    #[test]
    fn what_lies_over_the_picture_is_known() {
        assert_eq!(area(&scene()), None);
        let drag = Scene {
            drag: Some([10.0, 10.0, 20.0, 30.0]),
            ..scene()
        };
        assert!(meets(&drag, (28.0, 19.0)) && meets(&drag, (52.0, 62.0)));
        assert!(!meets(&drag, (20.0, 19.0)));
        let brush = Scene {
            brush: Some(((100.0, 100.0), 30.0)),
            ..scene()
        };
        assert!(meets(&brush, (131.0, 100.0)) && !meets(&brush, (140.0, 100.0)));
    }

    #[test]
    fn the_loupe_is_away_from_the_finger() {
        let near = Scene {
            loupe: Some((30.0, 30.0)),
            ..scene()
        };
        assert!(!meets(&near, (30.0, 30.0)) && meets(&near, (740.0, 60.0)));
        let far = Scene {
            loupe: Some((700.0, 30.0)),
            ..scene()
        };
        assert!(!meets(&far, (700.0, 30.0)) && meets(&far, (60.0, 60.0)));
    }
}
