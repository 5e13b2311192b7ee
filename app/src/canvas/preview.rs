use std::sync::Arc;

use fclm_core::wire::MaskRle;
use futures::channel::oneshot;
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::editor::PointXy;
use crate::state::Editor;

/// The mask that a click would give where the pointer is: at most one a frame, and each once the
/// one before is there.
#[derive(Clone, Copy)]
pub(crate) struct Preview {
    /// The mask, where this device makes masks and there is one.
    pub(crate) mask: RwSignal<Option<Arc<MaskRle>>>,
    wanted: StoredValue<Option<PointXy>>,
    is_asking: StoredValue<bool>,
}

impl Preview {
    /// Of nothing yet.
    pub(super) fn new() -> Self {
        Self {
            mask: RwSignal::new(None),
            wanted: StoredValue::new(None),
            is_asking: StoredValue::new(false),
        }
    }

    /// The pointer is over an image point.
    pub(super) fn point_at(self, at: PointXy, editor: Editor) {
        self.wanted.set_value(Some(at));
        if self.is_asking.get_value() {
            return;
        }
        self.is_asking.set_value(true);
        spawn_local(async move {
            let mut last = None;
            while let Some(at) = self.wanted().filter(|at| last != Some(*at)) {
                last = Some(at);
                let mask = editor.preview(at).await;
                next_frame().await;
                // The pointer may have left, or the page been closed, in the meantime.
                if self.wanted().is_some() {
                    self.show(mask);
                }
            }
            // Where the page is closed there is nothing left to be told.
            let _ = self.is_asking.try_set_value(false);
        });
    }

    /// The pointer is elsewhere, or has clicked.
    pub(super) fn clear(self) {
        self.wanted.set_value(None);
        self.show(None);
    }

    fn wanted(self) -> Option<PointXy> {
        self.wanted.try_get_value().flatten()
    }

    fn show(self, mask: Option<MaskRle>) {
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
