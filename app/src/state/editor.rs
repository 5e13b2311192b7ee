mod clicks;
mod saving;
mod shapes;
mod tabs;

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use fclm_core::mask::Rle;
use fclm_core::wire::{
    BoxPx, ImageInfo, MAX_REGIONS, MaskSource, Region, RegionVector, SegmentRequest,
};
use futures::future::select;
use leptos::prelude::*;

use super::{Found, Notices, OpenChat, Tasks};
use crate::client::{self, ChatPart};
use crate::editor::{
    Clicks, Document, History, Instrument, KeptView, Movement, Press, RegionState, clean_name,
    describe_step, region_id_from,
};
use crate::extractor::Extractor;

/// For so long a question waits for what this device computes of its regions.
const VECTOR_PATIENCE: Duration = Duration::from_secs(3);
/// Under which the browser keeps how strongly masks are filled.
const OPACITY_KEY: &str = "fclm.opacity";
/// How strongly masks are filled where nobody has chosen.
const OPACITY: f64 = 0.3;

/// What the pointer does on the canvas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    /// Choose regions, move the picture.
    Select,
    /// Click on what the model should mask, and beside what it should not.
    Click,
    /// Draw a box, or click, around what the model should mask.
    Box,
    /// Paint.
    Brush,
    /// Take paint away.
    Eraser,
    /// Set the corners of a region one by one, and move them.
    Polygon,
    /// Draw around what is meant.
    Lasso,
}

impl Tool {
    /// Whether it makes strokes.
    pub(crate) fn paints(self) -> bool {
        matches!(self, Self::Brush | Self::Eraser)
    }
}

/// Whether the server has the regions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SaveState {
    /// It has.
    Saved,
    /// Not yet.
    Saving,
    /// Not yet, and the last attempt failed; they are kept in the browser.
    Kept,
    /// Not yet, the last attempt failed, and the browser keeps nothing: a reload would lose them.
    Unsaved,
}

/// The regions of a chat, the tools that change them, and their way to the server.
#[derive(Clone, Copy)]
pub(crate) struct Editor {
    /// The picture.
    pub(crate) image: RwSignal<Option<ImageInfo>>,
    /// The regions as they are now.
    pub(crate) document: RwSignal<Document>,
    /// Counts the steps that were made, here or in another tab; what arrives late is none.
    pub(crate) steps: RwSignal<u64>,
    /// Whether there is a step back.
    pub(crate) can_undo: RwSignal<bool>,
    /// Whether there is a step forward.
    pub(crate) can_redo: RwSignal<bool>,
    /// The chosen region.
    pub(crate) selected: RwSignal<Option<String>>,
    /// The tool in hand.
    pub(crate) tool: RwSignal<Tool>,
    /// Diameter of brush and eraser in image pixels.
    pub(crate) brush: RwSignal<f64>,
    /// Regions that are not drawn.
    pub(crate) hidden: Memo<BTreeSet<String>>,
    /// Regions whose mask the model is making.
    pub(crate) pending: RwSignal<BTreeSet<String>>,
    /// Regions that are not changed.
    pub(crate) locked: Memo<BTreeSet<String>>,
    /// How strongly masks are filled, 0 (outlines alone) to 1.
    pub(crate) opacity: RwSignal<f64>,
    /// What is told to screen readers about the last change.
    pub(crate) spoken: ReadSignal<String>,
    /// Whether the server has it all.
    pub(crate) saved: RwSignal<SaveState>,
    /// Whether the next click takes something away.
    pub(crate) minus: RwSignal<bool>,
    speak: WriteSignal<String>,
    clicks: StoredValue<Option<Clicks>>,
    history: StoredValue<History>,
    generation: StoredValue<u64>,
    in_flight: StoredValue<bool>,
    /// Whether the browser keeps what the server does not have yet.
    kept: StoredValue<bool>,
    chat: OpenChat,
    tasks: Tasks,
    notices: Notices,
    extractor: Extractor,
}

