use std::mem;
use std::sync::Arc;

use fclm_core::wire::{MaskRle, PictureView};
use futures::channel::oneshot;
use leptos::html;
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::JsCast;
use web_sys::HtmlCanvasElement;

use super::ground::set_lengths;
use crate::editor::{PointXy, Viewport};
use crate::extractor::Extractor;
use crate::state::Editor;

/// The mask that a click would give where the pointer is: at most one a frame, and each once the
/// one before is there. A worker that can draws it on a canvas of its own, above that of the page;
/// otherwise the page draws it with its masks.
#[derive(Clone, Copy)]
pub(crate) struct Preview {
    /// The mask that the page draws, where this device makes masks and there is one.
    pub(crate) mask: RwSignal<Option<Arc<MaskRle>>>,
    /// Whether the worker's canvas shows one.
    pub(crate) is_drawn: RwSignal<bool>,
    /// The element that the worker's canvas is put into.
    pub(super) host: NodeRef<html::Div>,
    canvas: StoredValue<Option<Canvas>, LocalStorage>,
    viewport: RwSignal<Viewport>,
    stage: RwSignal<PointXy>,
    in_motion: RwSignal<bool>,
    extractor: Extractor,
    wanted: StoredValue<Option<PointXy>>,
    // Counts how often there was nothing more to be shown.
    clears: StoredValue<u32>,
    is_asking: StoredValue<bool>,
}

/// The canvas that a worker draws on.
struct Canvas {
    element: HtmlCanvasElement,
    /// The worker.
    artist: u32,
    /// Whether something may be on it.
    is_marked: bool,
}

/// What is asked for: the mask at a point of the picture, drawn where the picture lies, or not.
#[derive(Clone, Copy, PartialEq)]
struct Asked {
    at: PointXy,
    by: Option<(u32, PictureView)>,
    /// How often there had been nothing more to be shown.
    clears: u32,
}

impl Preview {
    /// Of nothing yet, on a stage of that size where the picture lies so and may be in motion.
    pub(super) fn new(
        viewport: RwSignal<Viewport>,
        stage: RwSignal<PointXy>,
        in_motion: RwSignal<bool>,
        extractor: Extractor,
    ) -> Self {
        Self {
            mask: RwSignal::new(None),
            is_drawn: RwSignal::new(false),
            host: NodeRef::new(),
            canvas: StoredValue::new_local(None),
            viewport,
            stage,
            in_motion,
            extractor,
            wanted: StoredValue::new(None),
            clears: StoredValue::new(0),
            is_asking: StoredValue::new(false),
        }
    }

