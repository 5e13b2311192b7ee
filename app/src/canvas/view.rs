mod corners;
mod painting;

use std::time::Duration;

use fclm_core::wire::PictureView;
use leptos::prelude::*;

use self::corners::Picked;
use super::damage::Area;
use super::painter::{Drawn, Line, Painter, Scene};
use super::preview::Preview;
use crate::editor::{
    Insets, OpenPolygon, PointXy, Polygon, RegionState, Viewport, dragged_box, found_color,
};
use crate::extractor::Extractor;
use crate::media::matches_media;
use crate::state::{Tool, Workspace};

// Where the stylesheet puts the tools: on the left and at the bottom, or at the bottom alone.
const WIDE: Insets = Insets {
    left: 82.0,
    top: 20.0,
    right: 20.0,
    bottom: 74.0,
};
const NARROW: Insets = Insets {
    left: 12.0,
    top: 8.0,
    right: 12.0,
    bottom: 58.0,
};
/// What the brush's size takes at the left of a narrow page.
const NARROW_BRUSH: f64 = 76.0;
/// What two rows of tools take at the bottom of one that has no room for one.
const TWO_ROWS: f64 = 78.0;
/// How near to the stage's edge a crosshair may come, in CSS pixels.
const EDGE: f64 = 8.0;
/// A zoom is over when nothing has been zoomed for so long, and who holds a picture still for so
/// long looks at it.
const REST: Duration = Duration::from_millis(120);
const HELD: Duration = Duration::from_millis(400);
const NARROW_PAGE: &str = "(max-width: 820px), (max-height: 480px)";
const NARROWEST_PAGE: &str = "(max-width: 350px)";
/// The colour of what a click would give, which is no region's.
const PREVIEW_COLOR: &str = "#ffffff";

/// What the canvas shows besides the chat's own state. All of it is of this visit only.
#[derive(Clone, Copy)]
pub(crate) struct CanvasView {
    /// How the image lies.
    pub(crate) viewport: RwSignal<Viewport>,
    /// Size of the stage in CSS pixels.
    pub(crate) stage: RwSignal<PointXy>,
    /// Where tools lie over the stage.
    pub(super) tools: RwSignal<Vec<Area>>,
    /// Whether the image is fitted to the stage, and stays so when the stage changes its size.
    pub(crate) fitted: RwSignal<bool>,
    /// Where a mouse or pen hovers on the stage.
    pub(crate) hover: RwSignal<Option<PointXy>>,
    /// The keyboard's crosshair, in image pixels.
    pub(crate) crosshair: RwSignal<Option<PointXy>>,
    /// The box that is being drawn, in image pixels.
    pub(crate) drag: RwSignal<Option<(PointXy, PointXy)>>,
    /// The line that is being drawn around something, in image pixels.
    pub(crate) lasso: RwSignal<Vec<PointXy>>,
    /// The polygon that is not closed yet.
    pub(crate) polygon: RwSignal<OpenPolygon>,
    /// The region whose polygon is being changed, and what it will be.
    pub(crate) edited: RwSignal<Option<(String, Polygon)>>,
    /// The region that is being moved, and by how many image pixels.
    pub(crate) carried: RwSignal<Option<(String, PointXy)>>,
    /// What a click would give where the pointer is.
    pub(crate) preview: Preview,
    /// Where a finger that draws is on the stage.
    pub(crate) finger: RwSignal<Option<PointXy>>,
    /// Whether a stroke is running, and for which region.
    pub(crate) stroke: RwSignal<Option<Option<String>>>,
    /// Counts the steps of the running stroke.
    pub(crate) strokes: RwSignal<u32>,
    /// Whether masks are hidden while a key or button is held.
    pub(crate) peek: RwSignal<bool>,
    /// Whether the space bar is held, so that the next drag moves the picture.
    pub(crate) space: RwSignal<bool>,
    /// Whether a drag or two fingers move the picture.
    pub(crate) moving: RwSignal<bool>,
    /// Whether the picture is on its way, by a drag, two fingers or a zoom. What is painted is then
    /// moved as it is; it is painted as it should be when the picture comes to rest.
    pub(crate) in_motion: RwSignal<bool>,
    /// Whether the picture is there.
    pub(crate) ready: RwSignal<bool>,
    /// Where the stage lies in the window, as long as it is known to lie there.
    pub(super) corner: StoredValue<Option<PointXy>>,
    tool: RwSignal<Tool>,
    picked: RwSignal<Option<Picked>>,
    pub(super) painter: StoredValue<Option<Painter>, LocalStorage>,
    scheduled: StoredValue<bool>,
    // Whether picture or masks look other than they are painted, wherever they lie.
    changed: StoredValue<bool>,
    // When it was moved or zoomed last, in milliseconds.
    went: StoredValue<f64>,
    // When it was painted last while it rested, and whether what lies beside it is to be painted.
    painted: StoredValue<f64>,
    is_waiting: StoredValue<bool>,
}