impl Editor {
    /// Without a picture yet.
    pub(super) fn new(
        chat: OpenChat,
        tasks: Tasks,
        notices: Notices,
        extractor: Extractor,
    ) -> Self {
        let document = RwSignal::new(Document::default());
        let (spoken, speak) = signal(String::new());
        Self {
            image: RwSignal::new(None),
            document,
            steps: RwSignal::new(0),
            can_undo: RwSignal::new(false),
            can_redo: RwSignal::new(false),
            selected: RwSignal::new(None),
            tool: RwSignal::new(Tool::Box),
            brush: RwSignal::new(16.0),
            hidden: Memo::new(move |_| document.with(|document| document.hidden.clone())),
            pending: RwSignal::new(BTreeSet::new()),
            locked: Memo::new(move |_| document.with(|document| document.locked.clone())),
            opacity: RwSignal::new(OPACITY),
            spoken,
            saved: RwSignal::new(SaveState::Saved),
            minus: RwSignal::new(false),
            speak,
            clicks: StoredValue::new(None),
            history: StoredValue::new(History::default()),
            generation: StoredValue::new(0),
            in_flight: StoredValue::new(false),
            kept: StoredValue::new(false),
            chat,
            tasks,
            notices,
            extractor,
        }
    }

    /// Shows a chat's picture and regions, as the last visit left them. Regions that it could not
    /// save come from the browser instead, and are saved now.
    pub(crate) fn open(self, image: ImageInfo, regions: Vec<Region>) {
        let kept: Option<Vec<Region>> = client::recall(&self.chat.key(ChatPart::Regions));
        let unsaved = kept.is_some();
        let document = Document::from_wire(kept.unwrap_or(regions));
        self.brush.set(
            (f64::from(image.width.max(image.height)) / 20.0)
                .round()
                .max(4.0),
        );
        let view = self
            .kept_view()
            .unwrap_or_else(|| KeptView::first(&document));
        self.selected.set(view.selected_in(&document));
        let document = document
            .seen_as(view.hidden, view.locked)
            .with_corners(&view.corners);
        if let Some(opacity) = client::recall::<f64>(OPACITY_KEY) {
            self.opacity.set(opacity.clamp(0.0, 1.0));
        }
        self.image.set(Some(image));
        self.history.set_value(History::new(document));
        self.publish();
        if unsaved {
            self.save_later();
        }
    }

    /// Width and height of the picture.
    pub(crate) fn size(self) -> Option<(u32, u32)> {
        self.image
            .with_untracked(|image| image.as_ref().map(|image| (image.width, image.height)))
    }

    /// Makes a step of the history.
    pub(crate) fn change(self, change: impl FnOnce(&mut Document)) {
        self.step(change, History::commit);
    }

    // Makes a step of a movement, or goes on with it where its key is held.
    fn change_on(self, movement: Movement, press: Press, change: impl FnOnce(&mut Document)) {
        self.step(change, |history, next| {
            history.commit_movement(next, movement, press)
        });
    }

    fn step(
        self,
        change: impl FnOnce(&mut Document),
        commit: impl FnOnce(&mut History, Document) -> bool,
    ) {
        let is_step = self.travel(|history| {
            let mut next = history.present().clone();
            change(&mut next);
            commit(history, next)
        });
        if is_step {
            self.count_step();
        }
    }

    fn count_step(self) {
        self.steps.update(|steps| *steps += 1);
    }

    /// One step back.
    pub(crate) fn undo(self) {
        if let Some(before) = self.retrace(History::undo) {
            let step = self
                .document
                .with_untracked(|now| describe_step(now, &before));
            self.say(format!("Undone: {step}"));
        } else {
            self.say("Nothing to undo".to_owned());
        }
    }

    /// One step forward again.
    pub(crate) fn redo(self) {
        if let Some(before) = self.retrace(History::redo) {
            let step = self
                .document
                .with_untracked(|now| describe_step(&before, now));
            self.say(format!("Redone: {step}"));
        } else {
            self.say("Nothing to redo".to_owned());
        }
    }

