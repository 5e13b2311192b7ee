use wasm_bindgen::JsValue;
use web_sys::{CanvasRenderingContext2d, CanvasWindingRule, HtmlImageElement};

use super::{Drawn, LABEL_FONT, Painter, Setting, margin};
use crate::canvas::damage::{Area, Placed};
use crate::canvas::ground::Surface;
use crate::canvas::layer::BLOCKS;
use crate::canvas::sprite::{Spot, Sprite};
use crate::editor::{PointXy, Viewport};

/// How a part of the stage is painted: the picture, masks over it, and their tags over these.
impl Painter {
    /// Paints a part of the stage anew, on a bitmap of it or of what lies beside it.
    pub(super) fn paint_area(
        &self,
        surface: &Surface,
        area: Area,
        placed: &[Placed],
        setting: Setting,
        is_whole: bool,
    ) -> Result<(), JsValue> {
        let ratio = setting.ratio;
        let (left, top) = surface.origin;
        let Some(rect) = area.moved((-left, -top)).pixels(ratio, surface.size()) else {
            return Ok(());
        };
        // As the stage lies on the bitmap.
        let here = Setting {
            viewport: setting.viewport.panned(-left, -top),
            ..setting
        };
        let [x, y, w, h] = rect;
        let context = &surface.context;
        // Pixels that are met in part are painted as a whole.
        let met = area.grown(1.0);
        context.save();
        context.set_transform(1.0, 0.0, 0.0, 1.0, 0.0, 0.0)?;
        context.begin_path();
        context.rect(x, y, w, h);
        context.clip();
        context.clear_rect(x, y, w, h);
        if let Some(picture) = &self.picture {
            self.paint_picture(context, picture, placed, here)?;
            for placed in placed {
                if placed.body.is_none_or(|body| !body.meets(met)) {
                    continue;
                }
                match self.live.as_ref().filter(|_| placed.drawn.live) {
                    Some(live) => {
                        // A stroke is seen even where masks are outlines alone.
                        context.set_global_alpha(placed.drawn.fill.max(0.3));
                        let Viewport { scale, x, y } = here.viewport;
                        let origin = (x * ratio, y * ratio);
                        live.draw(context, rect, origin, scale * ratio)?;
                    }
                    None => self.draw_mask(context, &placed.drawn, here, is_whole)?,
                }
            }
            context.set_transform(ratio, 0.0, 0.0, ratio, -left * ratio, -top * ratio)?;
            for placed in placed {
                if let Some(tag) = placed.tag.filter(|tag| tag.meets(met)) {
                    draw_tag(context, &placed.drawn, tag)?;
                }
            }
        }
        context.restore();
        Ok(())
    }

    fn paint_picture(
        &self,
        context: &CanvasRenderingContext2d,
        picture: &HtmlImageElement,
        placed: &[Placed],
        setting: Setting,
    ) -> Result<(), JsValue> {
        to_image_space(context, setting)?;
        context.set_image_smoothing_enabled(setting.viewport.scale < BLOCKS);
        context.set_global_alpha(1.0);
        draw_picture(context, picture, setting.image)?;
        if placed.iter().any(|placed| placed.drawn.spotlight) {
            self.dim(context, setting, picture, placed)?;
        }
        Ok(())
    }

    fn dim(
        &self,
        context: &CanvasRenderingContext2d,
        setting: Setting,
        picture: &HtmlImageElement,
        placed: &[Placed],
    ) -> Result<(), JsValue> {
        context.set_fill_style_str("rgba(8, 10, 16, 0.62)");
        context.fill_rect(0.0, 0.0, setting.image.0, setting.image.1);
        let lit = placed.iter().map(|placed| &placed.drawn);
        for drawn in lit.filter(|drawn| drawn.spotlight) {
            let Some(layer) = self.layer(drawn) else {
                continue;
            };
            context.save();
            context.clip_with_path_2d_and_winding(layer.path(), CanvasWindingRule::Evenodd);
            draw_picture(context, picture, setting.image)?;
            context.restore();
        }
        Ok(())
    }

    /// Draws a mask. Where only a part of the picture is painted, the next part is likely to meet
    /// it again, so it is kept as it looks.
    fn draw_mask(
        &self,
        context: &CanvasRenderingContext2d,
        drawn: &Drawn,
        setting: Setting,
        is_whole: bool,
    ) -> Result<(), JsValue> {
        let Some(kept) = self.layers.get(&drawn.key) else {
            return Ok(());
        };
        let Some(layer) = &kept.layer else {
            return Ok(());
        };
        let Setting {
            viewport, ratio, ..
        } = setting;
        let looks = (drawn.fill, drawn.line);
        let spot = Spot::new(layer.bounds, margin(drawn), looks, viewport, ratio);
        let is_fixed = !is_whole && drawn.shift == (0.0, 0.0) && !drawn.pending;
        if !(is_fixed && spot.is_small()) {
            to_image_space(context, setting)?;
            context.translate(drawn.shift.0, drawn.shift.1)?;
            return layer.paint(context, drawn, viewport.scale, setting.time);
        }
        let mut sprite = kept.sprite.borrow_mut();
        let current = match sprite.take().filter(|sprite| sprite.suits(&spot)) {
            Some(current) => current,
            None => Sprite::new(&spot, |context| {
                layer.paint(context, drawn, viewport.scale, setting.time)
            })?,
        };
        current.draw(context, &spot)?;
        *sprite = Some(current);
        Ok(())
    }
}

/// From here on the context counts in pixels of the image.
fn to_image_space(context: &CanvasRenderingContext2d, setting: Setting) -> Result<(), JsValue> {
    let Setting {
        viewport: Viewport { scale, x, y },
        ratio,
        ..
    } = setting;
    context.set_transform(scale * ratio, 0.0, 0.0, scale * ratio, x * ratio, y * ratio)
}

fn draw_picture(
    context: &CanvasRenderingContext2d,
    picture: &HtmlImageElement,
    (width, height): PointXy,
) -> Result<(), JsValue> {
    context.draw_image_with_html_image_element_and_dw_and_dh(picture, 0.0, 0.0, width, height)
}

fn draw_tag(context: &CanvasRenderingContext2d, drawn: &Drawn, tag: Area) -> Result<(), JsValue> {
    let Some(label) = &drawn.label else {
        return Ok(());
    };
    let [x, y, width, height] = tag.rect();
    context.set_global_alpha(1.0);
    context.begin_path();
    context.round_rect_with_f64(x, y, width, height, 6.0)?;
    context.set_fill_style_str("rgba(15, 17, 24, 0.82)");
    context.fill();
    context.set_fill_style_str(&drawn.color);
    context.begin_path();
    context.round_rect_with_f64(x, y, 3.5, height, 2.0)?;
    context.fill();
    context.set_fill_style_str("#ffffff");
    context.set_font(LABEL_FONT);
    context.set_text_baseline("middle");
    context.fill_text(label, x + 7.0, y + 10.5)
}
