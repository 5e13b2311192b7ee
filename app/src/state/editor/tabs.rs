use std::collections::BTreeMap;

use fclm_core::wire::Region;
use leptos::prelude::*;

use super::{Editor, SaveState};
use crate::client::{self, ChatPart};
use crate::editor::{Document, KeptView, Polygon};

/// What the browser keeps of a chat, and what another of its tabs has changed.
impl Editor {
    pub(super) fn kept_view(self) -> Option<KeptView> {
        client::recall(&self.chat.key(ChatPart::View))
    }

    /// Which region is chosen, which are hidden or locked, and the corners of polygons; none where
    /// there is no region.
    pub(crate) fn view(self) -> Option<KeptView> {
        let corners = self
            .document
            .with(|document| (!document.regions.is_empty()).then(|| document.corners()))?;
        Some(KeptView {
            selected: self.selected.get(),
            hidden: self.hidden.get(),
            locked: self.locked.get(),
            corners,
        })
    }

    /// Keeps that for the next visit, and with it what other tabs have kept of their polygons.
    pub(crate) fn keep_view(self, view: Option<KeptView>) {
        let is_empty = view.is_none();
        let kept = self.kept_view().unwrap_or_default();
        let is_known = |id: &str| self.history.with_value(|history| history.knows(id));
        let view = view.unwrap_or_default().beside(kept, is_known);
        let key = self.chat.key(ChatPart::View);
        if is_empty && view.corners.is_empty() {
            client::forget(&key);
        } else {
            client::remember(&key, &view);
        }
    }

    /// The corners of polygons that this or another tab has kept.
    pub(crate) fn kept_corners(self) -> BTreeMap<String, Polygon> {
        self.kept_view().unwrap_or_default().corners
    }

    /// Takes over regions that another tab has saved, unless there is something to be saved here;
    /// a step back gives what was here. The other tab had kept the corners of what it has drawn.
    pub(crate) fn catch_up(self, regions: Vec<Region>, corners: &BTreeMap<String, Polygon>) {
        let is_known = self.document.with_untracked(Document::to_wire) == regions;
        if self.saved.get_untracked() != SaveState::Saved || is_known {
            return;
        }
        self.history.update_value(|history| {
            let now = history.present();
            let next = Document::from_wire(regions)
                .seen_as(now.hidden.clone(), now.locked.clone())
                .knowing(now)
                .with_corners(corners);
            history.commit(next);
        });
        self.publish();
        self.count_step();
    }
}