    /// Tells screen readers, which say again only what is another text.
    pub(crate) fn say(self, mut text: String) {
        if self.spoken.with_untracked(|spoken| *spoken == text) {
            text.push('\u{a0}');
        }
        self.speak.set(text);
    }

    // What was there before the step; none where there was no step. A region that comes back is the
    // chosen one, as it was when it was made.
    fn retrace(self, step: impl FnOnce(&mut History) -> bool) -> Option<Document> {
        let before = self.document.get_untracked();
        if !self.travel(step) {
            return None;
        }
        let back = self
            .document
            .with_untracked(|now| now.only_new(&before).map(|region| region.id.clone()));
        if back.is_some() {
            self.selected.set(back);
        }
        Some(before)
    }

    // Whether the history took the step, which is then shown and saved.
    fn travel(self, step: impl FnOnce(&mut History) -> bool) -> bool {
        let is_taken = self.history.try_update_value(step) == Some(true);
        if is_taken {
            // The server does not care what is hidden or locked.
            let is_other = self.history.with_value(|history| {
                let next = &history.present().regions;
                self.document.with_untracked(|now| now.regions != *next)
            });
            self.publish();
            if is_other {
                self.save_later();
            }
        }
        is_taken
    }

    fn publish(self) {
        let (document, undo, redo) = self
            .history
            .with_value(|h| (h.present().clone(), h.can_undo(), h.can_redo()));
        self.can_undo.set(undo);
        self.can_redo.set(redo);
        let selected = self.selected.get_untracked();
        if let Some(id) = selected.filter(|id| document.get(id).is_none()) {
            let next = self
                .document
                .with_untracked(|before| before.neighbour(&id, &document));
            self.selected.set(next);
        }
        self.document.set(document);
    }

    /// What this device has computed of regions, for a question about them. A device that is slow
    /// does not hold the question up: the server computes what is missing.
    pub(crate) async fn vectors(self, region_ids: &[String]) -> Vec<RegionVector> {
        let mut vectors = Vec::new();
        {
            let computing = pin!(self.collect_vectors(region_ids, &mut vectors));
            let patience = pin!(client::pause(VECTOR_PATIENCE));
            select(computing, patience).await;
        }
        vectors
    }

    async fn collect_vectors(self, region_ids: &[String], vectors: &mut Vec<RegionVector>) {
        let Some(image) = self.image.get_untracked() else {
            return;
        };
        for id in region_ids {
            let mask = self
                .document
                .with_untracked(|document| document.get(id).map(|region| region.mask.clone()));
            let Some(mask) = mask else { continue };
            if let Some((values, sha256)) = self.extractor.vector(&image.url, &mask).await {
                vectors.push(RegionVector {
                    region_id: id.clone(),
                    mask: (*mask).clone(),
                    values,
                    sha256,
                });
            }
        }
    }

    /// Whether another region can be made; says so where it cannot.
    pub(crate) fn has_room(self) -> bool {
        let full = self.document.with_untracked(Document::is_full);
        if full {
            let text = format!("A chat holds up to {MAX_REGIONS} regions. Delete one first.");
            self.notices.info("No room for another region", &text);
        }
        !full
    }

    // The new region's id; none where there is no room for it.
    fn add_rectangle(self, px: BoxPx) -> Option<String> {
        let size = self.size()?;
        self.add(|document, id| {
            let (name, color) = (document.next_name(), document.next_color());
            RegionState::rectangle(id, name, color, size, px)
        })
    }

    fn add(self, make: impl FnOnce(&Document, String) -> RegionState) -> Option<String> {
        if !self.has_room() {
            return None;
        }
        let id = new_id();
        self.selected.set(Some(id.clone()));
        self.change(|document| {
            let region = make(document, id.clone());
            document.regions.push(region);
        });
        Some(id)
    }