impl CanvasView {
    /// Nothing shown yet, and nothing done yet with the tool in hand.
    pub(super) fn new(tool: RwSignal<Tool>, extractor: Extractor) -> Self {
        let viewport = RwSignal::new(Viewport::default());
        let stage = RwSignal::new((0.0, 0.0));
        let in_motion = RwSignal::new(false);
        Self {
            tool,
            picked: RwSignal::new(None),
            viewport,
            stage,
            tools: RwSignal::new(Vec::new()),
            fitted: RwSignal::new(true),
            hover: RwSignal::new(None),
            crosshair: RwSignal::new(None),
            drag: RwSignal::new(None),
            lasso: RwSignal::new(Vec::new()),
            polygon: RwSignal::new(OpenPolygon::default()),
            edited: RwSignal::new(None),
            carried: RwSignal::new(None),
            preview: Preview::new(viewport, stage, in_motion, extractor),
            finger: RwSignal::new(None),
            stroke: RwSignal::new(None),
            strokes: RwSignal::new(0),
            peek: RwSignal::new(false),
            space: RwSignal::new(false),
            moving: RwSignal::new(false),
            in_motion,
            ready: RwSignal::new(false),
            corner: StoredValue::new(None),
            painter: StoredValue::new_local(None),
            scheduled: StoredValue::new(false),
            changed: StoredValue::new(true),
            went: StoredValue::new(0.0),
            painted: StoredValue::new(0.0),
            is_waiting: StoredValue::new(false),
        }
    }

    /// Gives the canvas the keyboard.
    pub(super) fn take_focus(self) {
        self.painter.with_value(|painter| {
            if let Some(painter) = painter {
                painter.take_focus();
            }
        });
    }

    /// Whether the picture is being moved, or the next drag would move it.
    pub(crate) fn is_grabbing(self) -> bool {
        self.space.get() || self.moving.get()
    }

    /// The whole image in the middle of what the tools leave free.
    pub(crate) fn fit(self, image: PointXy) {
        self.fitted.set(true);
        self.viewport.set(self.fit_viewport(image));
        self.come_to_rest();
    }

    fn fit_viewport(self, image: PointXy) -> Viewport {
        let is_narrow = matches_media(NARROW_PAGE);
        let mut insets = if is_narrow { NARROW } else { WIDE };
        if is_narrow && self.tool.get_untracked().paints() {
            insets.left = NARROW_BRUSH;
        }
        if matches_media(NARROWEST_PAGE) {
            insets.bottom = TWO_ROWS;
        }
        Viewport::fit(image, self.stage.get_untracked(), insets)
    }

    /// Another tool is in hand, which may leave the picture more or less room.
    pub(super) fn make_room(self, image: PointXy) {
        if self.fitted.get_untracked() {
            self.fit(image);
        }
    }

    /// The stage has another size: a fitted image is fitted again, another one stays in sight.
    pub(super) fn resize(self, stage: PointXy, image: Option<PointXy>) {
        self.stage.set(stage);
        self.corner.set_value(None);
        self.come_to_rest();
        let Some(image) = image else { return };
        if self.fitted.get_untracked() {
            self.fit(image);
        } else {
            self.viewport
                .update(|viewport| *viewport = viewport.kept_in_sight(image, stage));
        }
    }

    /// Zooms about a stage point.
    pub(crate) fn zoom(self, factor: f64, at: PointXy, image: PointXy) {
        let fit = self.fit_viewport(image).scale;
        self.look(image, |viewport| viewport.zoomed(factor, at, fit));
        self.go();
    }

    /// Zooms about the stage's middle.
    pub(crate) fn zoom_middle(self, factor: f64, image: PointXy) {
        let stage = self.stage.get_untracked();
        self.zoom(factor, (stage.0 / 2.0, stage.1 / 2.0), image);
    }

