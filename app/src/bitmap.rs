//! Canvases that are drawn on before they are shown, or instead.

use leptos::prelude::document;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement, ImageData};

/// A canvas and what it is drawn on with.
pub(crate) type Bitmap = (HtmlCanvasElement, CanvasRenderingContext2d);

/// One without a size yet.
pub(crate) fn blank() -> Result<Bitmap, JsValue> {
    let canvas: HtmlCanvasElement = document().create_element("canvas")?.unchecked_into();
    let context = canvas
        .get_context("2d")?
        .ok_or(JsValue::NULL)?
        .dyn_into::<CanvasRenderingContext2d>()?;
    Ok((canvas, context))
}

/// One of that size without anything on it.
pub(crate) fn sized(width: u32, height: u32) -> Result<Bitmap, JsValue> {
    let (canvas, context) = blank()?;
    canvas.set_width(width);
    canvas.set_height(height);
    Ok((canvas, context))
}

/// One with these pixels.
pub(crate) fn with_pixels(image: &ImageData) -> Result<Bitmap, JsValue> {
    let (canvas, context) = sized(image.width(), image.height())?;
    context.put_image_data(image, 0.0, 0.0)?;
    Ok((canvas, context))
}