    /// Shows the plain rectangle instead of the model's mask.
    pub(crate) fn use_rectangle(self, id: &str) {
        let Some(size) = self.size() else { return };
        if self.refuses(id) {
            return;
        }
        self.change(|document| {
            if let Some(region) = document.get_mut(id) {
                region.use_rectangle(size);
            }
        });
    }

    /// Shows the model's mask of a region's box again, asking for it where it is not known.
    pub(crate) fn use_mask(self, id: &str) {
        if self.refuses(id) {
            return;
        }
        let px = self
            .document
            .with_untracked(|d| d.get(id).and_then(|region| region.box_px));
        let mut known = false;
        self.change(|document| {
            known = document.get_mut(id).is_some_and(RegionState::use_refined);
        });
        if let (false, Some(px)) = (known, px) {
            self.segment(
                id.to_owned(),
                SegmentRequest {
                    box_px: Some(px),
                    points: Vec::new(),
                },
            );
        }
    }

    /// Takes the mask that a stroke of an instrument left: for the region with `id`, or as a new
    /// one. An empty one takes its region away.
    pub(crate) fn commit_stroke(self, id: Option<String>, mask: &Rle, instrument: Instrument) {
        let empty = mask.is_empty();
        let wire = Arc::new(mask.to_wire());
        match id.filter(|id| self.document.with_untracked(|d| d.get(id).is_some())) {
            Some(id) if empty => self.remove(&id),
            Some(id) => self.change(|document| {
                // What was painted on is seen.
                document.hidden.remove(&id);
                if let Some(region) = document.get_mut(&id) {
                    region.stroke(wire, instrument);
                }
            }),
            None if empty => {}
            None => {
                self.add(|document, id| {
                    let (name, color) = (document.next_name(), document.next_color());
                    RegionState {
                        instrument: Some(instrument),
                        ..RegionState::new(id, name, color, wire, MaskSource::Brush)
                    }
                });
            }
        }
    }

    /// Makes a region of a mask that the model found.
    pub(crate) fn adopt(self, found: &Found) {
        self.add(|document, id| {
            let name = clean_name(&found.phrase).unwrap_or_else(|| document.next_name());
            let (color, mask) = (document.next_color(), found.mask.clone());
            RegionState {
                score: Some(found.score),
                ..RegionState::new(id, name, color, mask, MaskSource::Model)
            }
        });
    }

    /// Takes a region away.
    pub(crate) fn remove(self, id: &str) {
        if self.refuses(id) {
            return;
        }
        let name = self
            .document
            .with_untracked(|document| document.get(id).map(|region| region.name.clone()));
        self.change(|document| {
            document.remove(id);
        });
        if let Some(name) = name {
            self.say(format!("{name} deleted"));
        }
    }

    /// Gives a region another name; an empty one is not taken.
    pub(crate) fn rename(self, id: &str, name: &str) {
        let Some(name) = clean_name(name) else { return };
        self.change(|document| {
            if let Some(region) = document.get_mut(id) {
                region.name = name;
            }
        });
    }

    /// Gives a region another colour.
    pub(crate) fn recolor(self, id: &str, color: &str) {
        self.change(|document| {
            if let Some(region) = document.get_mut(id) {
                region.color = color.to_owned();
            }
        });
    }

    /// Hides a region or shows it again.
    pub(crate) fn toggle_hidden(self, id: &str) {
        self.change(|document| toggle(&mut document.hidden, id));
    }

    /// Makes brush and eraser larger or smaller.
    pub(crate) fn scale_brush(self, factor: f64) {
        let longest = self.size().map_or(1000, |(w, h)| w.max(h));
        self.brush.update(|brush| {
            *brush = (*brush * factor).clamp(1.0, f64::from(longest) / 2.0);
        });
    }
}

/// Puts an id into a set, or takes it out.
fn toggle(ids: &mut BTreeSet<String>, id: &str) {
    if !ids.remove(id) {
        ids.insert(id.to_owned());
    }
}

fn new_id() -> String {
    let random = || (js_sys::Math::random() * (1u64 << 52) as f64) as u64;
    region_id_from(random(), random())
}