    /// Moves the picture by CSS pixels.
    pub(crate) fn pan(self, dx: f64, dy: f64, image: PointXy) {
        self.look(image, |viewport| viewport.panned(dx, dy));
    }

    /// Moves the picture as it is dragged.
    pub(super) fn drag_on(self, dx: f64, dy: f64, image: PointXy) {
        self.pan(dx, dy, image);
        self.go();
    }

    /// Moves the picture just as far as brings a point of it onto the stage.
    pub(super) fn reveal(self, at: PointXy, image: PointXy) {
        let (x, y) = self.viewport.get_untracked().to_stage(at);
        let stage = self.stage.get_untracked();
        let missing = |place: f64, size: f64| {
            let low = EDGE.min(size / 2.0);
            place.clamp(low, size - low) - place
        };
        let (dx, dy) = (missing(x, stage.0), missing(y, stage.1));
        if dx != 0.0 || dy != 0.0 {
            self.pan(dx, dy, image);
        }
    }

    /// Zooms and moves with two fingers.
    pub(super) fn pinch(self, before: [PointXy; 2], after: [PointXy; 2], image: PointXy) {
        let fit = self.fit_viewport(image).scale;
        self.look(image, |viewport| viewport.pinched(before, after, fit));
        self.go();
    }

    // The picture is in motion until this was not called for a while.
    fn go(self) {
        self.went.set_value(js_sys::Date::now());
        if !self.in_motion.get_untracked() {
            self.in_motion.set(true);
            self.await_rest();
        }
    }

    fn await_rest(self) {
        set_timeout(
            move || {
                let Some(went) = self.went.try_get_value() else {
                    return;
                };
                let rest = if self.moving.get_untracked() {
                    HELD
                } else {
                    REST
                };
                if js_sys::Date::now() - went >= rest.as_secs_f64() * 1000.0 {
                    self.come_to_rest();
                } else if self.in_motion.get_untracked() {
                    self.await_rest();
                }
            },
            REST,
        );
    }

    /// The picture stays where it is.
    pub(super) fn come_to_rest(self) {
        if self.in_motion.get_untracked() {
            self.in_motion.set(false);
        }
    }

    fn look(self, image: PointXy, change: impl FnOnce(Viewport) -> Viewport) {
        let stage = self.stage.get_untracked();
        self.fitted.set(false);
        self.viewport
            .update(|viewport| *viewport = change(*viewport).kept_in_sight(image, stage));
    }

    // The frame to be shown, without its masks.
    fn scene(self, workspace: Workspace) -> Option<Scene> {
        let editor = workspace.editor;
        self.strokes.track();
        let image = editor
            .image
            .get()
            .map(|i| (f64::from(i.width), f64::from(i.height)))?;
        let viewport = self.viewport.get();
        let in_motion = self.in_motion.get();
        let tool = editor.tool.get();
        let radius = editor.brush.get() * viewport.scale / 2.0;
        let crosshair = self.crosshair.get();
        let painting = tool.paints() && !self.is_grabbing();
        let at_key = crosshair.map(|at| viewport.to_stage(at));
        let brush = painting
            .then(|| at_key.or(self.hover.get()).map(|at| (at, radius)))
            .flatten();
        Some(Scene {
            viewport,
            in_motion,
            stage: self.stage.get(),
            tools: self.tools.get(),
            image,
            masks: Vec::new(),
            peek: self.peek.get(),
            lines: self.lines(workspace),
            // The canvas, which it magnifies, has no picture meanwhile.
            loupe: self.finger.get().filter(|_| !in_motion),
            drag: self.drag.get().and_then(|(a, b)| dragged_box(a, b, image)),
            brush,
            crosshair: at_key,
            time: js_sys::Date::now(),
        })
    }