    /// Who draws what is shown, for tests; none where nothing is.
    pub(super) fn by(self) -> Option<&'static str> {
        match self.is_drawn.get() {
            true => Some("worker"),
            false => self.mask.with(Option::is_some).then_some("page"),
        }
    }

    /// The pointer is over an image point.
    pub(super) fn point_at(self, at: PointXy, editor: Editor) {
        self.wanted.set_value(Some(at));
        self.ask(editor);
    }

    /// The pointer is elsewhere, or has clicked.
    pub(super) fn clear(self) {
        self.wanted.set_value(None);
        self.clears
            .update_value(|clears| *clears = clears.wrapping_add(1));
        self.show(None);
        let marked = self.canvas.try_update_value(|canvas| {
            let canvas = canvas.as_mut()?;
            mem::take(&mut canvas.is_marked).then_some(canvas.artist)
        });
        if let Some(artist) = marked.flatten() {
            // What was drawn must be gone when the canvas is shown again.
            self.extractor.wipe(artist);
        }
    }

    /// Keeps what a worker has drawn where the picture lies: read in an effect, it is gone when the
    /// picture moves, drawn anew when that rests, and gone with its worker.
    pub(super) fn follow(self, editor: Editor) {
        self.viewport.track();
        self.stage.track();
        self.extractor.place.track();
        let is_resting = !self.in_motion.get();
        let was_drawn = self.is_drawn.get_untracked();
        self.set_drawn(false);
        // What the page draws moves with its masks.
        if is_resting && (was_drawn || self.extractor.artist().is_some()) {
            self.ask(editor);
        }
    }

    fn ask(self, editor: Editor) {
        if self.is_asking.get_value() {
            return;
        }
        self.is_asking.set_value(true);
        spawn_local(async move {
            let mut last = None;
            while let Some(asked) = self.asked().filter(|asked| last != Some(*asked)) {
                last = Some(asked);
                match asked.by {
                    Some((_, view)) => {
                        self.mark();
                        let is_drawn = editor.draw_preview(asked.at, view).await;
                        if self.is_wanted(asked) {
                            self.show_drawn(is_drawn, view);
                        }
                        next_frame().await;
                    }
                    None => {
                        let mask = editor.preview(asked.at).await;
                        next_frame().await;
                        if self.is_wanted(asked) {
                            self.show(mask);
                        }
                    }
                }
            }
            // Where the page is closed there is nothing left to be told.
            let _ = self.is_asking.try_set_value(false);
        });
    }

    fn wanted(self) -> Option<PointXy> {
        self.wanted.try_get_value().flatten()
    }

    // A worker that draws is asked for nothing while the picture moves: its mask would lie where
    // the picture was.
    fn asked(self) -> Option<Asked> {
        let at = self.wanted()?;
        let by = self.artist().map(|artist| (artist, self.picture_view()));
        let is_late = by.is_some() && self.in_motion.get_untracked();
        (!is_late).then(|| Asked {
            at,
            by,
            clears: self.clears.get_value(),
        })
    }

    // Whether what was asked for is still to be shown: the pointer may have left or clicked in the
    // meantime, the picture lie elsewhere, or the page be closed. What is shown lags behind a
    // pointer that goes on.
    fn is_wanted(self, asked: Asked) -> bool {
        let now = self.asked();
        now.is_some_and(|now| (now.by, now.clears) == (asked.by, asked.clears))
    }

    /// The worker that draws; it has been given a canvas.
    fn artist(self) -> Option<u32> {
        let artist = self.extractor.artist()?;
        let has_canvas = self.canvas.with_value(|canvas| {
            let canvas = canvas.as_ref();
            canvas.is_some_and(|canvas| canvas.artist == artist)
        });
        (has_canvas || self.hand_over(artist)).then_some(artist)
    }

    fn hand_over(self, artist: u32) -> bool {
        let Some(host) = self.host.get_untracked() else {
            return false;
        };
        let created = document().create_element("canvas").ok();
        let element = created.and_then(|element| element.dyn_into::<HtmlCanvasElement>().ok());
        // Browsers without such canvases throw here.
        let offscreen = element
            .as_ref()
            .and_then(|element| element.transfer_control_to_offscreen().ok());
        let is_handed = self.extractor.hand_over(artist, offscreen.as_ref());
        let Some(element) = element.filter(|_| is_handed) else {
            return false;
        };
        // That of another worker is of no use any more.
        host.replace_children_with_node_1(&element);
        self.canvas.set_value(Some(Canvas {
            element,
            artist,
            is_marked: false,
        }));
        true
    }

    /// How the picture lies on the worker's canvas, which is as large as the stage and has the
    /// screen's pixels.
    fn picture_view(self) -> PictureView {
        let Viewport { scale, x, y } = self.viewport.get_untracked();
        let (width, height) = self.stage.get_untracked();
        let ratio = window().device_pixel_ratio().max(1.0);
        let pixels = |length: f64| (length * ratio).round() as u32;
        PictureView {
            scale: scale * ratio,
            x: x * ratio,
            y: y * ratio,
            width: pixels(width),
            height: pixels(height),
            ratio,
        }
    }

    fn mark(self) {
        self.canvas.update_value(|canvas| {
            if let Some(canvas) = canvas {
                canvas.is_marked = true;
            }
        });
    }

    /// Shows what the worker has drawn, if it has, at the size that it was drawn for.
    fn show_drawn(self, is_drawn: bool, view: PictureView) {
        self.set_mask(None);
        self.canvas.with_value(|canvas| {
            let Some(canvas) = canvas else { return };
            let sides = [("width", view.width), ("height", view.height)];
            set_lengths(
                &canvas.element,
                sides.map(|(name, pixels)| (name, f64::from(pixels) / view.ratio)),
            );
        });
        self.set_drawn(is_drawn);
    }

    /// Shows what the page draws, and nothing of a worker's.
    fn show(self, mask: Option<MaskRle>) {
        self.set_drawn(false);
        self.set_mask(mask);
    }

    fn set_drawn(self, is_drawn: bool) {
        if self.is_drawn.try_get_untracked() == Some(!is_drawn) {
            self.is_drawn.set(is_drawn);
        }
    }

    fn set_mask(self, mask: Option<MaskRle>) {
        let shown = self.mask.try_get_untracked().flatten();
        if shown.as_deref() != mask.as_ref() {
            self.mask.set(mask.map(Arc::new));
        }
    }
}

async fn next_frame() {
    let (sender, painted) = oneshot::channel();
    request_animation_frame(move || {
        // The receiver waits below.
        let _ = sender.send(());
    });
    let _ = painted.await;
}
