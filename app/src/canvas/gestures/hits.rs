use leptos::prelude::*;

use super::Gestures;
use crate::canvas::view::found_key;
use crate::editor::{PointXy, is_inside};
use crate::state::{Highlight, Tool};

/// What lies where a pointer is.
impl Gestures {
    pub(super) fn choose(self, at: PointXy) {
        let editor = self.workspace.editor;
        let hidden = editor.hidden.get_untracked();
        let ids: Vec<String> = editor.document.with_untracked(|document| {
            let shown = document
                .regions
                .iter()
                .filter(|region| !hidden.contains(&region.id));
            shown.map(|region| region.id.clone()).collect()
        });
        let hit = self.view.painter.with_value(|painter| {
            painter
                .as_ref()?
                .hit(ids.iter().map(String::as_str), at)
                .map(str::to_owned)
        });
        self.pointed.set_value(hit.is_some());
        editor.selected.set(hit);
    }

    // What a click would give here is shown where this device can tell.
    pub(super) fn preview(self, at: PointXy) {
        let editor = self.workspace.editor;
        let is_on = editor.tool.get_untracked() == Tool::Click
            && self.image().is_some_and(|image| is_inside(at, image));
        if is_on {
            self.view.preview.point_at(at, editor);
        } else {
            self.view.preview.clear();
        }
    }

    // The mask under the pointer lights up its phrase.
    pub(super) fn point_at(self, at: PointXy) {
        let conversation = self.workspace.conversation;
        let Some(message) = conversation.shown.get_untracked() else {
            return;
        };
        let count = conversation.messages.with_untracked(|messages| {
            let shown = messages.iter().find(|candidate| candidate.id == message);
            shown.map_or(0, |shown| shown.found.with_untracked(Vec::len))
        });
        let keys: Vec<String> = (0..count).map(found_key).collect();
        let index = self.view.painter.with_value(|painter| {
            let hit = painter.as_ref()?.hit(keys.iter().map(String::as_str), at)?;
            keys.iter().position(|key| key == hit)
        });
        let next = index.map(|index| Highlight {
            message,
            index,
            from_canvas: true,
        });
        if conversation
            .highlight
            .with_untracked(|highlight| *highlight != next)
        {
            conversation.highlight.set(next);
        }
    }
}