    // What is drawn point by point, on the stage.
    fn lines(self, workspace: Workspace) -> Vec<Line> {
        let editor = workspace.editor;
        let viewport = self.viewport.get();
        let on_stage = |points: &[PointXy]| -> Vec<PointXy> {
            points
                .iter()
                .map(|&point| viewport.to_stage(point))
                .collect()
        };
        let mut lines = Vec::new();
        self.lasso.with(|points| {
            if !points.is_empty() {
                lines.push(Line {
                    points: on_stage(points),
                    is_closed: true,
                    has_corners: false,
                    picked: None,
                });
            }
        });
        if let Some(shown) = self.cornered(editor) {
            let points = on_stage(&shown.polygon.points);
            let is_closed = shown.of.is_some();
            if !is_closed {
                let crosshair = self.crosshair.get().map(|at| viewport.to_stage(at));
                let pointer = crosshair.or(self.hover.get());
                lines.push(Line {
                    points: points.iter().copied().chain(pointer).collect(),
                    is_closed,
                    has_corners: false,
                    picked: None,
                });
            }
            lines.push(Line {
                points,
                is_closed,
                has_corners: true,
                picked: shown.picked,
            });
        }
        lines
    }

    fn masks(self, workspace: Workspace) -> Vec<Drawn> {
        let (editor, conversation) = (workspace.editor, workspace.conversation);
        let highlight = conversation.highlight.get();
        let spotlit = highlight
            .as_ref()
            .is_some_and(|highlight| !highlight.from_canvas);
        let hidden = editor.hidden.get();
        let pending = editor.pending.get();
        let selected = editor.selected.get();
        let stroke = self.stroke.get();
        let is_live = |region: &RegionState| {
            let painted = stroke.as_ref().and_then(Option::as_ref);
            painted == Some(&region.id)
        };
        let faint = if spotlit { 0.25 } else { 1.0 };
        let opacity = editor.opacity.get();
        let carried = self.carried.get();
        // A phrase that is pointed at shows its answer for as long, whatever is shown otherwise.
        let shown = match &highlight {
            Some(highlight) if spotlit => Some(highlight.message.clone()),
            _ => conversation.shown.get(),
        };
        let mut masks = editor.document.with(|document| {
            let numbered = document.regions.iter().zip(1..);
            numbered
                .filter(|(region, _)| !hidden.contains(&region.id) || is_live(region))
                .map(|(region, number)| {
                    let chosen = selected.as_ref() == Some(&region.id);
                    Drawn {
                        key: region.id.clone(),
                        mask: region.mask.clone(),
                        color: region.color.clone(),
                        label: (!spotlit).then(|| format!("@{number}")),
                        fill: faint * (opacity * if chosen { 1.25 } else { 0.8 }).min(1.0),
                        line: faint * if chosen { 2.5 } else { 1.5 },
                        pending: pending.contains(&region.id),
                        spotlight: false,
                        shift: match &carried {
                            Some((id, by)) if *id == region.id => *by,
                            _ => (0.0, 0.0),
                        },
                        live: is_live(region),
                    }
                })
                .collect::<Vec<_>>()
        });
        if let Some(shown) = shown {
            conversation.messages.with(|messages| {
                let Some(answer) = messages.iter().find(|message| message.id == shown) else {
                    return;
                };
                answer.found.with(|found| {
                    masks.extend(found.iter().enumerate().map(|(index, found)| {
                        let lit = highlight
                            .as_ref()
                            .is_some_and(|h| h.message == shown && h.index == index);
                        Drawn {
                            key: found_key(index),
                            mask: found.mask.clone(),
                            color: found_color(index).to_owned(),
                            label: None,
                            fill: (opacity * if lit { 1.5 } else { faint }).min(1.0),
                            line: if lit { 3.0 } else { 2.0 * faint },
                            pending: false,
                            spotlight: lit && spotlit,
                            shift: (0.0, 0.0),
                            live: false,
                        }
                    }));
                });
            });
        }
        if let Some(mask) = self.preview.mask.get() {
            masks.push(Drawn {
                key: "preview".to_owned(),
                mask,
                color: PREVIEW_COLOR.to_owned(),
                label: None,
                fill: PictureView::FILL,
                line: PictureView::LINE,
                pending: false,
                spotlight: false,
                shift: (0.0, 0.0),
                live: false,
            });
        }
        if let Some(None) = stroke {
            masks.push(Drawn {
                key: "stroke".to_owned(),
                mask: std::sync::Arc::new(fclm_core::mask::Mask::new(1, 1).to_wire()),
                color: String::new(),
                label: None,
                fill: 0.38,
                line: 0.0,
                pending: false,
                spotlight: false,
                shift: (0.0, 0.0),
                live: true,
            });
        }
        masks
    }
}

/// Under which the layer of an answer's n-th mask is kept.
pub(super) fn found_key(index: usize) -> String {
    format!("found/{index}")
}
